//! Fork with live queues and busy threads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Devices, Scratch, Simulator, succeed};

fn fork(scratch: &Scratch, devices: Devices<'_>) {
    let key = scratch.key(2048);
    let program = scratch.compile("fork", &["-lcrypto", "-lz"]);
    let output = succeed(scratch.client(program, devices).arg(key));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("children=100 failed=0 hung=0 "), "{said}");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_hundred_children_of_a_busy_parent_work_and_do_not_disturb_it() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("fork");
    fork(&scratch, Devices::Simulated(&simulator));
    let counters = scratch.counters();
    assert!(counters.processes >= 101, "each process counts for itself: {counters:?}");
    for algorithm in ["rsa-2048-private", "deflate"] {
        let row = scratch.row(algorithm);
        // Children too, not only the parent: there is one private operation and one stream per child and round.
        assert!(row.hardware > 100, "{row:?}");
        for reason in ["time-out", "reset", "device-error", "wrong-result"] {
            assert!(!row.software.contains_key(reason), "{algorithm}: {row:?}");
        }
    }
}

#[test]
fn the_same_without_devices() {
    fork(&Scratch::new("fork-no-device"), Devices::None);
}
