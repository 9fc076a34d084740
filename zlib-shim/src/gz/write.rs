//! Writing: small pieces gather, a deflate stream takes them, its output goes to the file.

use std::ffi::c_int;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::mem::MaybeUninit;

use super::{FORMAT_BYTES, Failure, GzFile, Mode, Side};
use crate::abi::io::Io;
use crate::abi::next::OutOfMemory;
use crate::abi::own::{try_box, zeroed};
use crate::abi::{
    Z_BUF_ERROR, Z_DEFLATED, Z_FINISH, Z_MEM_ERROR, Z_NO_FLUSH, Z_OK, Z_STREAM_END, Z_STREAM_ERROR,
};
use crate::accelerator::Core;
use crate::deflate::{Deflate, Parameters};

/// Deflate's `windowBits` for a gzip stream.
const GZIP_WINDOW_BITS: c_int = 31;
/// Zeros that a seek forward writes, at a time.
static ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// The writing side of a file.
pub(super) struct Writer {
    /// `T`: bytes go out as they are.
    transparent: bool,
    level: c_int,
    strategy: c_int,
    /// Small pieces, until there is a bufferful.
    plain: Vec<u8>,
    /// None before the first byte, and if the file is transparent.
    stream: Option<Box<Deflate<Core>>>,
    /// Compressed bytes not yet in the file: `output[output_at..output_end]`.
    output: Vec<u8>,
    output_at: usize,
    output_end: usize,
    /// A member was ended by a flush; the next begins with the next byte, if there is one.
    between_members: bool,
}

