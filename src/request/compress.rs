//! Compression requests.

use std::sync::Arc;

/// What surrounds the deflate data. The header is always the caller's; the device checks the trailer of `Zlib` and
/// `Gzip` when it inflates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrapper {
    /// Bare deflate data (RFC 1951).
    Raw,
    /// Adler-32 trailer, big-endian (RFC 1950).
    Zlib,
    /// CRC-32 and ISIZE trailer, little-endian (RFC 1952).
    Gzip,
}

/// History the device may refer back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// 4 KiB.
    K4,
    /// 8 KiB.
    K8,
    /// 16 KiB.
    K16,
    /// 24 KiB.
    K24,
    /// 32 KiB.
    K32,
}

/// One independent segment of a deflate stream: no history before it, ends byte-aligned after a sync flush, no final
/// block, no header, no trailer. Segments concatenate.
#[derive(Clone, Debug)]
pub struct DeflateSegment {
    /// Plain text, `1..=`[`DeflateSegment::MAX_LEN_BYTES`] bytes. Shared with the device until it is done, so that the
    /// software fallback can read it too.
    pub input: Arc<Vec<u8>>,
    /// History size.
    pub window: Window,
}

impl DeflateSegment {
    /// 8/9 of the device's 8 MiB output limit, rounded down to 4.
    pub const MAX_LEN_BYTES: usize = 7_456_540;
}

/// What the device made of a [`DeflateSegment`].
#[derive(Debug)]
pub struct DeflatedSegment {
    /// Raw deflate data, non-final, ending in `00 00 FF FF`.
    pub bytes: Vec<u8>,
}

/// A whole deflate body in one piece, after its header.
#[derive(Debug)]
pub struct InflateBody<'a> {
    /// Deflate data and trailer, from the first byte after the header; anything may follow. At most 8 MiB.
    pub input: &'a [u8],
    /// Where the plain text goes; at most 8 MiB.
    pub output: &'a mut [u8],
    /// Which trailer to expect and verify.
    pub wrapper: Wrapper,
}

/// What the device made of an [`InflateBody`]. The end of the stream was reached and its trailer matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inflated {
    /// Bytes used of `input`, trailer included.
    pub consumed: usize,
    /// Bytes written to `output`.
    pub produced: usize,
}
