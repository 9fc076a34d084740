//! What stands around deflate data: headers, checksums, trailers; and the two kinds of block the shim writes itself.

use std::ffi::c_int;

use warpdrive::request::compress::Wrapper;

use crate::abi::header::HeaderRef;
use crate::abi::whole;

/// Longest stored block (RFC 1951 §3.2.4).
const STORED_MAX: usize = 65_535;
/// An empty stored block, not final: what a sync flush ends with.
pub(crate) const SYNC_MARKER: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];
/// An empty fixed block, final, padded to a byte.
pub(crate) const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

/// The checksum a wrapper carries, at its start.
pub(crate) fn initial_checksum(wrapper: Wrapper) -> u32 {
    match wrapper {
        Wrapper::Gzip => 0,
        Wrapper::Raw | Wrapper::Zlib => 1,
    }
}

/// Continues `checksum` over `bytes`.
pub(crate) fn checksum(wrapper: Wrapper, checksum: u32, bytes: &[u8]) -> u32 {
    match wrapper {
        Wrapper::Raw => checksum,
        Wrapper::Zlib => whole::adler32(checksum, bytes),
        Wrapper::Gzip => whole::crc32(checksum, bytes),
    }
}

/// The checksum of the last `len_bytes` alone, over which a running checksum went from `before` to `after`.
pub(crate) fn part(wrapper: Wrapper, before: u32, after: u32, len_bytes: usize) -> u32 {
    /// The largest prime below 2^16 (RFC 1950 §8.2).
    const BASE: u64 = 65_521;
    let len = len_bytes as u64;
    match wrapper {
        Wrapper::Raw => after,
        // The sum of the bytes, and of the first sums, less what the part found there; both start anew.
        Wrapper::Zlib => {
            let halves = |sum: u32| (u64::from(sum & 0xffff), u64::from(sum >> 16));
            let ((first, second), (first_after, second_after)) = (halves(before), halves(after));
            let first_alone = (first_after + BASE - first + 1) % BASE;
            let found = (first + BASE - 1) % BASE * (len % BASE) % BASE;
            let second_alone = (second_after + 2 * BASE - second - found) % BASE;
            u32::try_from(second_alone << 16 | first_alone).unwrap_or(0)
        }
        // A CRC is linear: that of the whole is that of the front, moved on over the part, plus that of the part.
        Wrapper::Gzip => after ^ zlib_rs::crc32::crc32_combine(before, 0, len),
    }
}

/// Appends the zlib header (RFC 1950 §2.2), `dictionary`: id of the preset dictionary.
pub(crate) fn zlib_header(
    out: &mut Vec<u8>,
    level: c_int,
    strategy: c_int,
    window_bits: c_int,
    dictionary: Option<u32>,
) {
    let level_flags: u16 = match level {
        _ if strategy >= 2 => 0,
        ..=1 => 0,
        2..=5 => 1,
        6 => 2,
        _ => 3,
    };
    let window = u16::try_from(window_bits - 8).unwrap_or(7);
    let mut header = (8 + (window << 4)) << 8 | level_flags << 6;
    if dictionary.is_some() {
        header |= 0x20;
    }
    header += 31 - header % 31;
    out.extend_from_slice(&header.to_be_bytes());
    if let Some(id) = dictionary {
        out.extend_from_slice(&id.to_be_bytes());
    }
}

/// Appends the gzip header (RFC 1952 §2.3), with the caller's fields if there are any.
pub(crate) fn gzip_header(out: &mut Vec<u8>, level: c_int, strategy: c_int, fields: Option<&HeaderRef>) {
    const UNIX: u8 = 3;
    let extra_flags = match level {
        9 => 2,
        _ if strategy >= 2 || level < 2 => 4,
        _ => 0,
    };
    let Some(fields) = fields.map(HeaderRef::fields) else {
        out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra_flags, UNIX]);
        return;
    };
    let start = out.len();
    let flags = u8::from(fields.text)
        | u8::from(fields.header_crc) << 1
        | u8::from(fields.extra.is_some()) << 2
        | u8::from(fields.name.is_some()) << 3
        | u8::from(fields.comment.is_some()) << 4;
    out.extend_from_slice(&[0x1f, 0x8b, 8, flags]);
    out.extend_from_slice(&fields.mtime.to_le_bytes());
    out.extend_from_slice(&[extra_flags, fields.os]);
    if let Some(extra) = fields.extra {
        let len = u16::try_from(extra.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(extra);
    }
    out.extend_from_slice(fields.name.unwrap_or_default());
    out.extend_from_slice(fields.comment.unwrap_or_default());
    if fields.header_crc {
        let crc = whole::crc32(0, out.get(start..).unwrap_or_default());
        let [low, high, ..] = crc.to_le_bytes();
        out.extend_from_slice(&[low, high]);
    }
}

/// Longest zlib header, and longest trailer.
pub(crate) const ZLIB_HEADER_MAX_BYTES: usize = 6;
pub(crate) const TRAILER_MAX_BYTES: usize = 8;

/// Bytes of the gzip header, with the caller's fields if there are any.
pub(crate) fn gzip_header_len(fields: Option<&HeaderRef>) -> usize {
    10 + fields.map_or(0, gzip_header_extra_len)
}

/// Bytes the gzip header takes beyond the plain ten, for `deflateBound`.
pub(crate) fn gzip_header_extra_len(fields: &HeaderRef) -> usize {
    let fields = fields.fields();
    fields.extra.map_or(0, |extra| 2 + extra.len())
        + fields.name.map_or(0, <[u8]>::len)
        + fields.comment.map_or(0, <[u8]>::len)
        + if fields.header_crc { 2 } else { 0 }
}

/// Appends the trailer: Adler-32 big-endian, or CRC-32 and length modulo 2^32 little-endian.
#[expect(clippy::cast_possible_truncation, reason = "ISIZE is the length modulo 2^32 (RFC 1952 §2.3.1)")]
pub(crate) fn trailer(out: &mut Vec<u8>, wrapper: Wrapper, checksum: u32, len_bytes: u64) {
    match wrapper {
        Wrapper::Raw => {}
        Wrapper::Zlib => out.extend_from_slice(&checksum.to_be_bytes()),
        Wrapper::Gzip => {
            out.extend_from_slice(&checksum.to_le_bytes());
            out.extend_from_slice(&(len_bytes as u32).to_le_bytes());
        }
    }
}

/// Bytes that [`stored_blocks`] makes of `len_bytes`.
pub(crate) fn stored_len(len_bytes: usize) -> usize {
    len_bytes + 5 * len_bytes.div_ceil(STORED_MAX)
}

/// Appends `bytes` as stored blocks, none final. Starts and ends byte-aligned.
pub(crate) fn stored_blocks(out: &mut Vec<u8>, bytes: &[u8]) {
    for block in bytes.chunks(STORED_MAX) {
        let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
}

/// zlib's guess whether `bytes` are text (1) or binary (0): no control character that text never has, and at least one
/// printable or white one.
pub(crate) fn data_type(bytes: &[u8]) -> c_int {
    const NEVER_TEXT: u32 = 0xf3ff_c07f;
    let mut printable = false;
    for &byte in bytes {
        if byte < 32 && NEVER_TEXT >> byte & 1 == 1 {
            return 0;
        }
        printable |= matches!(byte, 9 | 10 | 13 | 32..);
    }
    c_int::from(printable)
}
