use proptest::prelude::*;

use super::super::DESCRIPTOR_LEN;
use super::*;
use crate::device::Hardware;
use crate::model::testing::FlatMemory;
use crate::model::{Model, set_word, word};

const SOURCE: u64 = FlatMemory::BASE;
const LITERALS: u64 = FlatMemory::BASE + 0x10_0000;
const SEQUENCES: u64 = FlatMemory::BASE + 0x20_0000;
const CONTEXT: u64 = FlatMemory::BASE + 0x40_0000;
const MEMORY_LEN: usize = 0x41_0000;

const ZSTD: u32 = 0x43;
const ZSTD_PRICE: u32 = 0x42;
const PLAIN: u32 = 0x40;
const LZ4: u32 = 0x04;
const STATELESS: u32 = 0x3A00_0000;
const STREAM_FIRST: u32 = 0x3C00_0000;
const STREAM_NEXT: u32 = 0x3400_0000;

struct Request {
    kind: u32,
    bits: u32,
    window: u32,
    literals_room: usize,
    room: usize,
}

struct Device {
    memory: FlatMemory,
    engine: Zip,
    window_len: u32,
}

impl Device {
    fn new(hardware: Hardware) -> Self {
        let memory = FlatMemory::new(MEMORY_LEN);
        memory.write(CONTEXT, &[0xEE; 0x1000]).unwrap();
        Self { memory, engine: Zip::new(0, hardware, false), window_len: 0xDEAD }
    }

    /// The descriptor after the device has had it.
    fn run(&mut self, request: &Request, input: &[u8]) -> Vec<u8> {
        let Request { kind, bits, window, literals_room, room } = *request;
        self.memory.write(SOURCE, input).unwrap();
        self.memory.write(LITERALS + literals_room as u64, &[0xEE; 16]).unwrap();
        self.memory.write(SEQUENCES + room as u64, &[0xEE; 16]).unwrap();
        let mut before = vec![0; DESCRIPTOR_LEN];
        for (at, value) in [(4, input.len()), (13, literals_room), (14, room)] {
            set_word(&mut before, at, index(value));
        }
        for (at, address) in [(18, SOURCE), (20, SEQUENCES), (22, CONTEXT), (24, LITERALS)] {
            set_word(&mut before, at, u32::try_from(address).unwrap());
        }
        for (at, value) in [
            (7, bits),
            (9, kind | window << 12),
            (15, 0x11),
            (26, 0x1234),
            (27, 0x7F00),
            (28, 0x22),
            (29, self.window_len),
            (30, 77),
        ] {
            set_word(&mut before, at, value);
        }
        let mut after = before.clone();
        self.engine.execute(&mut after, &self.memory);
        for at in (4..15).chain(16..28).chain(30..31) {
            assert_eq!(word(&after, at), word(&before, at), "word {at} changed");
        }
        assert_eq!(self.memory.bytes(LITERALS + literals_room as u64, 16), [0xEE; 16], "past the literals");
        assert_eq!(self.memory.bytes(SEQUENCES + room as u64, 16), [0xEE; 16], "past the sequences");
        assert_eq!(self.memory.bytes(CONTEXT + 38_848, 16), [0; 16], "past the context");
        self.window_len = word(&after, 29);
        after
    }

    /// Literals and sequences as a client reads them: counts from the descriptor.
    fn result(&self, after: &[u8]) -> (Vec<u8>, Vec<u8>, u32) {
        assert_eq!(word(after, 3), 0);
        let literals = self.memory.bytes(LITERALS, word(after, 2) as usize);
        (literals, self.memory.bytes(SEQUENCES, word(after, 1) as usize * 8), word(after, 31))
    }
}

/// The receiving end of RFC 8878 §3.1.1.4 and §3.1.1.5, and of plain sequences.
struct Reader {
    zstd: bool,
    text: Vec<u8>,
    offsets: [u32; 3],
    window: usize,
}

impl Reader {
    fn new(zstd: bool, window: usize) -> Self {
        Self { zstd, text: Vec::new(), offsets: [1, 4, 8], window }
    }

    fn take(&mut self, (literals, sequences, overflow): (Vec<u8>, Vec<u8>, u32)) {
        let mut literals = literals.into_iter();
        for (at, sequence) in sequences.chunks_exact(8).enumerate() {
            let value = word(sequence, 0);
            let mut count = (word(sequence, 1) & 0xFFFF) as usize;
            let mut length = (word(sequence, 1) >> 16) as usize;
            if overflow >> 24 == 1 && overflow & 0xFF_FFFF == index(at) {
                count += 65_536;
            }
            let offset = if self.zstd {
                length += 3;
                self.offset(value, count)
            } else {
                value
            } as usize;
            assert!(offset <= self.window && length >= 3);
            let before = self.text.len();
            self.text.extend(literals.by_ref().take(count));
            assert_eq!(self.text.len(), before + count, "literals run short");
            for _ in 0..length {
                self.text.push(self.text[self.text.len() - offset]);
            }
        }
        self.text.extend(literals);
    }

