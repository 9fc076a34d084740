//! The software engine underneath: zlib-rs, called as Rust functions.
//!
//! Each engine stream has its own `z_stream`, so that what zlib-rs does with its fields (it assigns totals, for one)
//! never reaches the caller's. Compression is always raw: header, trailer and checksum are the shim's.
#![expect(unsafe_code, reason = "zlib-rs works on z_stream and raw buffers")]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use warpdrive::memory::Charge;
use zlib_rs::c_api::{gz_header, in_func, out_func, z_stream};
use zlib_rs::deflate::{self, DeflateConfig, DeflateStream, Method, Strategy};
use zlib_rs::inflate::{self, InflateConfig, InflateStream, Window};
use zlib_rs::{DeflateFlush, InflateFlush, ReturnCode};

use super::io::Io;
use super::own::zeroed;
use super::{Z_BUF_ERROR, Z_DATA_ERROR, Z_MEM_ERROR, Z_OK, Z_STREAM_ERROR, pool};
use crate::wrapper::TRAILER_MAX_BYTES;

/// The engine could not get its memory.
#[derive(Debug)]
pub(crate) struct OutOfMemory;

/// What a compressor is made of. `level` 0..=9, `window_bits` 9..=15, `mem_level` 1..=9, `strategy` 0..=4, as in zlib.h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    pub(crate) level: c_int,
    pub(crate) window_bits: c_int,
    pub(crate) mem_level: c_int,
    pub(crate) strategy: c_int,
}

impl Settings {
    /// The engine's level 1 can grow incompressible data by 5.5 %, beyond the bound callers have hard-coded; its level 2
    /// keeps the bound and is still faster than zlib's level 1 (measured).
    fn engine_level(self) -> c_int {
        if self.level == 1 { 2 } else { self.level }
    }

    /// What an engine of these settings holds: window and chains, hash heads, symbols and output.
    fn charge(self) -> Charge {
        Charge::new((4 << self.window_bits) + (128 << 10) + (8 << (self.mem_level + 6)))
    }
}

fn blank() -> z_stream {
    z_stream {
        zalloc: Some(pool::zalloc),
        zfree: Some(pool::zfree),
        opaque: ptr::null_mut(),
        // The engine refuses some calls on a stream that has never seen a buffer; zlib does not.
        next_out: ptr::NonNull::dangling().as_ptr(),
        next_in: ptr::NonNull::dangling().as_ptr(),
        ..z_stream::default()
    }
}

/// Points `strm` at the buffers of a call, at most `u32::MAX` bytes each. Returns the lengths lent.
fn lend(strm: &mut z_stream, io: &Io<'_>) -> (u32, u32) {
    // A NULL with no bytes behind it is legal for the caller; the engine makes slices of it.
    let (next_in, len_in) = match io.next_in().is_null() {
        true => (ptr::NonNull::<u8>::dangling().as_ptr().cast_const(), 0),
        false => (io.next_in(), u32::try_from(io.avail_in()).unwrap_or(u32::MAX)),
    };
    let len_out = u32::try_from(io.avail_out()).unwrap_or(u32::MAX);
    strm.next_in = next_in;
    strm.next_out = io.next_out();
    strm.avail_in = len_in;
    strm.avail_out = len_out;
    (len_in, len_out)
}

/// Takes the buffers back after a call; returns bytes consumed and produced.
fn take_back(strm: &mut z_stream, io: &mut Io<'_>, lent: (u32, u32)) -> (usize, usize) {
    let consumed = lent.0.saturating_sub(strm.avail_in) as usize;
    let produced = lent.1.saturating_sub(strm.avail_out) as usize;
    io.advance_in(consumed);
    io.advance_out(produced);
    strm.next_in = ptr::NonNull::dangling().as_ptr();
    strm.next_out = ptr::NonNull::dangling().as_ptr();
    strm.avail_in = 0;
    strm.avail_out = 0;
    (consumed, produced)
}

/// A raw deflate stream.
pub(crate) struct Deflater {
    strm: z_stream,
    settings: Settings,
    /// `deflate` was called since the last reset.
    ran: bool,
    /// It was asked to end, and had room to begin.
    finishing: bool,
    /// Its last output did not fit the caller's room.
    interrupted: bool,
    charge: Charge,
}

// SAFETY: an engine's memory is its own, from an allocator without ties to a thread.
unsafe impl Send for Deflater {}

