//! `compress*` and `uncompress*`: whole buffers.

use std::ffi::c_int;

use warpdrive::request::compress::{InflateBody, Wrapper};
use warpdrive::{Algorithm, Outcome, Reason};

use crate::abi::io::Io;
use crate::abi::whole;
use crate::abi::{
    Z_BUF_ERROR, Z_DATA_ERROR, Z_FINISH, Z_MEM_ERROR, Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_STREAM_END,
    Z_STREAM_ERROR,
};
use crate::accelerator::Core;
use crate::deflate::{Deflate, Parameters};
use crate::{bound, engines, wrapper};

/// Largest input and output of one device request.
const BODY_MAX_BYTES: usize = 8 << 20;
/// Bytes of a zlib header without dictionary (RFC 1950 §2.2).
const HEADER_BYTES: usize = 2;

/// Compresses all input into the zlib format. Returns `compress2`'s code; the caller finds the length in `io`.
pub(crate) fn compress(io: &mut Io<'_>, level: c_int) -> c_int {
    let Some(parameters) = Parameters::new(level, crate::abi::Z_DEFLATED, 15, 8, 0) else {
        return Z_STREAM_ERROR;
    };
    if io.has_null() {
        return Z_STREAM_ERROR;
    }
    let mut stream = Deflate::new(Core, parameters);
    let len_bytes = io.avail_in();
    if let (1.., Err(reason)) = (parameters.settings.level, stream.route(len_bytes, Z_FINISH)) {
        // What needs more than that is left to the stream engine, as is what does not fit: it keeps zlib's bound, and
        // knows the part that zlib would have written.
        let limit = bound::of_compress(len_bytes);
        if whole::compress_zlib(parameters.settings.level, io, limit) {
            warpdrive::note_software(Algorithm::Deflate, reason, 1, len_bytes as u64);
            return Z_OK;
        }
    }
    let code = loop {
        match stream.deflate(io, Z_FINISH) {
            Z_OK => {}
            code => break code,
        }
    };
    let _ = stream.end();
    if code == Z_STREAM_END { Z_OK } else { code }
}

/// Decompresses one zlib stream. Returns `uncompress2`'s code; lengths used are found in `io`. `room`: bytes of output the
/// caller said it has, which is 0 when `io` holds a substitute byte.
pub(crate) fn uncompress(io: &mut Io<'_>, room: usize) -> c_int {
    if io.has_null() {
        return Z_STREAM_ERROR;
    }
    // Where there is no device, asking once is enough.
    let first = warpdrive::preview(Algorithm::Inflate, io.avail_in());
    let routed = first != Err(Reason::NoDevice) && room != 0 && is_routable(io);
    if routed && uncompress_by_device(io) {
        return Z_OK;
    }
    let before = io.avail_out();
    let code = uncompress_by_engine(io, room);
    let produced = before - io.avail_out();
    let answer = if routed { warpdrive::preview(Algorithm::Inflate, produced) } else { first };
    // A routed request was counted when it was refused; its bytes are known only now.
    let requests = u64::from(!routed);
    warpdrive::note_software(
        Algorithm::Inflate,
        answer.err().unwrap_or(Reason::Unsupported),
        requests,
        produced as u64,
    );
    code
}

fn uncompress_by_engine(io: &mut Io<'_>, room: usize) -> c_int {
    let Ok(mut engine) = engines::take_inflater(15) else { return Z_MEM_ERROR };
    let code = loop {
        match engine.run(io, Z_NO_FLUSH).0 {
            Z_OK => {}
            code => break code,
        }
    };
    engines::give_inflater(engine);
    match code {
        Z_STREAM_END => Z_OK,
        Z_NEED_DICT => Z_DATA_ERROR,
        // Room was left, so it was input that ended too soon.
        Z_BUF_ERROR if io.avail_out() != 0 || room == 0 => Z_DATA_ERROR,
        code => code,
    }
}

/// Whether the core may be asked: a plain header, and lengths that one request can have.
fn is_routable(io: &Io<'_>) -> bool {
    is_plain_header(io.input())
        && io.avail_in() - HEADER_BYTES <= BODY_MAX_BYTES
        && (1..=BODY_MAX_BYTES).contains(&io.avail_out())
}

