//! The ciphers' front door.

use std::time::Instant;

use zeroize::Zeroize as _;

use super::hardware::{Ask, Core};
use super::{Outcome, Verdict, core};
use crate::Reason;
use crate::memory;
use crate::queue::inflight::Flight;
use crate::request::cipher::{AesCbcKey, BLOCK_LEN_BYTES, Direction, MAX_LEN_BYTES};

/// AES-256-CBC without padding. `iv`: 16 bytes. `len_bytes` of text: a multiple of 16, 16 to [`MAX_LEN_BYTES`]. The next
/// initialisation vector of a longer message is the last 16 bytes of cipher text, in either direction.
///
/// `text`, called when a device is at hand, appends the text to an empty buffer with room for it. `accept` is given the text
/// and what the device made of it, both of the request's own memory, so that a caller's input and output may be the same; it
/// says whether that is right (a `bool` will do: the core knows no AES), and takes it if so: what it accepts is delivered.
/// `software` runs at most once, on the calling thread, and only when nothing was accepted.
pub fn aes_cbc<S, V: Into<Verdict>>(
    key: &AesCbcKey,
    direction: Direction,
    iv: &[u8],
    len_bytes: usize,
    text: impl FnOnce(&mut Vec<u8>),
    accept: impl FnOnce(&[u8], &[u8]) -> V,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    core().aes_cbc(
        (key, direction, iv),
        len_bytes,
        text,
        |text, answer| accept(text, answer).into(),
        software,
    )
}

impl Core {
    pub(super) fn aes_cbc<S>(
        &self,
        (key, direction, iv): (&AesCbcKey, Direction, &[u8]),
        len_bytes: usize,
        text: impl FnOnce(&mut Vec<u8>),
        accept: impl FnOnce(&[u8], &[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::of_cipher(direction, len_bytes);
        let attempt = || {
            let start = Instant::now();
            let whole = len_bytes % BLOCK_LEN_BYTES == 0 && (1..=MAX_LEN_BYTES).contains(&len_bytes);
            if !whole || iv.len() != BLOCK_LEN_BYTES {
                return Err(Reason::Unsupported);
            }
            let (device, queue) = self.acquire(&ask)?;
            let mut copy = memory::take_all(len_bytes).ok_or(Reason::Busy)?;
            text(&mut copy);
            if copy.len() != len_bytes {
                copy.zeroize();
                return Err(Reason::Unsupported);
            }
            let flight = self.fly(&ask, &device, &queue, |device| {
                Flight::aes_cbc(key, direction, iv, copy, device.cipher_form())
            })?;
            let ciphered = self.judged(&ask, &device, &queue, flight.cipher_answer())?;
            self.settled(&ask, &device, accept(ciphered.text(), ciphered.answer()))?;
            drop(ciphered);
            self.costs.note_hardware(ask.class, start.elapsed());
            Ok(())
        };
        self.answered(&ask, attempt, software)
    }
}
