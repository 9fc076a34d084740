//! X25519 and X448.

use super::{Ask, Core, Outcome, Reason, Verdict};
use crate::descriptor::hpre::Operation;
use crate::engine::core;
use crate::request::pkey::{EcxPrivateKey, is_zero};
use crate::secret::Secret;

/// The public key: the function at its base point. `output`: exactly `key.kind().len_bytes()` bytes, little-endian as RFC 7748
/// writes it.
///
/// `check` and `software` as in [`rsa_private`](crate::rsa_private).
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
/// A peer's value of zero or not below the prime, and an all-zero result, are for `software` to judge (RFC 7748 §6). The core
/// checks that the answer is below the prime; any such number may be right. `check` and `software` as in
/// [`rsa_private`](crate::rsa_private).
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
    /// `peer`: `None` for the base point.
    pub(in crate::engine) fn ecx<S>(
        &self,
        key: &EcxPrivateKey,
        peer: Option<&[u8]>,
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(key.kind().algorithm(), key.kind().len_bytes());
        self.answered(&ask, || self.try_ecx(&ask, key, peer, output, check), software)
    }

    fn try_ecx(
        &self,
        ask: &Ask,
        key: &EcxPrivateKey,
        peer: Option<&[u8]>,
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
    ) -> Result<(), Reason> {
        if output.len() != key.kind().len_bytes() {
            return Err(Reason::Unsupported);
        }
        let station = self.acquire(ask)?;
        let task = (Operation::Ladder, key.kind().width_bytes());
        let answer = self.operate(ask, &station, task, key.material(), |field| match peer {
            Some(u) => key.place_peer(u, field),
            None => key.place_base(field),
        })?;
        if is_zero(answer.bytes()) {
            // A peer's point of small order.
            return Err(Reason::Refused);
        }
        let mut bytes = Secret::zeroed(output.len());
        if key.accept(answer.bytes(), bytes.bytes_mut()).is_none() {
            return Err(self.wrong(ask, &station.0));
        }
        self.settled(ask, &station.0, check(bytes.bytes()))?;
        output.copy_from_slice(bytes.bytes());
        Ok(())
    }
}
