//! Reading: gzip members one after another, or the bytes as they are.

use std::ffi::c_int;
use std::fs::File;
use std::io::Read;

use super::{Failure, GzFile, Side};
use crate::abi::io::Io;
use crate::abi::next::OutOfMemory;
use crate::abi::own::zeroed;
use crate::abi::{Z_BUF_ERROR, Z_DATA_ERROR, Z_MEM_ERROR, Z_NO_FLUSH, Z_OK, Z_STREAM_END, Z_STREAM_ERROR};
use crate::inflate::Inflate;

/// Inflate's `windowBits` for a gzip stream.
const GZIP_WINDOW_BITS: c_int = 31;
/// Bytes that tell a gzip stream from anything else (RFC 1952 §2.3.1): magic, method, no reserved flag.
const HEADER_START_BYTES: usize = 4;
const MAGIC: [u8; 2] = [0x1f, 0x8b];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before the first byte: gzip or not?
    Start,
    /// After a member: another one, or the end.
    BetweenMembers,
    Member,
    /// No gzip stream: bytes as they are, to the end.
    Copy,
}

/// The reading side of a file.
pub(super) struct Reader {
    /// Where in the file the first byte was.
    start: u64,
    gzip_only: bool,
    stage: Stage,
    inflate: Inflate,
    /// Bytes of the file not yet decoded: `input[input_at..input_end]`.
    input: Vec<u8>,
    input_at: usize,
    input_end: usize,
    /// Bytes decoded and not yet read: `output[output_at..output_end]`.
    output: Vec<u8>,
    output_at: usize,
    output_end: usize,
    /// The file has no more bytes.
    pub(super) eof: bool,
    /// A read asked for more than there was.
    pub(super) past: bool,
    /// Found behind bytes that come first.
    deferred: Option<Failure>,
}

impl Reader {
    pub(super) fn new(gzip_only: bool) -> Self {
        Self {
            start: 0,
            gzip_only,
            stage: Stage::Start,
            inflate: Inflate::new(GZIP_WINDOW_BITS),
            input: Vec::new(),
            input_at: 0,
            input_end: 0,
            output: Vec::new(),
            output_at: 0,
            output_end: 0,
            eof: false,
            past: false,
            deferred: None,
        }
    }

