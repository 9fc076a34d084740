//! The ciphers' front door.

use super::hardware::{Ask, Core};
use super::{Outcome, Verdict, core};
use crate::queue::inflight::Flight;
use crate::request::cipher::{AesCbcKey, BLOCK_LEN_BYTES, Direction, MAX_LEN_BYTES};
use crate::{Algorithm, Reason};

/// AES-256-CBC without padding. `iv`: 16 bytes. `input` and `output`: equally long, a multiple of 16 bytes, 16 to
/// [`MAX_LEN_BYTES`]. The next initialisation vector of a longer message is the last 16 bytes of cipher text, in either
/// direction.
///
/// `check` is given what the device wrote and says whether it is right (a `bool` will do): the core knows no AES. `software` runs
/// at most once, on the calling thread, and only when no hardware answer is delivered; `output` is then untouched.
pub fn aes_cbc<S, V: Into<Verdict>>(
    key: &AesCbcKey,
    direction: Direction,
    iv: &[u8],
    input: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().aes_cbc(key, direction, iv, (input, output), |answer| check(answer).into(), software)
}

impl Core {
    pub(super) fn aes_cbc<S>(
        &self,
        key: &AesCbcKey,
        direction: Direction,
        iv: &[u8],
        (input, output): (&[u8], &mut [u8]),
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of(Algorithm::Aes256Cbc, input.len());
        let attempt = || {
            let whole = input.len() % BLOCK_LEN_BYTES == 0 && (1..=MAX_LEN_BYTES).contains(&input.len());
            if !whole || iv.len() != BLOCK_LEN_BYTES || output.len() != input.len() {
                return Err(Reason::Unsupported);
            }
            let (device, queue) = self.acquire(&ask)?;
            let flight = self.fly(&ask, &device, &queue, |device| {
                Flight::aes_cbc(key, direction, iv, input, device.cipher_form())
            })?;
            let answer = self.judged(&ask, &device, &queue, flight.cipher_answer())?;
            self.settled(&ask, &device, check(answer.bytes()))?;
            output.copy_from_slice(answer.bytes());
            Ok(())
        };
        self.answered(&ask, attempt, software)
    }
}
