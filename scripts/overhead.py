#!/usr/bin/env python3
"""Every kind of key with our configuration and no device, beside stock OpenSSL. See scripts/bench-no-device."""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

BOUND = 1.01
# By the names of `openssl speed`: operation, how to make a key, operations to count instructions of.
KINDS = {}
for bits, count in ((1024, 40), (2048, 20), (3072, 10), (4096, 8)):
    KINDS[f"rsa{bits}"] = ("sign", ["RSA", f"rsa_keygen_bits:{bits}"], count)
CURVES = {"p224": "P-224", "p256": "P-256", "p384": "P-384", "p521": "P-521"}
BRAINPOOL = {"brp256r1": "brainpoolP256r1", "brp384r1": "brainpoolP384r1", "brp512r1": "brainpoolP512r1"}
for operation, speed in (("sign", "ecdsa"), ("derive", "ecdh")):
    for short, curve in (CURVES | BRAINPOOL).items():
        KINDS[speed + short] = (operation, ["EC", f"ec_paramgen_curve:{curve}"], 200 if short == "p256" else 20)
KINDS["ecdhx25519"] = ("derive", ["X25519", None], 100)
KINDS["ecdhx448"] = ("derive", ["X448", None], 30)
for bits, count in ((2048, 20), (3072, 10), (4096, 8)):
    KINDS[f"ffdh{bits}"] = ("derive", ["DH", f"group:ffdhe{bits}"], count)
KINDS["sm2"] = ("sign", ["SM2", None], 20)


class Overhead:
    def __init__(self, options):
        self.here = options.folder.resolve()
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("OPENSSL_", "WARPDRIVE_"))}
        self.dist = options.dist
        self.stats = self.here / "counters"
        self.sides = {
            "stock": plain,
            "ours": dict(plain, OPENSSL_CONF=str(options.dist / "etc/openssl.cnf"), OPENSSL_MODULES=str(options.dist / "lib/ossl-modules")),
        }

    def keys(self, kind):
        _, (algorithm, option), _ = KINDS[kind]
        made = []
        for side in ("own", "peer"):
            made.append(self.here / f"{kind}-{side}.pem")
            command = ["openssl", "genpkey", "-algorithm", algorithm, "-out", made[-1]] + (["-pkeyopt", option] if option else [])
            subprocess.run(command, env=self.sides["stock"], check=True, stderr=subprocess.DEVNULL)
        return made

    def count(self, side, kind, operation, keys, count):
        # Its peer has a public key only, as in a handshake; a whole key will do.
        program = [self.here / "pkey_times", operation, keys[0], str(count)] + ([keys[1]] if operation == "derive" else [])
        grind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *program]
        done = subprocess.run(grind, env=self.sides[side], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        return int(re.search(r"Collected : (\d+)", done.stderr)[1])

    def instructions(self, side, kind, operation, keys):
        # A verification with RSA is a small part of a signature.
        count = KINDS[kind][2] * (10 if operation == "verify" and kind.startswith("rsa") else 1)
        return (self.count(side, kind, operation, keys, 2 * count) - self.count(side, kind, operation, keys, count)) / count

    def times(self, kind, operation, keys, rounds):
        """The least processor time of a run on each side: what disturbs a run only ever adds to it."""
        count = KINDS[kind][2] * (100 if operation == "verify" and kind.startswith("rsa") else 10)
        program = [self.here / "pkey_times", operation, keys[0], str(count)] + ([keys[1]] if operation == "derive" else [])
        least = dict.fromkeys(self.sides, float("inf"))
        for number in range(rounds):
            for side in sorted(self.sides, reverse=number % 2 == 1):
                done = subprocess.run(program, env=self.sides[side], stdout=subprocess.PIPE, check=True)
                least[side] = min(least[side], float(done.stdout) / count)
        return least

    def is_ours(self, kind, keys):
        """Whether our provider serves this kind: one run, and its counters."""
        operation = KINDS[kind][0]
        environment = dict(self.sides["ours"], WARPDRIVE_STATS_DIR=str(self.stats))
        self.stats.mkdir(exist_ok=True)
        for old in self.stats.iterdir():
            old.unlink()
        program = [self.here / "pkey_times", operation, keys[0], "5"] + ([keys[1]] if operation == "derive" else [])
        subprocess.run(program, env=environment, stdout=subprocess.DEVNULL, check=True)
        stats = subprocess.run(
            [self.dist / "bin/warpdrive", "stats", "--dir", self.stats, "--format", "json"], stdout=subprocess.PIPE, check=True
        ).stdout
        return sum(sum(row["software"].values()) for row in json.loads(stats)["algorithms"].values()) >= 5

    def speed(self, side, kind, elapsed):
        """Operations per second, one number per kind of operation."""
        command = ["openssl", "speed", "-seconds", "1"] + (["-elapsed"] if elapsed else []) + [kind]
        text = subprocess.run(command, env=self.sides[side], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
        last = text.strip().splitlines()[-1]
        return [float(word) for word in last.split() if re.fullmatch(r"\d+\.\d+", word)]


def compared(stock, ours):
    """Ratios of rates: of the medians, of the best runs (what disturbs a run only slows it), and what the machine makes of nothing:
    the best of stock's even runs beside the best of its odd ones."""
    ratio = f"{statistics.median(ours) / statistics.median(stock):.3f}, {max(ours) / max(stock):.3f}"
    return f"{ratio} | {max(stock[::2]) / max(stock[1::2] or stock):.3f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dist", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--elapsed", action="store_true")
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--no-instructions", action="store_true")
    parser.add_argument("kinds", nargs="*")
    options = parser.parse_args()
    kinds = options.kinds or list(KINDS)
    overhead = Overhead(options)
    speeds = {kind: {side: [] for side in overhead.sides} for kind in kinds}
    if not options.no_speed:
        for number in range(options.rounds):
            for kind in kinds:
                for side in sorted(overhead.sides, reverse=number % 2 == 1):
                    speeds[kind][side].append(overhead.speed(side, kind, options.elapsed))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(f"| kind | instructions, stock | ours | ratio | CPU us, least of {options.times}: stock, ours | ratio | "
          f"`openssl speed`, ours to stock: medians of {options.rounds}, best | two halves of stock's own runs |\n|---|---|---|---|---|---|---|---|")
    bad = []
    for kind in kinds:
        keys = overhead.keys(kind)
        if not overhead.is_ours(kind, keys):
            bad.append(f"{kind} is not served by warpdrive")
        rates = {side: list(zip(*runs)) for side, runs in speeds[kind].items()}
        operations = ("sign", "verify") if KINDS[kind][0] == "sign" else ("derive",)
        for place, operation in enumerate(operations):
            sides = ("stock", "ours")
            stock, ours = (0 if options.no_instructions else overhead.instructions(side, kind, operation, keys) for side in sides)
            ratio = ours / stock if stock else 0
            # Each run verifies a signature of its own, and on a curve the work depends on it by some per cent.
            if ratio > BOUND and not (operation == "verify" and not kind.startswith("rsa")):
                bad.append(f"{kind} {operation} needs {ratio:.4f} times the instructions")
            least = overhead.times(kind, operation, keys, options.times) if options.times else {"ours": 0, "stock": 1}
            told = "- | -" if options.no_speed else compared(rates["stock"][place], rates["ours"][place])
            print(f"| {kind} {operation} | {stock:.0f} | {ours:.0f} | {ratio:.4f} | {least['stock']:.1f}, {least['ours']:.1f} | {least['ours'] / least['stock']:.3f} | {told} |", flush=True)
    for complaint in bad:
        print(f"NOT FREE: {complaint}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
