//! Inflate: whole payloads by zlib-rs, streams by a decoder whose whole state fits the client's context memory.
//!
//! No inflate library can write its state into 38 KiB that the client owns and may hand to another queue, so the stream
//! decoder (RFC 1951) is ours. It stops between symbols, at any bit; tables are rebuilt from code lengths.

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{Failure, MAX_WINDOW};

/// A whole payload: bytes of input used, and the output.
pub(super) fn whole(engine: &mut Inflate, input: &[u8], room: usize) -> Result<(usize, Vec<u8>), Failure> {
    engine.reset(false);
    let mut output = vec![0; room.min(input.len().saturating_mul(4).max(4096))];
    loop {
        let used = usize::try_from(engine.total_in()).unwrap_or(usize::MAX);
        let made = usize::try_from(engine.total_out()).unwrap_or(usize::MAX);
        let (rest, free) =
            (input.get(used..).unwrap_or_default(), output.get_mut(made..).unwrap_or_default());
        let status = engine.decompress(rest, free, InflateFlush::NoFlush).map_err(|_| Failure::Data)?;
        let used = usize::try_from(engine.total_in()).unwrap_or(usize::MAX);
        let made = usize::try_from(engine.total_out()).unwrap_or(usize::MAX);
        if status == Status::StreamEnd {
            output.truncate(made);
            return Ok((used, output));
        }
        if made < output.len() {
            // Room is left, so input is missing.
            return Err(Failure::Data);
        }
        if output.len() == room {
            return Err(Failure::Room);
        }
        output.resize(room.min(output.len() * 2), 0);
    }
}

/// Why the decoder stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Payload and trailer are complete.
    Ended,
    /// They already were.
    AlreadyEnded,
    /// More input is needed.
    InputUsed,
    /// The next symbol would need room.
    RoomFull,
    /// Not deflate.
    InvalidData,
}

/// What one run did.
pub(super) struct Progress {
    pub(super) consumed: usize,
    pub(super) output: Vec<u8>,
    pub(super) outcome: Outcome,
}

/// Everything between two runs but the history.
#[derive(Clone)]
pub(super) struct State {
    phase: Phase,
    /// Bits taken from the input and not used yet, the next one lowest.
    bits: u64,
    bit_count: u32,
    final_block: bool,
    /// Of a stored block, or of a match whose rest did not fit.
    left: u16,
    distance: u16,
    literal_codes: u16,
    distance_codes: u16,
    length_codes: u16,
    /// Code lengths read so far.
    read: u16,
    code_lengths: [u8; 19],
    lengths: [u8; MAX_LENGTHS],
    trailer_len: u8,
    trailer_read: u8,
    trailer: [u8; 8],
    history_len: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    BlockHeader,
    StoredLength,
    Stored,
    TableSizes,
    CodeLengths,
    Lengths,
    Symbols,
    Match,
    Trailer,
    End,
}

/// A run in progress: input and output beside the state.
struct Run<'a> {
    input: &'a [u8],
    used: usize,
    /// History, then output.
    buffer: Vec<u8>,
    /// Length of `buffer` when the room is full.
    full: usize,
}

impl State {
    /// Bytes in the context memory.
    pub(super) const LEN: usize = 384;

    /// The beginning of a stream with this many trailer bytes.
    pub(super) fn new(trailer_len: usize) -> Self {
        Self {
            phase: Phase::BlockHeader,
            bits: 0,
            bit_count: 0,
            final_block: false,
            left: 0,
            distance: 0,
            literal_codes: 0,
            distance_codes: 0,
            length_codes: 0,
            read: 0,
            code_lengths: [0; 19],
            lengths: [0; MAX_LENGTHS],
            trailer_len: u8::try_from(trailer_len.min(8)).unwrap_or(0),
            trailer_read: 0,
            trailer: [0; 8],
            history_len: 0,
        }
    }

    /// Trailer bytes as read from the input.
    pub(super) fn trailer(&self) -> &[u8] {
        self.trailer.get(..usize::from(self.trailer_len)).unwrap_or_default()
    }

    /// The payload has ended, the trailer is not complete.
    pub(super) fn wants_trailer(&self) -> bool {
        self.phase == Phase::Trailer
    }

    pub(super) fn history_len(&self) -> usize {
        usize::from(self.history_len)
    }

    pub(super) fn set_history_len(&mut self, len: u32) {
        self.history_len = u16::try_from(len).unwrap_or(0);
    }

