//! `compress*` and `uncompress*`.

use std::ffi::{c_int, c_ulong};

use super::guard::{guard, silence_panics};
use crate::abi::Z_STREAM_ERROR;
use crate::abi::io::Io;
use crate::{bound, oneshot};

/// zlib.h, compress.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn compress(
    dest: *mut u8,
    destLen: *mut c_ulong,
    source: *const u8,
    sourceLen: c_ulong,
) -> c_int {
    // SAFETY: the caller's promise, passed on; `unsigned long` and `size_t` are the same on LP64.
    unsafe { compress2_z(dest, destLen.cast(), source, sourceLen as usize, -1) }
}

/// zlib.h, compress2.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn compress2(
    dest: *mut u8,
    destLen: *mut c_ulong,
    source: *const u8,
    sourceLen: c_ulong,
    level: c_int,
) -> c_int {
    // SAFETY: the caller's promise, passed on; `unsigned long` and `size_t` are the same on LP64.
    unsafe { compress2_z(dest, destLen.cast(), source, sourceLen as usize, level) }
}

/// zlib.h, compress_z.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn compress_z(
    dest: *mut u8,
    destLen: *mut usize,
    source: *const u8,
    sourceLen: usize,
) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { compress2_z(dest, destLen, source, sourceLen, -1) }
}

/// zlib.h, compress2_z.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn compress2_z(
    dest: *mut u8,
    destLen: *mut usize,
    source: *const u8,
    sourceLen: usize,
    level: c_int,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        silence_panics();
        // SAFETY: writable, as zlib demands (which does not survive a NULL).
        let Some(len) = (unsafe { destLen.as_mut() }) else { return Z_STREAM_ERROR };
        let room = std::mem::take(len);
        // SAFETY: NULL or valid for their lengths, as zlib demands.
        let mut io = unsafe { Io::from_raw(source, sourceLen, dest, room) };
        let code = oneshot::compress(&mut io, level);
        *len = room - io.avail_out();
        code
    })
}

/// zlib.h, uncompress.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn uncompress(
    dest: *mut u8,
    destLen: *mut c_ulong,
    source: *const u8,
    sourceLen: c_ulong,
) -> c_int {
    let mut len = sourceLen as usize;
    // SAFETY: the caller's promise, passed on; `unsigned long` and `size_t` are the same on LP64.
    unsafe { uncompress2_z(dest, destLen.cast(), source, &mut len) }
}

/// zlib.h, uncompress2.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn uncompress2(
    dest: *mut u8,
    destLen: *mut c_ulong,
    source: *const u8,
    sourceLen: *mut c_ulong,
) -> c_int {
    // SAFETY: the caller's promise, passed on; `unsigned long` and `size_t` are the same on LP64.
    unsafe { uncompress2_z(dest, destLen.cast(), source, sourceLen.cast()) }
}

/// zlib.h, uncompress_z.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn uncompress_z(
    dest: *mut u8,
    destLen: *mut usize,
    source: *const u8,
    sourceLen: usize,
) -> c_int {
    let mut len = sourceLen;
    // SAFETY: the caller's promise, passed on.
    unsafe { uncompress2_z(dest, destLen, source, &mut len) }
}

/// zlib.h, uncompress2_z.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn uncompress2_z(
    dest: *mut u8,
    destLen: *mut usize,
    source: *const u8,
    sourceLen: *mut usize,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        silence_panics();
        // SAFETY: writable, as zlib demands (which does not survive a NULL).
        let (Some(dest_len), Some(source_len)) = (unsafe { (destLen.as_mut(), sourceLen.as_mut()) }) else {
            return Z_STREAM_ERROR;
        };
        let room = *dest_len;
        // Without room, a byte of our own tells an empty stream from one that does not fit.
        let mut substitute = [0_u8];
        let (output, avail_out) = if room == 0 { (substitute.as_mut_ptr(), 1) } else { (dest, room) };
        // SAFETY: NULL or valid for their lengths, as zlib demands; the substitute is valid for one byte.
        let mut io = unsafe { Io::from_raw(source, *source_len, output, avail_out) };
        let code = oneshot::uncompress(&mut io, room);
        *source_len -= io.avail_in();
        if room != 0 {
            *dest_len = room - io.avail_out();
        }
        code
    })
}

/// zlib.h, compressBound.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn compressBound(sourceLen: c_ulong) -> c_ulong {
    bound::of_compress(sourceLen as usize) as c_ulong
}

/// zlib.h, compressBound_z.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn compressBound_z(sourceLen: usize) -> usize {
    bound::of_compress(sourceLen)
}
