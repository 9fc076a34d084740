//! What streams need from the core, as traits: tests plug in an accelerator that fails when they want it to.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use warpdrive::config::Verify;
use warpdrive::request::compress::{
    DeflateSegment, DeflatedSegment, InflatePiece, InflateStream, InflatedPiece, Window, Wrapper,
};
use warpdrive::{Algorithm, DeflateInFlight, Outcome, Reason};

/// The way to the device.
pub(crate) trait Accelerator {
    /// A segment under way.
    type InFlight;

    /// Where `len_bytes` of plain text would go now. Cheap; opens nothing.
    fn preview(&self, window: Window, len_bytes: usize) -> Result<(), Reason>;
    /// Sends one segment, while `ahead` others of the same call are under way.
    fn begin(&self, segment: &DeflateSegment, ahead: usize) -> Self::InFlight;
    /// Waits for a segment. `check` says whether the device's answer is right; `software` runs when the device does not
    /// answer, or not rightly.
    fn finish<S>(
        &self,
        in_flight: Self::InFlight,
        check: impl FnOnce(&DeflatedSegment) -> bool,
        software: impl FnOnce() -> S,
    ) -> Outcome<DeflatedSegment, S>;
    /// Counts plain text compressed without asking the device.
    fn note(&self, reason: Reason, requests: u64, len_bytes: u64);
    /// How the next segment's answer is to be checked.
    fn verify(&self) -> Verify;
    /// An answer failed its check: those that follow are to be checked with care.
    fn doubt(&self);
    /// Segments of one call that may be under way at a time, at least 1.
    fn parallel(&self) -> usize;
    /// A stream that is given whole is worth a trip from this length on, perhaps.
    fn min_bytes(&self) -> usize;
    /// What one stream may hold for segments under way.
    fn stream_bytes(&self) -> usize;
    /// Sizes that decide where a stream goes, and how it is cut.
    fn limits(&self) -> DeflateLimits {
        DeflateLimits::PRODUCT
    }
}

/// Sizes in bytes that decide where a deflate stream goes, and how it is cut (`zlib-abi §2.2`).
#[derive(Clone, Copy)]
pub(crate) struct DeflateLimits {
    /// So little plain text waits without an engine, or is told to another engine as its history in next to no time.
    pub(crate) cheap: usize,
    /// Less plain text than this in one go is not worth a trip to the device.
    pub(crate) threshold: usize,
    /// A stream of small writes is cut at first here, then at twice that, up to `last_segment`: segments have no history, and
    /// 1 MiB costs 0.1 to 0.4 % of size where 256 KiB costs 0.3 to 1.4 %.
    pub(crate) first_segment: usize,
    pub(crate) last_segment: usize,
    /// Shortest piece of a large write that is cut up for several queues: below this, history is worth more than time.
    pub(crate) piece: usize,
}

impl DeflateLimits {
    pub(crate) const PRODUCT: Self = Self {
        cheap: 1 << 10,
        threshold: 64 << 10,
        first_segment: 256 << 10,
        last_segment: 1 << 20,
        piece: 512 << 10,
    };
}

/// The way to the device for inflate streams.
pub(crate) trait InflateAccelerator {
    /// Sizes that decide where a stream goes.
    fn limits(&self) -> InflateLimits;
    /// Whether streams may go to the device that carry no checksum.
    fn takes_raw(&self) -> bool;
    /// Where requests of `len_bytes` of compressed data would go now. Cheap; opens nothing.
    fn preview(&self, wrapper: Wrapper, len_bytes: usize) -> Result<(), Reason>;
    /// Inflates one piece, and counts it. `Err`: software must go on; the stream is as it was.
    fn piece(
        &self,
        stream: &mut InflateStream,
        piece: InflatePiece,
        check: impl FnOnce(&InflatedPiece) -> bool,
    ) -> Result<InflatedPiece, Reason>;
    /// Counts plain text inflated without asking the device.
    fn note(&self, reason: Reason, requests: u64, len_bytes: u64);
    /// Software took so long for so many compressed bytes.
    fn measured(&self, len_bytes: usize, took: Duration);
}

