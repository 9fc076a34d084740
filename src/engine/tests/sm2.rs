//! SM2 by points. The played device knows the multiples of the example of GB/T 32918.5 §C.2 and of what they are checked with.

use super::*;
use crate::health::known::pkey::*;
use crate::request::pkey::{Curve, CurveName, EcPrivateKey, EcPublicKey};

const NONCE: &str = "59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21";
/// P, the public point of [`SM2_PRIVATE`].
const PUBLIC: &str = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
     ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
/// k·G
const C1: &str = "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73\
     e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0";
/// k·P, which is d·C1.
const SHARED: &str = "335e18d751e51f040e27d468138b7ab1dc86ad7f981d7d416222fd6ab3ed230d\
     ab743ebcfb22d64f7b6ab791f70658f25b48fa93e54064fdbfbed3f0bd847ac9";
/// P + 2G
const SHIFTED: &str = "03c8799c916cc802b57eab82f3049ba8ca5c8633fba7361d74e1b9ae126aa2b7\
     6573d3b5ce81386ae332faabf038d3bf7712facb3db27c7bcd184adfcf2376c3";
/// (n - k)·(P + 2G)
const CHECK: &str = "f2e2600c4b78e406b88901b2b7442b5995c366dddeedb804a956c7ec23970b20\
     b5af7b33df7f0f2ab89fae46e77ece98c7d1c096afea74dfca55940d518fc5ef";

fn device() -> Found {
    found("hisi_hpre-3", 3, &["rsa", "dh", "ecdh", "ecdsa", "sm2", "x25519", "x448"])
}

fn address(descriptor: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(descriptor[at..at + 8].try_into().unwrap())
}

/// A device that multiplies the example's points, `spoilt` by question; everything else it does well.
fn play(lab: &Lab, spoilt: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) {
    lab.behave(move |device, mut submission, class| {
        if submission.descriptor[0] & 0x1f == 0x0d {
            let question = device_view::read(address(&submission.descriptor, 16), 64);
            let scalar = device_view::read(address(&submission.descriptor, 8) + 64, 32);
            let generator = Curve::known(CurveName::Sm2).unwrap().generator().to_vec();
            let known: [(&str, Vec<u8>, bool, &str); 4] = [
                ("C1", generator, scalar == hex(NONCE), C1),
                ("shared", hex(PUBLIC), scalar == hex(NONCE), SHARED),
                ("check", hex(SHIFTED), scalar != hex(NONCE) && scalar != hex(SM2_PRIVATE), CHECK),
                ("opened", hex(C1), scalar == hex(SM2_PRIVATE), SHARED),
            ];
            let (name, .., answer) = known
                .into_iter()
                .find(|(_, point, fits, _)| *fits && *point == question)
                .expect("a question");
            let answer = spoilt(name).unwrap_or_else(|| hex(answer));
            device_view::write(address(&submission.descriptor, 24), &answer);
            submission.descriptor[3] |= 0xc0;
        } else {
            model::serve(&mut submission.descriptor, class);
        }
        device.complete(submission.slot, &submission.descriptor);
    });
}

fn curve() -> Curve {
    Curve::known(CurveName::Sm2).unwrap()
}

fn point(bytes: &[u8]) -> EcPublicKey {
    EcPublicKey::new(&curve(), &bytes[..32], &bytes[32..]).unwrap()
}

fn encrypt(core: &Core, verdict: Verdict) -> (Outcome<(), &'static str>, Vec<u8>) {
    let mut points = vec![0x55; 128];
    let check = |answer: &[u8]| {
        assert_eq!(answer, [hex(C1), hex(SHARED)].concat(), "nothing else gets as far as this");
        verdict
    };
    let key = point(&hex(PUBLIC));
    let outcome = core.sm2_encryption_points(&key, &hex(NONCE), 19, &mut points, check, || "software");
    (outcome, points)
}

