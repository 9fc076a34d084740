//! The `openssl` command with the provider configured: on simulated devices, with none, and with bad input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Devices, Scratch, Simulator, failures, run, run_with_input, stock, succeed};

/// Every way of the command line to make one private operation with `key`: arguments that sign `message` into `out`.
fn ways_to_sign(key: &Path, message: &Path, out: &Path) -> Vec<Vec<String>> {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let dgst = |digest: &str, options: &[&str]| {
        let mut arguments = vec!["dgst".to_owned(), digest.to_owned(), "-sign".to_owned(), path(key)];
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        arguments.extend(["-out".to_owned(), path(out), path(message)]);
        arguments
    };
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt"];
    vec![
        dgst("-sha256", &[]),
        dgst("-sha1", &[]),
        dgst("-sha512", &[]),
        dgst("-sha256", &[pss[0], pss[1], pss[2], "rsa_pss_saltlen:digest"]),
        dgst("-sha384", &[pss[0], pss[1], pss[2], "rsa_pss_saltlen:max"]),
    ]
}

/// The arguments that verify what [`ways_to_sign`] made, from the ones that made it.
fn verification(signing: &[String], public: &Path) -> Vec<String> {
    let mut arguments = signing.to_vec();
    let at =
        |arguments: &[String], name: &str| arguments.iter().position(|argument| argument == name).unwrap();
    let sign = at(&arguments, "-sign");
    arguments[sign] = "-verify".into();
    arguments[sign + 1] = public.to_str().unwrap().into();
    let out = at(&arguments, "-out");
    arguments[out] = "-signature".into();
    arguments
}

fn sign_every_way(scratch: &Scratch, devices: Devices<'_>) -> u64 {
    let (message, signature) = (scratch.file("message"), scratch.file("signature"));
    fs::write(&message, "what is signed\n".repeat(1000)).unwrap();
    let (key, public) = (scratch.file("key.pem"), scratch.file("public.pem"));
    let ways = ways_to_sign(&key, &message, &signature);
    for signing in &ways {
        succeed(scratch.client("openssl", devices).args(signing));
        let ours = fs::read(&signature).unwrap();
        let verifying = verification(signing, &public);
        succeed(stock("openssl").args(&verifying));
        succeed(scratch.client("openssl", devices).args(&verifying));
        if !signing.iter().any(|argument| argument.contains("pss")) {
            succeed(stock("openssl").args(signing));
            assert!(fs::read(&signature).unwrap() == ours, "PKCS#1 v1.5 has one right answer: {signing:?}");
        }
    }
    ways.len() as u64
}

#[test]
fn signs_in_hardware_and_stock_tools_agree() {
    for version in ["v2", "v3"] {
        let simulator = Simulator::start(&["--hw", version]);
        for bits in [1024, 2048, 3072, 4096] {
            let scratch = Scratch::new(&format!("sign-{version}-{bits}"));
            scratch.key(bits);
            let signed = sign_every_way(&scratch, Devices::Simulated(&simulator));
            let row = scratch.row(&format!("rsa-{bits}-private"));
            assert_eq!((row.hardware, row.software.len()), (signed, 0), "{version} {bits}: {row:?}");
        }
    }
}

#[test]
fn signs_in_software_without_a_device() {
    let scratch = Scratch::new("sign-no-device");
    scratch.key(2048);
    let signed = sign_every_way(&scratch, Devices::None);
    let row = scratch.row("rsa-2048-private");
    assert_eq!(row.hardware, 0);
    assert_eq!(failures(&row), [("no-device", signed)]);
}

/// A key size that no device does: software, for a reason that is no failure.
#[test]
fn signs_odd_sizes_in_software() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("sign-odd-size");
    scratch.key(2056);
    let message = scratch.file("message");
    fs::write(&message, "m").unwrap();
    let signing = &ways_to_sign(&scratch.file("key.pem"), &message, &scratch.file("signature"))[0];
    succeed(scratch.client("openssl", Devices::Simulated(&simulator)).args(signing));
    succeed(stock("openssl").args(verification(signing, &scratch.file("public.pem"))));
    let counters = scratch.counters();
    assert!(
        counters.algorithms.values().all(|row| row.hardware == 0 && failures(row).is_empty()),
        "{counters:?}"
    );
}

