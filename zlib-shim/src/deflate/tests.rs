//! The routing machine against a scripted accelerator, judged by stock zlib.
#![expect(unsafe_code, reason = "stock zlib is C")]

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;

use warpdrive::config::Verify;
use warpdrive::request::compress::{Checksum, DeflateSegment, DeflatedSegment, Window, Wrapper};
use warpdrive::{Outcome, Reason};

use super::{Deflate, Mode, Parameters, THRESHOLD_BYTES};
use crate::abi::io::Io;
use crate::abi::next::{Deflater, Settings};
use crate::abi::{
    Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_FINISH, Z_FULL_FLUSH, Z_NO_FLUSH, Z_OK, Z_STREAM_END,
    Z_STREAM_ERROR, Z_SYNC_FLUSH,
};
use crate::accelerator::Accelerator;
use crate::{small, wrapper};

/// Small, repeatable, good enough for choosing test cases (xorshift64*).
struct Random(Cell<u64>);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit.max(1)
    }

    fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Small numbers as often as large ones.
    fn length(&self, limit: usize) -> usize {
        let bits = self.below(usize::BITS as usize - limit.leading_zeros() as usize + 1);
        self.below((1 << bits).min(limit) + 1)
    }
}

#[derive(Default)]
struct Counts {
    hardware: u64,
    software: u64,
    /// Answers that failed their check.
    wrong: u64,
    doubts: u64,
    noted: Vec<(Reason, u64, u64)>,
}

impl Counts {
    fn noted(&self, reason: Reason) -> u64 {
        self.noted.iter().filter(|n| n.0 == reason).map(|n| n.2).sum()
    }

    fn bytes(&self) -> u64 {
        self.hardware + self.software + self.noted.iter().map(|n| n.2).sum::<u64>()
    }
}

/// What the accelerator does wrong without a word.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    None,
    /// One bit of its output.
    Output,
    /// It read other plain text.
    Checksum,
}

/// An accelerator made of the software engine.
#[derive(Clone)]
struct Fake {
    random: Rc<Random>,
    counts: Rc<RefCell<Counts>>,
    /// `preview`'s answer.
    route: Result<(), Reason>,
    failing_percent: usize,
    expanding_percent: usize,
    lie: Lie,
    verify: Verify,
    parallel: usize,
    min_bytes: usize,
    stream_bytes: usize,
    /// The device knows windows below 32 KiB.
    narrow: bool,
    most_ahead: Rc<Cell<usize>>,
    /// Inputs that a timed-out device still reads.
    held: Rc<RefCell<Vec<Arc<Vec<u8>>>>>,
}

impl Fake {
    fn new(seed: u64) -> Self {
        Self {
            random: Rc::new(Random::new(seed)),
            counts: Rc::default(),
            route: Ok(()),
            failing_percent: 0,
            expanding_percent: 0,
            lie: Lie::None,
            verify: Verify::Crc,
            parallel: 1,
            min_bytes: THRESHOLD_BYTES,
            stream_bytes: 16 << 20,
            narrow: false,
            most_ahead: Rc::default(),
            held: Rc::default(),
        }
    }
}

impl Accelerator for Fake {
    type InFlight = DeflateSegment;

    fn preview(&self, window: Window, _: usize) -> Result<(), Reason> {
        if self.narrow || window == Window::K32 { self.route } else { Err(Reason::Unsupported) }
    }

    fn begin(&self, segment: &DeflateSegment, ahead: usize) -> DeflateSegment {
        let len = segment.input.len();
        assert!(len != 0 && len <= DeflateSegment::MAX_LEN_BYTES && len % 4 == 0, "{len}");
        let most = self.most_ahead.get().max(ahead);
        self.most_ahead.set(most);
        segment.clone()
    }

