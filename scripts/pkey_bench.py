#!/usr/bin/env python3
"""Runs tests/c/pkey_times.c in every setting, in turn, and prints medians and instruction counts. See scripts/bench-pkey."""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

WARM_UP = 20
# A client that waits for an event which a polled doorbell has lost waits for long, or for ever.
TIME_LIMIT_SECONDS = 600
UNVERIFIED = "warpdrive, unverified"
UADK_CONFIGURATION = """openssl_conf = all
[all]
providers = providers
alg_section = preference
[preference]
default_properties = ?provider=uadk_provider
[providers]
uadk_provider = uadk
default = default
[uadk]
module = {module}
activate = 1
enable_sw_offload = 0
[default]
activate = 1
"""


class Bench:
    def __init__(self, options):
        self.options = options
        self.here = options.folder.resolve()
        self.stats = self.here / "counters"
        (self.here / "warpdrive.toml").write_text('[policy]\ndefault = "hardware"\n')
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("OPENSSL_", "WARPDRIVE_", "WD_"))}
        self.clients = {"stock": plain}
        self.clients["warpdrive"] = dict(
            plain, OPENSSL_CONF=str(options.dist / "etc/openssl.cnf"), OPENSSL_MODULES=str(options.dist / "lib/ossl-modules"),
            WARPDRIVE_CONF=str(self.here / "warpdrive.toml"), WARPDRIVE_STATS_DIR=str(self.stats),
        )
        self.clients[UNVERIFIED] = dict(self.clients["warpdrive"], OPENSSL_MODULES=str(options.unverified))
        if options.uadk:
            lib = options.uadk.resolve() / "lib"
            (self.here / "uadk.cnf").write_text(UADK_CONFIGURATION.format(module=lib / "uadk_provider.so"))
            # Its own software is off: what does not come from the device fails.
            uadk = dict(plain, OPENSSL_CONF=str(self.here / "uadk.cnf"), LD_LIBRARY_PATH=str(lib))
            self.clients["UADK"] = uadk
            self.clients["UADK, epoll"] = dict(uadk, WD_RSA_EPOLL_EN="1")

    def device(self, doorbell, latency):
        simulator = [self.options.dist / "bin/uacce-sim", "run", "--device", "hpre", "--memo", "--doorbell", doorbell]
        # No latency means none: a daemon that falls asleep between two requests has one.
        return simulator + (["--latency", latency] if latency else ["--spin", "1000"]) + ["--"]

    def times(self, client, operation, count, device=()):
        """Microseconds of processor time per operation; None: no answer in time."""
        command = [*device, self.here / "pkey_times", operation, self.here / "key.pem", str(count)]
        try:
            done = subprocess.run(command, env=self.clients[client], stdout=subprocess.PIPE, timeout=TIME_LIMIT_SECONDS, check=True)
        except subprocess.TimeoutExpired:
            return None
        return float(done.stdout) / count

    def callgrind(self, client, command, device=()):
        """All instructions of a program, and the file that tells them apart."""
        out = self.here / "callgrind"
        grind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command]
        done = subprocess.run([*device, *grind], env=self.clients[client], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        return int(re.search(r"Collected : (\d+)", done.stderr)[1]), out

    def instructions(self, client, operation, count, device=()):
        """Instructions per operation: the difference of two counts."""
        once, twice = (
            self.callgrind(client, [self.here / "pkey_times", operation, self.here / "key.pem", str(n)], device)[0] for n in (count, 2 * count)
        )
        return (twice - once) / count

    def inside(self, client, command, name, device=()):
        """Instructions in all calls of the outermost function whose name contains `name`, with what it calls."""
        _, out = self.callgrind(client, command, device)
        whole = subprocess.run(
            ["callgrind_annotate", "--inclusive=yes", "--threshold=100", out], stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        counts = [int(found[1].replace(",", "")) for found in re.finditer(rf"(?m)^ *([\d,]+) .*{name}", whole)]
        return max(counts, default=0)

    def in_hardware(self):
        if not self.stats.exists():
            return 0, {}
        stats = subprocess.run(
            [self.options.dist / "bin/warpdrive", "stats", "--dir", self.stats, "--format", "json"], stdout=subprocess.PIPE, check=True
        ).stdout
        row = json.loads(stats)["algorithms"]["rsa-2048-private"]
        return row["hardware"], row["software"]


def line(name, values, median):
    spread = ", ".join(f"{value:.1f}" for value in sorted(values))
    print(f"| {name} | {median:.1f} | {spread} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dist", type=pathlib.Path, required=True)
    parser.add_argument("--load", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--unverified", type=pathlib.Path, required=True)
    parser.add_argument("--operations", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("uadk", type=pathlib.Path, nargs="?")
    options = parser.parse_args()
    bench = Bench(options)
    bench.stats.mkdir()

    settings = [(doorbell, latency) for latency in ("150us", None) for doorbell in ("poll", "trap")]
    accelerated = [name for name in bench.clients if name != "stock"]
    figures = {}
    for number in range(options.rounds):
        # Software needs no 20,000 to be steady.
        for operation in ("sign", "public"):
            figures.setdefault(("stock", operation), []).append(bench.times("stock", operation, max(options.operations // 10, 100)))
        for setting in settings:
            for client in accelerated:
                figure = bench.times(client, "sign", options.operations, bench.device(*setting))
                figures.setdefault((client, *setting), []).append(figure)
                print(f"round {number + 1}: {client}, {setting}: {figure}", file=sys.stderr, flush=True)
    expected = 2 * options.rounds * len(settings) * (options.operations + WARM_UP)
    hardware, software = bench.in_hardware()
    print(f"warpdrive: {hardware} of {expected} signatures by hardware, software {software or 'none'}")
    answered = hardware == expected
    medians = {key: None if None in values else statistics.median(values) for key, values in figures.items()}

    print(f"\n| {options.operations} operations, {options.rounds} interleaved runs | CPU us/operation, median | all |\n|---|---|---|")
    for key, values in figures.items():
        name = ", ".join(str(part) for part in key if part) + (", no latency" if len(key) == 3 and not key[2] else "")
        if medians[key] is None:
            print(f"| {name} | no answer within {TIME_LIMIT_SECONDS} s | |")
        else:
            line(name, values, medians[key])

    print("\n| Instructions per operation | |\n|---|---|")
    poll = bench.device("poll", None)
    counts = {client: bench.instructions(client, "sign", 20 if client == "stock" else 300, () if client == "stock" else poll) for client in accelerated[:3] + ["stock"]}
    counts["public operation, stock"] = bench.instructions("stock", "public", 100)
    for name, count in counts.items():
        print(f"| {name} | {count:.0f} |")
    many = 1000
    load = [options.load, "--threads", "1", "--operations", str(many), "--rsa-only"]
    print(f"| submit and complete: warpdrive's rsa_private | {bench.inside('warpdrive', load, 'rsa_private', poll) / many:.0f} |")
    if options.uadk:
        sign = [bench.here / "pkey_times", "sign", bench.here / "key.pem", str(many - WARM_UP)]
        print(f"| submit and complete: UADK's wd_do_rsa_sync | {bench.inside('UADK', sign, 'wd_do_rsa_sync', poll) / many:.0f} |")

    print()
    missed = 0 if answered else 1
    bounds = []
    for doorbell, latency in settings:
        ours = [("with the check", medians["warpdrive", doorbell, latency]), ("without", medians[UNVERIFIED, doorbell, latency])]
        where = f"{doorbell}, {latency or 'no latency'}"
        # A trap is the simulator's, and costs more than all else: told, not bounded.
        bounded = doorbell == "poll"
        for checked, figure in ours:
            for client in accelerated[2:]:
                theirs = medians[client, doorbell, latency]
                if theirs is not None:
                    # UADK checks nothing. Where the device has no latency the check alone takes longer than all of its operation.
                    equal = latency or checked == "without"
                    bound = (0.5 if latency else 1.0) if bounded and client == "UADK" and equal else None
                    bounds.append((f"beside {client}, {where}, {checked}", figure / theirs, bound))
            bound = (1 / 6 if checked == "with the check" else 1 / 10) if bounded else None
            bounds.append((f"beside software, {where}, {checked}", figure / medians["stock", "sign"], bound))
    for name, ratio, bound in bounds:
        verdict = "" if bound is None else "met" if ratio <= bound else "MISSED"
        missed += verdict == "MISSED"
        print(f"{name}: {ratio:.3f}" + (f", bound {bound:.3f}: {verdict}" if verdict else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
