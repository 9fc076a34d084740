//! The other public-key operations. The played device knows published answers and nothing else.

use super::*;
use crate::engine::pkey::Base;
use crate::health::known::pkey::*;
use crate::request::pkey::{
    Curve, CurveName, DhPrivateKey, EcPrivateKey, EcPublicKey, EcxKind, EcxPrivateKey,
};

fn newer() -> Found {
    found("hisi_hpre-3", 3, &["rsa", "dh", "ecdh", "ecdsa", "sm2", "x25519", "x448"])
}

fn address(descriptor: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(descriptor[at..at + 8].try_into().unwrap())
}

fn width(descriptor: &[u8]) -> usize {
    (usize::from(descriptor[4]) + 1) * 8
}

fn reversed(digits: &str, width: usize) -> Vec<u8> {
    let mut bytes = hex(digits);
    bytes.resize(width, 0);
    bytes.reverse();
    bytes
}

/// Answers a question whose answer is published.
pub(super) fn serve(descriptor: &mut [u8]) {
    let width = width(descriptor);
    let input = |fields: usize| device_view::read(address(descriptor, 16), width * fields);
    let pick = |pairs: &[(Vec<u8>, Vec<u8>)], fields: usize| {
        let input = input(fields);
        let pair = pairs.iter().find(|(question, _)| *question == input);
        pair.unwrap_or_else(|| panic!("an unknown question: {input:x?}")).1.clone()
    };
    let answer = match descriptor[0] & 0x1f {
        0x04 => {
            assert_eq!(address(descriptor, 16), 0, "no input, no address");
            hex(DH_PEER)
        }
        0x05 => pick(&[(hex(DH_PEER), hex(DH_ANSWER))], 1),
        0x0d => {
            pick(&[(hex(ECDH_PEER), hex(ECDH_ANSWER)), (generator(CurveName::P256), hex(ECDSA_PUBLIC))], 2)
        }
        0x0e => pick(&[(hex(ECDSA_INPUT), hex(ECDSA_ANSWER))], 2),
        0x12 => pick(&[(hex(SM2_INPUT), hex(SM2_ANSWER))], 2),
        code @ (0x0f | 0x13) => {
            let (known, answer) =
                if code == 0x0f { (ECDSA_INPUT, ECDSA_ANSWER) } else { (SM2_INPUT, SM2_ANSWER) };
            let (known, answer, given) = (hex(known), hex(answer), input(3));
            assert_eq!(address(descriptor, 24), 0, "no output, no address");
            let valid = given == [&known[..32], &answer[32..], &answer[..32]].concat();
            descriptor[24] = if valid { 2 } else { 0 };
            Vec::new()
        }
        0x10 => pick(
            &[
                (reversed(X25519_U, width), reversed(X25519_ANSWER, width)),
                (reversed(X448_U, width), reversed(X448_ANSWER, width)),
            ],
            1,
        ),
        other => panic!("operation {other:#x}"),
    };
    if !answer.is_empty() {
        device_view::write(address(descriptor, 24), &answer);
    }
    descriptor[3] |= 0xc0;
}

/// The public key of RFC 6979 §A.2.5.
const ECDSA_PUBLIC: &str = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
     7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
/// The public key of GB/T 32918.5 §A.2.
const SM2_PUBLIC: &str = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
     ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";

fn generator(name: CurveName) -> Vec<u8> {
    Curve::known(name).unwrap().generator().to_vec()
}

fn public(name: CurveName, point: &str) -> EcPublicKey {
    let point = hex(point);
    EcPublicKey::new(&Curve::known(name).unwrap(), &point[..32], &point[32..]).unwrap()
}

fn private(name: CurveName, d: &str, public: Option<&EcPublicKey>) -> EcPrivateKey {
    EcPrivateKey::new(&Curve::known(name).unwrap(), &hex(d), public).unwrap()
}

fn dh_key() -> DhPrivateKey {
    DhPrivateKey::new(&hex(DH_PRIME), &hex(DH_PRIVATE)).unwrap()
}

