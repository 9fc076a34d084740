//! Callers by hand: what goes to the device, what does not, and what either leaves behind.

use super::*;

/// `plain` as a stream of the given kind, and inflate's `windowBits` for it.
fn packed(plain: &[u8], wrapper: Wrapper) -> (Vec<u8>, c_int) {
    let bits = match wrapper {
        Wrapper::Raw => -15,
        Wrapper::Zlib => 15,
        Wrapper::Gzip => 31,
    };
    (stock_deflate(plain, (6, bits, 0), None, &Random::new(1), 0), bits)
}

const WRAPPERS: [Wrapper; 3] = [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip];

/// Gives `piece` bytes at a time, takes `room`; returns code, bytes used and output.
fn run(ours: &mut Ours, input: &[u8], piece: usize, room: usize, flush: c_int) -> (c_int, usize, Vec<u8>) {
    let (mut used, mut output, mut buffer) = (0, Vec::new(), vec![0; room]);
    loop {
        let given = &input[used..(used + piece).min(input.len())];
        let (code, consumed, produced) = ours.inflate(given, &mut buffer, flush);
        used += consumed;
        output.extend_from_slice(&buffer[..produced]);
        let goes_on = match code {
            Z_OK => true,
            Z_BUF_ERROR => consumed + produced != 0,
            _ => false,
        };
        if !goes_on {
            return (code, used, output);
        }
    }
}

#[test]
fn callers_with_much_at_hand_are_the_device_s() {
    let plain = sample(&Random::new(2), 9_000_000);
    for wrapper in WRAPPERS {
        let (mut input, bits) = packed(&plain, wrapper);
        let len = input.len();
        input.extend_from_slice(b"what follows");
        for (piece, room) in [(usize::MAX >> 1, 10 << 20), (64 << 10, 64 << 10), (1 << 20, 100_000)] {
            let fake = Fake::new(1, PRODUCT);
            let mut ours = Ours::new(&fake, bits);
            let (code, used, output) = run(&mut ours, &input, piece, room, Z_NO_FLUSH);
            assert_eq!((code, used), (Z_STREAM_END, len), "{wrapper:?} {piece} {room}");
            assert!(output == plain);
            // After the end nothing more is consumed.
            assert_eq!(ours.inflate(&input[used..], &mut [0; 10], Z_NO_FLUSH), (Z_STREAM_END, 0, 0));
            ours.stream.end();
            let counts = fake.counts.borrow();
            assert_eq!((counts.hardware, counts.requests()), (plain.len() as u64, 0));
        }
    }
}

#[test]
fn exact_room_ends_the_stream_in_the_same_call() {
    for len in [100_000, 256 << 10, (256 << 10) + 1, 3_000_000, 9_000_000] {
        // Noise and runs: the device's room ends at many kinds of places.
        for plain in [sample(&Random::new(3), len), vec![0; len]] {
            for wrapper in WRAPPERS {
                let (mut input, bits) = packed(&plain, wrapper);
                input.resize(input.len().max(70_000), 0x55);
                let fake = Fake::new(1, PRODUCT);
                let mut ours = Ours::new(&fake, bits);
                let mut output = vec![0; len];
                let (code, _, produced) = ours.inflate(&input, &mut output, Z_FINISH);
                assert_eq!((code, produced), (Z_STREAM_END, len), "{wrapper:?}");
                assert!(output == plain && fake.counts.borrow().hardware == len as u64);
            }
        }
    }
}

#[test]
fn one_call_with_everything_and_growing_room_is_promoted() {
    let plain = sample(&Random::new(4), 20_000_000);
    for wrapper in WRAPPERS {
        let (input, bits) = packed(&plain, wrapper);
        let fake = Fake::new(1, PRODUCT);
        let mut ours = Ours::new(&fake, bits);
        let (mut used, mut output) = (0, Vec::new());
        let mut room = 16 << 10;
        let code = loop {
            let mut buffer = vec![0; room];
            let (code, consumed, produced) = ours.inflate(&input[used..], &mut buffer, Z_FINISH);
            used += consumed;
            output.extend_from_slice(&buffer[..produced]);
            if code != Z_BUF_ERROR {
                break code;
            }
            room *= 2;
        };
        assert_eq!((code, used), (Z_STREAM_END, input.len()));
        assert!(output == plain);
        ours.stream.end();
        let counts = fake.counts.borrow();
        assert_eq!((counts.hardware, counts.requests()), (plain.len() as u64, 0), "{wrapper:?}");
    }
}

