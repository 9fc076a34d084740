//! Pieces of client memory: one flat buffer, or what a chain of scatter-gather lists names (uacce-qm §8).

use super::{address, word};
use crate::os::client::{ClientSpace, MemoryError};

/// Pieces of client memory, in order: address and length in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segments(Vec<(u64, usize)>);

/// Why memory could not be reached through its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentError {
    /// A list that breaks the format: alignment, counts, lengths, no end.
    Broken,
    /// Fewer bytes than asked for.
    Short,
    /// An address that does not translate.
    Fault,
}

impl From<MemoryError> for SegmentError {
    fn from(_: MemoryError) -> Self {
        Self::Fault
    }
}

impl Segments {
    /// One piece.
    pub(crate) fn flat(at: u64, len: usize) -> Self {
        Self(vec![(at, len)])
    }

    /// Bytes altogether.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|(_, len)| *len).fold(0, usize::saturating_add)
    }

    /// The first `len` bytes.
    pub(crate) fn gather(&self, len: usize, space: &dyn ClientSpace) -> Result<Vec<u8>, SegmentError> {
        if self.len() < len {
            return Err(SegmentError::Short);
        }
        let mut bytes = vec![0; len];
        let mut rest = bytes.as_mut_slice();
        for (at, segment_len) in &self.0 {
            let (part, after) = rest.split_at_mut((*segment_len).min(rest.len()));
            if !part.is_empty() {
                space.read(*at, part)?;
            }
            rest = after;
        }
        Ok(bytes)
    }

    /// Writes `bytes` from the beginning; the caller has checked that they fit.
    pub(crate) fn scatter(&self, bytes: &[u8], space: &dyn ClientSpace) -> Result<(), SegmentError> {
        let mut rest = bytes;
        for (at, segment_len) in &self.0 {
            let (part, after) = rest.split_at((*segment_len).min(rest.len()));
            if !part.is_empty() {
                space.write(*at, part)?;
            }
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(SegmentError::Short) }
    }

    /// Follows a chain of lists, leaving out its first `skip` bytes, until `wanted` bytes are found. By `next` and the valid entries of each list: the sum
    /// for the chain has two meanings among drivers (uacce-qm §8).
    pub(crate) fn walk(
        first: u64,
        skip: usize,
        wanted: usize,
        space: &dyn ClientSpace,
    ) -> Result<Self, SegmentError> {
        let mut segments = Vec::new();
        let (mut list, mut skip, mut wanted) = (first, skip, wanted);
        for _ in 0..MAX_LISTS {
            if list % LIST_ALIGNMENT != 0 {
                return Err(SegmentError::Broken);
            }
            let mut head = [0; HEAD_LEN];
            space.read(list, &mut head)?;
            let count = usize::from(u16::from_le_bytes([head[10], head[11]]));
            if count > MAX_ENTRIES {
                return Err(SegmentError::Broken);
            }
            let mut entries = vec![0; count * ENTRY_LEN];
            space.read(list.wrapping_add(HEAD_LEN as u64), &mut entries)?;
            for entry in entries.chunks_exact(ENTRY_LEN) {
                let (at, len) = (address(entry, 0), word(entry, 4) as usize);
                if len > MAX_ENTRY_BYTES {
                    return Err(SegmentError::Broken);
                }
                let skipped = skip.min(len);
                skip -= skipped;
                if skipped < len {
                    segments.push((at.wrapping_add(skipped as u64), len - skipped));
                    wanted = wanted.saturating_sub(len - skipped);
                }
            }
            list = address(&head, 0);
            if list == 0 || wanted == 0 {
                return Ok(Self(segments));
            }
        }
        Err(SegmentError::Broken)
    }
}

const HEAD_LEN: usize = 64;
const ENTRY_LEN: usize = 32;
const LIST_ALIGNMENT: u64 = 64;
const MAX_LISTS: usize = 256;
const MAX_ENTRIES: usize = 255;
const MAX_ENTRY_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::FlatMemory;

    const BASE: u64 = FlatMemory::BASE;

    fn list(next: u64, entries: &[(u64, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_LEN + entries.len() * ENTRY_LEN];
        bytes[..8].copy_from_slice(&next.to_le_bytes());
        bytes[8] = 255;
        bytes[10] = u8::try_from(entries.len()).unwrap();
        bytes[12] = 255;
        for (index, (at, len)) in entries.iter().enumerate() {
            let entry = &mut bytes[HEAD_LEN + index * ENTRY_LEN..];
            entry[..8].copy_from_slice(&at.to_le_bytes());
            entry[16..20].copy_from_slice(&len.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn chains_are_followed_and_heads_skipped() {
        let memory = FlatMemory::new(0x1000);
        memory.write(BASE, &list(BASE + 0x400, &[(1000, 10), (2000, 20)])).unwrap();
        memory.write(BASE + 0x400, &list(0, &[(3000, 30)])).unwrap();
        let walk = |skip| Segments::walk(BASE, skip, usize::MAX, &memory).unwrap().0;
        assert_eq!(walk(0), [(1000, 10), (2000, 20), (3000, 30)]);
        assert_eq!(walk(10), [(2000, 20), (3000, 30)]);
        assert_eq!(walk(15), [(2005, 15), (3000, 30)]);
        assert_eq!(walk(60), []);
        let enough = Segments::walk(BASE, 0, 25, &memory).unwrap().0;
        assert_eq!(enough, [(1000, 10), (2000, 20)], "a list that is not needed is not read");
    }

    #[test]
    fn broken_lists_are_refused() {
        let memory = FlatMemory::new(0x1000);
        memory.write(BASE, &list(BASE, &[(1000, 10)])).unwrap();
        assert_eq!(
            Segments::walk(BASE, 0, usize::MAX, &memory).unwrap_err(),
            SegmentError::Broken,
            "endless chain"
        );
        assert_eq!(
            Segments::walk(BASE + 8, 0, usize::MAX, &memory).unwrap_err(),
            SegmentError::Broken,
            "alignment"
        );
        assert_eq!(Segments::walk(64, 0, usize::MAX, &memory).unwrap_err(), SegmentError::Fault);
        memory.write(BASE, &list(0, &[(1000, 9 << 20)])).unwrap();
        assert_eq!(
            Segments::walk(BASE, 0, usize::MAX, &memory).unwrap_err(),
            SegmentError::Broken,
            "entry length"
        );
        memory.write(BASE + 10, &[0xFF, 0xFF]).unwrap();
        assert_eq!(
            Segments::walk(BASE, 0, usize::MAX, &memory).unwrap_err(),
            SegmentError::Broken,
            "entry count"
        );
    }

    #[test]
    fn bytes_go_round_through_segments() {
        let memory = FlatMemory::new(0x1000);
        let segments = Segments(vec![(BASE, 3), (BASE + 100, 4)]);
        segments.scatter(b"abcdefg", &memory).unwrap();
        assert_eq!(memory.bytes(BASE + 100, 4), b"defg");
        assert_eq!(segments.gather(5, &memory).unwrap(), b"abcde");
        assert_eq!(segments.gather(8, &memory).unwrap_err(), SegmentError::Short);
    }
}
