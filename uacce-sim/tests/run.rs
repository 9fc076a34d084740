//! `uacce-sim run` and `env` as a shell sees them.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::wait_until;
use uacce_sim::os::process::send_signal;

/// `run` with any shared library in the preload library's place: these tests are not about it.
fn run(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uacce-sim"));
    command.args(["run", "--preload", &harmless_library()]).args(arguments);
    command
}

fn harmless_library() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("/libc.so.6")).expect("a dynamically linked test");
    line.split_whitespace().last().unwrap().to_owned()
}

fn shell(script: &str) -> Output {
    run(&["--", "sh", "-c", script]).output().unwrap()
}

#[test]
fn the_commands_status_is_the_status() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)] {
        let output = shell(script);
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    assert_eq!(run(&["--", "/no/such/program"]).output().unwrap().status.code(), Some(127));
    assert_eq!(run(&["--", "/dev/null"]).output().unwrap().status.code(), Some(126));
    let missing = Command::new(env!("CARGO_BIN_EXE_uacce-sim"))
        .args(["run", "--preload", "/no/such.so", "--", "true"])
        .output();
    assert_eq!(missing.unwrap().status.code(), Some(125));
    assert_eq!(run(&["--device", "gpu", "--", "true"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn the_command_finds_its_devices_and_nothing_is_left() {
    let script = "cat $UACCE_SIM_ROOT/sys/class/uacce/hisi_zip-1/algorithms; stat -c %a $UACCE_SIM_ROOT; \
                  cat $UACCE_SIM_ROOT/pid; echo $UACCE_SIM_ROOT; echo $LD_PRELOAD";
    let output = shell(script);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["zlib", "gzip", "700"]);
    assert!(!PathBuf::from(format!("/proc/{}", lines[3])).exists(), "the daemon still runs");
    assert!(!PathBuf::from(lines[4]).exists(), "the directory is left");
    assert_eq!(lines[5], harmless_library());
}

#[test]
fn the_daemon_sees_none_of_the_commands_variables() {
    let script = "tr '\\0' '\\n' < /proc/$(cat $UACCE_SIM_ROOT/pid)/environ | grep -E '^(OPENSSL_|WARPDRIVE_|LD_PRELOAD|UACCE_SIM)'; \
                  echo $OPENSSL_CONF $WARPDRIVE_POLICY";
    let output = run(&["--", "sh", "-c", script])
        .env("OPENSSL_CONF", "/a")
        .env("OPENSSL_MODULES", "/b")
        .env("WARPDRIVE_POLICY", "hardware")
        .env("LD_PRELOAD", harmless_library())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/a hardware\n");
}

#[test]
fn signals_reach_the_command() {
    for (signal, name) in [(2, "INT"), (15, "TERM")] {
        let script = format!("trap 'echo caught; exit 9' {name}; echo waiting; while :; do sleep 0.05; done");
        let mut child = run(&["--", "sh", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        send_signal(child.id(), signal).unwrap();
        output.read_to_string(&mut line).unwrap();
        assert_eq!((line.as_str(), child.wait().unwrap().code()), ("waiting\ncaught\n", Some(9)));
    }
}

#[test]
fn a_killed_daemon_does_not_end_the_command() {
    let script = "kill -9 $(cat $UACCE_SIM_ROOT/pid); sleep 0.1; echo still here; exit 3";
    let output = shell(script);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "still here\n");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "uacce-sim: the daemon ended; its devices are gone\n"
    );
}

/// A command that ends before its grandchild: the daemon stays for the grandchild's open queue, `run` with it.
#[test]
fn connections_outlive_the_command() {
    let directory = uacce_sim::os::process::private_directory(&std::env::temp_dir()).unwrap();
    let (holding, release, root) =
        (directory.join("holding"), directory.join("release"), directory.join("root"));
    let helper = std::env::current_exe().unwrap();
    let script = format!(
        "echo $UACCE_SIM_ROOT > {}; HELPER_HOLDING={} HELPER_RELEASE={} {} --exact helper_holding_a_queue >/dev/null & exit 0",
        root.display(),
        holding.display(),
        release.display(),
        helper.display(),
    );
    let mut child = run(&["--", "sh", "-c", &script]).spawn().unwrap();
    wait_until(|| holding.exists());
    let root = PathBuf::from(std::fs::read_to_string(root).unwrap().trim_end());
    // Longer than the moment every descendant gets.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(child.try_wait().unwrap().is_none() && root.join("sock").exists());
    std::fs::write(&release, "").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!root.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

/// Not a test by itself: the grandchild of the test above.
#[test]
fn helper_holding_a_queue() {
    let Some(holding) = std::env::var_os("HELPER_HOLDING") else { return };
    let root = PathBuf::from(std::env::var_os("UACCE_SIM_ROOT").unwrap());
    let client = common::Client::open(&root, "hisi_zip-1").unwrap();
    std::fs::write(holding, "").unwrap();
    let release = PathBuf::from(std::env::var_os("HELPER_RELEASE").unwrap());
    wait_until(|| release.exists());
    drop(client);
}

#[test]
fn env_prints_what_a_shell_can_eval() {
    let output = Command::new(env!("CARGO_BIN_EXE_uacce-sim"))
        .args(["env", "--root", "/tmp/a 'b", "--preload", &harmless_library()])
        .output()
        .unwrap();
    let script =
        format!("{}\necho \"$UACCE_SIM_ROOT|$LD_PRELOAD\"", String::from_utf8(output.stdout).unwrap());
    for (before, expected) in [("", String::new()), ("/x.so", "/x.so:".to_owned())] {
        let echoed = Command::new("sh").args(["-c", &script]).env("LD_PRELOAD", before).output().unwrap();
        let text = String::from_utf8(echoed.stdout).unwrap();
        assert_eq!(text, format!("/tmp/a 'b|{expected}{}\n", harmless_library()));
    }
}

#[test]
fn two_daemons_do_not_share_a_directory() {
    let daemon = common::Daemon::start(&[]);
    let second =
        Command::new(env!("CARGO_BIN_EXE_uacce-sim")).arg("serve").arg("--root").arg(&daemon.root).output();
    assert_eq!(second.unwrap().status.code(), Some(1));
    assert_eq!(daemon.free("hisi_zip-1"), 64);
}
