//! One way in: each function takes a checked request and the software to run when hardware does not answer.
//!
//! One routed request is one count, in exactly one place. The calling thread's errno is left as it was.

mod compress;
mod hardware;
#[cfg(test)]
mod tests;

use std::time::Instant;

use crate::config::Config;
use crate::cost::Class;
use crate::queue::fork::PerProcess;
use crate::queue::wait::ErrnoKept;
use crate::request::pkey::RsaPrivateKey;
use crate::{Algorithm, Reason};
pub use compress::{deflate, inflate, inflate_piece, preview_inflate};
use hardware::{Ask, Core};

/// Who answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<H, S> {
    /// The device did, and its answer passed its check.
    Hardware(H),
    /// The front door's own function did; this is what it returned.
    Software(S),
}

/// What a front door found out about a device's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right,
    /// It is wrong, and the request was sound: the device is not to be trusted.
    Wrong,
    /// It is wrong because the request was (a key whose numbers contradict each other): no fault of the device's, counted
    /// as unsupported.
    BadInput,
}

impl From<bool> for Verdict {
    fn from(is_right: bool) -> Self {
        if is_right { Self::Right } else { Self::Wrong }
    }
}

/// Says, without counting, where a request of `algorithm` with `len_bytes` of payload would go now: `Ok` hardware,
/// `Err` software and why. For front doors that must choose before they have gathered a request. Cheap; opens nothing.
/// # Errors
/// The reason software would be counted under.
pub fn preview(algorithm: Algorithm, len_bytes: usize) -> Result<(), Reason> {
    let _errno = ErrnoKept::new();
    core().preview(algorithm, len_bytes)
}

/// Counts work that a front door did in software without building a request (a stream pinned to software, a tail).
/// `requests`: how many routed requests it stands for, may be 0; `len_bytes`: plain-text bytes.
pub fn note_software(algorithm: Algorithm, reason: Reason, requests: u64, len_bytes: u64) {
    let _errno = ErrnoKept::new();
    core().counters.software(algorithm, reason, requests, len_bytes);
}

/// What this process is configured to do; read at the first call of any function here.
pub fn configuration() -> &'static Config {
    let _errno = ErrnoKept::new();
    &core().config
}

/// input^d mod n. `input` and `output`: exactly `key.len_bytes()` bytes, big-endian, `input` below the modulus.
///
/// `check` is given the device's answer and says whether output^e mod n gives the input back (a `bool` will do); an answer that
/// fails is thrown away, counted against the device unless the input is to blame, and software runs. `software` runs at most once, on the calling thread,
/// and only if no hardware answer is delivered; `output` is then untouched.
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
    fn rsa_private<S>(
        &self,
        key: &RsaPrivateKey,
        input: &[u8],
        output: &mut [u8],
        check: impl FnOnce(&[u8]) -> Verdict,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let ask = Ask::rsa(key);
        let attempt = {
            let _errno = ErrnoKept::new();
            let attempt = self.try_rsa(&ask, key, input, output, check);
            self.count(&ask, attempt.as_ref().err().copied(), ask.len_bytes);
            attempt
        };
        match attempt {
            Ok(()) => Outcome::Hardware(()),
            Err(reason) => Outcome::Software(self.timed(&ask, reason, software)),
        }
    }

    fn count(&self, ask: &Ask, software: Option<Reason>, len_bytes: usize) {
        let len_bytes = u64::try_from(len_bytes).unwrap_or(u64::MAX);
        match software {
            None => self.counters.hardware(ask.algorithm, len_bytes),
            Some(reason) => self.counters.software(ask.algorithm, reason, 1, len_bytes),
        }
    }

    /// Runs the front door's software. Its time is of interest only where a device is there to compare with.
    fn timed<S>(&self, ask: &Ask, reason: Reason, software: impl FnOnce() -> S) -> S {
        if reason != Reason::Policy || self.costs.hardware(ask.class).is_none() {
            return software();
        }
        let start = Instant::now();
        let result = software();
        self.costs.note_software(ask.class, start.elapsed());
        result
    }
}

/// This process's core, made at the first request.
fn core() -> &'static Core {
    static PROCESS: PerProcess<Core> = PerProcess::new();
    PROCESS.value(Core::in_process)
}

/// The class of a request whose key form is not known yet.
fn class_of(algorithm: Algorithm, len_bytes: usize) -> Class {
    Class::of(algorithm, len_bytes, true)
}
