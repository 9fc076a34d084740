//! `gz*`, for the drop-in form only.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{self, Write};
use std::mem::offset_of;

use super::guard::{guard, set_errno, silence_panics};
use crate::abi::file::{adopt, open};
use crate::abi::next::OutOfMemory;
use crate::abi::own::{copied, try_box};
use crate::abi::{Z_BUF_ERROR, Z_DATA_ERROR, Z_FINISH, Z_NO_FLUSH, Z_OK, Z_STREAM_ERROR};
use crate::gz::{GzFile, Mode};

/// "warpd gz": tells our files from another zlib's in the same process, which has small integers here.
const MAGIC: u64 = u64::from_le_bytes(*b"warpd gz");

/// What `gzFile` points to. The first three fields are zlib's: the `gzgetc` macro of zlib.h takes bytes through them.
#[repr(C)]
#[derive(Debug)]
pub struct gzFile_s {
    have: c_uint,
    next: *mut u8,
    pos: i64,
    magic: u64,
    file: *mut c_void,
}

const _: () = {
    assert!(offset_of!(gzFile_s, have) == 0);
    assert!(offset_of!(gzFile_s, next) == 8);
    assert!(offset_of!(gzFile_s, pos) == 16);
};

/// # Safety
/// `handle` is NULL or an open gzFile of some zlib.
unsafe fn is_ours(handle: *mut gzFile_s) -> bool {
    // SAFETY: every zlib's state behind a gzFile is longer than the words looked at.
    !handle.is_null() && handle.is_aligned() && unsafe { (*handle).magic } == MAGIC
}

/// Runs `call` on the file behind `handle`, or returns `refused` when there is none. `errno` is the file's word or as it
/// was.
///
/// # Safety
/// As zlib demands: `handle` is NULL or an open gzFile, used by one thread at a time.
unsafe fn with<R>(handle: *mut gzFile_s, refused: R, call: impl FnOnce(&mut GzFile) -> R) -> R
where
    R: Copy,
{
    let mut errno = None;
    let result = guard(refused, || {
        // SAFETY: passed on from the caller.
        if !unsafe { is_ours(handle) } {
            return refused;
        }
        // SAFETY: ours, and this thread's during the call.
        let prefix = unsafe { &mut *handle };
        // SAFETY: from Box::into_raw in `hand_over`, freed only by `close`; another object than the prefix.
        let Some(file) = (unsafe { &mut *prefix.file.cast::<Option<GzFile>>() }) else { return refused };
        file.macro_left(prefix.have as usize);
        let result = call(file);
        prefix.pos = file.position();
        // gzbuffer's limit keeps it within 32 bits.
        let lent = file.lend_to_macro();
        prefix.have = lent.len() as c_uint;
        prefix.next = lent.as_mut_ptr();
        errno = file.take_errno();
        result
    });
    if let Some(errno) = errno {
        set_errno(errno);
    }
    result
}

/// Why there is no file: out of memory, or what opening it said.
enum Refused {
    OutOfMemory,
    File(io::Error),
}

impl From<OutOfMemory> for Refused {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// Opens a file and hands it to the caller; memory comes first, so without any nothing is opened.
fn hand_over(
    name: Vec<u8>,
    mode: Mode,
    open: impl FnOnce() -> io::Result<File>,
) -> Result<*mut gzFile_s, Refused> {
    let prepared = GzFile::prepare(name, mode)?;
    let mut file = try_box(None)?;
    let handle =
        gzFile_s { have: 0, next: std::ptr::null_mut(), pos: 0, magic: MAGIC, file: std::ptr::null_mut() };
    let mut handle = try_box(handle)?;
    *file = Some(prepared(open().map_err(Refused::File)?));
    handle.file = Box::into_raw(file).cast();
    Ok(Box::into_raw(handle))
}

/// # Safety
/// `path` and `mode` are NULL or C strings.
unsafe fn open_path(path: *const c_char, mode: *const c_char) -> *mut gzFile_s {
    let mut errno = None;
    let handle = guard(std::ptr::null_mut(), || {
        silence_panics();
        if path.is_null() || mode.is_null() {
            return std::ptr::null_mut();
        }
        // SAFETY: not NULL, so C strings.
        let (path, mode) = unsafe { (CStr::from_ptr(path), CStr::from_ptr(mode)) };
        let Some(mode) = Mode::parse(mode.to_bytes()) else { return std::ptr::null_mut() };
        let Ok(name) = copied(path.to_bytes()) else { return std::ptr::null_mut() };
        hand_over(name, mode, || open(path, mode.open_flags())).unwrap_or_else(|refused| {
            if let Refused::File(error) = refused {
                errno = error.raw_os_error();
            }
            std::ptr::null_mut()
        })
    });
    if let Some(errno) = errno {
        set_errno(errno);
    }
    handle
}

/// zlib.h, gzopen.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzopen(path: *const c_char, mode: *const c_char) -> *mut gzFile_s {
    // SAFETY: the caller's promise, passed on.
    unsafe { open_path(path, mode) }
}

