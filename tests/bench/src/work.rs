//! The work: streams in chunks, whole buffers, small ones, checksums.

use crate::contest::Player;
use crate::engines::{Format, Libdeflate, Stream, Sum, Zlib};

const Z_NO_FLUSH: i32 = 0;
pub const Z_SYNC_FLUSH: i32 = 2;
const Z_FINISH: i32 = 4;
const Z_STREAM_END: i32 = 1;

/// Room of a call's output, as most callers have it.
const ROOM: usize = 16 << 10;

/// zlib.h, compressBound: what callers allocate.
pub fn compress_bound(len: usize) -> usize {
    len + (len >> 12) + (len >> 14) + (len >> 25) + 13
}

/// How a stream is written or read: bytes of input in a call, and the flush that goes with each.
#[derive(Clone, Copy)]
pub struct Calls {
    pub format: Format,
    pub chunk: usize,
    pub flush: i32,
}

/// As most callers do.
pub const CHUNKS: Calls = Calls { format: Format::Zlib, chunk: 16 << 10, flush: Z_NO_FLUSH };

/// One stream, run through part by part.
struct Run {
    stream: Option<Stream>,
    output: Vec<u8>,
    filled: usize,
    ended: bool,
}

impl Run {
    fn new(room: usize) -> Self {
        // Written, so that no page is met for the first time while the clock runs.
        Self { stream: None, output: vec![1; room + ROOM], filled: 0, ended: false }
    }

    fn begin(&mut self, stream: Stream) {
        self.stream = Some(stream);
        self.filled = 0;
        self.ended = false;
    }

    /// Gives the stream `input` in chunks, the last one with a `last_flush`. Returns bytes produced.
    fn feed(&mut self, input: &[u8], calls: Calls, last_flush: i32) -> usize {
        let before = self.filled;
        let stream = self.stream.as_mut().expect("an open stream");
        let mut chunks = input.chunks(calls.chunk).peekable();
        while let Some(mut chunk) = chunks.next() {
            let flush = if chunks.peek().is_none() { last_flush } else { calls.flush };
            loop {
                let room = &mut self.output[self.filled..self.filled + ROOM];
                let (code, consumed, produced) = stream.run(chunk, room, flush);
                assert!(code == 0 || code == Z_STREAM_END || code == -5, "code {code}");
                chunk = &chunk[consumed..];
                self.filled += produced;
                self.ended = code == Z_STREAM_END;
                if self.ended || (chunk.is_empty() && produced < ROOM) {
                    break;
                }
            }
        }
        self.filled - before
    }

    fn end(&mut self) {
        assert!(self.ended, "the stream's end");
        self.stream = None;
    }
}

/// `input` in `pieces` equal parts.
fn part(input: &[u8], pieces: usize, piece: usize) -> &[u8] {
    let at = |piece: usize| input.len() * piece / pieces;
    &input[at(piece)..at(piece + 1)]
}

/// A deflate stream over `plain`.
pub fn deflate<'a>(
    name: &'static str,
    zlib: Zlib,
    level: i32,
    plain: &'a [u8],
    pieces: usize,
    calls: Calls,
) -> Player<'a> {
    let mut run = Run::new(2 * plain.len() + 1000);
    let play = move |piece: usize| {
        if piece == 0 {
            run.begin(Stream::deflate(zlib, level, calls.format));
        }
        let last = piece + 1 == pieces;
        let produced = run.feed(part(plain, pieces, piece), calls, if last { Z_FINISH } else { calls.flush });
        if last {
            run.end();
        }
        produced
    };
    Player { name, play: Box::new(play) }
}

/// All of a deflate stream at once.
pub fn deflated(zlib: Zlib, level: i32, plain: &[u8], calls: Calls) -> Vec<u8> {
    let mut run = Run::new(2 * plain.len() + 1000);
    run.begin(Stream::deflate(zlib, level, calls.format));
    run.feed(plain, calls, Z_FINISH);
    run.end();
    run.output.truncate(run.filled);
    run.output
}

