//! An inflate stream: the software engine, and the device in its place while there is enough to do.
//!
//! ```text
//! Undecided ──► Probe ──► Hardware ──► Resumed ──► Software      the first call chooses; only what is
//!     └───────────┴──────────▲───────────────────────▲           sure to be large goes to the device
//! ```
//! Headers are always the engine's, so it stands at the first byte of the body when the device takes over, and waits there.
//! The device cannot be entered in the middle, but the engine can be led anywhere: what the device consumed is kept, and
//! given to the engine when the device fails, refuses the data, or is asked for what only an engine knows ([`replay`]).
//! What the device reads ahead is the caller's until its plain text is delivered ([`hardware`]).

mod hardware;
mod replay;
mod rest;
#[cfg(any(test, fuzzing))]
pub(crate) mod tests;

#[cfg(feature = "gz")]
use std::ffi::CStr;
use std::ffi::{c_char, c_int, c_long, c_ulong};
use std::time::{Duration, Instant};

use warpdrive::Reason;
use warpdrive::request::compress::Wrapper;

use crate::abi::io::Io;
use crate::abi::next::{Inflater, OutOfMemory};
use crate::abi::own::{copied, try_box};
use crate::abi::{
    Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_FINISH, Z_MEM_ERROR, Z_NEED_DICT, Z_OK, Z_STREAM_END,
    Z_STREAM_ERROR, Z_TREES,
};
use crate::accelerator::{Core, InflateAccelerator};
use crate::tally::Tally;
use crate::wrapper;
use hardware::Hardware;
use replay::Leftover;
use rest::Early;

/// One inflate stream.
pub(crate) struct Inflate<A = Core> {
    accelerator: A,
    /// As given, one of [`is_window_bits`].
    window_bits: c_int,
    engine: Option<Inflater>,
    early: Early,
    mode: Mode,
    /// Over all output delivered. The engine's own lags behind until the stream ends, and callers may look.
    checksum: u32,
    /// Bits of the window's length, where the header says and has said it.
    header_bits: Option<u8>,
    /// `inflateSync` found a place before a header had come: raw, until `inflateReset2`.
    headerless: bool,
    /// Which checksum; of a stream that takes either header, known with the first byte.
    wrapper: Option<Wrapper>,
    /// False after `inflateSync` and `inflateValidate(0)`: the checksum no longer means anything.
    checking: bool,
    tally: Tally,
    /// Input that the device refused: to be read for what is wrong with it.
    doubtful: usize,
    /// Of a stream that the device would have been asked for, had costs not spoken against it.
    stopwatch: Option<Box<Stopwatch>>,
    /// Why software, where nothing was asked: counted unless the core knows a better reason.
    why: Reason,
}

enum Mode {
    /// No byte of the body was consumed.
    Undecided,
    /// The engine, and what it consumed of the body: the caller may still turn out to want much.
    Probe(Box<Probe>),
    Hardware(Box<Hardware>),
    /// The engine again, with something left from before.
    Resumed(Box<Leftover>),
    /// The engine, until the stream is reset.
    Software,
    /// There was no memory to lead the engine to where the caller is. As in zlib, that is the answer until the stream is reset.
    Lost,
}

#[derive(Clone, Default)]
struct Probe {
    consumed: Vec<u8>,
    delivered: usize,
}

/// Time that software took for input not yet reported.
#[derive(Default)]
struct Stopwatch {
    consumed: usize,
    took: Duration,
}

/// From so much output on it costs less to ask the engine for the checksum than to make it.
const LONG_BYTES: usize = 4 << 10;
/// Most plain text that is inflated once more for a stream's change to the device.
const REPEATED_MAX_BYTES: usize = 4 << 20;

/// What an `inflate` call did.
pub(crate) struct Progress {
    pub(crate) code: c_int,
    /// New value of `strm->adler`, if it changes.
    pub(crate) adler: Option<c_ulong>,
    pub(crate) data_type: c_int,
    pub(crate) message: *mut c_char,
}

/// What `inflateInit2` accepts: raw, from the header, zlib, gzip, either.
pub(crate) fn is_window_bits(window_bits: c_int) -> bool {
    matches!(window_bits, -15..=-8 | 0 | 8..=15 | 16 | 24..=31 | 32 | 40..=47)
}

/// `strm->adler` after a reset; `None`: raw, left as it is.
pub(crate) fn initial_adler(window_bits: c_int) -> Option<u32> {
    match window_bits {
        ..0 => None,
        16..=31 => Some(0),
        _ => Some(1),
    }
}