fn decrypt(core: &Core, check: impl FnOnce(&[u8]) -> Verdict) -> (Outcome<(), &'static str>, Vec<u8>) {
    let mut shared = vec![0x55; 64];
    let key = EcPrivateKey::new(&curve(), &hex(SM2_PRIVATE), None).unwrap();
    let first = point(&hex(C1));
    let outcome = core.sm2_decryption_point(&key, &first, 19, &mut shared, check, || "software");
    (outcome, shared)
}

#[test]
fn the_published_points() {
    let lab = Lab::new(vec![device()]);
    let core = lab.core(HARDWARE);
    play(&lab, |_| None);
    assert_eq!(encrypt(&core, Verdict::Right), (Outcome::Hardware(()), [hex(C1), hex(SHARED)].concat()));
    let right = |answer: &[u8]| Verdict::from(answer == hex(SHARED));
    assert_eq!(decrypt(&core, right), (Outcome::Hardware(()), hex(SHARED)));
    for row in ["sm2-encrypt", "sm2-decrypt"] {
        let totals = core.counters.totals().algorithms.remove(row).unwrap();
        assert_eq!(
            (totals.hardware, totals.hardware_bytes, totals.software.len()),
            (1, 19, 0),
            "{row}: three flights or one"
        );
    }
    assert_eq!(point(&hex(PUBLIC)).shifted(), Some(&hex(SHIFTED)[..]));
}

/// Points of the curve, which nothing but the sum finds.
#[test]
fn a_wrong_point_of_an_encryption_never_leaves() {
    let opposite = |digits: &str| {
        let mut point = hex(digits);
        let (p, y) = (curve().field(0).to_vec(), point[32..].to_vec());
        crate::request::pkey::less(&p, &y, &mut point[32..]);
        point
    };
    let others = [hex(C1), hex(SHARED), hex(CHECK), hex(PUBLIC), hex(SHIFTED), curve().generator().to_vec()];
    for name in ["C1", "shared", "check"] {
        let right = hex(match name {
            "C1" => C1,
            "shared" => SHARED,
            _ => CHECK,
        });
        let mut wrong: Vec<Vec<u8>> = others.iter().filter(|other| **other != right).cloned().collect();
        wrong.extend([C1, SHARED, CHECK].map(opposite));
        for answer in wrong {
            let lab = Lab::new(vec![device()]);
            let core = lab.core(&format!("{HARDWARE}[health]\npause-min-ms = 60000\n"));
            let given = answer.clone();
            play(&lab, move |question| (question == name).then(|| given.clone()));
            let (outcome, points) = encrypt(&core, Verdict::Right);
            assert_eq!(
                (outcome, points),
                (Outcome::Software("software"), vec![0x55; 128]),
                "{name}: {answer:x?}"
            );
            // Where two of the points have the same x, it cannot be told who is to blame.
            let reasons = counts(&core, "sm2-encrypt").1;
            assert!(
                reasons == only("wrong-result", 1) || reasons == only("unsupported", 1),
                "{name}: {reasons:?}"
            );
        }
    }
}

#[test]
fn swapped_and_foreign_answers_are_found() {
    type Spoil = fn(&str) -> Option<Vec<u8>>;
    let spoils: [Spoil; 4] = [
        // One's answer for the other.
        |name| match name {
            "C1" => Some(hex(SHARED)),
            "shared" => Some(hex(C1)),
            _ => None,
        },
        // The same answer to everything; the question itself.
        |_| Some(hex(C1)),
        |name| match name {
            "C1" => Some(curve().generator().to_vec()),
            "shared" => Some(hex(PUBLIC)),
            _ => Some(hex(SHIFTED)),
        },
        // Off the curve.
        |name| (name == "check").then(|| [hex(CHECK)[..63].to_vec(), vec![0]].concat()),
    ];
    for spoil in spoils {
        let lab = Lab::new(vec![device()]);
        let core = lab.core(&format!("{HARDWARE}[health]\npause-min-ms = 60000\n"));
        play(&lab, spoil);
        assert_eq!(encrypt(&core, Verdict::Right).0, Outcome::Software("software"));
        let reasons = counts(&core, "sm2-encrypt").1;
        assert!(reasons == only("wrong-result", 1) || reasons == only("unsupported", 1), "{reasons:?}");
    }
}

