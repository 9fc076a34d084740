//! Queues beside fork, exec and death, of the program and of the daemon (simulator.md §9, §13-6).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Session, built, compile, emulator, shows, succeed, wait_until};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

#[test]
fn children_and_new_images() {
    let session = Session::new();
    let program = compile("processes", &["-O1"]);
    for case in ["forked", "spawned", "handed_over", "main_thread_ends", "exhausted"] {
        let executes = matches!(case, "spawned" | "handed_over");
        if executes && !shows(case, "the kernel executes no program of another machine") {
            continue;
        }
        assert_eq!(session.run(&program, &[case]), "done\n", "{case}");
        wait_until(|| session.free("hisi_hpre-0") == 64);
    }
}

#[test]
fn a_killed_programs_queues_are_free_again() {
    let session = Session::new();
    let output = session.command(compile("processes", &["-O1"])).arg("killed").output().unwrap();
    assert_eq!(output.status.signal(), Some(9));
    wait_until(|| session.free("hisi_hpre-0") == 64);
}

#[test]
fn a_vanished_daemon_is_a_removed_device() {
    let session = Session::new();
    assert_eq!(session.run(compile("processes", &["-O1"]), &["daemon_ends"]), "done\n");
}

#[test]
fn a_directory_without_daemon() {
    let session = Session::new();
    let program = compile("processes", &["-O1"]);
    for root in ["/tmp", "/nowhere", "/tmp/no such directory"] {
        let output = session.command(&program).env("UACCE_SIM_ROOT", root).arg("no_daemon").output().unwrap();
        assert_eq!(common::said(&output), "", "{root}");
        assert!(output.status.success(), "{root}");
    }
}

/// `uacce-sim run` stays for a process that its command left behind.
#[test]
fn run_serves_what_outlives_its_command() {
    let program = compile("processes", &["-O1"]);
    let answer = program.with_extension("answer");
    let _ = std::fs::remove_file(&answer);
    let mut run = Command::new(&built().daemon);
    run.arg("run").arg("--").args(emulator()).arg(&program).arg("double_forked").env("ANSWER", &answer);
    assert_eq!(succeed(&mut run).stdout, b"done\n");
    wait_until(|| std::fs::read_to_string(&answer).is_ok_and(|said| said == "served"));
}
