//! `deflate*`.

use std::ffi::{c_char, c_int, c_uint, c_ulong};

use super::guard::{guard, silence_panics};
use super::{advance, buffers, is_compatible};
use crate::abi::header::HeaderRef;
use crate::abi::io::Io;
use crate::abi::next::OutOfMemory;
use crate::abi::own::try_box;
use crate::abi::{
    Z_BLOCK, Z_BUF_ERROR, Z_DEFLATED, Z_MEM_ERROR, Z_NO_FLUSH, Z_OK, Z_STREAM_ERROR, Z_VERSION_ERROR, block,
    gz_header, z_stream,
};
use crate::accelerator::Core;
use crate::bound;
use crate::deflate::{Deflate, Parameters, saturated};

type Stream = Deflate<Core>;

impl block::Body for Stream {
    const KIND: u64 = u64::from_le_bytes(*b"deflate ");
}

/// zlib.h, deflateInit.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateInit_(
    strm: *mut z_stream,
    level: c_int,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    // SAFETY: the caller's promise, passed on.
    guard(Z_STREAM_ERROR, || unsafe { init(strm, level, Z_DEFLATED, 15, 8, 0, version, stream_size) })
}

/// zlib.h, deflateInit2.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateInit2_(
    strm: *mut z_stream,
    level: c_int,
    method: c_int,
    windowBits: c_int,
    memLevel: c_int,
    strategy: c_int,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe { init(strm, level, method, windowBits, memLevel, strategy, version, stream_size) }
    })
}

#[expect(clippy::too_many_arguments, reason = "deflateInit2_ has them")]
unsafe fn init(
    strm: *mut z_stream,
    level: c_int,
    method: c_int,
    window_bits: c_int,
    mem_level: c_int,
    strategy: c_int,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    silence_panics();
    // SAFETY: NULL or a C string, as zlib demands.
    if !unsafe { is_compatible(version, stream_size) } {
        return Z_VERSION_ERROR;
    }
    // SAFETY: NULL or valid, as zlib demands.
    let Some(fields) = (unsafe { strm.as_mut() }) else { return Z_STREAM_ERROR };
    fields.msg = std::ptr::null_mut();
    block::default_allocator(fields);
    let Some(parameters) = Parameters::new(level, method, window_bits, mem_level, strategy) else {
        return Z_STREAM_ERROR;
    };
    let stream = Stream::new(Core, parameters);
    fresh(fields, &stream);
    let Ok(stream) = try_box(stream) else { return Z_MEM_ERROR };
    // SAFETY: valid; allocator fields were set just now.
    match unsafe { block::install(strm, stream) } {
        Ok(()) => Z_OK,
        Err(_) => Z_MEM_ERROR,
    }
}

/// The fields of a stream that was just initialised or reset.
fn fresh(strm: &mut z_stream, stream: &Stream) {
    strm.total_in = 0;
    strm.total_out = 0;
    strm.msg = std::ptr::null_mut();
    strm.data_type = stream.data_type();
    strm.adler = c_ulong::from(stream.adler());
}

/// zlib.h, deflate.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflate(strm: *mut z_stream, flush: c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |strm: &mut z_stream, stream: &mut Stream| {
            if !(Z_NO_FLUSH..=Z_BLOCK).contains(&flush) {
                return Z_STREAM_ERROR;
            }
            // SAFETY: the caller's promise, passed on.
            let mut io = unsafe { buffers(strm) };
            let code = stream.deflate(&mut io, flush);
            publish(strm, stream, &io, code);
            // zlib.h knows no Z_MEM_ERROR here. Callers look for Z_STREAM_ERROR only (CPython, zlib's own gzwrite), take the input
            // for compressed after any other code, and lose it. The message tells which it was.
            if code == Z_MEM_ERROR { Z_STREAM_ERROR } else { code }
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

fn publish(strm: &mut z_stream, stream: &Stream, io: &Io<'_>, code: c_int) {
    advance(strm, io);
    strm.data_type = stream.data_type();
    publish_adler(strm, stream);
    if code < 0 {
        strm.msg = super::checksum::message(code).cast_mut();
    }
}

/// A raw stream has no checksum: zlib writes nothing there, and callers may keep something of theirs in it.
fn publish_adler(strm: &mut z_stream, stream: &Stream) {
    if !stream.is_raw() {
        strm.adler = c_ulong::from(stream.adler());
    }
}

/// zlib.h, deflateEnd.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateEnd(strm: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        match unsafe { block::remove::<Stream>(strm) } {
            Some(stream) => stream.end(),
            None => Z_STREAM_ERROR,
        }
    })
}

/// zlib.h, deflateReset.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateReset(strm: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            block::with(strm, Z_STREAM_ERROR, |strm, stream: &mut Stream| {
                stream.reset();
                fresh(strm, stream);
                Z_OK
            })
        }
    })
}

/// zlib.h, deflateResetKeep.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateResetKeep(strm: *mut z_stream) -> c_int {
    // SAFETY: the caller's promise, passed on. A segment never refers to an earlier stream, so there is no match state that
    // could be kept.
    unsafe { deflateReset(strm) }
}