#[test]
fn callers_of_little_stay_in_software() {
    let plain = sample(&Random::new(5), 3_000_000);
    let (input, bits) = packed(&plain, Wrapper::Zlib);
    // Small pieces; much input and 32 bytes of room, for a look at a header; a stop at each block.
    let fake = Fake::new(1, PRODUCT);
    let mut ours = Ours::new(&fake, bits);
    let (code, _, output) = run(&mut ours, &input, 32 << 10, 32 << 10, Z_NO_FLUSH);
    assert!(code == Z_STREAM_END && output == plain);
    let mut ours = Ours::new(&fake, bits);
    let (_, consumed, produced) = ours.inflate(&input, &mut [0; 32], Z_NO_FLUSH);
    assert_eq!(produced, 32);
    assert_eq!(ours.inflate(&input[consumed..], &mut [0; 4096], Z_FINISH).0, Z_BUF_ERROR);
    ours.stream.end();
    let mut ours = Ours::new(&fake, bits);
    let (code, _, output) = run(&mut ours, &input, 1 << 20, 1 << 20, Z_BLOCK);
    assert!(code == Z_STREAM_END && output == plain);
    let counts = fake.counts.borrow();
    assert_eq!((counts.pieces, counts.requests()), (0, 3), "{:?}", counts.noted);
    assert_eq!(counts.noted.last().map(|noted| noted.0), Some(Reason::Unsupported));
    assert!(counts.noted.iter().filter(|noted| noted.0 == Reason::Small).count() >= 3);
}

/// git offers the rest of a pack for each of its objects: a look at the header, then room for all.
#[test]
fn a_short_stream_before_much_else_is_small() {
    let plain = sample(&Random::new(12), 10_000);
    let (mut input, bits) = packed(&plain, Wrapper::Zlib);
    let len = input.len();
    input.resize(len + 300_000, 7);
    let fake = Fake::new(1, PRODUCT);
    let mut ours = Ours::new(&fake, bits);
    let mut output = vec![0; plain.len()];
    let (_, consumed, produced) = ours.inflate(&input, &mut output[..32], Z_NO_FLUSH);
    let (code, used, _) = ours.inflate(&input[consumed..], &mut output[produced..], Z_FINISH);
    assert_eq!((code, consumed + used), (Z_STREAM_END, len));
    assert!(output == plain);
    assert_eq!(fake.counts.borrow().noted, [(Reason::Small, 1, 10_000)]);
}

/// git reads a loose object so, however long it is.
#[test]
fn a_look_at_the_header_and_then_room_for_all_is_the_device_s() {
    let plain = sample(&Random::new(12), 1_500_000);
    for wrapper in [Wrapper::Zlib, Wrapper::Gzip] {
        let (input, bits) = packed(&plain, wrapper);
        let fake = Fake::new(1, PRODUCT);
        let mut ours = Ours::new(&fake, bits);
        let mut output = vec![0; plain.len()];
        let (_, consumed, produced) = ours.inflate(&input, &mut output[..32], Z_NO_FLUSH);
        assert_eq!(produced, 32);
        let (code, used, _) = ours.inflate(&input[consumed..], &mut output[produced..], Z_FINISH);
        assert_eq!((code, consumed + used), (Z_STREAM_END, input.len()));
        assert!(output == plain);
        let counts = fake.counts.borrow();
        assert_eq!((counts.hardware, counts.requests()), (plain.len() as u64, 0), "{wrapper:?}");
    }
}

#[test]
fn input_is_the_caller_s_until_its_text_is_delivered() {
    let plain = sample(&Random::new(6), 1_000_000);
    let (input, bits) = packed(&plain, Wrapper::Gzip);
    assert!(input.len() > 100_000);
    let fake = Fake::new(1, PRODUCT);
    let mut ours = Ours::new(&fake, bits);
    let mut buffer = vec![0; 100_000];
    let (code, consumed, produced) = ours.inflate(&input, &mut buffer, Z_NO_FLUSH);
    assert_eq!((code, produced), (Z_OK, 100_000));
    assert_eq!(consumed, 10, "the header");
    let pieces = fake.counts.borrow().pieces;
    let (_, consumed, produced) = ours.inflate(&input[10..], &mut buffer[..50_000], Z_NO_FLUSH);
    assert_eq!((consumed, produced, fake.counts.borrow().pieces), (0, 50_000, pieces));
    // Whoever presents less than before is not lost either.
    let (mut used, mut output) = (10, 150_000);
    loop {
        let end = (used + 999).min(input.len());
        let (code, consumed, produced) = ours.inflate(&input[used..end], &mut buffer, Z_NO_FLUSH);
        used += consumed;
        output += produced;
        if code == Z_STREAM_END {
            break;
        }
        assert_eq!(code, Z_OK);
        assert!(consumed + produced != 0);
    }
    assert_eq!((used, output), (input.len(), plain.len()));
}

#[test]
fn a_failure_at_any_piece_is_software_s_to_go_on() {
    let plain = sample(&Random::new(7), 4_000_000);
    for wrapper in WRAPPERS {
        let (input, bits) = packed(&plain, wrapper);
        for (piece, room) in [(64 << 10, 64 << 10), (usize::MAX >> 1, 30_000)] {
            let mut last = 0;
            for from in 0.. {
                let mut fake = Fake::new(from, PRODUCT);
                fake.failing_from = from;
                let mut ours = Ours::new(&fake, bits);
                let (code, used, output) = run(&mut ours, &input, piece, room, Z_NO_FLUSH);
                assert_eq!((code, used), (Z_STREAM_END, input.len()), "from {from}");
                assert!(output == plain, "from {from}");
                ours.stream.end();
                let counts = fake.counts.borrow();
                assert_eq!(counts.requests(), 0, "counted when it failed: {:?}", counts.noted);
                assert!(counts.bytes() >= plain.len() as u64);
                if counts.failed == 0 {
                    break;
                }
                assert!(counts.hardware >= last, "each piece more is the device's");
                last = counts.hardware;
            }
            assert!(last > 1_000_000);
        }
    }
}

