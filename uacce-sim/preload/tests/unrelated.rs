//! What the library costs a program that has nothing to do with devices.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Session, built, compile, succeed};
use std::path::Path;
use std::process::Command;

/// Names of the system calls between the program's two marks.
fn calls_between_marks(program: &Path, preloaded: bool) -> Vec<String> {
    let trace = program.with_extension(if preloaded { "preloaded" } else { "alone" });
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(&trace).env_remove("UACCE_SIM_ROOT").env("LC_ALL", "C");
    if preloaded {
        strace.arg("-E").arg(format!("LD_PRELOAD={}", built().library.display()));
    }
    succeed(strace.arg(program));
    let text = std::fs::read_to_string(trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let marks: Vec<usize> = (0..lines.len()).filter(|index| lines[*index].contains("\"mark\"")).collect();
    assert_eq!(marks.len(), 2, "{text}");
    lines[marks[0]..marks[1]].iter().map(|line| line.split('(').next().unwrap().to_owned()).collect()
}

#[test]
fn without_a_root_nothing_is_added() {
    let program = compile("unrelated", &["-O2"]);
    let alone = calls_between_marks(&program, false);
    assert!(alone.len() > 20, "{alone:?}");
    assert_eq!(calls_between_marks(&program, true), alone);
}

#[test]
fn a_static_program_is_left_alone() {
    // It has no dynamic linker to load anything.
    let session = Session::new();
    let program = compile("unrelated", &["-O2", "-static"]);
    succeed(&mut session.command(program));
}

/// The dynamic linker takes no library from a user into a program with another's rights: it sees the real machine.
#[test]
fn a_set_user_id_program_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let user = succeed(Command::new("id").arg("-u")).stdout;
    if user != b"0\n" {
        println!("left out: only root can make a program that another user runs as root");
        return;
    }
    let session = Session::with(&["--allow-other"]);
    let top = session.root.parent().unwrap();
    let (program, library) = (top.join("ls"), top.join("library.so"));
    std::fs::set_permissions(top, PermissionsExt::from_mode(0o711)).unwrap();
    std::fs::copy("/bin/ls", &program).unwrap();
    std::fs::copy(&built().library, &library).unwrap();
    let listed = |mode| {
        std::fs::set_permissions(&program, PermissionsExt::from_mode(mode)).unwrap();
        let mut command = session.command("/usr/bin/setpriv");
        command.env_remove("LD_PRELOAD").args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"]);
        command.arg(format!("LD_PRELOAD={}", library.display()));
        command.arg(&program).arg("/sys/class/uacce").output().unwrap()
    };
    let simulated = listed(0o755);
    assert_eq!(String::from_utf8_lossy(&simulated.stdout), "hisi_hpre-0\nhisi_zip-1\n", "{simulated:?}");
    let real = listed(0o4755);
    assert!(!String::from_utf8_lossy(&real.stdout).contains("hisi_hpre-0"), "{real:?}");
}

/// Instructions of the program with `count` calls, as callgrind counts them. `root`: without the library, with it, with a root.
fn instructions(program: &Path, call: &str, count: u32, root: Option<&str>) -> i64 {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    valgrind.args([call, &count.to_string()]).env_remove("UACCE_SIM_ROOT").env_remove("LD_PRELOAD");
    if let Some(root) = root {
        valgrind.env("LD_PRELOAD", &built().library).env("UACCE_SIM_ROOT", root);
    }
    let output = succeed(&mut valgrind);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("Collected :")).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// docs/simulator.md has the figures of a release build; a debug build is bounded loosely.
#[test]
fn an_unrelated_call_costs_few_instructions() {
    let session = Session::new();
    let program = compile("unrelated", &["-O2"]);
    let (inert_limit, active_limit) = if cfg!(debug_assertions) { (1500, 5000) } else { (200, 600) };
    let roots = [None, Some(""), session.root.to_str()];
    let none = roots.map(|root| instructions(&program, "none", 0, root));
    for call in ["open", "stat", "mmap+munmap", "sigaction", "sigprocmask", "ioctl"] {
        let all = roots.map(|root| instructions(&program, call, 1000, root));
        let each = [0, 1, 2].map(|index| (all[index] - none[index]) / 1000);
        let (inert, active) = (each[1] - each[0], each[2] - each[0]);
        println!("{call}: {} instructions, {inert} more without a root, {active} more with one", each[0]);
        assert!(inert < inert_limit && active < active_limit, "{call}: {each:?}");
    }
}