    fn finish<S>(
        &self,
        segment: DeflateSegment,
        check: impl FnOnce(&DeflatedSegment) -> bool,
        software: impl FnOnce() -> S,
    ) -> Outcome<DeflatedSegment, S> {
        let len = segment.input.len();
        if self.random.chance(self.failing_percent) {
            if self.random.chance(50) {
                self.held.borrow_mut().push(segment.input.clone());
            }
            drop(segment);
            self.counts.borrow_mut().software += len as u64;
            return Outcome::Software(software());
        }
        let mut bytes = Vec::new();
        if self.random.chance(self.expanding_percent) {
            for piece in segment.input.chunks(1000) {
                wrapper::stored_blocks(&mut bytes, piece);
            }
            bytes.extend_from_slice(&wrapper::SYNC_MARKER);
        } else {
            let window_bits = match segment.window {
                Window::K4 => 12,
                Window::K8 => 13,
                Window::K16 => 14,
                Window::K24 | Window::K32 => 15,
            };
            let settings = Settings { level: 3, window_bits, mem_level: 8, strategy: 0 };
            let mut engine = Deflater::new(settings).unwrap();
            engine.run_to_vec(&segment.input, Z_SYNC_FLUSH, &mut bytes).unwrap();
        }
        let mut checksum = segment.checksum.map(|checksum| match checksum {
            Checksum::Adler32 => wrapper::checksum(Wrapper::Zlib, 1, &segment.input),
            Checksum::Crc32 => wrapper::checksum(Wrapper::Gzip, 0, &segment.input),
        });
        match self.lie {
            Lie::None => {}
            Lie::Output => {
                let at = self.random.below(bytes.len() - 5);
                bytes[at] ^= 1 << self.random.below(8);
            }
            Lie::Checksum => checksum = checksum.map(|checksum| checksum ^ 1),
        }
        drop(segment);
        if check(&DeflatedSegment { bytes: bytes.clone(), checksum }) {
            self.counts.borrow_mut().hardware += len as u64;
            Outcome::Hardware(DeflatedSegment { bytes, checksum })
        } else {
            let mut counts = self.counts.borrow_mut();
            counts.software += len as u64;
            counts.wrong += 1;
            drop(counts);
            Outcome::Software(software())
        }
    }

    fn verify(&self) -> Verify {
        self.verify
    }

    fn doubt(&self) {
        self.counts.borrow_mut().doubts += 1;
    }

    fn parallel(&self) -> usize {
        self.parallel
    }

    fn min_bytes(&self) -> usize {
        self.min_bytes
    }

    fn stream_bytes(&self) -> usize {
        self.stream_bytes
    }

    fn note(&self, reason: Reason, requests: u64, len_bytes: u64) {
        self.counts.borrow_mut().noted.push((reason, requests, len_bytes));
    }
}

/// Decompresses `input` with stock zlib; (code, plain text, input used).
fn stock_inflate(input: &[u8], window_bits: c_int, limit: usize) -> (c_int, Vec<u8>, usize) {
    let mut plain = vec![0_u8; limit + 1];
    let mut strm = std::mem::MaybeUninit::<libz_sys::z_stream>::zeroed();
    // SAFETY: all-zero is how zlib.h wants a z_stream before inflateInit2, which then fills the allocator in; the
    // buffers live through the calls.
    unsafe {
        let size = c_int::try_from(size_of::<libz_sys::z_stream>()).unwrap();
        assert_eq!(libz_sys::inflateInit2_(strm.as_mut_ptr(), window_bits, c"1.2.11".as_ptr(), size), 0);
        let strm = strm.assume_init_mut();
        strm.next_in = input.as_ptr().cast_mut();
        strm.avail_in = u32::try_from(input.len()).unwrap();
        strm.next_out = plain.as_mut_ptr();
        strm.avail_out = u32::try_from(plain.len()).unwrap();
        let code = libz_sys::inflate(strm, libz_sys::Z_NO_FLUSH);
        let left = strm.avail_out as usize;
        let used = input.len() - strm.avail_in as usize;
        libz_sys::inflateEnd(strm);
        plain.truncate(limit + 1 - left);
        (code, plain, used)
    }
}

fn parameters(wrapper: Wrapper, level: c_int, window_bits: c_int, strategy: c_int) -> (Parameters, c_int) {
    let window_bits = match wrapper {
        Wrapper::Raw => -window_bits,
        Wrapper::Zlib => window_bits,
        Wrapper::Gzip => window_bits + 16,
    };
    (Parameters::new(level, 8, window_bits, 8, strategy).unwrap(), window_bits)
}

fn sample(random: &Random, len: usize) -> Vec<u8> {
    let words: Vec<Vec<u8>> = (0..200)
        .map(|_| (0..2 + random.below(9)).map(|_| b'a' + u8::try_from(random.below(26)).unwrap()).collect())
        .collect();
    let kind = random.below(4);
    let mut bytes = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        match kind {
            0 => bytes.extend_from_slice(&random.next().to_le_bytes()[..5]),
            1 => {
                bytes.extend_from_slice(&words[random.below(200)]);
                bytes.push(b' ');
            }
            2 => bytes.resize(bytes.len() + 1 + random.below(500), b'z'),
            _ if random.chance(50) => bytes.extend_from_slice(&words[random.below(200)]),
            _ => bytes.extend_from_slice(&random.next().to_le_bytes()),
        }
    }
    bytes.truncate(len);
    bytes
}