/// True: the device decompressed everything and `io` is advanced. False: nothing has happened.
fn uncompress_by_device(io: &mut Io<'_>) -> bool {
    let Some(input) = io.input().get(HEADER_BYTES..) else { return false };
    let Some(output) = io.room(BODY_MAX_BYTES) else { return false };
    let body = InflateBody { input, output, wrapper: Wrapper::Zlib };
    match warpdrive::inflate(body, |text, done| matches_trailer(text, input.get(..done.consumed)), |_| ()) {
        Outcome::Hardware(done) => {
            io.advance_in(HEADER_BYTES + done.consumed);
            io.advance_out(done.produced);
            true
        }
        Outcome::Software(()) => false,
    }
}

/// Whether `text` has the Adler-32 at the end of `body` (RFC 1950 §2.2): the device compares them too, but it is the
/// device that is doubted here, and its report of how much it wrote.
fn matches_trailer(text: &[u8], body: Option<&[u8]>) -> bool {
    let Some(trailer) = body.and_then(<[u8]>::last_chunk) else { return false };
    wrapper::checksum(Wrapper::Zlib, 1, text) == u32::from_be_bytes(*trailer)
}

/// A valid zlib header without preset dictionary.
fn is_plain_header(input: &[u8]) -> bool {
    let &[method, flags, ..] = input else { return false };
    let valid = u16::from_be_bytes([method, flags]) % 31 == 0;
    valid && method & 0x0f == 8 && method >> 4 <= 7 && flags & 0x20 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random bytes, text and runs; `size` bytes.
    fn samples(size: usize) -> [Vec<u8>; 3] {
        let mut state = size as u64 | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()[6]
        };
        let random: Vec<u8> = (0..size).map(|_| next()).collect();
        let text =
            (0..size).map(|at| b"some words, and some more of them "[(at + at / 97 * 5) % 34]).collect();
        [random, text, vec![7; size]]
    }

    fn back(packed: &[u8], len: usize) -> Vec<u8> {
        let mut plain = vec![0; len + 1];
        let mut io = Io::from_slices(packed, &mut plain);
        assert_eq!(uncompress(&mut io, len + 1), Z_OK);
        assert_eq!(io.avail_in(), 0);
        let left = io.avail_out();
        plain.truncate(len + 1 - left);
        plain
    }

    #[test]
    fn every_level_keeps_the_classic_bound_and_the_rules_of_compress2() {
        for size in [0, 1, 2, 5, 100, 4_999, 5_000, 16_383, 65_535, 65_537, 300_000] {
            for plain in samples(size) {
                for level in -1..=9 {
                    let bound = bound::of_compress(size);
                    let mut room = vec![0xaa; bound + 1000];
                    let mut io = Io::from_slices(&plain, &mut room);
                    assert_eq!(compress(&mut io, level), Z_OK);
                    let produced = bound + 1000 - io.avail_out();
                    assert!(produced <= bound, "{size} at {level}: {produced} above {bound}");
                    assert!(back(&room[..produced], size) == plain);

                    let mut exact = vec![0; bound];
                    assert_eq!(compress(&mut Io::from_slices(&plain, &mut exact), level), Z_OK);
                    // Too little room: filled to its end. (Of what repeats itself the stream engine makes less.)
                    let little = produced / 2;
                    let mut io = Io::from_slices(&plain, &mut exact[..little]);
                    match compress(&mut io, level) {
                        Z_OK => assert!(produced < 100 + size / 4, "{size} at {level}"),
                        code => assert_eq!((code, io.avail_out()), (Z_BUF_ERROR, 0), "{size} at {level}"),
                    }
                }
            }
        }
        assert_eq!(compress(&mut Io::from_slices(b"x", &mut [0; 100]), 10), Z_STREAM_ERROR);
        assert_eq!(compress(&mut Io::from_slices(b"x", &mut [0; 100]), -2), Z_STREAM_ERROR);
    }
}
