//! The functions C calls. Each is: guard, checked pointers, a safe call, zlib's code.
//!
//! Every function that takes a `z_stream`, the one-shot functions, checksums and version, with the
//! additions of zlib 1.3.2. In the preload form no `gz*`: the system library's call ours; and no symbol versions: the
//! loader binds versioned references to unversioned definitions of a preloaded library. The drop-in form has both.
#![expect(unsafe_code, reason = "C entry points")]
#![expect(non_snake_case, reason = "zlib's names are what they are")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "unsigned long and size_t are the same on LP64 (asserted in abi)"
)]

pub mod checksum;
pub mod deflate;
mod guard;
#[cfg(feature = "gz")]
pub mod gz;
pub mod inflate;
pub mod oneshot;

use std::ffi::{c_char, c_int, c_uint};

use crate::abi::io::Io;
use crate::abi::own::try_box;
use crate::abi::{STREAM_SIZE, Z_MEM_ERROR, Z_OK, block, z_stream};

/// `zlibVersion()` where no libz stands behind: the release whose behaviour is kept, in the drop-in form the one whose
/// functions are all there. Digits and dots only; programs parse it.
const VERSION: &std::ffi::CStr = if cfg!(feature = "gz") { c"1.3.2" } else { c"1.3.1" };

/// The first test of every `*Init*_`: same first character, same structure size.
///
/// # Safety
/// `version` is NULL or readable.
unsafe fn is_compatible(version: *const c_char, stream_size: c_int) -> bool {
    // SAFETY: NULL or readable, promised by the caller.
    unsafe { version.as_ref() }.copied() == VERSION.to_bytes().first().map(|&first| first as c_char)
        && stream_size == STREAM_SIZE
}

/// The buffers of a call that `strm` describes.
///
/// # Safety
/// `next_in` and `next_out` are NULL or valid for `avail_in` and `avail_out` bytes during `'a`, as zlib demands.
unsafe fn buffers<'a>(strm: &z_stream) -> Io<'a> {
    // SAFETY: promised by the caller.
    unsafe { Io::from_raw(strm.next_in, strm.avail_in as usize, strm.next_out, strm.avail_out as usize) }
}

/// Writes back what a call did. Totals are incremented, never assigned: callers reset them at will.
#[expect(clippy::cast_possible_truncation, reason = "never more than the 32-bit lengths the call began with")]
fn advance(strm: &mut z_stream, io: &Io<'_>) {
    let consumed = strm.avail_in as usize - io.avail_in();
    let produced = strm.avail_out as usize - io.avail_out();
    strm.total_in = strm.total_in.wrapping_add(consumed as u64);
    strm.total_out = strm.total_out.wrapping_add(produced as u64);
    if consumed != 0 {
        strm.next_in = io.next_in();
        strm.avail_in = io.avail_in() as u32;
    }
    if produced != 0 {
        strm.next_out = io.next_out();
        strm.avail_out = io.avail_out() as u32;
    }
}

/// Installs `copy` behind `dest`, whose fields become those of `source`.
///
/// # Safety
/// `dest` is valid and another stream than `source`, whose allocator keeps zlib's contract.
unsafe fn install_copy<T: block::Body>(dest: *mut z_stream, source: &z_stream, copy: T) -> c_int {
    let Ok(copy) = try_box(copy) else { return Z_MEM_ERROR };
    // SAFETY: valid, promised by the caller.
    unsafe { dest.write(*source) };
    // SAFETY: valid; the allocator fields are those of a stream that was initialised.
    match unsafe { block::install(dest, copy) } {
        Ok(()) => Z_OK,
        Err(_) => {
            // SAFETY: valid, promised by the caller. The copied state is not its own.
            unsafe { (*dest).state = std::ptr::null_mut() };
            Z_MEM_ERROR
        }
    }
}

/// Copies a window out, and its length.
///
/// # Safety
/// `dictionary` is NULL or writable for `window.len()` bytes, `len` NULL or writable.
#[expect(clippy::cast_possible_truncation, reason = "a window has at most 32768 bytes")]
unsafe fn hand_out(window: &[u8], dictionary: *mut u8, len: *mut c_uint) {
    if !dictionary.is_null() {
        // SAFETY: writable for the window's length, promised by the caller; the window is the shim's own memory.
        unsafe { std::ptr::copy_nonoverlapping(window.as_ptr(), dictionary, window.len()) };
    }
    // SAFETY: NULL or writable, promised by the caller.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = window.len() as c_uint;
    }
}