impl Deflater {
    pub(crate) fn new(settings: Settings) -> Result<Self, OutOfMemory> {
        let mut strm = blank();
        let config = DeflateConfig {
            level: settings.engine_level(),
            method: Method::Deflated,
            window_bits: -settings.window_bits,
            mem_level: settings.mem_level,
            strategy: Strategy::try_from(settings.strategy).unwrap_or_default(),
        };
        match deflate::init(&mut strm, config) {
            ReturnCode::Ok => Ok(Self {
                strm,
                settings,
                ran: false,
                finishing: false,
                interrupted: false,
                charge: settings.charge(),
            }),
            _ => Err(OutOfMemory),
        }
    }

    /// Whether its memory is that of an engine with `settings`.
    pub(crate) fn has_room_of(&self, settings: Settings) -> bool {
        self.settings.window_bits == settings.window_bits && self.settings.mem_level == settings.mem_level
    }

    /// Starts anew with `settings`, keeping the memory when it fits.
    pub(crate) fn renew(&mut self, settings: Settings) -> Result<(), OutOfMemory> {
        // Reset, the engine (0.6.8) forgets bytes that wait and not where they began: room that the next stream misses.
        if !self.has_room_of(settings) || self.pending().0 != 0 {
            *self = Self::new(settings)?;
            return Ok(());
        }
        (self.ran, self.finishing, self.interrupted) = (false, false, false);
        let _ = deflate::reset(self.stream());
        if self.settings != settings {
            let strategy = Strategy::try_from(settings.strategy).unwrap_or_default();
            let _ = deflate::params(self.stream(), settings.engine_level(), strategy);
        }
        self.settings = settings;
        Ok(())
    }

