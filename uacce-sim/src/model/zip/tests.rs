use super::*;
use crate::model::testing::FlatMemory;

const SOURCE: u64 = FlatMemory::BASE;
const CONTEXT: u64 = FlatMemory::BASE + 0x40_0000;
const DESTINATION: u64 = FlatMemory::BASE + 0x60_0000;
const MEMORY_LEN: usize = 0xA0_0000;
const CONTEXT_LEN: usize = 38_848;

/// Drives the model as a driver would, one engine for each direction.
struct Driver {
    memory: FlatMemory,
    compress: Zip,
    decompress: Zip,
    hardware: Hardware,
    /// Words 15, 28, 29 and 30, 31, carried from answer to request.
    carried: [u32; 5],
}

struct Outcome {
    consumed: usize,
    output: Vec<u8>,
    status: u32,
    decoder_state: u32,
}

const SYNC: u32 = 0;
const FINISH: u32 = 1 << 25;
const FIRST: u32 = 1 << 27;
const STATELESS: u32 = 0x0A00_0000;
const STREAM: u32 = 1 << 26;

impl Driver {
    fn new(hardware: Hardware) -> Self {
        Self {
            memory: FlatMemory::new(MEMORY_LEN),
            compress: Zip::new(0, hardware, false),
            decompress: Zip::new(1, hardware, false),
            hardware,
            carried: [0xDEAD_BEEF; 5],
        }
    }

    fn descriptor(&self, format: u32, bits: u32, input_len: usize, room: usize) -> Vec<u8> {
        let mut bytes = vec![0; DESCRIPTOR_LEN];
        let kind = if self.hardware == Hardware::V3 { 3 << 28 } else { 0 };
        set_word(&mut bytes, 4, index(input_len));
        set_word(&mut bytes, 7, bits | kind);
        set_word(&mut bytes, 9, format | 4 << 12);
        set_word(&mut bytes, 13, 0x1234);
        set_word(&mut bytes, 14, index(room));
        for (word, at) in [(18, SOURCE), (20, DESTINATION)] {
            set_word(&mut bytes, word, u32::try_from(at).unwrap());
        }
        if bits & STREAM != 0 {
            set_word(&mut bytes, 22, u32::try_from(CONTEXT).unwrap());
        }
        for (word, value) in [15, 28, 29, 30, 31].into_iter().zip(self.carried) {
            set_word(&mut bytes, word, value);
        }
        bytes
    }

    fn run(&mut self, compress: bool, format: u32, bits: u32, input: &[u8], room: usize) -> Outcome {
        self.memory.write(SOURCE, input).unwrap();
        self.memory.write(DESTINATION + room as u64, &[0xEE; 16]).unwrap();
        self.memory.write(CONTEXT + CONTEXT_LEN as u64, &[0xEE; 16]).unwrap();
        let before = self.descriptor(format, bits, input.len(), room);
        let mut after = before.clone();
        let engine = if compress { &mut self.compress } else { &mut self.decompress };
        engine.execute(&mut after, &self.memory);
        for index in (4..15).chain(16..28) {
            assert_eq!(word(&after, index), word(&before, index), "word {index} changed");
        }
        assert_eq!(self.memory.bytes(DESTINATION + room as u64, 16), [0xEE; 16], "wrote past the room");
        assert_eq!(self.memory.bytes(CONTEXT + CONTEXT_LEN as u64, 16), [0xEE; 16], "wrote past the context");
        self.carried = [15, 28, 29, 30, 31].map(|index| word(&after, index));
        let produced = word(&after, 1) as usize;
        assert!(produced <= room);
        Outcome {
            consumed: word(&after, 0) as usize,
            output: self.memory.bytes(DESTINATION, produced),
            status: word(&after, 3),
            decoder_state: word(&after, 15) & 0xF,
        }
    }
}

fn with_header(format: u32, payload: &[u8]) -> Vec<u8> {
    let header: &[u8] = match format {
        2 => &[0x78, 0x9C],
        3 => &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3],
        _ => &[],
    };
    [header, payload].concat()
}

/// Decodes with zlib-rs, header and trailer included.
fn decode(format: u32, payload: &[u8], len: usize) -> Vec<u8> {
    let (header, bits) = match format {
        1 => (false, 15),
        2 => (true, 15),
        _ => (true, 31),
    };
    let stream = with_header(format, payload);
    let mut engine = Inflate::new(header, bits);
    let mut output = vec![0; len + 1];
    let status = engine.decompress(&stream, &mut output, zlib_rs::InflateFlush::Finish);
    assert_eq!((status, engine.total_in()), (Ok(zlib_rs::Status::StreamEnd), stream.len() as u64));
    output.truncate(usize::try_from(engine.total_out()).unwrap());
    output
}

