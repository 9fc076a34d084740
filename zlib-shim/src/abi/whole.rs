//! The software engine for whole buffers, and for checksums: libdeflate.
//!
//! It takes all of the input at once and gives all of the output or nothing, so what it cannot do within the caller's room
//! is left to the stream engine, which knows zlib's partial results.
#![expect(unsafe_code, reason = "libdeflate is C")]

use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::Mutex;

use libdeflate_sys as c;

use super::io::Io;

/// Compressors kept for the next call at most: half a megabyte each.
const KEPT: usize = 2;

/// Only ever `try_lock`ed: a child forked while another thread held it must go on without it.
static IDLE: Mutex<Vec<Compressor>> = Mutex::new(Vec::new());

struct Compressor {
    own: NonNull<c::libdeflate_compressor>,
    /// libdeflate's.
    level: c_int,
}

// SAFETY: a compressor is plain memory without ties to a thread, and this value owns it alone.
unsafe impl Send for Compressor {}

impl Compressor {
    fn new(level: c_int) -> Option<Self> {
        // SAFETY: any level is allowed; NULL when it is out of range or memory is out.
        let own = unsafe { c::libdeflate_alloc_compressor(level) };
        NonNull::new(own).map(|own| Self { own, level })
    }

    fn take(level: c_int) -> Option<Self> {
        if let Ok(mut idle) = IDLE.try_lock() {
            if let Some(at) = idle.iter().position(|compressor| compressor.level == level) {
                return Some(idle.swap_remove(at));
            }
        }
        Self::new(level)
    }

    fn keep(self) {
        if let Ok(mut idle) = IDLE.try_lock() {
            if idle.len() >= KEPT {
                idle.swap_remove(0);
            }
            if idle.try_reserve(1).is_ok() {
                idle.push(self);
            }
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: from `libdeflate_alloc_compressor`, owned by this value and given up here.
        unsafe { c::libdeflate_free_compressor(self.own.as_ptr()) };
    }
}

/// Compresses all input into one zlib stream of at most `limit` bytes, at zlib's `level`, 1 to 9. False: there is too little
/// room, or memory, and `io` is as it was (what the room holds is not).
///
/// Level 9 is the library's 8: smaller output than zlib's 9 and faster; its own 9 spends half as much time again on the
/// last per mille.
pub(crate) fn compress_zlib(level: c_int, io: &mut Io<'_>, limit: usize) -> bool {
    let Some(compressor) = Compressor::take(level.clamp(1, 8)) else { return false };
    let input = io.input();
    // SAFETY: the compressor is ours alone; input is readable, `next_out` writable for the lengths given with them (a NULL
    // only with length 0), as `Io` was promised.
    let produced = unsafe {
        c::libdeflate_zlib_compress(
            compressor.own.as_ptr(),
            input.as_ptr().cast(),
            input.len(),
            io.next_out().cast(),
            if io.next_out().is_null() { 0 } else { io.avail_out().min(limit) },
        )
    };
    compressor.keep();
    if produced == 0 {
        return false;
    }
    io.advance_in(input.len());
    io.advance_out(produced);
    true
}

/// Appends `input` as one raw deflate stream of at most `limit` bytes to `output`, at zlib's `level` as [`compress_zlib`] does;
/// the same input and level always give the same bytes. False: it would be longer, or memory is out, and nothing has happened.
pub(crate) fn compress_raw(level: c_int, input: &[u8], limit: usize, output: &mut Vec<u8>) -> bool {
    if output.try_reserve(limit).is_err() {
        return false;
    }
    let Some(compressor) = Compressor::take(level.clamp(1, 8)) else { return false };
    let room = output.spare_capacity_mut();
    // SAFETY: the compressor is ours alone; `input` is readable and `room` writable for the lengths given with them.
    let produced = unsafe {
        c::libdeflate_deflate_compress(
            compressor.own.as_ptr(),
            input.as_ptr().cast(),
            input.len(),
            room.as_mut_ptr().cast(),
            room.len().min(limit),
        )
    };
    compressor.keep();
    // SAFETY: libdeflate wrote that many bytes there, none when it gave up.
    unsafe { output.set_len(output.len() + produced) };
    produced != 0
}

/// Continues an Adler-32 over `bytes`.
pub(crate) fn adler32(checksum: u32, bytes: &[u8]) -> u32 {
    /// The largest prime below 2^16 (RFC 1950 §8.2).
    const BASE: u32 = 65_521;
    // Vector code takes longer to begin than a few bytes take one by one. No sum can overflow.
    if bytes.len() <= 16 {
        let (mut first, mut second) = (checksum & 0xffff, checksum >> 16);
        for &byte in bytes {
            first += u32::from(byte);
            second += first;
        }
        return (second % BASE) << 16 | (first % BASE);
    }
    // SAFETY: readable for its length. (Told of NULL it would start anew, but a slice is never NULL.)
    unsafe { c::libdeflate_adler32(checksum, bytes.as_ptr().cast(), bytes.len()) }
}

/// Continues a CRC-32 over `bytes`.
pub(crate) fn crc32(checksum: u32, bytes: &[u8]) -> u32 {
    // SAFETY: as above.
    unsafe { c::libdeflate_crc32(checksum, bytes.as_ptr().cast(), bytes.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length around the widths that vector code works in, every alignment, and states no checksum ever has: callers
    /// may pass anything.
    #[test]
    fn checksums_are_the_engine_s() {
        let bytes: Vec<u8> =
            (0..20_000_u32).map(|at| (at * at / 7).to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
        let lengths = (0..300).chain([1000, 4096, 5552, 5553, 16_000, 19_900]);
        for len in lengths {
            for start in [0, 1, 7, 63] {
                let part = &bytes[start..start + len];
                for state in [0, 1, 0xffff_ffff, 0x1234_5678, 0xfff1_fff0] {
                    assert_eq!(
                        crc32(state, part),
                        zlib_rs::crc32::crc32(state, part),
                        "{state:x} {start} {len}"
                    );
                }
                for state in [0, 1, 0x1234_5678, 0xfff0_fff0] {
                    assert_eq!(
                        adler32(state, part),
                        zlib_rs::adler32::adler32(state, part),
                        "{state:x} {start} {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn all_or_nothing() {
        let input = b"a text that repeats itself, a text that repeats itself".repeat(50);
        let mut room = vec![0; 1000];
        let mut io = Io::from_slices(&input, &mut room);
        assert!(compress_zlib(6, &mut io, usize::MAX));
        assert_eq!(io.avail_in(), 0);
        let produced = 1000 - io.avail_out();
        for len in [0, 1, produced - 1] {
            let mut io = Io::from_slices(&input, &mut room[..len]);
            assert!(!compress_zlib(6, &mut io, usize::MAX));
            assert_eq!((io.avail_in(), io.avail_out()), (input.len(), len));
        }
        let mut raw = b"before".to_vec();
        assert!(!compress_raw(6, &input, produced - 7, &mut raw));
        assert_eq!(raw, b"before");
        assert!(compress_raw(6, &input, produced - 6, &mut raw), "header and trailer of zlib are 6 bytes");
        assert_eq!(raw.len(), 6 + produced - 6);
        assert!(!compress_zlib(6, &mut Io::from_slices(&input, &mut room), produced - 1));
        assert!(compress_zlib(6, &mut Io::from_slices(&input, &mut room[..produced]), usize::MAX));
    }
}