    fn stream(&mut self) -> &mut DeflateStream<'static> {
        // SAFETY: `strm` was initialised by `deflate::init` (or made by `deflate::copy`) and is ours alone.
        match unsafe { DeflateStream::from_stream_mut(&mut self.strm) } {
            Some(stream) => stream,
            None => unreachable!("an engine stream keeps its state and allocator until it is dropped"),
        }
    }

    /// One `deflate` call. Returns zlib's code and the bytes consumed.
    pub(crate) fn run(&mut self, io: &mut Io<'_>, flush: c_int) -> (c_int, usize) {
        let Ok(flush) = DeflateFlush::try_from(flush) else { return (Z_STREAM_ERROR, 0) };
        let lent = lend(&mut self.strm, io);
        // What does not fit the call's 32-bit lengths follows in the next.
        let flush = if (lent.0 as usize) < io.avail_in() { DeflateFlush::NoFlush } else { flush };
        // With room for no more than what waits, a call does nothing else.
        let (bytes, bits) = self.pending();
        let begins = lent.1 as usize > bytes + usize::from(bits / 8);
        let code = deflate::deflate(self.stream(), flush);
        let (consumed, _) = take_back(&mut self.strm, io, lent);
        // What it refuses leaves it as it was.
        if matches!(code, ReturnCode::Ok | ReturnCode::StreamEnd) {
            self.ran = true;
            self.finishing |= begins && flush == DeflateFlush::Finish;
        }
        self.interrupted = self.pending().0 != 0;
        (code as c_int, consumed)
    }

    /// Compresses all of `input` into `output`, which grows, and has room for a trailer at the end. Out of memory: `output` is as
    /// it was, and the engine has nothing that is worth keeping, unless there was no input.
    pub(crate) fn run_to_vec(
        &mut self,
        input: &[u8],
        flush: c_int,
        output: &mut Vec<u8>,
    ) -> Result<(), OutOfMemory> {
        let (start, mut rest) = (output.len(), input);
        loop {
            let filled = output.len();
            if output.try_reserve(rest.len() / 2 + 4096).is_err() {
                output.truncate(start);
                return Err(OutOfMemory);
            }
            let room = output.spare_capacity_mut();
            let room_len = room.len() - TRAILER_MAX_BYTES;
            // SAFETY: `rest` is readable and `room` writable for their lengths; both outlive the call.
            let mut io =
                unsafe { Io::from_raw(rest.as_ptr(), rest.len(), room.as_mut_ptr().cast(), room_len) };
            let (_, consumed) = self.run(&mut io, flush);
            let left = io.avail_out();
            // SAFETY: the engine wrote the first `room_len - left` bytes of the room.
            unsafe { output.set_len(filled + (room_len - left)) };
            rest = rest.get(consumed..).unwrap_or_default();
            if left != 0 {
                return Ok(());
            }
        }
    }

    pub(crate) fn params(&mut self, io: &mut Io<'_>, level: c_int, strategy: c_int) -> (c_int, usize) {
        let Ok(new) = Strategy::try_from(strategy) else { return (Z_STREAM_ERROR, 0) };
        let settings = Settings { level, strategy, ..self.settings };
        let lent = lend(&mut self.strm, io);
        let code = deflate::params(self.stream(), settings.engine_level(), new);
        let (consumed, _) = take_back(&mut self.strm, io, lent);
        self.interrupted = self.pending().0 != 0;
        if code == ReturnCode::Ok {
            self.settings = settings;
        }
        (code as c_int, consumed)
    }

    pub(crate) fn set_dictionary(&mut self, dictionary: &[u8]) -> c_int {
        deflate::set_dictionary(self.stream(), dictionary) as c_int
    }

    /// Appends the window, at most 32 KiB, to `window`.
    pub(crate) fn dictionary(&mut self, window: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        window.try_reserve(1 << 15).map_err(|_| OutOfMemory)?;
        // SAFETY: room for 32 KiB, the largest window, was just reserved.
        let len = unsafe {
            deflate::get_dictionary(self.stream(), window.spare_capacity_mut().as_mut_ptr().cast())
        };
        // SAFETY: the engine wrote `len` bytes there.
        unsafe { window.set_len(window.len() + len) };
        Ok(())
    }

    /// Bytes and bits produced but not delivered.
    pub(crate) fn pending(&mut self) -> (usize, u8) {
        self.stream().pending()
    }

    pub(crate) fn bits_used(&mut self) -> u8 {
        self.stream().bits_used()
    }

    /// `bits` at most 16. As in zlib, `Z_BUF_ERROR` where there may be no room for them; the engine (0.6.8) does not look.
    pub(crate) fn prime(&mut self, bits: c_int, value: c_int) -> c_int {
        let most = 1 << (self.settings.mem_level + 6);
        if self.interrupted || self.pending().0 + size_of::<u64>() > most {
            return Z_BUF_ERROR;
        }
        deflate::prime(self.stream(), bits, value) as c_int
    }

    #[expect(clippy::cast_sign_loss, reason = "as zlib-rs's own C interface converts them")]
    pub(crate) fn tune(&mut self, [good, lazy, nice, chain]: [c_int; 4]) -> c_int {
        /// The engine (0.6.8) takes a longer chain for one of three-byte hashes, which only its level 9 makes.
        const LONGEST_CHAIN: c_int = 1024;
        /// Quartered after a good match, and counted down before it is compared with zero: less would go round.
        const SHORTEST_CHAIN: c_int = 4;
        let longest = if self.settings.level == 9 { c_int::from(u16::MAX) } else { LONGEST_CHAIN };
        let chain = chain.clamp(SHORTEST_CHAIN, longest);
        deflate::tune(self.stream(), good as usize, lazy as usize, nice as usize, chain as usize) as c_int
    }

    pub(crate) fn data_type(&self) -> c_int {
        self.strm.data_type
    }

    pub(crate) fn has_run(&self) -> bool {
        self.ran
    }

    pub(crate) fn copy(&mut self) -> Result<Self, OutOfMemory> {
        let mut copy = MaybeUninit::<DeflateStream<'static>>::uninit();
        if deflate::copy(&mut copy, self.stream()) != ReturnCode::Ok {
            return Err(OutOfMemory);
        }
        // SAFETY: `copy` succeeded, so it initialised the stream; DeflateStream has z_stream's layout (asserted there).
        let strm = unsafe { copy.as_ptr().cast::<z_stream>().read() };
        let Self { settings, ran, finishing, interrupted, .. } = *self;
        Ok(Self { strm, settings, ran, finishing, interrupted, charge: settings.charge() })
    }

    /// It was asked to end, and may have begun to.
    pub(crate) fn is_finishing(&self) -> bool {
        self.finishing
    }

    /// What `deflateEnd` would say: the engine holds an unfinished stream.
    pub(crate) fn end(mut self) -> c_int {
        let unfinished = deflate::end(self.stream()).is_err();
        drop(std::mem::take(&mut self.charge));
        std::mem::forget(self);
        if unfinished { Z_DATA_ERROR } else { Z_OK }
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        if !self.strm.state.is_null() {
            let _ = deflate::end(self.stream());
        }
    }
}

/// With this much input and no more the engine takes its slow loop.
const SLOW_BYTES: usize = 14;

