//! Loading and unloading in every order, several library contexts, no default provider, what the provider tells about itself,
//! many threads on one key.

mod common;

use std::collections::BTreeMap;

use common::{Devices, Scratch, said, succeed};

/// One way of `tests/c/load.c` in which the program itself loads the providers.
fn load(way: &str) {
    let scratch = Scratch::new(&format!("load-{way}"));
    let program = scratch.compile("load");
    succeed(scratch.command(program, Devices::None).arg(way).env("OPENSSL_CONF", "/dev/null"));
}

#[test]
fn loads_and_unloads_in_every_order() {
    load("orders");
}

#[test]
fn library_contexts_are_apart() {
    load("contexts");
}

#[test]
fn waits_for_a_default_provider() {
    load("alone");
}

#[test]
fn eight_threads_share_a_key() {
    let scratch = Scratch::new("load-threads");
    let program = scratch.compile("load");
    for devices in [Devices::None, Devices::Simulated] {
        succeed(scratch.command(&program, devices).arg("threads"));
        let counts = match devices {
            Devices::None => (0, BTreeMap::from([("no-device".into(), 160)])),
            _ => (160, BTreeMap::new()),
        };
        assert_eq!(scratch.take_counts(), BTreeMap::from([("rsa-2048-private".into(), counts)]));
    }
}

#[test]
fn lists_itself() {
    let scratch = Scratch::new("load-list");
    let list = ["list", "-providers", "-verbose"];
    let text = said(&succeed(scratch.command("openssl", Devices::None).args(list)));
    for line in ["  warpdrive", "    name: warpdrive", "    status: active"] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(text.contains(concat!("version: ", env!("CARGO_PKG_VERSION"))), "{text}");
    // Signatures that name their digest are fetched by newer versions only; they stay with the default provider.
    let offers = succeed(scratch.command("openssl", Devices::None).args(["list", "-signature-algorithms"]));
    let ours: Vec<String> =
        said(&offers).lines().filter(|line| line.ends_with("@ warpdrive")).map(str::to_owned).collect();
    for name in ["RSA", "SM2", "ECDSA"] {
        assert_eq!(ours.iter().filter(|line| line.contains(name)).count(), 1, "{name}: {ours:?}");
    }
    assert_eq!(ours.len(), 3, "{ours:?}");
}