/// Feeds `input` in `chunk`-sized pieces, `flush` with each, and an empty finish; output through `room` bytes.
fn run(stream: &mut Deflate<Fake>, input: &[u8], chunk: usize, flush: c_int, room: usize) -> Vec<u8> {
    let mut output = Vec::new();
    let mut buffer = vec![0_u8; room];
    let mut call = |piece: &[u8], flush: c_int| {
        let mut rest = piece;
        loop {
            let mut io = Io::from_slices(rest, &mut buffer);
            let code = stream.deflate(&mut io, flush);
            let (left_in, left_out) = (io.avail_in(), io.avail_out());
            assert!(matches!(code, Z_OK | Z_STREAM_END | Z_BUF_ERROR), "{code}");
            rest = &rest[rest.len() - left_in..];
            output.extend_from_slice(&buffer[..room - left_out]);
            match flush {
                Z_FINISH if code != Z_STREAM_END => assert_eq!(code, Z_OK),
                _ if left_out != 0 || code == Z_STREAM_END || code == Z_BUF_ERROR => {
                    assert_eq!(left_in, 0);
                    break;
                }
                _ => {}
            }
        }
    };
    for piece in input.chunks(chunk) {
        call(piece, flush);
    }
    call(&[], Z_FINISH);
    output
}

#[test]
fn small_writes_and_an_empty_finish_go_to_the_device() {
    let random = Random::new(1);
    for wrapper in [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip] {
        for chunk in [300, 16 << 10] {
            let input = sample(&random, 20_000_003);
            let fake = Fake::new(7);
            let (parameters, window_bits) = parameters(wrapper, 9, 15, 0);
            let mut stream = Deflate::new(fake.clone(), parameters);
            let output = run(&mut stream, &input, chunk, Z_NO_FLUSH, 16 << 10);
            assert_eq!(stream.end(), Z_OK);
            let (code, plain, used) = stock_inflate(&output, window_bits, input.len());
            assert_eq!((code, used), (Z_STREAM_END, output.len()));
            assert!(plain == input);
            let counts = fake.counts.borrow();
            assert_eq!(counts.bytes(), input.len() as u64);
            assert!(counts.hardware as f64 >= 0.99 * input.len() as f64);
        }
    }
}

#[test]
fn one_finish_with_everything_and_little_room() {
    let input = sample(&Random::new(3), 10_000_001);
    let fake = Fake::new(7);
    let (parameters, window_bits) = parameters(Wrapper::Zlib, 6, 15, 0);
    let mut stream = Deflate::new(fake.clone(), parameters);
    let (mut output, mut buffer, mut at) = (Vec::new(), [0_u8; 32], 0);
    loop {
        let mut io = Io::from_slices(&input[at..], &mut buffer);
        let code = stream.deflate(&mut io, Z_FINISH);
        let (left_in, left_out) = (io.avail_in(), io.avail_out());
        at = input.len() - left_in;
        output.extend_from_slice(&buffer[..32 - left_out]);
        if code == Z_STREAM_END {
            break;
        }
        assert_eq!((code, left_out), (Z_OK, 0));
    }
    let (code, plain, _) = stock_inflate(&output, window_bits, input.len());
    assert_eq!(code, Z_STREAM_END);
    assert!(plain == input);
    let counts = fake.counts.borrow();
    assert_eq!(counts.bytes(), input.len() as u64);
    assert!(counts.hardware > 9_900_000);
}

#[test]
fn a_small_stream_stays_in_software() {
    let input = sample(&Random::new(5), THRESHOLD_BYTES - 1);
    let fake = Fake::new(7);
    let (parameters, window_bits) = parameters(Wrapper::Gzip, 6, 15, 0);
    let mut stream = Deflate::new(fake.clone(), parameters);
    let output = run(&mut stream, &input, 1000, Z_NO_FLUSH, 4096);
    assert_eq!(stock_inflate(&output, window_bits, input.len()).1, input);
    assert_eq!(fake.counts.borrow().noted, [(Reason::Small, 1, input.len() as u64)]);
}

#[test]
fn without_a_device_the_engine_is_called_at_once() {
    let input = sample(&Random::new(6), 3_000_000);
    let mut fake = Fake::new(7);
    fake.route = Err(Reason::NoDevice);
    let (parameters, window_bits) = parameters(Wrapper::Raw, 6, 15, 0);
    let mut stream = Deflate::new(fake.clone(), parameters);
    let output = run(&mut stream, &input, 5000, Z_NO_FLUSH, 4096);
    assert!(stock_inflate(&output, window_bits, input.len()).1 == input);
    assert_eq!(stream.end(), Z_OK);
    let counts = fake.counts.borrow();
    assert_eq!(counts.noted(Reason::NoDevice), input.len() as u64);
    assert_eq!(counts.noted.iter().map(|n| n.1).sum::<u64>(), 1);
    assert_eq!(counts.bytes(), input.len() as u64);
}

