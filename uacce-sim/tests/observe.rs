//! What the daemon tells of its work: `top`, traces in files and live; and how long it lets requests take.

#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::*;
use uacce_sim::trace::print::Reader;
use uacce_sim::trace::record::{Kind, Record};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_uacce-sim"))
}

fn printed(arguments: &[&str], root: &Path) -> String {
    let output = program().args(arguments).arg("--root").arg(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn records(path: &Path) -> Vec<Record> {
    let mut reader = Reader::new(std::fs::File::open(path).unwrap()).unwrap();
    std::iter::from_fn(|| reader.next_record().unwrap()).collect()
}

#[test]
fn top_counts_what_was_done() {
    let daemon = Daemon::start(&[]);
    let rsa = ToyRsa::new(65);
    let mut closed = Started::new(&daemon, "hisi_hpre-0", 0);
    closed.run(&rsa.descriptor());
    drop(closed);
    daemon.wait_free("hisi_hpre-0", 64);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    for _ in 0..5 {
        queue.run(&rsa.descriptor());
    }
    let mut bad = rsa.descriptor();
    set_address(&mut bad, 4, 8);
    queue.run(&bad);
    queue.ring(
        u64::MAX,
        uacce_sim_protocol::control::SUBMISSION_DOORBELL,
        uacce_sim_protocol::control::SUBMISSION_COUNT,
    );
    // The next doorbell may cover one not yet looked at.
    wait_until(|| uacce_sim::watch::ask(&daemon.root).unwrap().devices[0].counts.dropped == 1);
    queue.run(&rsa.descriptor());
    let table = printed(&["top", "--once", "--interval=1ms"], &daemon.root);
    let line = |start: &str| -> Vec<String> {
        let line = table.lines().find(|line| line.split_whitespace().next() == Some(start));
        line.unwrap_or_else(|| panic!("{table}")).split_whitespace().map(str::to_owned).collect()
    };
    let hpre = line("hisi_hpre-0");
    assert_eq!(
        [&hpre[1], &hpre[4], &hpre[5], &hpre[6], &hpre[7], &hpre[8]],
        ["1/64", "0", "8", "1", "1", "normal"],
        "{table}"
    );
    assert_eq!(line("hisi_zip-1")[1], "0/64");
    assert!(table.contains("s ago: rsa-1024: etype1 0x20 (address), sva_status 1"), "{table}");
    assert!(table.contains(&format!(" {} ", std::process::id())), "{table}");
    let json = printed(&["top", "--once", "--json", "--interval=1ms"], &daemon.root);
    let state: uacce_sim::watch::State = serde_json::from_str(&json).unwrap();
    let open = &state.devices[0].open[0];
    assert_eq!((open.queue, open.process, open.counts.completed), (queue.number, std::process::id(), 7));
    assert_eq!(open.operation.as_deref(), Some("rsa-1024"));
    assert!(state.resident > 1 << 20 && state.processor > 0.0);
    let rates: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(rates["rates"][0]["requests_per_second"].is_f64());
}

/// Rates of a running load, refreshed.
#[test]
fn top_follows_a_load() {
    let daemon = Daemon::start(&[]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let rsa = ToyRsa::new(65);
    let mut top = program()
        .args(["top", "--json", "--interval=100ms", "--root"])
        .arg(&daemon.root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(top.stdout.take().unwrap()).lines();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + DEADLINE;
    let mut seen = 0;
    while seen < 3 {
        queue.run(&rsa.descriptor());
        for line in receiver.try_iter() {
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            seen += u32::from(value["rates"][0]["queues"][0]["requests_per_second"].as_f64().unwrap() > 0.0);
        }
        assert!(Instant::now() < end);
    }
    // It ends by itself with its daemon.
    drop(queue);
    drop(daemon);
    assert!(top.wait().unwrap().success());
}

#[test]
fn top_without_a_daemon_says_so() {
    let output = program().args(["top", "--once", "--root", "/nowhere"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere: no uacce-sim serves here"));
}

#[test]
fn a_trace_file_holds_every_descriptor_and_no_payload() {
    let file = std::env::temp_dir().join(format!("uacce-sim-trace-{}", std::process::id()));
    let rsa = ToyRsa::new(0x77);
    let submitted;
    {
        let daemon = Daemon::start(&["--trace", file.to_str().unwrap()]);
        let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
        submitted = rsa.descriptor();
        for _ in 0..3 {
            queue.run(&submitted);
        }
    }
    let found = records(&file);
    let kinds: Vec<_> = found.iter().map(|record| (record.kind, record.number, record.slot)).collect();
    let (rung, done) = (Kind::Submission, Kind::Completion);
    assert_eq!(kinds, [(rung, 0, 0), (done, 0, 0), (rung, 1, 1), (done, 1, 1), (rung, 2, 2), (done, 2, 2)]);
    assert_eq!(found[0].descriptor, submitted);
    assert_eq!(word(&found[1].descriptor, 0), 0xC000_0000);
    assert!(found[1].took > 0 && found[1].time >= found[0].time);
    assert!(found.iter().all(|record| record.payload.is_empty() && record.device == "hisi_hpre-0"));
    let output = program().args(["trace", "--utc"]).arg(&file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("hisi_hpre-0 queue 0 > slot").count(), 3, "{text}");
    assert_eq!(text.matches("rsa-1024: ok").count(), 3, "{text}");
    assert!(text.contains(&format!("key {:#x}", address_of(&rsa.key))), "{text}");
    std::fs::remove_file(&file).unwrap();
    let missing = program().arg("trace").arg(&file).output().unwrap();
    assert!(!missing.status.success());
}

#[test]
fn a_live_trace_shows_payload_when_asked() {
    let daemon = Daemon::start(&[]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let rsa = ToyRsa::new(65);
    queue.run(&rsa.descriptor());
    let mut trace = program()
        .args(["trace", "--payload=4096", "--root"])
        .arg(&daemon.root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It is listening once its first record arrives; until then the same request again.
    let mut output = BufReader::new(trace.stdout.take().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        while let Ok(1..) = output.read_line(&mut text) {
            if sender.send(text.clone()).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + DEADLINE;
    let shown = "out: 128 bytes\n      00000  00 00";
    loop {
        queue.run(&rsa.descriptor());
        if receiver.try_iter().any(|text| text.contains(shown) && text.contains("key: 256 bytes\n")) {
            break;
        }
        assert!(Instant::now() < end);
    }
    trace.kill().unwrap();
    trace.wait().unwrap();
    // Whoever stopped listening is forgotten, and the queue goes on.
    queue.run(&rsa.descriptor());
    assert_eq!(rsa.result(), rsa.expected());
}

/// A zlib request on ZIP: `input` compressed into `output`.
fn zlib(input: &[u8], output: &mut [u8]) -> Vec<u8> {
    let mut descriptor = vec![0; 128];
    set_word(&mut descriptor, 4, u32::try_from(input.len()).unwrap());
    set_word(&mut descriptor, 9, 2);
    set_word(&mut descriptor, 14, u32::try_from(output.len()).unwrap());
    set_address(&mut descriptor, 18, address_of(input));
    set_address(&mut descriptor, 20, output.as_mut_ptr().addr() as u64);
    descriptor
}

/// Two cores of 1 MB/s each: 100 kB take 100 ms, whatever queue they come from, and a third and fourth wait.
#[test]
fn bandwidth_is_shared_by_the_queues_of_a_device() {
    for doorbell in ["--doorbell=trap", "--doorbell=poll"] {
        let daemon = Daemon::start(&["--bandwidth=deflate=2MB/s", "--memo", doorbell]);
        let input = vec![0; 100_000];
        let mut queues: Vec<_> = (0..4).map(|_| Started::new(&daemon, "hisi_zip-1", 0)).collect();
        let mut outputs = vec![vec![0; 4096]; 4];
        let start = Instant::now();
        for (queue, output) in queues.iter_mut().zip(&mut outputs) {
            queue.submit(&zlib(&input, output));
        }
        let mut times: Vec<_> = queues
            .iter_mut()
            .map(|queue| {
                assert_eq!(word(&queue.wait().1, 3), 0);
                start.elapsed()
            })
            .collect();
        times.sort();
        assert!(
            times[0] >= Duration::from_millis(100) && times[3] >= Duration::from_millis(200),
            "{times:?}"
        );
        // Not one after the other.
        assert!(times[3] < Duration::from_millis(390), "{times:?}");
    }
}

#[test]
fn latency_is_given_by_operation() {
    let daemon = Daemon::start(&["--latency=rsa-1024-public=60ms,rsa-1024=1ms", "--profile=kunpeng920"]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let rsa = ToyRsa::new(65);
    let start = Instant::now();
    queue.run(&rsa.descriptor());
    assert!(start.elapsed() >= Duration::from_millis(60));
    // A wider exponent makes it a private operation.
    let mut private = ToyRsa::new(65);
    private.key[0] = 1;
    let start = Instant::now();
    queue.run(&private.descriptor());
    assert!(start.elapsed() < Duration::from_millis(60));
}

#[test]
fn only_the_owner_may_watch() {
    use std::os::unix::fs::PermissionsExt;
    let daemon = Daemon::start(&["--allow-other"]);
    let mode = std::fs::metadata(daemon.root.join("watch")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nonsense is answered, and harms nobody.
    let mut connection = std::os::unix::net::UnixStream::connect(daemon.root.join("watch")).unwrap();
    std::io::Write::write_all(&mut connection, &[b'x'; 1000]).unwrap();
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer);
    assert!(uacce_sim::watch::ask(&daemon.root).is_ok());
}
