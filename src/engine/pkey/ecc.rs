//! Prime curves: point multiplication and ECDSA.

use std::time::Instant;

use super::{Algorithm, Answered, Ask, Core, Outcome, Reason, Station, Verdict};
use crate::descriptor::hpre::{Answer, Operation};
use crate::engine::core;
use crate::queue::inflight::Flight;
use crate::request::pkey::{Curve, CurveName, EcPrivateKey, EcPublicKey};
use crate::secret::Secret;

/// The public point d·G. `output`: x ‖ y, each `key.curve().len_bytes()` bytes, big-endian and left-padded.
///
/// The core checks that the answer is a point of the curve. `check` and `software` as in
/// [`rsa_private`](crate::rsa_private). Counted in the
/// row of [`ecdh`].
pub fn ec_public<S, V: Into<Verdict>>(
    key: &EcPrivateKey,
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().multiply(key, None, output, |answer| check(answer).into(), software)
}

/// The shared point d·peer, for ECDH. `output`: x ‖ y, each `key.curve().len_bytes()` bytes, big-endian and left-padded; the
/// shared secret of SP 800-56A is x. With a cofactor h ≠ 1 and the cofactor mode: software, or a key made of h·d mod n.
///
/// The core checks that the answer is a point of the curve. `check` and `software` as in [`rsa_private`](crate::rsa_private).
pub fn ecdh<S, V: Into<Verdict>>(
    key: &EcPrivateKey,
    peer: &EcPublicKey,
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().multiply(key, Some(peer), output, |answer| check(answer).into(), software)
}

/// An ECDSA signature. `digest`: the whole message digest; its leftmost bits, as many as the order has, are used (FIPS 186-5
/// §6.4.1). `nonce`: the per-signature secret k, big-endian, leading zeros allowed, in 1..n, made by the caller, uniformly or
/// by RFC 6979, and never used for anything else: also not by `software`, unless for this very digest. `signature`: r ‖ s, each
/// `key.curve().order_len_bytes()` bytes, big-endian and left-padded.
///
/// Before it leaves, the core checks that r and s are in 1..n and fit each other (s·k = e + r·d), and has the device verify the
/// signature with the key's public point, uncounted; a key without one is software. `check` comes after that and may simply
/// say `true`. `software` as in [`rsa_private`](crate::rsa_private).
pub fn ecdsa_sign<S, V: Into<Verdict>>(
    key: &EcPrivateKey,
    digest: &[u8],
    nonce: &[u8],
    signature: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().ecdsa_sign(key, digest, nonce, signature, |answer| check(answer).into(), software)
}

/// Whether an ECDSA signature is good. `digest` as in [`ecdsa_sign`]; `signature`: r ‖ s, each
/// `key.curve().order_len_bytes()` bytes, big-endian and left-padded.
///
/// [`Outcome::Hardware`]: the device says it is good. A signature it does not accept is for `software` to judge, counted as
/// `refused` (`unsupported` where r or s is out of range): no caller is told "bad" on the word of a device.
pub fn ecdsa_verify<S>(
    key: &EcPublicKey,
    digest: &[u8],
    signature: &[u8],
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().ecdsa_verify(key, digest, signature, software)
}

impl Core {
    /// `peer`: `None` for the generator.
    pub(in crate::engine) fn multiply<S>(
        &self,
        key: &EcPrivateKey,
        peer: Option<&EcPublicKey>,
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(key.ecdh(), key.curve().len_bytes());
        self.answered(&ask, || self.try_multiply(&ask, key, peer, output, check), software)
    }

    fn try_multiply(
        &self,
        ask: &Ask,
        key: &EcPrivateKey,
        peer: Option<&EcPublicKey>,
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
    ) -> Result<(), Reason> {
        let curve = key.curve();
        if output.len() != curve.len_bytes() * 2 || peer.is_some_and(|peer| peer.curve() != curve) {
            return Err(Reason::Unsupported);
        }
        let station = self.acquire(ask)?;
        let point = peer.map_or(curve.generator(), EcPublicKey::point);
        let answer = self.product(ask, &station, key, point)?;
        let mut bytes = Secret::zeroed(output.len());
        Curve::unpad(answer.bytes(), curve.len_bytes(), bytes.bytes_mut()).ok_or(Reason::Unsupported)?;
        self.settled(ask, &station.0, check(bytes.bytes()))?;
        output.copy_from_slice(bytes.bytes());
        Ok(())
    }