/// An inflate stream over `packed`, which makes `len` bytes.
pub fn inflate<'a>(
    name: &'static str,
    zlib: Zlib,
    packed: &'a [u8],
    len: usize,
    pieces: usize,
    calls: Calls,
) -> Player<'a> {
    let mut run = Run::new(len);
    let play = move |piece: usize| {
        if piece == 0 {
            run.begin(Stream::inflate(zlib, calls.format));
        }
        let produced = run.feed(part(packed, pieces, piece), calls, calls.flush);
        if piece + 1 == pieces {
            run.end();
        }
        produced
    };
    Player { name, play: Box::new(play) }
}

/// `compress2` of each part of `plain`.
pub fn compress<'a>(
    name: &'static str,
    zlib: Zlib,
    level: i32,
    plain: &'a [u8],
    pieces: usize,
) -> Player<'a> {
    let mut room = vec![1; compress_bound(plain.len())];
    let play =
        move |piece: usize| zlib.compress(level, part(plain, pieces, piece), &mut room).expect("compress2");
    Player { name, play: Box::new(play) }
}

/// libdeflate's own function for the same.
pub fn compress_by_libdeflate<'a>(level: i32, plain: &'a [u8], pieces: usize) -> Player<'a> {
    let (engine, mut room) = (Libdeflate::new(level), vec![1; compress_bound(plain.len())]);
    let play = move |piece: usize| engine.compress(part(plain, pieces, piece), &mut room);
    Player { name: "libdeflate", play: Box::new(play) }
}

/// `uncompress` of each of `packed`, none of which makes more than `len` bytes.
pub fn uncompress<'a>(name: &'static str, zlib: Zlib, packed: &'a [Vec<u8>], len: usize) -> Player<'a> {
    let mut room = vec![1; len];
    let play = move |piece: usize| zlib.uncompress(&packed[piece], &mut room).expect("uncompress");
    Player { name, play: Box::new(play) }
}

/// libdeflate's own function for the same.
pub fn uncompress_by_libdeflate<'a>(packed: &'a [Vec<u8>], len: usize) -> Player<'a> {
    let (engine, mut room) = (Libdeflate::new(6), vec![1; len]);
    let play = move |piece: usize| engine.uncompress(&packed[piece], &mut room);
    Player { name: "libdeflate", play: Box::new(play) }
}

/// Compresses each part of `plain` in parts no longer than a call of its own would be worth timing.
pub fn cut(zlib: Zlib, plain: &[u8], pieces: usize) -> Vec<Vec<u8>> {
    (0..pieces)
        .map(|piece| {
            let plain = part(plain, pieces, piece);
            let mut room = vec![0; compress_bound(plain.len())];
            let len = zlib.compress(6, plain, &mut room).expect("compress2");
            room.truncate(len);
            room
        })
        .collect()
}

/// What is done over and over with something small.
#[derive(Clone, Copy, PartialEq)]
pub enum Small {
    Compress,
    Uncompress,
    /// `deflateInit`, one `deflate` with everything and `Z_FINISH`, `deflateEnd`.
    Deflate,
    /// The same with `deflateReset` in place of begin and end.
    DeflateAgain,
    /// `inflateInit`, one `inflate`, `inflateEnd`.
    Inflate,
    InflateAgain,
    /// `deflateInit` and `deflateEnd`.
    DeflateNothing,
    InflateNothing,
}

/// Buffers of one length, plain and compressed.
pub struct Samples {
    plain: Vec<Vec<u8>>,
    packed: Vec<Vec<u8>>,
    len: usize,
}

impl Samples {
    /// `count` buffers of `len` bytes from all over `text`.
    pub fn new(text: &[u8], len: usize, count: usize, system: Zlib) -> Self {
        let step = (text.len() - len) / count;
        let plain: Vec<_> = (0..count).map(|at| text[at * step..at * step + len].to_vec()).collect();
        let packed = plain
            .iter()
            .map(|plain| {
                let mut room = vec![0; compress_bound(len)];
                let filled = system.compress(6, plain, &mut room).expect("compress2");
                room.truncate(filled);
                room
            })
            .collect();
        Self { plain, packed, len }
    }
}

