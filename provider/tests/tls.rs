//! A TLS server of ours and stock clients: what each handshake does with the server's key is counted once, in hardware.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Devices, Scratch, said, succeed};

const HANDSHAKES: usize = 4;

/// A row: its name, operations in hardware, operations in software by reason.
type Counted = (String, u64, Vec<(String, u64)>);

/// Runs `openssl s_server` with a fresh key and serves a stock client some pages. Gives the counters' rows of the key's own
/// operations.
fn serve(name: &str, devices: Devices, key: &[&str], options: &[&str]) -> Vec<Counted> {
    let scratch = Scratch::new(name);
    let mut request = scratch.stock("openssl");
    request.env("OPENSSL_CONF", "/dev/null").args([
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]);
    request.args(["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]);
    succeed(request.arg("-newkey").args(key));

    let mut server = scratch.command("openssl", devices);
    server.args(["s_server", "-accept", "127.0.0.1:0", "-www", "-naccept", &HANDSHAKES.to_string()]);
    server.args(["-cert", "cert.pem", "-key", "key.pem"]).args(options);
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let accept = lines.find(|line| line.starts_with("ACCEPT")).expect("the server says where it listens");
    let address = format!("127.0.0.1:{}", accept.rsplit(':').next().unwrap());
    std::fs::write(scratch.file("get"), "GET / HTTP/1.0\r\n\r\n").unwrap();
    for _ in 0..HANDSHAKES {
        let mut client = scratch.stock("timeout");
        client.env("OPENSSL_CONF", "/dev/null").args(["60", "openssl", "s_client", "-connect", &address]);
        client.args([
            "-CAfile",
            "cert.pem",
            "-verify_return_error",
            "-verify_hostname",
            "localhost",
            "-ign_eof",
        ]);
        client.args(options).stdin(std::fs::File::open(scratch.file("get")).unwrap());
        let output = succeed(&mut client);
        assert!(said(&output).contains("HTTP/1.0 200 ok"), "{}", said(&output));
    }
    lines.for_each(drop);
    assert!(server.wait().unwrap().success());
    let own = |name: &str| name.ends_with("-private") || name.ends_with("-sign");
    let rows = scratch.take_counters().into_iter().filter(|(name, _)| own(name));
    rows.map(|(name, row)| (name, row.hardware, row.software.into_iter().collect())).collect()
}

fn expect_hardware(name: &str, key: &[&str], options: &[&str], row: &str) {
    let rows = serve(name, Devices::Simulated, key, options);
    assert_eq!(rows, [(row.to_owned(), HANDSHAKES as u64, vec![])]);
}

/// The only use of decryption in TLS: no signature is made, the client encrypts its premaster secret.
#[test]
fn rsa_key_exchange() {
    for (number, cipher) in ["AES128-GCM-SHA256", "AES256-SHA"].iter().enumerate() {
        let name = format!("tls-rsa-exchange-{number}");
        expect_hardware(&name, &["rsa:2048"], &["-tls1_2", "-cipher", cipher], "rsa-2048-private");
    }
}

#[test]
fn rsa_key_exchange_without_a_device() {
    let options = ["-tls1_2", "-cipher", "AES128-GCM-SHA256"];
    let rows = serve("tls-rsa-exchange-none", Devices::None, &["rsa:2048"], &options);
    let software = vec![("no-device".to_owned(), HANDSHAKES as u64)];
    assert_eq!(rows, [("rsa-2048-private".to_owned(), 0, software)]);
}

#[test]
fn certificates_of_every_kind() {
    expect_hardware("tls-rsa", &["rsa:2048"], &["-tls1_3"], "rsa-2048-private");
    let pss = ["rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"];
    expect_hardware("tls-pss", &pss, &["-tls1_3"], "rsa-2048-private");
    for (curve, row) in
        [("P-256", "ecdsa-p-256-sign"), ("P-384", "ecdsa-p-384-sign"), ("P-521", "ecdsa-p-521-sign")]
    {
        let curve = format!("ec_paramgen_curve:{curve}");
        let key = ["ec", "-pkeyopt", &curve];
        expect_hardware("tls-ec", &key, &["-tls1_3"], row);
        expect_hardware("tls-ec-12", &key, &["-tls1_2"], row);
    }
}