/// Handshakes between an accelerated server and stock clients.
fn handshakes(scratch: &Scratch, devices: Devices<'_>, count: usize) {
    scratch.key(2048);
    let files = [("-cert", "certificate.pem"), ("-key", "key.pem")];
    let mut server = scratch.client("openssl", devices);
    server.args(["s_server", "-accept", "127.0.0.1:0", "-www", "-tls1_3", "-naccept", &count.to_string()]);
    server.args(files.iter().flat_map(|(option, name)| [(*option).into(), scratch.file(name)]));
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let accept = lines.find(|line| line.starts_with("ACCEPT")).expect("the server says where it listens");
    let address = format!("127.0.0.1:{}", accept.rsplit(':').next().unwrap());
    for _ in 0..count {
        let mut client = stock("timeout");
        client.args(["60", "openssl", "s_client", "-tls1_3", "-ign_eof", "-verify_return_error"]);
        client.args(["-verify_hostname", "localhost", "-connect", &address]);
        client.arg("-CAfile").arg(scratch.file("certificate.pem"));
        let output = run_with_input(&mut client, b"GET / HTTP/1.0\r\n\r\n");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("New, TLSv1.3") && said.contains("HTTP/1.0 200 ok"),
            "{said}"
        );
    }
    lines.for_each(drop);
    let mut said = String::new();
    server.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(server.wait().unwrap().success(), "{said}");
}

#[test]
fn handshakes_sign_in_hardware_once_each() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("tls");
    handshakes(&scratch, Devices::Simulated(&simulator), 5);
    let row = scratch.row("rsa-2048-private");
    assert_eq!((row.hardware, row.software.len()), (5, 0), "{row:?}");
}

#[test]
fn handshakes_work_without_a_device() {
    let scratch = Scratch::new("tls-no-device");
    handshakes(&scratch, Devices::None, 2);
    let row = scratch.row("rsa-2048-private");
    assert_eq!((row.hardware, failures(&row)), (0, vec![("no-device", 2)]));
}

#[test]
fn lists_itself() {
    let scratch = Scratch::new("list");
    let listing = |command: &mut Command| {
        let output = succeed(command.args(["list", "-providers", "-verbose"]));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let simulator = Simulator::start(&[]);
    for devices in [Devices::None, Devices::Simulated(&simulator)] {
        let text = listing(&mut scratch.client("openssl", devices));
        let ours: Vec<&str> =
            text.lines().skip_while(|line| line.trim() != "warpdrive").skip(1).take(5).collect();
        let value = |name: &str| {
            let line = ours
                .iter()
                .find(|line| line.trim().starts_with(name))
                .unwrap_or_else(|| panic!("{name}: {text}"));
            line.split(':').nth(1).unwrap().trim().to_owned()
        };
        assert!(!value("name").is_empty());
        assert_eq!(value("version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(value("status"), "active");
    }
    let none = scratch.counters();
    assert_eq!(none.processes, 0, "listing is no work, so it counts nothing: {none:?}");
}

#[test]
fn speed_runs() {
    let simulator = Simulator::start(&[]);
    for (name, devices) in [("speed", Devices::Simulated(&simulator)), ("speed-no-device", Devices::None)] {
        let scratch = Scratch::new(name);
        let output = succeed(
            scratch.client("openssl", devices).args(["speed", "-elapsed", "-seconds", "1", "rsa2048"]),
        );
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.lines().any(|line| line.starts_with("rsa 2048 bits")), "{text}");
        let row = scratch.row("rsa-2048-private");
        match devices {
            Devices::Simulated(_) => assert!(row.hardware > 10 && failures(&row).is_empty(), "{row:?}"),
            Devices::None => assert!(row.hardware == 0 && row.software.contains_key("no-device"), "{row:?}"),
        }
    }
}

/// What a user sees of a failure: exit status, standard output, and the error lines without the thread that had them.
fn seen(output: &Output) -> (Option<i32>, String, Vec<String>) {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = errors.lines().map(|line| match line.split_once(":error:") {
        // `error:` code, library, function, reason, file, line, data: the first, second and fourth are what is documented.
        Some((_, error)) => {
            let fields: Vec<&str> = error.split(':').collect();
            [0, 1, 3].map(|index| fields.get(index).copied().unwrap_or_default()).join(":")
        }
        None => line.to_owned(),
    });
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), lines.collect())
}