impl Inflate {
    /// `window_bits` passed [`is_window_bits`].
    pub(crate) fn new(window_bits: c_int) -> Self {
        Self::with(Core, window_bits)
    }
}

impl<A: InflateAccelerator> Inflate<A> {
    /// A stream with its way to the device.
    fn with(accelerator: A, window_bits: c_int) -> Self {
        let mut stream = Self {
            accelerator,
            window_bits,
            engine: None,
            early: Early::default(),
            mode: Mode::Undecided,
            checksum: 1,
            header_bits: None,
            headerless: false,
            wrapper: None,
            checking: true,
            tally: Tally::default(),
            doubtful: 0,
            stopwatch: None,
            why: Reason::Unsupported,
        };
        stream.begin_anew();
        stream
    }

    /// One `inflate` call.
    pub(crate) fn inflate(&mut self, io: &mut Io<'_>, flush: c_int) -> Progress {
        let before = (io.avail_in(), io.avail_out());
        if matches!(self.mode, Mode::Undecided) {
            if let Some(progress) = self.decide(io, flush) {
                return progress;
            }
        }
        let progress = match self.mode {
            Mode::Undecided | Mode::Software => self.run_software(io, flush),
            Mode::Probe(_) => self.run_probe(io, flush),
            Mode::Hardware(_) => self.run_hardware(io, flush),
            Mode::Resumed(_) | Mode::Lost => self.run_resumed(io, flush),
        };
        // A later part of the call does not know what an earlier one did.
        let moved = before != (io.avail_in(), io.avail_out());
        let code =
            if progress.code == Z_BUF_ERROR && moved && flush != Z_FINISH { Z_OK } else { progress.code };
        self.rest(io, code);
        Progress { code, ..progress }
    }

    /// Chooses a side for a stream whose body has not begun; the header is read on the way. `Some`: the call is over.
    fn decide(&mut self, io: &mut Io<'_>, flush: c_int) -> Option<Progress> {
        if io.avail_in() == 0 {
            return None;
        }
        let limits = self.accelerator.limits();
        let wrapper = self.wrapper.unwrap_or(Wrapper::Zlib);
        let chosen = match () {
            () if matches!(flush, Z_BLOCK | Z_TREES) || !self.suitable() => Err(Reason::Unsupported),
            () if io.avail_in() < limits.large => Err(Reason::Small),
            () if wrapper == Wrapper::Raw && !self.accelerator.takes_raw() => Err(Reason::Unsupported),
            () => self.accelerator.preview(wrapper, io.avail_in()),
        };
        if let Err(why) = chosen {
            self.pin(why);
            return None;
        }
        if self.wrapper != Some(Wrapper::Raw) {
            let progress = self.run_software(io, Z_BLOCK);
            let at_body = self.engine.as_ref().is_some_and(Inflater::at_block_start);
            if !matches!(progress.code, Z_OK | Z_BUF_ERROR) {
                self.pin(Reason::Unsupported);
                return Some(progress);
            }
            if !at_body || io.avail_in() == 0 {
                self.pin(Reason::Small);
                return None;
            }
        }
        self.early.forget();
        let mode = if io.avail_out() >= limits.large {
            try_box(Hardware::new(self.wrapper(), self.checksum, limits, None)).map(Mode::Hardware)
        } else {
            // What ends before it has shown its length was short, whatever lay behind it.
            self.why = Reason::Small;
            try_box(Probe::default()).map(Mode::Probe)
        };
        match mode {
            Ok(mode) => self.mode = mode,
            Err(OutOfMemory) => self.pin(Reason::Busy),
        }
        None
    }

    /// A window of 32 KiB, which is what the device has, and a trailer to be checked.
    fn suitable(&self) -> bool {
        matches!(self.window_bits, -15 | 15 | 31 | 47) && self.checking
    }

    fn wrapper(&self) -> Wrapper {
        self.wrapper.unwrap_or(Wrapper::Raw)
    }

    /// The engine from here on.
    fn pin(&mut self, why: Reason) {
        self.mode = Mode::Software;
        self.why = why;
    }

