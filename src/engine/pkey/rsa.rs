//! RSA private operations.

use super::{Ask, Core, Outcome, Reason, Verdict};
use crate::cost::Class;
use crate::descriptor::hpre::Operation;
use crate::engine::core;
use crate::request::pkey::RsaPrivateKey;

/// input^d mod n. `input` and `output`: exactly `key.len_bytes()` bytes, big-endian, `input` below the modulus.
///
/// `check` is given the device's answer and says whether output^e mod n gives the input back (a `bool` will do); an answer that
/// fails is thrown away, counted against the device unless the input is to blame, and software runs. `software` runs at most
/// once, on the calling thread, and only if no hardware answer is delivered; `output` is then untouched.
pub fn rsa_private<S, V: Into<Verdict>>(
    key: &RsaPrivateKey,
    input: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().rsa_private(key, input, output, |answer| check(answer).into(), software)
}

impl Core {
    pub(in crate::engine) fn rsa_private<S>(
        &self,
        key: &RsaPrivateKey,
        input: &[u8],
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let (algorithm, len_bytes) = (key.algorithm(), key.len_bytes());
        let ask = Ask::of_class(algorithm, Class::of(algorithm, len_bytes, key.crt()), len_bytes);
        self.answered(&ask, || self.try_rsa(&ask, key, input, output, check), software)
    }

    fn try_rsa(
        &self,
        ask: &Ask,
        key: &RsaPrivateKey,
        input: &[u8],
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
    ) -> Result<(), Reason> {
        if input.len() != key.len_bytes() || output.len() != key.len_bytes() {
            return Err(Reason::Unsupported);
        }
        let station = self.acquire(ask)?;
        let operation = if key.crt() { Operation::RsaCrt } else { Operation::RsaNonCrt };
        let answer = self.operate(ask, &station, (operation, key.len_bytes()), key.material(), |field| {
            field.copy_from_slice(input);
            Some(())
        })?;
        self.settled(ask, &station.0, check(answer.bytes()))?;
        output.copy_from_slice(answer.bytes());
        Ok(())
    }
}