/// zlib.h, gzopen64: files have 64-bit offsets either way.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzopen64(path: *const c_char, mode: *const c_char) -> *mut gzFile_s {
    // SAFETY: the caller's promise, passed on.
    unsafe { open_path(path, mode) }
}

/// zlib.h, gzdopen.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzdopen(fd: c_int, mode: *const c_char) -> *mut gzFile_s {
    guard(std::ptr::null_mut(), || {
        silence_panics();
        if fd < 0 || mode.is_null() {
            return std::ptr::null_mut();
        }
        // SAFETY: not NULL, so a C string.
        let mode = unsafe { CStr::from_ptr(mode) };
        let Some(mode) = Mode::parse(mode.to_bytes()) else { return std::ptr::null_mut() };
        /// More than any descriptor's name has.
        const NAME_BYTES: usize = 32;
        let mut name = Vec::new();
        if name.try_reserve_exact(NAME_BYTES).is_err() || write!(name, "<fd:{fd}>").is_err() {
            return std::ptr::null_mut();
        }
        // SAFETY: not negative, and the file's from now on (zlib.h, gzdopen).
        let adopted = || Ok(unsafe { adopt(fd, mode.open_flags()) });
        // Without memory the descriptor stays the caller's.
        hand_over(name, mode, adopted).unwrap_or(std::ptr::null_mut())
    })
}

/// zlib.h, gzbuffer.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzbuffer(file: *mut gzFile_s, size: c_uint) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, |file| file.set_buffer(size as usize)) }
}

/// zlib.h, gzsetparams.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzsetparams(file: *mut gzFile_s, level: c_int, strategy: c_int) -> c_int {
    let set = |file: &mut GzFile| {
        if file.may_write() { file.set_parameters(level, strategy) } else { Z_STREAM_ERROR }
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, Z_STREAM_ERROR, set) }
}

/// zlib.h, gzread.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzread(file: *mut gzFile_s, buf: *mut c_void, len: c_uint) -> c_int {
    let read = |file: &mut GzFile| {
        if !file.may_read() {
            return -1;
        }
        let Ok(_) = c_int::try_from(len) else {
            file.refuse(Z_STREAM_ERROR, c"request does not fit in an int");
            return -1;
        };
        // SAFETY: writable for `len` bytes, as zlib demands; see `room`.
        let done = file.read(unsafe { room(buf, len as usize) });
        let failed = !matches!(file.error().0, Z_OK | Z_BUF_ERROR);
        if done == 0 && failed { -1 } else { c_int::try_from(done).unwrap_or(c_int::MAX) }
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, read) }
}

/// The caller's memory to read into.
///
/// # Safety
/// `buf` is NULL or writable for `len` bytes during `'a`.
unsafe fn room<'a>(buf: *mut c_void, len: usize) -> &'a mut [u8] {
    if buf.is_null() || len > isize::MAX as usize {
        return &mut [];
    }
    // SAFETY: promised by the caller. The memory was allocated outside of this program's Rust part, so its bytes have some
    // value; u8 takes any.
    unsafe { std::slice::from_raw_parts_mut(buf.cast(), len) }
}

/// The caller's bytes to write.
///
/// # Safety
/// `buf` is NULL or readable for `len` bytes during `'a`.
unsafe fn bytes<'a>(buf: *const c_void, len: usize) -> &'a [u8] {
    if buf.is_null() || len > isize::MAX as usize {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(buf.cast(), len) }
}

/// zlib.h, gzfread.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzfread(buf: *mut c_void, size: usize, nitems: usize, file: *mut gzFile_s) -> usize {
    let read = |file: &mut GzFile| {
        if size == 0 || !file.may_read() {
            return 0;
        }
        let Some(len) = size.checked_mul(nitems) else {
            file.refuse(Z_STREAM_ERROR, c"request does not fit in a size_t");
            return 0;
        };
        // SAFETY: writable for `len` bytes, as zlib demands.
        file.read(unsafe { room(buf, len) }) / size
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, 0, read) }
}