    /// One call of the engine on the caller's own buffers.
    fn run_software(&mut self, io: &mut Io<'_>, flush: c_int) -> Progress {
        let (input, output) = (io.input(), io.next_out());
        let doubtful = self.doubtful;
        let start = self.stopwatch.as_ref().map(|_| Instant::now());
        let Ok(engine) = self.engine() else { return Progress::nothing(Z_MEM_ERROR) };
        let (code, consumed, produced) =
            if doubtful == 0 { engine.run(io, flush) } else { engine.run_carefully(io, flush, doubtful) };
        if code == Z_STREAM_ERROR {
            return Progress::nothing(code);
        }
        let message = if code == Z_DATA_ERROR { engine.message() } else { std::ptr::null_mut() };
        let (data_type, dictionary) = (engine.data_type(), engine.adler());
        self.early.note(code, flush, input, consumed);
        self.doubtful = doubtful.saturating_sub(consumed);
        if let Some(start) = start {
            self.measured(consumed, start.elapsed());
        }
        if self.wrapper.is_none() && consumed != 0 {
            // No zlib header begins with gzip's first byte.
            let gzip = input.first() == Some(&0x1f);
            self.begin_checksum(if gzip { Wrapper::Gzip } else { Wrapper::Zlib });
        }
        if self.header_bits.is_none() && consumed != 0 {
            self.header_bits = input.first().map(|&first| if first == 0x1f { 15 } else { (first >> 4) + 8 });
        }
        let wrapper = self.wrapper();
        if produced != 0 && self.checking && wrapper != Wrapper::Raw {
            self.checksum = match (wrapper, code) {
                // What it has just compared with the trailer.
                (_, Z_STREAM_END) => low_half(dictionary),
                // The engine has it, and is asked where that costs less than to go over the output once more.
                (Wrapper::Zlib, Z_OK) if produced >= LONG_BYTES && flush <= Z_FINISH => {
                    self.settled_checksum()
                }
                _ => wrapper::checksum(wrapper, self.checksum, io.written_since(output)),
            };
        }
        if self.tally.add(produced) || code == Z_STREAM_END {
            self.report();
        }
        let adler = if code == Z_NEED_DICT { dictionary } else { self.checksum.into() };
        Progress { code, adler: (wrapper != Wrapper::Raw).then_some(adler), data_type, message }
    }

    /// The checksum of everything that the engine made.
    fn settled_checksum(&mut self) -> u32 {
        self.engine.as_mut().map_or(self.checksum, |engine| low_half(engine.settled_adler()))
    }

    /// Software took so long for so much input. Told by the size of a piece, which is what is compared.
    fn measured(&mut self, consumed: usize, took: Duration) {
        let limits = self.accelerator.limits();
        let Some(watch) = &mut self.stopwatch else { return };
        watch.consumed += consumed;
        watch.took += took;
        if watch.consumed >= limits.large {
            self.accelerator.measured(watch.consumed, watch.took);
            **watch = Stopwatch::default();
        }
    }

    /// A call of a caller that offers much input and little room.
    fn run_probe(&mut self, io: &mut Io<'_>, flush: c_int) -> Progress {
        let limits = self.accelerator.limits();
        if matches!(flush, Z_BLOCK | Z_TREES) {
            self.pin(Reason::Unsupported);
            return self.run_software(io, flush);
        }
        let (wrapper, checksum) = (self.wrapper(), self.checksum);
        if let Mode::Probe(probe) = &mut self.mode {
            let wants = (limits.large..=REPEATED_MAX_BYTES).contains(&probe.delivered);
            // Much at hand; or a large piece once more.
            let again = io.avail_in() >= limits.large && probe.consumed.len() >= limits.large / 2;
            // A look at the beginning, and now room for more: as if this were the first call.
            let looked = probe.delivered < limits.large && io.avail_in().min(io.avail_out()) >= limits.large;
            if looked || wants && (again || io.avail_in() >= limits.promotion) {
                if let Err(why) = self.accelerator.preview(wrapper, io.avail_in()) {
                    self.pin(why);
                    return self.run_software(io, flush);
                }
                let hardware = Hardware::new(wrapper, checksum, limits, Some(std::mem::take(&mut **probe)));
                let Ok(hardware) = try_box(hardware) else {
                    self.pin(Reason::Busy);
                    return self.run_software(io, flush);
                };
                self.mode = Mode::Hardware(hardware);
                // What software delivered is delivered once more by the device, and counted there.
                self.tally = Tally::default();
                return self.run_hardware(io, flush);
            }
        }
        let (input, room) = (io.input(), io.avail_out());
        let progress = self.run_software(io, flush);
        let consumed = input.len() - io.avail_in();
        if let Mode::Probe(probe) = &mut self.mode {
            let goes_on = matches!(progress.code, Z_OK | Z_BUF_ERROR)
                && probe.consumed.len() + consumed <= limits.promotion
                && probe.consumed.try_reserve(consumed).is_ok();
            if goes_on {
                probe.consumed.extend_from_slice(input.get(..consumed).unwrap_or_default());
                probe.delivered += room - io.avail_out();
            } else {
                self.pin(Reason::Small);
            }
        }
        progress
    }

