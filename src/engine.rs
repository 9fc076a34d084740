//! One way in: each function takes a checked request and the software to run when hardware does not answer.

use crate::request::compress::{DeflateSegment, DeflatedSegment, InflateBody, Inflated};
use crate::request::pkey::RsaPrivateKey;
use crate::{Algorithm, Reason};

/// Who answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<H, S> {
    /// The device did, and its answer passed its check.
    Hardware(H),
    /// The front door's own function did; this is what it returned.
    Software(S),
}

/// Says, without counting, where a request of `algorithm` with `len_bytes` of payload would go now: `Ok` hardware,
/// `Err` software and why. For front doors that must choose before they have gathered a request. Cheap; opens nothing.
/// # Errors
/// The reason software would be counted under.
pub fn preview(algorithm: Algorithm, len_bytes: usize) -> Result<(), Reason> {
    let _ = (algorithm, len_bytes);
    Err(Reason::NoDevice)
}

/// Counts work that a front door did in software without building a request (a stream pinned to software, a tail).
/// `requests`: how many routed requests it stands for, may be 0; `len_bytes`: plain-text bytes.
pub fn note_software(algorithm: Algorithm, reason: Reason, requests: u64, len_bytes: u64) {
    let _ = (algorithm, reason, requests, len_bytes);
}

/// input^d mod n. `input` and `output`: exactly `key.len_bytes()` bytes, big-endian, `input` below the modulus.
///
/// `check` is given the device's answer and says whether output^e mod n gives the input back; a device answer that fails is
/// thrown away, counted against the device, and software runs. `software` runs at most once, on the calling thread,
/// and only if no hardware answer is delivered; `output` is then untouched.
pub fn rsa_private<S>(
    key: &RsaPrivateKey,
    input: &[u8],
    output: &mut [u8],
    check: impl FnOnce(&[u8]) -> bool,
    software: impl FnOnce() -> S,
) -> Outcome<(), S> {
    let _ = (key, input, output, check);
    Outcome::Software(software())
}

/// Compresses one segment. `software` as in [`rsa_private`].
pub fn deflate<S>(segment: &DeflateSegment, software: impl FnOnce() -> S) -> Outcome<DeflatedSegment, S> {
    let _ = segment;
    Outcome::Software(software())
}

/// Inflates one whole body. `software` runs when hardware did not answer or met anything but a complete, valid stream
/// that fits `output`; `output` then holds anything.
pub fn inflate<S>(
    body: InflateBody<'_>,
    software: impl FnOnce(InflateBody<'_>) -> S,
) -> Outcome<Inflated, S> {
    Outcome::Software(software(body))
}