    /// Decodes until input or room ends. Consumes only what it needs: when the room is full, whole unused bytes stay with
    /// the caller.
    pub(super) fn run(&mut self, input: &[u8], history: &[u8], room: usize) -> Progress {
        if self.phase == Phase::End {
            return Progress { consumed: 0, output: Vec::new(), outcome: Outcome::AlreadyEnded };
        }
        let mut run = Run { input, used: 0, buffer: history.to_vec(), full: history.len() + room };
        let outcome = loop {
            let step = match self.phase {
                Phase::BlockHeader => self.block_header(&mut run),
                Phase::StoredLength => self.stored_length(&mut run),
                Phase::Stored => self.stored(&mut run),
                Phase::TableSizes => self.table_sizes(&mut run),
                Phase::CodeLengths => self.code_lengths(&mut run),
                Phase::Lengths => self.lengths(&mut run),
                Phase::Symbols => self.symbols(&mut run),
                Phase::Match => self.rest_of_match(&mut run),
                Phase::Trailer => self.read_trailer(&mut run),
                Phase::End => Err(Outcome::Ended),
            };
            if let Err(outcome) = step {
                break outcome;
            }
        };
        if outcome != Outcome::InputUsed {
            // Whole bytes beyond the last used bit were taken in this run: earlier ones were all needed for the symbol or
            // field that was incomplete then.
            let back = (self.bit_count / 8).min(u32::try_from(run.used).unwrap_or(u32::MAX));
            run.used -= back as usize;
            self.bit_count -= back * 8;
            self.bits &= (1 << self.bit_count) - 1;
        }
        run.buffer.drain(..history.len());
        Progress { consumed: run.used, output: run.buffer, outcome }
    }

    /// Fills the bit buffer to at least 56 bits, input permitting: more than any symbol or field needs.
    fn fill(&mut self, run: &mut Run<'_>) {
        if let (true, Some(chunk)) = (self.bit_count < 32, run.input.get(run.used..run.used + 4)) {
            let word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
            self.bits |= u64::from(word) << self.bit_count;
            self.bit_count += 32;
            run.used += 4;
        }
        while self.bit_count <= 55 {
            let Some(byte) = run.input.get(run.used) else { return };
            self.bits |= u64::from(*byte) << self.bit_count;
            self.bit_count += 8;
            run.used += 1;
        }
    }

    /// Takes `count` bits (at most 32), all or none.
    fn take(&mut self, run: &mut Run<'_>, count: u32) -> Result<u32, Outcome> {
        self.fill(run);
        if self.bit_count < count {
            return Err(Outcome::InputUsed);
        }
        let value = self.bits & ((1 << count) - 1);
        self.drop_bits(count);
        Ok(u32::try_from(value).unwrap_or(0))
    }

    fn drop_bits(&mut self, count: u32) {
        self.bits >>= count;
        self.bit_count -= count;
    }

    fn block_header(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        let header = self.take(run, 3)?;
        self.final_block = header & 1 == 1;
        self.phase = match header >> 1 {
            0 => {
                self.drop_bits(self.bit_count % 8);
                Phase::StoredLength
            }
            1 => {
                for (symbol, length) in self.lengths.iter_mut().enumerate() {
                    *length = match symbol {
                        0..=143 => 8,
                        144..=255 => 9,
                        256..=279 => 7,
                        280..=287 => 8,
                        _ => 5,
                    };
                }
                (self.literal_codes, self.distance_codes) = (288, 32);
                Phase::Symbols
            }
            2 => Phase::TableSizes,
            _ => return Err(Outcome::InvalidData),
        };
        Ok(())
    }

    fn stored_length(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        let both = self.take(run, 32)?;
        let (length, complement) = (both & 0xFFFF, both >> 16);
        if length ^ complement != 0xFFFF {
            return Err(Outcome::InvalidData);
        }
        self.left = u16::try_from(length).unwrap_or(0);
        self.phase = Phase::Stored;
        Ok(())
    }

    fn stored(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        while self.left > 0 {
            if run.buffer.len() >= run.full {
                return Err(Outcome::RoomFull);
            }
            if self.bit_count >= 8 {
                run.buffer.push(self.bits.to_le_bytes()[0]);
                self.drop_bits(8);
                self.left -= 1;
                continue;
            }
            let rest = run.input.get(run.used..).unwrap_or_default();
            let count = rest.len().min(usize::from(self.left)).min(run.full - run.buffer.len());
            if count == 0 {
                return Err(Outcome::InputUsed);
            }
            run.buffer.extend_from_slice(rest.get(..count).unwrap_or_default());
            run.used += count;
            self.left -= u16::try_from(count).unwrap_or(self.left);
        }
        self.end_block();
        Ok(())
    }

