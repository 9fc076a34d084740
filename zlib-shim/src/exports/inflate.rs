//! `inflate*`.

use std::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};

use super::guard::{guard, silence_panics};
use super::{advance, buffers, is_compatible};
use crate::abi::next::{BackInflater, OutOfMemory};
use crate::abi::own::try_box;
use crate::abi::{
    Z_DATA_ERROR, Z_MEM_ERROR, Z_NEED_DICT, Z_OK, Z_STREAM_ERROR, Z_VERSION_ERROR, block, gz_header, in_func,
    out_func, z_stream,
};
use crate::inflate::{Inflate, is_window_bits};

impl block::Body for Inflate {
    const KIND: u64 = u64::from_le_bytes(*b"inflate ");
}

impl block::Body for BackInflater {
    const KIND: u64 = u64::from_le_bytes(*b"infback ");
    // zlib's inflateBack does not look where its z_stream is.
    const MOVABLE: bool = true;
}

/// zlib.h, inflateInit_.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateInit_(
    strm: *mut z_stream,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { inflateInit2_(strm, 15, version, stream_size) }
}

/// zlib.h, inflateInit2_.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateInit2_(
    strm: *mut z_stream,
    windowBits: c_int,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        silence_panics();
        // SAFETY: NULL or a C string, as zlib demands.
        if !unsafe { is_compatible(version, stream_size) } {
            return Z_VERSION_ERROR;
        }
        // SAFETY: NULL or valid, as zlib demands.
        let Some(fields) = (unsafe { strm.as_mut() }) else { return Z_STREAM_ERROR };
        fields.msg = std::ptr::null_mut();
        block::default_allocator(fields);
        if !is_window_bits(windowBits) {
            fields.state = std::ptr::null_mut();
            return Z_STREAM_ERROR;
        }
        let stream = Inflate::new(windowBits);
        fresh(fields, &stream);
        let Ok(stream) = try_box(stream) else { return Z_MEM_ERROR };
        // SAFETY: valid; allocator fields were set just now.
        match unsafe { block::install(strm, stream) } {
            Ok(()) => Z_OK,
            Err(_) => Z_MEM_ERROR,
        }
    })
}

/// The fields of a stream that was just initialised or reset.
fn fresh(strm: &mut z_stream, stream: &Inflate) {
    strm.total_in = 0;
    strm.total_out = 0;
    strm.msg = std::ptr::null_mut();
    if let Some(adler) = stream.initial_adler() {
        strm.adler = c_ulong::from(adler);
    }
}

/// zlib.h, inflate.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflate(strm: *mut z_stream, flush: c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |strm: &mut z_stream, stream: &mut Inflate| {
            // SAFETY: the caller's promise, passed on.
            let mut io = unsafe { buffers(strm) };
            if io.has_null() {
                return Z_STREAM_ERROR;
            }
            let progress = stream.inflate(&mut io, flush);
            let totals = (strm.total_in, strm.total_out);
            advance(strm, &io);
            if let Some(adler) = progress.adler {
                strm.adler = adler;
            }
            if progress.code == Z_NEED_DICT {
                // zlib leaves by a short way here: the header never enters the totals.
                (strm.total_in, strm.total_out) = totals;
            } else if progress.data_type >= 0 {
                strm.data_type = progress.data_type;
            }
            if !progress.message.is_null() {
                strm.msg = progress.message;
            }
            progress.code
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, inflateEnd.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateEnd(strm: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        match unsafe { block::remove::<Inflate>(strm) } {
            Some(stream) => {
                stream.end();
                Z_OK
            }
            None => Z_STREAM_ERROR,
        }
    })
}

/// zlib.h, inflateReset.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateReset(strm: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            block::with(strm, Z_STREAM_ERROR, |strm, stream: &mut Inflate| {
                stream.reset();
                fresh(strm, stream);
                Z_OK
            })
        }
    })
}

/// zlib.h, inflateResetKeep.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateResetKeep(strm: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            block::with(strm, Z_STREAM_ERROR, |strm, stream: &mut Inflate| {
                stream.reset_keep();
                fresh(strm, stream);
                Z_OK
            })
        }
    })
}

/// zlib.h, inflateReset2.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateReset2(strm: *mut z_stream, windowBits: c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            block::with(strm, Z_STREAM_ERROR, |strm, stream: &mut Inflate| {
                let code = stream.reset_with(windowBits);
                if code == Z_OK {
                    fresh(strm, stream);
                }
                code
            })
        }
    })
}

