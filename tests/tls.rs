//! TLS between two accelerated `openssl` programs: versions, certificates and groups, on simulated devices. Every handshake is
//! looked for in the counters. `WARPDRIVE_TLS_MATRIX=all` tries every combination; without it each group meets each version once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use common::{Devices, Scratch, Simulator, run_with_input, stock, succeed};

/// What a group is called, and the row of its exchanges; `None` where no device computes it.
const GROUPS: [(&str, Option<&str>); 10] = [
    ("X25519", Some("x25519")),
    ("P-256", Some("ecdh-p-256")),
    ("X448", Some("x448")),
    ("P-384", Some("ecdh-p-384")),
    ("P-521", Some("ecdh-p-521")),
    ("ffdhe2048", Some("dh-2048")),
    ("ffdhe3072", Some("dh-3072")),
    ("ffdhe4096", Some("dh-4096")),
    ("ffdhe6144", None),
    ("ffdhe8192", None),
];

/// A self-signed certificate of each kind, made by stock tools: `rsa.pem`, `ecdsa.pem` with key and certificate.
fn certificates(scratch: &Scratch) {
    for (name, kind) in
        [("rsa", &["rsa:2048"][..]), ("ecdsa", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])]
    {
        let (key, certificate) = (scratch.file("key"), scratch.file("certificate"));
        let mut request = stock("openssl");
        request.args(["req", "-x509", "-nodes", "-subj", "/CN=localhost", "-days", "2"]);
        request.args(["-addext", "subjectAltName=DNS:localhost", "-newkey"]).args(kind);
        succeed(request.arg("-keyout").arg(&key).arg("-out").arg(&certificate));
        let both = fs::read_to_string(key).unwrap() + &fs::read_to_string(certificate).unwrap();
        fs::write(scratch.file(format!("{name}.pem")), both).unwrap();
    }
}

/// A running `openssl s_server`.
struct Server {
    process: Child,
    address: String,
    certificate: PathBuf,
}

impl Server {
    fn start(
        scratch: &Scratch,
        devices: Devices<'_>,
        version: &str,
        certificate: &str,
        clients: usize,
    ) -> Self {
        let certificate = scratch.file(format!("{certificate}.pem"));
        let groups: Vec<&str> = GROUPS.iter().map(|(group, _)| *group).collect();
        let mut server = scratch.client("openssl", devices);
        server.args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-www",
            "-naccept",
            &clients.to_string(),
            version,
        ]);
        server.args(["-groups", &groups.join(":"), "-cipher", "ALL:@SECLEVEL=1"]);
        server.arg("-cert").arg(&certificate).arg("-key").arg(&certificate);
        let mut process = server.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines().map(|line| line.unwrap());
        let accept = lines.find(|line| line.starts_with("ACCEPT")).expect("the server says where it listens");
        let address = format!("127.0.0.1:{}", accept.rsplit(':').next().unwrap());
        Self { process, address, certificate }
    }

    /// One connection with these options; gives what the client says about it.
    fn meet(&self, scratch: &Scratch, devices: Devices<'_>, options: &[&str]) -> String {
        let mut client = scratch.client("openssl", devices);
        client.args(["s_client", "-ign_eof", "-verify_return_error", "-verify_hostname", "localhost"]);
        client.args(["-connect", &self.address]).args(options).arg("-CAfile").arg(&self.certificate);
        let output = run_with_input(&mut client, b"GET / HTTP/1.0\r\n\r\n");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && said.contains("HTTP/1.0 200 ok"),
            "{options:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    /// The server must have ended well by itself.
    fn end(mut self) {
        std::io::copy(&mut self.process.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
        let mut said = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.process.wait().unwrap().success(), "{said}");
    }
}

/// Requires that `row` moved by `hardware` since `before`, and that software did none of it.
fn moved(scratch: &Scratch, before: &warpdrive::stats::Totals, row: &str, hardware: u64, what: &str) {
    let after = scratch.row(row);
    let before = before.algorithms.get(row).cloned().unwrap_or_default();
    assert_eq!(after.hardware - before.hardware, hardware, "{what}: {row}: {before:?}, then {after:?}");
    assert_eq!(after.software, before.software, "{what}: {row}");
}

/// The row under which a certificate's signatures are counted.
fn signature(certificate: &str) -> &'static str {
    if certificate == "rsa" { "rsa-2048-private" } else { "ecdsa-p-256-sign" }
}