impl Writer {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            transparent: mode.transparent,
            level: mode.level,
            strategy: mode.strategy,
            plain: Vec::new(),
            stream: None,
            output: Vec::new(),
            output_at: 0,
            output_end: 0,
            between_members: false,
        }
    }

    /// No buffer is in use yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.plain.capacity() == 0 && self.output.is_empty()
    }

    pub(super) fn is_direct(&self) -> bool {
        self.transparent
    }

    pub(super) fn end(self) {
        if let Some(stream) = self.stream {
            let _ = stream.end();
        }
    }

    /// Writes the compressed bytes at hand to the file.
    fn send(&mut self, file: &mut File) -> Result<(), Failure> {
        while let Some(rest) =
            self.output.get(self.output_at..self.output_end).filter(|rest| !rest.is_empty())
        {
            self.output_at += write_some(file, rest)?;
        }
        Ok(())
    }

    /// Compresses all of `data` and then as `flush` says, into the file. Returns how many bytes were taken, which without
    /// an error is all of them.
    fn compress(
        &mut self,
        file: &mut File,
        data: &[u8],
        flush: c_int,
        buffer_len: usize,
    ) -> (usize, Result<(), Failure>) {
        let mut taken = 0;
        let result = self.try_compress(file, data, flush, buffer_len, &mut taken);
        (taken, result)
    }

    fn try_compress(
        &mut self,
        file: &mut File,
        data: &[u8],
        flush: c_int,
        buffer_len: usize,
        taken: &mut usize,
    ) -> Result<(), Failure> {
        if self.transparent {
            while let Some(rest) = data.get(*taken..).filter(|rest| !rest.is_empty()) {
                *taken += write_some(file, rest)?;
            }
            return Ok(());
        }
        self.send(file)?;
        if data.is_empty() && (self.between_members || flush == Z_NO_FLUSH) {
            return Ok(());
        }
        self.begin(buffer_len)?;
        loop {
            let rest = data.get(*taken..).unwrap_or_default();
            let Some(stream) = &mut self.stream else { return Err(Failure::no_memory()) };
            let mut io = Io::from_slices(rest, &mut self.output);
            let code = stream.deflate(&mut io, flush);
            let (left_in, left_out) = (io.avail_in(), io.avail_out());
            *taken += rest.len() - left_in;
            self.output_at = 0;
            self.output_end = self.output.len() - left_out;
            match code {
                Z_STREAM_ERROR => {
                    return Err(Failure::new(Z_STREAM_ERROR, c"internal error: deflate stream corrupt"));
                }
                Z_MEM_ERROR => return Err(Failure::no_memory()),
                _ => {}
            }
            self.send(file)?;
            let done = if flush == Z_FINISH { code == Z_STREAM_END } else { left_in == 0 && left_out != 0 };
            if done {
                self.between_members = flush == Z_FINISH;
                return Ok(());
            }
        }
    }

    /// The stream, ready for the next byte.
    fn begin(&mut self, buffer_len: usize) -> Result<(), Failure> {
        if self.output.is_empty() {
            self.output = zeroed(buffer_len).map_err(|OutOfMemory| Failure::no_memory())?;
        }
        match &mut self.stream {
            Some(stream) if self.between_members => stream.reset(),
            Some(_) => {}
            None => {
                let parameters = Parameters::new(self.level, Z_DEFLATED, GZIP_WINDOW_BITS, 8, self.strategy);
                let parameters = parameters
                    .ok_or_else(|| Failure::new(Z_STREAM_ERROR, c"internal error: deflate stream corrupt"))?;
                let stream = try_box(Deflate::new(Core, parameters));
                self.stream = Some(stream.map_err(|OutOfMemory| Failure::no_memory())?);
            }
        }
        self.between_members = false;
        Ok(())
    }

    /// Compresses what gathered.
    fn compress_gathered(&mut self, file: &mut File, flush: c_int, buffer_len: usize) -> Result<(), Failure> {
        let mut plain = std::mem::take(&mut self.plain);
        let (taken, result) = self.compress(file, &plain, flush, buffer_len);
        plain.drain(..taken);
        self.plain = plain;
        result
    }

    /// Takes `data`. Returns how many bytes, as [`compress`](Self::compress).
    fn write(&mut self, file: &mut File, data: &[u8], buffer_len: usize) -> (usize, Result<(), Failure>) {
        if self.plain.len() + data.len() < buffer_len {
            if self.plain.capacity() == 0 && self.plain.try_reserve_exact(buffer_len).is_err() {
                return (0, Err(Failure::no_memory()));
            }
            self.plain.extend_from_slice(data);
            return (data.len(), Ok(()));
        }
        match self.compress_gathered(file, Z_NO_FLUSH, buffer_len) {
            Ok(()) if data.len() < buffer_len => {
                self.plain.extend_from_slice(data);
                (data.len(), Ok(()))
            }
            Ok(()) => self.compress(file, data, Z_NO_FLUSH, buffer_len),
            Err(failure) => (0, Err(failure)),
        }
    }

    fn set_parameters(
        &mut self,
        file: &mut File,
        level: c_int,
        strategy: c_int,
        buffer_len: usize,
    ) -> Result<c_int, Failure> {
        self.compress_gathered(file, Z_NO_FLUSH, buffer_len)?;
        if let Some(stream) = self.stream.as_mut().filter(|_| !self.between_members) {
            loop {
                let mut io = Io::from_slices(&[], &mut self.output);
                let code = stream.set_params(&mut io, level, strategy);
                let left_out = io.avail_out();
                self.output_at = 0;
                self.output_end = self.output.len() - left_out;
                while let Some(rest) =
                    self.output.get(self.output_at..self.output_end).filter(|rest| !rest.is_empty())
                {
                    self.output_at += write_some(file, rest)?;
                }
                match code {
                    Z_OK => break,
                    Z_BUF_ERROR if left_out != self.output.len() => {}
                    Z_MEM_ERROR => return Err(Failure::no_memory()),
                    code => return Ok(code),
                }
            }
        } else {
            // The next stream is made with the new ones.
            self.stream = None;
        }
        self.level = level;
        self.strategy = strategy;
        Ok(Z_OK)
    }
}

/// One write(2).
fn write_some(file: &mut File, bytes: &[u8]) -> Result<usize, Failure> {
    match file.write(bytes) {
        Ok(0) => Err(Failure::of_file(&ErrorKind::WriteZero.into())),
        Ok(len) => Ok(len),
        Err(error) => Err(Failure::of_file(&error)),
    }
}

impl GzFile {
    /// May the next write run? A stall is forgotten, anything worse stays.
    pub(crate) fn may_write(&mut self) -> bool {
        if self.reads() || !self.is_usable() {
            return false;
        }
        self.clear_error();
        true
    }

