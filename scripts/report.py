#!/usr/bin/env python3
"""Judges what scripts/main-job left and prints one table. Usage: report.py MATERIAL SIMULATED NO_DEVICE

Exit status 0: every operation succeeded, every output passed stock tools, and every counter is what it must be.
"""
import json
import pathlib
import subprocess
import sys

DESIGN = {"small", "tail", "unsupported", "policy", "refused"}
OPERATIONS = {
    "sign": ("openssl signs, verifies", "rsa-2048-private"),
    "tls": ("TLS 1.3 handshake", "rsa-2048-private"),
    "gzip": ("python3 gzip", "deflate"),
}


def stock_tools_agree(operation, material, out):
    """Whether stock programs, with none of our files in their environment, accept what the operation left."""
    if operation == "sign":
        verify = ["openssl", "dgst", "-sha256", "-verify", material / "public.pem"]
        verify += ["-signature", out / "signature", material / "message"]
        return subprocess.run(verify, stdout=subprocess.DEVNULL).returncode == 0
    if operation == "gzip":
        unpack = subprocess.Popen(["gzip", "-dc", out / "data.gz"], stdout=subprocess.PIPE)
        same = subprocess.run(["cmp", "-", material / "data"], stdin=unpack.stdout).returncode == 0
        return unpack.wait() == 0 and same
    return True  # the handshake's other end has verified certificate and signature


def faults(operation, row, others, size, simulated):
    """What is wrong with the counters of one operation, as sentences. `others`: hardware counts of other algorithms."""
    hardware, software = row["hardware"], row["software"]
    failures = {reason: count for reason, count in software.items() if reason not in DESIGN and count}
    if not simulated:
        if hardware:
            yield f"hardware answered {hardware} requests, but there is no device"
        if set(software) != {"no-device"}:
            yield f"the reason should be no-device, and is {software or 'missing'}"
        return
    if failures:
        yield f"failure reasons: {failures}"
    if operation == "gzip":
        share = row["hardware_bytes"] / size
        if share < 0.95:
            yield f"only {share:.1%} of {size} bytes went to hardware"
    elif hardware != 1 or software:
        yield f"one private operation, but hardware {hardware}, software {software}"
    if others:
        yield f"unexpected hardware work: {others}"


def main():
    material, simulated, no_device = map(pathlib.Path, sys.argv[1:4])
    size = (material / "data").stat().st_size
    table = [("operation", "devices", "hardware", "software", "wall s", "client CPU s", "verdict")]
    complaints = []
    for out, devices in (simulated, "simulated"), (no_device, "none"):
        for operation, (title, algorithm) in OPERATIONS.items():
            (wall, user, system), (status,) = (
                line.split() for line in (out / f"{operation}.time").read_text().splitlines()
            )
            counters = json.loads((out / f"{operation}.json").read_text())["algorithms"]
            row = {"hardware": 0, "software": {}, "hardware_bytes": 0} | counters.get(algorithm, {})
            row["software"] = {reason: count for reason, count in row["software"].items() if count}
            others = {name: other["hardware"] for name, other in counters.items() if name != algorithm and other["hardware"]}
            wrong = list(faults(operation, row, others, size, out == simulated))
            if status != "0":
                wrong.insert(0, f"exit status {status}: " + (out / f"{operation}.log").read_text().strip())
            elif not stock_tools_agree(operation, material, out):
                wrong.insert(0, "stock tools reject the output")
            complaints += [f"{title}, devices {devices}: {complaint}" for complaint in wrong]
            hardware = str(row["hardware"])
            if operation == "gzip":
                hardware += f" ({row['hardware_bytes'] / size:.1%} of bytes)"
            software = ", ".join(f"{count} {reason}" for reason, count in row["software"].items()) or "0"
            cpu = f"{float(user) + float(system):.3f}"
            table.append((title, devices, hardware, software, wall, cpu, "wrong" if wrong else "right"))
    widths = [max(map(len, column)) for column in zip(*table)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    print(f"gzip input: {size} bytes. Simulated devices compute in software: their times say nothing about hardware.")
    for complaint in complaints:
        print("WRONG:", complaint)
    sys.exit(bool(complaints))


main()
