//! SM2 (GB/T 32918). Keys are ordinary keys on the curve [`CurveName::Sm2`](crate::request::pkey::CurveName::Sm2); on another
//! curve everything here is software.

use std::time::Instant;

use super::ecc::Scheme;
use super::{Algorithm, Ask, Core, Outcome, Reason, Verdict};
use crate::cost::Class;
use crate::descriptor::hpre::Operation;
use crate::engine::core;
use crate::request::pkey::{Curve, CurveName, EcPrivateKey, EcPublicKey};
use crate::secret::Secret;

/// An SM2 signature. `digest`: e = SM3(Z ‖ message), 32 bytes. `nonce` and `signature` (r ‖ s, 64 bytes) as in
/// [`ecdsa_sign`](crate::ecdsa_sign), whose checks also apply (here s·(1 + d) = k - r·d).
pub fn sm2_sign<S, V: Into<Verdict>>(
    key: &EcPrivateKey,
    digest: &[u8],
    nonce: &[u8],
    signature: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().sm2_sign(key, digest, nonce, signature, |answer| check(answer).into(), software)
}

/// Whether an SM2 signature is good. `digest`: e = SM3(Z ‖ message), 32 bytes; `signature`: r ‖ s, 64 bytes. As
/// [`ecdsa_verify`](crate::ecdsa_verify): what the device does not accept is for `software` to judge.
pub fn sm2_verify<S>(
    key: &EcPublicKey,
    digest: &[u8],
    signature: &[u8],
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().sm2_verify(key, digest, signature, software)
}

/// SM2 encryption with SM3. `message`: 1 to 512 bytes. `nonce`: the secret k in 1..n, big-endian, made by the caller for this
/// message alone. `output`: C1x ‖ C1y ‖ C2 ‖ C3, 64 + message + 32 bytes: the device's order, C3 is the SM3 hash;
/// standards write
/// C1 ‖ C3 ‖ C2.
///
/// The core checks that C1 is a point of the curve. `check` and `software` as in [`rsa_private`](crate::rsa_private).
pub fn sm2_encrypt<S, V: Into<Verdict>>(
    key: &EcPublicKey,
    message: &[u8],
    nonce: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().sm2_encrypt(key, message, nonce, output, |answer| check(answer).into(), software)
}

/// SM2 decryption with SM3. `ciphertext`: C1x ‖ C1y ‖ C2 ‖ C3 as [`sm2_encrypt`] gives it, 97 to 608 bytes. `output`:
/// exactly as
/// long as C2.
///
/// C1 not on the curve, and a hash that does not match, are for `software` to judge. `check` and `software` as in
/// [`rsa_private`](crate::rsa_private).
pub fn sm2_decrypt<S, V: Into<Verdict>>(
    key: &EcPrivateKey,
    ciphertext: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().sm2_decrypt(key, ciphertext, output, |answer| check(answer).into(), software)
}

/// The two points of an SM2 encryption (GB/T 32918.4 §6.1), with which any digest encrypts a message of any length: C1 = k·G and
/// (x2, y2) = k·P. `nonce`: the secret k in 2..n-1, big-endian, made by the caller for this message alone. `message_len_bytes`: what is
/// counted. `points`: C1x ‖ C1y ‖ x2 ‖ y2, 128 bytes; the second half is as secret as the message.
///
/// A wrong point would make a ciphertext that nobody can open. So the device multiplies a third point as well, P + 2G by n - k, and
/// the core checks that the three are on the curve and add up: 2·C1 + (x2, y2) + (n - k)·(P + 2G) is nothing. One wrong
/// point is always found, two or three only pass when they cancel each other. `check` and `software` as in
/// [`rsa_private`](crate::rsa_private).
pub fn sm2_encryption_points<S, V: Into<Verdict>>(
    key: &EcPublicKey,
    nonce: &[u8],
    message_len_bytes: usize,
    points: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().sm2_encryption_points(
        key,
        nonce,
        message_len_bytes,
        points,
        |answer| check(answer).into(),
        software,
    )
}