#[test]
fn a_ciphertext_that_software_refuses_is_not_the_device_s_fault() {
    for (verdict, reason) in [(Verdict::BadInput, "refused"), (Verdict::Wrong, "wrong-result")] {
        let lab = Lab::new(vec![device()]);
        let core = lab.core(&format!("{HARDWARE}[health]\npause-min-ms = 60000\n"));
        play(&lab, |_| None);
        assert_eq!(decrypt(&core, |_| verdict), (Outcome::Software("software"), vec![0x55; 64]));
        assert_eq!(counts(&core, "sm2-decrypt"), (0, only(reason, 1)));
        let again = decrypt(&core, |_| Verdict::Right).0;
        assert_eq!(again == Outcome::Hardware(()), verdict == Verdict::BadInput, "paused or not");
    }
}

/// An error of the device for a point that was checked is a failure, not damaged data.
#[test]
fn a_refused_multiplication_is_the_device_s_fault() {
    let lab = Lab::new(vec![device()]);
    let core = lab.core(&format!("{HARDWARE}[health]\npause-min-ms = 60000\n"));
    lab.behave(|device, mut submission, _| {
        // Done, and an error.
        submission.descriptor[3] |= 0xc0;
        submission.descriptor[0] |= 0x20;
        device.complete(submission.slot, &submission.descriptor);
    });
    assert_eq!(decrypt(&core, |_| Verdict::Right).0, Outcome::Software("software"));
    assert_eq!(counts(&core, "sm2-decrypt"), (0, only("device-error", 1)));
    assert_eq!(encrypt(&core, Verdict::Right).0, Outcome::Software("software"));
    assert_eq!(counts(&core, "sm2-encrypt"), (0, only("device-error", 1)));
}

#[test]
fn what_the_device_must_not_see_it_does_not_see() {
    let lab = Lab::new(vec![device()]);
    let core = lab.core(HARDWARE);
    lab.behave(|_, _, _| panic!("a request"));
    let right = |_: &[u8]| Verdict::Right;
    let order = curve().order().to_vec();
    let mut last = order.clone();
    last[31] -= 1;
    let key = point(&hex(PUBLIC));
    let mut room = [0; 128];
    for nonce in [&[][..], &[0; 32], &[1], &order, &last, &[0xff; 33]] {
        let outcome = core.sm2_encryption_points(&key, nonce, 19, &mut room, right, || ());
        assert_eq!(outcome, Outcome::Software(()), "{nonce:x?}");
    }
    let other = Curve::known(CurveName::P256).unwrap();
    let (x, y) = other.generator().split_at(32);
    let foreign = EcPublicKey::new(&other, x, y).unwrap();
    // Without 2G on the other side of the sum there is nothing to check with.
    let generator = curve().generator().to_vec();
    let two = curve().sum(&generator, &generator).unwrap();
    let mut minus_two = two.to_vec();
    crate::request::pkey::less(curve().field(0), &two[32..], &mut minus_two[32..]);
    assert_eq!(point(&minus_two).shifted(), None);
    for (key, len) in [(&foreign, 128), (&key, 127), (&point(&minus_two), 128)] {
        let outcome = core.sm2_encryption_points(key, &hex(NONCE), 19, &mut room[..len], right, || ());
        assert_eq!(outcome, Outcome::Software(()));
    }
    let private = EcPrivateKey::new(&curve(), &hex(SM2_PRIVATE), None).unwrap();
    for (first, len) in [(&foreign, 64), (&key, 63)] {
        let outcome = core.sm2_decryption_point(&private, first, 19, &mut room[..len], right, || ());
        assert_eq!(outcome, Outcome::Software(()));
    }
    assert_eq!(counts(&core, "sm2-encrypt"), (0, only("unsupported", 9)));
    assert_eq!(counts(&core, "sm2-decrypt"), (0, only("unsupported", 2)));
}