fn text(len: usize) -> Vec<u8> {
    (0u32..)
        .flat_map(|line| format!("{line} bottles, {} left\n", line % 37 * line).into_bytes())
        .take(len)
        .collect()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn formats() -> impl Iterator<Item = (Hardware, u32)> {
    [(Hardware::V2, 2), (Hardware::V2, 3), (Hardware::V3, 1), (Hardware::V3, 2), (Hardware::V3, 3)]
        .into_iter()
}

#[test]
fn stateless_round_trips() {
    for (hardware, format) in formats() {
        let mut driver = Driver::new(hardware);
        for input in [vec![], vec![7], text(100), text(300_000), noise(100_000), vec![0; 1 << 20]] {
            let room = input.len() + input.len() / 8 + 64;
            let packed = driver.run(true, format, STATELESS, &input, room);
            assert_eq!(
                (packed.status, packed.consumed, driver.carried[..3].to_vec()),
                (0, input.len(), vec![0; 3])
            );
            assert_eq!(driver.carried[3], index(input.len()));
            assert!(decode(format, &packed.output, input.len()) == input);
            let padded = [packed.output.as_slice(), b"rest"].concat();
            driver.carried = [0xDEAD_BEEF; 5];
            let unpacked = driver.run(false, format, STATELESS, &padded, input.len());
            assert_eq!((unpacked.status, unpacked.consumed), (0, packed.output.len()));
            assert!(unpacked.output == input);
            assert_eq!(driver.carried[..4], [0, 0, 0, index(input.len())]);
        }
    }
}

#[test]
fn stateless_errors() {
    let mut driver = Driver::new(Hardware::V2);
    let input = text(10_000);
    let packed = driver.run(true, 3, STATELESS, &input, 20_000).output;
    assert_eq!(driver.run(true, 3, STATELESS, &input, packed.len() - 1).status, 0x0E);
    assert_eq!(driver.run(true, 3, STATELESS, &input, 3).status, 0x0E);
    assert_eq!(driver.run(false, 3, STATELESS, &packed, input.len() - 1).status, 0x0E);
    for damaged_at in [packed.len() - 1, packed.len() - 8] {
        let mut damaged = packed.clone();
        damaged[damaged_at] ^= 1;
        assert_eq!(driver.run(false, 3, STATELESS, &damaged, 20_000).status, 0x10);
    }
    let cut = &packed[..packed.len() - 9];
    for broken in [cut, &packed[..packed.len() - 1], &[0xFF; 40], &[]] {
        assert_eq!(driver.run(false, 3, STATELESS, broken, 20_000).status, Failure::Data as u32);
    }
}

#[test]
fn unsupported_combinations() {
    let mut driver = Driver::new(Hardware::V2);
    for format in [0, 1, 4, 0x10, 0x40, 0x43] {
        assert_eq!(driver.run(true, format, STATELESS, b"x", 100).status, Failure::Unsupported as u32);
    }
    assert_eq!(driver.run(true, 2, STATELESS | 3 << 28, b"x", 100).status, Failure::Unsupported as u32);
    assert_eq!(driver.run(true, 2 | 2 << 8, STATELESS, b"x", 100).status, Failure::Unsupported as u32);
    let mut driver = Driver::new(Hardware::V3);
    assert_eq!(
        driver.run(true, 1 | 1 << 12, STATELESS, b"x", 100).status,
        Failure::Unsupported as u32,
        "window 5"
    );
    driver.compress = Zip::new(2, Hardware::V3, false);
    assert_eq!(driver.run(true, 2, STATELESS, b"x", 100).status, Failure::Unsupported as u32);
}

#[test]
fn bad_addresses() {
    let mut driver = Driver::new(Hardware::V3);
    let input = text(1000);
    let packed = driver.run(true, 1, STATELESS, &input, 2000).output;
    for (compress, bytes) in [(true, &input), (false, &packed)] {
        driver.memory.write(SOURCE, bytes).unwrap();
        for (bits, words) in
            [(STATELESS, &[18, 20][..]), (STREAM | FIRST | FINISH, &[18, 20, 22]), (STREAM, &[22])]
        {
            for at in words {
                let mut descriptor = driver.descriptor(1, bits, bytes.len(), 2000);
                set_word(&mut descriptor, 29, 100);
                set_word(&mut descriptor, *at, 8);
                let engine = if compress { &mut driver.compress } else { &mut driver.decompress };
                engine.execute(&mut descriptor, &driver.memory);
                assert_eq!(word(&descriptor, 3), Failure::Address as u32, "{compress} {bits:#x} {at}");
            }
        }
    }
    // In stateless mode the context address means nothing, whatever it is.
    let mut descriptor = driver.descriptor(1, STATELESS, input.len(), 2000);
    set_word(&mut descriptor, 22, 0x40);
    driver.compress.execute(&mut descriptor, &driver.memory);
    assert_eq!(word(&descriptor, 3), 0);
}

/// Zip §9.2: two chunks of 00..FF repeated 16 times, with the published registers and trailer.
#[test]
fn published_stream_example() {
    let chunk: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let mut driver = Driver::new(Hardware::V3);
    let first = driver.run(true, 2, STREAM | FIRST, &chunk, 8190);
    assert_eq!((first.status, first.consumed), (0, 4096));
    assert_eq!(first.output[first.output.len() - 4..], [0, 0, 0xFF, 0xFF]);
    assert_eq!((driver.carried[0], driver.carried[3], driver.carried[4]), (0, 0x1000, 0x60AE_F86A));
    // The variant: software ends the stream itself.
    let tail = [first.output.as_slice(), &[1, 0, 0, 0xFF, 0xFF, 0x60, 0xAE, 0xF8, 0x6A]].concat();
    assert!(decode(2, &tail, 4096) == chunk);
    let second = driver.run(true, 2, STREAM | FINISH, &chunk, 8192);
    assert_eq!(second.output[second.output.len() - 4..], [0x3A, 0x54, 0xF0, 0xE2]);
    assert_eq!((driver.carried[3], driver.carried[4]), (0x2000, 0x3A54_F0E2));
    assert!(
        decode(2, &[first.output, second.output].concat(), 8192) == [chunk.clone(), chunk.clone()].concat()
    );
    let gzip = driver.run(true, 3, STREAM | FIRST, &chunk, 8190);
    assert_eq!(driver.carried[4], 0xBEFB_76BA);
    let tail =
        [gzip.output.as_slice(), &[1, 0, 0, 0xFF, 0xFF, 0x82, 0x20, 0x91, 0xA2, 0, 0x10, 0, 0]].concat();
    assert!(decode(3, &tail, 4096) == chunk);
}

#[test]
fn streams_in_pieces_round_trip() {
    for (hardware, format) in formats() {
        for (input, step, room) in [
            (text(400_000), 65_536, 80_000),
            (text(50_000), 1000, 1200),
            (noise(50_000), 4096, 4700),
            (noise(3000), 200, 236),
            (text(600), 3, 236),
            (vec![0; 500_000], 131_072, 1000),
        ] {
            let mut driver = Driver::new(hardware);
            let (mut at, mut packed, mut first) = (0, Vec::new(), FIRST);
            loop {
                let end = (at + step).min(input.len());
                let last = end == input.len();
                let bits = STREAM | first | if last { FINISH } else { SYNC };
                let piece = driver.run(true, format, bits, &input[at..end], room);
                assert_eq!((piece.status, piece.decoder_state), (0, 0));
                packed.extend(&piece.output);
                (at, first) = (at + piece.consumed, 0);
                assert_eq!(driver.carried[3], index(at));
                if last && at == input.len() {
                    break;
                }
                assert!(piece.consumed > 0, "no progress at {at}");
            }
            assert!(decode(format, &packed, input.len()) == input, "{format} {step} {room}");
            for (step, room) in [(packed.len(), input.len()), (4096, 1000), (100, 100_000), (1 << 20, 333)] {
                unpack_stream(&mut driver, format, &packed, &input, step, room);
            }
        }
    }
}

fn unpack_stream(driver: &mut Driver, format: u32, packed: &[u8], input: &[u8], step: usize, room: usize) {
    let (mut at, mut output, mut first) = (0, Vec::<u8>::new(), FIRST);
    loop {
        let piece =
            driver.run(false, format, STREAM | first, &packed[at..(at + step).min(packed.len())], room);
        first = 0;
        at += piece.consumed;
        output.extend(&piece.output);
        if piece.status == 0x113 {
            break;
        }
        assert_eq!(piece.status, 0);
        assert!(piece.consumed > 0 || !piece.output.is_empty(), "no progress at {at} {step} {room}");
        if piece.output.len() == room && at < packed.len() && piece.decoder_state != 0 {
            assert!(matches!(piece.decoder_state, 1 | 2));
        }
    }
    assert_eq!((at, driver.carried[0] & 0xF, driver.carried[3]), (packed.len(), 0, index(input.len())));
    assert!(output == input);
    let after_end = driver.run(false, format, STREAM, b"more", 100);
    assert_eq!((after_end.status, after_end.consumed, after_end.output.len()), (0, 0, 0));
}

/// All input taken, output owed: state 1, so that software comes back with room and no input (zip §2.4).
#[test]
fn owed_output_is_announced() {
    let mut driver = Driver::new(Hardware::V2);
    let packed = driver.run(true, 2, STATELESS, &[5; 258 * 4], 100).output;
    let mut owed = 0;
    for len in 1..packed.len() - 4 {
        let first = driver.run(false, 2, STREAM | FIRST, &packed[..len], 100);
        assert_eq!(first.status, 0);
        if first.consumed == len && first.decoder_state == 1 {
            owed += 1;
            let second = driver.run(false, 2, STREAM, &[], 2000);
            assert!(!second.output.is_empty());
            let third = driver.run(false, 2, STREAM, &packed[len..], 2000);
            let total = first.output.len() + second.output.len() + third.output.len();
            assert_eq!((third.status, total), (0x113, 258 * 4));
        }
    }
    assert!(owed > 0);
}

#[test]
fn stream_errors() {
    let mut driver = Driver::new(Hardware::V2);
    let mut packed = driver.run(true, 3, STATELESS, &text(1000), 2000).output;
    assert_eq!(driver.run(false, 3, STREAM | FIRST, &[0xFF; 50], 100).status, Failure::Data as u32);
    assert_eq!(driver.carried[0], 0);
    packed[3] ^= 0;
    let last = packed.len() - 1;
    packed[last] ^= 1;
    assert_eq!(driver.run(false, 3, STREAM | FIRST, &packed, 2000).status, 0x10);
    driver.memory.write(CONTEXT, &[0; 400]).unwrap();
    assert_eq!(driver.run(false, 3, STREAM, &packed, 2000).status, Failure::Data as u32, "no state there");
}

/// Zip §2.7: a draining request touches nothing, wherever it points.
#[test]
fn draining_requests_do_nothing() {
    for compress in [true, false] {
        let mut driver = Driver::new(Hardware::V3);
        driver.carried = [1, 2, 3, 4, 5];
        let mut descriptor = driver.descriptor(2, STREAM, 0, 16);
        for word in [18, 20, 22] {
            set_word(&mut descriptor, word, 8);
        }
        let before = descriptor.clone();
        let engine = if compress { &mut driver.compress } else { &mut driver.decompress };
        engine.execute(&mut descriptor, &driver.memory);
        assert_eq!(descriptor, before);
    }
}

#[test]
fn scatter_gather_lists_work() {
    let mut driver = Driver::new(Hardware::V3);
    let input = text(3000);
    let (lists, at) = (FlatMemory::BASE + 0x20_0000, SOURCE);
    driver.memory.write(at, &input).unwrap();
    let mut list = vec![0; 64 + 2 * 32];
    list[10] = 2;
    for (entry, (address, len)) in [(at, 1000u32), (at + 1000, 2000)].into_iter().enumerate() {
        list[64 + entry * 32..][..8].copy_from_slice(&address.to_le_bytes());
        list[80 + entry * 32..][..4].copy_from_slice(&len.to_le_bytes());
    }
    driver.memory.write(lists, &list).unwrap();
    for (entry, (address, len)) in [(DESTINATION, 12u32), (DESTINATION + 100, 5000)].into_iter().enumerate() {
        list[64 + entry * 32..][..8].copy_from_slice(&address.to_le_bytes());
        list[80 + entry * 32..][..4].copy_from_slice(&len.to_le_bytes());
    }
    driver.memory.write(lists + 0x1000, &list).unwrap();
    let mut descriptor = driver.descriptor(2 | 1 << 8, STATELESS, input.len(), 5010);
    set_word(&mut descriptor, 8, 2);
    set_word(&mut descriptor, 18, u32::try_from(lists).unwrap());
    set_word(&mut descriptor, 20, u32::try_from(lists + 0x1000).unwrap());
    driver.compress.execute(&mut descriptor, &driver.memory);
    let produced = word(&descriptor, 1) as usize;
    assert_eq!((word(&descriptor, 3), word(&descriptor, 0)), (0, 3000));
    let output =
        [driver.memory.bytes(DESTINATION + 2, 10), driver.memory.bytes(DESTINATION + 100, produced - 10)]
            .concat();
    assert!(decode(2, &output, 3000) == input);
}

#[test]
fn remembered_results_are_the_same() {
    let mut driver = Driver::new(Hardware::V3);
    driver.compress = Zip::new(0, Hardware::V3, true);
    driver.decompress = Zip::new(1, Hardware::V3, true);
    for format in [1, 2, 3] {
        for input in [text(5000), text(5001)] {
            for _ in 0..2 {
                let whole = driver.run(true, format, STATELESS, &input, 10_000);
                assert!(decode(format, &whole.output, input.len()) == input);
                let back = driver.run(false, format, STATELESS, &whole.output, 10_000);
                assert!(back.output == input && back.consumed == whole.output.len());
                let first = driver.run(true, format, STREAM | FIRST, &input, 10_000);
                let second = driver.run(true, format, STREAM | FINISH, &input, 10_000);
                let both = [first.output, second.output].concat();
                assert!(decode(format, &both, 2 * input.len()) == [input.as_slice(), &input].concat());
            }
        }
    }
}
