//! AES-256-CBC on simulated SEC devices of both generations: the core beside libcrypto, and `openssl` with the provider.
//!
//! The tests of the core start this very program again as a client of a simulator session ([`client`]); libcrypto there is the
//! stock one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Devices, Scratch, Simulator, dist, failures, stock, succeed};
use openssl::symm::{self, Cipher, Crypter};
use warpdrive::Outcome;
use warpdrive::request::cipher::{AesCbcKey, Direction};

const LENGTHS: [usize; 8] = [16, 32, 4096, 0x6000, 0x6010, 65_536, 1 << 20, 0xff_fe00];

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    openssl::rand::rand_bytes(&mut bytes).unwrap();
    bytes
}

fn theirs(mode: symm::Mode, key: &[u8], iv: &[u8], input: &[u8]) -> Vec<u8> {
    let mut crypter = Crypter::new(Cipher::aes_256_cbc(), mode, key, Some(iv)).unwrap();
    crypter.pad(false);
    let mut output = vec![0; input.len() + 16];
    let mut len = crypter.update(input, &mut output).unwrap();
    len += crypter.finalize(&mut output[len..]).unwrap();
    output.truncate(len);
    output
}

/// Two messages of each length in both directions; a wrong answer panics.
#[test]
#[ignore = "the client half: the other tests start it below a simulator"]
fn client() {
    let strict = std::env::var_os("WARPDRIVE_TEST_STRICT").is_some();
    // A device that misbehaves does so at any length; the longest take their time.
    let lengths = LENGTHS.into_iter().filter(|len| strict || *len <= 65_536);
    for len in lengths.flat_map(|len| [len; 2]) {
        let (key, iv, input) = (random(32), random(16), random(len));
        let ours = AesCbcKey::new(&key).unwrap();
        for (direction, mode) in
            [(Direction::Encrypt, symm::Mode::Encrypt), (Direction::Decrypt, symm::Mode::Decrypt)]
        {
            let wanted = theirs(mode, &key, &iv, &input);
            let mut accepted = false;
            let text = |room: &mut Vec<u8>| room.extend_from_slice(&input);
            let accept = |text: &[u8], answer: &[u8]| {
                assert!(text == input, "{len} bytes: the device had another text");
                accepted = answer == wanted;
                accepted
            };
            match warpdrive::aes_cbc(&ours, direction, &iv, len, text, accept, || ()) {
                Outcome::Hardware(()) => assert!(accepted, "{len} bytes"),
                Outcome::Software(()) => assert!(!strict && !accepted, "software for {len} bytes"),
            }
        }
    }
}

