//! A deflate stream: where its plain text goes, and how its output is put together.
//!
//! ```text
//! Undecided ──► Hardware ──► Software        header, checksum and trailer are the stream's own in every mode;
//!     └────────────────────────▲             what fills the middle is raw deflate data from either side
//! ```
//! A deflate stream is a sequence of blocks; a block depends on the past only through the bit offset and the window. A
//! hardware segment starts and ends on a byte boundary and refers only to its own plain text; a software part is given
//! the last 32 KiB as its dictionary, which is exactly what the decoder has. So any part may come from either side.

mod control;
mod segments;
#[cfg(any(test, fuzzing))]
pub(crate) mod tests;
mod verify;
mod whole;

use std::ffi::{c_int, c_uint};

use warpdrive::request::compress::{Window, Wrapper};
use warpdrive::{Reason, memory};

use crate::abi::header::HeaderRef;
use crate::abi::io::Io;
use crate::abi::next::{Deflater, OutOfMemory, Settings};
use crate::abi::own::copied;
use crate::abi::{
    Z_BINARY, Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_FINISH, Z_FULL_FLUSH, Z_MEM_ERROR, Z_NO_FLUSH, Z_OK,
    Z_STREAM_END, Z_STREAM_ERROR, Z_SYNC_FLUSH, Z_UNKNOWN,
};
use crate::accelerator::Accelerator;
use crate::pending::Pending;
use crate::tally::Tally;
use crate::{engines, wrapper};

/// Plain text copied and checksummed at a time, so that the second pass finds it in the cache.
const COPY_BYTES: usize = 32 << 10;
/// Engines and buffers of all streams below this are no reason to do with less: eight engines.
const MANY_BYTES: usize = 3 << 20;
/// `last_flush` of a stream that has not been called yet, and of one whose output buffer was too small.
const FRESH: c_int = -2;
const INTERRUPTED: c_int = -1;

/// What `deflateInit2` was told, with zlib's defaults filled in.
#[derive(Clone, Copy)]
pub(crate) struct Parameters {
    pub(crate) wrapper: Wrapper,
    pub(crate) settings: Settings,
}

impl Parameters {
    /// Checks as `deflateInit2` does. `None`: `Z_STREAM_ERROR`.
    pub(crate) fn new(
        level: c_int,
        method: c_int,
        window_bits: c_int,
        mem_level: c_int,
        strategy: c_int,
    ) -> Option<Self> {
        let level = if level == -1 { 6 } else { level };
        let (wrapper, window_bits) = match window_bits {
            -15..=-9 => (Wrapper::Raw, -window_bits),
            // zlib has no 256-byte window either; it takes 512 instead.
            8 => (Wrapper::Zlib, 9),
            9..=15 => (Wrapper::Zlib, window_bits),
            25..=31 => (Wrapper::Gzip, window_bits - 16),
            _ => return None,
        };
        let valid = method == crate::abi::Z_DEFLATED
            && (0..=9).contains(&level)
            && (1..=9).contains(&mem_level)
            && (0..=4).contains(&strategy);
        valid.then_some(Self { wrapper, settings: Settings { level, window_bits, mem_level, strategy } })
    }
}

enum Mode {
    /// Plain text gathers until there is enough to choose a side.
    Undecided,
    /// Segments go to the device.
    Hardware,
    /// The engine, to the end of the stream: pinned, small, or the tail after the device failed.
    Software(Deflater),
    /// The same between two flushes, without an engine: the window is all that the next one needs.
    Resting,
}

/// One deflate stream.
pub(crate) struct Deflate<A> {
    accelerator: A,
    parameters: Parameters,
    mode: Mode,
    header: Option<HeaderRef>,
    header_written: bool,
    /// Trailer queued; the stream takes nothing more.
    done: bool,
    last_flush: c_int,
    /// The flush whose marker was the last thing queued.
    marked: Option<c_int>,
    /// Plain text taken and not yet compressed. Empty in software mode.
    fifo: Vec<u8>,
    /// `checksum` as it was where the fifo begins.
    fifo_checksum: u32,
    /// The last plain text compressed, at most 32 KiB; what a software part may refer to. Unused in software mode.
    window: Vec<u8>,
    /// Compressed bytes not yet delivered.
    pending: Pending,
    /// Over all plain text taken; before the header is written, the id of the preset dictionary.
    checksum: u32,
    has_dictionary: bool,
    len_bytes: u64,
    data_type: c_int,
    tune: Option<[c_int; 4]>,
    /// Bits used of the last byte of deflate data, once the stream has been ended.
    end_bits: u8,
    /// The level at which the stream was compressed whole; its plain text is the window.
    whole_level: c_int,
    /// Segment size at which a stream of small writes is cut.
    segment_bytes: usize,
    /// Segments the device did not answer, in a row.
    failures: u32,
    tally: Tally,
}