    /// The key's scalar times a point of its curve, found to be on the curve: x ‖ y, each padded to the width.
    pub(super) fn product(
        &self,
        ask: &Ask,
        station: &Station,
        key: &EcPrivateKey,
        point: &[u8],
    ) -> Result<Answered, Reason> {
        self.products(ask, station, [(key, point)])?.pop().ok_or(Reason::Unsupported)
    }

    /// As [`Self::product`], several at once.
    pub(super) fn products<const N: usize>(
        &self,
        ask: &Ask,
        station: &Station,
        factors: [(&EcPrivateKey, &[u8]); N],
    ) -> Result<Vec<Answered>, Reason> {
        let flights = factors.map(|(key, point)| {
            let curve = key.curve();
            // The only curves for which a driver asks for these cores (`hpre §1.4`).
            let fast = matches!(curve.name(), CurveName::P256 | CurveName::Sm2);
            Flight::pkey(Operation::Multiply { fast }, curve.width_bytes(), key.material(), |field| {
                field.copy_from_slice(point);
                Some(())
            })
        });
        let answers = self.operate_together(ask, station, flights)?;
        let on_curve = answers.iter().zip(factors).all(|(answer, (key, _))| {
            let (x, y) = answer.bytes().split_at(key.curve().width_bytes());
            key.curve().contains(x, y)
        });
        if on_curve { Ok(answers) } else { Err(self.wrong(ask, &station.0)) }
    }

    pub(in crate::engine) fn ecdsa_sign<S>(
        &self,
        key: &EcPrivateKey,
        digest: &[u8],
        nonce: &[u8],
        signature: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let algorithm = Algorithm::EcdsaSign(key.curve().name());
        self.sign(Scheme::Ecdsa, algorithm, key, digest, nonce, signature, check, software)
    }

    pub(in crate::engine) fn ecdsa_verify<S>(
        &self,
        key: &EcPublicKey,
        digest: &[u8],
        signature: &[u8],
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(Algorithm::EcdsaVerify(key.curve().name()), key.curve().len_bytes());
        self.answered(&ask, || self.try_verify(&ask, Scheme::Ecdsa, key, digest, signature), software)
    }

    /// A signature by either scheme.
    #[expect(clippy::too_many_arguments, reason = "what a signature takes")]
    pub(super) fn sign<S>(
        &self,
        scheme: Scheme,
        algorithm: Algorithm,
        key: &EcPrivateKey,
        digest: &[u8],
        nonce: &[u8],
        signature: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of_several_flights(algorithm, key.curve().len_bytes());
        let attempt = || {
            let start = Instant::now();
            self.try_sign(&ask, scheme, key, digest, nonce, signature, check)?;
            self.costs.note_hardware(ask.class, start.elapsed());
            Ok(())
        };
        self.answered(&ask, attempt, software)
    }