    /// `inflateSync`.
    pub(crate) fn sync(&mut self, io: &mut Io<'_>) -> c_int {
        if let Err(OutOfMemory) = self.take_over() {
            return Z_MEM_ERROR;
        }
        self.settle(io);
        let (code, raw) = self.engine().map_or((Z_MEM_ERROR, false), |engine| engine.sync(io));
        if code == Z_OK {
            // Found: zlib begins anew, keeps the totals, and checks no more. (So the engine is kept, and knows that the stream
            // has become raw.)
            self.checking = false;
            self.headerless |= raw;
            if raw {
                self.wrapper = Some(Wrapper::Raw);
            }
            self.checksum = self.initial_adler().unwrap_or(self.checksum);
        }
        code
    }

    pub(crate) fn reset(&mut self) {
        self.begin_anew();
        if let Some(engine) = &mut self.engine {
            engine.reset();
        }
    }

    pub(crate) fn reset_keep(&mut self) {
        self.wake();
        if matches!(self.mode, Mode::Hardware(_) | Mode::Resumed(_)) {
            // The window is kept.
            let _ = self.take_over();
        }
        self.begin_anew();
        if let Some(engine) = &mut self.engine {
            engine.reset_keep();
        }
        self.early.forget();
    }

    /// `inflateReset2`; `Z_STREAM_ERROR` changes nothing.
    pub(crate) fn reset_with(&mut self, window_bits: c_int) -> c_int {
        if !is_window_bits(window_bits) {
            return Z_STREAM_ERROR;
        }
        self.window_bits = window_bits;
        self.header_bits = None;
        self.headerless = false;
        self.checking = true;
        self.begin_anew();
        match &mut self.engine {
            Some(engine) => engine.reset_with(window_bits),
            None => Z_OK,
        }
    }

    /// `strm->adler` after a reset.
    pub(crate) fn initial_adler(&self) -> Option<u32> {
        if self.headerless { None } else { initial_adler(self.window_bits) }
    }

    pub(crate) fn set_dictionary(&mut self, dictionary: &[u8]) -> c_int {
        if let Err(OutOfMemory) = self.take_over() {
            return Z_MEM_ERROR;
        }
        self.engine().map_or(Z_MEM_ERROR, |engine| engine.set_dictionary(dictionary))
    }

    /// Most bytes of the stream's window. The engine's has 32 KiB whatever the stream's is (0.6.8), and callers have room for
    /// no more than what they asked for.
    fn window_len(&self) -> usize {
        let bits = match self.window_bits.unsigned_abs() & 15 {
            0 => self.header_bits.map_or(0, |bits| u32::from(bits).min(15)),
            bits => bits,
        };
        1 << bits
    }

    /// The last bytes delivered, as many as the window holds.
    pub(crate) fn dictionary(&mut self) -> Result<Vec<u8>, OutOfMemory> {
        self.wake();
        self.leave_hardware(Reason::Unsupported);
        if matches!(self.mode, Mode::Lost) {
            return Err(OutOfMemory);
        }
        let mut window = Vec::new();
        if let Some(engine) = &mut self.engine {
            engine.dictionary(&mut window)?;
        }
        if let Mode::Resumed(leftover) = &self.mode {
            window.truncate(window.len().saturating_sub(leftover.undelivered()));
        }
        let excess = window.len().saturating_sub(self.window_len());
        window.drain(..excess);
        Ok(window)
    }

    pub(crate) fn prime(&mut self, bits: c_int, value: c_int) -> c_int {
        if let Err(OutOfMemory) = self.take_over() {
            return Z_MEM_ERROR;
        }
        self.engine().map_or(Z_MEM_ERROR, |engine| engine.prime(bits, value))
    }

    pub(crate) fn sync_point(&mut self) -> c_int {
        self.wake();
        self.leave_hardware(Reason::Unsupported);
        self.engine.as_mut().map_or(0, |engine| c_int::from(engine.sync_point()))
    }

    /// `inflateMark`: -65536 when not inside a code.
    pub(crate) fn mark(&mut self) -> c_long {
        self.wake();
        self.leave_hardware(Reason::Unsupported);
        self.engine.as_mut().map_or(-65536, Inflater::mark)
    }