impl<A: Accelerator> Deflate<A> {
    pub(crate) fn new(accelerator: A, parameters: Parameters) -> Self {
        let segment_bytes = accelerator.limits().first_segment;
        Self {
            accelerator,
            parameters,
            mode: Mode::Undecided,
            header: None,
            header_written: false,
            done: false,
            last_flush: FRESH,
            marked: None,
            fifo: Vec::new(),
            fifo_checksum: 0,
            window: Vec::new(),
            pending: Pending::default(),
            checksum: wrapper::initial_checksum(parameters.wrapper),
            has_dictionary: false,
            len_bytes: 0,
            data_type: Z_UNKNOWN,
            tune: None,
            end_bits: 0,
            whole_level: 0,
            segment_bytes,
            failures: 0,
            tally: Tally::default(),
        }
    }

    /// One `deflate` call; `flush` is 0..=5. Returns zlib's code.
    pub(crate) fn deflate(&mut self, io: &mut Io<'_>, flush: c_int) -> c_int {
        if io.has_null() || (self.done && flush != Z_FINISH) {
            return Z_STREAM_ERROR;
        }
        if io.avail_out() == 0 {
            return Z_BUF_ERROR;
        }
        let before = (io.avail_in(), io.avail_out());
        let old_flush = std::mem::replace(&mut self.last_flush, flush);
        if !self.pending.is_empty() {
            self.pending.drain(io);
            if io.avail_out() == 0 {
                self.last_flush = INTERRUPTED;
                return Z_OK;
            }
            if self.marked == Some(flush) && io.avail_in() == 0 && self.fifo.is_empty() {
                return Z_OK;
            }
        } else if io.avail_in() == 0
            && rank(flush) <= rank(old_flush)
            && flush != Z_FINISH
            && !self.engine_tells()
        {
            return Z_BUF_ERROR;
        }
        if self.done {
            return if io.avail_in() == 0 { Z_STREAM_END } else { Z_BUF_ERROR };
        }
        if !self.header_written {
            if self.write_header().is_err() {
                return Z_MEM_ERROR;
            }
            if !self.deliver(io) {
                return Z_OK;
            }
        }
        match self.advance(io, flush) {
            // The engine knows neither what this call delivered nor what the hardware part took.
            Ok(Z_BUF_ERROR) if io.avail_in() == 0 && before != (0, io.avail_out()) => Z_OK,
            Ok(code) => code,
            Err(OutOfMemory) => Z_MEM_ERROR,
        }
    }

    /// Whether the engine knows best if a call without input has anything to do: it holds output, or has been called. One that
    /// has just taken the stream over does not know of the flushes before it.
    fn engine_tells(&mut self) -> bool {
        match &mut self.mode {
            Mode::Software(engine) => engine.has_run() || engine.pending() != (0, 0),
            _ => false,
        }
    }

