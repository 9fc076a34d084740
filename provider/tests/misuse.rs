//! The `openssl` command with right and wrong input: the same exit status, the same output and the same reasons as without us.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::process::Output;

use common::{Devices, Scratch, run, succeed};

/// Exit status, output, and library and reason of each error line; thread, file and line differ by nature.
fn seen(output: &Output) -> (Option<i32>, Vec<u8>, Vec<String>) {
    let text = String::from_utf8_lossy(&output.stderr);
    let reasons = text.lines().filter(|line| line.contains(":error:")).map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        fields[1..fields.len().min(6)]
            .iter()
            .filter(|field| !field.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(":")
    });
    (output.status.code(), output.stdout.clone(), reasons.collect())
}

/// A folder with keys, messages of several sizes, and damaged files.
fn material(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let key = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem";
    let pss = "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.pem";
    let public = "pkey -in key.pem -pubout -out public.pem";
    for command in [key, pss, public] {
        succeed(scratch.stock("openssl").args(command.split(' ')));
    }
    for len in [0, 20, 32, 245, 246, 256, 257] {
        let mut bytes = vec![0x5a; len];
        bytes.first_mut().into_iter().for_each(|byte| *byte = 0);
        fs::write(scratch.file(format!("m{len}")), bytes).unwrap();
    }
    let pem = fs::read_to_string(scratch.file("key.pem")).unwrap();
    fs::write(scratch.file("cut.pem"), &pem[..pem.len() / 2]).unwrap();
    fs::write(scratch.file("damaged.pem"), pem.replacen("MII", "MIJ", 1)).unwrap();
    fs::write(scratch.file("empty.pem"), "").unwrap();
    succeed(scratch.stock("openssl").args("dgst -sha256 -sign key.pem -out good m32".split(' ')));
    let mut bad = fs::read(scratch.file("good")).unwrap();
    bad[9] ^= 1;
    fs::write(scratch.file("bad"), &bad).unwrap();
    fs::write(scratch.file("short"), &bad[..255]).unwrap();
    for (options, name) in [("", "enc"), (" -pkeyopt rsa_padding_mode:oaep", "oaep")] {
        let encrypt = format!("pkeyutl -encrypt -pubin -inkey public.pem -in m32 -out {name}{options}");
        succeed(scratch.stock("openssl").args(encrypt.split(' ')));
        let mut bad = fs::read(scratch.file(name)).unwrap();
        bad[99] ^= 1;
        fs::write(scratch.file(format!("bad-{name}")), &bad).unwrap();
        fs::write(scratch.file(format!("short-{name}")), &bad[..255]).unwrap();
    }
    scratch
}