    /// Where in the file the first byte is.
    pub(super) fn begin_at(&mut self, start: u64) {
        self.start = start;
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// No buffer is in use yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }

    pub(super) fn at_hand(&mut self) -> &mut [u8] {
        self.output.get_mut(self.output_at..self.output_end).unwrap_or_default()
    }

    fn at_hand_len(&self) -> usize {
        self.output_end - self.output_at
    }

    pub(super) fn take(&mut self, len: usize) {
        self.output_at += len.min(self.at_hand_len());
    }

    pub(super) fn unread_len(&self) -> usize {
        self.input_end - self.input_at
    }

    fn unread(&self) -> &[u8] {
        self.input.get(self.input_at..self.input_end).unwrap_or_default()
    }

    pub(super) fn copies(&self) -> bool {
        self.stage == Stage::Copy
    }

    /// Bytes as they are, and their end was met: it stays the end, whatever is appended, until gzclearerr or a seek. (As in
    /// zlib not for gzgets, which looks again.)
    fn is_at_end(&self) -> bool {
        self.copies() && self.eof && self.unread_len() == 0
    }

    pub(super) fn is_direct(&self) -> bool {
        match self.stage {
            Stage::Start => !self.gzip_only,
            Stage::Copy => true,
            Stage::Member | Stage::BetweenMembers => false,
        }
    }

    pub(super) fn forget_buffers(&mut self) {
        self.input_at = 0;
        self.input_end = 0;
        self.output_at = 0;
        self.output_end = 0;
        self.eof = false;
        self.past = false;
        self.deferred = None;
    }

    pub(super) fn begin_anew(&mut self) {
        self.forget_buffers();
        self.stage = Stage::Start;
    }

    pub(super) fn end(self) {
        self.inflate.end();
    }

    /// Reads from the file until `least` bytes are unread or there are no more. One read(2) where that is enough, so that
    /// a pipe's reader sees what is there.
    fn fill(&mut self, file: &mut File, least: usize, buffer_len: usize) -> Result<(), Failure> {
        while self.unread_len() < least && !self.eof {
            let room = buffer_len.max(least);
            if self.input.len() < room {
                // Once; so that a large buffer costs no more than what comes to lie in it.
                let mut input = zeroed(room).map_err(|OutOfMemory| Failure::no_memory())?;
                if let Some(front) = input.get_mut(..self.unread_len()) {
                    front.copy_from_slice(self.unread());
                }
                self.input = input;
            } else {
                self.input.copy_within(self.input_at..self.input_end, 0);
            }
            self.input_end -= self.input_at;
            self.input_at = 0;
            let read = file.read(self.input.get_mut(self.input_end..).unwrap_or_default());
            let read = read.map_err(|error| Failure::of_file(&error))?;
            self.input_end += read;
            self.eof = read == 0;
        }
        Ok(())
    }

    /// Finds out what follows, if that is not known: a member, bytes as they are, or nothing.
    pub(super) fn look(&mut self, file: &mut File, buffer_len: usize) -> Result<(), Failure> {
        match self.stage {
            Stage::Start => {
                self.fill(file, HEADER_START_BYTES, buffer_len)?;
                let gzip = matches!(self.unread(), [0x1f, 0x8b, 8, flags, ..] if *flags < 32);
                if self.unread_len() != 0 {
                    self.inflate.reset();
                    self.stage = if gzip || self.gzip_only { Stage::Member } else { Stage::Copy };
                }
            }
            Stage::BetweenMembers => {
                self.fill(file, MAGIC.len(), buffer_len)?;
                if self.unread().starts_with(&MAGIC) {
                    self.inflate.reset();
                    self.stage = Stage::Member;
                } else {
                    // Padding and other garbage behind the last member: ignored.
                    self.input_at = 0;
                    self.input_end = 0;
                    self.eof = true;
                }
            }
            Stage::Member | Stage::Copy => {}
        }
        Ok(())
    }

    /// Decodes into `target`. 0: nothing more to come.
    fn produce(&mut self, file: &mut File, target: &mut [u8], buffer_len: usize) -> Result<usize, Failure> {
        if let Some(failure) = self.deferred.take() {
            return Err(failure);
        }
        loop {
            match self.stage {
                Stage::Start | Stage::BetweenMembers => {
                    self.look(file, buffer_len)?;
                    if matches!(self.stage, Stage::Start | Stage::BetweenMembers) {
                        return Ok(0);
                    }
                }
                Stage::Copy => {
                    let len = self.unread_len().min(target.len());
                    if len == 0 {
                        let read = file.read(target).map_err(|error| Failure::of_file(&error))?;
                        self.eof = read == 0;
                        return Ok(read);
                    }
                    let (to, from) = (target.get_mut(..len), self.unread().get(..len));
                    if let (Some(to), Some(from)) = (to, from) {
                        to.copy_from_slice(from);
                    }
                    self.input_at += len;
                    return Ok(len);
                }
                Stage::Member => {
                    self.fill(file, 1, buffer_len)?;
                    if self.unread_len() == 0 {
                        return Err(Failure::new(Z_BUF_ERROR, c"unexpected end of file"));
                    }
                    let produced = self.decode(target)?;
                    if produced != 0 {
                        return Ok(produced);
                    }
                }
            }
        }
    }

    /// One call of `inflate` on the unread bytes.
    fn decode(&mut self, target: &mut [u8]) -> Result<usize, Failure> {
        let room = target.len();
        let mut io =
            Io::from_slices(self.input.get(self.input_at..self.input_end).unwrap_or_default(), target);
        let code = self.inflate.inflate(&mut io, Z_NO_FLUSH).code;
        let (left_in, left_out) = (io.avail_in(), io.avail_out());
        self.input_at = self.input_end - left_in;
        let failure = match code {
            Z_OK | Z_BUF_ERROR => None,
            Z_STREAM_END => {
                self.stage = Stage::BetweenMembers;
                None
            }
            Z_DATA_ERROR => {
                let text = self.inflate.message().unwrap_or(c"compressed data error");
                Some(Failure::new(Z_DATA_ERROR, text))
            }
            Z_MEM_ERROR => Some(Failure::no_memory()),
            _ => Some(Failure::new(Z_STREAM_ERROR, c"internal error: inflate stream corrupt")),
        };
        match failure {
            Some(failure) if left_out == room => Err(failure),
            found => {
                self.deferred = found;
                Ok(room - left_out)
            }
        }
    }

    /// Decodes into the own buffer, which must be empty.
    fn refill(&mut self, file: &mut File, buffer_len: usize) -> Result<usize, Failure> {
        let mut output = std::mem::take(&mut self.output);
        // zlib's output buffer is twice as long as its input buffer; gzungetc counts on it.
        let len = 2 * buffer_len;
        if output.len() < len {
            // Once, as the input buffer.
            output = zeroed(len).unwrap_or_default();
        }
        let made = match output.get_mut(..len) {
            Some(target) => self.produce(file, target, buffer_len),
            None => Err(Failure::no_memory()),
        };
        self.output = output;
        self.output_at = 0;
        self.output_end = *made.as_ref().unwrap_or(&0);
        made
    }

    /// Puts a byte in front of what is at hand. False: no room. There is room for at least one byte in front of a full
    /// buffer, and for a bufferful in front of nothing.
    fn push_back(&mut self, byte: u8, buffer_len: usize) -> bool {
        if self.output_at == 0 {
            let held = self.at_hand_len();
            let len = 4 * buffer_len;
            if held >= len {
                return false;
            }
            if self.output.len() < len {
                let Ok(mut output) = zeroed(len) else { return false };
                if let Some(end) = output.get_mut(len - held..) {
                    end.copy_from_slice(self.at_hand());
                }
                self.output = output;
            } else {
                self.output.copy_within(..held, len - held);
            }
            self.output_at = len - held;
            self.output_end = len;
        }
        self.output_at -= 1;
        if let Some(place) = self.output.get_mut(self.output_at) {
            *place = byte;
        }
        self.past = false;
        true
    }
}

impl GzFile {
    /// May the next read run? A stall is forgotten, anything worse stays.
    pub(crate) fn may_read(&mut self) -> bool {
        if !self.reads() || !self.is_usable() {
            return false;
        }
        self.clear_error();
        true
    }

