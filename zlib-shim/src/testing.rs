//! What the streams' tests share: chance that can be repeated, data, and stock zlib as the judge.
#![expect(unsafe_code, reason = "stock zlib is C")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int};

use crate::abi::{STREAM_SIZE, Z_STREAM_ERROR};

/// Small, repeatable, good enough for choosing test cases (xorshift64*). A fuzzer's bytes decide first, one or three each.
pub(crate) struct Random {
    state: Cell<u64>,
    bytes: RefCell<std::vec::IntoIter<u8>>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let state = Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self { state, bytes: RefCell::default() }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self { bytes: RefCell::new(Vec::from(bytes).into_iter()), ..Self::new(bytes.len() as u64) }
    }

    pub(crate) fn next(&self) -> u64 {
        let mut x = self.state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.state.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&self, limit: usize) -> usize {
        let mut bytes = self.bytes.borrow_mut();
        let number = match bytes.next() {
            Some(byte) if limit <= 256 => byte.into(),
            Some(byte) => {
                let (second, third) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
                u32::from_le_bytes([byte, second, third, 0]).into()
            }
            None => self.next(),
        };
        usize::try_from(number).unwrap() % limit.max(1)
    }

    pub(crate) fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Small numbers as often as large ones.
    pub(crate) fn length(&self, limit: usize) -> usize {
        let bits = self.below(usize::BITS as usize - limit.leading_zeros() as usize + 1);
        self.below((1 << bits).min(limit) + 1)
    }
}

/// `len` bytes with repetitions near and far, runs, and noise.
pub(crate) fn sample(random: &Random, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(len + 1000);
    while bytes.len() < len {
        let at = bytes.len();
        match random.below(5) {
            0 => bytes.resize(at + 1 + random.below(600), b'z'),
            1 | 2 if at > 10 => {
                let start = at - 1 - random.below(at.min(32_000));
                let end = (start + 3 + random.below(300)).min(at);
                bytes.extend_from_within(start..end);
            }
            3 => bytes.extend((0..random.below(200)).map(|_| b"etaoin shrdlu"[random.below(13)])),
            _ => bytes.extend((0..random.below(40)).map(|_| random.next().to_le_bytes()[2])),
        }
    }
    bytes.truncate(len);
    bytes
}

/// `plain` by stock zlib; `flushes`: chance of a flush after each piece, percent.
pub(crate) fn stock_deflate(
    plain: &[u8],
    (level, window_bits, strategy): (c_int, c_int, c_int),
    dictionary: Option<&[u8]>,
    random: &Random,
    flushes: usize,
) -> Vec<u8> {
    let mut strm = blank();
    let mut packed = vec![0; plain.len() + plain.len() / 4 + 100_000];
    // SAFETY: a fresh stream, with buffers that outlive the calls and lengths that are theirs.
    unsafe {
        let size = STREAM_SIZE;
        let version = libz_sys::zlibVersion();
        assert_eq!(libz_sys::deflateInit2_(&mut strm, level, 8, window_bits, 8, strategy, version, size), 0);
        if let Some(dictionary) = dictionary {
            let len = u32::try_from(dictionary.len()).unwrap();
            assert_eq!(libz_sys::deflateSetDictionary(&mut strm, dictionary.as_ptr(), len), 0);
        }
        strm.next_out = packed.as_mut_ptr();
        strm.avail_out = u32::try_from(packed.len()).unwrap();
        for piece in plain.chunks(20_000) {
            strm.next_in = piece.as_ptr().cast_mut();
            strm.avail_in = u32::try_from(piece.len()).unwrap();
            let flush =
                if random.chance(flushes) { 1 + c_int::try_from(random.below(3)).unwrap() } else { 0 };
            assert_eq!(libz_sys::deflate(&mut strm, flush), 0);
        }
        assert_eq!(libz_sys::deflate(&mut strm, 4), 1);
        let left = strm.avail_out as usize;
        libz_sys::deflateEnd(&mut strm);
        packed.truncate(packed.len() - left);
    }
    packed
}

/// A message of either library.
pub(crate) fn text(message: *mut c_char) -> Option<String> {
    if message.is_null() {
        return None;
    }
    // SAFETY: both libraries' messages are C string literals.
    Some(unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned())
}

