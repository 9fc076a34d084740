"""The load of scripts/soak, and its judge. Arguments: working directory, minutes."""

import collections
import glob
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PROCESSES = 8
THREADS = 4
QUEUES = 64
# How much the daemon's memory may grow from the second tenth of the time to the last one: medians of a look each second, for it
# follows the queues that happen to be open. What stays without a client may not either, from the largest of earlier such moments.
GROWTH = 1.05
# Moments without a client, in parts of the time; and the end.
RESTS = [0.2, 0.4, 0.6, 0.8]
# Software answers everything as well: what devices must have done for the processes of each kind, by warpdrive's own counters.
MUST_MOVE = {"openssl": ["rsa-2048-private", "deflate"], "python": ["deflate", "inflate"]}
# It frees its buffers while the device still writes into them (docs/simulator.md, "Clients seen working").
OWN_CRASH = re.compile(r"uadk (aes|sm3).* async")
# Reasons for software that no device without faults gives.
MUST_NOT_BE = ["no-device", "reset", "device-error", "wrong-result"]
# Seconds in which some request must be answered: with eight clients running there always is one.
LONGEST_SILENCE = 30

COMPRESS = """
import sys, threading, zlib
def work(seed):
    for round in range(int(sys.argv[1])):
        text = b''.join(b'%d of %d; ' % (at * seed, round) for at in range(100000))
        packed = zlib.compress(text, 6)
        if zlib.decompress(packed) != text:
            print('wrong', flush=True)
            sys.exit(1)
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""

UADK = [
    ["--alg", "ecdsa-256", "--opt", "4"],
    ["--alg", "x25519", "--opt", "0"],
    ["--alg", "sm2", "--opt", "4"],
    ["--alg", "rsa-2048-crt", "--opt", "4"],
    ["--alg", "aes-256-gcm", "--opt", "0", "--pktlen", "1024"],
    ["--alg", "aes-128-cbc", "--opt", "0", "--pktlen", "4096"],
    ["--alg", "sm3", "--opt", "0", "--pktlen", "1024"],
]


class Daemon:
    """One uacce-sim, and what it says of itself."""

    def __init__(self, program, preload, options):
        self.root = tempfile.mkdtemp(prefix="soak-")
        self.preload = preload
        command = [program, "serve", "--root", self.root, *options, "--log", self.root + "/log"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit("soak: the daemon did not start")

    def state(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.root + "/watch")
            connection.sendall(b"state\n")
            return json.loads(connection.makefile().read())

    def free(self):
        files = sorted(glob.glob(self.root + "/sys/class/uacce/*/available_instances"))
        return {name.split("/")[-2]: int(open(name).read()) for name in files}

    def at_rest(self):
        """Its memory once every queue is given back, or after half a minute."""
        give_up = time.monotonic() + 30
        while set(self.free().values()) != {QUEUES} and time.monotonic() < give_up:
            time.sleep(0.05)
        # A queue is free before the thread that served it has given its memory back.
        seen = []
        for _ in range(20):
            seen.append(self.state()["resident"])
            time.sleep(0.1)
        return min(seen)

    def environment(self, *preloads, **more):
        libraries = ":".join([*preloads, self.preload])
        return {**os.environ, "UACCE_SIM_ROOT": self.root, "LD_PRELOAD": libraries, **more}


def answered(state):
    return sum(device["completed"] for device in state["devices"])


class Load:
    """Starts processes of all kinds."""

    def __init__(self, here, daemon, dist, uadk, dice):
        self.here, self.daemon, self.dist, self.uadk, self.dice = here, daemon, dist, uadk, dice
        self.policy = here + "/warpdrive.toml"
        with open(self.policy, "w") as file:
            file.write(f'[policy]\ndefault = "hardware"\n\n[log]\nfile = "{here}/warpdrive.log"\n')

    def start(self, slot):
        if slot < 2 and self.uadk:
            return self.with_uadk()
        if slot % 2 == 0:
            return self.with_openssl()
        return self.with_python()

    def with_openssl(self, rounds=None):
        environment = self.daemon.environment(
            self.dist + "/lib/libwarpdrive_z.so",
            OPENSSL_CONF=self.dist + "/etc/openssl.cnf",
            OPENSSL_MODULES=self.dist + "/lib/ossl-modules",
            WARPDRIVE_CONF=self.policy,
            WARPDRIVE_STATS_DIR=self.counters("openssl"),
        )
        rounds = str(rounds or self.dice.randint(5, 100))
        return "openssl", self.popen([self.here + "/load", self.here + "/key.pem", str(THREADS), rounds], environment)

    def with_python(self, rounds=None):
        environment = self.daemon.environment(
            self.dist + "/lib/libwarpdrive_z.so",
            WARPDRIVE_CONF=self.policy,
            WARPDRIVE_STATS_DIR=self.counters("python"),
        )
        rounds = str(rounds or self.dice.randint(2, 20))
        return "python", self.popen(["/usr/bin/python3", "-c", COMPRESS, rounds], environment)

    def counters(self, kind):
        """Where the processes of a kind count; a killed one's counts stay."""
        directory = self.here + "/counters-" + kind
        os.makedirs(directory, exist_ok=True)
        return directory

    def counts(self, kind):
        """Of the processes of a kind: requests that devices answered, by algorithm, and that software did, by reason."""
        command = [self.dist + "/bin/warpdrive", "stats", "--dir", self.counters(kind), "--format", "json"]
        rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["algorithms"]
        reasons = collections.Counter()
        for row in rows.values():
            reasons.update(row["software"])
        return {name: row["hardware"] for name, row in rows.items()}, reasons

    def with_uadk(self):
        environment = self.daemon.environment(LD_LIBRARY_PATH=self.uadk + "/lib")
        what = self.dice.choice(UADK)
        how = self.dice.choice(["--sync", "--async"])
        seconds = str(self.dice.randint(2, 15))
        command = [self.uadk + "/bin/uadk_tool", "benchmark", *what, "--mode", "sva", how]
        command += ["--thread", str(THREADS), "--seconds", seconds, "--ctxnum", str(THREADS)]
        return f"uadk {what[1]} {how[2:]}", self.popen(command, environment)

    def popen(self, command, environment):
        log = open(self.here + "/output", "ab")
        # The benchmark leaves files where it runs.
        return subprocess.Popen(
            command, env=environment, cwd=self.here, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def main():
    here, minutes = sys.argv[1], float(sys.argv[2])
    dist = os.environ["WARPDRIVE_DIST"]
    seed = int(os.environ.get("SOAK_SEED", random.randrange(1 << 32)))
    dice = random.Random(seed)
    program = os.environ.get("UACCE_SIM", dist + "/bin/uacce-sim")
    preload = os.environ.get("UACCE_SIM_PRELOAD", dist + "/lib/libuacce_sim_preload.so")
    options = ["--device", "hpre,sec,zip:2", "--hw", "v3", "--queues", str(QUEUES)]
    daemon = Daemon(program, preload, options)
    load = Load(here, daemon, dist, os.environ.get("UADK"), dice)
    print(f"soak: {minutes:g} minutes, seed {seed}, uadk {'yes' if load.uadk else 'no'}", flush=True)

    begin = time.monotonic()
    end = begin + minutes * 60
    slots = {}
    killed, ended, crashes, failures, resident = {}, {}, {}, [], []
    report = begin
    looked, last, moved = begin, -1, begin
    rests = []
    while time.monotonic() < end:
        now = time.monotonic()
        for slot in range(PROCESSES):
            if slot not in slots:
                kind, process = load.start(slot)
                slots[slot] = kind, process, now + dice.uniform(1, 25)
            kind, process, until = slots[slot]
            status = process.poll()
            if status is None and now >= until:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed[kind] = killed.get(kind, 0) + 1
                del slots[slot]
            elif status is not None:
                ended[kind] = ended.get(kind, 0) + 1
                # The benchmark's own exits say nothing of answers; a crash does, but for one that is the tool's own.
                if status < 0 and OWN_CRASH.fullmatch(kind):
                    crashes[kind] = crashes.get(kind, 0) + 1
                elif status != 0 and not (kind.startswith("uadk") and status > 0):
                    failures.append(f"{kind} ended with {status}")
                del slots[slot]
        if daemon.process.poll() is not None:
            failures.append("the daemon ended")
            break
        if len(rests) < len(RESTS) and now >= begin + minutes * 60 * RESTS[len(rests)]:
            # Under load memory follows the number of open queues; what stays when all are closed may not grow.
            for kind, process, _ in slots.values():
                process.kill()
                process.wait()
                killed[kind] = killed.get(kind, 0) + 1
            slots.clear()
            rests.append(daemon.at_rest())
        if now >= looked + 1:
            state = daemon.state()
            looked, done = now, answered(state)
            resident.append(((now - begin) / 60 / minutes, state["resident"]))
            if done != last:
                last, moved = done, now
            if now > moved + LONGEST_SILENCE:
                failures.append(f"no request answered for {LONGEST_SILENCE} s")
                break
        if now >= report:
            state = daemon.state()
            done = answered(state)
            wrong = sum(device["failed"] for device in state["devices"])
            print(
                f"{(now - begin) / 60:5.1f} min  {done:>10} requests  {wrong:>6} errors  "
                f"{sum(len(device['open']) for device in state['devices']):>4} queues open  "
                f"memory {state['resident'] / 2**20:.1f} MiB  killed {sum(killed.values())}",
                flush=True,
            )
            report += min(60, minutes * 12)
        time.sleep(0.1)

    alive = daemon.process.poll() is None
    for kind, process, _ in slots.values():
        process.kill()
        process.wait()
        killed[kind] = killed.get(kind, 0) + 1
    if alive:
        late = daemon.at_rest()
        free = daemon.free()
        if set(free.values()) != {QUEUES}:
            failures.append(f"leaked queues: {free}")
        state = daemon.state()
        for device in state["devices"]:
            failure = device["last_failure"] or {"operation": "none", "what": ""}
            print(f"{device['device']}: {device['completed']} requests, {device['failed']} errors, the last: "
                  f"{failure['operation']} {failure['what']}")
            if device["completed"] == 0 and (load.uadk or "sec" not in device["device"]):
                failures.append(f"{device['device']} did nothing")
        # The same daemon still serves, and it is the devices that answer, not software.
        for kind, start in (("openssl", load.with_openssl), ("python", load.with_python)):
            before, _ = load.counts(kind)
            _, process = start(rounds=2)
            try:
                status = process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()
                status = "no end"
            if status != 0:
                failures.append(f"{kind} after the load ended with {status}")
            after, reasons = load.counts(kind)
            print(f"{kind}: hardware " + ", ".join(f"{count} {name}" for name, count in sorted(after.items())))
            print(f"{kind}: software " + ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())))
            for name in MUST_MOVE[kind]:
                if not 0 < before.get(name, 0) < after.get(name, 0):
                    failures.append(f"{kind}: hardware did {before.get(name, 0)} {name} under load, {after.get(name, 0)} in all")
            for reason in MUST_NOT_BE:
                if reason in reasons:
                    failures.append(f"{kind}: {reasons[reason]} times {reason}")
        second, last = (
            statistics.median(size for part, size in resident if low <= part <= low + 0.1) for low in (0.1, 0.9)
        )
        print(f"memory under load: {second / 2**20:.1f} MiB in the second tenth, {last / 2**20:.1f} MiB in the last")
        told = ", ".join(f"{size / 2**20:.1f}" for size in [*rests, late])
        print(f"memory without a client, five times, the last at the end: {told} MiB")
        # Shorter runs end before the allocator has seen everything.
        for what, growth in (("under load", last / second), ("without a client", late / max(rests, default=late))):
            print(f"memory {what}: {growth:.3f}")
            if minutes >= 10 and growth > GROWTH:
                failures.append(f"memory {what} grew by {growth:.3f}")
        daemon.process.terminate()
        if daemon.process.wait(30) != 0:
            failures.append("the daemon did not end well")
    if not killed or not ended:
        failures.append("nothing was killed, or everything")
    print("killed:", ", ".join(f"{count} {kind}" for kind, count in sorted(killed.items())))
    print("ended by themselves:", ", ".join(f"{count} {kind}" for kind, count in sorted(ended.items())))
    if crashes:
        print("crashes of the tool's own:", ", ".join(f"{count} {kind}" for kind, count in sorted(crashes.items())))
    for failure in failures:
        print("FAIL  " + failure)
    print("soak: failed" if failures else "soak: passed")
    sys.exit(bool(failures))


main()
