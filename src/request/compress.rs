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

/// A checksum of plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// RFC 1950 §8.
    Adler32,
    /// RFC 1952 §8.
    Crc32,
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
    /// What the device shall compute over the plain text it reads, where it can.
    pub checksum: Option<Checksum>,
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
    /// The checksum that was asked for, of the plain text as the device read it; `None` from a device that has none.
    pub checksum: Option<u32>,
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

/// A deflate body that is inflated piece by piece, with everything the device needs to go on: a piece may go to any queue of
/// any device of the same kind, and a piece that failed leaves this as it was.
///
/// Memory: [`InflateStream::LEN_BYTES`] once the first piece was answered.
#[derive(Clone, Debug)]
pub struct InflateStream {
    pub(crate) wrapper: Wrapper,
    /// The device's memory of the stream (`zip §2.1`); empty before the first piece.
    pub(crate) context: Vec<u8>,
    pub(crate) carried: Carried,
}

impl InflateStream {
    /// Bytes of the device's memory of a stream.
    pub const LEN_BYTES: usize = 65_536;
    /// Most bytes of input, and most of output, in one piece: 8 MiB (`zip §3.1`).
    pub const PIECE_MAX_BYTES: usize = 8 << 20;

    /// A stream at the first byte after its header. `wrapper`: the trailer to expect and verify.
    pub fn new(wrapper: Wrapper) -> Self {
        Self { wrapper, context: Vec::new(), carried: Carried::default() }
    }

    /// The trailer to expect.
    pub fn wrapper(&self) -> Wrapper {
        self.wrapper
    }

    /// What stands in for a device in a front door's tests keeps its state here, as the device does: a failed piece leaves
    /// it, a copied stream has its own.
    #[doc(hidden)]
    pub fn context_mut(&mut self) -> &mut Vec<u8> {
        &mut self.context
    }

    /// No piece was answered yet.
    pub fn is_fresh(&self) -> bool {
        self.context.is_empty()
    }
}

/// What travels in the descriptor from piece to piece (`zip §2.2`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Context words 0 to 2 (`zip §2.3`).
    pub(crate) words: [u32; 3],
    /// Running length modulo 2^32.
    pub(crate) len: u32,
    /// Running checksum in the device's encoding (`zip §2.6`).
    pub(crate) checksum: u32,
}

/// One piece of an [`InflateStream`].
#[derive(Debug)]
pub struct InflatePiece {
    /// What follows the bytes consumed so far; 0 bytes where only output is owed. Shared with the device until it is done.
    pub input: Arc<Vec<u8>>,
    /// Its length is the room for plain text: 200 bytes or more (`zip §3.2`). What it holds does not matter.
    pub output: Vec<u8>,
}

/// What the device made of an [`InflatePiece`].
#[derive(Debug)]
pub struct InflatedPiece {
    /// The piece's output; plain text in its first `produced` bytes.
    pub output: Vec<u8>,
    /// Bytes used of the input, trailer included.
    pub consumed: usize,
    /// Bytes of plain text.
    pub produced: usize,
    /// The stream is complete and its trailer matched.
    pub ended: bool,
    /// More plain text may come without more input.
    pub owes: bool,
    /// The body has ended, its trailer is not complete and was not compared.
    pub in_trailer: bool,
    /// Checksum of all plain text so far as the device reports it: Adler-32 or CRC-32; `None` for [`Wrapper::Raw`].
    pub checksum: Option<u32>,
}
