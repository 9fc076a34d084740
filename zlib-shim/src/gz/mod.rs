//! `gz*`: files that are written as gzip and read as gzip or as they are. Only in the drop-in form: under preload the
//! system's own `gz*` stay, and call our `deflate` and `inflate`.
//!
//! A [`GzFile`] is a [`Reader`] or a [`Writer`] over the shim's own streams, and what both share: position, a seek that
//! waits for the next operation, the last error. Behaviour is that of zlib 1.3.2, as zlib.h documents it.

mod mode;
mod read;
#[cfg(any(test, fuzzing))]
pub(crate) mod tests;
mod write;

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use mode::Access;
pub(crate) use mode::Mode;
use read::Reader;
use write::Writer;

use crate::abi::file::error_text;
use crate::abi::next::OutOfMemory;
use crate::abi::own::try_box;
use crate::abi::{Z_BUF_ERROR, Z_ERRNO, Z_MEM_ERROR, Z_OK};

/// Buffers where the caller does not choose: large enough for the device to be worth it.
const BUFFER_BYTES: usize = 128 << 10;
/// The limit of `gzprintf` where the caller chose no buffer (zlib.h).
const FORMAT_BYTES: usize = 8192;

/// Room for the C library's longest text of an error.
const ERROR_TEXT_BYTES: usize = 256;

/// Why an operation did not do all of its work.
#[derive(Debug)]
pub(crate) struct Failure {
    code: c_int,
    /// Of a failed file: see `errno`.
    text: &'static CStr,
    errno: Option<c_int>,
}

impl Failure {
    fn new(code: c_int, text: &'static CStr) -> Self {
        Self { code, text, errno: None }
    }

    fn no_memory() -> Self {
        Self::new(Z_MEM_ERROR, c"out of memory")
    }

    fn of_file(error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        Self { code: Z_ERRNO, text: c"", errno: Some(errno) }
    }

    /// What happened to the file `name`, in words, with a NUL.
    fn message(&self, name: &[u8]) -> Result<Vec<u8>, OutOfMemory> {
        let mut room = [0; ERROR_TEXT_BYTES];
        let text = self.errno.map_or(self.text, |errno| error_text(errno, &mut room));
        let parts = [name, b": ", text.to_bytes_with_nul()];
        let mut message = Vec::new();
        message.try_reserve_exact(parts.iter().map(|part| part.len()).sum()).map_err(|_| OutOfMemory)?;
        parts.iter().for_each(|part| message.extend_from_slice(part));
        Ok(message)
    }

    /// A descriptor in non-blocking mode had nothing to give or no room: the same call may work later.
    fn is_stall(&self) -> bool {
        self.errno.is_some_and(|errno| errno == libc::EAGAIN || errno == libc::EWOULDBLOCK)
    }
}

enum Side {
    Reader(Box<Reader>),
    Writer(Box<Writer>),
}

/// An open gz file.
pub(crate) struct GzFile {
    /// As messages name it.
    name: Vec<u8>,
    file: File,
    side: Side,
    /// Uncompressed bytes read or written so far.
    position: i64,
    /// Bytes to skip, or zeros to write, before the next operation: a seek not yet done.
    skip: i64,
    /// Bytes at hand that the `gzgetc` macro was told of.
    lent: usize,
    /// Set by `gzbuffer`.
    buffer_bytes: Option<usize>,
    error: Option<Failure>,
    /// What `gzerror` shows: file name and text, with a NUL.
    message: Vec<u8>,
    /// For the caller's `errno`, from this call.
    errno: Option<c_int>,
}

impl GzFile {
    /// All of a gz file but the file: memory comes first, so that nothing is opened, made or cut short where there is none.
    /// `name`: the path, or `<fd:N>`.
    pub(crate) fn prepare(name: Vec<u8>, mode: Mode) -> Result<impl FnOnce(File) -> Self, OutOfMemory> {
        let side = match mode.access {
            Access::Read => Side::Reader(try_box(Reader::new(mode.gzip_only))?),
            Access::Append | Access::Write => Side::Writer(try_box(Writer::new(mode))?),
        };
        Ok(move |file| Self::new(name, file, side, mode.access))
    }

