//! Diffie-Hellman.

use super::{Ask, Core, Outcome, Reason, Verdict};
use crate::descriptor::hpre::Operation;
use crate::engine::core;
use crate::request::pkey::DhPrivateKey;

/// The public value generator^x mod p. `generator`: big-endian, leading zeros allowed, 2 to p-2; 2 itself takes the device's
/// own form of the operation. `output`: exactly `key.len_bytes()` bytes, filled big-endian and left-padded.
///
/// An answer of 1 or p-1 is no answer: software says what such a key deserves. Nothing tells a wrong power from the right one
/// without computing it again; `check` may know more. `check` and `software` as in [`rsa_private`](crate::rsa_private).
pub fn dh_public<S, V: Into<Verdict>>(
    key: &DhPrivateKey,
    generator: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().dh(key, Base::Generator(generator), output, |answer| check(answer).into(), software)
}

/// The shared value peer^x mod p, always `key.len_bytes()` bytes, big-endian and left-padded: who wants it without leading
/// zeros strips them. `peer`: the other side's public value, big-endian, leading zeros allowed, 2 to p-2.
///
/// An answer of 0, 1 or p-1 is no answer: software says what the peer's value deserves. Checked as [`dh_public`]'s.
/// `check` and `software` as in [`rsa_private`](crate::rsa_private).
pub fn dh_shared<S, V: Into<Verdict>>(
    key: &DhPrivateKey,
    peer: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().dh(key, Base::Peer(peer), output, |answer| check(answer).into(), software)
}

impl Core {
    pub(in crate::engine) fn dh<S>(
        &self,
        key: &DhPrivateKey,
        base: Base<'_>,
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(key.algorithm(), key.len_bytes());
        self.answered(&ask, || self.try_dh(&ask, key, base, output, check), software)
    }

    fn try_dh(
        &self,
        ask: &Ask,
        key: &DhPrivateKey,
        base: Base<'_>,
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
    ) -> Result<(), Reason> {
        if output.len() != key.len_bytes() {
            return Err(Reason::Unsupported);
        }
        let station = self.acquire(ask)?;
        let width = key.len_bytes();
        let answer = match base {
            Base::Generator(g) if is_two(g) => {
                self.operate(ask, &station, (Operation::DhOfTwo, width), key.material(), |_| Some(()))
            }
            Base::Generator(base) | Base::Peer(base) => {
                self.operate(ask, &station, (Operation::Dh, width), key.material(), |field| {
                    key.place_base(base, field)
                })
            }
        }?;
        if !key.is_residue(answer.bytes()) {
            return Err(self.wrong(ask, &station.0));
        }
        if !key.is_element(answer.bytes()) {
            // A peer's value of small order, or a modulus that is no prime.
            return Err(Reason::Refused);
        }
        self.settled(ask, &station.0, check(answer.bytes()))?;
        output.copy_from_slice(answer.bytes());
        Ok(())
    }
}

/// What is raised to the private exponent.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Base<'a> {
    /// The group's generator.
    Generator(&'a [u8]),
    /// The other side's public value.
    Peer(&'a [u8]),
}

/// A public number, big-endian, leading zeros allowed.
fn is_two(number: &[u8]) -> bool {
    number.split_last().is_some_and(|(last, above)| *last == 2 && above.iter().all(|byte| *byte == 0))
}