/// A decompressor with any of inflate's `windowBits`.
pub(crate) struct Inflater {
    strm: z_stream,
    window_bits: c_int,
    /// What was said to be wrong with the data; NULL once something went well or the stream began anew. (The engine's own
    /// message outlives `reset_keep`.)
    told: *mut c_char,
    /// Given back on drop.
    _charge: Charge,
}

// SAFETY: an engine's memory is its own, from an allocator without ties to a thread; a header that its caller lent is
// forgotten before the engine is used again.
unsafe impl Send for Inflater {}

/// What an inflating engine holds: its tables and the largest window.
const INFLATER_BYTES: usize = 48 << 10;

impl Inflater {
    /// `window_bits` must be one that `inflateInit2` accepts.
    pub(crate) fn new(window_bits: c_int) -> Result<Self, OutOfMemory> {
        let mut strm = blank();
        match inflate::init(&mut strm, InflateConfig { window_bits }) {
            ReturnCode::Ok => {
                Ok(Self { strm, window_bits, told: ptr::null_mut(), _charge: Charge::new(INFLATER_BYTES) })
            }
            _ => Err(OutOfMemory),
        }
    }

    fn stream(&mut self) -> &mut InflateStream<'static> {
        // SAFETY: `strm` was initialised by `inflate::init` (or made by `inflate::copy`) and is ours alone.
        match unsafe { InflateStream::from_stream_mut(&mut self.strm) } {
            Some(stream) => stream,
            None => unreachable!("an engine stream keeps its state and allocator until it is dropped"),
        }
    }

    /// One `inflate` call. Returns zlib's code, bytes consumed and bytes produced.
    pub(crate) fn run(&mut self, io: &mut Io<'_>, flush: c_int) -> (c_int, usize, usize) {
        let flush = match InflateFlush::try_from(flush).unwrap_or_default() {
            // Stopped after the header of a stored block, the engine reads that header again from the data (0.6.8).
            InflateFlush::Trees => InflateFlush::Block,
            flush => flush,
        };
        let (begins, input) = (self.strm.total_in == 0, io.input());
        let lent = lend(&mut self.strm, io);
        // SAFETY: `lend` pointed the stream at the call's buffers, valid for the lengths it set.
        let code = unsafe { inflate::inflate(self.stream(), flush) };
        let (consumed, produced) = take_back(&mut self.strm, io, lent);
        match code {
            ReturnCode::DataError => self.told = self.reason_for(begins.then_some(input)),
            ReturnCode::StreamError => {}
            _ => self.told = ptr::null_mut(),
        }
        (code as c_int, consumed, produced)
    }

    /// As [`run`](Self::run), for data that are known to be bad: slower, and the message is exact.
    pub(crate) fn run_carefully(
        &mut self,
        io: &mut Io<'_>,
        flush: c_int,
        limit: usize,
    ) -> (c_int, usize, usize) {
        let before = (io.avail_in(), io.avail_out());
        let code = loop {
            let used = before.0 - io.avail_in();
            let whole = io.avail_in() <= SLOW_BYTES || used >= limit;
            let mut part = io.beginning(if whole { usize::MAX } else { SLOW_BYTES });
            let (code, consumed, produced) = self.run(&mut part, if whole { flush } else { 0 });
            io.advance_in(consumed);
            io.advance_out(produced);
            if whole || code != Z_OK {
                break code;
            }
        };
        (code, before.0 - io.avail_in(), before.1 - io.avail_out())
    }

    /// What is wrong with the data, in zlib's words. `input`: all of the stream's input, if the call had it.
    ///
    /// Called again after an error, zlib repeats itself, and the engine (0.6.8) complains of the call. Its fast loop calls
    /// itself again in that way, so the text of an error found there is lost, unless the same bytes can be given once more
    /// to the slow one. Three errors can be found there, two of them only in code sets with gaps, which are rare; and the
    /// third not any more once 32 KiB lie behind.
    fn reason_for(&self, input: Option<&[u8]>) -> *mut c_char {
        const WINDOW_BYTES: u64 = 1 << 15;
        if !self.told.is_null() || self.strm.msg.is_null() {
            return self.told;
        }
        // SAFETY: the engine's messages are C string literals.
        if unsafe { CStr::from_ptr(self.strm.msg) } != c"repeated call with bad state" {
            return self.strm.msg;
        }
        if let (Some(input), Ok(mut again), Ok(mut scratch)) =
            (input, Self::new(self.window_bits), zeroed(1 << 15))
        {
            let mut used = 0;
            loop {
                let rest = input.get(used..).unwrap_or_default();
                let (code, consumed, _) =
                    again.run_carefully(&mut Io::from_slices(rest, &mut scratch), 0, usize::MAX);
                used += consumed;
                match code {
                    Z_OK => {}
                    Z_DATA_ERROR if !again.told.is_null() => return again.told,
                    _ => break,
                }
            }
        }
        let text = if self.strm.total_out < WINDOW_BYTES {
            c"invalid distance too far back"
        } else {
            c"invalid distance code"
        };
        text.as_ptr().cast_mut()
    }

    /// `inflateSync`. Returns zlib's code, and whether the stream is raw from here on: it was, or no header had come.
    pub(crate) fn sync(&mut self, io: &mut Io<'_>) -> (c_int, bool) {
        /// What no checksum is. The engine does not tell, but it sets the field of a stream that has one.
        const UNTOUCHED: c_ulong = 1 << 40;
        let lent = lend(&mut self.strm, io);
        let kept = std::mem::replace(&mut self.strm.adler, UNTOUCHED);
        let code = inflate::sync(self.stream());
        take_back(&mut self.strm, io, lent);
        let untouched = self.strm.adler == UNTOUCHED;
        if untouched {
            self.strm.adler = kept;
        }
        if code == ReturnCode::Ok {
            self.told = ptr::null_mut();
        }
        (code as c_int, untouched && code == ReturnCode::Ok)
    }

    pub(crate) fn reset(&mut self) {
        self.told = ptr::null_mut();
        let _ = inflate::reset(self.stream());
    }

    pub(crate) fn reset_keep(&mut self) {
        self.told = ptr::null_mut();
        let _ = inflate::reset_keep(self.stream());
    }

    /// Starts anew as one that was just made.
    pub(crate) fn renew(&mut self, window_bits: c_int) {
        self.strm.data_type = 0;
        self.reset_with(window_bits);
    }

    /// The checksum of all output so far, which `adler` lags behind. Only for streams with a zlib header, between calls
    /// that went well and were not to stop at a block.
    pub(crate) fn settled_adler(&mut self) -> c_ulong {
        // A call that can do nothing brings the field up to date (0.6.8).
        let mut nothing = Io::from_slices(&[], &mut []);
        let kept = self.strm.data_type;
        self.run(&mut nothing, 0);
        self.strm.data_type = kept;
        self.strm.adler
    }

    pub(crate) fn reset_with(&mut self, window_bits: c_int) -> c_int {
        self.window_bits = window_bits;
        self.told = ptr::null_mut();
        inflate::reset_with_config(self.stream(), InflateConfig { window_bits }) as c_int
    }

    pub(crate) fn set_dictionary(&mut self, dictionary: &[u8]) -> c_int {
        inflate::set_dictionary(self.stream(), dictionary) as c_int
    }

    /// Appends the window, at most 32 KiB, to `window`.
    pub(crate) fn dictionary(&mut self, window: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        window.try_reserve(1 << 15).map_err(|_| OutOfMemory)?;
        // SAFETY: room for 32 KiB, the largest window, was just reserved.
        let len = unsafe {
            inflate::get_dictionary(self.stream(), window.spare_capacity_mut().as_mut_ptr().cast())
        };
        // SAFETY: the engine wrote `len` bytes there.
        unsafe { window.set_len(window.len() + len) };
        Ok(())
    }

    /// # Safety
    /// `head` is NULL, or it and the buffers it points to stay writable until the header was read, another was set, or
    /// the stream was reset or ended (zlib.h, inflateGetHeader).
    pub(crate) unsafe fn capture_header(&mut self, head: *mut gz_header) -> c_int {
        // SAFETY: as promised by the caller.
        unsafe { inflate::get_header(self.stream(), head.as_mut()) as c_int }
    }

    pub(crate) fn prime(&mut self, bits: c_int, value: c_int) -> c_int {
        inflate::prime(self.stream(), bits, value) as c_int
    }

    pub(crate) fn sync_point(&mut self) -> bool {
        inflate::sync_point(self.stream())
    }

    pub(crate) fn mark(&mut self) -> c_long {
        inflate::mark(self.stream())
    }

    pub(crate) fn validate(&mut self, check: bool) {
        let _ = inflate::validate(self.stream(), check);
    }

    pub(crate) fn codes_used(&mut self) -> usize {
        inflate::codes_used(self.stream())
    }

    pub(crate) fn copy(&mut self) -> Result<Self, OutOfMemory> {
        let mut copy = MaybeUninit::<InflateStream<'static>>::uninit();
        // SAFETY: both are valid; the copy's buffers are set again before each use.
        if unsafe { inflate::copy(&mut copy, self.stream()) } != ReturnCode::Ok {
            return Err(OutOfMemory);
        }
        // SAFETY: `copy` succeeded, so it initialised the stream; InflateStream has z_stream's layout (asserted there).
        let strm = unsafe { copy.as_ptr().cast::<z_stream>().read() };
        Ok(Self {
            strm,
            window_bits: self.window_bits,
            told: self.told,
            _charge: Charge::new(INFLATER_BYTES),
        })
    }

    /// What is wrong with the data, NULL when nothing is. Static text.
    pub(crate) fn message(&self) -> *mut c_char {
        self.told
    }

    /// The same as a string.
    #[cfg(feature = "gz")]
    pub(crate) fn message_text(&self) -> Option<&'static CStr> {
        // SAFETY: the engine's messages are C string literals.
        (!self.told.is_null()).then(|| unsafe { CStr::from_ptr(self.told) })
    }

    pub(crate) fn adler(&self) -> c_ulong {
        self.strm.adler
    }

    pub(crate) fn data_type(&self) -> c_int {
        self.strm.data_type
    }

    /// Between two blocks, or before the first, with the header read (zlib.h, inflate, `data_type`).
    pub(crate) fn at_block_start(&self) -> bool {
        self.strm.data_type & 128 != 0
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        if !self.strm.state.is_null() {
            inflate::end(self.stream());
        }
    }
}

