//! Prime curves: point multiplication and ECDSA.

use super::{Algorithm, Core, Outcome, Verdict};
use crate::engine::core;
use crate::request::pkey::{EcPrivateKey, EcPublicKey};

/// The public point d·G. `output`: x ‖ y, each `key.curve().len_bytes()` bytes, big-endian and left-padded.
///
/// The core checks that the answer is a point of the curve. See the [module](super) for `check` and `software`. Counted in the
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
/// The core checks that the answer is a point of the curve. See the [module](super) for `check` and `software`.
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
/// say `true`. See the [module](super).
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
/// [`Outcome::Hardware`]: the device says it is good. A signature it does not accept, r or s out of range included, is for
/// `software` to judge, counted as `refused`: no caller is told "bad" on the word of a device.
pub fn ecdsa_verify<S>(
    key: &EcPublicKey,
    digest: &[u8],
    signature: &[u8],
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().ecdsa_verify(key, digest, signature, software)
}

impl Core {
    pub(in crate::engine) fn multiply<S>(
        &self,
        key: &EcPrivateKey,
        _peer: Option<&EcPublicKey>,
        _output: &mut [u8],
        _check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(key.ecdh(), key.curve().len_bytes(), software)
    }

    pub(in crate::engine) fn ecdsa_sign<S>(
        &self,
        key: &EcPrivateKey,
        _digest: &[u8],
        _nonce: &[u8],
        _signature: &mut [u8],
        _check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(Algorithm::EcdsaSign(key.curve().name()), key.curve().len_bytes(), software)
    }

    pub(in crate::engine) fn ecdsa_verify<S>(
        &self,
        key: &EcPublicKey,
        _digest: &[u8],
        _signature: &[u8],
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(Algorithm::EcdsaVerify(key.curve().name()), key.curve().len_bytes(), software)
    }
}