    /// The part of a call that compresses.
    fn advance(&mut self, io: &mut Io<'_>, flush: c_int) -> Result<c_int, OutOfMemory> {
        if matches!(self.mode, Mode::Undecided) {
            if flush == Z_NO_FLUSH && self.may_wait(io.avail_in()) {
                self.take(io, usize::MAX)?;
                return Ok(Z_OK);
            }
            match self.route(io.avail_in(), flush) {
                Ok(()) => self.mode = Mode::Hardware,
                Err(reason) if flush == Z_FINISH && self.finish_whole(io, reason)? => {
                    return Ok(if self.deliver(io) { Z_STREAM_END } else { Z_OK });
                }
                Err(reason) => self.enter_software(reason)?,
            }
        }
        self.wake()?;
        if matches!(self.mode, Mode::Hardware) {
            if let Some(code) = self.run_hardware(io, flush)? {
                return Ok(code);
            }
        }
        // What a change of sides left.
        if !self.deliver(io) || io.avail_out() == 0 {
            if flush == Z_FINISH && io.avail_in() == 0 && self.pending.is_empty() {
                self.end_without_room()?;
            }
            self.last_flush = INTERRUPTED;
            return Ok(Z_OK);
        }
        let code = self.run_software(io, flush);
        if code == Z_OK && (flush == Z_SYNC_FLUSH || flush == Z_FULL_FLUSH) && io.avail_out() != 0 {
            self.rest(flush);
        }
        Ok(code)
    }

    /// Lets the engine go between two flushes, when memory is worth more than the time to make another.
    fn rest(&mut self, flush: c_int) {
        let Mode::Software(engine) = &mut self.mode else { return };
        let cheap =
            self.len_bytes <= self.accelerator.limits().cheap as u64 && memory::held_bytes() > MANY_BYTES;
        let waits = !self.pending.is_empty() || engine.pending() != (0, 0);
        if waits || self.has_dictionary || !(cheap || memory::is_short()) {
            return;
        }
        // After a full flush nothing may refer back.
        if flush != Z_FULL_FLUSH {
            let mut window = Vec::new();
            let kept = engine.dictionary(&mut window).and_then(|()| copied(&window));
            // Without memory to rest in, the stream stays awake.
            let Ok(kept) = kept else { return };
            self.window = kept;
        }
        if let Mode::Software(engine) = std::mem::replace(&mut self.mode, Mode::Resting) {
            engines::give(engine);
        }
    }

    /// Gives a resting stream its engine back.
    fn wake(&mut self) -> Result<(), OutOfMemory> {
        if matches!(self.mode, Mode::Resting) && !self.done {
            self.mode = Mode::Software(self.engine()?);
            self.window = Vec::new();
        }
        Ok(())
    }

    /// Whether an undecided stream may gather `incoming` more bytes before it chooses.
    fn may_wait(&self, incoming: usize) -> bool {
        let limits = self.accelerator.limits();
        if self.fifo.len().saturating_add(incoming) > limits.threshold {
            return false;
        }
        // The first few bytes cost less here than in an engine. Once something waits beyond them, it waits for the
        // threshold; before that, only if hardware could come of it.
        let waiting = self.fifo.len();
        waiting > limits.cheap
            || waiting + incoming <= limits.cheap
            || self.candidate(limits.first_segment).is_ok()
    }

    /// Chooses a side for a stream that has `incoming` bytes more at hand.
    pub(crate) fn route(&self, incoming: usize, flush: c_int) -> Result<(), Reason> {
        let len_bytes = self.fifo.len().saturating_add(incoming);
        let threshold = self.accelerator.limits().threshold;
        if len_bytes < threshold && !(flush == Z_FINISH && self.is_large_enough(len_bytes)) {
            self.candidate(threshold)?;
            return Err(Reason::Small);
        }
        self.candidate(len_bytes)?;
        // pigz: bit-exact block ends, asked for with Z_BLOCK, are not the device's.
        if flush == Z_BLOCK { Err(Reason::Unsupported) } else { Ok(()) }
    }

    /// Whether a stream of only `len_bytes` is worth a trip: as one segment without history it loses nothing.
    fn is_large_enough(&self, len_bytes: usize) -> bool {
        self.window.is_empty() && len_bytes >= self.accelerator.min_bytes()
    }

    /// Whether the device could serve this stream at all.
    fn candidate(&self, len_bytes: usize) -> Result<(), Reason> {
        let window = self.suitable().ok_or(Reason::Unsupported)?;
        self.accelerator.preview(window, len_bytes)
    }

    /// The device's window for parameters that a device can honour: any level but 0, matching by its own taste, and a
    /// history that it can be limited to (zip §1.6), for a decoder of a smaller window could not follow.
    fn suitable(&self) -> Option<Window> {
        let Settings { level, window_bits, strategy, .. } = self.parameters.settings;
        let window = match window_bits {
            12 => Window::K4,
            13 => Window::K8,
            14 => Window::K16,
            15 => Window::K32,
            _ => return None,
        };
        (level != 0 && strategy <= 1 && !self.has_dictionary).then_some(window)
    }