/// One call of each front door with its known question: name of the row, whether the device answered, and rightly.
fn each(core: &Core) -> Vec<(&'static str, bool)> {
    let hardware = |outcome: Outcome<(), ()>, output: &[u8], answer: &[u8]| {
        let hardware = outcome == Outcome::Hardware(());
        assert_eq!(hardware, output == answer, "the answer, or nothing");
        hardware
    };
    let right = |_: &[u8]| Verdict::Right;
    let mut done = Vec::new();

    let mut output = vec![0; 256];
    let outcome = core.dh(&dh_key(), Base::Peer(&hex(DH_PEER)), &mut output, right, || ());
    done.push(("dh-2048", hardware(outcome, &output, &hex(DH_ANSWER))));

    let mut output = vec![0; 64];
    let key = private(CurveName::P256, ECDH_PRIVATE, None);
    let peer = public(CurveName::P256, ECDH_PEER);
    let outcome = core.multiply(&key, Some(&peer), &mut output, right, || ());
    done.push(("ecdh-p-256", hardware(outcome, &output, &hex(ECDH_ANSWER))));

    let own = public(CurveName::P256, ECDSA_PUBLIC);
    let key = private(CurveName::P256, ECDSA_PRIVATE, Some(&own));
    let (digest, nonce) = (&hex(ECDSA_INPUT)[..32], &hex(ECDSA_INPUT)[32..]);
    output.fill(0);
    let outcome = core.ecdsa_sign(&key, digest, nonce, &mut output, right, || ());
    done.push(("ecdsa-p-256-sign", hardware(outcome, &output, &hex(ECDSA_ANSWER))));
    let outcome = core.ecdsa_verify(&own, digest, &hex(ECDSA_ANSWER), || ());
    done.push(("ecdsa-p-256-verify", outcome == Outcome::Hardware(())));

    let own = public(CurveName::Sm2, SM2_PUBLIC);
    let key = private(CurveName::Sm2, SM2_PRIVATE, Some(&own));
    let (digest, nonce) = (&hex(SM2_INPUT)[..32], &hex(SM2_INPUT)[32..]);
    output.fill(0);
    let outcome = core.sm2_sign(&key, digest, nonce, &mut output, right, || ());
    done.push(("sm2-sign", hardware(outcome, &output, &hex(SM2_ANSWER))));
    let outcome = core.sm2_verify(&own, digest, &hex(SM2_ANSWER), || ());
    done.push(("sm2-verify", outcome == Outcome::Hardware(())));

    for (row, kind, scalar, u, answer) in [
        ("x25519", EcxKind::X25519, X25519_SCALAR, X25519_U, X25519_ANSWER),
        ("x448", EcxKind::X448, X448_SCALAR, X448_U, X448_ANSWER),
    ] {
        let key = EcxPrivateKey::new(kind, &hex(scalar)).unwrap();
        let mut output = vec![0; kind.len_bytes()];
        let outcome = core.ecx(&key, Some(&hex(u)), &mut output, right, || ());
        done.push((row, hardware(outcome, &output, &hex(answer))));
    }
    done
}

#[test]
fn each_kind_gives_its_published_answer_and_is_counted_once() {
    let lab = Lab::new(vec![newer()]);
    let core = lab.core(HARDWARE);
    for (row, hardware) in each(&core) {
        assert!(hardware, "{row}");
        assert_eq!(counts(&core, row), (1, vec![]), "{row}");
    }
    assert_eq!(lab.opens(), 2, "one queue of each class");
}

#[test]
fn two_to_the_power_of_x_has_an_operation_of_its_own() {
    let lab = Lab::new(vec![newer()]);
    let core = lab.core(HARDWARE);
    let mut output = vec![0; 256];
    let outcome = core.dh(&dh_key(), Base::Generator(&[0, 2]), &mut output, |_| Verdict::Right, || ());
    assert_eq!((outcome, output), (Outcome::Hardware(()), hex(DH_PEER)));
}

#[test]
fn the_older_interface_has_no_curves() {
    for device in [hpre(), Found { api_version: 2, ..newer() }] {
        let lab = Lab::new(vec![device]);
        let core = lab.core(HARDWARE);
        for (row, hardware) in each(&core) {
            assert_eq!(hardware, row == "dh-2048", "{row}");
            let unsupported = if hardware { vec![] } else { only("unsupported", 1) };
            assert_eq!(counts(&core, row).1, unsupported, "{row}");
        }
    }
}

#[test]
fn a_device_does_what_it_lists() {
    let lab = Lab::new(vec![found("hisi_hpre-3", 3, &["ecdsa", "x448"])]);
    let core = lab.core(HARDWARE);
    let done: Vec<_> =
        each(&core).into_iter().filter(|(_, hardware)| *hardware).map(|(row, _)| row).collect();
    assert_eq!(done, ["ecdsa-p-256-sign", "ecdsa-p-256-verify", "x448"]);
}

#[test]
fn each_kind_of_work_recovers_by_its_own_known_answer() {
    let rows: Vec<_> =
        each(&Lab::new(vec![newer()]).core(HARDWARE)).into_iter().map(|(row, _)| row).collect();
    for (index, row) in rows.into_iter().enumerate() {
        let lab = Lab::new(vec![newer()]);
        let core = impatient(&lab);
        lab.behave(|device, _, _| device.set_status(1, 1));
        each(&core);
        lab.behave_well();
        wait_until(|| each(&core)[index].1);
        assert!(counts(&core, row).0 > 0);
    }
}

