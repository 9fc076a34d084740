//! AES-256-CBC. The played device is no cipher: it turns the text over and mixes in the vector, which the tests know; the known
//! question gets its published answer.

use super::*;
use crate::cost::Class;
use crate::health::known::cipher as vectors;
use crate::health::known::pkey::hex;
use crate::request::cipher::{AesCbcKey, Direction, MAX_LEN_BYTES};

const ROW: &str = "aes-256-cbc";

fn sec(api_version: u32) -> Found {
    found("hisi_sec2-1", api_version, &["cipher", "digest", "aead"])
}

fn dword(bytes: &[u8], index: usize) -> usize {
    usize::try_from(u32::from_le_bytes(bytes[index * 4..][..4].try_into().unwrap())).unwrap()
}

fn address(bytes: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(bytes[index * 4..][..8].try_into().unwrap())
}

/// Answers either type of descriptor.
fn serve(descriptor: &mut [u8]) {
    let (len, key, iv, input, output) = match descriptor[0] & 0xf {
        2 => (5, 22, 20, 24, 26),
        3 => (18, 12, 23, 4, 19),
        other => panic!("type {other}"),
    };
    let text = device_view::read(address(descriptor, input), dword(descriptor, len));
    let iv = device_view::read(address(descriptor, iv), 16);
    assert_eq!(device_view::read(address(descriptor, key), 32).len(), 32);
    let answer = if (&iv, &text) == (&vectors::question().0, &vectors::question().1) {
        hex(vectors::ENCRYPTED)
    } else {
        mixed(&text, &iv)
    };
    device_view::write(address(descriptor, output), &answer);
    descriptor[112..114].copy_from_slice(&[0x01, 0x01]);
}

fn mixed(text: &[u8], iv: &[u8]) -> Vec<u8> {
    text.iter().zip(iv.iter().cycle()).map(|(byte, iv)| !byte ^ iv).collect()
}

fn well(lab: &Lab) {
    lab.behave(|device, mut submission, _| {
        serve(&mut submission.descriptor);
        device.complete(submission.slot, &submission.descriptor);
    });
}

fn encrypt(core: &Core, len: usize, check: bool) -> bool {
    let key = AesCbcKey::new(&[9; 32]).unwrap();
    let (iv, input): (Vec<u8>, Vec<u8>) = ((1..=16).collect(), (0..=255).cycle().take(len).collect());
    let mut output = vec![0; len];
    let accept = |text: &[u8], answer: &[u8]| {
        assert_eq!(text, input);
        if check {
            output.copy_from_slice(answer);
        }
        check.into()
    };
    let text = |room: &mut Vec<u8>| {
        assert!(room.is_empty() && room.capacity() >= len);
        room.extend_from_slice(&input);
    };
    let outcome = core.aes_cbc((&key, Direction::Encrypt, &iv), len, text, accept, || ());
    let hardware = outcome == Outcome::Hardware(());
    assert_eq!(output, if hardware { mixed(&input, &iv) } else { vec![0; len] });
    hardware
}

#[test]
fn both_generations_and_more_requests_than_short_tags_tell_apart() {
    for api_version in [2, 3] {
        let lab = Lab::new(vec![sec(api_version)]);
        well(&lab);
        let core = lab.core(HARDWARE);
        for turn in 0..300 {
            assert!(encrypt(&core, 16 * (1 + turn % 50), true), "{api_version} {turn}");
        }
        assert!(encrypt(&core, 1 << 20, true));
        assert_eq!(counts(&core, ROW), (301, vec![]));
        assert_eq!(lab.opens(), 1);
    }
}

#[test]
fn threads_share_a_queue_of_short_tags() {
    let lab = Lab::new(vec![sec(2)]);
    well(&lab);
    let core = lab.core(HARDWARE);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let core = &core;
            scope.spawn(move || (0..500).for_each(|turn| assert!(encrypt(core, 16 + 16 * (turn % 9), true))));
        }
    });
    assert_eq!(counts(&core, ROW), (4000, vec![]));
}

#[test]
fn what_is_no_request_is_not_sent() {
    let lab = Lab::new(vec![sec(3)]);
    let core = lab.core(HARDWARE);
    let key = AesCbcKey::new(&[9; 32]).unwrap();
    let try_it = |iv: usize, said: usize, given: usize| {
        let request = (&key, Direction::Decrypt, &*vec![0; iv]);
        let text = |room: &mut Vec<u8>| room.resize(given, 0);
        let outcome = core.aes_cbc(request, said, text, |_, _| panic!("nothing was asked"), || ());
        assert_eq!(outcome, Outcome::Software(()));
    };
    for (iv, len) in [(16, 0), (16, 15), (12, 16), (16, 17), (16, MAX_LEN_BYTES + 16)] {
        try_it(iv, len, len);
    }
    assert_eq!(lab.opens(), 0);
    try_it(16, 32, 16);
    try_it(16, 16, 32);
    assert_eq!(counts(&core, ROW), (0, only("unsupported", 7)));
}

/// What a direction costs is its own: on most processors software decrypts several times faster than it encrypts.
#[test]
fn directions_are_measured_apart() {
    let lab = Lab::new(vec![sec(3)]);
    well(&lab);
    let core = lab.core("");
    assert!(encrypt(&core, 1 << 16, true));
    let class = |direction| Class::of_cipher(direction, 1 << 16);
    let measured = core.costs.hardware(class(Direction::Encrypt)).unwrap();
    assert!(measured >= core.costs.hardware(Class::of(Algorithm::Aes256Cbc, 1 << 16, false)).unwrap());
    assert_eq!(core.costs.hardware(class(Direction::Decrypt)), None);
    // The next one measures software.
    assert!(!encrypt(&core, 1 << 16, true));
    assert!(core.costs.software(class(Direction::Encrypt)).is_some());
    assert_eq!(core.costs.software(class(Direction::Decrypt)), None);
    assert_eq!(counts(&core, ROW), (1, only("policy", 1)));
}

#[test]
fn small_requests_are_software_s_unless_told_otherwise() {
    let lab = Lab::new(vec![sec(3)]);
    well(&lab);
    let core = lab.core("");
    assert!(!encrypt(&core, 1024, true));
    assert!(encrypt(&core, 1 << 16, true));
    assert_eq!(counts(&core, ROW), (1, only("small", 1)));
}

#[test]
fn failures_end_in_software_and_the_known_answer_brings_the_device_back() {
    let lab = Lab::new(vec![sec(2)]);
    well(&lab);
    let core = impatient(&lab);
    assert!(encrypt(&core, 64, true));
    assert!(!encrypt(&core, 64, false), "the front door's check");
    wait_until(|| encrypt(&core, 64, true));
    lab.behave(|device, mut submission, _| {
        submission.descriptor[112..115].copy_from_slice(&[1, 0, 4]);
        device.complete(submission.slot, &submission.descriptor);
    });
    for _ in 0..3 {
        assert!(!encrypt(&core, 64, true));
    }
    well(&lab);
    wait_until(|| encrypt(&core, 64, true));
    let (_, reasons) = counts(&core, ROW);
    assert!(reasons.contains(&("wrong-result".to_owned(), 1)), "{reasons:?}");
    assert!(reasons.contains(&("device-error".to_owned(), 3)), "{reasons:?}");
}