fn blank() -> libz_sys::z_stream {
    let strm = std::mem::MaybeUninit::<libz_sys::z_stream>::zeroed();
    // SAFETY: integers, pointers that may be NULL, and functions that stock zlib takes as absent when zero.
    unsafe { strm.assume_init() }
}

/// An inflate stream of stock zlib.
pub(crate) struct StockInflate(Box<libz_sys::z_stream>);

/// What a call did: code, bytes consumed, bytes produced.
pub(crate) type Did = (c_int, usize, usize);

impl StockInflate {
    pub(crate) fn new(window_bits: c_int) -> Self {
        let mut strm = Box::new(blank());
        let size = STREAM_SIZE;
        // SAFETY: a fresh stream at an address it keeps.
        let code = unsafe { libz_sys::inflateInit2_(&mut *strm, window_bits, libz_sys::zlibVersion(), size) };
        assert_eq!(code, 0);
        Self(strm)
    }

    fn lend(&mut self, input: &[u8], output: &mut [u8]) {
        self.0.next_in = input.as_ptr().cast_mut();
        self.0.avail_in = u32::try_from(input.len()).unwrap();
        self.0.next_out = output.as_mut_ptr();
        self.0.avail_out = u32::try_from(output.len()).unwrap();
    }

    pub(crate) fn inflate(&mut self, input: &[u8], output: &mut [u8], flush: c_int) -> Did {
        self.lend(input, output);
        // SAFETY: a stream of this library; the buffers live as long as the call.
        let code = unsafe { libz_sys::inflate(&mut *self.0, flush) };
        (code, input.len() - self.0.avail_in as usize, output.len() - self.0.avail_out as usize)
    }

    pub(crate) fn sync(&mut self, input: &[u8]) -> (c_int, usize) {
        self.lend(input, &mut []);
        // SAFETY: as above.
        let code = unsafe { libz_sys::inflateSync(&mut *self.0) };
        (code, input.len() - self.0.avail_in as usize)
    }

    pub(crate) fn set_dictionary(&mut self, dictionary: &[u8]) -> c_int {
        let Ok(len) = u32::try_from(dictionary.len()) else { return Z_STREAM_ERROR };
        // SAFETY: as above.
        unsafe { libz_sys::inflateSetDictionary(&mut *self.0, dictionary.as_ptr(), len) }
    }

    pub(crate) fn adler(&self) -> u64 {
        self.0.adler
    }

    pub(crate) fn message(&self) -> Option<String> {
        text(self.0.msg)
    }
}

impl StockInflate {
    /// `inflatePrime`.
    pub(crate) fn prime(&mut self, bits: c_int, value: c_int) {
        // SAFETY: as above.
        assert_eq!(unsafe { libz_sys::inflatePrime(&mut *self.0, bits, value) }, 0);
    }
}

/// What stock zlib finds in a gzip header: text, time, os, extra, name, comment, all of it read.
pub(crate) fn stock_header(packed: &[u8]) -> (c_int, u64, c_int, Vec<u8>, Vec<u8>, Vec<u8>, c_int) {
    let mut strm = StockInflate::new(31);
    let (mut extra, mut name, mut comment) = (vec![0_u8; 70_000], vec![0_u8; 5000], vec![0_u8; 5000]);
    let head = std::mem::MaybeUninit::<libz_sys::gz_header>::zeroed();
    // SAFETY: integers and pointers that may be NULL.
    let mut head = unsafe { head.assume_init() };
    (head.extra, head.extra_max) = (extra.as_mut_ptr(), 70_000);
    (head.name, head.name_max) = (name.as_mut_ptr(), 5000);
    (head.comment, head.comm_max) = (comment.as_mut_ptr(), 5000);
    // SAFETY: `head` and its buffers live until the stream is ended.
    assert_eq!(unsafe { libz_sys::inflateGetHeader(&mut *strm.0, &mut head) }, 0);
    let (code, ..) = strm.inflate(packed, &mut [0; 1], 0);
    assert!(code == 0 || code == 1 || code == -5, "{code}");
    drop(strm);
    // A field that is not there is told by a NULL in its place.
    extra.truncate(if head.extra.is_null() { 0 } else { head.extra_len as usize });
    let text = |there: *mut u8, bytes: &[u8]| {
        let text = CStr::from_bytes_until_nul(bytes).unwrap().to_bytes();
        if there.is_null() { Vec::new() } else { text.to_vec() }
    };
    let (name, comment) = (text(head.name, &name), text(head.comment, &comment));
    (head.text, head.time, head.os, extra, name, comment, head.done)
}

