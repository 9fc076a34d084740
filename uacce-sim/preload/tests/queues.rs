//! Queues through the preload library: doorbells, errno, mappings. Every result is checked, and only the daemon computes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Session, compile};

#[test]
fn every_doorbell_store_rings() {
    let session = Session::new();
    for level in ["-O0", "-O2", "-O3"] {
        assert_eq!(session.run(compile("doorbells", &[level]), &[]), "done\n", "{level}");
    }
    assert_eq!(session.free("hisi_hpre-0"), 64);
}

#[test]
fn doorbells_on_newer_hardware_and_without_spinning() {
    let session = Session::with(&["--hw", "v3", "--spin", "0"]);
    assert_eq!(session.run(compile("doorbells", &["-O1"]), &[]), "done\n");
}

#[test]
fn errors_and_mappings_are_the_kernels() {
    if !common::shows("errors", "qemu cuts a message before a bad pointer, where the kernel refuses it") {
        return;
    }
    let session = Session::new();
    assert_eq!(session.run(compile("errors", &["-O1"]), &[]), "done\n");
    common::wait_until(|| session.free("hisi_hpre-0") == 64);
}

/// uacce-qm §2.7, each kernel's own.
#[test]
fn polls_are_answered_as_by_each_kernel() {
    let program = compile("polls", &["-O1"]);
    for kernel in ["mainline", "kae", "openeuler"] {
        let session = Session::with(&["--kernel", kernel, "--device", "hpre", "--queues", "1"]);
        assert_eq!(session.run(&program, &[kernel]), "done\n", "{kernel}");
    }
}

#[test]
fn a_removed_device_takes_its_memory_away() {
    use std::os::unix::process::ExitStatusExt;
    if !common::shows("unplugged", "qemu takes a SIGBUS for its own fault") {
        return;
    }
    let program = compile("unplugged", &["-O1"]);
    let device = || Session::with(&["--device", "hpre", "--fault", "unplug=sigbus,after=1"]);
    assert_eq!(device().run(&program, &[]), "done\n");
    // Nobody catches it, or nobody can: the program ends by that signal.
    for case in ["read", "ring", "blocked"] {
        let output = device().command(&program).arg(case).output().unwrap();
        assert_eq!(output.status.signal(), Some(7), "{case}: {output:?}");
    }
}

#[test]
fn stores_of_rust_programs_ring() {
    let session = Session::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rust/doorbells.rs");
    for level in ["0", "2", "3"] {
        let program =
            std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rust-doorbells-{level}"));
        let mut compiler = std::process::Command::new("rustc");
        compiler
            .args(["--edition", "2024", "-C", &format!("opt-level={level}")])
            .args(common::target())
            .arg("-o")
            .arg(&program)
            .arg(source);
        common::succeed(&mut compiler);
        assert_eq!(session.run(&program, &[]), "done\n", "opt-level {level}");
    }
}
