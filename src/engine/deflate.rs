//! Compression's front doors: one segment, or several at the device at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hardware::{Ask, Core};
use super::{Outcome, core};
use crate::descriptor::zip::Deflated;
use crate::health::known;
use crate::queue::SharedQueue;
use crate::queue::inflight::Flight;
use crate::queue::pool::{Device, Work};
use crate::queue::slots::Ticket;
use crate::queue::wait::ErrnoKept;
use crate::request::compress::{Checksum, DeflateSegment, DeflatedSegment, Window, Wrapper};
use crate::{Algorithm, Reason};

/// Compresses one segment. `check` is given the device's answer and says whether it is right; one that fails is thrown
/// away and counted against the device. `software` as in [`rsa_private`](super::rsa_private).
pub fn deflate<S>(
    segment: &DeflateSegment,
    check: impl FnOnce(&DeflatedSegment) -> bool,
    software: impl FnOnce() -> S,
) -> Outcome<DeflatedSegment, S> {
    begin_deflate(segment, 0).finish(check, software)
}

/// Sends one segment on its way and does not wait. `ahead`: segments of the same caller that are under way already; with
/// some, another queue is used if there is one.
pub fn begin_deflate(segment: &DeflateSegment, ahead: usize) -> DeflateInFlight {
    core().begin_deflate(segment, ahead)
}

/// As [`preview`](super::preview), for a segment of `len_bytes` with `window`.
/// # Errors
/// The reason software would be counted under.
pub fn preview_deflate(window: Window, len_bytes: usize) -> Result<(), Reason> {
    let _errno = ErrnoKept::new();
    core().preview_of(&Ask::deflate(window, len_bytes))
}

/// A segment under way, or the reason why it is not. Counted when it is finished; dropped, it is given up.
#[derive(Debug)]
#[must_use]
pub struct DeflateInFlight {
    ask: Ask,
    out: Result<Out, Reason>,
    /// What the caller waited for it so far.
    spent: Duration,
}

#[derive(Debug)]
struct Out {
    device: Arc<Device>,
    queue: Arc<SharedQueue>,
    ticket: Ticket,
    /// The device reports the checksum that was asked for.
    summed: bool,
}

impl Drop for Out {
    fn drop(&mut self) {
        // Without effect when the answer was fetched; else the memory stays where it is until the device is done.
        self.queue.abandon(&self.ticket);
    }
}

impl DeflateInFlight {
    /// Waits for the answer. Arguments as for [`deflate`].
    pub fn finish<S>(
        self,
        check: impl FnOnce(&DeflatedSegment) -> bool,
        software: impl FnOnce() -> S,
    ) -> Outcome<DeflatedSegment, S> {
        core().finish_deflate(self, check, software)
    }
}

impl Ask {
    fn deflate(window: Window, len_bytes: usize) -> Self {
        Self { work: Work::Deflate(window), ..Self::of(Algorithm::Deflate, len_bytes) }
    }
}

impl Core {
    pub(super) fn begin_deflate(&self, segment: &DeflateSegment, ahead: usize) -> DeflateInFlight {
        let _errno = ErrnoKept::new();
        let start = Instant::now();
        let ask = Ask::deflate(segment.window, segment.input.len());
        let out = self.send_deflate(&ask, segment, ahead);
        DeflateInFlight { ask, out, spent: start.elapsed() }
    }

    fn send_deflate(&self, ask: &Ask, segment: &DeflateSegment, ahead: usize) -> Result<Out, Reason> {
        if !(1..=DeflateSegment::MAX_LEN_BYTES).contains(&segment.input.len()) {
            return Err(Reason::Unsupported);
        }
        let (device, queue) = self.acquire_beside(ask, ahead)?;
        let wrapper = device.deflate_wrapper(segment.checksum).ok_or(Reason::Unsupported)?;
        let flight = Flight::deflate(segment, device.form, wrapper).ok_or(Reason::Busy)?;
        match queue.submit(flight) {
            Ok(ticket) => {
                let summed = match segment.checksum {
                    Some(Checksum::Adler32) => wrapper == Wrapper::Zlib,
                    Some(Checksum::Crc32) => wrapper == Wrapper::Gzip,
                    None => false,
                };
                Ok(Out { device, queue, ticket, summed })
            }
            Err(reason) => {
                self.lost(ask, &device, &queue, reason);
                Err(reason)
            }
        }
    }

    pub(super) fn finish_deflate<S>(
        &self,
        in_flight: DeflateInFlight,
        check: impl FnOnce(&DeflatedSegment) -> bool,
        software: impl FnOnce() -> S,
    ) -> Outcome<DeflatedSegment, S> {
        let DeflateInFlight { ask, out, spent } = in_flight;
        let attempt = {
            let _errno = ErrnoKept::new();
            let attempt = out.and_then(|out| self.fetch_deflate(&ask, &out, spent, check));
            self.count(&ask, attempt.as_ref().err().copied(), ask.len_bytes);
            attempt
        };
        match attempt {
            Ok(made) => Outcome::Hardware(made),
            Err(reason) => Outcome::Software(self.timed(&ask, reason, software)),
        }
    }

    fn fetch_deflate(
        &self,
        ask: &Ask,
        out: &Out,
        spent: Duration,
        check: impl FnOnce(&DeflatedSegment) -> bool,
    ) -> Result<DeflatedSegment, Reason> {
        let Out { device, queue, ticket, summed } = out;
        let now = Instant::now();
        // What counts is the time its caller lost: others of its segments may have been waited for in between.
        let start = now.checked_sub(spent).unwrap_or(now);
        let flight = self.arrived(ask, device, queue, start, queue.wait(ticket, &self.timing(ask)))?;
        let (bytes, Deflated { checksum, .. }) = self.judged(ask, device, queue, flight.deflate_answer())?;
        let made = DeflatedSegment { bytes, checksum: summed.then_some(checksum) };
        if !made.bytes.ends_with(&known::SYNC_MARKER) || !check(&made) {
            return Err(self.wrong(ask, device));
        }
        Ok(made)
    }
}