#[test]
fn two_failures_in_a_row_end_in_software_with_nothing_lost() {
    let input = sample(&Random::new(8), 5_000_000);
    let mut fake = Fake::new(7);
    fake.failing_percent = 100;
    let (parameters, window_bits) = parameters(Wrapper::Zlib, 6, 15, 0);
    let mut stream = Deflate::new(fake.clone(), parameters);
    let output = run(&mut stream, &input, 10_000, Z_NO_FLUSH, 4096);
    assert!(stock_inflate(&output, window_bits, input.len()).1 == input);
    let counts = fake.counts.borrow();
    assert_eq!(counts.hardware, 0);
    assert!(counts.software < 1 << 20);
    assert_eq!(counts.bytes(), input.len() as u64);
}

#[test]
fn each_sync_flush_ends_in_a_marker_and_decodes() {
    let random = Random::new(9);
    for flush in [Z_SYNC_FLUSH, Z_FULL_FLUSH] {
        let fake = Fake::new(7);
        let (parameters, window_bits) = parameters(Wrapper::Zlib, 6, 15, 0);
        let mut stream = Deflate::new(fake.clone(), parameters);
        let (mut input, mut output) = (Vec::new(), Vec::new());
        let mut buffer = vec![0_u8; 2 << 20];
        for len in [100_000, 10, 0, 70_000, 300_001, 1, 1_000_000] {
            let piece = sample(&random, len);
            let mut io = Io::from_slices(&piece, &mut buffer);
            let code = stream.deflate(&mut io, flush);
            let left = io.avail_out();
            let made = &buffer[..buffer.len() - left];
            if len == 0 {
                // Nothing new to say: zlib's answer to a repeated flush.
                assert_eq!((code, made.len()), (Z_BUF_ERROR, 0));
                continue;
            }
            assert_eq!(code, Z_OK);
            assert!(made.ends_with(&[0, 0, 0xff, 0xff]));
            output.extend_from_slice(made);
            input.extend_from_slice(&piece);
            assert!(stock_inflate(&output, window_bits, input.len()).1 == input);
        }
        assert!(fake.counts.borrow().hardware > 1_400_000);
        // An explicit flush with nothing new, after a call without one, still gives a marker.
        let mut io = Io::from_slices(b"x", &mut buffer);
        assert_eq!(stream.deflate(&mut io, Z_NO_FLUSH), Z_OK);
        let mut io = Io::from_slices(&[], &mut buffer);
        assert_eq!(stream.deflate(&mut io, Z_SYNC_FLUSH), Z_OK);
        assert!(io.avail_out() < 2 << 20);
    }
}

#[test]
fn first_finish_with_bound_room_ends_the_stream() {
    let random = Random::new(10);
    for expanding in [0, 100] {
        for len in [0, 1, 100, 65_535, 65_536, 65_537, 100_000, 300_000, 1 << 20, 8_000_000] {
            for wrapper in [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip] {
                let mut fake = Fake::new(7);
                fake.expanding_percent = expanding;
                let (parameters, window_bits) = parameters(wrapper, 6, 15, 0);
                let mut stream = Deflate::new(fake.clone(), parameters);
                let input: Vec<u8> = (0..len).map(|_| random.next().to_le_bytes()[1]).collect();
                let mut buffer = vec![0_u8; stream.bound(len)];
                let room = buffer.len();
                let mut io = Io::from_slices(&input, &mut buffer);
                assert_eq!(stream.deflate(&mut io, Z_FINISH), Z_STREAM_END, "{len} bytes in {room}");
                let left = io.avail_out();
                assert!(stock_inflate(&buffer[..room - left], window_bits, len).1 == input);
            }
        }
    }
}

#[test]
fn codes_of_end() {
    let mut buffer = vec![0_u8; 1 << 20];
    let begin = || Deflate::new(Fake::new(7), parameters(Wrapper::Zlib, 6, 15, 0).0);
    assert_eq!(begin().end(), Z_OK);
    let mut stream = begin();
    stream.deflate(&mut Io::from_slices(b"abc", &mut buffer), Z_NO_FLUSH);
    assert_eq!(stream.end(), Z_DATA_ERROR);
    let mut stream = begin();
    stream.deflate(&mut Io::from_slices(b"abc", &mut buffer), Z_NO_FLUSH);
    stream.reset();
    assert_eq!(stream.end(), Z_OK);
    let mut stream = begin();
    stream.deflate(&mut Io::from_slices(&[7; 300_000], &mut buffer), Z_NO_FLUSH);
    assert_eq!(stream.end(), Z_DATA_ERROR);
}