/// zlib.h, gzwrite.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzwrite(file: *mut gzFile_s, buf: *const c_void, len: c_uint) -> c_int {
    let write = |file: &mut GzFile| {
        if !file.may_write() {
            return 0;
        }
        let Ok(_) = c_int::try_from(len) else {
            file.refuse(Z_DATA_ERROR, c"requested length does not fit in int");
            return 0;
        };
        // SAFETY: readable for `len` bytes, as zlib demands.
        let done = file.write(unsafe { bytes(buf, len as usize) });
        c_int::try_from(done).unwrap_or(c_int::MAX)
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, 0, write) }
}

/// zlib.h, gzfwrite.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzfwrite(
    buf: *const c_void,
    size: usize,
    nitems: usize,
    file: *mut gzFile_s,
) -> usize {
    let write = |file: &mut GzFile| {
        if size == 0 || !file.may_write() {
            return 0;
        }
        let Some(len) = size.checked_mul(nitems) else {
            file.refuse(Z_STREAM_ERROR, c"request does not fit in a size_t");
            return 0;
        };
        // SAFETY: readable for `len` bytes, as zlib demands.
        file.write(unsafe { bytes(buf, len) }) / size
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, 0, write) }
}

/// zlib.h, gzputs.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzputs(file: *mut gzFile_s, s: *const c_char) -> c_int {
    let write = |file: &mut GzFile| {
        if s.is_null() || !file.may_write() {
            return -1;
        }
        // SAFETY: a C string, as zlib demands.
        let text = unsafe { CStr::from_ptr(s) }.to_bytes();
        if c_int::try_from(text.len()).is_err() {
            file.refuse(Z_STREAM_ERROR, c"string length does not fit in int");
            return -1;
        }
        match file.write(text) {
            0 if !text.is_empty() => -1,
            done => c_int::try_from(done).unwrap_or(c_int::MAX),
        }
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, write) }
}

/// zlib.h, gzputc.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzputc(file: *mut gzFile_s, c: c_int) -> c_int {
    let byte = c as u8;
    let write = |file: &mut GzFile| {
        if file.may_write() && file.write(&[byte]) == 1 { c_int::from(byte) } else { -1 }
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, write) }
}

/// zlib.h, gzgetc.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzgetc(file: *mut gzFile_s) -> c_int {
    let read = |file: &mut GzFile| {
        let mut byte = [0];
        if file.may_read() && file.read(&mut byte) == 1 { c_int::from(byte[0]) } else { -1 }
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, read) }
}

/// zlib.h, gzgetc_: what `gzgetc` was before it became a macro.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzgetc_(file: *mut gzFile_s) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { gzgetc(file) }
}

/// zlib.h, gzungetc.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzungetc(c: c_int, file: *mut gzFile_s) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, |file| if file.reads() { file.push_back(c) } else { -1 }) }
}

/// zlib.h, gzgets.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzgets(file: *mut gzFile_s, buf: *mut c_char, len: c_int) -> *mut c_char {
    let read = |file: &mut GzFile| {
        if buf.is_null() || len < 1 || !file.may_read() {
            return std::ptr::null_mut();
        }
        // SAFETY: writable for `len` bytes, as zlib demands.
        let target = unsafe { room(buf.cast(), usize::try_from(len).unwrap_or(0)) };
        if file.read_line(target).is_some() { buf } else { std::ptr::null_mut() }
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, std::ptr::null_mut(), read) }
}

/// zlib.h, gzflush.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzflush(file: *mut gzFile_s, flush: c_int) -> c_int {
    let call = |file: &mut GzFile| {
        if !file.may_write() || !(Z_NO_FLUSH..=Z_FINISH).contains(&flush) {
            return Z_STREAM_ERROR;
        }
        file.flush(flush)
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, Z_STREAM_ERROR, call) }
}

/// zlib.h, gzseek.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzseek(file: *mut gzFile_s, offset: i64, whence: c_int) -> i64 {
    let relative = match whence {
        libc::SEEK_SET => false,
        libc::SEEK_CUR => true,
        _ => return -1,
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, |file| file.seek(offset, relative)) }
}

/// zlib.h, gzseek64.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzseek64(file: *mut gzFile_s, offset: i64, whence: c_int) -> i64 {
    // SAFETY: the caller's promise, passed on.
    unsafe { gzseek(file, offset, whence) }
}

/// zlib.h, gzrewind.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzrewind(file: *mut gzFile_s) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, GzFile::rewind) }
}

/// zlib.h, gztell.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gztell(file: *mut gzFile_s) -> i64 {
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, |file| file.tell()) }
}

