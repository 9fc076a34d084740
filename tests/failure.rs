//! When things go wrong under load: the daemon dies, a client dies, there are not enough queues, addresses are bad. No
//! caller ever sees more of it than a result that software made.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Devices, Scratch, Simulator, run, stock, succeed};

/// A load program at work, and the lines in which it tells its rounds.
struct Load {
    child: Child,
    rounds: Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let rounds = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, rounds }
    }

    /// Waits until `count` more rounds are done.
    fn rounds(&mut self, count: usize) {
        let done = self.rounds.by_ref().take(count).filter(Result::is_ok).count();
        assert!(done == count, "the load ended early: {}", self.said());
    }

    fn said(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Waits for its end, which must be a good one.
    fn finish(mut self) {
        self.rounds.by_ref().for_each(drop);
        let said = self.said();
        let status = self.child.wait().unwrap();
        assert!(status.success() && said.is_empty(), "{status}: {said}");
    }
}

/// A library that sleeps in `poll()` has cancellation points where zlib and libcrypto have none.
#[test]
fn a_cancelled_thread_ends_alone() {
    let simulator = Simulator::start(&["--latency", "2ms"]);
    let scratch = Scratch::new("cancelled");
    let key = scratch.key(2048);
    let program = scratch.compile("cancelled", &["-lcrypto", "-lz"]);
    let mut client = scratch.client(program, Devices::Simulated(&simulator));
    let done = run(client.arg(key).arg("20"));
    let said = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert!(done.status.success() && said == ("20\n".into(), String::new()), "{} {said:?}", done.status);
    for algorithm in ["rsa-2048-private", "deflate"] {
        assert!(scratch.row(algorithm).hardware >= 20, "no {algorithm} was in hardware");
    }
}

#[test]
fn killed_daemon_is_nobodys_trouble() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("killed-daemon");
    let key = scratch.key(2048);
    let program = scratch.compile("load", &["-lcrypto", "-lz"]);
    let mut load =
        Load::start(scratch.client(program, Devices::Simulated(&simulator)).arg(key).args(["4", "30"]));
    load.rounds(20);
    for algorithm in ["rsa-2048-private", "deflate"] {
        assert!(scratch.row(algorithm).hardware > 0, "no {algorithm} was in hardware before");
    }
    simulator.kill_daemon();
    load.finish();
    for algorithm in ["rsa-2048-private", "deflate"] {
        let row = scratch.row(algorithm);
        assert!(row.software.values().sum::<u64>() > 0, "no {algorithm} was in software afterwards: {row:?}");
        assert!(!row.software.contains_key("wrong-result"), "{row:?}");
    }
}

#[test]
fn killed_client_gives_its_queues_back() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("killed-client");
    let key = scratch.key(2048);
    let mut command = stock(scratch.compile("load", &["-lcrypto", "-lz"]));
    scratch.accelerate(&mut command, Devices::Simulated(&simulator));
    let free = || ["hisi_hpre", "hisi_zip"].map(|driver| simulator.free_queues(driver));
    let before = free();
    let mut load = Load::start(command.arg(key).args(["4", "100000"]));
    load.rounds(10);
    let meanwhile = free();
    assert!(meanwhile[0] < before[0] && meanwhile[1] < before[1], "{before:?} {meanwhile:?}");
    load.child.kill().unwrap();
    load.child.wait().unwrap();
    let killed = Instant::now();
    while free() != before {
        assert!(killed.elapsed() < Duration::from_secs(30), "{before:?}, but {:?}", free());
        std::thread::yield_now();
    }
}

#[test]
fn more_processes_than_queues_all_get_right_results() {
    let simulator = Simulator::start(&["--queues", "2"]);
    let scratch = Scratch::new("few-queues");
    let key = scratch.key(2048);
    let program = scratch.compile("load", &["-lcrypto", "-lz"]);
    let start =
        |_| Load::start(scratch.client(&program, Devices::Simulated(&simulator)).arg(&key).args(["2", "20"]));
    let loads: Vec<Load> = (0..5).map(start).collect();
    loads.into_iter().for_each(Load::finish);
    for algorithm in ["rsa-2048-private", "deflate"] {
        let row = scratch.row(algorithm);
        assert!(row.hardware > 0, "{row:?}");
        let other =
            row.software.keys().find(|reason| *reason != "busy" && *reason != "tail" && *reason != "small");
        assert_eq!(other, None, "{row:?}");
    }
}

/// What an IOMMU fault would do: an error status in the descriptor. Neither client nor daemon comes to harm.
#[test]
fn bad_pointers_are_error_statuses() {
    for version in ["v2", "v3"] {
        let simulator = Simulator::start(&["--hw", version]);
        let scratch = Scratch::new(&format!("bad-pointers-{version}"));
        let program = scratch.compile("bad_pointers", &[]);
        let mut command = stock("timeout");
        command.args(["--signal=KILL", "60"]).arg(program);
        for driver in ["hisi_zip", "hisi_hpre"] {
            command.arg(format!("/dev/{}", simulator.device(driver)));
        }
        let output = run(simulator.enter(&mut command));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{}\n{said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(said.matches("right: ").count(), 43, "{said}");
        // The same daemon goes on serving others.
        scratch.key(2048);
        let mut sign = scratch.client("openssl", Devices::Simulated(&simulator));
        sign.args(["dgst", "-sha256", "-out", "/dev/null", "-sign"]);
        succeed(sign.arg(scratch.file("key.pem")).arg(scratch.file("warpdrive.toml")));
        assert_eq!(scratch.row("rsa-2048-private").hardware, 1, "{:?}", scratch.counters());
    }
}