#[test]
fn a_device_without_its_known_answers_stays_paused() {
    for (name, spoil) in [("dh-2048", 0_u16), ("x25519", 1)] {
        let lab = Lab::new(vec![newer()]);
        let core = impatient(&lab);
        lab.behave(move |device, mut submission, class| {
            model::serve(&mut submission.descriptor, class);
            if class == spoil && address(&submission.descriptor, 24) > 2 {
                device_view::write(address(&submission.descriptor, 24), &[0xff; 32]);
            }
            device.complete(submission.slot, &submission.descriptor);
        });
        for _ in 0..20 {
            for (row, hardware) in each(&core) {
                assert!(!hardware || row != name, "{row}");
            }
            std::thread::yield_now();
        }
        let (_, reasons) = counts(&core, name);
        assert!(
            reasons.iter().all(|(reason, _)| reason == "wrong-result" || reason == "paused"),
            "{reasons:?}"
        );
    }
}

/// What the device writes instead, the row, and the reason.
#[test]
fn answers_are_checked_without_the_front_door() {
    type Spoil = fn(&mut [u8]);
    let spoil: [(&str, &str, Spoil); 7] = [
        ("dh-2048", "wrong-result", |output| output.fill(0xff)),
        ("dh-2048", "refused", |output| {
            output.fill(0);
            output[255] = 1;
        }),
        ("ecdh-p-256", "wrong-result", |output| output[40] ^= 1),
        ("ecdsa-p-256-sign", "wrong-result", |output| output[40] ^= 1),
        ("sm2-sign", "wrong-result", |output| output[3] ^= 1),
        ("x25519", "wrong-result", |output| output.fill(0xff)),
        ("x448", "refused", |output| output.fill(0)),
    ];
    for (row, reason, spoil) in spoil {
        let lab = Lab::new(vec![newer()]);
        let core = lab.core(&format!("{HARDWARE}[health]\npause-min-ms = 60000\n"));
        lab.behave(move |device, mut submission, class| {
            let code = submission.descriptor[0] & 0x1f;
            let mine = match row {
                "dh-2048" => code == 5,
                "ecdh-p-256" => code == 0xd,
                "ecdsa-p-256-sign" => code == 0xe,
                "sm2-sign" => code == 0x12,
                "x25519" => code == 0x10 && width(&submission.descriptor) == 32,
                _ => code == 0x10 && width(&submission.descriptor) == 72,
            };
            model::serve(&mut submission.descriptor, class);
            if mine {
                let at = address(&submission.descriptor, 24);
                let len = if code == 0x10 || code == 5 { 1 } else { 2 } * width(&submission.descriptor);
                let mut output = device_view::read(at, len);
                spoil(&mut output);
                device_view::write(at, &output);
            }
            device.complete(submission.slot, &submission.descriptor);
        });
        let done = each(&core);
        assert!(done.contains(&(row, false)), "{row}");
        assert_eq!(counts(&core, row), (0, only(reason, 1)), "{row}");
    }
}

#[test]
fn a_signature_that_does_not_verify_is_the_device_s_fault_or_the_key_s() {
    let lab = Lab::new(vec![newer()]);
    let core = lab.core(&format!("{HARDWARE}[health]\npause-min-ms = 60000\n"));
    let (digest, nonce) = (&hex(ECDSA_INPUT)[..32], &hex(ECDSA_INPUT)[32..]);
    let sign = |key: &EcPrivateKey| {
        let mut output = [0; 64];
        core.ecdsa_sign(key, digest, nonce, &mut output, |_| Verdict::Right, || "software")
    };
    lab.behave(|device, mut submission, class| {
        model::serve(&mut submission.descriptor, class);
        if submission.descriptor[0] & 0x1f == 0xf {
            submission.descriptor[24] = 0;
        }
        device.complete(submission.slot, &submission.descriptor);
    });
    // Somebody else's point: the device is not to blame.
    let other = public(CurveName::P256, ECDH_PEER);
    let key = private(CurveName::P256, ECDSA_PRIVATE, Some(&other));
    assert_eq!(sign(&key), Outcome::Software("software"));
    assert_eq!(counts(&core, "ecdsa-p-256-sign"), (0, only("unsupported", 1)));
    let key = private(CurveName::P256, ECDSA_PRIVATE, None);
    assert_eq!(sign(&key), Outcome::Software("software"));
    assert_eq!(counts(&core, "ecdsa-p-256-sign"), (0, only("unsupported", 2)));
    let own = public(CurveName::P256, ECDSA_PUBLIC);
    let key = private(CurveName::P256, ECDSA_PRIVATE, Some(&own));
    assert_eq!(sign(&key), Outcome::Software("software"));
    let reasons = counts(&core, "ecdsa-p-256-sign").1;
    assert_eq!(reasons, [("unsupported".to_owned(), 2), ("wrong-result".to_owned(), 1)]);
}