/// zlib.h, gztell64.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gztell64(file: *mut gzFile_s) -> i64 {
    // SAFETY: the caller's promise, passed on.
    unsafe { gztell(file) }
}

/// zlib.h, gzoffset.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzoffset(file: *mut gzFile_s) -> i64 {
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, -1, GzFile::offset) }
}

/// zlib.h, gzoffset64.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzoffset64(file: *mut gzFile_s) -> i64 {
    // SAFETY: the caller's promise, passed on.
    unsafe { gzoffset(file) }
}

/// zlib.h, gzeof.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzeof(file: *mut gzFile_s) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, 0, |file| c_int::from(file.is_past_end())) }
}

/// zlib.h, gzdirect.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzdirect(file: *mut gzFile_s) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, 0, |file| c_int::from(file.is_direct())) }
}

/// zlib.h, gzclose.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzclose(file: *mut gzFile_s) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { close(file, |_| true) }
}

/// zlib.h, gzclose_r.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzclose_r(file: *mut gzFile_s) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { close(file, GzFile::reads) }
}

/// zlib.h, gzclose_w.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzclose_w(file: *mut gzFile_s) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { close(file, |file| !file.reads()) }
}

/// # Safety
/// As [`with`].
unsafe fn close(handle: *mut gzFile_s, right_side: impl FnOnce(&GzFile) -> bool) -> c_int {
    // SAFETY: passed on from the caller.
    if !unsafe { with(handle, false, |file| right_side(file)) } {
        return Z_STREAM_ERROR;
    }
    let mut errno = None;
    let code = guard(Z_STREAM_ERROR, || {
        // SAFETY: `with` found our file here; it came from Box::into_raw in `hand_over`.
        let mut handle = unsafe { Box::from_raw(handle) };
        handle.magic = 0;
        // SAFETY: as above; taken out exactly once, for the handle is freed with it.
        let mut file = unsafe { Box::from_raw(handle.file.cast::<Option<GzFile>>()) };
        let Some(file) = file.take() else { return Z_STREAM_ERROR };
        let (code, found) = file.close();
        errno = found;
        code
    });
    if let Some(errno) = errno {
        set_errno(errno);
    }
    code
}

/// zlib.h, gzerror.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzerror(file: *mut gzFile_s, errnum: *mut c_int) -> *const c_char {
    let tell = |file: &mut GzFile| {
        let (code, text) = file.error();
        // SAFETY: NULL or writable, as zlib demands.
        if let Some(errnum) = unsafe { errnum.as_mut() } {
            *errnum = code;
        }
        text.as_ptr()
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, std::ptr::null(), tell) }
}

/// zlib.h, gzclearerr.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn gzclearerr(file: *mut gzFile_s) {
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, (), GzFile::clear) }
}

/// For `gzprintf`, in C: where to print to, and how many bytes fit. NULL: `*answer` is what `gzprintf` returns.
///
/// # Safety
/// `file` as [`with`]; the others are writable. The room is the caller's until [`_warpdrive_gz_formatted`].
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn _warpdrive_gz_room(
    file: *mut gzFile_s,
    len: *mut usize,
    answer: *mut c_int,
) -> *mut c_char {
    let (mut room_len, mut code) = (0, Z_STREAM_ERROR);
    let find = |file: &mut GzFile| {
        if !file.may_write() {
            return std::ptr::null_mut();
        }
        let found = file.format_room().map(|room| (room.as_mut_ptr().cast::<c_char>(), room.len()));
        match found {
            Some((start, len)) => {
                room_len = len;
                start
            }
            None => {
                code = file.error().0;
                std::ptr::null_mut()
            }
        }
    };
    // SAFETY: the caller's promise, passed on.
    let start = unsafe { with(file, std::ptr::null_mut(), find) };
    // SAFETY: writable, promised by the caller.
    unsafe {
        len.write(room_len);
        answer.write(code);
    }
    start
}

/// For `gzprintf`, in C: `written` is what `vsnprintf` returned. Returns what `gzprintf` does.
///
/// # Safety
/// As [`with`], right after [`_warpdrive_gz_room`].
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn _warpdrive_gz_formatted(file: *mut gzFile_s, written: c_int) -> c_int {
    let keep = |file: &mut GzFile| {
        file.formatted(written, |text, len| {
            debug_assert!(text.capacity() - text.len() >= len);
            // SAFETY: vsnprintf wrote so many bytes, which is less than the room it was told of, behind the text's end.
            unsafe { text.set_len(text.len() + len) };
        })
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { with(file, Z_STREAM_ERROR, keep) }
}
