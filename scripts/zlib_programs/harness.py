"""Cases: one program, in one form of the library, on one kind of devices; and what is asked of each.

A job is a function of a case. It runs the program under test with `case.run`, everything else with `case.stock`, and raises
`Wrong` when a stock program does not agree with what came out. The counters are judged after it.
"""

import contextlib
import dataclasses
import filecmp
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

DIST = pathlib.Path(os.environ["WARPDRIVE_DIST"])
# Where Debian packages are unpacked that are not installed.
UNPACKED = pathlib.Path(os.environ["WARPDRIVE_UNPACKED"])
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROOT = os.geteuid() == 0
# Whom servers become that do not work for root.
NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"] if ROOT else []
# Nothing here takes a minute; this only ends what hangs.
LIMIT_SECONDS = 300

FORMS = ("preloaded", "drop-in")
DEVICES = ("none", "simulated", "faults")

# What is expected of a row of counters.
MOVED = "moved"  # to hardware, in part at least
SOFTWARE = "software"  # by design, all of it
EITHER = "either"  # depends on what the program makes of the input
ABSENT = "absent"  # not called, or not counted (inflateBack)

DESIGN = {"small", "tail", "unsupported", "policy", "refused"}

CONFIGURATION = {
    # Devices in software on a machine with other work: an answer may take its time, and is none the worse for it.
    "healthy": '[policy]\ndefault = "hardware"\n[wait]\ndeadline-ms = 60000\n',
    # A device that fails is tried again at once, so that a short job meets more than one fault.
    "faults": '[policy]\ndefault = "hardware"\n[wait]\ndeadline-ms = 100\n[health]\npause-min-ms = 1\npause-max-ms = 2\n'
    'known-answers = 1\n[deflate]\nverify = "full"\n',
}
CONFIGURATION["none"] = CONFIGURATION["simulated"] = CONFIGURATION["healthy"]
# The first request of either kind fails, so that each job that uses a device meets one.
FAULTS = [
    "status,device=zip,class=0,times=1",
    "bytes,device=zip,class=1,times=1",
    "bytes,device=zip,after=1,every=3",
    "short,device=zip,after=2,every=5",
    "lost,device=zip,after=20,times=1",
    "reset=20ms,device=zip,after=30,every=10,times=2",
]
# A word of these in what a program says is a surprise of ours.
OURS = ["warpdrive", "version information", "symbol lookup", "LD_PRELOAD", "panicked"]


class Wrong(Exception):
    """What a case did that it must not."""


class Skip(Exception):
    """Why a program cannot be had here."""


@dataclasses.dataclass
class Job:
    name: str
    work: object
    deflate: object
    inflate: object
    # What is added to the configuration.
    configuration: str = ""
    # Whether it can bear devices that fail.
    faults: bool = True

    def expectation(self, row, form):
        expected = getattr(self, row)
        return expected[form] if isinstance(expected, dict) else expected

    def devices(self, form):
        """The kinds of devices that say something: where nothing goes to a device by design, its faults do not."""
        moves = MOVED in (self.expectation("deflate", form), self.expectation("inflate", form))
        return [kind for kind in DEVICES if kind != "faults" or moves and self.faults]


JOBS = []


def job(name, deflate=ABSENT, inflate=ABSENT, configuration="", faults=True):
    """Registers a job. An expectation is one word, or one for each form."""

    def register(work):
        JOBS.append(Job(name, work, deflate, inflate, configuration, faults))
        return work

    return register


def stock_environment(home):
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": str(home), "TZ": "UTC"}


def find(program, *packages):
    """A program of one of those packages: as we unpacked it, else the system's. Its name may be a pattern."""
    folders = [UNPACKED / "usr/sbin", UNPACKED / "usr/bin", *map(pathlib.Path, PATH.split(":"))]
    found = next((str(place) for folder in folders for place in sorted(folder.glob(program))), None)
    if found is None:
        raise Skip(f"no {program} here, and package {' or '.join(packages or [program])} could not be had")
    return found


def needs_libz(program):
    """The same path, if what it names loads the system's libz."""
    linked = subprocess.run(["ldd", os.path.realpath(program)], capture_output=True, text=True).stdout
    if "libz.so.1" not in linked:
        raise Skip(f"{program} brings its own zlib")
    return program