#[test]
fn lies_are_found_before_they_are_told() {
    let plain = sample(&Random::new(8), 2_000_000);
    for wrapper in [Wrapper::Zlib, Wrapper::Gzip] {
        let (input, bits) = packed(&plain, wrapper);
        for lie in [Lie::Bytes, Lie::Short] {
            let mut fake = Fake::new(3, PRODUCT);
            (fake.lie, fake.lying_percent) = (lie, 50);
            let mut ours = Ours::new(&fake, bits);
            let (code, used, output) = run(&mut ours, &input, 100_000, 100_000, Z_NO_FLUSH);
            assert_eq!((code, used), (Z_STREAM_END, input.len()), "{lie:?}");
            assert!(output == plain && fake.counts.borrow().lies > 0, "{lie:?}");
        }
        // A device that computes wrongly and believes it: what it says in pieces cannot be told from the truth, but never
        // does the stream end well. One piece is compared with the trailer before anything of it is released.
        let mut fake = Fake::new(3, PRODUCT);
        (fake.lie, fake.lying_percent) = (Lie::Perfect, 100);
        let mut ours = Ours::new(&fake, bits);
        let (code, _, output) = run(&mut ours, &input, 100_000, 100_000, Z_NO_FLUSH);
        assert_eq!((code, ours.message().as_deref()), (Z_DATA_ERROR, Some("incorrect data check")));
        assert!(output.len() < plain.len());
        let (input, bits) = packed(&plain[..200_000], wrapper);
        let mut ours = Ours::new(&fake, bits);
        let (code, _, output) = run(&mut ours, &input, usize::MAX >> 1, 1 << 20, Z_FINISH);
        assert!(code == Z_STREAM_END && output == plain[..200_000]);
    }
}

#[test]
fn a_full_log_and_small_pieces_end_the_device_s_part() {
    let plain = sample(&Random::new(9), 3_000_000);
    let (input, bits) = packed(&plain, Wrapper::Zlib);
    let mut limits = PRODUCT;
    limits.log = 200_000;
    let fake = Fake::new(1, limits);
    let mut ours = Ours::new(&fake, bits);
    let (code, used, output) = run(&mut ours, &input, 70_000, 70_000, Z_NO_FLUSH);
    assert!((code, used) == (Z_STREAM_END, input.len()) && output == plain);
    ours.stream.end();
    let counts = fake.counts.borrow();
    assert!(counts.hardware > 200_000 && counts.requests() == 1);
    assert!(counts.noted.iter().all(|noted| noted.0 == Reason::Policy), "{:?}", counts.noted);

    let fake = Fake::new(1, PRODUCT);
    let mut ours = Ours::new(&fake, bits);
    let mut buffer = vec![0; 1 << 20];
    let (_, consumed, produced) = ours.inflate(&input[..100_000], &mut buffer, Z_NO_FLUSH);
    assert_eq!(consumed, 100_000);
    let (code, used, output) = run(&mut ours, &input[consumed..], 5000, 1 << 20, Z_NO_FLUSH);
    assert_eq!((code, consumed + used, produced + output.len()), (Z_STREAM_END, input.len(), plain.len()));
    ours.stream.end();
    let counts = fake.counts.borrow();
    assert!(counts.pieces < 10 && counts.noted.iter().all(|noted| noted.0 == Reason::Small));
}

#[test]
fn members_one_after_another_by_reset() {
    let plain = sample(&Random::new(10), 700_000);
    let (one, bits) = packed(&plain, Wrapper::Gzip);
    let input = [&one[..], &one, &one].concat();
    let fake = Fake::new(1, PRODUCT);
    let mut ours = Ours::new(&fake, bits + 16);
    let mut used = 0;
    for member in 1..=3 {
        let (code, consumed, output) = run(&mut ours, &input[used..], 1 << 20, 1 << 20, Z_NO_FLUSH);
        used += consumed;
        assert_eq!((code, used), (Z_STREAM_END, member * one.len()));
        assert!(output == plain);
        if member == 1 { ours.stream.reset() } else { ours.stream.reset_keep() }
    }
    assert_eq!(fake.counts.borrow().hardware, 3 * plain.len() as u64);
}

#[test]
fn an_idle_stream_is_small() {
    assert!(size_of::<Inflate>() <= 256, "{}", size_of::<Inflate>());
    let stream = Inflate::new(47);
    assert!(stream.engine.is_none());
}
