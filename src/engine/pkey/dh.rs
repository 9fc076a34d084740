//! Diffie-Hellman.

use super::{Algorithm, Ask, Core, Outcome, Reason, Verdict};
use crate::engine::core;
use crate::request::pkey::DhPrivateKey;

/// The public value generator^x mod p. `generator`: big-endian, leading zeros allowed, 2 to p-2; 2 itself takes the device's
/// own form of the operation. `output`: exactly `key.len_bytes()` bytes, filled big-endian and left-padded.
///
/// The core checks that the answer is in 2..=p-2; `check` may know more. See the [module](self) for `check` and `software`.
pub fn dh_public<S, V: Into<Verdict>>(
    key: &DhPrivateKey,
    generator: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().dh(key, generator, output, |answer| check(answer).into(), software)
}

/// The shared value peer^x mod p, always `key.len_bytes()` bytes, big-endian and left-padded: who wants it without leading
/// zeros strips them. `peer`: the other side's public value, big-endian, leading zeros allowed, 2 to p-2.
///
/// An answer of 0, 1 or p-1 is no answer: software says what the peer's value deserves. See the [module](self) for `check` and
/// `software`.
pub fn dh_shared<S, V: Into<Verdict>>(
    key: &DhPrivateKey,
    peer: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().dh(key, peer, output, |answer| check(answer).into(), software)
}

impl Core {
    pub(in crate::engine) fn dh<S>(
        &self,
        key: &DhPrivateKey,
        _base: &[u8],
        _output: &mut [u8],
        _check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        self.unserved(key.algorithm(), key.len_bytes(), software)
    }

    /// Not sent to any device yet.
    pub(super) fn unserved<S>(
        &self,
        algorithm: Algorithm,
        len_bytes: usize,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(algorithm, len_bytes);
        self.answered(&ask, || Err(Reason::Unsupported), software)
    }
}
