//! Doorbells beside the program's own signal handlers and masks (simulator.md §9).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Session, compile};
use std::os::unix::process::ExitStatusExt;

#[test]
fn handlers_and_masks() {
    let session = Session::new();
    for level in ["-O0", "-O2"] {
        let program = compile("signals", &[level, "-Wno-infinite-recursion"]);
        for case in [
            "before",
            "after",
            "by_signal",
            "masks",
            "threads",
            "alternate_stack",
            "repaired",
            "sent",
            "raw_before",
        ] {
            if case == "masks" && !common::shows(case, "qemu has no epoll_pwait2") {
                continue;
            }
            assert_eq!(session.run(&program, &[case]), "done\n", "{level} {case}");
        }
    }
}

#[test]
fn crashes_end_the_program() {
    let session = Session::new();
    let program = compile("signals", &["-O1", "-Wno-infinite-recursion"]);
    for (case, said) in [
        ("once", "once\n"),
        ("fatal", ""),
        ("fatal_ignored", ""),
        ("fatal_sent", ""),
        ("fatal_in_handler", ""),
    ] {
        let output = session.command(&program).arg(case).output().unwrap();
        assert_eq!(output.status.signal(), Some(11), "{case}: {}", output.status);
        assert_eq!(common::said(&output), said, "{case}");
    }
}

#[test]
fn a_handler_set_behind_the_library_is_told() {
    let session = Session::new();
    let program = compile("signals", &["-O1", "-Wno-infinite-recursion"]);
    let output = session.command(&program).arg("raw_after").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    assert_eq!(said.matches("raw system call").count(), 1, "{said}");
}

#[test]
fn pythons_fault_report_is_intact() {
    if !common::shows("python", "it is this machine's own") {
        return;
    }
    let session = Session::new();
    let script = "import faulthandler, mmap, os, ctypes\n\
        fd = os.open('/dev/hisi_zip-1', os.O_RDWR)\n\
        bell = mmap.mmap(fd, 8192)\n\
        print('mapped', flush=True)\n\
        ctypes.string_at(0)";
    for arguments in [
        &["-X", "faulthandler", "-c", script] as &[_],
        &["-c", &format!("{script}\n").replace("print", "faulthandler.enable(); print")],
    ] {
        let output = session.command("/usr/bin/python3").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.stdout.as_slice(), output.status.signal()),
            (b"mapped\n".as_slice(), Some(11)),
            "{said}"
        );
        assert!(
            said.contains("Fatal Python error: Segmentation fault") && said.contains("string_at"),
            "{said}"
        );
    }
}