/// zlib.h, deflateParams.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateParams(strm: *mut z_stream, level: c_int, strategy: c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            block::with(strm, Z_STREAM_ERROR, |strm, stream: &mut Stream| {
                let mut io = buffers(strm);
                let code = stream.set_params(&mut io, level, strategy);
                publish(strm, stream, &io, Z_OK);
                code
            })
        }
    })
}

/// zlib.h, deflateSetDictionary.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateSetDictionary(
    strm: *mut z_stream,
    dictionary: *const u8,
    dictLength: c_uint,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |strm: &mut z_stream, stream: &mut Stream| {
            if dictionary.is_null() {
                return Z_STREAM_ERROR;
            }
            // SAFETY: non-NULL, and readable for `dictLength` bytes, as zlib demands.
            let bytes = unsafe { std::slice::from_raw_parts(dictionary, dictLength as usize) };
            let code = stream.set_dictionary(bytes);
            if code == Z_OK {
                // zlib reads it as if it were input, of one that fills the window its end only.
                let read = bytes.len().min(stream.window_len());
                strm.total_in = strm.total_in.wrapping_add(read as u64);
            }
            publish_adler(strm, stream);
            code
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, deflateGetDictionary.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateGetDictionary(
    strm: *mut z_stream,
    dictionary: *mut u8,
    dictLength: *mut c_uint,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |_: &mut z_stream, stream: &mut Stream| {
            let Ok(window) = stream.dictionary() else { return Z_MEM_ERROR };
            // SAFETY: each is NULL or writable, the dictionary for 32768 bytes, as zlib demands.
            unsafe { super::hand_out(&window, dictionary, dictLength) };
            Z_OK
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, deflateSetHeader.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateSetHeader(strm: *mut z_stream, head: *mut gz_header) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: NULL, or readable until the header is written, as zlib demands.
        let header = unsafe { HeaderRef::new(head) };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, |_, stream: &mut Stream| stream.set_header(header)) }
    })
}

/// zlib.h, deflatePending.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflatePending(
    strm: *mut z_stream,
    pending: *mut c_uint,
    bits: *mut c_int,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |_: &mut z_stream, stream: &mut Stream| {
            let (waiting, held) = stream.pending();
            let (waiting, too_many) = saturated(waiting);
            // SAFETY: each is NULL or writable, as zlib demands.
            if let Some(pending) = unsafe { pending.as_mut() } {
                *pending = waiting;
            }
            // SAFETY: as above.
            if let Some(bits) = unsafe { bits.as_mut() } {
                *bits = held;
            }
            if too_many { Z_BUF_ERROR } else { Z_OK }
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, deflateUsed.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateUsed(strm: *mut z_stream, bits: *mut c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |_: &mut z_stream, stream: &mut Stream| {
            // SAFETY: NULL or writable, as zlib demands.
            if let Some(bits) = unsafe { bits.as_mut() } {
                *bits = stream.bits_used();
            }
            Z_OK
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, deflatePrime.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflatePrime(strm: *mut z_stream, bits: c_int, value: c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, |_, stream: &mut Stream| stream.prime(bits, value)) }
    })
}

/// zlib.h, deflateTune.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateTune(
    strm: *mut z_stream,
    good_length: c_int,
    max_lazy: c_int,
    nice_length: c_int,
    max_chain: c_int,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            block::with(strm, Z_STREAM_ERROR, |_, stream: &mut Stream| {
                stream.tune([good_length, max_lazy, nice_length, max_chain])
            })
        }
    })
}

/// zlib.h, deflateCopy.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateCopy(dest: *mut z_stream, source: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        if dest.is_null() || std::ptr::eq(dest, source) {
            return Z_STREAM_ERROR;
        }
        let call = |strm: &mut z_stream, stream: &mut Stream| match stream.copy() {
            // SAFETY: `dest` is valid, as zlib demands, and another stream than `source`.
            Ok(copy) => unsafe { super::install_copy(dest, strm, copy) },
            Err(OutOfMemory) => Z_MEM_ERROR,
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(source, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, deflateBound.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateBound(strm: *mut z_stream, sourceLen: c_ulong) -> c_ulong {
    // SAFETY: the caller's promise, passed on.
    guard(c_ulong::MAX, || unsafe { upper_bound(strm, sourceLen as usize) } as c_ulong)
}

/// zlib.h, deflateBound_z.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn deflateBound_z(strm: *mut z_stream, sourceLen: usize) -> usize {
    // SAFETY: the caller's promise, passed on.
    guard(usize::MAX, || unsafe { upper_bound(strm, sourceLen) })
}

/// # Safety
/// `strm` is NULL or valid.
unsafe fn upper_bound(strm: *mut z_stream, len_bytes: usize) -> usize {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        block::with(strm, bound::of_nothing(len_bytes), |_, stream: &mut Stream| stream.bound(len_bytes))
    }
}