#[test]
fn rules_after_the_end() {
    let mut buffer = vec![0_u8; 1 << 20];
    let mut stream = Deflate::new(Fake::new(7), parameters(Wrapper::Zlib, 6, 15, 0).0);
    let input = vec![b'q'; 300_000];
    assert_eq!(stream.deflate(&mut Io::from_slices(&input, &mut buffer), Z_FINISH), Z_STREAM_END);
    assert_eq!(stream.deflate(&mut Io::from_slices(&[], &mut buffer), Z_FINISH), Z_STREAM_END);
    assert_eq!(stream.deflate(&mut Io::from_slices(b"x", &mut buffer), Z_FINISH), Z_BUF_ERROR);
    assert_eq!(stream.deflate(&mut Io::from_slices(&[], &mut buffer), Z_NO_FLUSH), Z_STREAM_ERROR);
    assert_eq!(stream.deflate(&mut Io::from_slices(&[], &mut []), Z_FINISH), Z_BUF_ERROR);
}

/// A device that writes a wrong bit, and one that reads wrong plain text: the right bytes leave, from software.
#[test]
fn lies_are_found_out() {
    for (verify, lie, found) in [
        (Verify::Full, Lie::Output, true),
        (Verify::Crc, Lie::Checksum, true),
        (Verify::Crc, Lie::None, false),
        (Verify::Full, Lie::None, false),
        (Verify::Off, Lie::Checksum, false),
    ] {
        for wrapper in [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip] {
            for chunk in [50_001, 3_000_000] {
                let mut fake = Fake::new(5);
                (fake.verify, fake.lie) = (verify, lie);
                let (parameters, window_bits) = parameters(wrapper, 6, 15, 0);
                let mut stream = Deflate::new(fake.clone(), parameters);
                let input = sample(&Random::new(9), 900_000);
                let output = run(&mut stream, &input, chunk, Z_NO_FLUSH, 100_000);
                let (code, plain, used) = stock_inflate(&output, window_bits, input.len());
                assert_eq!((code, used), (Z_STREAM_END, output.len()));
                assert!(plain == input);
                let counts = fake.counts.borrow();
                assert_eq!((counts.wrong > 0, counts.doubts > 0), (found, found), "{wrapper:?} {chunk}");
                // A bit that only fills up changes nothing.
                assert!(counts.hardware == 0 || !found || lie == Lie::Output);
            }
        }
    }
}

/// One call with a large input: several segments are under way at a time, and one valid member comes out, in order.
#[test]
fn a_large_write_is_cut_for_several_queues() {
    for (len, parallel, ahead) in
        [(900_000, 4, 0), (1_100_000, 4, 1), (9_000_001, 4, 3), (9_000_001, 2, 1), (9_000_001, 1, 0)]
    {
        for room in [100_000, 12_000_000] {
            let mut fake = Fake::new(3);
            fake.parallel = parallel;
            let (parameters, window_bits) = parameters(Wrapper::Gzip, 6, 15, 0);
            let mut stream = Deflate::new(fake.clone(), parameters);
            let input = sample(&Random::new(4), len);
            let (mut output, mut buffer) = (Vec::new(), vec![0; room]);
            let mut rest = &input[..];
            loop {
                let mut io = Io::from_slices(rest, &mut buffer);
                let code = stream.deflate(&mut io, Z_FINISH);
                let (left_in, left_out) = (io.avail_in(), io.avail_out());
                rest = &rest[rest.len() - left_in..];
                output.extend_from_slice(&buffer[..room - left_out]);
                if code == Z_STREAM_END {
                    break;
                }
                assert_eq!((code, left_out), (Z_OK, 0));
            }
            assert_eq!(fake.most_ahead.get(), ahead, "{len} {parallel}");
            let (code, plain, used) = stock_inflate(&output, window_bits, len);
            assert_eq!((code, used), (Z_STREAM_END, output.len()));
            assert!(plain == input && output.len() <= stream.bound(len));
            let counts = fake.counts.borrow();
            assert!(counts.hardware >= len as u64 - 3 && counts.noted(Reason::Tail) <= 3);
        }
    }
}

/// A short stream that is given whole goes to the device as it is, from the configured length on; pieces of one do not.
#[test]
fn short_streams_given_whole_go_to_the_device() {
    for (len, chunk, hardware) in
        [(20_000, 20_000, true), (10_000, 10_000, false), (20_000, 5_000, true), (40_003, 40_003, true)]
    {
        let mut fake = Fake::new(1);
        fake.min_bytes = 16 << 10;
        let (parameters, window_bits) = parameters(Wrapper::Zlib, 6, 15, 0);
        let input = sample(&Random::new(5), len);
        for flush in [Z_NO_FLUSH, Z_SYNC_FLUSH] {
            let mut stream = Deflate::new(fake.clone(), parameters);
            *fake.counts.borrow_mut() = Counts::default();
            let output = run(&mut stream, &input, chunk, flush, 70_000);
            let (code, plain, used) = stock_inflate(&output, window_bits, len);
            assert_eq!((code, used), (Z_STREAM_END, output.len()));
            assert!(plain == input && output.len() <= stream.bound(len));
            let expected = hardware && flush == Z_NO_FLUSH;
            assert_eq!(fake.counts.borrow().hardware > 0, expected, "{len} by {chunk}, flush {flush}");
        }
    }
}