    /// Reads into `target`. Fewer bytes than asked for: the end, or an error, which is then recorded.
    pub(crate) fn read(&mut self, target: &mut [u8]) -> usize {
        match self.try_read(target) {
            (done, None) => done,
            (done, Some(failure)) => {
                self.fail(failure);
                done
            }
        }
    }

    fn try_read(&mut self, target: &mut [u8]) -> (usize, Option<Failure>) {
        if target.is_empty() {
            return (0, None);
        }
        if let Err(failure) = self.do_skip() {
            return (0, Some(failure));
        }
        let buffer_len = self.buffer_len();
        let mut done = 0;
        while let Some(rest) = target.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Side::Reader(reader) = &mut self.side else { break };
            let held = reader.at_hand_len();
            if held != 0 {
                let len = held.min(rest.len());
                if let (Some(to), Some(from)) = (rest.get_mut(..len), reader.at_hand().get(..len)) {
                    to.copy_from_slice(from);
                }
                self.take(len);
                done += len;
                continue;
            }
            if reader.is_at_end() {
                reader.past = true;
                break;
            }
            // Large reads are decoded into the caller's own memory.
            let direct = rest.len() >= 2 * buffer_len;
            let made = if direct {
                reader.produce(&mut self.file, rest, buffer_len)
            } else {
                reader.refill(&mut self.file, buffer_len)
            };
            match made {
                Ok(0) => {
                    reader.past = true;
                    break;
                }
                Ok(len) if direct => {
                    self.position += len as i64;
                    done += len;
                }
                Ok(_) => {}
                Err(failure) => {
                    reader.past |= failure.code == Z_BUF_ERROR;
                    return (done, Some(failure));
                }
            }
        }
        (done, None)
    }

    /// Does a seek that waits: reads and forgets.
    pub(crate) fn do_skip(&mut self) -> Result<(), Failure> {
        let buffer_len = self.buffer_len();
        while self.skip > 0 {
            let Side::Reader(reader) = &mut self.side else { return Ok(()) };
            let held = reader.at_hand_len();
            if held == 0 {
                if reader.is_at_end() || reader.refill(&mut self.file, buffer_len)? == 0 {
                    break;
                }
                continue;
            }
            let len = held.min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= len as i64;
            self.take(len);
        }
        self.skip = 0;
        Ok(())
    }

    /// `gzgets`: a line, its newline included, and a NUL. `None`: nothing was there.
    pub(crate) fn read_line(&mut self, target: &mut [u8]) -> Option<usize> {
        let limit = target.len().checked_sub(1)?;
        let mut done = 0;
        let mut failure = self.do_skip().err();
        while done < limit && failure.is_none() {
            let buffer_len = self.buffer_len();
            let Side::Reader(reader) = &mut self.side else { break };
            if reader.at_hand_len() == 0 {
                match reader.refill(&mut self.file, buffer_len) {
                    Ok(0) => {
                        reader.past = true;
                        break;
                    }
                    Ok(_) => {}
                    Err(found) => {
                        reader.past |= found.code == Z_BUF_ERROR;
                        failure = Some(found);
                    }
                }
                continue;
            }
            let held = reader.at_hand();
            let held = held.get(..held.len().min(limit - done)).unwrap_or_default();
            let newline = held.iter().position(|&byte| byte == b'\n');
            let len = newline.map_or(held.len(), |at| at + 1);
            if let (Some(to), Some(from)) = (target.get_mut(done..done + len), held.get(..len)) {
                to.copy_from_slice(from);
            }
            done += len;
            self.take(len);
            if newline.is_some() {
                break;
            }
        }
        if let Some(failure) = failure {
            self.fail(failure);
        }
        if done == 0 {
            return None;
        }
        *target.get_mut(done)? = 0;
        Some(done)
    }

    /// `gzungetc`. Negative: only a waiting seek is done.
    pub(crate) fn push_back(&mut self, byte: c_int) -> c_int {
        let buffer_len = self.buffer_len();
        // In case this is the first call: what the file is must not depend on what is pushed back.
        if let Side::Reader(reader) = &mut self.side {
            if reader.at_hand_len() == 0 {
                let _ = reader.look(&mut self.file, buffer_len).map_err(|failure| self.fail(failure));
            }
        }
        if !self.is_usable() {
            return -1;
        }
        if let Err(failure) = self.do_skip() {
            self.fail(failure);
            return -1;
        }
        let Ok(value) = u32::try_from(byte) else { return -1 };
        let Side::Reader(reader) = &mut self.side else { return -1 };
        #[expect(clippy::cast_possible_truncation, reason = "a character in an int, as in C")]
        if !reader.push_back(value as u8, buffer_len) {
            self.fail(Failure::new(Z_DATA_ERROR, c"out of room to push characters"));
            return -1;
        }
        self.position -= 1;
        byte
    }
}
