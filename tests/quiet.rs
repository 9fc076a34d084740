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

/// Takes out the loader's work on the files that `ours` recognises, from the `openat` to the `close`: reading headers,
/// mapping segments. What it does to them later is one `mprotect` per file, by address only.
fn without_loading(calls: &[String], ours: impl Fn(&str) -> bool) -> (Vec<&String>, usize) {
    let mut rest = Vec::new();
    let mut loaded = 0;
    let mut descriptor: Option<String> = None;
    for call in calls {
        if let Some(number) = &descriptor {
            let name = call.split('(').next().unwrap_or_default();
            assert!(
                matches!(
                    name,
                    "read" | "pread64" | "newfstatat" | "fstat" | "mmap" | "mprotect" | "munmap" | "close"
                ),
                "no call of the loader's: {call}"
            );
            if *call == format!("close({number})            = 0")
                || call.starts_with(&format!("close({number})"))
            {
                descriptor = None;
            }
        } else if ours(call) {
            // A search that fails is over at once.
            descriptor =
                call.rsplit("= ").next().filter(|number| !number.starts_with('-')).map(str::to_owned);
            loaded += usize::from(descriptor.is_some());
        } else {
            rest.push(call);
        }
    }
    (rest, loaded)
}

/// The calls that remain when memory bookkeeping is left out: it is what loading any file brings, and goes by address.
fn observable<'a>(calls: &[&'a String]) -> Vec<String> {
    let name = |call: &'a str| call.split('(').next().unwrap_or_default();
    let kept =
        calls.iter().filter(|call| !matches!(name(call), "brk" | "mmap" | "munmap" | "mprotect" | "execve"));
    // Addresses and random bytes differ from run to run.
    kept.map(|call| {
        let words = call.split(|letter: char| " ,(){}=".contains(letter));
        words.filter(|word| !word.starts_with("0x") && !word.contains("\\x")).collect::<Vec<_>>().join(" ")
    })
    .collect()
}

fn difference(baseline: &[String], ours: &[String]) -> Vec<String> {
    let mut left = baseline.to_vec();
    let mut added = Vec::new();
    for call in ours {
        match left.iter().position(|other| other == call) {
            Some(at) => drop(left.remove(at)),
            None => added.push(call.clone()),
        }
    }
    added
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
        quiet(&scratch, &plain, &preloaded, &shim);
    }
    assert_eq!(scratch.counters().processes, 0, "nothing was used, so nothing is counted");
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
    quiet(&scratch, &empty, &ours, &dist().join("lib/ossl-modules/warpdrive.so"));
    assert_eq!(scratch.counters().processes, 0, "nothing was used, so nothing is counted");
}

fn quiet(scratch: &Scratch, without: &Command, with: &Command, library: &Path) {
    let library = library.to_str().unwrap();
    let loads_ours = |call: &str| {
        let opens = call.starts_with("openat(") || call.starts_with("open(") || call.starts_with("access(");
        // libgcc_s is what unwinding needs, /etc/ld.so.cache how it is found.
        opens && (call.contains(library) || call.contains("warpdrive.so") || call.contains("libgcc_s.so.1"))
    };
    let (baseline, _) = without_loading_of(&calls(scratch, without), loads_ours);
    let (rest, loaded) = without_loading_of(&calls(scratch, with), loads_ours);
    assert!(loaded >= 1, "{library} was not loaded at all");
    let added = difference(&baseline, &rest);
    assert!(added.is_empty(), "{library} in {:?} adds: {added:#?}", with.get_program());
}

fn without_loading_of(calls: &[String], ours: impl Fn(&str) -> bool) -> (Vec<String>, usize) {
    let (rest, loaded) = without_loading(calls, ours);
    (observable(&rest), loaded)
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