    fn end_block(&mut self) {
        if self.final_block {
            self.drop_bits(self.bit_count % 8);
            self.phase = Phase::Trailer;
        } else {
            self.phase = Phase::BlockHeader;
        }
    }

    fn table_sizes(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        let sizes = u16::try_from(self.take(run, 14)?).unwrap_or(0);
        self.literal_codes = (sizes & 0x1F) + 257;
        self.distance_codes = (sizes >> 5 & 0x1F) + 1;
        self.length_codes = (sizes >> 10) + 4;
        if self.literal_codes > 286 || self.distance_codes > 30 {
            return Err(Outcome::InvalidData);
        }
        self.code_lengths = [0; 19];
        self.read = 0;
        self.phase = Phase::CodeLengths;
        Ok(())
    }

    fn code_lengths(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        while self.read < self.length_codes {
            let length = self.take(run, 3)?;
            let symbol = CODE_LENGTH_ORDER.get(usize::from(self.read)).ok_or(Outcome::InvalidData)?;
            self.code_lengths[*symbol] = u8::try_from(length).unwrap_or(0);
            self.read += 1;
        }
        self.lengths = [0; MAX_LENGTHS];
        self.read = 0;
        self.phase = Phase::Lengths;
        Ok(())
    }

    fn lengths(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        let codes = Codes::new(&self.code_lengths, false).ok_or(Outcome::InvalidData)?;
        let total = usize::from(self.literal_codes + self.distance_codes);
        while usize::from(self.read) < total {
            self.fill(run);
            let (symbol, code_len) = codes.decode(self.bits, self.bit_count)?;
            let extra: u32 = match symbol {
                16 => 2,
                17 => 3,
                18 => 7,
                _ => 0,
            };
            if self.bit_count < code_len + extra {
                return Err(Outcome::InputUsed);
            }
            let at = usize::from(self.read);
            let more = usize::from(low_bits(self.bits >> code_len, extra));
            let (value, count) = match symbol {
                0..=15 => (u8::try_from(symbol).unwrap_or(0), 1),
                16 => (*self.lengths.get(at.wrapping_sub(1)).ok_or(Outcome::InvalidData)?, 3 + more),
                17 => (0, 3 + more),
                _ => (0, 11 + more),
            };
            if at + count > total {
                return Err(Outcome::InvalidData);
            }
            self.drop_bits(code_len + extra);
            self.lengths.get_mut(at..at + count).ok_or(Outcome::InvalidData)?.fill(value);
            self.read += u16::try_from(count).unwrap_or(0);
        }
        // Without an end-of-block code the block could never end.
        if self.lengths[256] == 0 {
            return Err(Outcome::InvalidData);
        }
        self.phase = Phase::Symbols;
        Ok(())
    }

    fn symbols(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        let (literals, distances) = self.lengths.split_at(usize::from(self.literal_codes));
        let distances = distances.get(..usize::from(self.distance_codes)).ok_or(Outcome::InvalidData)?;
        let literals = Codes::new(literals, true).ok_or(Outcome::InvalidData)?;
        let distances = Codes::new(distances, true).ok_or(Outcome::InvalidData)?;
        loop {
            if self.bit_count < 48 {
                self.fill(run);
            }
            let (symbol, mut used) = literals.decode(self.bits, self.bit_count)?;
            if symbol == 256 {
                self.drop_bits(used);
                self.end_block();
                return Ok(());
            }
            if run.buffer.len() >= run.full {
                return Err(Outcome::RoomFull);
            }
            if let Ok(literal) = u8::try_from(symbol) {
                run.buffer.push(literal);
                self.drop_bits(used);
                continue;
            }
            let (base, extra) = *LENGTHS.get(usize::from(symbol) - 257).ok_or(Outcome::InvalidData)?;
            if self.bit_count < used + extra {
                return Err(Outcome::InputUsed);
            }
            let length = base + low_bits(self.bits >> used, extra);
            used += extra;
            let (symbol, code_len) = distances.decode(self.bits >> used, self.bit_count - used)?;
            used += code_len;
            let (base, extra) = *DISTANCES.get(usize::from(symbol)).ok_or(Outcome::InvalidData)?;
            if self.bit_count < used + extra {
                return Err(Outcome::InputUsed);
            }
            let distance = base + low_bits(self.bits >> used, extra);
            used += extra;
            if usize::from(distance) > run.buffer.len() {
                return Err(Outcome::InvalidData);
            }
            self.drop_bits(used);
            (self.left, self.distance) = (length, distance);
            if !self.copy_match(run) {
                self.phase = Phase::Match;
                return Err(Outcome::RoomFull);
            }
        }
    }

