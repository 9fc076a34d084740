//! The provider against the default provider alone, in one process: the same keys and calls, equal answers. Each run ends
//! with a comparison of the counters: one finished private operation is one count.

mod common;

use std::collections::BTreeMap;

use common::{Devices, Scratch, cases, said, succeed};
use warpdrive::stats::Row;

/// Runs a program that prints what it expects of each row (`ROW hardware N`, `ROW software N`: where the operations go when
/// there is a device), and compares the counters.
fn compare(scratch: &Scratch, program: &str, arguments: &[&str], devices: Devices) {
    let output = succeed(scratch.command(scratch.compile(program), devices).args(arguments));
    assert!(cases(&format!("{program}, {devices:?}"), &output) > 0);
    let mut expected: BTreeMap<String, (u64, BTreeMap<String, u64>)> = BTreeMap::new();
    for line in said(&output).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [row, place, number] = words[..] else { continue };
        let number: u64 = number.parse().expect("a number");
        if number == 0 {
            continue;
        }
        let (hardware, software) = expected.entry(row.to_owned()).or_default();
        match (place, devices) {
            ("hardware", Devices::Simulated) => *hardware += number,
            ("software", Devices::Simulated) => *software.entry("unsupported".into()).or_default() += number,
            (_, Devices::None) => *software.entry("no-device".into()).or_default() += number,
            _ => panic!("{line}"),
        }
    }
    assert!(expected.contains_key("rsa-2048-private"), "nothing was signed: {}", said(&output));
    assert_eq!(scratch.take_counts(), expected);
}

#[test]
fn same_answers_without_a_device() {
    let scratch = Scratch::new("compare-none");
    compare(&scratch, "compare", &["20261", &keys()], Devices::None);
}

#[test]
fn same_answers_from_hardware() {
    let scratch = Scratch::new("compare-simulated");
    compare(&scratch, "compare", &["20262", &keys()], Devices::Simulated);
}

/// Calls in random order, right and wrong ones. Where each signature goes is not foretold here, only that each is counted.
fn sequences(name: &str, seed: &str, devices: Devices) {
    let scratch = Scratch::new(name);
    let program = scratch.compile("sequence");
    let output = succeed(scratch.command(program, devices).args([seed, &(asked() * 10).to_string()]));
    cases(&format!("sequence, {devices:?}"), &output);
    let done =
        said(&output).lines().find_map(|line| line.strip_prefix("rsa-2048-private done ")?.parse().ok());
    let row = scratch.take_counters().remove("rsa-2048-private").expect("signatures were counted");
    assert_eq!(Some(row.hardware + row.software.values().sum::<u64>()), done, "{row:?}");
    let reasons: Vec<&str> = row.software.keys().map(String::as_str).collect();
    if devices == Devices::Simulated {
        assert!(row.hardware > 100, "{row:?}");
        assert_eq!(reasons, ["unsupported"]);
    } else {
        assert_eq!((row.hardware, reasons), (0, vec!["no-device"]));
    }
}

#[test]
fn any_order_of_calls_without_a_device() {
    sequences("sequence-none", "1", Devices::None);
}

#[test]
fn any_order_of_calls_with_hardware() {
    sequences("sequence-simulated", "2", Devices::Simulated);
}

#[test]
fn same_decryptions_without_a_device() {
    let scratch = Scratch::new("cipher-none");
    compare(&scratch, "cipher", &["20263", &asked().to_string(), "0"], Devices::None);
}

#[test]
fn same_decryptions_from_hardware() {
    let scratch = Scratch::new("cipher-simulated");
    compare(&scratch, "cipher", &["20264", &asked().to_string(), "1"], Devices::Simulated);
}

/// Signatures with keys on curves: how many each row has is told, and each is counted once.
fn curves(name: &str, seed: &str, devices: Devices) {
    let scratch = Scratch::new(name);
    let program = scratch.compile("curve");
    let output = succeed(scratch.command(program, devices).args([seed, &(asked() * 2).to_string()]));
    cases(&format!("curve, {devices:?}"), &output);
    let told: BTreeMap<String, u64> = said(&output)
        .lines()
        .filter_map(|line| line.split_once(" done "))
        .map(|(row, done)| (row.to_owned(), done.parse().expect("a number")))
        .collect();
    let rows = scratch.take_counters();
    let done = |row: &Row| row.hardware + row.software.values().sum::<u64>();
    assert_eq!(rows.iter().map(|(name, row)| (name.clone(), done(row))).collect::<BTreeMap<_, _>>(), told);
    for (name, row) in rows {
        let reasons: Vec<&str> = row.software.keys().map(String::as_str).collect();
        if devices == Devices::None {
            assert_eq!((row.hardware, reasons), (0, vec!["no-device"]), "{name}");
        } else {
            // Odd curves, deterministic nonces, digests of the default provider's own, digests of zero.
            assert!(reasons.iter().all(|reason| *reason == "unsupported"), "{name}: {row:?}");
            assert_eq!(row.hardware > 0, name != "ecdsa-other-sign", "{name}: {row:?}");
        }
    }
}

#[test]
fn same_signatures_on_curves_without_a_device() {
    curves("curve-none", "3", Devices::None);
}

#[test]
fn same_signatures_on_curves_from_hardware() {
    curves("curve-simulated", "4", Devices::Simulated);
}

/// How many cases each key gets; `WARPDRIVE_DIFFERENTIAL_CASES` asks for more than a usual run takes the time for.
fn asked() -> u32 {
    std::env::var("WARPDRIVE_DIFFERENTIAL_CASES").map_or(300, |number| number.parse().expect("a number"))
}

/// How many keys of 2048 bits `compare` goes through, each with every digest.
fn keys() -> String {
    (asked() / 100).max(3).to_string()
}

/// Keys whose numbers contradict each other: the answers of the default provider, and the device is not blamed.
#[test]
fn contradictory_keys_stay_in_software() {
    let scratch = Scratch::new("contradiction");
    compare(&scratch, "contradiction", &[], Devices::None);
    compare(&scratch, "contradiction", &[], Devices::Simulated);
}

/// Sound keys without primes, which cannot be compared with each other: what is wrong is the device's fault.
#[test]
fn a_lying_device_is_blamed_without_primes() {
    let scratch = Scratch::new("contradiction-lies");
    let health = "[health]\npause-min-ms = 1\npause-max-ms = 1\nknown-answers = 1\n";
    let policy = format!("[policy]\ndefault = \"hardware\"\n{health}");
    std::fs::write(scratch.file("warpdrive.toml"), policy).expect("written");
    let program = scratch.compile("contradiction");
    let lies = Devices::Chosen(&["--hw", "v3", "--device", "hpre", "--fault", "bytes,every=3"]);
    succeed(scratch.command(program, lies).arg("sound"));
    let row = scratch.take_counters().remove("rsa-2048-private").expect("signatures were counted");
    assert!(row.hardware > 0 && row.software.contains_key("wrong-result"), "{row:?}");
    assert!(!row.software.contains_key("unsupported"), "{row:?}");
}