    fn offset(&mut self, value: u32, literals: usize) -> u32 {
        let [first, second, third] = self.offsets;
        let (offset, rest) = match value + u32::from(literals == 0) {
            _ if value > 3 => (value - 3, [first, second]),
            1 => (first, [second, third]),
            2 => (second, [first, third]),
            3 => (third, [first, second]),
            _ => (first - 1, [first, second]),
        };
        self.offsets = [offset, rest[0], rest[1]];
        offset
    }
}

fn words(len: usize) -> Vec<u8> {
    (0u32..).flat_map(|line| format!("{line} of {}; ", line % 29 * line).into_bytes()).take(len).collect()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn request(kind: u32, bits: u32, len: usize) -> Request {
    Request { kind, bits, window: 4, literals_room: len + 16, room: len * 2 + 800 }
}

#[test]
fn sequences_give_the_input_back() {
    // 70,000 bytes without a copy, then some: a count that exceeds its field.
    let late = [noise(70_000), noise(70_000)[40_000..].to_vec()].concat();
    for input in [vec![], vec![7], words(131_072), noise(131_072), vec![0; 131_072], late] {
        for kind in [ZSTD, ZSTD_PRICE, PLAIN, PLAIN + 1] {
            let mut device = Device::new(Hardware::V3);
            let after = device.run(&request(kind, STATELESS, input.len()), &input);
            assert_eq!(word(&after, 0) as usize, input.len());
            let mut reader = Reader::new(kind >= ZSTD_PRICE, 32 << 10);
            reader.take(device.result(&after));
            assert!(reader.text == input, "kind {kind:#x}, {} bytes", input.len());
            assert_eq!(device.memory.bytes(CONTEXT, 16), [0xEE; 16], "stateless, but wrote a context");
        }
    }
}

#[test]
fn copies_and_known_offsets_are_used() {
    let mut device = Device::new(Hardware::V3);
    let input = words(100_000);
    let after = device.run(&request(ZSTD, STATELESS, input.len()), &input);
    let (literals, sequences, _) = device.result(&after);
    assert!(literals.len() < input.len() / 2, "{} literals", literals.len());
    assert!(sequences.chunks_exact(8).any(|sequence| word(sequence, 0) <= 3));
}

#[test]
fn one_overlong_count_is_told() {
    let mut device = Device::new(Hardware::V3);
    let input = [noise(70_000), noise(70_000)[60_000..].to_vec()].concat();
    let after = device.run(&request(ZSTD, STATELESS, input.len()), &input);
    let (_, sequences, overflow) = device.result(&after);
    assert_eq!((overflow, word(&sequences, 1) & 0xFFFF), (1 << 24, 70_000 - 65_536));
}

#[test]
fn streams_copy_from_earlier_requests() {
    let input = words(200_000);
    for kind in [ZSTD, PLAIN] {
        let (mut device, mut reader) = (Device::new(Hardware::V3), Reader::new(kind == ZSTD, 32 << 10));
        let mut literals = 0;
        for (number, piece) in input.chunks(3_000).enumerate() {
            let bits = if number == 0 { STREAM_FIRST } else { STREAM_NEXT };
            // Any queue may take the next piece.
            device.engine = Zip::new(0, Hardware::V3, false);
            let after = device.run(&request(kind, bits, piece.len()), piece);
            literals += word(&after, 2);
            reader.take(device.result(&after));
            let saved = device.memory.bytes(CONTEXT + 0x310, 16);
            if kind == ZSTD {
                assert_eq!([0, 1, 2].map(|at| word(&saved, at)), reader.offsets);
            }
            assert_eq!(word(&saved, 3), 0);
        }
        assert!(reader.text == input);
        assert!(literals < 120_000, "{literals} literals: nothing was copied from the pieces before");
    }
}

/// A caller that stored the piece before uncompressed puts older offsets back (zip §8.3): the next piece must obey them.
#[test]
fn offsets_put_back_by_software_are_obeyed() {
    let (mut device, mut reader) = (Device::new(Hardware::V3), Reader::new(true, 32 << 10));
    let input = words(9_000);
    for (number, piece) in input.chunks(3_000).enumerate() {
        let before = reader.offsets;
        let bits = if number == 0 { STREAM_FIRST } else { STREAM_NEXT };
        let after = device.run(&request(ZSTD, bits, piece.len()), piece);
        if number == 1 {
            reader.text.extend(piece);
            reader.offsets = before;
            let restored: Vec<u8> = before.iter().flat_map(|offset| offset.to_le_bytes()).collect();
            device.memory.write(CONTEXT + 0x310, &restored).unwrap();
        } else {
            reader.take(device.result(&after));
        }
    }
    assert!(reader.text == input);
}

#[test]
fn windows_bound_offsets() {
    let input = words(100_000);
    for (window, bytes) in [(0, 4 << 10), (1, 8 << 10), (2, 16 << 10), (3, 24 << 10), (4, 32 << 10)] {
        let mut device = Device::new(Hardware::V3);
        let after = device.run(&Request { window, ..request(ZSTD, STATELESS, input.len()) }, &input);
        let mut reader = Reader::new(true, bytes);
        reader.take(device.result(&after));
        assert!(reader.text == input);
    }
}

#[test]
fn too_little_room_is_told() {
    let input = words(1_000);
    let len = input.len();
    for (kind, change) in [
        (ZSTD, Request { literals_room: len + 15, ..request(ZSTD, STATELESS, len) }),
        (ZSTD, Request { room: 791, ..request(ZSTD, STATELESS, len) }),
        (PLAIN, Request { room: 15, ..request(PLAIN, STATELESS, len) }),
        (LZ4, Request { room: 100, ..request(LZ4, STATELESS, len) }),
    ] {
        let mut device = Device::new(Hardware::V3);
        let after = device.run(&Request { kind, ..change }, &input);
        assert_eq!([3, 0, 1, 2].map(|at| word(&after, at)), [0x0E, 0, 0, 0], "kind {kind:#x}");
    }
}

#[test]
fn what_the_hardware_has_not_is_refused() {
    let input = words(1_000);
    let status = |engine: Zip, kind, bits| {
        let mut device = Device { engine, ..Device::new(Hardware::V3) };
        word(&device.run(&request(kind, bits, 1_000), &input), 3)
    };
    for kind in [LZ4, ZSTD, ZSTD_PRICE, PLAIN, PLAIN + 1] {
        assert_eq!(status(Zip::new(0, Hardware::V2, false), kind, 0x0A00_0000), 0x22, "v2, {kind:#x}");
        assert_eq!(status(Zip::new(1, Hardware::V3, false), kind, STATELESS), 0x22, "backwards, {kind:#x}");
        assert_eq!(status(Zip::new(0, Hardware::V3, false), kind, 0x0A00_0000), 0x22, "type 0, {kind:#x}");
    }
    assert_eq!(status(Zip::new(0, Hardware::V3, false), LZ4, STREAM_FIRST), 0x22);
}

/// By the LZ4 block format description: token, literals, offset, length; the last sequence is literals alone.
fn decode_lz4(block: &[u8]) -> Vec<u8> {
    let mut bytes = block.iter().copied();
    let mut text = Vec::new();
    let length = |nibble: u8, bytes: &mut dyn Iterator<Item = u8>| {
        let mut length = usize::from(nibble);
        let mut more = nibble == 15;
        while more {
            let byte = bytes.next().unwrap();
            length += usize::from(byte);
            more = byte == 255;
        }
        length
    };
    while let Some(token) = bytes.next() {
        let literals = length(token >> 4, &mut bytes);
        text.extend(bytes.by_ref().take(literals));
        let Some(low) = bytes.next() else { break };
        let offset = usize::from(u16::from_le_bytes([low, bytes.next().unwrap()]));
        for _ in 0..length(token & 15, &mut bytes) + 4 {
            text.push(text[text.len() - offset]);
        }
    }
    text
}

#[test]
fn lz4_blocks_give_the_input_back() {
    for input in [vec![7], words(100_000), noise(10_000), vec![0; 100_000]] {
        let mut device = Device::new(Hardware::V3);
        let after = device.run(&request(LZ4, STATELESS, input.len()), &input);
        assert_eq!([3, 0, 2, 31].map(|at| word(&after, at)), [0, index(input.len()), 0, 0]);
        assert!(decode_lz4(&device.memory.bytes(SEQUENCES, word(&after, 1) as usize)) == input);
    }
}

proptest! {
    #[test]
    fn any_stream_of_sequences_gives_its_input_back(
        pieces in prop::collection::vec(prop::collection::vec(0u8..4, 0..300), 1..12),
        zstd in any::<bool>(),
        window in 0u32..5,
    ) {
        let kind = if zstd { ZSTD } else { PLAIN };
        let (mut device, mut reader) = (Device::new(Hardware::V3), Reader::new(zstd, 32 << 10));
        for (number, piece) in pieces.iter().enumerate() {
            let bits = if number == 0 { STREAM_FIRST } else { STREAM_NEXT };
            let after = device.run(&Request { window, ..request(kind, bits, piece.len()) }, piece);
            reader.take(device.result(&after));
        }
        prop_assert_eq!(reader.text, pieces.concat());
    }
}