/// The budget of a stream bounds what is under way for it.
#[test]
fn little_memory_means_fewer_pieces_at_a_time() {
    for (stream_bytes, ahead) in [(1 << 20, 0), (4 << 20, 0), (64 << 20, 3)] {
        let mut fake = Fake::new(1);
        (fake.parallel, fake.stream_bytes) = (4, stream_bytes);
        let mut stream = Deflate::new(fake.clone(), parameters(Wrapper::Raw, 6, 15, 0).0);
        let input = sample(&Random::new(5), 8 << 20);
        let mut room = vec![0; 9 << 20];
        assert_eq!(stream.deflate(&mut Io::from_slices(&input, &mut room), Z_FINISH), Z_STREAM_END);
        assert_eq!(fake.most_ahead.get(), ahead, "{stream_bytes}");
        assert!(fake.counts.borrow().hardware > (8 << 20) - THRESHOLD_BYTES as u64);
    }
}

/// A window below 32 KiB is the device's if it knows how, and its reader needs no more than that.
#[test]
fn narrow_windows_go_to_devices_that_have_them() {
    let input = sample(&Random::new(2), 700_000);
    for bits in 9..=15 {
        for narrow in [false, true] {
            let mut fake = Fake::new(1);
            fake.narrow = narrow;
            let (parameters, window_bits) = parameters(Wrapper::Raw, 6, bits, 0);
            let mut stream = Deflate::new(fake.clone(), parameters);
            let output = run(&mut stream, &input, 40_000, Z_NO_FLUSH, 5_000);
            let (code, plain, _) = stock_inflate(&output, window_bits, input.len());
            assert_eq!(code, Z_STREAM_END, "{bits}");
            assert!(plain == input);
            let hardware = fake.counts.borrow().hardware > 0;
            assert_eq!(hardware, bits == 15 || (narrow && bits >= 12), "{bits}");
        }
    }
}

/// Between flushes a short stream in software holds no engine once there are many; what it compressed is its history.
#[test]
fn a_stream_that_waits_does_without_an_engine() {
    let _many: Vec<_> = (0..12)
        .map(|_| Deflater::new(Settings { level: 6, window_bits: 15, mem_level: 8, strategy: 0 }).unwrap())
        .collect();
    for wrapper in [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip] {
        for flush in [Z_SYNC_FLUSH, Z_FULL_FLUSH] {
            let mut fake = Fake::new(1);
            fake.route = Err(Reason::NoDevice);
            let (parameters, window_bits) = parameters(wrapper, 6, 15, 0);
            let mut stream = Deflate::new(fake.clone(), parameters);
            let message = sample(&Random::new(3), 90);
            let (mut output, mut buffer, mut sizes) = (Vec::new(), vec![0; 1000], Vec::new());
            let mut call = |stream: &mut Deflate<Fake>, input: &[u8], flush: c_int| {
                let mut io = Io::from_slices(input, &mut buffer);
                let code = stream.deflate(&mut io, flush);
                let left = io.avail_out();
                output.extend_from_slice(&buffer[..1000 - left]);
                sizes.push(1000 - left);
                code
            };
            for round in 0..30 {
                assert_eq!(call(&mut stream, &message, flush), Z_OK);
                assert_eq!(matches!(stream.mode, super::Mode::Resting), round < 11, "{round}");
                assert_eq!(call(&mut stream, &[], flush), Z_BUF_ERROR, "nothing new to flush");
                assert_eq!(stream.pending(), (0, 0));
                if round == 5 {
                    let copy = stream.copy().unwrap();
                    assert_eq!(std::mem::replace(&mut stream, copy).end(), Z_DATA_ERROR);
                    assert_eq!(stream.tune([8, 16, 128, 128]), Z_OK);
                }
            }
            if flush == Z_SYNC_FLUSH {
                assert!(stream.dictionary().ends_with(&message));
            }
            assert_eq!(call(&mut stream, &[], Z_FINISH), Z_STREAM_END);
            let first = sizes[0];
            let second = sizes[2];
            assert_eq!(second < first / 2, flush == Z_SYNC_FLUSH, "{sizes:?}");
            let (code, plain, used) = stock_inflate(&output, window_bits, 90 * 30);
            assert_eq!((code, used), (Z_STREAM_END, output.len()));
            assert!(plain == message.repeat(30));
            assert_eq!(fake.counts.borrow().bytes(), 90 * 30);
        }
    }
}

