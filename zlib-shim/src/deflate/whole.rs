//! A short stream that is given whole: its end comes before its engine does. The engine for whole buffers takes it, which is
//! faster and, for a kilobyte, does not begin by clearing a third of a megabyte.
//!
//! What is asked of such a stream afterwards (`deflateUsed`, `deflateGetDictionary`) is answered from its plain text, which is
//! kept as the window.

use std::ffi::c_int;

use warpdrive::Reason;

use super::{Deflate, Mode};
use crate::abi::io::Io;
use crate::abi::next::{Inflater, OutOfMemory, Settings};
use crate::abi::{Z_BINARY, Z_BLOCK, Z_OK, Z_TEXT, Z_UNKNOWN, whole};
use crate::accelerator::Accelerator;
use crate::{bound, wrapper};

/// Below this many bytes the stream engine is as fast (docs/performance.md, "Short streams").
const LEAST_BYTES: usize = 256;
/// Bytes of zlib's header and trailer, which `compressBound` counts and raw data have not.
const ZLIB_WRAPPER_BYTES: usize = 6;

impl<A: Accelerator> Deflate<A> {
    /// Ends an undecided stream that software shall do, for `reason`, with all of its plain text. False: it is not for this
    /// engine; its input may have moved into the fifo.
    pub(super) fn finish_whole(&mut self, io: &mut Io<'_>, reason: Reason) -> Result<bool, OutOfMemory> {
        let Settings { level, window_bits, mem_level, strategy } = self.parameters.settings;
        let len = self.fifo.len().saturating_add(io.avail_in());
        // No distance can be longer than the window; and zlib would make one block of it, by which it judges `data_type`.
        let most = (1 << window_bits).min((1 << (mem_level + 6)) - 1);
        let plain = level != 0 && strategy == 0 && self.tune.is_none() && !self.has_dictionary;
        if !plain || !self.window.is_empty() || !(LEAST_BYTES..=most).contains(&len) {
            return Ok(false);
        }
        self.take(io, usize::MAX)?;
        // The least of zlib's bounds holds for all parameters.
        let limit = bound::of_compress(len) - ZLIB_WRAPPER_BYTES;
        let room = self.pending.reserve(limit + wrapper::TRAILER_MAX_BYTES);
        if room.is_err() || !whole::compress_raw(level, &self.fifo, limit, self.pending.queue()) {
            return Ok(false);
        }
        self.tally.begin(reason);
        self.count(len);
        if self.data_type == Z_UNKNOWN {
            self.data_type = data_type(&self.fifo);
        }
        self.window = std::mem::take(&mut self.fifo);
        (self.mode, self.whole_level) = (Mode::Resting, level);
        self.close();
        Ok(true)
    }
}

/// Text or not, by zlib's rule (trees.c, `detect_data_type`) for a first block of these bytes: the first of each kind is always
/// a literal.
fn data_type(bytes: &[u8]) -> c_int {
    // 0 to 6, 14 to 25, 28 to 31: never in text.
    const BLOCKED: u32 = 0xf3ff_c07f;
    let control = bytes.iter().filter(|&&byte| byte < 32).fold(0_u32, |seen, &byte| seen | 1 << byte);
    let textual = bytes.iter().any(|&byte| byte >= 32 || matches!(byte, b'\t' | b'\n' | b'\r'));
    if control & BLOCKED == 0 && textual { Z_TEXT } else { Z_BINARY }
}

/// Bits used of the last byte of `plain`, compressed at `level`. Done again, for the library does not tell and few ask: 8, which
/// is always safe to append after, when there is no memory for it.
pub(super) fn bits_used(plain: &[u8], level: c_int) -> c_int {
    let (mut packed, mut room) = (Vec::new(), Vec::new());
    if room.try_reserve_exact(plain.len() + 1).is_err() {
        return 8;
    }
    room.resize(plain.len() + 1, 0);
    let Ok(mut decoder) = Inflater::new(-15) else { return 8 };
    if !whole::compress_raw(level, plain, bound::of_compress(plain.len()), &mut packed) {
        return 8;
    }
    let mut io = Io::from_slices(&packed, &mut room);
    // Stops at every block's end; 64 is the last one's.
    while decoder.run(&mut io, Z_BLOCK).0 == Z_OK {
        if decoder.data_type() & 64 != 0 && decoder.data_type() & 128 != 0 {
            return 8 - (decoder.data_type() & 7);
        }
    }
    8
}