    fn new(name: Vec<u8>, mut file: File, mut side: Side, access: Access) -> Self {
        match &mut side {
            Side::Reader(reader) => reader.begin_at(file.stream_position().unwrap_or(0)),
            // So that gzoffset counts from the file's beginning.
            Side::Writer(_) if access == Access::Append => _ = file.seek(SeekFrom::End(0)),
            Side::Writer(_) => {}
        }
        Self {
            name,
            file,
            side,
            position: 0,
            skip: 0,
            lent: 0,
            buffer_bytes: None,
            error: None,
            message: Vec::new(),
            errno: None,
        }
    }

    /// Decoded bytes that the `gzgetc` macro may take from directly: none while an error stands.
    pub(crate) fn lend_to_macro(&mut self) -> &mut [u8] {
        let limit = if self.is_usable() { u32::MAX as usize } else { 0 };
        self.lent = self.at_hand().len().min(limit);
        let lent = self.lent;
        self.at_hand().get_mut(..lent).unwrap_or_default()
    }

    /// Decoded bytes at hand.
    fn at_hand(&mut self) -> &mut [u8] {
        match &mut self.side {
            Side::Reader(reader) => reader.at_hand(),
            Side::Writer(_) => &mut [],
        }
    }

    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// The macro took some of what it was lent: all but `left` bytes.
    pub(crate) fn macro_left(&mut self, left: usize) {
        let taken = std::mem::take(&mut self.lent).saturating_sub(left);
        self.take(taken);
    }

    /// Marks decoded bytes as read.
    fn take(&mut self, len: usize) {
        if let Side::Reader(reader) = &mut self.side {
            reader.take(len);
            self.position += len as i64;
        }
    }

    /// `errno` for the caller, if this call has one to tell.
    pub(crate) fn take_errno(&mut self) -> Option<c_int> {
        self.errno.take()
    }

    pub(crate) fn reads(&self) -> bool {
        matches!(self.side, Side::Reader(_))
    }

    /// `gzbuffer`: -1 once buffers are in use.
    pub(crate) fn set_buffer(&mut self, len: usize) -> c_int {
        let fresh = match &self.side {
            Side::Reader(reader) => reader.is_fresh(),
            Side::Writer(writer) => writer.is_fresh(),
        };
        // Large pieces of a file that is written as it is pass no buffer. zlib doubles the size in 32 bits.
        if !fresh || self.position != 0 || len > u32::MAX as usize / 2 {
            return -1;
        }
        self.buffer_bytes = Some(len.max(8));
        0
    }

    fn buffer_len(&self) -> usize {
        self.buffer_bytes.unwrap_or(BUFFER_BYTES)
    }

    /// `gztell`.
    pub(crate) fn tell(&self) -> i64 {
        let past = matches!(&self.side, Side::Reader(reader) if reader.past);
        self.position + if past { 0 } else { self.skip }
    }

    /// `gzoffset`: bytes of the file itself that are behind us, or -1.
    pub(crate) fn offset(&mut self) -> i64 {
        let Ok(offset) = self.file.stream_position() else { return -1 };
        let ahead = match &self.side {
            Side::Reader(reader) => reader.unread_len(),
            Side::Writer(_) => 0,
        };
        offset as i64 - ahead as i64
    }

    /// `gzeof`: a read asked for more than there was.
    pub(crate) fn is_past_end(&self) -> bool {
        matches!(&self.side, Side::Reader(reader) if reader.past)
    }

    /// `gzdirect`.
    pub(crate) fn is_direct(&mut self) -> bool {
        let len = self.buffer_len();
        match &mut self.side {
            Side::Reader(reader) => {
                if let Err(failure) = reader.look(&mut self.file, len) {
                    self.fail(failure);
                }
                self.reader().is_some_and(|reader| reader.is_direct())
            }
            Side::Writer(writer) => writer.is_direct(),
        }
    }

    fn reader(&mut self) -> Option<&mut Reader> {
        match &mut self.side {
            Side::Reader(reader) => Some(reader),
            Side::Writer(_) => None,
        }
    }

