//! Children of a process with a live queue and half-fed contexts.

mod common;

use std::collections::BTreeMap;

use common::{Devices, Scratch, succeed};

fn children(name: &str, devices: Devices, counts: (u64, BTreeMap<String, u64>)) {
    let scratch = Scratch::new(name);
    let program = scratch.compile("load");
    succeed(scratch.command(program, devices).arg("children"));
    assert_eq!(scratch.take_counts(), BTreeMap::from([("rsa-2048-private".into(), counts)]));
}

#[test]
fn contexts_go_on_in_children_without_a_device() {
    children("fork-none", Devices::None, (0, BTreeMap::from([("no-device".into(), 23)])));
}

#[test]
fn contexts_go_on_in_children_in_hardware() {
    children("fork-simulated", Devices::Simulated, (23, BTreeMap::new()));
}
