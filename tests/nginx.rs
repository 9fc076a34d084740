//! Debian's nginx, unmodified, serving HTTPS through the provider and gzip through the shim, on simulated devices and with none.
//!
//! `WARPDRIVE_HANDSHAKES` says how many full handshakes; a few hundred by default.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::{Devices, Scratch, Simulator, failures, stock, succeed};

/// Handshakes of one run.
fn count() -> u64 {
    std::env::var("WARPDRIVE_HANDSHAKES").map_or(300, |count| count.parse().unwrap())
}

/// Debian's program, which `scripts/test` unpacks without installing it; else the system's.
fn program() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages/usr/sbin/nginx");
    if unpacked.exists() { unpacked } else { "nginx".into() }
}

/// A port that was free a moment ago.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An nginx with two workers, until this value is dropped.
struct Nginx {
    master: Child,
    port: u16,
    plain_port: u16,
}

impl Nginx {
    fn start(scratch: &Scratch, devices: Devices<'_>) -> Self {
        scratch.key(2048);
        fs::create_dir(scratch.file("html")).unwrap();
        fs::write(scratch.file("html/text"), text()).unwrap();
        let (port, plain_port) = (port(), port());
        let configuration = format!(
            "env OPENSSL_CONF; env OPENSSL_MODULES; env WARPDRIVE_CONF; env WARPDRIVE_STATS_DIR; env LD_PRELOAD; env UACCE_SIM_ROOT;
            daemon off; user root; worker_processes 2; pid nginx.pid; error_log stderr warn;
            events {{ worker_connections 256; }}
            http {{
                access_log off; gzip on; gzip_types text/plain; default_type text/plain;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                ssl_session_cache off; ssl_session_tickets off; ssl_ciphers ALL; ssl_prefer_server_ciphers off;
                server {{
                    listen 127.0.0.1:{port} ssl; listen 127.0.0.1:{plain_port}; root html;
                    ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate certificate.pem; ssl_certificate_key key.pem;
                }}
            }}\n"
        );
        fs::write(scratch.file("nginx.conf"), configuration).unwrap();
        let directory = scratch.file(".");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = stock(program());
        scratch.accelerate(&mut command, devices);
        command.arg("-p").arg(&directory).arg("-c").arg(scratch.file("nginx.conf"));
        let log = fs::File::create(scratch.file("error.log")).unwrap();
        let mut nginx = Self { master: command.stderr(log).spawn().unwrap(), port, plain_port };
        // The listening sockets are made before the workers: once it accepts, it serves.
        while TcpStream::connect(("127.0.0.1", plain_port)).is_err() {
            assert!(nginx.master.try_wait().unwrap().is_none(), "{}", nginx.log(scratch));
            std::thread::yield_now();
        }
        nginx
    }

    #[expect(clippy::unused_self, reason = "there is a log once it has started")]
    fn log(&self, scratch: &Scratch) -> String {
        fs::read_to_string(scratch.file("error.log")).unwrap()
    }

    fn signal(&self, name: &str) {
        succeed(stock("kill").args([format!("-{name}"), self.master.id().to_string()]));
    }

    /// Ends it in the orderly way, so that its workers end with it.
    fn stop(mut self, scratch: &Scratch) {
        self.signal("QUIT");
        let status = self.master.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log(scratch));
        assert_eq!(self.log(scratch), "", "nothing to complain about");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Only after a failure is there anything left.
        let _ = stock("pkill").args(["-KILL", "-P", &self.master.id().to_string()]).status();
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

/// What is served; long enough for ZIP.
fn text() -> String {
    (0..20_000).map(|number| format!("line {number} of a text that a server compresses\n")).collect()
}

/// Handshakes with one reload among them; every one must do.
fn handshakes(scratch: &Scratch, devices: Devices<'_>) {
    let nginx = Nginx::start(scratch, devices);
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/handshakes.py");
    let mut client = stock("python3")
        .arg(client)
        .arg(nginx.port.to_string())
        .arg(scratch.file("certificate.pem"))
        .args([count().to_string(), "4".into()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(text().as_bytes()).unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("half"));
    nginx.signal("HUP");
    let report: Vec<_> = lines.collect();
    println!("{report:?}");
    assert!(client.wait().unwrap().success(), "{report:?}\n{}", nginx.log(scratch));
    assert_eq!(report, [format!("{} done, 0 failed", count())]);
    nginx.stop(scratch);
}

#[test]
fn handshakes_in_hardware_through_a_reload() {
    let simulator = Simulator::start(&["--hw", "v3"]);
    let scratch = Scratch::new("nginx-simulated");
    handshakes(&scratch, Devices::Simulated(&simulator));
    let row = scratch.row("rsa-2048-private");
    println!("{row:?}");
    assert_eq!(row.hardware, count(), "each handshake signs or decrypts once: {row:?}");
    assert!(failures(&row).is_empty(), "{row:?}");
    assert_eq!(simulator.free_queues("hisi_hpre"), 64, "workers that ended gave their queues back");
}

#[test]
fn handshakes_without_a_device() {
    let scratch = Scratch::new("nginx-no-device");
    handshakes(&scratch, Devices::None);
    let row = scratch.row("rsa-2048-private");
    assert_eq!((row.hardware, failures(&row)), (0, vec![("no-device", count())]));
}

#[test]
fn responses_are_compressed_in_hardware() {
    let simulator = Simulator::start(&["--hw", "v3"]);
    let scratch = Scratch::new("nginx-gzip");
    let nginx = Nginx::start(&scratch, Devices::Simulated(&simulator));
    for _ in 0..3 {
        let mut connection = TcpStream::connect(("127.0.0.1", nginx.plain_port)).unwrap();
        // nginx compresses for HTTP/1.1 and newer only.
        let request =
            "GET /text HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.contains("Content-Encoding: gzip"), "{head}");
        let body = unchunked(&answer[end..]);
        let plain = common::run_with_input(stock("gzip").arg("-dc"), &body);
        assert!(plain.status.success() && plain.stdout == text().as_bytes(), "{plain:?}");
    }
    nginx.stop(&scratch);
    let row = scratch.row("deflate");
    println!("{row:?}");
    assert!(row.hardware > 0 && failures(&row).is_empty(), "{row:?}");
}

/// The bytes of a body in chunked transfer coding (RFC 9112 §7.1).
fn unchunked(mut coded: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = coded.windows(2).position(|two| two == b"\r\n").expect("a chunk size");
        let size = usize::from_str_radix(std::str::from_utf8(&coded[..end]).unwrap(), 16).unwrap();
        let chunk = &coded[end + 2..];
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunk[..size]);
        coded = &chunk[size + 2..];
    }
}
