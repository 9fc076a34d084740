//! Bodies inflated piece by piece. The played device keeps its whole state in the context it is lent, as hardware does.

#![expect(clippy::cast_possible_truncation, reason = "test data is small")]

use super::*;
use crate::request::compress::{InflatePiece, InflateStream, InflatedPiece};

/// Bytes behind the final block, by request type.
const TRAILER_LEN: [usize; 4] = [0, 0, 4, 8];
/// Where the played device keeps how much of a block is left, and what it is in: 64 bytes into the context.
const STATE_LEN: usize = 8;

fn dword(bytes: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(bytes[index * 4..][..4].try_into().unwrap())
}

fn address(bytes: &[u8], index: usize) -> u64 {
    u64::from(dword(bytes, index)) | u64::from(dword(bytes, index + 1)) << 32
}

fn set(bytes: &mut [u8], index: usize, value: u32) {
    bytes[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
}

/// Answers a descriptor of a stream made of stored blocks and a trailer that nobody checks. Running length and "checksum"
/// (the sum of all bytes) travel in the descriptor.
fn serve(descriptor: &mut [u8]) {
    let bits = dword(descriptor, 7);
    assert_eq!(bits >> 26 & 1, 1, "stateful");
    let first = bits >> 27 & 1 == 1;
    let context = address(descriptor, 22);
    if first {
        assert!(device_view::read(context, 1000).iter().all(|&byte| byte == 0), "a fresh context");
        assert_eq!([15, 28, 29, 30, 31].map(|index| dword(descriptor, index)), [0; 5]);
    } else {
        assert_eq!(dword(descriptor, 15), 0xabcd_0000, "words travel");
    }
    let state = device_view::read(context, STATE_LEN);
    let (mut left, mut last) = (dword(&state, 0) as usize, state[4] == 1);
    let input = device_view::read(address(descriptor, 18), dword(descriptor, 4) as usize);
    let room = dword(descriptor, 14) as usize;
    let trailer = TRAILER_LEN[dword(descriptor, 9) as usize & 0xff];
    let (mut out, mut used, mut status) = (Vec::new(), 0, 0);
    loop {
        let take = left.min(input.len() - used).min(room - out.len());
        out.extend_from_slice(&input[used..used + take]);
        used += take;
        left -= take;
        if left != 0 {
            break;
        }
        let rest = &input[used..];
        if last {
            if rest.len() >= trailer {
                used += trailer;
                status = 0x113;
            }
            break;
        }
        if rest.len() < 5 {
            break;
        }
        if rest[0] > 1 {
            set(descriptor, 3, 0x21);
            return;
        }
        last = rest[0] == 1;
        left = usize::from(u16::from_le_bytes([rest[1], rest[2]]));
        used += 5;
    }
    device_view::write(address(descriptor, 20), &out);
    let mut state = vec![0; STATE_LEN];
    state[..4].copy_from_slice(&(left as u32).to_le_bytes());
    state[4] = u8::from(last);
    device_view::write(context, &state);
    let sum = out.iter().fold(dword(descriptor, 31), |sum, &byte| sum.wrapping_add(u32::from(byte)));
    let len = dword(descriptor, 30).wrapping_add(out.len() as u32);
    for (index, value) in
        [(0, used as u32), (1, out.len() as u32), (3, status), (15, 0xabcd_0000), (30, len), (31, sum)]
    {
        set(descriptor, index, value);
    }
}

fn complete(device: &FakeDevice, mut submission: Submission, class: u16) {
    if submission.descriptor.len() == 128 && dword(&submission.descriptor, 7) >> 26 & 1 == 1 && class == 1 {
        serve(&mut submission.descriptor);
    } else {
        model::serve(&mut submission.descriptor, class);
    }
    device.complete(submission.slot, &submission.descriptor);
}

fn body(plain: &[u8], trailer: usize) -> Vec<u8> {
    let mut body = model::stored(plain, true);
    body.resize(body.len() + trailer, 0x77);
    body
}

fn piece(input: &[u8], room: usize) -> InflatePiece {
    InflatePiece { input: Arc::new(input.to_vec()), output: vec![0; room] }
}

/// Goes on from `(used, text)` to the end of the stream; true when it got there in hardware.
fn finish(
    core: &Core,
    stream: &mut InflateStream,
    input: &[u8],
    used: &mut usize,
    text: &mut Vec<u8>,
    (give, room): (usize, usize),
) -> bool {
    for _ in 0..10_000 {
        let end = (*used + give).min(input.len());
        let Ok(done) = core.inflate_piece(stream, piece(&input[*used..end], room), |_| true) else {
            return false;
        };
        assert_eq!(done.output.len(), room, "the buffer comes back whole");
        text.extend_from_slice(&done.output[..done.produced]);
        *used += done.consumed;
        if done.ended {
            return true;
        }
    }
    panic!("no end");
}

#[test]
fn pieces_of_any_size_make_the_whole_on_every_device() {
    let plain: Vec<u8> = (0..=252).cycle().take(300_000).collect();
    for (device, wrapper, trailer) in
        [(zip_v2(), Wrapper::Zlib, 4), (zip_v2(), Wrapper::Gzip, 8), (zip_v3(), Wrapper::Raw, 0)]
    {
        let lab = Lab::new(vec![device]);
        lab.behave(complete);
        let core = lab.core(HARDWARE);
        let mut input = body(&plain, trailer);
        let len = input.len();
        input.extend(b"what follows");
        for sizes in [(1000, 4096), (1 << 20, 200), (1 << 20, 1 << 20), (70_000, 30_000)] {
            let mut stream = InflateStream::new(wrapper);
            let (mut used, mut text) = (0, Vec::new());
            assert!(finish(&core, &mut stream, &input, &mut used, &mut text, sizes));
            assert_eq!(used, len, "{wrapper:?} {sizes:?}");
            assert!(text == plain);
        }
        let row = core.counters.totals().algorithms.remove("inflate").unwrap();
        assert!(row.hardware > 300 + 1500 + 1, "one count for each piece: {row:?}");
        assert_eq!(row.hardware_bytes, 4 * plain.len() as u64);
        assert_eq!(counts(&core, "inflate").1, vec![]);
    }
}

#[test]
fn a_failed_piece_is_tried_again_and_leaves_the_stream_as_it_was() {
    type Misdeed = fn(&FakeDevice, Submission);
    let misdeeds: [(&str, &str, Misdeed); 4] = [
        // A device that wrote output and context, and never said so.
        ("lost", "time-out", |_, mut submission| serve(&mut submission.descriptor)),
        ("stopped", "reset", |device, mut submission| {
            serve(&mut submission.descriptor);
            device.set_status(1, 1);
        }),
        ("wrong type", "device-error", |device, mut submission| {
            serve(&mut submission.descriptor);
            submission.descriptor[36] ^= 1;
            device.complete(submission.slot, &submission.descriptor);
        }),
        ("too long", "device-error", |device, mut submission| {
            serve(&mut submission.descriptor);
            set(&mut submission.descriptor, 1, 1 << 24);
            device.complete(submission.slot, &submission.descriptor);
        }),
    ];
    let plain: Vec<u8> = (0..=250).cycle().take(200_000).collect();
    let input = body(&plain, 4);
    for (name, reason, misdeed) in misdeeds {
        for two_devices in [true, false] {
            let mut devices = vec![zip_v2()];
            if two_devices {
                devices.push(found("hisi_zip-9", 2, &["zlib", "gzip"]));
            }
            let lab = Lab::new(devices);
            lab.behave(complete);
            let core = impatient(&lab);
            let mut stream = InflateStream::new(Wrapper::Zlib);
            let first = core.inflate_piece(&mut stream, piece(&input[..50_000], 1 << 20), |_| true).unwrap();
            let (mut used, mut text) = (first.consumed, first.output[..first.produced].to_vec());
            let (context, carried) = (stream.context.clone(), stream.carried);

            let failed_once = AtomicBool::new(false);
            lab.behave(move |device, submission, class| {
                let piece = class == 1 && dword(&submission.descriptor, 7) >> 26 & 1 == 1;
                if piece && !(two_devices && failed_once.swap(true, Ordering::Relaxed)) {
                    misdeed(device, submission);
                } else {
                    complete(device, submission, class);
                }
            });
            let answer = core.inflate_piece(&mut stream, piece(&input[used..], 1 << 20), |_| true);
            if two_devices {
                let done = answer.unwrap();
                assert!(done.ended && text.len() + done.produced == plain.len(), "{name}");
                text.extend_from_slice(&done.output[..done.produced]);
                assert!(text == plain, "{name}");
                assert_eq!(counts(&core, "inflate"), (2, vec![]), "{name}: one count for both attempts");
                continue;
            }
            assert_eq!(answer.unwrap_err().name(), reason, "{name}");
            assert_eq!(counts(&core, "inflate"), (1, only(reason, 1)), "{name}");
            assert!(stream.context == context && stream.carried == carried, "{name}: nothing spoiled");
            lab.behave(complete);
            wait_until(|| finish(&core, &mut stream, &input, &mut used, &mut text, (20_000, 30_000)));
            assert!(text == plain && used == input.len(), "{name}");
        }
    }
}

#[test]
fn damaged_bodies_and_wrong_answers_are_told_apart() {
    let lab = Lab::new(vec![zip_v2()]);
    lab.behave(complete);
    let core = impatient(&lab);
    let mut stream = InflateStream::new(Wrapper::Gzip);
    let answer = core.inflate_piece(&mut stream, piece(b"no blocks here", 1000), |_| true);
    assert_eq!(answer.unwrap_err(), Reason::Refused);
    let input = body(b"text", 8);
    let seen = |done: &InflatedPiece| {
        assert_eq!((&done.output[..done.produced], done.ended), (&b"text"[..], true));
        // The sum, as if it were the device's own form of a CRC.
        assert_eq!(
            done.checksum,
            Some((!b"text".iter().map(|&byte| u32::from(byte)).sum::<u32>()).reverse_bits())
        );
        false
    };
    let answer = core.inflate_piece(&mut stream, piece(&input, 1000), seen);
    assert_eq!(answer.unwrap_err(), Reason::WrongResult);
    assert!(stream.is_fresh());
    let mut expected = only("refused", 1);
    expected.extend(only("wrong-result", 1));
    assert_eq!(counts(&core, "inflate"), (0, expected));
}

#[test]
fn pieces_that_no_descriptor_holds_are_not_sent() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = lab.core(HARDWARE);
    let mut stream = InflateStream::new(Wrapper::Zlib);
    for bad in [piece(&[0; 10], 199), piece(&[], (8 << 20) + 1), piece(&vec![0; (8 << 20) + 1], 1000)] {
        assert_eq!(core.inflate_piece(&mut stream, bad, |_| true).unwrap_err(), Reason::Unsupported);
    }
    // Raw deflate is not the older device's.
    let mut stream = InflateStream::new(Wrapper::Raw);
    assert_eq!(
        core.inflate_piece(&mut stream, piece(&[3, 0], 1000), |_| true).unwrap_err(),
        Reason::Unsupported
    );
    assert_eq!(lab.opens(), 0);
}

#[test]
fn a_stream_under_way_is_the_device_s_whatever_it_costs() {
    let lab = Lab::new(vec![zip_v2()]);
    lab.behave(complete);
    let core = lab.core("");
    let plain = vec![5; 200_000];
    let input = body(&plain, 4);
    let mut stream = InflateStream::new(Wrapper::Zlib);
    let small = core.inflate_piece(&mut stream, piece(&input[..1000], 5000), |_| true);
    assert_eq!(small.unwrap_err(), Reason::Small);
    let (mut used, mut text) = (0, Vec::new());
    let first = core.inflate_piece(&mut stream, piece(&input[..70_000], 1 << 20), |_| true).unwrap();
    used += first.consumed;
    text.extend_from_slice(&first.output[..first.produced]);
    assert!(finish(&core, &mut stream, &input, &mut used, &mut text, (100, 1000)), "small pieces later on");
    assert!(text == plain);
}
