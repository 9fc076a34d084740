//! One way in: each function takes a checked request and the software to run when hardware does not answer.
//!
//! One routed request is one count, in exactly one place. The calling thread's errno is left as it was.

mod cipher;
mod compress;
mod deflate;
mod hardware;
mod pkey;
#[cfg(test)]
mod tests;

use std::time::Instant;

use crate::config::Config;
use crate::cost::Class;
use crate::queue::fork::PerProcess;
use crate::queue::pool::Device;
use crate::queue::wait::ErrnoKept;
use crate::{Algorithm, Reason};
pub use cipher::aes_cbc;
pub use compress::{inflate, inflate_piece, note_inflate_time, preview_inflate};
pub use deflate::{DeflateInFlight, begin_deflate, deflate, preview_deflate};
use hardware::{Ask, Core};
pub use pkey::{
    dh_public, dh_shared, ec_public, ecdh, ecdsa_sign, ecdsa_verify, ecx_public, ecx_shared, rsa_private,
    sm2_decrypt, sm2_decryption_point, sm2_encrypt, sm2_encryption_points, sm2_sign, sm2_verify,
};

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
/// `Err` software and why. For front doors that must choose before they have gathered a request. Cheap; opens nothing, but for
/// a known question to a device that failed: who always asks first would otherwise never learn that it is good again.
/// # Errors
/// The reason software would be counted under.
pub fn preview(algorithm: Algorithm, len_bytes: usize) -> Result<(), Reason> {
    let _errno = ErrnoKept::new();
    core().preview(algorithm, len_bytes)
}

/// Whether there is a device that could do `algorithm` at all: whether preparing a request is worth it. Less than [`preview`]
/// asks: size, cost, load and health are left to the request. Under the policy `software` it is, so that the request counts.
/// # Errors
/// [`Reason::NoDevice`], [`Reason::Unsupported`].
pub fn presence(algorithm: Algorithm) -> Result<(), Reason> {
    let _errno = ErrnoKept::new();
    core().presence(algorithm)
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

impl Core {
    /// Runs `attempt`, counts what became of it, and runs `software` when it brought no answer.
    fn answered<S>(
        &self,
        ask: &Ask,
        attempt: impl FnOnce() -> Result<(), Reason>,
        software: impl FnOnce() -> S,
    ) -> Outcome<(), S> {
        let attempt = {
            let _errno = ErrnoKept::new();
            let attempt = attempt();
            self.count(ask, attempt.err(), ask.len_bytes);
            attempt
        };
        match attempt {
            Ok(()) => Outcome::Hardware(()),
            Err(reason) => Outcome::Software(self.timed(ask, reason, software)),
        }
    }

    /// Acts on a front door's verdict about an answer of `device`.
    fn settled(&self, ask: &Ask, device: &Device, verdict: Verdict) -> Result<(), Reason> {
        match verdict {
            Verdict::Right => Ok(()),
            Verdict::Wrong => Err(self.wrong(ask, device)),
            Verdict::BadInput => Err(Reason::Unsupported),
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
        if reason != Reason::Policy || self.costs.hardware_estimate(ask.class).is_none() {
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
