//! Keys and signatures that outlive providers and library contexts, in every order, also under a memory checker; and who
//! signs under which configuration.

mod common;

use common::{Devices, Scratch, run, said, succeed};

/// Words for `tests/c/lifetimes.c` that give everything back.
const CLEAN: [&str; 14] = [
    "dwkskKWDL",
    "wdkskKDWL",
    "dwksDKWL",
    "dwkpWDPKL",
    "dwkpWDKPL",
    "wdkpsPKWDL",
    "dwWwWDL",
    "wnWL",
    "wndWDL",
    "wdkDsKWL",
    "dwkxxKWDL",
    "wdkcxWDxCKL",
    "dwkcxDWKCL",
    "wdkxsDxKWL",
];

/// Words that end with keys, signatures or whole library contexts left to the end of the process, or fork.
const LEFT_OVER: [&str; 12] = [
    "wdksDsKWL",
    "wdkfsKDWL",
    "dwkfsKWDL",
    "dwkL",
    "dwkspL",
    "wdksL",
    "dw",
    "wdks",
    "wdkcfxCKDWL",
    "dwkxcfxsCKWDL",
    "wdkcxL",
    "wdkxc",
];

#[test]
fn every_order_of_loading_and_unloading_works() {
    let scratch = Scratch::new("lifetimes");
    let program = scratch.compile("lifetimes");
    for devices in [Devices::None, Devices::Simulated] {
        let mut command = scratch.command(&program, devices);
        // The program loads what it wants itself.
        command.env_remove("OPENSSL_CONF").arg(scratch.file("modules")).args(CLEAN).args(LEFT_OVER);
        let output = succeed(&mut command);
        assert_eq!(said(&output).matches(" good\n").count(), CLEAN.len() + LEFT_OVER.len(), "{output:?}");
    }
}

/// Not with words that fork: a child leaves its parent's process state alone for good, on purpose.
#[test]
fn no_order_loses_memory_or_uses_what_is_gone() {
    let scratch = Scratch::new("lifetimes-memory");
    let program = scratch.compile("lifetimes");
    let mut command = scratch.command("valgrind", Devices::None);
    command.env_remove("OPENSSL_CONF");
    command.args(["--quiet", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite"]);
    command.args(["--errors-for-leak-kinds=definite"]).arg(program).arg(scratch.file("modules")).args(CLEAN);
    let output = succeed(&mut command);
    assert_eq!(said(&output).matches(" good\n").count(), CLEAN.len(), "{output:?}");
}

/// Both providers in either order, and the operation switched off by name.
#[test]
fn configuration_decides_who_signs() {
    let scratch = Scratch::new("configuration");
    let program = scratch.compile("who");
    let sample = std::fs::read_to_string(scratch.file("openssl.cnf")).expect("the sample");
    let ask = |configuration: &str| {
        std::fs::write(scratch.file("openssl.cnf"), configuration).expect("written");
        run(scratch.command(&program, Devices::None).arg("RSA"))
    };
    let changed = |from: &str, to: &str| {
        let changed = sample.replace(from, to);
        assert_ne!(changed, sample, "the sample has no {from:?}");
        changed
    };
    assert_eq!(said(&ask(&sample)), "warpdrive warpdrive 1\n");
    let swapped = changed(
        "default   = default_sect\nwarpdrive = warpdrive_sect\n",
        "warpdrive = warpdrive_sect\ndefault   = default_sect\n",
    );
    assert_eq!(said(&ask(&swapped)), "warpdrive warpdrive 1\n");
    assert_eq!(said(&ask(&changed("rsa = on", "rsa = off"))), "default default 1\n");
    assert_eq!(said(&ask(&changed("?provider=warpdrive", "?provider=default"))), "default default 1\n");
    // A value that is not understood leaves its default in force. (OpenSSL drops what is said about it while it reads its
    // configuration.)
    assert_eq!(said(&ask(&changed("rsa = on", "rsa = perhaps"))), "warpdrive warpdrive 1\n");

    scratch.take_counters();
    ask(&changed("rsa-private = on", "rsa-private = off"));
    let counts = scratch.take_counts();
    assert_eq!(counts["rsa-2048-private"], (0, [("policy".to_owned(), 1)].into()), "{counts:?}");
}