#[test]
fn what_the_device_must_not_see_it_does_not_see() {
    let lab = Lab::new(vec![newer()]);
    let core = lab.core(HARDWARE);
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    lab.behave(move |device, mut submission, class| {
        count.fetch_add(1, Ordering::SeqCst);
        model::serve(&mut submission.descriptor, class);
        device.complete(submission.slot, &submission.descriptor);
    });
    let right = |_: &[u8]| Verdict::Right;
    let software = |outcome: Outcome<(), ()>| assert_eq!(outcome, Outcome::Software(()));
    let (mut room, order) = ([0; 256], Curve::known(CurveName::P256).unwrap().order().to_vec());

    for base in [&[][..], &[0], &[1], &hex(DH_PRIME), &[0xff; 256], &[1; 257]] {
        software(core.dh(&dh_key(), Base::Generator(base), &mut room, right, || ()));
        software(core.dh(&dh_key(), Base::Peer(base), &mut room, right, || ()));
    }
    software(core.dh(&dh_key(), Base::Peer(&[2]), &mut room[1..], right, || ()));

    let own = public(CurveName::P256, ECDSA_PUBLIC);
    let key = private(CurveName::P256, ECDSA_PRIVATE, Some(&own));
    let foreign = public(CurveName::Sm2, SM2_PUBLIC);
    software(core.multiply(&key, Some(&foreign), &mut room[..64], right, || ()));
    software(core.multiply(&key, None, &mut room[..63], right, || ()));
    for (digest, nonce) in
        [(&[0; 32][..], &[5][..]), (&[1; 32], &[0]), (&[1; 32], &order), (&[1; 32], &[0xff; 33])]
    {
        software(core.ecdsa_sign(&key, digest, nonce, &mut room[..64], right, || ()));
    }
    software(core.ecdsa_sign(&key, &[1; 32], &[5], &mut room[..65], right, || ()));
    let signature = |r: &[u8], s: &[u8]| [r, s].concat();
    for bad in [
        signature(&[0; 32], &[1; 32]),
        signature(&[1; 32], &[0; 32]),
        signature(&order, &[1; 32]),
        signature(&[1; 32], &order),
        signature(&[1; 32], &[1; 31]),
    ] {
        software(core.ecdsa_verify(&own, &[1; 32], &bad, || ()));
    }

    // SM2 on another curve, with another digest's length, with a message or point the device does not take.
    software(core.sm2_sign(&key, &[1; 32], &[5], &mut room[..64], right, || ()));
    let key = private(CurveName::Sm2, SM2_PRIVATE, Some(&foreign));
    software(core.sm2_sign(&key, &[1; 31], &[5], &mut room[..64], right, || ()));
    software(core.sm2_verify(&foreign, &[1; 33], &[1; 64], || ()));
    for len in [0, 513] {
        let mut room = vec![0; 96 + len];
        software(core.sm2_encrypt(&foreign, &vec![7; len], &[5], &mut room, right, || ()));
        software(core.sm2_decrypt(&key, &vec![7; 96 + len], &mut room[..len], right, || ()));
    }
    software(core.sm2_encrypt(&foreign, &[7; 20], &[0], &mut room[..116], right, || ()));
    software(core.sm2_decrypt(&key, &[7; 116], &mut room[..20], right, || ()));

    let key = EcxPrivateKey::new(EcxKind::X25519, &[7; 32]).unwrap();
    software(core.ecx(&key, Some(&[0; 32]), &mut room[..32], right, || ()));
    software(core.ecx(&key, Some(&[0xff; 32]), &mut room[..32], right, || ()));
    software(core.ecx(&key, Some(&[1; 31]), &mut room[..32], right, || ()));
    software(core.ecx(&key, None, &mut room[..31], right, || ()));

    assert_eq!(seen.load(Ordering::SeqCst), 0);
    for algorithm in Algorithm::ALL {
        let (hardware, reasons) = counts(&core, algorithm.name());
        assert_eq!(hardware, 0);
        assert!(reasons.iter().all(|(reason, _)| reason == "unsupported"), "{algorithm:?}: {reasons:?}");
    }
}

#[test]
fn a_front_door_s_verdict_counts() {
    for (verdict, reason) in [(Verdict::Wrong, "wrong-result"), (Verdict::BadInput, "unsupported")] {
        let lab = Lab::new(vec![newer()]);
        let core = lab.core(HARDWARE);
        let mut output = [0x55; 64];
        let key = private(CurveName::P256, ECDH_PRIVATE, None);
        let peer = public(CurveName::P256, ECDH_PEER);
        let outcome = core.multiply(&key, Some(&peer), &mut output, |_| verdict, || ());
        assert_eq!((outcome, output), (Outcome::Software(()), [0x55; 64]));
        assert_eq!(counts(&core, "ecdh-p-256"), (0, only(reason, 1)));
    }
}
