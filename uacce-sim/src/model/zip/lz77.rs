//! The first half of a compressor: literals and sequences, for software that does the entropy coding (zip §8).

use crate::model::word;

/// Copies of what went before, each after some literals. What follows the last one is literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Bytes since the end of the sequence before that are no copy.
    pub(super) literals: usize,
    /// How far back the copy begins, 1 or more.
    pub(super) offset: usize,
    /// Bytes copied.
    pub(super) length: usize,
}

/// How sequences are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As zstd keeps them between its stages: offsets above 3 with 3 added, 1 to 3 for one of the last offsets, lengths less 3.
    Zstd,
    /// Numbers as they are.
    Plain,
}

/// The last three offsets, newest first (RFC 8878 §3.1.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastOffsets([u32; 3]);

/// What the device writes: literals, sequences, and a record of the one length that does not fit its field.
pub(super) struct Output {
    pub(super) literals: Vec<u8>,
    /// 8 bytes each, little-endian: offset (4), literals before it (2), length (2).
    pub(super) sequences: Vec<u8>,
    pub(super) count: usize,
    /// Which sequence has 65,536 literals more than its field says.
    pub(super) overflow: Option<usize>,
}

impl LastOffsets {
    /// At the beginning of a frame.
    pub(super) const START: Self = Self([1, 4, 8]);
    /// Bytes in context memory.
    pub(super) const LEN: usize = 12;

    pub(super) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self([0, 1, 2].map(|index| word(&bytes, index)))
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|offset| offset.to_le_bytes()).collect()
    }

    /// The value that stands for `offset`, which becomes the newest. Without literals before it, a repetition of the newest
    /// would have been one copy; the three values mean the next two, and the newest less 1.
    fn value(&mut self, offset: u32, after_literals: bool) -> u32 {
        let [first, second, third] = self.0;
        let candidates =
            if after_literals { [first, second, third] } else { [second, third, first.wrapping_sub(1)] };
        let known = candidates.iter().position(|candidate| *candidate == offset);
        self.0 = match (known, after_literals) {
            (Some(0), true) => self.0,
            (Some(1), true) | (Some(0), false) => [offset, first, third],
            _ => [offset, first, second],
        };
        known.and_then(|index| u32::try_from(index + 1).ok()).unwrap_or(offset + BIAS)
    }
}

impl Output {
    /// Splits `input`, which follows `history`, into literals and copies from no further back than `window` bytes.
    pub(super) fn new(
        form: Form,
        window: usize,
        history: &[u8],
        input: &[u8],
        last_offsets: &mut LastOffsets,
    ) -> Self {
        let mut output = Self {
            literals: Vec::with_capacity(input.len()),
            sequences: Vec::new(),
            count: 0,
            overflow: None,
        };
        let (mut at, mut waiting) = (0, 0);
        for sequence in find(window, history, input) {
            let literals = waiting + sequence.literals;
            let (from, start) = (at, at + sequence.literals);
            at = start + sequence.length;
            // One length may exceed its field, once; what cannot be described stays literals.
            let too_long = literals > MAX_FIELD;
            if literals > 2 * MAX_FIELD + 1 || too_long && output.overflow.is_some() {
                output.literals.extend(input.get(from..at).unwrap_or_default());
                waiting = literals + sequence.length;
                continue;
            }
            output.literals.extend(input.get(from..start).unwrap_or_default());
            if too_long {
                output.overflow = Some(output.count);
            }
            output.push(form, Sequence { literals, ..sequence }, last_offsets);
            waiting = 0;
        }
        output.literals.extend(input.get(at..).unwrap_or_default());
        output
    }

    fn push(&mut self, form: Form, sequence: Sequence, last_offsets: &mut LastOffsets) {
        let offset = super::index(sequence.offset);
        let (offset, length) = match form {
            Form::Zstd => {
                (last_offsets.value(offset, sequence.literals > 0), sequence.length - SHORTEST_IN_ZSTD)
            }
            Form::Plain => (offset, sequence.length),
        };
        self.sequences.extend(offset.to_le_bytes());
        self.sequences.extend(low_half(sequence.literals));
        self.sequences.extend(low_half(length));
        self.count += 1;
    }
}

/// Greedy: the last place where the same four bytes stood, as far as it goes.
fn find(window: usize, history: &[u8], input: &[u8]) -> Vec<Sequence> {
    let text = [history, input].concat();
    let mut places = vec![NOWHERE; 1 << HASH_BITS];
    let hash = |at: usize| {
        let four = text.get(at..)?.first_chunk::<SHORTEST>()?;
        Some((u32::from_le_bytes(*four).wrapping_mul(HASH_FACTOR) >> (32 - HASH_BITS)) as usize)
    };
    let mut remember = |at: usize| {
        let place = places.get_mut(hash(at)?)?;
        Some(std::mem::replace(place, at))
    };
    for at in 0..history.len() {
        remember(at);
    }
    let mut sequences = Vec::new();
    let (mut at, mut covered) = (history.len(), history.len());
    while let Some(place) = remember(at) {
        let length = match at.checked_sub(place) {
            Some(distance) if distance <= window => common(&text, place, at),
            _ => 0,
        };
        if length < SHORTEST {
            at += 1;
            continue;
        }
        sequences.push(Sequence { literals: at - covered, offset: at - place, length });
        for inside in at + 1..at + length {
            remember(inside);
        }
        at += length;
        covered = at;
    }
    sequences
}

/// How many bytes from `place` on are those from `at` on.
fn common(text: &[u8], place: usize, at: usize) -> usize {
    let (Some(before), Some(here)) = (text.get(place..), text.get(at..)) else { return 0 };
    before.iter().zip(here).take(LONGEST).take_while(|(before, here)| before == here).count()
}

fn low_half(number: usize) -> [u8; 2] {
    let [low, high, ..] = number.to_le_bytes();
    [low, high]
}

/// Offsets in zstd's form follow the three values for known ones.
const BIAS: u32 = 3;
const SHORTEST_IN_ZSTD: usize = 3;
/// The shortest copy looked for.
const SHORTEST: usize = 4;
const MAX_FIELD: usize = u16::MAX as usize;
/// So that a length fits its field in either form.
const LONGEST: usize = MAX_FIELD;
const HASH_BITS: u32 = 15;
const HASH_FACTOR: u32 = 0x9E37_79B1;
const NOWHERE: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets and their values by the rules of RFC 8878 §3.1.1.5, worked through by hand.
    #[test]
    fn known_offsets_have_short_values() {
        let mut last = LastOffsets::START;
        for (offset, after_literals, value, left) in [
            (1, true, 1, [1, 4, 8]),
            (4, true, 2, [4, 1, 8]),
            (8, true, 3, [8, 4, 1]),
            (100, true, 103, [100, 8, 4]),
            (100, false, 103, [100, 100, 8]),
            (8, false, 2, [8, 100, 100]),
            (100, false, 1, [100, 8, 100]),
            (99, false, 3, [99, 100, 8]),
            (7, false, 10, [7, 99, 100]),
        ] {
            assert_eq!((last.value(offset, after_literals), last), (value, LastOffsets(left)), "{offset}");
        }
        assert_eq!(LastOffsets::from_bytes(last.to_bytes().try_into().unwrap()), last);
    }
}
