//! Rare calls, each against what the kernel's device would answer (uacce-qm §2.5, simulator.md §4 and §9).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Session, built, compile, shows, start, succeed};

#[test]
fn rare_calls_end_as_on_the_kernels_device() {
    let session = Session::new();
    let program = compile("corners", &["-O1"]);
    for case in
        ["create", "stream", "commands", "offsets", "writable_later", "attribute_mask", "pausing", "inherit"]
    {
        if case == "inherit" && !shows(case, "the kernel executes no program of another machine") {
            continue;
        }
        let text = session.run(&program, &[case]);
        assert_eq!(text, "done\n", "{case}");
    }
    assert!(!session.root.join("sys/class/uacce/hisi_hpre-0/none").exists());
}

/// A region the daemon polls is plain memory: no trap, and nothing said about its absence.
#[test]
fn polled_doorbells_need_no_trap() {
    let session = Session::with(&["--doorbell", "poll"]);
    let program = compile("corners", &["-O1"]);
    assert_eq!(session.run(&program, &["polled"]), "done\n");
}

/// Without a daemon's directory every call is the kernel's.
#[test]
fn unsimulated_calls_are_the_kernels() {
    let program = compile("corners", &["-O1"]);
    let mut command = start(&program, &[("LD_PRELOAD", &built().library)]);
    command.arg("offsets").env_remove("UACCE_SIM_ROOT");
    assert_eq!(succeed(&mut command).stdout, b"done\n");
}