/// The point of an SM2 decryption (GB/T 32918.4 §7.1), with which any digest decrypts a message of any length: (x2, y2) = d·C1.
/// `first`: C1. `message_len_bytes`: what is counted. `point`: x2 ‖ y2, 64 bytes, as secret as the message.
///
/// The core checks that the answer is a point of the curve. `check` is to decrypt with it and to compare C3: only the right point
/// gives the right one. Its verdict [`Verdict::BadInput`] says that software refuses the ciphertext too, and is counted as
/// `refused`. `software` as in [`rsa_private`](crate::rsa_private).
pub fn sm2_decryption_point<S, V: Into<Verdict>>(
    key: &EcPrivateKey,
    first: &EcPublicKey,
    message_len_bytes: usize,
    point: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().sm2_decryption_point(key, first, message_len_bytes, point, |answer| check(answer).into(), software)
}

/// Bytes of a coordinate, and of SM3's output.
const LEN_BYTES: usize = 32;
/// Longest message the device takes (`hpre §1.2`).
const MAX_MESSAGE_LEN_BYTES: usize = 512;

impl Core {
    pub(in crate::engine) fn sm2_sign<S>(
        &self,
        key: &EcPrivateKey,
        digest: &[u8],
        nonce: &[u8],
        signature: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        if let Err(reason) = whole(key.curve(), digest) {
            return self.answered(&Ask::of(Algorithm::Sm2Sign, LEN_BYTES), || Err(reason), software);
        }
        self.sign(Scheme::Sm2, Algorithm::Sm2Sign, key, digest, nonce, signature, check, software)
    }

    pub(in crate::engine) fn sm2_verify<S>(
        &self,
        key: &EcPublicKey,
        digest: &[u8],
        signature: &[u8],
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(Algorithm::Sm2Verify, LEN_BYTES);
        let attempt = || {
            whole(key.curve(), digest)?;
            self.try_verify(&ask, Scheme::Sm2, key, digest, signature)
        };
        self.answered(&ask, attempt, software)
    }

    pub(in crate::engine) fn sm2_encrypt<S>(
        &self,
        key: &EcPublicKey,
        message: &[u8],
        nonce: &[u8],
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(Algorithm::Sm2Encrypt, message.len());
        let attempt = || {
            let curve = key.curve();
            let message_len = message_len(curve, message)?;
            if output.len() != LEN_BYTES * 3 + message.len() {
                return Err(Reason::Unsupported);
            }
            let station = self.acquire(&ask)?;
            let task = (Operation::Sm2Encrypt { message_len }, LEN_BYTES);
            let answer = self.operate(&ask, &station, task, key.material(), |input| {
                let (k, text) = input.split_at_mut_checked(LEN_BYTES)?;
                curve.padded(nonce, k)?;
                text.copy_from_slice(message);
                curve.is_scalar(k).then_some(())
            })?;
            if !starts_on(curve, answer.bytes()) {
                return Err(self.wrong(&ask, &station.0));
            }
            self.settled(&ask, &station.0, check(answer.bytes()))?;
            output.copy_from_slice(answer.bytes());
            Ok(())
        };
        self.answered(&ask, attempt, software)
    }

    pub(in crate::engine) fn sm2_decrypt<S>(
        &self,
        key: &EcPrivateKey,
        ciphertext: &[u8],
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(Algorithm::Sm2Decrypt, output.len());
        let attempt = || {
            let curve = key.curve();
            let message_len = message_len(curve, output)?;
            if ciphertext.len() != LEN_BYTES * 3 + output.len() {
                return Err(Reason::Unsupported);
            }
            let station = self.acquire(&ask)?;
            let task = (Operation::Sm2Decrypt { message_len }, LEN_BYTES);
            let answer = self.operate(&ask, &station, task, key.material(), |input| {
                input.copy_from_slice(ciphertext);
                starts_on(curve, input).then_some(())
            })?;
            self.settled(&ask, &station.0, check(answer.bytes()))?;
            output.copy_from_slice(answer.bytes());
            Ok(())
        };
        self.answered(&ask, attempt, software)
    }
}