impl Drop for StockInflate {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, ended once.
        unsafe { libz_sys::inflateEnd(&mut *self.0) };
    }
}

/// A deflate stream of stock zlib.
pub(crate) struct StockDeflate(Box<libz_sys::z_stream>);

impl StockDeflate {
    /// Level, windowBits, memLevel, strategy.
    pub(crate) fn new((level, window_bits, mem_level, strategy): (c_int, c_int, c_int, c_int)) -> Self {
        let mut strm = Box::new(blank());
        let size = STREAM_SIZE;
        // SAFETY: a fresh stream at an address it keeps.
        let code = unsafe {
            let version = libz_sys::zlibVersion();
            libz_sys::deflateInit2_(&mut *strm, level, 8, window_bits, mem_level, strategy, version, size)
        };
        assert_eq!(code, 0);
        Self(strm)
    }

    fn lend(&mut self, input: &[u8], output: &mut [u8]) {
        self.0.next_in = input.as_ptr().cast_mut();
        self.0.avail_in = u32::try_from(input.len()).unwrap();
        self.0.next_out = output.as_mut_ptr();
        self.0.avail_out = u32::try_from(output.len()).unwrap();
    }

    fn did(&self, code: c_int, input: &[u8], output: &[u8]) -> Did {
        (code, input.len() - self.0.avail_in as usize, output.len() - self.0.avail_out as usize)
    }

    pub(crate) fn deflate(&mut self, input: &[u8], output: &mut [u8], flush: c_int) -> Did {
        self.lend(input, output);
        // SAFETY: a stream of this library; the buffers live as long as the call.
        let code = unsafe { libz_sys::deflate(&mut *self.0, flush) };
        self.did(code, input, output)
    }

    pub(crate) fn params(&mut self, input: &[u8], output: &mut [u8], level: c_int, strategy: c_int) -> Did {
        self.lend(input, output);
        // SAFETY: as above.
        let code = unsafe { libz_sys::deflateParams(&mut *self.0, level, strategy) };
        self.did(code, input, output)
    }

    pub(crate) fn data_type(&self) -> c_int {
        self.0.data_type
    }

    pub(crate) fn prime(&mut self, bits: c_int, value: c_int) -> c_int {
        // SAFETY: as above.
        unsafe { libz_sys::deflatePrime(&mut *self.0, bits, value) }
    }

    pub(crate) fn set_dictionary(&mut self, dictionary: &[u8]) -> c_int {
        let len = u32::try_from(dictionary.len()).unwrap();
        // SAFETY: as above.
        unsafe { libz_sys::deflateSetDictionary(&mut *self.0, dictionary.as_ptr(), len) }
    }

    /// # Safety
    /// As in zlib.h: it and what it points to stay until the header is written.
    pub(crate) unsafe fn set_header(&mut self, head: *mut crate::abi::gz_header) -> c_int {
        // SAFETY: the same structure (asserted in abi), and as the caller promised.
        unsafe { libz_sys::deflateSetHeader(&mut *self.0, head.cast()) }
    }

    pub(crate) fn adler(&self) -> u64 {
        self.0.adler
    }

    pub(crate) fn reset(&mut self) {
        // SAFETY: as above.
        assert_eq!(unsafe { libz_sys::deflateReset(&mut *self.0) }, 0);
    }

    /// `deflateEnd`'s code.
    pub(crate) fn end(mut self) -> c_int {
        // SAFETY: as above; not used again but by a second end, which zlib refuses.
        unsafe { libz_sys::deflateEnd(&mut *self.0) }
    }
}

impl Drop for StockDeflate {
    fn drop(&mut self) {
        // SAFETY: as above; of a stream that was ended it only says so.
        unsafe { libz_sys::deflateEnd(&mut *self.0) };
    }
}

/// Plays every input that a fuzzer once found worth keeping.
#[cfg(test)]
pub(crate) fn replay(target: &str, play: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        play(&std::fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 20, "{inputs}");
}
