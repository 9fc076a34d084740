#!/usr/bin/env python3
"""Runs recipes of OpenSSL's test harness in three settings and compares what they print. See scripts/openssl-tests.

Prints one line per recipe, beginning "ok" or "FAIL". Exit status 0: whatever the default provider alone passes, warpdrive
passes, or docs/openssl-conformance.md lists it, and hardware answered requests of every kind that it should.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ASSERTION = re.compile(r"^(\s*)(not ok|ok) (\d+)(?: - (.*?))?\s*(# (?:skip|SKIP|TODO).*)?$")
# Chosen by the running program, not by what is tested.
VOLATILE = re.compile(r"/tmp/\S+|0x[0-9a-f]+")
# A line of its list of known differences: "- `recipe`: `assertion`: reason".
KNOWN = re.compile(r"^- `(test_\w+)`: `([^`]+)`")

# This program insists that the default library context starts without any provider, so only the file handed to it names ours.
BARE_DEFAULT_CONTEXT = {"test_sslapi"}
SECTIONS = """
[warpdrive_sect]
module = {module}
activate = 1
[algorithm_sect]
default_properties = ?provider=warpdrive
"""


def with_warpdrive(text, module):
    """A configuration file of OpenSSL's tests with our provider beside what it names, and preferred."""
    text = text.replace("[openssl_init]\n", "[openssl_init]\nalg_section = algorithm_sect\n", 1)
    text = text.replace("[provider_sect]\n", "[provider_sect]\nwarpdrive = warpdrive_sect\n", 1)
    # Naming any provider turns the implicit default off.
    text = re.sub(r"(?m)^# *activate = 1", "activate = 1", text)
    return text + SECTIONS.format(module=module)


class Setting:
    """One way to run recipes: its own copy of the tree, since configuration files and results lie in it."""

    def __init__(self, name, options, warpdrive, simulated):
        self.name = name
        self.tree = options.tree.with_name(f"{options.tree.name}-{name}")
        self.simulated = simulated
        self.dist = options.dist
        self.log = options.log
        self.stats = pathlib.Path(tempfile.mkdtemp(prefix="warpdrive-stats-"))
        shutil.rmtree(self.tree, ignore_errors=True)
        subprocess.run(["cp", "--archive", "--link", options.tree, self.tree], check=True)
        self.general = (self.tree / "apps/openssl.cnf").read_text()
        self.module = options.dist / "lib/ossl-modules/warpdrive.so" if warpdrive else None
        if self.module:
            for file in ["test/default.cnf", "test/default-and-legacy.cnf"]:
                self.rewrite(file, with_warpdrive((self.tree / file).read_text(), self.module))
        self.policy = self.tree / "warpdrive.toml"
        self.policy.write_text('[policy]\ndefault = "hardware"\n')

    def rewrite(self, file, text):
        """Not in place: the other trees' file is the same one."""
        path = self.tree / file
        path.unlink()
        path.write_text(text)

    def run(self, recipe):
        """What the recipe printed."""
        if self.module:
            ours = recipe not in BARE_DEFAULT_CONTEXT
            self.rewrite("apps/openssl.cnf", with_warpdrive(self.general, self.module) if ours else self.general)
        tree = str(self.tree)
        environment = dict(
            os.environ, SRCTOP=tree, BLDTOP=tree, PERL="perl", EXE_EXT="", V="1", NO_FIPS="1",
            WARPDRIVE_STATS_DIR=str(self.stats), WARPDRIVE_CONF=str(self.policy), OPENSSL_TEST_RAND_ORDER="1",
        )
        command = ["perl", "test/run_tests.pl", recipe]
        if self.simulated:
            simulator = [self.dist / "bin/uacce-sim", "run", "--device", "hpre,hpre", "--hw", "v3", "--queues", "256", "--"]
            command = simulator + command
        file = self.log / f"{recipe}-{self.name}"
        with open(file, "w") as out:
            subprocess.run(command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        return file.read_text(errors="replace")

    def hardware(self):
        """Requests that hardware answered so far, by algorithm."""
        command = [self.dist / "bin/warpdrive", "stats", "--dir", self.stats, "--format", "json"]
        rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["algorithms"]
        return collections.Counter({name: row["hardware"] for name, row in rows.items() if row["hardware"]})


def assertions(text):
    """Passed and failed assertions as multisets of "path of numbers and names"."""
    passed, failed = collections.Counter(), collections.Counter()
    for line in text.splitlines():
        if found := ASSERTION.match(line):
            indent, verdict, number, name, _ = found.groups()
            key = f"{len(indent) // 4}:{number} {VOLATILE.sub('*', name or '')}".strip()
            (passed if verdict == "ok" else failed)[key] += 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--dist", type=pathlib.Path, required=True)
    parser.add_argument("--log", type=pathlib.Path, required=True)
    parser.add_argument("--known", type=pathlib.Path, required=True)
    parser.add_argument("recipes", nargs="+")
    options = parser.parse_args()

    known = collections.defaultdict(set)
    for line in options.known.read_text().splitlines():
        if found := KNOWN.match(line):
            known[found[1]].add(found[2])
    names = options.recipes
    if names[0] == "alltests":
        skipped = {name.removeprefix("-") for name in names[1:]}
        found = sorted(path.name for path in (options.tree / "test/recipes").glob("*.t"))
        names = [name.partition("-")[2].removesuffix(".t") for name in found]
        names = [name for name in names if name not in skipped]

    default = Setting("default", options, warpdrive=False, simulated=False)
    others = [
        Setting("no-device", options, warpdrive=True, simulated=False),
        Setting("simulated", options, warpdrive=True, simulated=True),
    ]
    bad = 0
    before = others[1].hardware()
    for recipe in names:
        with ThreadPoolExecutor(2) as runs:
            texts = list(runs.map(lambda setting: setting.run(recipe), [default, *others]))
        passed, failed = assertions(texts[0])
        complaints = []
        for setting, text in zip(others, texts[1:]):
            ours, our_failures = assertions(text)
            for key in sorted((our_failures - failed).keys() | (passed - ours - our_failures).keys()):
                if key.partition(" ")[2] not in known[recipe]:
                    complaints.append(f"{setting.name}: {'failed' if our_failures[key] else 'not reached'}: {key}")
        now = others[1].hardware()
        moved = ", ".join(f"{name} {count}" for name, count in sorted((now - before).items()))
        before = now
        if not passed:
            verdict = "skip  " if "skipped" in texts[0] or not failed else "FAIL  "
            bad += verdict == "FAIL  "
            print(f"{verdict}OpenSSL {recipe}: nothing passes with the default provider alone", flush=True)
            continue
        note = f"{passed.total()} assertions" + (f", {failed.total()} fail with the default provider alone" if failed else "")
        print(f"{'FAIL  ' if complaints else 'ok    '}OpenSSL {recipe}: {note}; hardware: {moved or 'none'}", flush=True)
        for complaint in complaints[:20]:
            print(f"          {complaint}", flush=True)
        bad += bool(complaints)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
