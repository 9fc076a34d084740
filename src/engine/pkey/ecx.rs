//! X25519 and X448.

use super::{Core, Outcome, Verdict};
use crate::engine::core;
use crate::request::pkey::EcxPrivateKey;

/// The public key: the function at its base point. `output`: exactly `key.kind().len_bytes()` bytes, little-endian as RFC 7748
/// writes it.
///
/// See the [module](super) for `check` and `software`.
pub fn ecx_public<S, V: Into<Verdict>>(
    key: &EcxPrivateKey,
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().ecx(key, None, output, |answer| check(answer).into(), software)
}

/// The shared secret. `peer`: the other side's public key; `output`: the result; both exactly `key.kind().len_bytes()` bytes,
/// little-endian as RFC 7748 writes them.
///
/// A peer's value of zero or not below the prime, and an all-zero result, are for `software` to judge (RFC 7748 §6). See the
/// [module](super) for `check` and `software`.
pub fn ecx_shared<S, V: Into<Verdict>>(
    key: &EcxPrivateKey,
    peer: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().ecx(key, Some(peer), output, |answer| check(answer).into(), software)
}

impl Core {
    pub(in crate::engine) fn ecx<S>(
        &self,
        key: &EcxPrivateKey,
        _peer: Option<&[u8]>,
        _output: &mut [u8],
        _check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(key.kind().algorithm(), key.kind().len_bytes(), software)
    }
}