#[test]
fn every_group_in_both_versions_with_both_certificates() {
    let everything = std::env::var("WARPDRIVE_TLS_MATRIX").is_ok_and(|matrix| matrix == "all");
    let simulator = Simulator::start(&["--hw", "v3"]);
    let devices = Devices::Simulated(&simulator);
    let scratch = Scratch::new("tls-matrix");
    certificates(&scratch);
    for (turn, certificate) in ["rsa", "ecdsa"].into_iter().enumerate() {
        for version in ["-tls1_2", "-tls1_3"] {
            let chosen = |(place, _): &(usize, &(&str, Option<&str>))| everything || place % 2 == turn;
            let groups: Vec<_> = GROUPS.iter().enumerate().filter(chosen).map(|(_, group)| *group).collect();
            let server = Server::start(&scratch, devices, version, certificate, groups.len());
            for (group, row) in groups {
                let what = format!("{version}, {certificate}, {group}");
                // TLS 1.2 has its finite-field groups by another way of key exchange: a size of the server's own.
                let is_finite = group.starts_with("ffdhe");
                let old = version == "-tls1_2";
                let cipher = match certificate {
                    "rsa" if old && is_finite => "DHE-RSA-AES128-GCM-SHA256",
                    "rsa" => "ECDHE-RSA-AES128-GCM-SHA256",
                    _ => "ECDHE-ECDSA-AES128-GCM-SHA256",
                };
                let group = if old && is_finite { "P-256" } else { group };
                let row = if old && is_finite {
                    // The server's size goes with its certificate's: about 2048 bits.
                    Some(if certificate == "rsa" { "dh-2048" } else { "ecdh-p-256" })
                } else {
                    row
                };
                // TLS 1.2 asks for the certificate's curve among the groups; the first is what is used.
                let groups =
                    if old && group != "P-256" { format!("{group}:P-256") } else { group.to_owned() };
                let before = scratch.counters();
                let options = [version, "-groups", &groups, "-cipher", cipher];
                let said = server.meet(&scratch, devices, &options);
                assert!(said.contains(if old { "New, TLSv1.2" } else { "New, TLSv1.3" }), "{what}: {said}");
                if let Some(row) = row {
                    moved(&scratch, &before, row, 2, &what);
                }
                moved(&scratch, &before, signature(certificate), 1, &what);
            }
            server.end();
        }
    }
}

/// TLS 1.2 without key agreement: the client encrypts to the certificate's key.
#[test]
fn rsa_key_exchange() {
    let simulator = Simulator::start(&["--hw", "v3"]);
    let devices = Devices::Simulated(&simulator);
    let scratch = Scratch::new("tls-rsa-exchange");
    certificates(&scratch);
    let server = Server::start(&scratch, devices, "-tls1_2", "rsa", 1);
    let before = scratch.counters();
    let said = server.meet(&scratch, devices, &["-tls1_2", "-cipher", "AES128-SHA"]);
    assert!(said.contains("Cipher is AES128-SHA"), "{said}");
    moved(&scratch, &before, "rsa-2048-private", 1, "RSA key exchange");
    server.end();
}

/// Without a device the same handshakes work, and are counted.
#[test]
fn without_a_device() {
    let scratch = Scratch::new("tls-matrix-none");
    certificates(&scratch);
    let server = Server::start(&scratch, Devices::None, "-tls1_3", "ecdsa", 2);
    for (group, row) in [("X25519", "x25519"), ("ffdhe2048", "dh-2048")] {
        server.meet(&scratch, Devices::None, &["-groups", group]);
        let row = scratch.row(row);
        assert_eq!((row.hardware, row.software.get("no-device")), (0, Some(&2)), "{group}: {row:?}");
    }
    server.end();
}

/// One side ours, the other stock, both ways round.
#[test]
fn with_stock_peers() {
    let simulator = Simulator::start(&["--hw", "v3"]);
    let devices = Devices::Simulated(&simulator);
    let scratch = Scratch::new("tls-stock");
    certificates(&scratch);
    let server = Server::start(&scratch, devices, "-tls1_3", "rsa", GROUPS.len());
    for (group, row) in GROUPS {
        let mut client = stock("timeout");
        client.args(["60", "openssl", "s_client", "-ign_eof", "-verify_return_error", "-groups", group]);
        client.args(["-connect", &server.address]).arg("-CAfile").arg(&server.certificate);
        let before = scratch.counters();
        let output = run_with_input(&mut client, b"GET / HTTP/1.0\r\n\r\n");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("HTTP/1.0 200 ok"), "{group}: {said}");
        if let Some(row) = row {
            moved(&scratch, &before, row, 1, group);
        }
    }
    server.end();
}