/// zlib.h, inflateSetDictionary.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateSetDictionary(
    strm: *mut z_stream,
    dictionary: *const u8,
    dictLength: c_uint,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |_: &mut z_stream, stream: &mut Inflate| {
            let bytes = if dictionary.is_null() || dictLength == 0 {
                &[]
            } else {
                // SAFETY: non-NULL, and readable for `dictLength` bytes, as zlib demands.
                unsafe { std::slice::from_raw_parts(dictionary, dictLength as usize) }
            };
            stream.set_dictionary(bytes)
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, inflateGetDictionary.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateGetDictionary(
    strm: *mut z_stream,
    dictionary: *mut u8,
    dictLength: *mut c_uint,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |_: &mut z_stream, stream: &mut Inflate| {
            let Ok(window) = stream.dictionary() else { return Z_MEM_ERROR };
            // SAFETY: each is NULL or writable, the dictionary for 32768 bytes, as zlib demands.
            unsafe { super::hand_out(&window, dictionary, dictLength) };
            Z_OK
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, inflateGetHeader.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateGetHeader(strm: *mut z_stream, head: *mut gz_header) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let call = |_: &mut z_stream, stream: &mut Inflate| {
            // SAFETY: NULL, or writable with its buffers until the header was read, as zlib demands.
            let set = stream.with_engine(|engine| unsafe { engine.capture_header(head) });
            set.unwrap_or(Z_MEM_ERROR)
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, inflateSync.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateSync(strm: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            block::with(strm, Z_STREAM_ERROR, |strm, stream: &mut Inflate| {
                let mut io = buffers(strm);
                let code = stream.sync(&mut io);
                advance(strm, &io);
                if code == Z_OK {
                    // Found: zlib begins anew, and keeps the totals.
                    strm.msg = std::ptr::null_mut();
                    if let Some(adler) = stream.initial_adler() {
                        strm.adler = c_ulong::from(adler);
                    }
                }
                code
            })
        }
    })
}

/// zlib.h, inflateSyncPoint.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateSyncPoint(strm: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, |_, stream: &mut Inflate| stream.sync_point()) }
    })
}

/// zlib.h, inflateCopy.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateCopy(dest: *mut z_stream, source: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        if dest.is_null() || std::ptr::eq(dest, source) {
            return Z_STREAM_ERROR;
        }
        let call = |strm: &mut z_stream, stream: &mut Inflate| match stream.copy() {
            // SAFETY: `dest` is valid, as zlib demands, and another stream than `source`.
            Ok(copy) => unsafe { super::install_copy(dest, strm, copy) },
            Err(OutOfMemory) => Z_MEM_ERROR,
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(source, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, inflatePrime.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflatePrime(strm: *mut z_stream, bits: c_int, value: c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, |_, stream: &mut Inflate| stream.prime(bits, value)) }
    })
}

/// zlib.h, inflateMark.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateMark(strm: *mut z_stream) -> c_long {
    guard(-65536, || {
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, -65536, |_, stream: &mut Inflate| stream.mark()) }
    })
}

/// zlib.h, inflateUndermine.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateUndermine(strm: *mut z_stream, subvert: c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            block::with(strm, Z_STREAM_ERROR, |_, _: &mut Inflate| {
                // Invalid distances are always refused, as in a zlib built without INFLATE_ALLOW_INVALID_DISTANCE.
                let _ = subvert;
                Z_DATA_ERROR
            })
        }
    })
}

/// zlib.h, inflateValidate.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateValidate(strm: *mut z_stream, check: c_int) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, Z_STREAM_ERROR, |_, stream: &mut Inflate| stream.validate(check != 0)) }
    })
}

/// zlib.h, inflateCodesUsed.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateCodesUsed(strm: *mut z_stream) -> c_ulong {
    guard(c_ulong::MAX, || {
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with(strm, c_ulong::MAX, |_, stream: &mut Inflate| stream.codes_used() as c_ulong) }
    })
}

/// zlib.h, inflateBackInit_.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateBackInit_(
    strm: *mut z_stream,
    windowBits: c_int,
    window: *mut c_uchar,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        silence_panics();
        // SAFETY: NULL or a C string, as zlib demands.
        if !unsafe { is_compatible(version, stream_size) } {
            return Z_VERSION_ERROR;
        }
        // SAFETY: NULL or valid, as zlib demands.
        let Some(fields) = (unsafe { strm.as_mut() }) else { return Z_STREAM_ERROR };
        if window.is_null() || !(8..=15).contains(&windowBits) {
            return Z_STREAM_ERROR;
        }
        fields.msg = std::ptr::null_mut();
        block::default_allocator(fields);
        // SAFETY: non-NULL and writable for the window's size until inflateBackEnd, as zlib demands.
        let stream = match unsafe { BackInflater::new(windowBits, window) } {
            Ok(stream) => stream,
            Err(code) => return code,
        };
        let Ok(stream) = try_box(stream) else { return Z_MEM_ERROR };
        // SAFETY: valid; allocator fields were set just now.
        match unsafe { block::install(strm, stream) } {
            Ok(()) => Z_OK,
            Err(_) => Z_MEM_ERROR,
        }
    })
}

/// zlib.h, inflateBack.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateBack(
    strm: *mut z_stream,
    input: Option<in_func>,
    in_desc: *mut c_void,
    output: Option<out_func>,
    out_desc: *mut c_void,
) -> c_int {
    guard(Z_STREAM_ERROR, || {
        let (Some(input), Some(output)) = (input, output) else { return Z_STREAM_ERROR };
        let call = |strm: *mut z_stream, stream: &mut BackInflater| {
            // SAFETY: the caller's promise, passed on.
            unsafe { stream.run(strm, input, in_desc, output, out_desc) }
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { block::with_unmarked(strm, Z_STREAM_ERROR, call) }
    })
}

/// zlib.h, inflateBackEnd.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn inflateBackEnd(strm: *mut z_stream) -> c_int {
    guard(Z_STREAM_ERROR, || {
        // SAFETY: the caller's promise, passed on.
        match unsafe { block::remove::<BackInflater>(strm) } {
            Some(_) => Z_OK,
            None => Z_STREAM_ERROR,
        }
    })
}