const COMMANDS: &[&str] = &[
    "dgst -sha256 -sign cut.pem m32",
    "dgst -sha256 -sign damaged.pem m32",
    "dgst -sha256 -sign empty.pem m32",
    "dgst -sha256 -sign public.pem m32",
    "dgst -sha256 -sign key.pem m32",
    "dgst -sha256 -sign key.pem -sigopt rsa_padding_mode:x931 m32",
    "dgst -sha256 -sign key.pem -sigopt rsa_padding_mode:none m32",
    "dgst -sha256 -sign key.pem -sigopt rsa_padding_mode:oaep m32",
    "dgst -sha256 -sign key.pem -sigopt rsa_padding_mode:nonsense m32",
    "dgst -sha256 -sign key.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:1000 m32",
    "dgst -sha256 -sign pss.pem -sigopt rsa_padding_mode:pkcs1 m32",
    "dgst -sha256 -verify public.pem -signature good m32",
    "dgst -sha256 -verify public.pem -signature bad m32",
    "dgst -sha256 -verify public.pem -signature short m32",
    "dgst -sha256 -verify public.pem -signature good m20",
    "pkeyutl -sign -inkey key.pem -in m0",
    "pkeyutl -sign -inkey key.pem -in m20",
    "pkeyutl -sign -inkey key.pem -in m245",
    "pkeyutl -sign -inkey key.pem -in m246",
    "pkeyutl -sign -inkey key.pem -in m32 -pkeyopt digest:sha256",
    "pkeyutl -sign -inkey key.pem -in m20 -pkeyopt digest:sha256",
    "pkeyutl -sign -inkey key.pem -in m32 -pkeyopt rsa_padding_mode:x931",
    "pkeyutl -sign -inkey key.pem -in m256 -pkeyopt rsa_padding_mode:none",
    "pkeyutl -sign -inkey key.pem -in m257 -pkeyopt rsa_padding_mode:none",
    "pkeyutl -sign -inkey key.pem -in m32 -pkeyopt rsa_padding_mode:none",
    "pkeyutl -sign -inkey public.pem -pubin -in m32",
    "pkeyutl -verifyrecover -pubin -inkey public.pem -in good",
    "pkeyutl -verifyrecover -pubin -inkey public.pem -in bad",
    "pkeyutl -verifyrecover -pubin -inkey public.pem -in short",
    "pkeyutl -verifyrecover -pubin -inkey public.pem -in good -pkeyopt rsa_padding_mode:none",
    "pkeyutl -decrypt -inkey key.pem -in enc",
    "pkeyutl -decrypt -inkey key.pem -in bad-enc",
    "pkeyutl -decrypt -inkey key.pem -in short-enc",
    "pkeyutl -decrypt -inkey key.pem -in m0",
    "pkeyutl -decrypt -inkey key.pem -in m257",
    "pkeyutl -decrypt -inkey key.pem -in m256 -pkeyopt rsa_padding_mode:none",
    "pkeyutl -decrypt -inkey key.pem -in enc -pkeyopt rsa_padding_mode:pss",
    "pkeyutl -decrypt -inkey key.pem -in oaep -pkeyopt rsa_padding_mode:oaep",
    "pkeyutl -decrypt -inkey key.pem -in bad-oaep -pkeyopt rsa_padding_mode:oaep",
    "pkeyutl -decrypt -inkey key.pem -in oaep -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256",
    "pkeyutl -decrypt -inkey key.pem -in oaep -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_mgf1_md:sha256",
    "pkeyutl -decrypt -inkey key.pem -in oaep -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_label:0102",
    "pkeyutl -decrypt -inkey pss.pem -in enc",
    "pkeyutl -decrypt -inkey public.pem -pubin -in enc",
    "pkeyutl -encrypt -inkey public.pem -pubin -in m246",
    "pkeyutl -encrypt -inkey public.pem -pubin -in m257 -pkeyopt rsa_padding_mode:none",
    "pkey -in key.pem -check -noout",
    "pkey -in key.pem -text",
    "rsa -in key.pem -traditional",
    "rsa -in damaged.pem -check",
    "req -x509 -new -key key.pem -subj /CN=a -set_serial 1 -not_before 20260101000000Z -not_after 20270101000000Z",
    "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:100",
];

#[test]
fn the_command_line_sees_no_difference() {
    let scratch = material("misuse-command");
    for devices in [Devices::None, Devices::Simulated] {
        for command in COMMANDS {
            let arguments = || command.split(' ');
            let stock =
                seen(&run(scratch.stock("openssl").env("OPENSSL_CONF", "/dev/null").args(arguments())));
            let ours = seen(&run(scratch.command("openssl", devices).args(arguments())));
            assert_eq!(ours, stock, "{command}, {devices:?}");
        }
    }
    let row = scratch.take_counters().remove("rsa-2048-private").expect("some were signed");
    assert!(row.hardware >= 5, "{row:?}");
}

/// Commands that make something, and stock tools that accept it.
#[test]
fn what_is_made_is_accepted_by_stock_tools() {
    let scratch = material("misuse-made");
    let steps: &[(&str, &str)] = &[
        (
            "dgst -sha256 -sign key.pem -sigopt rsa_padding_mode:pss -out s m257",
            "dgst -sha256 -verify public.pem -sigopt rsa_padding_mode:pss -signature s m257",
        ),
        ("dgst -sha256 -sign pss.pem -out s m257", "dgst -sha256 -prverify pss.pem -signature s m257"),
        ("req -x509 -new -key key.pem -subj /CN=a -out c.pem", "verify -CAfile c.pem c.pem"),
        (
            "req -x509 -newkey rsa:2048 -nodes -keyout k2.pem -subj /CN=b -out c2.pem",
            "verify -CAfile c2.pem c2.pem",
        ),
        ("x509 -in c.pem -signkey key.pem -out c3.pem", "verify -CAfile c3.pem c3.pem"),
        (
            "cms -sign -in m257 -signer c.pem -inkey key.pem -binary -nodetach -outform DER -out cms",
            "cms -verify -in cms -inform DER -CAfile c.pem -purpose any -out m",
        ),
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out k3.pem", "pkey -in k3.pem -check -noout"),
    ];
    for (make, check) in steps {
        succeed(scratch.command("openssl", Devices::Simulated).args(make.split(' ')));
        succeed(scratch.stock("openssl").env("OPENSSL_CONF", "/dev/null").args(check.split(' ')));
        succeed(scratch.command("openssl", Devices::Simulated).args(check.split(' ')));
    }
    let counts = scratch.take_counters().remove("rsa-2048-private").expect("counted");
    // One each, but for the last, which signs nothing.
    assert_eq!((counts.hardware, counts.software.len()), (6, 0), "{counts:?}");
}
