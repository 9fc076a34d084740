//! Back to the engine: what the device consumed, and leading the engine to where the caller is.
//!
//! Decoding is a function of the log, and what was delivered is the beginning of its result. So the engine, fed the log up
//! to the last byte that the caller gave away and as much further as the delivered plain text needs, stands exactly where it
//! would stand had it done everything.

use std::ffi::c_int;
use std::ops::Range;
use std::sync::Arc;

use warpdrive::Reason;
use warpdrive::memory::Charge;
use warpdrive::request::compress::Wrapper;

use super::hardware::Hardware;
use super::{Inflate, Mode, Progress, Stopwatch};
use crate::abi::io::Io;
use crate::abi::next::{Inflater, OutOfMemory};
use crate::abi::own::{try_box, zeroed};
use crate::abi::{Z_BUF_ERROR, Z_DATA_ERROR, Z_MEM_ERROR, Z_NO_FLUSH, Z_OK, Z_STREAM_END};
use crate::accelerator::InflateAccelerator;
use crate::pending::Pending;
use crate::wrapper;

/// Plain text made at a time.
const STEP_BYTES: usize = 64 << 10;
/// Slack in a kept piece of input that is worth giving back.
const SLACK_BYTES: usize = 64 << 10;

/// Compressed bytes that the device consumed, in order.
#[derive(Default)]
pub(super) struct Log {
    /// Pieces as they were sent, and the part of each that counts. Shared with copies of the stream.
    pieces: Vec<(Arc<Vec<u8>>, Range<usize>)>,
    len: usize,
    charge: Charge,
}

impl Clone for Log {
    fn clone(&self) -> Self {
        Self { pieces: self.pieces.clone(), len: self.len, charge: Charge::new(self.len) }
    }
}

impl Log {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends `range` of `bytes`; what lies behind it is given back when it is much.
    pub(super) fn push(&mut self, mut bytes: Arc<Vec<u8>>, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        if bytes.len() > range.end + SLACK_BYTES {
            if let Some(bytes) = Arc::get_mut(&mut bytes) {
                bytes.truncate(range.end);
                bytes.shrink_to_fit();
            }
        }
        self.len += range.len();
        self.charge = Charge::new(self.len);
        self.pieces.push((bytes, range));
    }

    fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.pieces.iter().map(|(bytes, range)| bytes.get(range.clone()).unwrap_or_default())
    }

    /// Fills `tail` from its end with the last bytes of the log followed by `more`.
    pub(super) fn copy_tail(&self, more: &[u8], tail: &mut [u8]) {
        let mut free = tail.len();
        for part in std::iter::once(more).chain(self.parts().rev()) {
            let len = part.len().min(free);
            let last = part.get(part.len() - len..).unwrap_or_default();
            if let Some(target) = tail.get_mut(free - len..free) {
                target.copy_from_slice(last);
            }
            free -= len;
            if free == 0 {
                return;
            }
        }
    }
}

/// What the engine could not settle with the caller at once.
#[derive(Default)]
pub(super) struct Leftover {
    /// Plain text made of input that the caller gave away before.
    pending: Pending,
    /// Input that the engine consumed and the caller still owns.
    held: usize,
    /// What was delivered is not what the engine made of the same bytes: a device lied so well that no check of a piece saw
    /// it. The stream's checksum tells such a thing at its end; here it is told at once.
    broken: bool,
}

impl Leftover {
    pub(super) fn copy(&self) -> Result<Self, OutOfMemory> {
        Ok(Self { pending: self.pending.copy()?, held: self.held, broken: self.broken })
    }

    /// Plain text that the engine made and the caller has not.
    pub(super) fn undelivered(&self) -> usize {
        self.pending.len()
    }
}

/// The engine on its way.
struct Replay<'a> {
    engine: &'a mut Inflater,
    wrapper: Wrapper,
    /// Plain text made so far, and how much of it the caller has.
    made: u64,
    delivered: u64,
    checksum: u32,
    scratch: Vec<u8>,
    /// The engine said that the data are bad, and will say so to the caller.
    refused: bool,
    /// There was no memory for what the engine made.
    starved: bool,
    leftover: Leftover,
}

impl Replay<'_> {
    /// Feeds `input`. `whole`: to its end, and what goes beyond the delivered text waits; else until that much was made.
    /// Returns how much was consumed, and whether the engine goes on.
    fn feed(&mut self, input: &[u8], whole: bool) -> (usize, bool) {
        let mut used = 0;
        loop {
            let missing =
                usize::try_from(self.delivered - self.made.min(self.delivered)).unwrap_or(STEP_BYTES);
            if missing == 0 && !whole {
                return (used, true);
            }
            let room = if missing == 0 { STEP_BYTES } else { missing.min(STEP_BYTES) };
            let Some(target) = self.scratch.get_mut(..room) else { return (used, false) };
            let mut io = Io::from_slices(input.get(used..).unwrap_or_default(), target);
            let (code, consumed, produced) = self.engine.run(&mut io, Z_NO_FLUSH);
            used += consumed;
            let text = self.scratch.get(..produced).unwrap_or_default();
            if missing == 0 {
                if self.leftover.pending.reserve(text.len()).is_err() {
                    self.starved = true;
                    return (used, false);
                }
                self.leftover.pending.queue().extend_from_slice(text);
            } else {
                self.checksum = wrapper::checksum(self.wrapper, self.checksum, text);
            }
            self.made += produced as u64;
            if code != Z_OK {
                self.refused = !matches!(code, Z_BUF_ERROR | Z_STREAM_END);
                return (used, code == Z_BUF_ERROR);
            }
            if produced < room {
                return (used, true);
            }
        }
    }
}

