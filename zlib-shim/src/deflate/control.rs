//! What a caller may set and ask of a stream beside having it compress: zlib's functions of a deflate stream other than
//! `deflate` itself, its reset and its end.

use std::ffi::c_int;

use warpdrive::Reason;
use warpdrive::request::compress::Wrapper;

use super::{Deflate, FRESH, Mode, last, whole};
use crate::abi::header::HeaderRef;
use crate::abi::io::Io;
use crate::abi::next::{OutOfMemory, Settings};
use crate::abi::own::copied;
use crate::abi::{Z_BLOCK, Z_BUF_ERROR, Z_MEM_ERROR, Z_OK, Z_STREAM_ERROR};
use crate::accelerator::Accelerator;
use crate::wrapper;

impl<A: Accelerator> Deflate<A> {
    /// `deflateParams`.
    pub(crate) fn set_params(&mut self, io: &mut Io<'_>, level: c_int, strategy: c_int) -> c_int {
        let level = if level == -1 { 6 } else { level };
        if !(0..=9).contains(&level) || !(0..=4).contains(&strategy) {
            return Z_STREAM_ERROR;
        }
        if level != self.parameters.settings.level {
            self.tune = None;
        }
        // zlib ends a block with the old parameters, if there is any difference; else the caller's buffer may be anything.
        let Settings { level: old_level, strategy: old_strategy, .. } = self.parameters.settings;
        let method = |level: c_int| (level != 0, level > 3);
        let ends = (method(level), strategy) != (method(old_level), old_strategy) && self.last_flush != FRESH;
        if ends && !self.done {
            self.last_flush = Z_BLOCK;
        }
        if self.wake().is_err() {
            return Z_MEM_ERROR;
        }
        if let Mode::Software(engine) = &mut self.mode {
            if !self.done {
                self.pending.drain(io);
                if !self.pending.is_empty() {
                    return Z_BUF_ERROR;
                }
            }
            // The engine has other methods, and may see no difference where zlib does.
            if ends && !self.done && engine.has_run() && io.avail_out() != 0 {
                self.run_software(io, Z_BLOCK);
                if io.avail_in() != 0 {
                    return Z_BUF_ERROR;
                }
            }
        }
        if let Mode::Software(engine) = &mut self.mode {
            let input = io.input();
            let (code, consumed) = engine.params(io, level, strategy);
            self.consumed(input, consumed);
            if code == Z_OK {
                self.parameters.settings.level = level;
                self.parameters.settings.strategy = strategy;
            }
            return code;
        }
        // What was taken so far keeps the old parameters.
        if self.compress_fifo().is_err() {
            return Z_MEM_ERROR;
        }
        self.parameters.settings.level = level;
        self.parameters.settings.strategy = strategy;
        if matches!(self.mode, Mode::Hardware) && self.suitable().is_none() {
            if let Err(OutOfMemory) = self.enter_software(Reason::Unsupported) {
                return Z_MEM_ERROR;
            }
        }
        if ends && !io.has_null() {
            // What does not fit follows with the next call.
            self.pending.drain(io);
        }
        Z_OK
    }

    /// `deflateSetDictionary`.
    pub(crate) fn set_dictionary(&mut self, dictionary: &[u8]) -> c_int {
        let allowed = match self.parameters.wrapper {
            Wrapper::Gzip => false,
            Wrapper::Zlib => !self.header_written,
            Wrapper::Raw => true,
        };
        if !allowed || !self.fifo.is_empty() || self.done {
            return Z_STREAM_ERROR;
        }
        if self.wake().is_err()
            || (!matches!(self.mode, Mode::Software(_)) && self.enter_software(Reason::Unsupported).is_err())
        {
            return Z_MEM_ERROR;
        }
        let Mode::Software(engine) = &mut self.mode else { return Z_STREAM_ERROR };
        let code = engine.set_dictionary(dictionary);
        if code == Z_OK {
            self.checksum = wrapper::checksum(self.parameters.wrapper, self.checksum, dictionary);
            self.has_dictionary |= !dictionary.is_empty();
        }
        code
    }

