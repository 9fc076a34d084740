//! What a deflate stream needs from the core, as a trait: tests plug in an accelerator that fails when they want it to.

use warpdrive::request::compress::{DeflateSegment, DeflatedSegment};
use warpdrive::{Algorithm, Outcome, Reason};

/// The way to the device.
pub(crate) trait Accelerator {
    /// Where `len_bytes` of plain text would go now. Cheap; opens nothing.
    fn preview(&self, len_bytes: usize) -> Result<(), Reason>;
    /// Compresses one segment; `software` runs when the device does not answer.
    fn deflate<S>(
        &self,
        segment: &DeflateSegment,
        software: impl FnOnce() -> S,
    ) -> Outcome<DeflatedSegment, S>;
    /// Counts plain text compressed without asking the device.
    fn note(&self, reason: Reason, requests: u64, len_bytes: u64);
}

/// The real thing: the core's shared queues.
#[derive(Clone, Copy)]
pub(crate) struct Core;

impl Accelerator for Core {
    fn preview(&self, len_bytes: usize) -> Result<(), Reason> {
        warpdrive::preview(Algorithm::Deflate, len_bytes)
    }

    fn deflate<S>(
        &self,
        segment: &DeflateSegment,
        software: impl FnOnce() -> S,
    ) -> Outcome<DeflatedSegment, S> {
        warpdrive::deflate(segment, software)
    }

    fn note(&self, reason: Reason, requests: u64, len_bytes: u64) {
        warpdrive::note_software(Algorithm::Deflate, reason, requests, len_bytes);
    }
}