impl<A: InflateAccelerator> Inflate<A> {
    /// Leaves the device if the stream is there, for a reason that nobody has counted.
    pub(super) fn leave_hardware(&mut self, reason: Reason) {
        self.leave_hardware_for(reason, false);
    }

    /// Leads the engine to where the caller is. `counted`: a routed request was, under this reason.
    pub(super) fn leave_hardware_for(&mut self, reason: Reason, counted: bool) {
        if !matches!(self.mode, Mode::Hardware(_)) {
            return;
        }
        let Mode::Hardware(hardware) = std::mem::replace(&mut self.mode, Mode::Software) else { return };
        if counted {
            self.tally.begin_counted(reason);
        } else {
            self.tally.begin(reason);
        }
        self.tally.add(hardware.software_part());
        if reason == Reason::Policy && counted {
            self.stopwatch = try_box(Stopwatch::default()).ok();
        }
        if reason == Reason::Refused {
            self.doubtful = hardware.asked();
        }
        let (wrapper, checking, delivered) = (self.wrapper(), self.checking, self.checksum);
        let replayed =
            self.engine().and_then(|engine| replay(engine, &hardware, wrapper, (checking, delivered)));
        self.mode = match replayed {
            Ok(leftover) if leftover.broken || leftover.held != 0 || !leftover.pending.is_empty() => {
                try_box(leftover).map_or(Mode::Lost, Mode::Resumed)
            }
            Ok(_) => Mode::Software,
            // The next call says so.
            Err(OutOfMemory) => Mode::Lost,
        };
    }

    /// Hands over what replay left, as far as the caller's buffers go. False: some of it is still there.
    pub(super) fn settle(&mut self, io: &mut Io<'_>) -> bool {
        let wrapper = self.wrapper();
        let Mode::Resumed(leftover) = &mut self.mode else { return true };
        let start = io.next_out();
        leftover.pending.drain(io);
        if self.checking {
            self.checksum = wrapper::checksum(wrapper, self.checksum, io.written_since(start));
        }
        if !leftover.pending.is_empty() {
            return false;
        }
        let settled = leftover.held.min(io.avail_in());
        io.advance_in(settled);
        leftover.held -= settled;
        if leftover.held != 0 || leftover.broken {
            return false;
        }
        self.mode = Mode::Software;
        true
    }

    /// A call on a stream that came back from the device.
    pub(super) fn run_resumed(&mut self, io: &mut Io<'_>, flush: c_int) -> Progress {
        if matches!(self.mode, Mode::Lost) {
            return Progress::nothing(Z_MEM_ERROR);
        }
        let room = io.avail_out();
        let settled = self.settle(io);
        self.tally.add(room - io.avail_out());
        if settled {
            return self.run_software(io, flush);
        }
        let adler = (self.wrapper() != Wrapper::Raw).then_some(self.checksum.into());
        match &self.mode {
            Mode::Resumed(leftover) if leftover.broken => Progress {
                code: Z_DATA_ERROR,
                adler,
                data_type: -1,
                message: c"incorrect data check".as_ptr().cast_mut(),
            },
            // The caller of this sees whether anything moved.
            _ => Progress { code: Z_BUF_ERROR, adler, data_type: -1, message: std::ptr::null_mut() },
        }
    }
}

/// `seen`: whether checksums are kept, and the one of everything delivered.
fn replay(
    engine: &mut Inflater,
    hardware: &Hardware,
    wrapper: Wrapper,
    seen: (bool, u32),
) -> Result<Leftover, OutOfMemory> {
    let mut replay = Replay {
        engine,
        wrapper,
        made: 0,
        delivered: hardware.delivered,
        checksum: hardware.checksum_before,
        scratch: zeroed(STEP_BYTES)?,
        refused: false,
        starved: false,
        leftover: Leftover::default(),
    };
    let mut given_away = hardware.log.len() - hardware.held.min(hardware.log.len());
    // It may still have something of the caller's last call in software.
    let mut goes_on = replay.feed(&[], true).1;
    for part in hardware.log.parts() {
        let (first, second) = part.split_at(given_away.min(part.len()));
        given_away -= first.len();
        if goes_on && !first.is_empty() {
            goes_on = replay.feed(first, true).1;
        }
        if goes_on && !second.is_empty() {
            let (used, alive) = replay.feed(second, false);
            replay.leftover.held += used;
            goes_on = alive;
        }
    }
    let (checking, checksum) = seen;
    replay.leftover.broken = if replay.made < replay.delivered {
        !replay.refused
    } else {
        checking && replay.checksum != checksum
    };
    if replay.starved { Err(OutOfMemory) } else { Ok(replay.leftover) }
}
