//! Checksums, version, error texts. Software only; nothing here can fail.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong};

use zlib_rs::{adler32 as adler_, crc32 as crc_};

use super::VERSION;
use crate::abi::whole;

/// The bytes, or `None` for NULL.
///
/// # Safety
/// `buf` is NULL or readable for `len` bytes.
unsafe fn bytes<'a>(buf: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: readable, promised by the caller.
    (!buf.is_null()).then(|| unsafe { std::slice::from_raw_parts(buf, len) })
}

/// zlib.h, adler32.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn adler32(adler: c_ulong, buf: *const u8, len: c_uint) -> c_ulong {
    // SAFETY: the caller's promise, passed on.
    unsafe { adler32_z(adler, buf, len as usize) }
}

/// zlib.h, adler32_z.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn adler32_z(adler: c_ulong, buf: *const u8, len: usize) -> c_ulong {
    // SAFETY: NULL or readable, as zlib demands.
    let Some(bytes) = (unsafe { bytes(buf, len) }) else { return 1 };
    c_ulong::from(whole::adler32(adler as u32, bytes))
}

/// zlib.h, crc32.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn crc32(crc: c_ulong, buf: *const u8, len: c_uint) -> c_ulong {
    // SAFETY: the caller's promise, passed on.
    unsafe { crc32_z(crc, buf, len as usize) }
}

/// zlib.h, crc32_z.
///
/// # Safety
/// As in zlib.h.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub unsafe extern "C" fn crc32_z(crc: c_ulong, buf: *const u8, len: usize) -> c_ulong {
    // SAFETY: NULL or readable, as zlib demands.
    let Some(bytes) = (unsafe { bytes(buf, len) }) else { return 0 };
    c_ulong::from(whole::crc32(crc as u32, bytes))
}

/// zlib.h, adler32_combine.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn adler32_combine(adler1: c_ulong, adler2: c_ulong, len2: c_long) -> c_ulong {
    // zlib's answer to a negative length: no valid checksum.
    let Ok(len) = u64::try_from(len2) else { return 0xffff_ffff };
    c_ulong::from(adler_::adler32_combine(adler1 as u32, adler2 as u32, len))
}

/// zlib.h, crc32_combine.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn crc32_combine(crc1: c_ulong, crc2: c_ulong, len2: c_long) -> c_ulong {
    let Ok(len) = u64::try_from(len2) else { return 0 };
    c_ulong::from(crc_::crc32_combine(crc1 as u32, crc2 as u32, len))
}

/// zlib.h, crc32_combine_gen.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn crc32_combine_gen(len2: c_long) -> c_ulong {
    let Ok(len) = u64::try_from(len2) else { return 0 };
    c_ulong::from(crc_::crc32_combine_gen(len))
}

/// zlib.h, adler32_combine64.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn adler32_combine64(adler1: c_ulong, adler2: c_ulong, len2: i64) -> c_ulong {
    // zlib's answer to a negative length: no valid checksum.
    let Ok(len) = u64::try_from(len2) else { return 0xffff_ffff };
    c_ulong::from(adler_::adler32_combine(adler1 as u32, adler2 as u32, len))
}

/// zlib.h, crc32_combine64.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn crc32_combine64(crc1: c_ulong, crc2: c_ulong, len2: i64) -> c_ulong {
    let Ok(len) = u64::try_from(len2) else { return 0 };
    c_ulong::from(crc_::crc32_combine(crc1 as u32, crc2 as u32, len))
}

/// zlib.h, crc32_combine_gen64.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn crc32_combine_gen64(len2: i64) -> c_ulong {
    let Ok(len) = u64::try_from(len2) else { return 0 };
    c_ulong::from(crc_::crc32_combine_gen(len))
}

/// zlib.h, crc32_combine_op.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn crc32_combine_op(crc1: c_ulong, crc2: c_ulong, op: c_ulong) -> c_ulong {
    // What `crc32_combine_gen` says of a negative length is no operator; zlib-rs (0.6.8) would look for its last bit for ever.
    if op as u32 == 0 {
        return 0;
    }
    c_ulong::from(crc_::crc32_combine_op(crc1 as u32, crc2 as u32, op as u32))
}

/// zlib.h, get_crc_table.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn get_crc_table() -> *const [u32; 256] {
    crc_::get_crc_table()
}

/// zlib.h, zlibVersion: that of the libz behind this library, if the program has one. Programs compare it with the release
/// they were built for, and some complain.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn zlibVersion() -> *const c_char {
    if cfg!(feature = "gz") {
        // The drop-in form is the libz.
        return VERSION.as_ptr();
    }
    super::guard::guard(VERSION.as_ptr(), || {
        let name = c"zlibVersion".as_ptr();
        // SAFETY: a C string for a name; RTLD_NEXT looks behind the calling library only.
        let mut next = unsafe { libc::dlsym(libc::RTLD_NEXT, name) };
        if next.is_null() {
            // A plugin may have brought it, with names that are its own. Never closed: the text is in it.
            // SAFETY: a C string for a name; nothing is loaded, so no foreign code runs.
            let plugin = unsafe { libc::dlopen(c"libz.so.1".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
            if !plugin.is_null() {
                // SAFETY: a handle that was just opened.
                next = unsafe { libc::dlsym(plugin, name) };
            }
        }
        if next.is_null() {
            return VERSION.as_ptr();
        }
        // SAFETY: a function of this name has this type (zlib.h).
        let next: extern "C" fn() -> *const c_char = unsafe { std::mem::transmute(next) };
        let version = next();
        if version.is_null() { VERSION.as_ptr() } else { version }
    })
}

/// zlib.h, zlibCompileFlags: 32-bit uInt, 64-bit uLong, pointer and z_off_t; nothing left out.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn zlibCompileFlags() -> c_ulong {
    0xa9
}

/// zlib.h, zError.
#[cfg_attr(not(any(test, fuzzing)), unsafe(no_mangle))]
pub extern "C" fn zError(err: c_int) -> *const c_char {
    message(err)
}

/// zlib's text for a code; empty for `Z_OK` and for what is no code.
pub(super) fn message(code: c_int) -> *const c_char {
    let text: &CStr = match code {
        2 => c"need dictionary",
        1 => c"stream end",
        -1 => c"file error",
        -2 => c"stream error",
        -3 => c"data error",
        -4 => c"insufficient memory",
        -5 => c"buffer error",
        -6 => c"incompatible version",
        _ => c"",
    };
    text.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_operator_gives_nothing() {
        assert_eq!(crc32_combine_op(1, 2, 0), 0);
        assert_eq!(crc32_combine_op(1, 2, crc32_combine_gen(-1)), 0);
        assert_eq!(crc32_combine_op(1, 2, 1 << 40), 0, "the field is longer than an operator");
        assert_eq!(
            crc32_combine_op(0xabcd, 0x1234, crc32_combine_gen(77)),
            crc32_combine(0xabcd, 0x1234, 77)
        );
    }
}
