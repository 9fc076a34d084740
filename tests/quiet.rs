//! A process that loads either library and uses neither: no system call beyond the loader's own for our files, no file
//! left open, no thread, no output.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Devices, Scratch, Simulator, dist, run, stock, succeed};

/// System calls of a program as strace shows them, addresses and descriptors' numbers taken out, so that two runs compare.
fn calls(scratch: &Scratch, command: &Command) -> Vec<String> {
    let log = scratch.file("strace");
    let mut strace = stock("strace");
    strace.arg("-f").arg("-o").arg(&log).args(["-E", "LC_ALL=C.UTF-8"]);
    for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        let mut pair = name.to_owned();
        pair.push("=");
        pair.push(value);
        strace.arg("-E").arg(pair);
    }
    succeed(strace.arg(command.get_program()).args(command.get_args()));
    let text = fs::read_to_string(log).unwrap();
    text.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim().to_owned())).collect()
}

/// The calls of a run that its user could notice.
///
/// Left out is the loader's work on our files and on what they need (libgcc_s, found by way of the loader's cache), from
/// the `openat` to the `close`, and the memory bookkeeping that loading any file brings: it goes by address.
fn noticeable(calls: &[String]) -> Vec<String> {
    let loads_ours = |call: &str| {
        let opens = ["openat(", "open(", "access("].iter().any(|name| call.starts_with(name));
        opens && ["warpdrive", "libgcc_s.so.1", "/etc/ld.so.cache"].iter().any(|file| call.contains(file))
    };
    let mut kept = Vec::new();
    let mut end_of_loading: Option<String> = None;
    for call in calls {
        let name = call.split('(').next().unwrap_or_default();
        if let Some(end) = &end_of_loading {
            let loader = ["read", "pread64", "newfstatat", "fstat", "mmap", "mprotect", "munmap", "close"];
            assert!(loader.contains(&name), "while the loader maps a file of ours: {call}");
            if call.starts_with(end) {
                end_of_loading = None;
            }
        } else if loads_ours(call) {
            // A search that fails opens nothing, so there is nothing to close.
            let descriptor = call.rsplit("= ").next().filter(|number| !number.starts_with('-'));
            end_of_loading = descriptor.map(|number| format!("close({number})"));
        } else if !["brk", "mmap", "munmap", "mprotect", "execve", "set_tid_address"].contains(&name) {
            kept.push(without_addresses(call));
        }
    }
    kept
}

/// Addresses and random bytes differ from run to run.
fn without_addresses(call: &str) -> String {
    let words = call.split(|letter: char| " ,(){}=".contains(letter));
    words.filter(|word| !word.starts_with("0x") && !word.contains("\\x")).collect::<Vec<_>>().join(" ")
}

/// What `ours` has more of than `baseline`.
fn added(baseline: &[String], ours: &[String]) -> Vec<String> {
    let mut left = baseline.to_vec();
    let is_new = |call: &&String| match left.iter().position(|other| other == *call) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    };
    ours.iter().filter(is_new).cloned().collect()
}

fn assert_quiet(scratch: &Scratch, without: &Command, with: &Command, library: &Path) {
    let calls_with = calls(scratch, with);
    let loads = |call: &String| call.contains(library.to_str().unwrap()) && !call.contains(" = -1 ");
    assert!(calls_with.iter().any(loads), "{} was not loaded at all", library.display());
    let added = added(&noticeable(&calls(scratch, without)), &noticeable(&calls_with));
    assert!(added.is_empty(), "{} in {:?} adds: {added:#?}", library.display(), with.get_program());
    assert_eq!(scratch.counters().processes, 0, "nothing was used, so nothing is counted");
}

/// With the shim preloaded, and nothing else.
#[test]
fn the_shim_adds_nothing_before_its_first_use() {
    let scratch = Scratch::new("quiet-shim");
    let shim = dist().join("lib/libwarpdrive_z.so");
    for program in ["/bin/true", "/bin/cat", "/usr/bin/gzip"] {
        let mut plain = stock(program);
        plain.arg("--version");
        let mut preloaded = stock(program);
        preloaded.arg("--version").env("LD_PRELOAD", &shim);
        preloaded.env("WARPDRIVE_STATS_DIR", scratch.file("counters"));
        assert_quiet(&scratch, &plain, &preloaded, &shim);
    }
}

/// With the provider configured, compared with a provider that does nothing at all.
#[test]
fn the_provider_adds_nothing_before_its_first_use() {
    let scratch = Scratch::new("quiet-provider");
    let program = scratch.compile("at_rest", &["-lcrypto", "-lz"]);
    let module = scratch.file("modules/warpdrive.so");
    fs::create_dir(scratch.file("modules")).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/empty_provider.c");
    succeed(stock("cc").args(["-shared", "-fPIC", "-o"]).arg(&module).arg(source));
    let mut empty = stock(&program);
    empty.env("OPENSSL_CONF", dist().join("etc/openssl.cnf")).env("OPENSSL_MODULES", scratch.file("modules"));
    let mut ours = stock(&program);
    ours.env("OPENSSL_CONF", dist().join("etc/openssl.cnf"));
    ours.env("OPENSSL_MODULES", dist().join("lib/ossl-modules"));
    ours.env("WARPDRIVE_STATS_DIR", scratch.file("counters"));
    assert_quiet(&scratch, &empty, &ours, &dist().join("lib/ossl-modules/warpdrive.so"));
}

/// Both libraries in one process, on simulated devices and with none: files, threads and output are those of the process
/// without them.
#[test]
fn at_rest_nothing_is_held_open_and_nothing_runs() {
    let scratch = Scratch::new("at-rest");
    let program = scratch.compile("at_rest", &["-lcrypto", "-lz"]);
    let simulator = Simulator::start(&[]);
    let plain = run(&mut stock(&program));
    assert!(plain.status.success());
    for devices in [Devices::None, Devices::Simulated(&simulator)] {
        let ours = run(&mut scratch.client(&program, devices));
        assert_eq!(String::from_utf8(ours.stdout).unwrap(), String::from_utf8(plain.stdout.clone()).unwrap());
        assert_eq!(String::from_utf8(ours.stderr).unwrap(), "");
    }
    assert_eq!(scratch.counters().processes, 0);
}