/// What `deflateUsed` says of the last byte is what a decoder finds there.
#[test]
fn the_bits_of_the_last_byte_are_counted() {
    for len in [0, 1, 100, 64 << 10, (64 << 10) + 1, 400_000, 400_003] {
        let mut stream = Deflate::new(Fake::new(1), parameters(Wrapper::Raw, 6, 15, 0).0);
        let input = sample(&Random::new(len as u64), len);
        let output = run(&mut stream, &input, 50_000, Z_NO_FLUSH, 30_000);
        let mut engine = crate::abi::next::Inflater::new(-15).unwrap();
        let mut room = vec![0; len + 1];
        let mut io = Io::from_slices(&output, &mut room);
        // Stops at every block's end; 64 is the last one's.
        while engine.data_type() & 64 == 0 || engine.data_type() & 128 == 0 {
            assert_eq!(engine.run(&mut io, Z_BLOCK).0, Z_OK);
        }
        assert_eq!(stream.bits_used(), 8 - (engine.data_type() & 7), "{len}");
    }
}

/// More effort never makes more of the same text, whatever the engine's own levels go with.
#[test]
fn a_long_chain_finds_more() {
    let input = sample(&Random::new(3), 300_000);
    let sizes = [None, Some([32, 258, 258, 4096])].map(|tune| {
        let fake = Fake { route: Err(Reason::NoDevice), ..Fake::new(1) };
        let mut stream = Deflate::new(fake, parameters(Wrapper::Raw, 8, 15, 0).0);
        tune.map(|tune| stream.tune(tune));
        run(&mut stream, &input, usize::MAX, Z_NO_FLUSH, 30_000).len()
    });
    assert!(sizes[1] <= sizes[0] + sizes[0] / 100, "{sizes:?}");
}

/// Short streams that come whole: every format, level and window, any room, and what may be asked at the end.
#[test]
fn short_streams_need_no_large_engine() {
    for seed in 0..400 {
        let random = Random::new(seed);
        let input = sample(&random, random.length(small::MOST_BYTES + 300));
        let wrapper = [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip][random.below(3)];
        let window = 9 + random.below(7);
        let level = 1 + c_int::try_from(random.below(9)).unwrap();
        let (parameters, window_bits) = parameters(wrapper, level, c_int::try_from(window).unwrap(), 0);
        let fake = Fake { route: Err(Reason::NoDevice), ..Fake::new(seed) };
        let mut stream = Deflate::new(fake.clone(), parameters);
        // A beginning that waits, sometimes.
        let early = if random.chance(50) { random.below(input.len().min(900) + 1) } else { 0 };
        let mut buffer = vec![0; 1 + random.length(3000)];
        let (mut rest, mut output) = (&input[..], Vec::new());
        let code = loop {
            let waits = rest.len() == input.len() && early != 0;
            let (piece, flush) = if waits { (&rest[..early], Z_NO_FLUSH) } else { (rest, Z_FINISH) };
            let mut io = Io::from_slices(piece, &mut buffer);
            let code = stream.deflate(&mut io, flush);
            rest = &rest[piece.len() - io.avail_in()..];
            let left = io.avail_out();
            output.extend_from_slice(&buffer[..buffer.len() - left]);
            if code != Z_OK {
                break code;
            }
        };
        assert_eq!((code, rest.len()), (Z_STREAM_END, 0));
        let short = input.len() <= small::MOST_BYTES.min(1 << window);
        assert_eq!(matches!(stream.mode, Mode::Undecided), short, "{} bytes, {window}", input.len());
        let (code, plain, used) = stock_inflate(&output, window_bits, input.len());
        assert_eq!((code, used), (Z_STREAM_END, output.len()));
        assert!(plain == input);
        assert!(output.len() <= stream.bound(input.len()));
        assert!(!short || stream.dictionary() == input);
        assert_eq!(stream.pending(), (0, 0));
        // Again, and a little more.
        stream.reset();
        let output = run(&mut stream, &input, usize::MAX, Z_SYNC_FLUSH, 500);
        assert!(stock_inflate(&output, window_bits, input.len()).1 == input);
        assert_eq!(stream.end(), Z_OK);
        assert_eq!(fake.counts.borrow().bytes(), 2 * input.len() as u64);
    }
}