    /// Writes `data`; returns how many bytes were taken. Fewer than given: an error, which is recorded.
    pub(crate) fn write(&mut self, data: &[u8]) -> usize {
        if data.is_empty() {
            return 0;
        }
        let (taken, result) = match self.do_zeros() {
            Ok(()) => self.write_through(data),
            Err(failure) => (0, Err(failure)),
        };
        match result {
            Ok(()) => taken,
            Err(failure) => {
                // Bytes taken before a stall are on their way; after any other error nobody knows.
                let kept = if failure.is_stall() { taken } else { 0 };
                self.fail(failure);
                kept
            }
        }
    }

    fn write_through(&mut self, data: &[u8]) -> (usize, Result<(), Failure>) {
        let buffer_len = self.buffer_len();
        let Side::Writer(writer) = &mut self.side else { return (0, Ok(())) };
        let (taken, result) = writer.write(&mut self.file, data, buffer_len);
        self.position += taken as i64;
        (taken, result)
    }

    /// Does a seek that waits: writes zeros.
    fn do_zeros(&mut self) -> Result<(), Failure> {
        while self.skip > 0 {
            let len = usize::try_from(self.skip).unwrap_or(usize::MAX).min(ZEROS.len());
            let (taken, result) = self.write_through(ZEROS.get(..len).unwrap_or_default());
            self.skip -= taken as i64;
            result?;
        }
        Ok(())
    }

    fn try_flush(&mut self, flush: c_int) -> Result<(), Failure> {
        self.do_zeros()?;
        let buffer_len = self.buffer_len();
        let Side::Writer(writer) = &mut self.side else { return Ok(()) };
        writer.compress_gathered(&mut self.file, flush, buffer_len)
    }

    /// `gzflush`; `flush` is 0..=4.
    pub(crate) fn flush(&mut self, flush: c_int) -> c_int {
        match self.try_flush(flush) {
            Ok(()) => Z_OK,
            Err(failure) => self.fail(failure),
        }
    }

    /// The end of the last member.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.try_flush(Z_FINISH)
    }

    /// `gzsetparams`.
    pub(crate) fn set_parameters(&mut self, level: c_int, strategy: c_int) -> c_int {
        let buffer_len = self.buffer_len();
        let zeros = self.do_zeros();
        let Side::Writer(writer) = &mut self.side else { return Z_STREAM_ERROR };
        if writer.transparent {
            return Z_STREAM_ERROR;
        }
        if (writer.level, writer.strategy) == (level, strategy) {
            return Z_OK;
        }
        let result = zeros.and_then(|()| writer.set_parameters(&mut self.file, level, strategy, buffer_len));
        match result {
            Ok(code) => code,
            Err(failure) => self.fail(failure),
        }
    }

    /// Room for `gzprintf`, terminating NUL included. `None`: an error, which is recorded.
    pub(crate) fn format_room(&mut self) -> Option<&mut [MaybeUninit<u8>]> {
        let len = self.buffer_bytes.unwrap_or(FORMAT_BYTES);
        let mut prepared = self.do_zeros();
        let buffer_len = self.buffer_len();
        let Side::Writer(writer) = &mut self.side else { return None };
        if prepared.is_ok() && writer.plain.len() + len > buffer_len.max(len) {
            prepared = writer.compress_gathered(&mut self.file, Z_NO_FLUSH, buffer_len);
        }
        if prepared.is_ok() && writer.plain.try_reserve(len).is_err() {
            prepared = Err(Failure::no_memory());
        }
        if let Err(failure) = prepared {
            self.fail(failure);
            return None;
        }
        let Side::Writer(writer) = &mut self.side else { return None };
        // Not cleared: what is printed is seldom as long as the buffer.
        writer.plain.spare_capacity_mut().get_mut(..len)
    }

    /// `len` bytes of the last [`format_room`](Self::format_room) were written, and `grow` makes the buffer longer by so many; a
    /// negative or too large `len` means that they were not. Returns what `gzprintf` does.
    pub(crate) fn formatted(&mut self, len: c_int, grow: impl FnOnce(&mut Vec<u8>, usize)) -> c_int {
        let room = self.buffer_bytes.unwrap_or(FORMAT_BYTES);
        let Side::Writer(writer) = &mut self.side else { return Z_STREAM_ERROR };
        let kept = usize::try_from(len).ok().filter(|&len| len < room).unwrap_or(0);
        grow(&mut writer.plain, kept);
        self.position += kept as i64;
        c_int::try_from(kept).unwrap_or(0)
    }
}