    fn rest_of_match(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        if usize::from(self.distance) > run.buffer.len() || self.distance == 0 {
            return Err(Outcome::InvalidData);
        }
        if !self.copy_match(run) {
            return Err(Outcome::RoomFull);
        }
        self.phase = Phase::Symbols;
        Ok(())
    }

    /// Copies the match at hand as far as there is room; true when all of it is done.
    fn copy_match(&mut self, run: &mut Run<'_>) -> bool {
        let count = usize::from(self.left).min(run.full - run.buffer.len());
        let from = run.buffer.len() - usize::from(self.distance);
        if count <= usize::from(self.distance) {
            run.buffer.extend_from_within(from..from + count);
        } else {
            for at in from..from + count {
                run.buffer.push(run.buffer[at]);
            }
        }
        self.left -= u16::try_from(count).unwrap_or(self.left);
        self.left == 0
    }

    fn read_trailer(&mut self, run: &mut Run<'_>) -> Result<(), Outcome> {
        while self.trailer_read < self.trailer_len {
            let byte = self.take(run, 8)?;
            let place = self.trailer.get_mut(usize::from(self.trailer_read)).ok_or(Outcome::InvalidData)?;
            *place = u8::try_from(byte).unwrap_or(0);
            self.trailer_read += 1;
        }
        self.phase = Phase::End;
        Ok(())
    }

    /// As bytes for the context memory.
    pub(super) fn save(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.phase as u8;
        bytes[1] = u8::from(self.final_block);
        bytes[2] = u8::try_from(self.bit_count).unwrap_or(0);
        bytes[3] = self.trailer_len;
        bytes[4] = self.trailer_read;
        bytes[5] = STATE_VERSION;
        bytes[8..16].copy_from_slice(&self.bits.to_le_bytes());
        for (index, value) in self.halfwords().into_iter().enumerate() {
            bytes[16 + index * 2..18 + index * 2].copy_from_slice(&value.to_le_bytes());
        }
        bytes[32..40].copy_from_slice(&self.trailer);
        bytes[40..59].copy_from_slice(&self.code_lengths);
        bytes[60..60 + MAX_LENGTHS].copy_from_slice(&self.lengths);
        bytes
    }

    fn halfwords(&self) -> [u16; 7] {
        [
            self.left,
            self.distance,
            self.literal_codes,
            self.distance_codes,
            self.length_codes,
            self.read,
            self.history_len,
        ]
    }

    /// From the context memory; `None` if it does not hold a state. The client may have written anything there.
    pub(super) fn load(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let phase = *PHASES.get(usize::from(bytes[0]))?;
        let half = |index: usize| u16::from_le_bytes([bytes[16 + index * 2], bytes[17 + index * 2]]);
        let state = Self {
            phase,
            bits: u64::from_le_bytes(bytes[8..16].try_into().ok()?),
            bit_count: u32::from(bytes[2]),
            final_block: bytes[1] == 1,
            left: half(0),
            distance: half(1),
            literal_codes: half(2),
            distance_codes: half(3),
            length_codes: half(4),
            read: half(5),
            code_lengths: bytes[40..59].try_into().ok()?,
            lengths: bytes[60..60 + MAX_LENGTHS].try_into().ok()?,
            trailer_len: bytes[3],
            trailer_read: bytes[4],
            trailer: bytes[32..40].try_into().ok()?,
            history_len: half(6),
        };
        let sound = bytes[5] == STATE_VERSION
            && state.bit_count < 64
            && state.bits >> state.bit_count == 0
            && state.literal_codes <= 288
            && state.distance_codes <= 32
            && state.length_codes <= 19
            && usize::from(state.read) <= MAX_LENGTHS
            && state.code_lengths.iter().all(|length| *length <= 7)
            && state.lengths.iter().all(|length| *length <= 15)
            && state.trailer_len <= 8
            && state.trailer_read <= state.trailer_len
            && state.history_len() <= MAX_WINDOW;
        sound.then_some(state)
    }
}