class Daemon:
    """Simulated devices."""

    def __init__(self, folder, faults):
        self.root = folder / "sim"
        command = [DIST / "bin/uacce-sim", "serve", "--root", self.root, "--device", "zip:2", "--hw", "v3", "--allow-other"]
        for fault in faults:
            command += ["--fault", fault]
        log = open(folder / "sim.log", "wb")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise Wrong("the simulator did not start: " + (folder / "sim.log").read_text())

    def state(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.root / "watch"))
            connection.sendall(b"state\n")
            return json.loads(connection.makefile().read())

    def held(self):
        """Queues open although all clients have ended. The daemon hears of a client's end a moment after us."""
        give_up = time.monotonic() + 30
        while True:
            held = [queue for device in self.state()["devices"] for queue in device["open"]]
            if not held or time.monotonic() > give_up:
                return held
            os.sched_yield()

    def stop(self):
        self.process.terminate()
        if self.process.wait(LIMIT_SECONDS) != 0:
            raise Wrong("the simulator did not end well")


class Case:
    """One run of a job."""

    def __init__(self, job, form, devices, shared):
        self.job, self.form, self.devices = job, form, devices
        self.shared_folder = shared
        # Short, for sockets, and open to the users whom servers become.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wzp-"))
        self.folder.chmod(0o777)
        self.counters = self.folder / "counters"
        self.counters.mkdir()
        self.counters.chmod(0o1777)
        (self.folder / "warpdrive.toml").write_text(CONFIGURATION[devices] + job.configuration)
        self.daemon = None

    def environment(self):
        """Of a program under test."""
        preload = [str(DIST / "lib/libwarpdrive_z.so")] if self.form == "preloaded" else []
        environment = stock_environment(self.folder)
        environment |= {"WARPDRIVE_CONF": f"{self.folder}/warpdrive.toml", "WARPDRIVE_STATS_DIR": str(self.counters)}
        if self.form == "drop-in":
            environment["LD_LIBRARY_PATH"] = str(DIST / "lib")
        if self.daemon:
            environment["UACCE_SIM_ROOT"] = str(self.daemon.root)
            preload.append(str(DIST / "lib/libuacce_sim_preload.so"))
        if preload:
            environment["LD_PRELOAD"] = ":".join(preload)
        return environment

    def file(self, name):
        return self.folder / name

    def shared(self, name, make):
        """What stock programs make once for all cases: `make` gets the path to make."""
        path = self.shared_folder / name
        if not path.exists():
            unfinished = self.shared_folder / (name + ".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(path)
        return path

    def run(self, *command, **options):
        """Runs the program under test to a good end, and gives its output."""
        done = execute(command, self.environment() | options.pop("env", {}), self.folder, **options)
        self.look_at(done.stderr, command[0])
        return done.stdout

    def stock(self, *command, **options):
        """Runs a program with nothing of ours to a good end, and gives its output."""
        return execute(command, stock_environment(self.folder) | options.pop("env", {}), self.folder, **options).stdout

    def look_at(self, said, program):
        text = said.decode(errors="replace")
        for word in OURS:
            if word in text:
                raise Wrong(f"{program} said: {text.strip()}")

    def stock_python(self, program, *arguments, **options):
        return self.stock("/usr/bin/python3", "-c", program, *arguments, **options)

    @contextlib.contextmanager
    def server(self, command, ready, stop=signal.SIGTERM, under_test=True):
        """A server in the foreground, from the line on standard error that says that it serves."""
        environment = self.environment() if under_test else stock_environment(self.folder)
        server = Server([str(part) for part in command], environment, self.folder, ready)
        try:
            yield server
            server.stop(stop)
        finally:
            server.kill()
        if under_test:
            self.look_at(server.said(), command[0])

    def judge(self):
        """Looks at the counters. Gives the sum of both rows, and the share of hardware in each, for the report."""
        command = [DIST / "bin/warpdrive", "stats", "--dir", self.counters, "--format", "json"]
        done = execute(command, stock_environment(self.folder), self.folder)
        if done.stderr:
            raise Wrong(f"counters: {done.stderr.decode()}")
        rows = json.loads(done.stdout)["algorithms"]
        empty = {"hardware": 0, "software": {}, "hardware_bytes": 0, "software_bytes": 0}
        rows = {name: empty | rows.get(name, {}) for name in ("deflate", "inflate")}
        complaints = [complaint for name, row in rows.items() for complaint in self.complaints(name, row)]
        if complaints:
            raise Wrong("; ".join(complaints))
        return rows

    def complaints(self, name, row):
        expected = self.job.expectation(name, self.form)
        hardware, reasons = row["hardware"], {reason for reason, count in row["software"].items() if count}
        called = hardware or reasons
        if expected in (MOVED, SOFTWARE) and not called:
            yield f"{name} was not reached"
        if expected == ABSENT and called:
            yield f"{name} was not expected: {row}"
        if self.devices == "none":
            if hardware or reasons - DESIGN - {"no-device"} or reasons and "no-device" not in reasons:
                yield f"{name} without a device: {row}"
        elif self.devices == "simulated":
            if reasons - DESIGN:
                yield f"{name} on healthy devices: {row}"
            if expected == MOVED and not hardware:
                yield f"{name} used no hardware: {row}"
            if expected == SOFTWARE and hardware:
                yield f"{name} used hardware: {row}"
        elif expected == MOVED and not reasons - DESIGN:
            yield f"{name} met no fault: {row}"

    def __enter__(self):
        if self.devices != "none":
            self.daemon = Daemon(self.folder, FAULTS if self.devices == "faults" else [])
        return self

    def __exit__(self, kind, *_):
        try:
            if self.daemon:
                held = self.daemon.held() if kind is None else []
                self.daemon.stop()
                if held:
                    raise Wrong(f"queues still open: {held}")
        finally:
            if self.daemon and self.daemon.process.poll() is None:
                self.daemon.process.kill()
            shutil.rmtree(self.folder, ignore_errors=True)


class Server:
    def __init__(self, command, environment, folder, ready):
        self.lines, self.condition, self.ended = [], threading.Condition(), False
        self.process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
        )
        threading.Thread(target=self.listen, daemon=True).start()
        with self.condition:
            there = lambda: self.ended or any(ready in line for line in self.lines)
            self.condition.wait_for(there, LIMIT_SECONDS)
            if self.ended or not there():
                self.kill()
                raise Wrong(f"{command[0]} does not serve: " + self.said().decode(errors="replace"))

    def listen(self):
        for line in self.process.stderr:
            with self.condition:
                self.lines.append(line)
                self.condition.notify_all()
        with self.condition:
            self.ended = True
            self.condition.notify_all()

    def said(self):
        return b"".join(self.lines)

    def stop(self, number):
        self.process.send_signal(number)
        status = self.process.wait(LIMIT_SECONDS)
        if status != 0:
            raise Wrong(f"{self.process.args[0]} ended with {status}: {self.said().decode(errors='replace')}")
        # The last of its processes closes the pipe.
        with self.condition:
            self.condition.wait_for(lambda: self.ended, LIMIT_SECONDS)

    def kill(self):
        """What is left of it after a failure, its workers included."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def execute(command, environment, folder, input=None, output=None, cwd=None):
    """Runs to the end, which must be a good one. `output`: a file for standard output."""
    command = [str(part) for part in command]
    with open(output, "wb") if output else contextlib.nullcontext(subprocess.PIPE) as target:
        process = subprocess.Popen(
            command, env=environment, cwd=cwd or folder, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=target, stderr=subprocess.PIPE, start_new_session=True,
        )
        try:
            said, complained = process.communicate(input, LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise Wrong(f"{' '.join(command)} hangs") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        text = complained.decode(errors="replace").strip()
        raise Wrong(f"{' '.join(command)[:300]}: status {process.returncode}: {text[-600:]}")
    return subprocess.CompletedProcess(command, 0, said, complained)


def same(left, right):
    """Two files, or bytes, or folders, with the same content."""
    if isinstance(left, bytes) or isinstance(right, bytes):
        read = lambda side: side if isinstance(side, bytes) else side.read_bytes()
        equal = read(left) == read(right)
    elif left.is_dir():
        done = subprocess.run(["diff", "--recursive", "--brief", left, right], capture_output=True, text=True)
        if done.returncode:
            raise Wrong(done.stdout + done.stderr)
        return
    else:
        equal = filecmp.cmp(left, right, shallow=False)
    if not equal:
        names = [f"{len(side)} bytes" if isinstance(side, bytes) else str(side) for side in (left, right)]
        raise Wrong(f"{names[0]} and {names[1]} differ")


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