/// Any split, any flush, any function in between, any producer for every segment: the same plain text comes back.
#[test]
fn random_switching() {
    for seed in 0..400 {
        let random = Random::new(seed + 1000);
        let mut fake = Fake::new(seed);
        fake.failing_percent = [0, 0, 20, 60, 100][random.below(5)];
        fake.expanding_percent = [0, 0, 30][random.below(3)];
        fake.verify = [Verify::Off, Verify::Crc, Verify::Full][random.below(3)];
        fake.lie = match fake.verify {
            Verify::Full if random.chance(20) => Lie::Output,
            Verify::Crc if random.chance(20) => Lie::Checksum,
            _ => Lie::None,
        };
        fake.parallel = [1, 2, 4, 64][random.below(4)];
        fake.narrow = random.chance(50);
        fake.min_bytes = [4, 16 << 10, THRESHOLD_BYTES][random.below(3)];
        fake.stream_bytes = [1 << 20, 16 << 20][random.below(2)];
        if random.chance(10) {
            fake.route = Err(Reason::NoDevice);
        }
        let wrapper = [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip][random.below(3)];
        let level = [-1, 1, 6, 9, 3, 0][random.below(if random.chance(90) { 5 } else { 6 })];
        let window = if random.chance(60) { 15 } else { 9 + c_int::try_from(random.below(7)).unwrap() };
        let strategy = if random.chance(85) { 0 } else { c_int::try_from(random.below(5)).unwrap() };
        let (parameters, window_bits) = parameters(wrapper, level, window, strategy);
        let limit = if seed % 20 == 0 { 9_000_000 } else { 1_200_000 };
        let len = random.length(limit);
        let input = sample(&random, len);
        let mut stream = Deflate::new(fake.clone(), parameters);
        let exotic = random.chance(40);
        let flushing = [0, 0, 5, 30][random.below(4)];
        let largest_chunk = [1000, 70_000, 2_000_000][random.below(3)];
        let largest_room = [20, 20_000, 2_000_000][random.below(3)].max(len / 2000);
        let mut buffer = vec![0_u8; largest_room + 1];
        let (mut output, mut at) = (Vec::new(), 0);
        let (mut idle, mut finishing, mut resets) = (0, false, 0);
        loop {
            if exotic && random.chance(5) {
                match random.below(6) {
                    0 => {
                        let level = c_int::try_from(random.below(10)).unwrap();
                        let strategy = c_int::try_from(random.below(5)).unwrap();
                        let room = random.below(buffer.len());
                        let mut io = Io::from_slices(&input[at..at], &mut buffer[..room]);
                        let code = stream.set_params(&mut io, level, strategy);
                        // zlib refuses a change that would need output after the finish.
                        let refused = code == Z_STREAM_ERROR && finishing;
                        assert!(refused || matches!(code, Z_OK | Z_BUF_ERROR), "seed {seed}: {code}");
                        let left = io.avail_out();
                        output.extend_from_slice(&buffer[..room - left]);
                    }
                    1 => {
                        let copy = stream.copy().unwrap();
                        let old = std::mem::replace(&mut stream, copy);
                        let _ = old.end();
                    }
                    2 => {
                        let window = stream.dictionary();
                        let software = matches!(stream.mode, super::Mode::Software(_));
                        assert!(input[..at].ends_with(&window), "seed {seed}: {software} {level} {strategy}");
                    }
                    3 => {
                        let _ = stream.pending();
                        assert_eq!(stream.tune([8, 16, 128, 128]), Z_OK);
                    }
                    4 if resets < 3 => {
                        resets += 1;
                        stream.reset();
                        (at, idle) = (0, 0);
                        output.clear();
                    }
                    _ => {}
                }
            }
            let take = random.length(largest_chunk).min(len - at);
            finishing = at + take == len;
            let flush = match () {
                () if finishing => Z_FINISH,
                () if random.chance(flushing) => 1 + c_int::try_from(random.below(3)).unwrap(),
                () if flushing != 0 && random.chance(1) => Z_BLOCK,
                () => Z_NO_FLUSH,
            };
            let room = 1 + random.length(largest_room - 1);
            let mut io = Io::from_slices(&input[at..at + take], &mut buffer[..room]);
            let code = stream.deflate(&mut io, flush);
            let (left_in, left_out) = (io.avail_in(), io.avail_out());
            let moved = take != left_in || room != left_out;
            at += take - left_in;
            output.extend_from_slice(&buffer[..room - left_out]);
            match code {
                Z_STREAM_END => {
                    assert!(finishing && at == len);
                    break;
                }
                Z_BUF_ERROR => assert!(!moved && take == 0, "seed {seed}"),
                _ => assert_eq!(code, Z_OK, "seed {seed}"),
            }
            // Whatever zlib says, a caller that goes on makes progress.
            idle = if moved { 0 } else { idle + 1 };
            assert!(idle < 200, "seed {seed} stalls");
        }
        let counted = fake.counts.borrow().bytes();
        assert!(counted >= len as u64, "seed {seed}: {counted} of {len} bytes counted");
        let (code, plain, used) = stock_inflate(&output, window_bits, len);
        assert_eq!((code, used), (Z_STREAM_END, output.len()), "seed {seed}");
        assert!(plain == input, "seed {seed}");
        if flushing == 0 && !exotic {
            assert!(output.len() <= stream.bound(len), "seed {seed}: {len} became {}", output.len());
        }
        assert_eq!(stream.end(), Z_OK, "seed {seed}");
    }
}
