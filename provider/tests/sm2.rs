//! SM2 encryption and decryption against the default provider alone: the same answers without a device, from hardware, from devices
//! that cannot, and from devices that lie; published vectors; the command line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{Devices, Scratch, said, succeed};
use warpdrive::stats::Row;

/// A device of the second generation: no curves.
const OLDER: Devices = Devices::Chosen(&["--hw", "v2"]);

/// How many cases; `WARPDRIVE_DIFFERENTIAL_CASES` asks for more than a usual run takes the time for.
fn cases() -> String {
    std::env::var("WARPDRIVE_DIFFERENTIAL_CASES").unwrap_or_else(|_| "300".into())
}

/// What the program says, by row and place.
fn told(said: &str) -> BTreeMap<(String, String), u64> {
    let lines = said.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [row, place, number] = words[..] else { return None };
        Some(((row.to_owned(), place.to_owned()), number.parse().ok()?))
    });
    lines.collect()
}

fn counted(rows: &BTreeMap<String, Row>, row: &str) -> (u64, BTreeMap<String, u64>) {
    rows.get(row).map_or((0, BTreeMap::new()), |row| (row.hardware, row.software.clone()))
}

/// Every finished operation is one count, where the program says it must be.
fn compare(name: &str, arguments: &[&str], devices: Devices) {
    let scratch = Scratch::new(name);
    let program = scratch.compile("sm2");
    let output = succeed(scratch.command(program, devices).args(arguments));
    let told = told(&said(&output));
    let of = |row: &str, place: &str| told[&(row.to_owned(), place.to_owned())];
    let rows = scratch.take_counters();
    let (mut hardware, mut software) = counted(&rows, "sm2-decrypt");
    let finished = of("sm2-decrypt", "hardware");
    assert!(finished > 3, "{told:?}");
    let mut expected = BTreeMap::from([("unsupported", of("sm2-decrypt", "software"))]);
    if devices == Devices::Simulated {
        assert_eq!(hardware, finished, "{rows:?}");
        expected.insert("refused", of("sm2-decrypt", "refused") + of("sm2-decrypt", "zero"));
    } else {
        let reason = if devices == Devices::None { "no-device" } else { "unsupported" };
        let number = finished + of("sm2-decrypt", "software") + of("sm2-decrypt", "zero");
        expected = BTreeMap::from([(reason, number)]);
        assert_eq!(hardware, 0);
    }
    expected.retain(|_, number| *number > 0);
    let expected: BTreeMap<String, u64> = expected.into_iter().map(|(why, n)| (why.to_owned(), n)).collect();
    assert_eq!(software, expected, "{told:?}");

    (hardware, software) = counted(&rows, "sm2-encrypt");
    let [certain, open, other] = ["hardware", "either", "software"].map(|place| of("sm2-encrypt", place));
    assert_eq!(hardware + software.values().sum::<u64>(), certain + open + other, "{rows:?}");
    if devices == Devices::Simulated {
        assert!((certain..=certain + open).contains(&hardware), "{rows:?}, {told:?}");
        assert!(software.keys().all(|reason| reason == "unsupported"), "{rows:?}");
    } else {
        assert_eq!(hardware, 0);
        assert!(software.len() <= 1, "{rows:?}");
    }
}

#[test]
fn same_answers_without_a_device() {
    compare("sm2-none", &["61", &cases()], Devices::None);
}

#[test]
fn same_answers_from_hardware() {
    compare("sm2-simulated", &["62", &cases()], Devices::Simulated);
}

#[test]
fn same_answers_beside_an_older_device() {
    compare("sm2-older", &["63", "60"], OLDER);
}

#[test]
fn published_ciphertexts_open() {
    for devices in [Devices::None, Devices::Simulated, OLDER] {
        compare("sm2-vectors", &["vectors"], devices);
    }
}

/// What only a peer can have made is not held against the device.
#[test]
fn key_streams_of_zeros_are_nobodys_fault() {
    for devices in [Devices::None, Devices::Simulated] {
        compare("sm2-zeros", &["zeros"], devices);
    }
}

