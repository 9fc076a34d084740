//! An inflate stream: the software engine, made when first needed.
//!
//! A streamed inflate stays in software: the device cannot enter a stream in the middle, and callers of `inflate` say
//! nothing about how much is coming.

use std::ffi::{c_char, c_int, c_long, c_ulong};

use warpdrive::request::compress::Wrapper;
use warpdrive::{Algorithm, Reason};

use crate::abi::io::Io;
use crate::abi::next::{Inflater, OutOfMemory};
use crate::abi::{Z_MEM_ERROR, Z_NEED_DICT, Z_OK, Z_STREAM_END, Z_STREAM_ERROR};
use crate::tally::Tally;
use crate::wrapper;

/// One inflate stream.
pub(crate) struct Inflate {
    /// As given, one of [`is_window_bits`].
    window_bits: c_int,
    engine: Option<Inflater>,
    /// Over all output delivered. The engine's own lags behind until the stream ends, and callers may look.
    checksum: u32,
    /// Which checksum; of a stream that takes either header, known with the first byte.
    wrapper: Option<Wrapper>,
    /// False after `inflateSync` and `inflateValidate(0)`: the checksum no longer means anything.
    checking: bool,
    tally: Tally,
}

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
        let mut stream = Self {
            window_bits,
            engine: None,
            checksum: 1,
            wrapper: None,
            checking: true,
            tally: Tally::default(),
        };
        stream.begin_anew();
        stream
    }

    fn engine(&mut self) -> Result<&mut Inflater, OutOfMemory> {
        match &mut self.engine {
            Some(engine) => Ok(engine),
            none => Ok(none.insert(Inflater::new(self.window_bits)?)),
        }
    }

    /// One `inflate` call.
    pub(crate) fn inflate(&mut self, io: &mut Io<'_>, flush: c_int) -> Progress {
        let (input, output) = (io.input(), io.next_out());
        let Ok(engine) = self.engine() else { return Progress::nothing(Z_MEM_ERROR) };
        let (code, consumed, produced) = engine.run(io, flush);
        if code == Z_STREAM_ERROR {
            return Progress::nothing(code);
        }
        let (data_type, message, dictionary) = (engine.data_type(), engine.message(), engine.adler());
        if self.wrapper.is_none() && consumed != 0 {
            // No zlib header begins with gzip's first byte.
            let gzip = input.first() == Some(&0x1f);
            self.begin_checksum(if gzip { Wrapper::Gzip } else { Wrapper::Zlib });
        }
        let wrapper = self.wrapper.unwrap_or(Wrapper::Raw);
        if produced != 0 && self.checking && wrapper != Wrapper::Raw {
            self.checksum = wrapper::checksum(wrapper, self.checksum, io.written_since(output));
        }
        if self.tally.add(produced) || code == Z_STREAM_END {
            self.report();
        }
        let adler = if code == Z_NEED_DICT { dictionary } else { self.checksum.into() };
        Progress { code, adler: (wrapper != Wrapper::Raw).then_some(adler), data_type, message }
    }

    /// `inflateSync`.
    pub(crate) fn sync(&mut self, io: &mut Io<'_>) -> c_int {
        let code = self.engine().map_or(Z_MEM_ERROR, |engine| engine.sync(io).0);
        self.checking &= code != Z_OK;
        code
    }

    pub(crate) fn reset(&mut self) {
        self.begin_anew();
        if let Some(engine) = &mut self.engine {
            engine.reset();
        }
    }

    pub(crate) fn reset_keep(&mut self) {
        self.begin_anew();
        if let Some(engine) = &mut self.engine {
            engine.reset_keep();
        }
    }

    /// `inflateReset2`; `Z_STREAM_ERROR` changes nothing.
    pub(crate) fn reset_with(&mut self, window_bits: c_int) -> c_int {
        if !is_window_bits(window_bits) {
            return Z_STREAM_ERROR;
        }
        self.window_bits = window_bits;
        self.checking = true;
        self.begin_anew();
        match &mut self.engine {
            Some(engine) => engine.reset_with(window_bits),
            None => Z_OK,
        }
    }

    /// `strm->adler` after a reset.
    pub(crate) fn initial_adler(&self) -> Option<u32> {
        initial_adler(self.window_bits)
    }

    pub(crate) fn set_dictionary(&mut self, dictionary: &[u8]) -> c_int {
        self.engine().map_or(Z_MEM_ERROR, |engine| engine.set_dictionary(dictionary))
    }

    /// The last 32 KiB delivered.
    pub(crate) fn dictionary(&mut self) -> Vec<u8> {
        let mut window = Vec::new();
        if let Some(engine) = &mut self.engine {
            engine.dictionary(&mut window);
        }
        window
    }

    pub(crate) fn prime(&mut self, bits: c_int, value: c_int) -> c_int {
        self.engine().map_or(Z_MEM_ERROR, |engine| engine.prime(bits, value))
    }

    pub(crate) fn sync_point(&mut self) -> c_int {
        self.engine.as_mut().map_or(0, |engine| c_int::from(engine.sync_point()))
    }

    /// `inflateMark`: -65536 when not inside a code.
    pub(crate) fn mark(&mut self) -> c_long {
        self.engine.as_mut().map_or(-65536, Inflater::mark)
    }

    pub(crate) fn validate(&mut self, check: bool) -> c_int {
        self.checking = check;
        self.engine().map_or(Z_MEM_ERROR, |engine| {
            engine.validate(check);
            Z_OK
        })
    }

    pub(crate) fn codes_used(&mut self) -> usize {
        self.engine.as_mut().map_or(0, Inflater::codes_used)
    }

    /// For `inflateGetHeader`, whose pointer the export vouches for. `None`: no memory.
    pub(crate) fn with_engine<R>(&mut self, call: impl FnOnce(&mut Inflater) -> R) -> Option<R> {
        self.engine().ok().map(call)
    }

    pub(crate) fn copy(&mut self) -> Result<Self, OutOfMemory> {
        let engine = match &mut self.engine {
            Some(engine) => Some(engine.copy()?),
            None => None,
        };
        Ok(Self { engine, tally: Tally::default(), ..*self })
    }

    /// Why the last call failed.
    #[cfg(feature = "gz")]
    pub(crate) fn message(&self) -> Option<&'static str> {
        self.engine.as_ref().and_then(Inflater::message_text)
    }

    pub(crate) fn end(mut self) {
        self.report();
    }

    fn begin_anew(&mut self) {
        self.report();
        self.tally = Tally::default();
        self.wrapper = None;
        self.checksum = initial_adler(self.window_bits).unwrap_or(1);
        match self.window_bits {
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
            let answer = warpdrive::preview(Algorithm::Inflate, self.tally.len_bytes());
            self.tally.set_reason(answer.err().unwrap_or(Reason::Unsupported));
        }
        self.tally.report(|reason, requests, len_bytes| {
            warpdrive::note_software(Algorithm::Inflate, reason, requests, len_bytes);
        });
    }
}

impl Progress {
    fn nothing(code: c_int) -> Self {
        Self { code, adler: None, data_type: -1, message: std::ptr::null_mut() }
    }
}