    /// Bytes of the stream's window.
    pub(crate) fn window_len(&self) -> usize {
        1 << self.parameters.settings.window_bits
    }

    /// `deflateGetDictionary`: the plain text a decoder's window would hold now, with what is not yet compressed.
    pub(crate) fn dictionary(&mut self) -> Result<Vec<u8>, OutOfMemory> {
        let mut window = Vec::new();
        if let Mode::Software(engine) = &mut self.mode {
            engine.dictionary(&mut window)?;
            return Ok(window);
        }
        let limit = self.window_len();
        let waiting = last(&self.fifo, limit);
        let before = last(&self.window, limit - waiting.len());
        window.try_reserve_exact(before.len() + waiting.len()).map_err(|_| OutOfMemory)?;
        window.extend_from_slice(before);
        window.extend_from_slice(waiting);
        Ok(window)
    }

    /// `deflateSetHeader`.
    pub(crate) fn set_header(&mut self, header: Option<HeaderRef>) -> c_int {
        if self.parameters.wrapper != Wrapper::Gzip {
            return Z_STREAM_ERROR;
        }
        self.header = header;
        Z_OK
    }

    /// `deflatePending`: bytes and bits waiting for room.
    pub(crate) fn pending(&mut self) -> (usize, c_int) {
        let (bytes, bits) = match &mut self.mode {
            Mode::Software(engine) => engine.pending(),
            _ => (0, 0),
        };
        (self.pending.len() + bytes, c_int::from(bits))
    }

    /// `deflateUsed`: bits used of the last byte; every segment but the last ends with a full one.
    pub(crate) fn bits_used(&mut self) -> c_int {
        match &mut self.mode {
            Mode::Software(engine) => c_int::from(engine.bits_used()),
            Mode::Resting if self.done => whole::bits_used(&self.window, self.whole_level),
            _ if self.done => c_int::from(self.end_bits),
            _ if self.len_bytes == 0 => 0,
            _ => 8,
        }
    }

    /// `deflatePrime`.
    pub(crate) fn prime(&mut self, bits: c_int, value: c_int) -> c_int {
        if !(0..=16).contains(&bits) {
            return Z_BUF_ERROR;
        }
        if self.wake().is_err() {
            return Z_MEM_ERROR;
        }
        if !matches!(self.mode, Mode::Software(_)) {
            let closed = self.compress_fifo();
            if closed.is_err() || self.enter_software(Reason::Unsupported).is_err() {
                return Z_MEM_ERROR;
            }
        }
        let Mode::Software(engine) = &mut self.mode else { return Z_STREAM_ERROR };
        engine.prime(bits, value)
    }

    /// `deflateTune`: the engine's; the device has no such knobs.
    pub(crate) fn tune(&mut self, tune: [c_int; 4]) -> c_int {
        self.tune = Some(tune);
        match &mut self.mode {
            Mode::Software(engine) => engine.tune(tune),
            _ => Z_OK,
        }
    }

    /// `deflateBound`: zlib's own number, which every path here keeps.
    pub(crate) fn bound(&self, len_bytes: usize) -> usize {
        let wrapper_len = match self.parameters.wrapper {
            Wrapper::Raw => 0,
            Wrapper::Zlib if self.has_dictionary => 10,
            Wrapper::Zlib => 6,
            Wrapper::Gzip => 18 + self.header.as_ref().map_or(0, wrapper::gzip_header_extra_len),
        };
        crate::bound::of_stream(len_bytes, self.parameters.settings, wrapper_len)
    }

    /// `deflateCopy`: an independent stream in the same state.
    pub(crate) fn copy(&mut self) -> Result<Self, OutOfMemory>
    where
        A: Clone,
    {
        let mode = match &mut self.mode {
            Mode::Undecided => Mode::Undecided,
            Mode::Hardware => Mode::Hardware,
            Mode::Resting => Mode::Resting,
            Mode::Software(engine) => Mode::Software(engine.copy()?),
        };
        Ok(Self {
            accelerator: self.accelerator.clone(),
            mode,
            fifo: copied(&self.fifo)?,
            window: copied(&self.window)?,
            pending: self.pending.copy()?,
            tally: self.tally.continued(),
            ..*self
        })
    }
}