/// Sizes in bytes that decide where an inflate stream goes (`zlib-abi §2.3`).
#[derive(Clone, Copy)]
pub(crate) struct InflateLimits {
    /// Less input than this in the first call: software.
    pub(crate) large: usize,
    /// What must still be at hand when a stream that began in software changes to the device; the most that is read there
    /// before.
    pub(crate) promotion: usize,
    /// A call with less than this is one of a caller that reads small pieces.
    pub(crate) small: usize,
    /// Output of the first piece, and of later ones where the caller's room is smaller.
    pub(crate) first_room: usize,
    pub(crate) room: usize,
    /// Compressed data kept, so that software can go on in the device's place.
    pub(crate) log: usize,
}

/// The real thing: the core's shared queues.
#[derive(Clone, Copy)]
pub(crate) struct Core;

/// With `verify = "crc"` the first segment, and then one in this many, is checked as with `"full"`: a device that
/// damages its output now and then is found out, at next to no cost.
const SAMPLE: u32 = 64;

/// After a wrong answer so many segments are checked as with `"full"`: the known answers that a device must give before it
/// is used again show its shape and its checksum, not every bit.
const DOUBT: u32 = 256;
static DOUBTED: AtomicU32 = AtomicU32::new(0);

/// Whether it is this segment's turn to be inflated again.
fn is_due() -> bool {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let less = |doubted: u32| doubted.checked_sub(1);
    TURN.fetch_add(1, Ordering::Relaxed) % SAMPLE == 0
        || DOUBTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

impl Accelerator for Core {
    type InFlight = DeflateInFlight;

    fn preview(&self, window: Window, len_bytes: usize) -> Result<(), Reason> {
        warpdrive::preview_deflate(window, len_bytes)
    }

    fn begin(&self, segment: &DeflateSegment, ahead: usize) -> DeflateInFlight {
        warpdrive::begin_deflate(segment, ahead)
    }

    fn finish<S>(
        &self,
        in_flight: DeflateInFlight,
        check: impl FnOnce(&DeflatedSegment) -> bool,
        software: impl FnOnce() -> S,
    ) -> Outcome<DeflatedSegment, S> {
        in_flight.finish(check, software)
    }

    fn note(&self, reason: Reason, requests: u64, len_bytes: u64) {
        warpdrive::note_software(Algorithm::Deflate, reason, requests, len_bytes);
    }

    fn verify(&self) -> Verify {
        match warpdrive::configuration().deflate.verify {
            Verify::Crc if is_due() => Verify::Full,
            verify => verify,
        }
    }

    fn doubt(&self) {
        DOUBTED.store(DOUBT, Ordering::Relaxed);
    }

    fn parallel(&self) -> usize {
        usize::try_from(warpdrive::configuration().deflate.parallel).unwrap_or(1)
    }

    fn min_bytes(&self) -> usize {
        warpdrive::configuration().deflate.min_bytes
    }

    fn stream_bytes(&self) -> usize {
        warpdrive::configuration().memory.stream_bytes
    }
}

impl InflateAccelerator for Core {
    fn limits(&self) -> InflateLimits {
        InflateLimits {
            large: 64 << 10,
            promotion: 256 << 10,
            small: 16 << 10,
            first_room: 256 << 10,
            room: 1 << 20,
            log: if warpdrive::memory::is_short() { 0 } else { self.stream_bytes() },
        }
    }

    fn takes_raw(&self) -> bool {
        warpdrive::configuration().inflate.raw
    }

    fn preview(&self, wrapper: Wrapper, len_bytes: usize) -> Result<(), Reason> {
        warpdrive::preview_inflate(wrapper, len_bytes)
    }

    fn piece(
        &self,
        stream: &mut InflateStream,
        piece: InflatePiece,
        check: impl FnOnce(&InflatedPiece) -> bool,
    ) -> Result<InflatedPiece, Reason> {
        warpdrive::inflate_piece(stream, piece, check)
    }

    fn note(&self, reason: Reason, requests: u64, len_bytes: u64) {
        warpdrive::note_software(Algorithm::Inflate, reason, requests, len_bytes);
    }

    fn measured(&self, len_bytes: usize, took: Duration) {
        warpdrive::note_inflate_time(len_bytes, took);
    }
}