fn run_client(name: &str, simulator: &[&str], strict: bool) -> Scratch {
    let patience =
        "[wait]\ndeadline-ms = 400\n[health]\npause-min-ms = 1\npause-max-ms = 5\nknown-answers = 1\n";
    let scratch = Scratch::with_config(name, &format!("[policy]\ndefault = \"hardware\"\n{patience}"));
    let simulator = Simulator::start(&[&["--device", "sec"], simulator].concat());
    let mut command = stock("timeout");
    command.args(["--signal=KILL", "120"]).arg(std::env::current_exe().unwrap());
    scratch.accelerate(&mut command, Devices::Simulated(&simulator));
    command.env_remove("OPENSSL_CONF").env_remove("OPENSSL_MODULES");
    command.args(["client", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    if strict {
        command.env("WARPDRIVE_TEST_STRICT", "1");
    }
    succeed(&mut command);
    scratch
}

#[test]
fn both_generations_give_libcrypto_s_bytes() {
    for hardware in ["v2", "v3"] {
        let row = run_client("cipher", &["--hw", hardware], true).row("aes-256-cbc");
        assert_eq!(row.hardware, 32, "{hardware}");
        assert_eq!(failures(&row), [], "{hardware}");
    }
}

#[test]
fn no_trouble_delivers_wrong_bytes() {
    for fault in ["bytes,every=4", "status,every=3", "lost,every=20", "tag,every=10"] {
        for hardware in ["v2", "v3"] {
            let row =
                run_client("cipher-faults", &["--hw", hardware, "--fault", fault], false).row("aes-256-cbc");
            assert!(row.hardware > 0, "{fault} {hardware}: the device never answered");
            assert!(!failures(&row).is_empty(), "{fault} {hardware}: nothing happened");
        }
    }
}

const ROW: &str = "aes-256-cbc";

/// `openssl` with a configuration that offers ciphers.
struct House {
    scratch: Scratch,
    configuration: PathBuf,
}

impl House {
    fn new(scratch: Scratch) -> Self {
        let shipped = fs::read_to_string(dist().join("etc/openssl.cnf")).unwrap();
        let changed = shipped.replace("\nciphers = off\n", "\nciphers = on\n");
        assert_ne!(changed, shipped, "the configuration has no such line");
        let configuration = scratch.file("openssl.cnf");
        fs::write(&configuration, changed).unwrap();
        Self { scratch, configuration }
    }

    fn openssl(&self, devices: Devices<'_>, arguments: &str) -> Command {
        let mut command = self.scratch.client("openssl", devices);
        command.env("OPENSSL_CONF", &self.configuration);
        self.with(command, arguments)
    }

    fn stock(&self, arguments: &str) -> Command {
        self.with(stock("openssl"), arguments)
    }

    /// Files are those of the scratch directory.
    fn with(&self, mut command: Command, arguments: &str) -> Command {
        command.args(arguments.split(' ')).current_dir(self.scratch.file("."));
        command
    }
}

const KEY: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";

/// Encrypts and decrypts as people do; stock tools read what ours wrote, and the other way round.
fn programs(house: &House, devices: Devices<'_>) {
    let (scratch, iv) = (&house.scratch, "000102030405060708090a0b0c0d0e0f");
    let (key, message) = (scratch.key(2048), random(3_000_017));
    fs::write(scratch.file("message"), &message).unwrap();
    let same = |name: &str| assert!(fs::read(scratch.file(name)).unwrap() == message, "{name} differs");
    for buffer in [8192, 70_001, 4 << 20] {
        let enc = format!("enc -aes-256-cbc -K {KEY} -iv {iv} -bufsize {buffer} -in message -out");
        succeed(&mut house.openssl(devices, &format!("{enc} ours")));
        succeed(&mut house.stock(&format!("{enc} theirs")));
        let read = |name: &str| fs::read(scratch.file(name)).unwrap();
        assert!(read("ours") == read("theirs"), "encrypted to other bytes");
        let dec = format!("enc -d -aes-256-cbc -K {KEY} -iv {iv} -bufsize {buffer} -in ours -out opened");
        succeed(&mut house.openssl(devices, &dec));
        same("opened");
    }
    let password = "-pbkdf2 -iter 1000 -salt -pass pass:secret";
    succeed(&mut house.openssl(devices, &format!("enc -aes256 {password} -in message -out salted")));
    succeed(&mut house.stock(&format!("enc -d -aes256 {password} -in salted -out opened")));
    same("opened");
    // A padding that is wrong is the same error.
    let wrong = format!("enc -d -aes-256-cbc -K {KEY} -iv {iv} -in message");
    let ours = common::run(&mut house.openssl(devices, &wrong));
    let theirs = common::run(&mut house.stock(&wrong));
    assert!(!theirs.status.success());
    assert_eq!((ours.status.code(), &ours.stdout), (theirs.status.code(), &theirs.stdout));
    for (from, to) in [(true, false), (false, true)] {
        let run = |ours: bool, arguments: &str| {
            succeed(&mut if ours { house.openssl(devices, arguments) } else { house.stock(arguments) });
        };
        run(from, "cms -encrypt -binary -aes256 -in message -outform DER -out sealed certificate.pem");
        run(
            to,
            "cms -decrypt -binary -inform DER -in sealed -inkey key.pem -recip certificate.pem -out opened",
        );
        same("opened");
        run(from, "pkcs8 -topk8 -v2 aes-256-cbc -in key.pem -passout pass:secret -out wrapped.pem");
        run(to, "pkey -in wrapped.pem -passin pass:secret -out unwrapped.pem");
        assert_eq!(fs::read(&key).unwrap(), fs::read(scratch.file("unwrapped.pem")).unwrap());
    }
}

#[test]
fn programs_encrypt_in_hardware() {
    for hardware in ["v2", "v3"] {
        let house = House::new(Scratch::new("cipher-programs"));
        let simulator = Simulator::start(&["--device", "sec,hpre", "--hw", hardware]);
        programs(&house, Devices::Simulated(&simulator));
        let row = house.scratch.row(ROW);
        // Whatever its buffer, `openssl enc` encrypts 4096 bytes at a time.
        assert!(row.hardware > 8 * 732, "{hardware}: {row:?}");
        assert!(row.hardware_bytes > 8 * 3_000_000, "{hardware}: {row:?}");
        assert!(row.software.is_empty(), "{hardware}: {row:?}");
    }
}

#[test]
fn programs_encrypt_without_a_device() {
    let house = House::new(Scratch::new("cipher-programs-none"));
    programs(&house, Devices::None);
    let row = house.scratch.row(ROW);
    assert_eq!((row.hardware, failures(&row).len()), (0, 1), "{row:?}");
    assert!(row.software.contains_key("no-device"), "{row:?}");
}

/// With the default policy short texts are the default provider's, and nobody is asked; long ones go where they are served
/// best.
#[test]
fn short_texts_are_not_routed() {
    let house = House::new(Scratch::with_config("cipher-short", ""));
    let simulator = Simulator::start(&["--device", "sec"]);
    // Decrypting is software's, for it takes as long to check.
    for (len, way, is_routed) in [(65_520, "", false), (500_000, " -decrypt", false), (500_000, "", true)] {
        let arguments = format!("speed -elapsed -seconds 1 -bytes {len}{way} -evp aes-256-cbc");
        succeed(&mut house.openssl(Devices::Simulated(&simulator), &arguments));
        let row = house.scratch.row(ROW);
        assert_eq!(row.hardware > 0, is_routed, "{row:?}");
        assert_eq!(failures(&row), [], "{row:?}");
    }
}

/// TLS 1.2 with the cipher and encrypt-then-MAC, both ends ours: records have a padding of their own and stay in software. (Session
/// tickets, which libssl seals with the same cipher, do not; there are none here.)
#[test]
fn tls_records_stay_in_software() {
    let house = House::new(Scratch::new("cipher-tls"));
    let simulator = Simulator::start(&["--device", "sec"]);
    house.scratch.key(2048);
    let listen = "s_server -accept 127.0.0.1:0 -www -tls1_2 -no_ticket -naccept 1";
    let arguments = format!("{listen} -cert certificate.pem -key key.pem");
    let mut server = house.openssl(Devices::Simulated(&simulator), &arguments);
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let accept = lines.find(|line| line.starts_with("ACCEPT")).expect("the server says where it listens");
    let port = accept.rsplit(':').next().unwrap();
    let arguments = format!(
        "s_client -tls1_2 -cipher ECDHE-RSA-AES256-SHA384 -ign_eof -CAfile certificate.pem -connect 127.0.0.1:{port}"
    );
    let mut client = house.openssl(Devices::Simulated(&simulator), &arguments);
    let output = common::run_with_input(&mut client, b"GET / HTTP/1.0\r\n\r\n");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("HTTP/1.0 200 ok"), "{said}");
    assert!(said.contains("Cipher is ECDHE-RSA-AES256-SHA384"), "{said}");
    lines.for_each(drop);
    assert!(server.wait().unwrap().success());
    assert_eq!(house.scratch.row(ROW), Default::default());
    assert_eq!(house.scratch.row("rsa-2048-private").software.len(), 1, "the server was ours");
}

/// Out of the box ciphers are not offered.
#[test]
fn ciphers_are_off_unless_asked_for() {
    let scratch = Scratch::new("cipher-off");
    let simulator = Simulator::start(&["--device", "sec"]);
    fs::write(scratch.file("message"), random(100_000)).unwrap();
    let mut command = scratch.client("openssl", Devices::Simulated(&simulator));
    command.args(["enc", "-aes-256-cbc", "-pbkdf2", "-pass", "pass:secret", "-out", "/dev/null", "-in"]);
    succeed(command.arg(scratch.file("message")));
    let mut list = scratch.client("openssl", Devices::Simulated(&simulator));
    let listed = succeed(list.args(["list", "-cipher-algorithms"]));
    assert!(!String::from_utf8_lossy(&listed.stdout).contains("warpdrive"));
    assert_eq!(scratch.row(ROW), Default::default());
}

#[test]
fn speed_runs() {
    let house = House::new(Scratch::new("cipher-speed"));
    let simulator = Simulator::start(&["--device", "sec"]);
    for way in ["", " -decrypt"] {
        let arguments = format!("speed -elapsed -seconds 1 -bytes 65536{way} -evp aes-256-cbc");
        let output = succeed(&mut house.openssl(Devices::Simulated(&simulator), &arguments));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.lines().any(|line| line.to_lowercase().starts_with("aes-256-cbc ")), "{text}");
        let row = house.scratch.row(ROW);
        assert!(row.hardware > 10 && row.software.is_empty(), "{row:?}");
        house.scratch.reset_counters();
    }
}
