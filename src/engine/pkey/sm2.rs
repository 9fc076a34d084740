//! SM2 (GB/T 32918). Keys are ordinary keys on the curve [`CurveName::Sm2`](crate::request::pkey::CurveName::Sm2); on another
//! curve everything here is software.

use super::{Algorithm, Core, Outcome, Verdict};
use crate::engine::core;
use crate::request::pkey::{EcPrivateKey, EcPublicKey};

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
/// message alone. `output`: C1x ‖ C1y ‖ C2 ‖ C3, 64 + message + 32 bytes: the device's order, C3 is the SM3 hash; standards write
/// C1 ‖ C3 ‖ C2.
///
/// The core checks that C1 is a point of the curve. See the [module](super) for `check` and `software`.
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

/// SM2 decryption with SM3. `ciphertext`: C1x ‖ C1y ‖ C2 ‖ C3 as [`sm2_encrypt`] gives it, 97 to 608 bytes. `output`: exactly as
/// long as C2.
///
/// C1 not on the curve, and a hash that does not match, are for `software` to judge. See the [module](super) for `check` and
/// `software`.
pub fn sm2_decrypt<S, V: Into<Verdict>>(
    key: &EcPrivateKey,
    ciphertext: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().sm2_decrypt(key, ciphertext, output, |answer| check(answer).into(), software)
}

impl Core {
    pub(in crate::engine) fn sm2_sign<S>(
        &self,
        key: &EcPrivateKey,
        _digest: &[u8],
        _nonce: &[u8],
        _signature: &mut [u8],
        _check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(Algorithm::Sm2Sign, key.curve().len_bytes(), software)
    }

    pub(in crate::engine) fn sm2_verify<S>(
        &self,
        key: &EcPublicKey,
        _digest: &[u8],
        _signature: &[u8],
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(Algorithm::Sm2Verify, key.curve().len_bytes(), software)
    }

    pub(in crate::engine) fn sm2_encrypt<S>(
        &self,
        _key: &EcPublicKey,
        message: &[u8],
        _nonce: &[u8],
        _output: &mut [u8],
        _check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(Algorithm::Sm2Encrypt, message.len(), software)
    }

    pub(in crate::engine) fn sm2_decrypt<S>(
        &self,
        _key: &EcPrivateKey,
        _ciphertext: &[u8],
        output: &mut [u8],
        _check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(Algorithm::Sm2Decrypt, output.len(), software)
    }
}