/// An `inflateBack` stream: the caller's window and callbacks.
pub(crate) struct BackInflater {
    strm: z_stream,
}

impl BackInflater {
    /// # Safety
    /// `window` is writable for `1 << window_bits` bytes until the stream is dropped; `window_bits` is 8..=15.
    pub(crate) unsafe fn new(window_bits: c_int, window: *mut u8) -> Result<Self, c_int> {
        let mut strm = blank();
        // SAFETY: as promised by the caller.
        let window = unsafe { Window::from_raw_parts(window, 1 << window_bits) };
        match inflate::back_init(&mut strm, InflateConfig { window_bits }, window) {
            ReturnCode::Ok => Ok(Self { strm }),
            ReturnCode::MemError => Err(Z_MEM_ERROR),
            _ => Err(Z_STREAM_ERROR),
        }
    }

    /// Returns zlib's code; leaves unread input and message in `caller`, as zlib does.
    ///
    /// # Safety
    /// `caller` is valid; the callbacks keep zlib's contract (zlib.h, inflateBack). They may leave by `longjmp`: nothing
    /// on this frame needs dropping.
    pub(crate) unsafe fn run(
        &mut self,
        caller: *mut z_stream,
        input: in_func,
        input_desc: *mut c_void,
        output: out_func,
        output_desc: *mut c_void,
    ) -> c_int {
        // SAFETY: valid, promised by the caller.
        let (next_in, avail_in) = unsafe { ((*caller).next_in, (*caller).avail_in) };
        self.strm.next_in = next_in;
        self.strm.avail_in = avail_in as c_uint;
        // SAFETY: `strm` was initialised by `back_init` and is ours alone.
        let Some(stream) = (unsafe { InflateStream::from_stream_mut(&mut self.strm) }) else {
            return Z_STREAM_ERROR;
        };
        // SAFETY: as promised by the caller.
        let code = unsafe { inflate::back(stream, input, input_desc, output, output_desc) };
        // SAFETY: valid, promised by the caller.
        unsafe {
            (*caller).next_in = self.strm.next_in;
            (*caller).avail_in = self.strm.avail_in;
            (*caller).msg = self.strm.msg;
            // The engine keeps its text to itself; callers print whatever stands here.
            if code == ReturnCode::DataError && self.strm.msg.is_null() {
                (*caller).msg = c"data error".as_ptr().cast_mut();
            }
        }
        code as c_int
    }
}

impl Drop for BackInflater {
    fn drop(&mut self) {
        // SAFETY: `strm` was initialised by `back_init` and is ours alone.
        if let Some(stream) = unsafe { InflateStream::from_stream_mut(&mut self.strm) } {
            inflate::back_end(stream);
        }
    }
}
