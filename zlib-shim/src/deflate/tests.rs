//! The routing machine against a scripted accelerator, judged by stock zlib.
#![expect(unsafe_code, reason = "stock zlib is C")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod fake;

use std::ffi::c_int;

use warpdrive::Reason;
use warpdrive::config::Verify;
use warpdrive::request::compress::Wrapper;

pub(crate) use self::calls::fuzzed;
#[cfg(test)]
use self::calls::{Did, play};
use self::fake::{Counts, Fake, Lie};
use super::{Deflate, Parameters};
use crate::abi::io::Io;
use crate::abi::next::{Deflater, Settings};
use crate::abi::{
    Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_FINISH, Z_FULL_FLUSH, Z_NO_FLUSH, Z_OK, Z_STREAM_END,
    Z_STREAM_ERROR, Z_SYNC_FLUSH,
};
use crate::accelerator::DeflateLimits;
use crate::testing::{Random, StockDeflate, sample};

const THRESHOLD_BYTES: usize = DeflateLimits::PRODUCT.threshold;

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
            let moved = left_in != rest.len() || left_out != room;
            assert!(code != Z_BUF_ERROR || !moved, "an error for a call that moved something");
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

/// Perl's loop ends at the first code that is not `Z_OK`: the call in which the stream changes sides took its input.
#[test]
fn the_call_that_changes_sides_is_a_good_one() {
    let input = sample(&Random::new(8), 3_000_000);
    for seed in 0..12 {
        let mut fake = Fake::new(seed);
        (fake.failing_percent, fake.parallel) = (60, 4);
        let (parameters, window_bits) = parameters(Wrapper::Raw, 6, 15, 0);
        let mut stream = Deflate::new(fake, parameters);
        let output = run(&mut stream, &input, 16 << 10, Z_NO_FLUSH, 1 << 20);
        assert!(stock_inflate(&output, window_bits, input.len()).1 == input);
    }
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

/// A segment that is inflated again leaves bytes behind that its own device's checksum is asked for: of a healthy device
/// nothing is wrong.
#[test]
fn what_a_fully_checked_segment_leaves_keeps_its_checksum() {
    for wrapper in [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip] {
        let mut fake = Fake::new(1);
        fake.verify = Verify::Full;
        let (parameters, window_bits) = parameters(wrapper, 6, 15, 0);
        let mut stream = Deflate::new(fake.clone(), parameters);
        let input = sample(&Random::new(5), 2_100_001);
        let mut room = vec![0; 3 << 20];
        let mut io = Io::from_slices(&input[..100_001], &mut room[..100]);
        assert_eq!(stream.deflate(&mut io, Z_SYNC_FLUSH), Z_OK);
        assert_eq!(io.avail_in(), 0);
        // One segment in 64 is sampled; the next one is not.
        stream.accelerator.verify = Verify::Crc;
        let mut io = Io::from_slices(&input[100_001..], &mut room[100..]);
        assert_eq!(stream.deflate(&mut io, Z_NO_FLUSH), Z_OK);
        assert_eq!(stream.deflate(&mut io, Z_FINISH), Z_STREAM_END);
        let left = io.avail_out();
        assert_eq!((fake.counts.borrow().wrong, fake.counts.borrow().doubts), (0, 0));
        let (code, plain, _) = stock_inflate(&room[..(3 << 20) - left], window_bits, input.len());
        assert_eq!(code, Z_STREAM_END);
        assert!(plain == input);
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
                assert!(stream.dictionary().unwrap().ends_with(&message));
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

/// What `deflateUsed` says of the last byte is what a decoder finds there, whichever engine made it; and of all other fields what
/// stock zlib says.
#[test]
fn the_bits_of_the_last_byte_are_counted() {
    for len in [0, 1, 100, 300, 1000, 5000, 16_000, 64 << 10, (64 << 10) + 1, 400_000, 400_003] {
        for chunk in [50_000, 100] {
            let mut stream = Deflate::new(Fake::new(1), parameters(Wrapper::Raw, 6, 15, 0).0);
            let input = sample(&Random::new(len as u64), len);
            let output = run(&mut stream, &input, chunk, Z_NO_FLUSH, 30_000);
            let mut engine = crate::abi::next::Inflater::new(-15).unwrap();
            let mut room = vec![0; len + 1];
            let mut io = Io::from_slices(&output, &mut room);
            // Stops at every block's end; 64 is the last one's.
            while engine.data_type() & 64 == 0 || engine.data_type() & 128 == 0 {
                assert_eq!(engine.run(&mut io, Z_BLOCK).0, Z_OK);
            }
            assert_eq!(stream.bits_used(), 8 - (engine.data_type() & 7), "{len}");
            assert!(stream.dictionary().unwrap() == input[len.saturating_sub(1 << 15)..], "{len}");
        }
    }
}

/// A stream that was asked to end, and had no room to begin, is not ended.
#[test]
fn an_end_that_did_not_begin_is_an_unfinished_stream() {
    for (room, code) in [(5, Z_DATA_ERROR), (6, Z_DATA_ERROR), (1000, Z_OK)] {
        let (parameters, window_bits) = parameters(Wrapper::Gzip, 6, 13, 0);
        let mut stream = Deflate::new(Fake::new(1), parameters);
        let mut stock = StockDeflate::new((6, window_bits, 8, 0));
        let (input, mut few) = ([b'x'; 100], [0; 1000]);
        assert_eq!(stream.deflate(&mut Io::from_slices(&[], &mut few[..5]), Z_NO_FLUSH), Z_OK);
        assert_eq!(stock.deflate(&[], &mut few[..5], Z_NO_FLUSH).0, Z_OK);
        // Two bits more than a byte wait: an empty block.
        assert_eq!((stream.prime(10, 2), stock.prime(10, 2)), (Z_OK, Z_OK));
        let mut io = Io::from_slices(&input, &mut few[..room]);
        let ended = stream.deflate(&mut io, Z_FINISH);
        assert_eq!(ended, stock.deflate(&input, &mut few[..room], Z_FINISH).0, "{room}");
        assert_eq!(stream.end(), code, "{room}");
        assert_eq!(stock.end(), code, "stock, {room}");
    }
}

/// A short stream whose input comes with its end is done by the engine for whole buffers, at every level, in whatever room, and
/// what its `z_stream` says afterwards is what stock zlib's says.
#[test]
fn a_short_stream_given_whole_ends_as_stock_zlib_s_does() {
    for len in [255, 256, 257, 1000, 4095, 4096, 16_383, 16_384] {
        for level in 1..=9 {
            let text: Vec<u8> = (0..len).map(|at| b"some words, and more\n"[(at * at / 7) % 21]).collect();
            for input in [text, sample(&Random::new(len as u64), len)] {
                for (wrapper, window_bits) in [(Wrapper::Zlib, 12), (Wrapper::Raw, 15), (Wrapper::Gzip, 15)] {
                    let (parameters, raw_bits) = parameters(wrapper, level, window_bits, 0);
                    let mut fake = Fake::new(1);
                    fake.route = Err(Reason::NoDevice);
                    let mut stream = Deflate::new(fake.clone(), parameters);
                    let bound = stream.bound(len);
                    let mut packed = vec![0; bound];
                    let mut io = Io::from_slices(&input, &mut packed);
                    assert_eq!(
                        stream.deflate(&mut io, Z_FINISH),
                        Z_STREAM_END,
                        "{len} {level}: the bound is enough"
                    );
                    let left = io.avail_out();
                    packed.truncate(bound - left);

                    let mut stock = StockDeflate::new((level, raw_bits, 8, 0));
                    let mut room = vec![0; bound];
                    let (code, used, made) = stock.deflate(&input, &mut room, Z_FINISH);
                    assert_eq!((code, used), (Z_STREAM_END, len));
                    assert!(packed.len() <= made + made / 30 + 100, "{len} {level}: {} {made}", packed.len());
                    assert_eq!(stream.data_type(), stock.data_type(), "{len} {level}");
                    if wrapper != Wrapper::Raw {
                        assert_eq!(u64::from(stream.adler()), stock.adler());
                    }
                    let (code, plain, used) = stock_inflate(&packed, raw_bits, len);
                    assert_eq!((code, used), (Z_STREAM_END, packed.len()));
                    assert!(plain == input);

                    // The same bytes a few at a time, after a reset.
                    stream.reset();
                    let (mut again, mut few, mut rest) = (Vec::new(), [0; 7], &input[..]);
                    let mut code = Z_OK;
                    while code == Z_OK {
                        let mut io = Io::from_slices(rest, &mut few);
                        code = stream.deflate(&mut io, Z_FINISH);
                        let (left_in, left_out) = (io.avail_in(), io.avail_out());
                        rest = &rest[rest.len() - left_in..];
                        again.extend_from_slice(&few[..7 - left_out]);
                    }
                    assert_eq!(code, Z_STREAM_END);
                    assert!(again == packed, "{len} {level}");
                    let counts = fake.counts.borrow();
                    assert_eq!((counts.bytes(), counts.hardware), (2 * len as u64, 0));
                }
            }
        }
    }
}

/// What a call took and delivered before the device let it down is progress, whatever the engine says then.
#[test]
fn a_failing_device_is_no_reason_for_a_buffer_error() {
    let input = sample(&Random::new(12), 1_000_003);
    for parallel in [1, 4] {
        let mut fake = Fake::new(1);
        (fake.failing_percent, fake.parallel) = (100, parallel);
        let (parameters, window_bits) = parameters(Wrapper::Zlib, 6, 15, 0);
        let mut stream = Deflate::new(fake.clone(), parameters);
        let mut room = vec![0; 2_000_000];
        let mut io = Io::from_slices(&input, &mut room);
        assert_eq!(stream.deflate(&mut io, Z_NO_FLUSH), Z_OK);
        assert_eq!(io.avail_in(), 0);
        let mut made = 2_000_000 - io.avail_out();
        let mut io = Io::from_slices(&[], &mut room[made..]);
        assert_eq!(stream.deflate(&mut io, Z_FINISH), Z_STREAM_END);
        made = 2_000_000 - io.avail_out();
        assert!(stock_inflate(&room[..made], window_bits, input.len()).1 == input);
    }
}

/// An engine that is given back with output in it is not the next stream's: its room would be missing there.
#[test]
fn a_stream_left_in_the_middle_is_no_burden_to_the_next() {
    let input = sample(&Random::new(13), 5000);
    let mut fake = Fake::new(1);
    fake.route = Err(Reason::NoDevice);
    let mut stream = Deflate::new(fake, Parameters::new(0, 8, -15, 2, 0).unwrap());
    let mut room = vec![0; 10_000];
    for left_at in [1, 12, 700, 1020] {
        let mut io = Io::from_slices(&input, &mut room[..left_at]);
        assert_eq!(stream.deflate(&mut io, Z_FULL_FLUSH), Z_OK);
        stream.reset();
        let mut output = Vec::new();
        let mut rest = &input[..];
        loop {
            let mut small = [0; 11];
            let mut io = Io::from_slices(rest, &mut small);
            let code = stream.deflate(&mut io, Z_FINISH);
            rest = &rest[rest.len() - io.avail_in()..];
            let made = 11 - io.avail_out();
            output.extend_from_slice(&small[..made]);
            if code == Z_STREAM_END {
                break;
            }
            assert_eq!(code, Z_OK, "left at {left_at}");
        }
        assert!(stock_inflate(&output, -15, input.len()).1 == input);
        stream.reset();
    }
}

/// `deflatePrime` says when there is no room for more bits; the engine does not look.
#[test]
fn primed_bits_need_room() {
    for mem_level in [1, 8] {
        let mut stream = Deflate::new(Fake::new(1), Parameters::new(6, 8, -15, mem_level, 0).unwrap());
        let accepted = (0..1 << 20).take_while(|_| stream.prime(16, 0) == Z_OK).count();
        assert!((50..70_000).contains(&accepted), "{accepted}");
        // All of it is there once there is room for it again.
        let mut room = vec![0; 1 << 20];
        let mut io = Io::from_slices(&[], &mut room);
        assert_eq!(stream.deflate(&mut io, Z_SYNC_FLUSH), Z_OK);
        assert_eq!((1 << 20) - io.avail_out(), 2 * accepted + 5);
        assert_eq!(stream.prime(16, 0), Z_OK);
    }
}

#[test]
fn bits_alone_are_an_unfinished_stream() {
    let mut stream = Deflate::new(Fake::new(1), parameters(Wrapper::Raw, 6, 15, 0).0);
    let mut room = [0; 100];
    assert_eq!(stream.deflate(&mut Io::from_slices(b"abc", &mut room), Z_NO_FLUSH), Z_OK);
    assert_eq!(stream.prime(10, 2), Z_OK);
    assert_eq!(stream.deflate(&mut Io::from_slices(&[], &mut room), Z_NO_FLUSH), Z_OK);
    assert_eq!(stream.end(), Z_DATA_ERROR);
}

#[test]
fn fuzzed_calls_keep_zlib_s_rules() {
    crate::testing::replay("deflate", fuzzed);
}

/// More effort never makes more of the same text, whatever the engine's own levels go with.
#[test]
fn a_long_chain_finds_more() {
    let input = sample(&Random::new(3), 300_000);
    let sizes = [None, Some([32, 258, 258, 4096])].map(|tune| {
        let mut fake = Fake::new(1);
        fake.route = Err(Reason::NoDevice);
        let mut stream = Deflate::new(fake, parameters(Wrapper::Raw, 8, 15, 0).0);
        tune.map(|tune| stream.tune(tune));
        run(&mut stream, &input, usize::MAX, Z_NO_FLUSH, 30_000).len()
    });
    assert!(sizes[1] <= sizes[0] + sizes[0] / 100, "{sizes:?}");
}

/// Any split, any flush, any function in between, any producer for every segment, a device that comes, goes, fails and lies:
/// the same plain text comes back, and zlib's rules are kept. WARPDRIVE_DEFLATE_CASES: how many;
/// WARPDRIVE_DEFLATE_FIRST: from which on.
#[test]
fn random_calls_keep_zlib_s_rules() {
    let cases = std::env::var("WARPDRIVE_DEFLATE_CASES").map_or(3000, |text| text.parse().unwrap());
    let first = std::env::var("WARPDRIVE_DEFLATE_FIRST").map_or(0, |text| text.parse().unwrap());
    let mut all = Did::default();
    for seed in first..first + cases {
        // Every 20th stream is as long as the product's own sizes want it.
        let (tiny, longest) = match seed % 400 {
            0 => (false, 9_000_000),
            at if at % 20 == 0 => (false, 1_200_000),
            at => (at % 2 == 0, 60_000),
        };
        let did = play(&Random::new(seed), tiny, longest, &format!("seed {seed}"));
        all.streams += did.streams;
        all.calls += did.calls;
        all.hardware_bytes += did.hardware_bytes;
        all.software_bytes += did.software_bytes;
        all.bounds_checked += did.bounds_checked;
        all.codes_compared += did.codes_compared;
    }
    println!("{all:?}");
    assert!(all.hardware_bytes > all.streams * 100 && all.software_bytes > all.streams * 500, "{all:?}");
    assert!(all.bounds_checked > all.streams / 20 && all.codes_compared > all.streams, "{all:?}");
}
