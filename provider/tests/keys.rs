//! Keys of every type, right, damaged and nonsensical, against the default provider's own; and their exchanges.

mod common;

use common::{Devices, Scratch, cases, said, succeed};

/// Rounds per key type; `WARPDRIVE_KEY_ROUNDS` asks for more.
fn rounds(usual: u32) -> String {
    std::env::var("WARPDRIVE_KEY_ROUNDS").unwrap_or_else(|_| usual.to_string())
}

fn examine(name: &str, seed: &str, devices: Devices) {
    let scratch = Scratch::new(name);
    let program = scratch.compile("keys");
    let output = succeed(scratch.command(program, devices).args([seed, &rounds(12)]));
    cases(&format!("keys, {devices:?}"), &output);
    assert_eq!(said(&output).matches(" examined ").count(), 9, "{output:?}");
    let counters = scratch.take_counters();
    for family in ["dh-", "ecdh-", "x25519", "x448"] {
        let rows = counters.iter().filter(|(row, _)| row.starts_with(family)).map(|(_, row)| row);
        let hardware: u64 = rows.map(|row| row.hardware).sum();
        assert_eq!(hardware > 0, devices == Devices::Simulated, "{family}: {counters:?}");
    }
}

#[test]
fn keys_answer_as_the_default_providers_without_a_device() {
    examine("keys-none", "41", Devices::None);
}

#[test]
fn keys_answer_as_the_default_providers_with_hardware() {
    examine("keys-simulated", "42", Devices::Simulated);
}

/// Calls right and wrong, with and without key derivation functions. The program says how many of its secrets a device must
/// have computed.
fn exchanges(name: &str, seed: &str, devices: Devices) {
    let scratch = Scratch::new(name);
    let program = scratch.compile("exchange");
    let output = succeed(scratch.command(program, devices).args([seed, &rounds(4)]));
    cases(&format!("exchange, {devices:?}"), &output);
    let mut computed = std::collections::BTreeMap::<String, u64>::new();
    for line in said(&output).lines() {
        let Some((row, number)) = line.split_once(" hardware ") else { continue };
        *computed.entry(row.to_owned()).or_default() += number.parse::<u64>().expect("a number");
    }
    assert_eq!(computed.len(), 17, "{computed:?}");
    let counters = scratch.take_counters();
    for (row, expected) in computed.into_iter().filter(|(_, expected)| *expected > 0) {
        let counted = &counters[&row];
        let reasons: Vec<&str> = counted.software.keys().map(String::as_str).collect();
        if devices == Devices::Simulated {
            assert!(counted.hardware >= expected, "{row}: {expected}, {counters:?}");
            assert!(reasons.iter().all(|reason| ["unsupported", "refused"].contains(reason)), "{counters:?}");
        } else {
            assert_eq!((counted.hardware, reasons), (0, vec!["no-device"]), "{row}: {counters:?}");
        }
    }
}

#[test]
fn exchanges_without_a_device() {
    exchanges("exchange-none", "51", Devices::None);
}

#[test]
fn exchanges_in_hardware() {
    exchanges("exchange-simulated", "52", Devices::Simulated);
}