/// A small thing done `repeats` times with each of the samples.
pub fn small<'a>(
    name: &'static str,
    zlib: Zlib,
    what: Small,
    level: i32,
    samples: &'a Samples,
    repeats: usize,
) -> Player<'a> {
    let mut room = vec![1; compress_bound(samples.len).max(64)];
    let mut kept = match what {
        Small::DeflateAgain => Some(Stream::deflate(zlib, level, Format::Zlib)),
        Small::InflateAgain => Some(Stream::inflate(zlib, Format::Zlib)),
        _ => None,
    };
    let mut once = move |piece: usize| -> usize {
        let (plain, packed) = (&samples.plain[piece][..], &samples.packed[piece][..]);
        let mut whole = |stream: &mut Stream, input: &[u8], flush: i32| {
            let (code, consumed, produced) = stream.run(input, &mut room, flush);
            assert_eq!((code, consumed), (Z_STREAM_END, input.len()), "{name}");
            produced
        };
        match what {
            Small::Compress => zlib.compress(level, plain, &mut room).expect("compress2"),
            Small::Uncompress => zlib.uncompress(packed, &mut room).expect("uncompress"),
            Small::Deflate => whole(&mut Stream::deflate(zlib, level, Format::Zlib), plain, Z_FINISH),
            Small::Inflate => whole(&mut Stream::inflate(zlib, Format::Zlib), packed, Z_NO_FLUSH),
            Small::DeflateAgain | Small::InflateAgain => {
                let stream = kept.as_mut().expect("a stream to use again");
                stream.reset();
                match what {
                    Small::DeflateAgain => whole(stream, plain, Z_FINISH),
                    _ => whole(stream, packed, Z_NO_FLUSH),
                }
            }
            Small::DeflateNothing => {
                drop(Stream::deflate(zlib, level, Format::Zlib));
                0
            }
            Small::InflateNothing => {
                drop(Stream::inflate(zlib, Format::Zlib));
                0
            }
        }
    };
    let play = move |piece: usize| (0..repeats).map(|_| once(piece)).sum();
    Player { name, play: Box::new(play) }
}

/// libdeflate's function for `what`, if there is one.
pub fn small_by_libdeflate<'a>(
    what: Small,
    level: i32,
    samples: &'a Samples,
    repeats: usize,
) -> Option<Player<'a>> {
    let engine = Libdeflate::new(level);
    let mut room = vec![1; compress_bound(samples.len).max(64)];
    let play: Box<dyn FnMut(usize) -> usize> = match what {
        Small::Compress => Box::new(move |piece| {
            (0..repeats).map(|_| engine.compress(&samples.plain[piece], &mut room)).sum()
        }),
        Small::Uncompress => Box::new(move |piece| {
            (0..repeats).map(|_| engine.uncompress(&samples.packed[piece], &mut room)).sum()
        }),
        _ => return None,
    };
    Some(Player { name: "libdeflate", play })
}

/// A checksum of the first `len` bytes, `repeats` times.
pub fn checksum<'a>(name: &'static str, zlib: Zlib, sum: Sum, bytes: &'a [u8], repeats: usize) -> Player<'a> {
    let play = move |_: usize| {
        (0..repeats).fold(0, |mixed, _| mixed ^ zlib.checksum(sum, std::hint::black_box(bytes)));
        bytes.len() * repeats
    };
    Player { name, play: Box::new(play) }
}

pub fn checksum_by_libdeflate<'a>(sum: Sum, bytes: &'a [u8], repeats: usize) -> Player<'a> {
    let play = move |_: usize| {
        (0..repeats).fold(0, |mixed, _| mixed ^ Libdeflate::checksum(sum, std::hint::black_box(bytes)));
        bytes.len() * repeats
    };
    Player { name: "libdeflate", play: Box::new(play) }
}
