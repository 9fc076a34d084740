#!/usr/bin/env python3
"""Runs recipes of OpenSSL's test harness in three settings and compares what they print. See scripts/openssl-tests.

Prints one line per recipe, beginning "ok" or "FAIL". Exit status 0: whatever the default provider alone passes, warpdrive
passes, or docs/openssl-conformance.md lists it; evp_test ran and left out as many of its cases; no recipe was skipped or ran
out of time; and warpdrive was there: without a device its counters say so, with devices hardware answered the kinds of
requests that USES lists.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ASSERTION = re.compile(r"^(\s*)(not ok|ok) (\d+)(?: - (.*?))?\s*(# (?:skip|SKIP|TODO).*)?$")
# Chosen by the running program, not by what is tested.
VOLATILE = re.compile(r"/tmp/\S+|0x[0-9a-f]+")
# A line of its list of known differences: "- `recipe`: `assertion`: reason".
KNOWN = re.compile(r"^- `(test_\w+)`: `([^`]+)`")

# What evp_test says at the end of each of its files: a case that it leaves out fails nowhere else.
COMPLETED = re.compile(r"Completed (\d+) tests with (\d+) errors and (\d+) skipped")
# The longest that one recipe may take in one setting.
TIME_LIMIT_SECONDS = 3600

# Rows of the counters that must move in a recipe. The others call libcrypto's functions of old, which know no providers.
USES = {
    "test_evp": ("rsa-1024-private", "rsa-2048-private", "dh-2048", "ecdh-p-256", "ecdsa-p-256-sign", "x25519", "x448", "sm2-sign"),
    "test_evp_extra": ("rsa-1024-private", "ecdsa-p-256-sign", "sm2-sign"),
    "test_ecdsa": ("ecdsa-p-256-sign", "ecdsa-p-521-sign", "sm2-sign"),
    "test_ec": ("ecdh-p-256",),
    "test_cmsapi": ("rsa-2048-private",),
    "test_sslapi": ("rsa-2048-private", "dh-2048", "ecdh-p-256", "ecdsa-p-256-sign", "x25519"),
    "test_ssl_new": ("rsa-2048-private", "dh-2048", "ecdh-p-256", "ecdsa-p-256-sign", "x25519"),
    "test_ssl_old": ("rsa-2048-private", "dh-2048", "ecdsa-p-256-sign", "x25519"),
}

# This program insists that the default library context starts without any provider, so only the file handed to it names ours.
BARE_DEFAULT_CONTEXT = {"test_sslapi"}
SECTIONS = """
[warpdrive_sect]
module = {module}
activate = 1
[algorithm_sect]
default_properties = ?provider=warpdrive
"""


def naming_default(text):
    """A configuration file of OpenSSL's tests that activates the default provider by name. Where another provider is named it must be,
    and some tests behave otherwise for that alone, so all settings have it."""
    return re.sub(r"(?m)^# *activate = 1", "activate = 1", text)


def with_warpdrive(text, module):
    """The same with our provider beside what it names, and preferred."""
    text = text.replace("[openssl_init]\n", "[openssl_init]\nalg_section = algorithm_sect\n", 1)
    text = text.replace("[provider_sect]\n", "[provider_sect]\nwarpdrive = warpdrive_sect\n", 1)
    return naming_default(text) + SECTIONS.format(module=module)


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
        general = self.general
        if recipe not in BARE_DEFAULT_CONTEXT:
            general = with_warpdrive(general, self.module) if self.module else naming_default(general)
        self.rewrite("apps/openssl.cnf", general)
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
            process = subprocess.Popen(
                command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                status = process.wait(TIME_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = "out of time"
        return Outcome(file.read_text(errors="replace"), status)

    def counted(self):
        """Requests that hardware answered so far, and that software did for want of a device, by algorithm."""
        command = [self.dist / "bin/warpdrive", "stats", "--dir", self.stats, "--format", "json"]
        rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["algorithms"]
        hardware = collections.Counter({name: row["hardware"] for name, row in rows.items()})
        return hardware, collections.Counter({name: row["software"].get("no-device", 0) for name, row in rows.items()})


class Outcome:
    """What a recipe printed, how it ended, and what both say."""

    def __init__(self, text, status):
        self.text = text
        self.status = status
        self.passed, self.failed = assertions(text)
        self.completed = [tuple(map(int, numbers)) for numbers in COMPLETED.findall(text)]


def unmoved(recipe, counted):
    """The rows of USES that did not move."""
    return [row for row in USES.get(recipe, ()) if not counted[row]]


def assertions(text):
    """Passed and failed assertions as multisets of "depth and name". Numbers count only where there is no name: the order is random."""
    passed, failed = collections.Counter(), collections.Counter()
    for line in text.splitlines():
        if found := ASSERTION.match(line):
            indent, verdict, number, name, _ = found.groups()
            key = f"{len(indent) // 4} {VOLATILE.sub('*', name or number)}"
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
    whole = names[0] == "alltests"
    if whole:
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
    before = {setting.name: setting.counted() for setting in others}
    for recipe in names:
        with ThreadPoolExecutor(2) as runs:
            stock, *outcomes = runs.map(lambda setting: setting.run(recipe), [default, *others])
        complaints = []
        for setting, outcome in zip(others, outcomes):
            lost = (outcome.failed - stock.failed).keys() | (stock.passed - outcome.passed - outcome.failed).keys()
            lost = [key for key in sorted(lost) if key.partition(" ")[2] not in known[recipe]]
            complaints += [f"{setting.name}: {'failed' if outcome.failed[key] else 'not reached'}: {key}" for key in lost]
            if outcome.completed != stock.completed:
                complaints.append(f"{setting.name}: evp_test completed {outcome.completed}, with default alone {stock.completed}")
            if outcome.status != stock.status and not (lost or known[recipe]):
                complaints.append(f"{setting.name}: ended with {outcome.status}, with default alone {stock.status}")
            kind = int(not setting.simulated)
            now = setting.counted()
            moved = now[kind] - before[setting.name][kind]
            before[setting.name] = now
            complaints += [f"{setting.name}: {row} did not move" for row in unmoved(recipe, moved)]
        if not stock.passed:
            left_out = "skipped" in stock.text and not stock.failed
            # What was asked for by name must run.
            bad += not (left_out and whole)
            print(f"{'skip  ' if left_out and whole else 'FAIL  '}OpenSSL {recipe}: nothing passes with the default provider alone", flush=True)
            continue
        note = f"{stock.passed.total()} assertions"
        note += f", {stock.failed.total()} fail with the default provider alone" if stock.failed else ""
        cases = [sum(column) for column in zip(*stock.completed)]
        note += f"; {cases[0]} cases of evp_test, {cases[1]} of them wrong and {cases[2]} left out by the default provider alone" if cases else ""
        hardware = ", ".join(f"{name} {count}" for name, count in sorted(moved.items()))
        print(f"{'FAIL  ' if complaints else 'ok    '}OpenSSL {recipe}: {note}; hardware: {hardware or 'none'}", flush=True)
        for complaint in complaints[:20]:
            print(f"          {complaint}", flush=True)
        bad += bool(complaints)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