    #[expect(clippy::too_many_arguments, reason = "what a signature takes")]
    fn try_sign(
        &self,
        ask: &Ask,
        scheme: Scheme,
        key: &EcPrivateKey,
        digest: &[u8],
        nonce: &[u8],
        signature: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
    ) -> Result<(), Reason> {
        let curve = key.curve();
        let public = key.public().ok_or(Reason::Unsupported)?;
        if signature.len() != curve.order_len_bytes() * 2 {
            return Err(Reason::Unsupported);
        }
        let station = self.acquire(ask)?;
        let width = curve.width_bytes();
        let mut e_and_k = Secret::zeroed(width * 2);
        let (e, k) = e_and_k.bytes_mut().split_at_mut(width);
        curve.place_digest(digest, e).ok_or(Reason::Unsupported)?;
        curve.padded(nonce, k).ok_or(Reason::Unsupported)?;
        if !curve.is_scalar(k) {
            return Err(Reason::Unsupported);
        }
        let (e, k) = e_and_k.bytes().split_at(width);
        let answer = self.operate(ask, &station, (scheme.signature(), width), key.material(), |field| {
            field.copy_from_slice(e_and_k.bytes());
            Some(())
        })?;
        let (r, s) = answer.bytes().split_at(width);
        if !scheme.fits(curve, (r, s), e, k, key.scalar()) {
            return Err(self.wrong(ask, &station.0));
        }
        // Two halves that fit each other, around an r that nobody has seen yet.
        if !self.verified(ask, &station, scheme, public, e, (r, s))? {
            return Err(self.mismatch(ask, &station, key, public));
        }
        let mut bytes = Secret::zeroed(signature.len());
        Curve::unpad(answer.bytes(), curve.order_len_bytes(), bytes.bytes_mut())
            .ok_or(Reason::Unsupported)?;
        self.settled(ask, &station.0, check(bytes.bytes()))?;
        signature.copy_from_slice(bytes.bytes());
        Ok(())
    }

    /// Why a signature that fits its key does not verify: the device's fault, or a public point that is not this key's.
    fn mismatch(&self, ask: &Ask, station: &Station, key: &EcPrivateKey, public: &EcPublicKey) -> Reason {
        match self.product(ask, station, key, key.curve().generator()) {
            Ok(point) if point.bytes() != public.point() => Reason::Unsupported,
            Ok(_) => self.wrong(ask, &station.0),
            Err(reason) => reason,
        }
    }

    pub(super) fn try_verify(
        &self,
        ask: &Ask,
        scheme: Scheme,
        key: &EcPublicKey,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<(), Reason> {
        let curve = key.curve();
        let station = self.acquire(ask)?;
        let width = curve.width_bytes();
        let mut fields = vec![0; width * 3];
        let (e, halves) = fields.split_at_mut(width);
        let (r, s) = halves.split_at_mut(width);
        if signature.len() != curve.order_len_bytes() * 2 {
            return Err(Reason::Unsupported);
        }
        let (given_r, given_s) = signature.split_at(curve.order_len_bytes());
        curve.place_digest(digest, e).ok_or(Reason::Unsupported)?;
        curve.padded(given_r, r).ok_or(Reason::Unsupported)?;
        curve.padded(given_s, s).ok_or(Reason::Unsupported)?;
        if !curve.is_scalar(r) || !curve.is_scalar(s) {
            return Err(Reason::Unsupported);
        }
        if self.verified(ask, &station, scheme, key, e, (r, s))? { Ok(()) } else { Err(Reason::Refused) }
    }

    /// Whether the device finds the signature good. All padded to the width and in range.
    fn verified(
        &self,
        ask: &Ask,
        station: &Station,
        scheme: Scheme,
        key: &EcPublicKey,
        e: &[u8],
        (r, s): (&[u8], &[u8]),
    ) -> Result<bool, Reason> {
        let width = key.curve().width_bytes();
        let task = (scheme.verification(), width);
        let answer = self.operate(ask, station, task, key.material(), |input| {
            // Not r before s (`hpre §3.1`).
            for (field, number) in input.chunks_exact_mut(width).zip([e, s, r]) {
                field.copy_from_slice(number);
            }
            Some(())
        })?;
        Ok(answer.said == Answer::Valid)
    }
}

/// Two ways to sign with a key on a curve; the device's buffers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Ecdsa,
    Sm2,
}

impl Scheme {
    fn signature(self) -> Operation {
        match self {
            Self::Ecdsa => Operation::EcdsaSign,
            Self::Sm2 => Operation::Sm2Sign,
        }
    }

    fn verification(self) -> Operation {
        match self {
            Self::Ecdsa => Operation::EcdsaVerify,
            Self::Sm2 => Operation::Sm2Verify,
        }
    }

    fn fits(self, curve: &Curve, signature: (&[u8], &[u8]), e: &[u8], k: &[u8], d: &[u8]) -> bool {
        match self {
            Self::Ecdsa => curve.ecdsa_fits(signature, e, k, d),
            Self::Sm2 => curve.sm2_fits(signature, k, d),
        }
    }
}