/// A canonical Huffman code (RFC 1951 §3.2.2).
struct Codes {
    /// By the next [`FAST_BITS`] bits: symbol and code length of short codes.
    fast: Vec<(u16, u8)>,
    count: [u16; 16],
    symbols: Vec<u16>,
    longest: u32,
}

impl Codes {
    /// `None` for lengths that are no code. Like zlib, an incomplete code is accepted only (`single`) if it consists of
    /// one-bit codes, or of none.
    fn new(lengths: &[u8], single: bool) -> Option<Self> {
        let mut count = [0u16; 16];
        for length in lengths {
            *count.get_mut(usize::from(*length))? += 1;
        }
        count[0] = 0;
        let longest = (1..16).rev().find(|length| count[*length] > 0).unwrap_or(0);
        let mut left = 1i32;
        for number in &count[1..] {
            left = left * 2 - i32::from(*number);
            if left < 0 {
                return None;
            }
        }
        if left > 0 && longest != 0 && (!single || longest != 1) {
            return None;
        }
        let mut offsets = [0u16; 16];
        let mut next_code = [0u32; 16];
        for length in 1..15 {
            offsets[length + 1] = offsets[length] + count[length];
        }
        for length in 1..16 {
            next_code[length] = (next_code[length - 1] + u32::from(count[length - 1])) << 1;
        }
        let mut symbols = vec![0; lengths.len()];
        let mut fast = vec![(0, 0); 1 << FAST_BITS];
        for (symbol, length) in (0u16..).zip(lengths).filter(|(_, length)| **length > 0) {
            let index = usize::from(*length);
            symbols[usize::from(offsets[index])] = symbol;
            offsets[index] += 1;
            let code = next_code[index];
            next_code[index] += 1;
            if index <= FAST_BITS {
                // Codes come most significant bit first, everything else least.
                let reversed = (code.reverse_bits() >> (32 - index)) as usize;
                for entry in fast.iter_mut().skip(reversed).step_by(1 << index) {
                    *entry = (symbol, *length);
                }
            }
        }
        Some(Self { fast, count, symbols, longest: u32::try_from(longest).unwrap_or(0) })
    }

    /// The next symbol and its code's length, without taking it.
    fn decode(&self, bits: u64, bit_count: u32) -> Result<(u16, u32), Outcome> {
        let (symbol, length) = self.fast[(bits & ((1 << FAST_BITS) - 1)) as usize];
        if length > 0 && u32::from(length) <= bit_count {
            return Ok((symbol, u32::from(length)));
        }
        let (mut code, mut first, mut index) = (0u32, 0u32, 0u32);
        for length in 1..=self.longest {
            if length > bit_count {
                return Err(Outcome::InputUsed);
            }
            code |= u32::from(bits >> (length - 1) & 1 == 1);
            let count = u32::from(self.count[length as usize]);
            if code < first + count {
                let symbol = self.symbols.get((index + code - first) as usize);
                return symbol.map(|symbol| (*symbol, length)).ok_or(Outcome::InvalidData);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Outcome::InvalidData)
    }
}

fn low_bits(bits: u64, count: u32) -> u16 {
    u16::try_from(bits & ((1 << count) - 1)).unwrap_or(0)
}

const MAX_LENGTHS: usize = 320;
const FAST_BITS: usize = 10;
/// Not 0, so that zeroed memory is no state.
const STATE_VERSION: u8 = 1;
const PHASES: [Phase; 10] = [
    Phase::BlockHeader,
    Phase::StoredLength,
    Phase::Stored,
    Phase::TableSizes,
    Phase::CodeLengths,
    Phase::Lengths,
    Phase::Symbols,
    Phase::Match,
    Phase::Trailer,
    Phase::End,
];
const CODE_LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Base and extra bits of length codes 257 to 285 and of distance codes (RFC 1951 §3.2.5).
#[rustfmt::skip]
const LENGTHS: [(u16, u32); 29] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1), (17, 1), (19, 2),
    (23, 2), (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4), (115, 4), (131, 5),
    (163, 5), (195, 5), (227, 5), (258, 0),
];
#[rustfmt::skip]
const DISTANCES: [(u16, u32); 30] = [
    (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4), (49, 4), (65, 5),
    (97, 5), (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8), (1025, 9), (1537, 9), (2049, 10),
    (3073, 10), (4097, 11), (6145, 11), (8193, 12), (12289, 12), (16385, 13), (24577, 13),
];

#[cfg(test)]
mod tests;