    /// `gzrewind`.
    pub(crate) fn rewind(&mut self) -> c_int {
        if !self.is_usable() {
            return -1;
        }
        let Side::Reader(reader) = &mut self.side else { return -1 };
        if self.file.seek(SeekFrom::Start(reader.start())).is_err() {
            return -1;
        }
        reader.begin_anew();
        self.position = 0;
        self.skip = 0;
        self.clear_error();
        0
    }

    /// `gzseek`; `relative` to the position, else to the beginning. The new position, or -1.
    pub(crate) fn seek(&mut self, offset: i64, relative: bool) -> i64 {
        if !self.is_usable() {
            return -1;
        }
        let target = if relative { self.tell().checked_add(offset) } else { Some(offset) };
        // As in zlib, a seek that fails forgets the one that waits.
        self.skip = 0;
        let Some(target) = target.filter(|&target| target >= 0) else { return -1 };
        let distance = target - self.position;
        if let Side::Reader(reader) = &mut self.side {
            // A file that is read as it is can be sought itself, if it is a file.
            if reader.copies() {
                let ahead = (reader.at_hand().len() + reader.unread_len()) as i64;
                if self.file.seek(SeekFrom::Current(distance - ahead)).is_err() {
                    return -1;
                }
                reader.forget_buffers();
                self.position = target;
                self.clear_error();
                return target;
            }
        }
        if distance < 0 && (!self.reads() || self.rewind() != 0) {
            return -1;
        }
        let at_hand = self.at_hand().len() as i64;
        let step = (target - self.position).min(at_hand);
        self.take(usize::try_from(step).unwrap_or(0));
        self.skip = target - self.position;
        target
    }

    /// Nothing has failed but for an end of file that came too soon.
    fn is_usable(&self) -> bool {
        self.error.as_ref().is_none_or(|error| error.code == Z_BUF_ERROR || error.is_stall())
    }

    /// Records why the call did not succeed; what `gzerror` shows from now on.
    pub(crate) fn fail(&mut self, failure: Failure) -> c_int {
        self.errno = failure.errno;
        // As in zlib, what there is no memory to say is said to be out of memory.
        let (failure, message) = match failure.message(&self.name) {
            Ok(message) => (failure, message),
            Err(OutOfMemory) => (Failure::no_memory(), Vec::new()),
        };
        let code = failure.code;
        (self.error, self.message) = (Some(failure), message);
        code
    }

    /// As [`fail`](Self::fail), for a wrong argument.
    pub(crate) fn refuse(&mut self, code: c_int, text: &'static CStr) {
        self.fail(Failure::new(code, text));
    }

    fn clear_error(&mut self) {
        self.error = None;
        self.message = Vec::new();
    }

    /// `gzerror`. The text lives until the next call.
    pub(crate) fn error(&self) -> (c_int, &CStr) {
        match &self.error {
            None => (Z_OK, c""),
            Some(error) if error.code == Z_MEM_ERROR => (Z_MEM_ERROR, error.text),
            Some(error) => (error.code, CStr::from_bytes_with_nul(&self.message).unwrap_or_default()),
        }
    }

    /// `gzclearerr`.
    pub(crate) fn clear(&mut self) {
        if let Side::Reader(reader) = &mut self.side {
            reader.eof = false;
            reader.past = false;
        }
        self.clear_error();
    }

    /// `gzclose_r` and `gzclose_w`; the caller has checked which. Returns the code and `errno`.
    pub(crate) fn close(mut self) -> (c_int, Option<c_int>) {
        let mut code = Z_OK;
        match self.side {
            Side::Reader(_) => {
                if self.error.as_ref().is_some_and(|error| error.code == Z_BUF_ERROR) {
                    code = Z_BUF_ERROR;
                }
            }
            Side::Writer(_) => {
                if let Err(failure) = self.finish() {
                    code = self.fail(failure);
                }
            }
        }
        match self.side {
            Side::Reader(reader) => reader.end(),
            Side::Writer(writer) => writer.end(),
        }
        match crate::abi::file::close(self.file) {
            Ok(()) => (code, self.errno),
            Err(error) => (Z_ERRNO, error.raw_os_error()),
        }
    }
}