/// SM2 by points: what the core does with them.
impl Core {
    pub(in crate::engine) fn sm2_encryption_points<S>(
        &self,
        key: &EcPublicKey,
        nonce: &[u8],
        message_len_bytes: usize,
        points: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = by_points(Algorithm::Sm2Encrypt, message_len_bytes);
        let attempt = || {
            let start = Instant::now();
            let curve = key.curve();
            if curve.name() != CurveName::Sm2 || points.len() != LEN_BYTES * 4 {
                return Err(Reason::Unsupported);
            }
            let station = self.acquire(&ask)?;
            let scalar = EcPrivateKey::new(curve, nonce, None).map_err(|_| Reason::Unsupported)?;
            let opposite = scalar.opposite().map_err(|_| Reason::Unsupported)?;
            let shifted = key.shifted().ok_or(Reason::Unsupported)?;
            let factors = [(&scalar, curve.generator()), (&scalar, key.point()), (&opposite, shifted)];
            let answers = self.products(&ask, &station, factors)?;
            let [first, second, third] = &answers[..] else { return Err(Reason::Unsupported) };
            match curve.multiples_fit(first.bytes(), second.bytes(), third.bytes()) {
                Some(true) => {}
                Some(false) => return Err(self.wrong(&ask, &station.0)),
                // A key such as 2G, or such a wrong answer.
                None => return Err(Reason::Unsupported),
            }
            let mut both = Secret::zeroed(points.len());
            let (to_first, to_second) = both.bytes_mut().split_at_mut(LEN_BYTES * 2);
            to_first.copy_from_slice(first.bytes());
            to_second.copy_from_slice(second.bytes());
            self.settled(&ask, &station.0, check(both.bytes()))?;
            points.copy_from_slice(both.bytes());
            self.costs.note_hardware(ask.class, start.elapsed());
            Ok(())
        };
        self.answered(&ask, attempt, software)
    }

    pub(in crate::engine) fn sm2_decryption_point<S>(
        &self,
        key: &EcPrivateKey,
        first: &EcPublicKey,
        message_len_bytes: usize,
        point: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = by_points(Algorithm::Sm2Decrypt, message_len_bytes);
        let attempt = || {
            let start = Instant::now();
            let is_sm2 = key.curve().name() == CurveName::Sm2 && first.curve() == key.curve();
            if !is_sm2 || point.len() != LEN_BYTES * 2 {
                return Err(Reason::Unsupported);
            }
            let station = self.acquire(&ask)?;
            let answer = self.product(&ask, &station, key, first.point())?;
            match check(answer.bytes()) {
                Verdict::BadInput => return Err(Reason::Refused),
                verdict => self.settled(&ask, &station.0, verdict)?,
            }
            point.copy_from_slice(answer.bytes());
            self.costs.note_hardware(ask.class, start.elapsed());
            Ok(())
        };
        self.answered(&ask, attempt, software)
    }
}

/// A request whose flights are multiplications of points: what these take does not depend on the message, and what comes from
/// outside is checked before the device sees it.
fn by_points(algorithm: Algorithm, len_bytes: usize) -> Ask {
    let flight = Class::of(Algorithm::Ecdh(CurveName::Sm2), LEN_BYTES, false);
    Ask { flight, is_foreign: false, ..Ask::of(algorithm, len_bytes) }
}

/// The curve is SM2's and the digest a whole one of SM3.
fn whole(curve: &Curve, digest: &[u8]) -> Result<(), Reason> {
    let good = curve.name() == CurveName::Sm2 && digest.len() == LEN_BYTES;
    if good { Ok(()) } else { Err(Reason::Unsupported) }
}

/// Bytes of a message the device takes.
fn message_len(curve: &Curve, message: &[u8]) -> Result<u16, Reason> {
    let good = curve.name() == CurveName::Sm2 && (1..=MAX_MESSAGE_LEN_BYTES).contains(&message.len());
    u16::try_from(message.len()).ok().filter(|_| good).ok_or(Reason::Unsupported)
}

/// Whether a ciphertext begins with a point of the curve.
fn starts_on(curve: &Curve, ciphertext: &[u8]) -> bool {
    let coordinate = |at: usize| ciphertext.get(at..at + LEN_BYTES).unwrap_or_default();
    curve.contains(coordinate(0), coordinate(LEN_BYTES))
}