/// Whatever a device does: never another message, never a ciphertext that the default provider does not open.
fn trouble(name: &str, fault: &'static [&'static str], reason: &str) {
    let scratch = Scratch::new(name);
    let patience =
        "[wait]\ndeadline-ms = 400\n[health]\npause-min-ms = 1\npause-max-ms = 5\nknown-answers = 1\n";
    fs::write(scratch.file("warpdrive.toml"), format!("[policy]\ndefault = \"hardware\"\n{patience}"))
        .unwrap();
    let program = scratch.compile("sm2");
    let output = succeed(scratch.command(program, Devices::Chosen(fault)).args(["64", "150"]));
    let told = told(&said(&output));
    let rows = scratch.take_counters();
    for row in ["sm2-encrypt", "sm2-decrypt"] {
        let (hardware, software) = counted(&rows, row);
        assert!(hardware > 0, "{row}: the device never answered: {rows:?}");
        assert!(software.get(reason).is_some_and(|number| *number > 0), "{row}: {rows:?}");
        let finished: u64 = told.iter().filter(|((of, _), _)| of == row).map(|(_, number)| number).sum();
        // A ciphertext that is damaged is counted too when it never reached the check.
        assert_eq!(hardware + software.values().sum::<u64>(), finished, "{row}: {rows:?}, {told:?}");
    }
}

#[test]
fn damaged_answers_are_found() {
    trouble("sm2-bytes", &["--hw", "v3", "--device", "hpre", "--fault", "bytes,every=4"], "wrong-result");
}

#[test]
fn refused_requests_are_done_again() {
    trouble("sm2-status", &["--hw", "v3", "--device", "hpre", "--fault", "status,every=5"], "device-error");
}

#[test]
fn lost_requests_are_done_again() {
    trouble("sm2-lost", &["--hw", "v3", "--device", "hpre", "--fault", "lost,every=40"], "time-out");
}

/// `openssl pkeyutl` with keys in files; what one side seals the other opens.
#[test]
fn the_command_line_seals_and_opens() {
    let scratch = Scratch::new("sm2-command");
    let message = "One message, as anybody would send it.";
    fs::write(scratch.file("message"), message).unwrap();
    succeed(scratch.stock("openssl").args(["genpkey", "-algorithm", "SM2", "-out", "key.pem"]));
    succeed(scratch.stock("openssl").args(["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]));
    let seal = ["pkeyutl", "-encrypt", "-pubin", "-inkey", "public.pem", "-in", "message", "-out", "sealed"];
    let open = ["pkeyutl", "-decrypt", "-inkey", "key.pem", "-in", "sealed", "-out", "opened"];
    let opened = |path: &Path| fs::read_to_string(path).unwrap();
    for (devices, place) in
        [(Devices::Simulated, None), (Devices::None, Some("no-device")), (OLDER, Some("unsupported"))]
    {
        for (ours_seals, ours_opens) in [(true, true), (true, false), (false, true)] {
            let command = |ours: bool| {
                if ours { scratch.command("openssl", devices) } else { scratch.stock("openssl") }
            };
            let _ = fs::remove_file(scratch.file("opened"));
            succeed(command(ours_seals).args(seal));
            succeed(command(ours_opens).args(open));
            assert_eq!(opened(&scratch.file("opened")), message);
            let rows = scratch.take_counters();
            for (row, ours) in [("sm2-encrypt", ours_seals), ("sm2-decrypt", ours_opens)] {
                let expected = match (ours, place) {
                    (false, _) => (0, BTreeMap::new()),
                    (true, None) => (1, BTreeMap::new()),
                    (true, Some(reason)) => (0, BTreeMap::from([(reason.to_owned(), 1)])),
                };
                assert_eq!(counted(&rows, row), expected, "{row} {devices:?}");
            }
        }
    }
}

/// `off = sm2-encryption` leaves it to the default provider altogether; signatures stay.
#[test]
fn it_can_be_switched_off() {
    let scratch = Scratch::new("sm2-off");
    let listed = |scratch: &Scratch| {
        let mut command = scratch.command("openssl", Devices::None);
        said(&succeed(command.args([
            "list",
            "-asymcipher-algorithms",
            "-provider",
            "warpdrive",
            "-provider",
            "default",
        ])))
    };
    let ours = |list: &str| list.lines().any(|line| line.contains("SM2") && line.contains("warpdrive"));
    assert!(ours(&listed(&scratch)), "{}", listed(&scratch));
    let configuration = fs::read_to_string(scratch.file("openssl.cnf")).unwrap();
    let off = configuration.replace("# off = ecdsa, X448", "off = sm2-encryption");
    assert_ne!(off, configuration);
    fs::write(scratch.file("openssl.cnf"), off).unwrap();
    assert!(!ours(&listed(&scratch)), "{}", listed(&scratch));
}