    fn write_header(&mut self) -> Result<(), OutOfMemory> {
        let Settings { level, window_bits, strategy, .. } = self.parameters.settings;
        self.pending.reserve(match self.parameters.wrapper {
            Wrapper::Raw => 0,
            Wrapper::Zlib => wrapper::ZLIB_HEADER_MAX_BYTES,
            Wrapper::Gzip => wrapper::gzip_header_len(self.header.as_ref()),
        })?;
        let out = self.pending.queue();
        match self.parameters.wrapper {
            Wrapper::Raw => {}
            Wrapper::Zlib => {
                let dictionary = self.has_dictionary.then_some(self.checksum);
                wrapper::zlib_header(out, level, strategy, window_bits, dictionary);
            }
            Wrapper::Gzip => wrapper::gzip_header(out, level, strategy, self.header.as_ref()),
        }
        self.checksum = wrapper::initial_checksum(self.parameters.wrapper);
        self.header_written = true;
        Ok(())
    }

    /// Delivers what is pending. False: the caller's buffer was too small; the call is over.
    fn deliver(&mut self, io: &mut Io<'_>) -> bool {
        self.pending.drain(io);
        if self.pending.is_empty() {
            return true;
        }
        self.last_flush = INTERRUPTED;
        false
    }

    /// Moves input into the fifo until it holds `limit` bytes, and checksums it on the way.
    fn take(&mut self, io: &mut Io<'_>, limit: usize) -> Result<(), OutOfMemory> {
        let len = io.avail_in().min(limit.saturating_sub(self.fifo.len()));
        if len == 0 {
            return Ok(());
        }
        if self.fifo.is_empty() {
            self.fifo_checksum = self.checksum;
        }
        self.make_room(len)?;
        let input = io.input();
        for piece in input.get(..len).unwrap_or_default().chunks(COPY_BYTES) {
            self.fifo.extend_from_slice(piece);
            self.checksum = wrapper::checksum(self.parameters.wrapper, self.checksum, piece);
        }
        self.len_bytes += len as u64;
        self.marked = None;
        io.advance_in(len);
        Ok(())
    }

    /// Makes sure that the fifo can take `len` bytes.
    fn make_room(&mut self, len: usize) -> Result<(), OutOfMemory> {
        let needed = self.fifo.len() + len;
        if needed > COPY_BYTES && needed > self.fifo.capacity() {
            // Twice what it held, as a growing vector would: but from those that are warm.
            let mut larger = memory::take(needed.max(self.fifo.capacity() * 2));
            if larger.capacity() >= needed {
                larger.extend_from_slice(&self.fifo);
                memory::give(std::mem::replace(&mut self.fifo, larger));
            }
        }
        self.fifo.try_reserve(len).map_err(|_| OutOfMemory)
    }

    /// An engine with the stream's parameters and the window as its history.
    fn engine(&mut self) -> Result<Deflater, OutOfMemory> {
        let mut engine = engines::take(self.parameters.settings, &self.window)?;
        if let Some(tune) = self.tune {
            engine.tune(tune);
        }
        Ok(engine)
    }

    /// Pins the stream to software, taking along what the fifo holds.
    fn enter_software(&mut self, reason: Reason) -> Result<(), OutOfMemory> {
        let mut engine = self.engine()?;
        if !self.fifo.is_empty() {
            engine.run_to_vec(&self.fifo, Z_NO_FLUSH, self.pending.queue())?;
        }
        self.tally.begin(reason);
        self.count(self.fifo.len());
        self.release_fifo();
        self.window = Vec::new();
        self.marked = None;
        self.mode = Mode::Software(engine);
        Ok(())
    }