    pub(crate) fn validate(&mut self, check: bool) -> c_int {
        self.leave_hardware(Reason::Unsupported);
        self.checking = check;
        let code = self.engine().map_or(Z_MEM_ERROR, |engine| {
            engine.validate(check);
            Z_OK
        });
        self.early.forget();
        code
    }

    pub(crate) fn codes_used(&mut self) -> usize {
        self.wake();
        self.leave_hardware(Reason::Unsupported);
        self.engine.as_mut().map_or(0, Inflater::codes_used)
    }

    /// For `inflateGetHeader`, whose pointer the export vouches for. `None`: no memory.
    pub(crate) fn with_engine<R>(&mut self, call: impl FnOnce(&mut Inflater) -> R) -> Option<R> {
        let result = self.engine().ok().map(call);
        self.early.forget();
        result
    }

    /// For a call that changes what the engine does next: nothing but the engine from here on.
    fn take_over(&mut self) -> Result<(), OutOfMemory> {
        self.wake();
        self.early.forget();
        self.leave_hardware(Reason::Unsupported);
        if matches!(self.mode, Mode::Undecided | Mode::Probe(_)) {
            self.pin(Reason::Unsupported);
        }
        if matches!(self.mode, Mode::Lost) { Err(OutOfMemory) } else { Ok(()) }
    }

    pub(crate) fn copy(&mut self) -> Result<Self, OutOfMemory>
    where
        A: Clone,
    {
        let engine = match &mut self.engine {
            Some(engine) => Some(engine.copy()?),
            None => None,
        };
        let mode = match &self.mode {
            Mode::Undecided => Mode::Undecided,
            Mode::Probe(probe) => {
                let consumed = copied(&probe.consumed)?;
                Mode::Probe(try_box(Probe { consumed, delivered: probe.delivered })?)
            }
            Mode::Hardware(hardware) => Mode::Hardware(try_box(hardware.as_ref().clone())?),
            Mode::Resumed(leftover) => Mode::Resumed(try_box(leftover.copy()?)?),
            Mode::Software => Mode::Software,
            Mode::Lost => Mode::Lost,
        };
        let accelerator = self.accelerator.clone();
        let (early, tally) = (self.early.copy()?, self.tally.continued());
        Ok(Self { accelerator, engine, early, mode, tally, stopwatch: None, ..*self })
    }

    /// Why the last call failed.
    #[cfg(feature = "gz")]
    pub(crate) fn message(&self) -> Option<&'static CStr> {
        self.engine.as_ref().and_then(Inflater::message_text)
    }

    pub(crate) fn end(mut self) {
        self.report();
        self.mode = Mode::Software;
        self.let_go();
    }

    fn begin_anew(&mut self) {
        self.report();
        self.tally = Tally::default();
        self.mode = Mode::Undecided;
        self.early.begin();
        if !self.checking || self.headerless {
            // A new engine would check, and look for a header.
            self.early.forget();
        }
        self.doubtful = 0;
        self.stopwatch = None;
        self.why = Reason::Unsupported;
        self.wrapper = None;
        self.checksum = initial_adler(self.window_bits).unwrap_or(1);
        match self.window_bits {
            _ if self.headerless => self.begin_checksum(Wrapper::Raw),
            ..0 => self.begin_checksum(Wrapper::Raw),
            0..=15 => self.begin_checksum(Wrapper::Zlib),
            16..=31 => self.begin_checksum(Wrapper::Gzip),
            _ => {}
        }
    }

    fn begin_checksum(&mut self, wrapper: Wrapper) {
        self.wrapper = Some(wrapper);
        self.checksum = wrapper::initial_checksum(wrapper);
    }

    fn report(&mut self) {
        if self.tally.is_empty() {
            return;
        }
        if self.tally.reason().is_none() {
            let len_bytes = self.tally.len_bytes().max(self.accelerator.limits().large);
            let answer = self.accelerator.preview(self.wrapper(), len_bytes);
            self.tally.set_reason(answer.err().unwrap_or(self.why));
        }
        let accelerator = &self.accelerator;
        self.tally.report(|reason, requests, len_bytes| accelerator.note(reason, requests, len_bytes));
    }
}

/// A checksum out of the C field for it.
#[expect(clippy::cast_possible_truncation, reason = "the field is longer than any checksum")]
fn low_half(adler: c_ulong) -> u32 {
    adler as u32
}

impl Progress {
    fn nothing(code: c_int) -> Self {
        Self { code, adler: None, data_type: -1, message: std::ptr::null_mut() }
    }
}
