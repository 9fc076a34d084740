//! AES-256-CBC on simulated SEC devices of both generations, beside libcrypto.
//!
//! The tests start this very program again as a client of a simulator session ([`client`]); libcrypto there is the stock one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Devices, Scratch, Simulator, failures, stock, succeed};
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