    /// One engine call on the caller's own buffers.
    fn run_software(&mut self, io: &mut Io<'_>, flush: c_int) -> c_int {
        if flush == Z_FINISH && self.pending.reserve(wrapper::TRAILER_MAX_BYTES).is_err() {
            return Z_MEM_ERROR;
        }
        let Mode::Software(engine) = &mut self.mode else { return Z_STREAM_ERROR };
        let input = io.input();
        let (code, consumed) = engine.run(io, flush);
        if self.data_type == Z_UNKNOWN {
            self.data_type = engine.data_type();
        }
        self.consumed(input, consumed);
        if code != Z_STREAM_END {
            return code;
        }
        self.close();
        if self.deliver(io) { Z_STREAM_END } else { Z_OK }
    }

    /// Ends a stream that has all of its input where the caller's room ended with the header: from there on zlib takes it for
    /// one that ends, and the rest waits for room.
    fn end_without_room(&mut self) -> Result<(), OutOfMemory> {
        let Mode::Software(engine) = &mut self.mode else { return Ok(()) };
        engine.run_to_vec(&[], Z_FINISH, self.pending.queue())?;
        self.close();
        Ok(())
    }

    /// Notes that software consumed the first `consumed` bytes of `input`.
    fn consumed(&mut self, input: &[u8], consumed: usize) {
        let plain = input.get(..consumed).unwrap_or_default();
        self.checksum = wrapper::checksum(self.parameters.wrapper, self.checksum, plain);
        self.len_bytes += consumed as u64;
        self.count(consumed);
    }

    /// Queues the trailer; its callers made room for it.
    fn close(&mut self) {
        wrapper::trailer(self.pending.queue(), self.parameters.wrapper, self.checksum, self.len_bytes);
        // zlib judges a block when it ends one, the empty one of an empty stream too; at level 0 it judges none.
        if self.data_type == Z_UNKNOWN && self.parameters.settings.level > 0 {
            self.data_type = Z_BINARY;
        }
        self.done = true;
        self.report();
    }

    fn count(&mut self, len_bytes: usize) {
        if self.tally.add(len_bytes) {
            self.report();
        }
    }

    fn report(&mut self) {
        self.tally.report(|reason, requests, len_bytes| self.accelerator.note(reason, requests, len_bytes));
    }

    fn release_fifo(&mut self) {
        memory::give(std::mem::take(&mut self.fifo));
    }

    /// `strm->adler`: checksum of all plain text taken, or the id of the dictionary just set.
    pub(crate) fn adler(&self) -> u32 {
        self.checksum
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.parameters.wrapper == Wrapper::Raw
    }

    pub(crate) fn data_type(&self) -> c_int {
        self.data_type
    }

    /// `deflateReset`: everything but parameters, header and memory starts anew.
    pub(crate) fn reset(&mut self) {
        self.report();
        self.tally = Tally::default();
        if let Mode::Software(engine) = std::mem::replace(&mut self.mode, Mode::Undecided) {
            engines::give(engine);
        }
        self.header_written = false;
        self.done = false;
        self.last_flush = FRESH;
        self.marked = None;
        self.release_fifo();
        self.window.clear();
        self.pending.clear();
        self.checksum = wrapper::initial_checksum(self.parameters.wrapper);
        self.has_dictionary = false;
        self.len_bytes = 0;
        self.data_type = Z_UNKNOWN;
        self.tune = None;
        self.whole_level = 0;
        self.segment_bytes = self.accelerator.limits().first_segment;
        self.failures = 0;
    }

    /// `deflateEnd`: `Z_DATA_ERROR` when the stream was begun and not finished.
    pub(crate) fn end(mut self) -> c_int {
        self.report();
        self.release_fifo();
        if self.done || !self.header_written {
            if let Mode::Software(engine) = self.mode {
                engines::give(engine);
            }
            return Z_OK;
        }
        match self.mode {
            Mode::Software(engine) if engine.is_finishing() => engine.end(),
            _ => Z_DATA_ERROR,
        }
    }
}

/// Strength of a flush: a call without input must ask for more than the one before it. The stream's own marks lie below.
fn rank(flush: c_int) -> c_int {
    if flush == Z_BLOCK { 1 } else { 2 * flush }
}

/// The last `len` bytes, or all.
fn last(bytes: &[u8], len: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(len)..).unwrap_or_default()
}

/// Saturates a length for C's `unsigned`.
pub(crate) fn saturated(len: usize) -> (c_uint, bool) {
    c_uint::try_from(len).map_or((c_uint::MAX, true), |len| (len, false))
}