#[test]
fn bad_input_gets_the_errors_of_stock_tools() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("bad-input");
    let key = scratch.key(2048);
    let path = |name: &str| scratch.file(name).to_str().unwrap().to_owned();
    let write = |name: &str, bytes: &[u8]| fs::write(scratch.file(name), bytes).unwrap();
    let pem = fs::read(&key).unwrap();
    write("message", b"message");
    write("digest", &[7; 32]);
    write("short", &[0; 100]);
    write("wide", &[0xff; 256]);
    write("truncated.pem", &pem[..pem.len() / 2]);
    let damaged: Vec<u8> =
        pem.iter().enumerate().map(|(at, byte)| if at == 400 { b'!' } else { *byte }).collect();
    write("damaged.pem", &damaged);
    write("empty.pem", b"");
    let mut body: Vec<u8> = pem.clone();
    let middle = body.len() / 2;
    body[middle] = if body[middle] == b'A' { b'B' } else { b'A' };
    write("altered.pem", &body);
    succeed(stock("openssl").args([
        "dgst",
        "-sha256",
        "-sign",
        &path("key.pem"),
        "-out",
        &path("pkcs1"),
        &path("message"),
    ]));
    let mut wrong = fs::read(scratch.file("pkcs1")).unwrap();
    wrong[100] ^= 1;
    write("wrong", &wrong);

    let sign = |key: &str| {
        ["dgst", "-sha256", "-sign", &path(key), "-out", "/dev/null", &path("message")]
            .map(String::from)
            .to_vec()
    };
    let verify = |signature: &str, options: &[&str]| {
        let mut arguments =
            ["dgst", "-sha256", "-verify", &path("public.pem"), "-signature", &path(signature)]
                .map(String::from)
                .to_vec();
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        arguments.push(path("message"));
        arguments
    };
    let pkeyutl = |input: &str, options: &[&str]| {
        let mut arguments =
            ["pkeyutl", "-sign", "-inkey", &path("key.pem"), "-in", &path(input), "-out", "/dev/null"]
                .map(String::from)
                .to_vec();
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        arguments
    };
    let pss = ["-sigopt", "rsa_padding_mode:pss"];
    let none = ["-pkeyopt", "rsa_padding_mode:none"];
    let cases = [
        sign("truncated.pem"),
        sign("damaged.pem"),
        sign("empty.pem"),
        sign("public.pem"),
        verify("pkcs1", &[]),
        verify("wrong", &[]),
        verify("short", &[]),
        verify("pkcs1", &pss),
        pkeyutl("short", &none),
        pkeyutl("wide", &none),
        pkeyutl("short", &["-pkeyopt", "digest:sha256"]),
        pkeyutl("digest", &["-pkeyopt", "digest:sha256", "-pkeyopt", "rsa_padding_mode:nonsense"]),
        pkeyutl("digest", &["-pkeyopt", "digest:sha256", "-pkeyopt", "rsa_padding_mode:oaep"]),
        pkeyutl("digest", &["-pkeyopt", "digest:sha512"]),
        pkeyutl(
            "digest",
            &[
                "-pkeyopt",
                "rsa_padding_mode:pss",
                "-pkeyopt",
                "digest:sha256",
                "-pkeyopt",
                "rsa_pss_saltlen:500",
            ],
        ),
    ];
    let mut good = Vec::new();
    for case in &cases {
        let expected = seen(&run(stock("openssl").args(case)));
        if expected.0 == Some(0) {
            good.push(case);
        }
        for devices in [Devices::None, Devices::Simulated(&simulator)] {
            assert_eq!(seen(&run(scratch.client("openssl", devices).args(case))), expected, "{case:?}");
        }
    }
    // OpenSSL 3.0's pkeyutl complains about a padding mode that it does not take, and exits with 0 all the same.
    assert!(good.len() <= 3, "all but one of these cases are bad: {good:?}");
    // A key whose numbers do not belong together: whatever stock software makes of it, ours makes too.
    let altered = sign("altered.pem");
    let expected = run(stock("openssl").args(&altered)).status.code();
    for devices in [Devices::None, Devices::Simulated(&simulator)] {
        assert_eq!(run(scratch.client("openssl", devices).args(&altered)).status.code(), expected);
    }
}
