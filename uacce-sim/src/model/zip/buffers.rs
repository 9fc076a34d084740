//! Where a request's bytes are: one flat buffer, or a scatter-gather list (zip §1.5, uacce-qm §8).

use super::Failure;
use crate::model::{address, word};
use crate::os::client::ClientSpace;

/// Source and destination of a request.
pub(super) struct Buffers {
    pub(super) source: Segments,
    pub(super) destination: Segments,
}

/// Pieces of client memory, in order: address and length in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segments(Vec<(u64, usize)>);

impl Buffers {
    pub(super) fn parse(descriptor: &[u8], space: &dyn ClientSpace) -> Result<Self, Failure> {
        let (source_at, destination_at) = (address(descriptor, 18), address(descriptor, 20));
        match word(descriptor, 9) >> 8 & 0xF {
            0 => Ok(Self {
                source: Segments(vec![(source_at, word(descriptor, 4) as usize)]),
                destination: Segments(vec![(destination_at, word(descriptor, 14) as usize)]),
            }),
            1 => Ok(Self {
                source: Segments::walk(source_at, word(descriptor, 7) as usize & 0xFF_FFFF, space)?,
                destination: Segments::walk(destination_at, word(descriptor, 8) as usize & 0xFF_FFFF, space)?,
            }),
            _ => Err(Failure::Unsupported),
        }
    }
}

impl Segments {
    /// Bytes altogether.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|(_, len)| *len).fold(0, usize::saturating_add)
    }

    /// The first `len` bytes.
    pub(super) fn gather(&self, len: usize, space: &dyn ClientSpace) -> Result<Vec<u8>, Failure> {
        if self.len() < len {
            return Err(Failure::Unsupported);
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
    pub(super) fn scatter(&self, bytes: &[u8], space: &dyn ClientSpace) -> Result<(), Failure> {
        let mut rest = bytes;
        for (at, segment_len) in &self.0 {
            let (part, after) = rest.split_at((*segment_len).min(rest.len()));
            if !part.is_empty() {
                space.write(*at, part)?;
            }
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(Failure::Room) }
    }

    /// Follows a chain of lists, leaving out its first `skip` bytes. By `next` and the valid entries of each list: the sum
    /// for the chain has two meanings among drivers (uacce-qm §8).
    fn walk(first: u64, skip: usize, space: &dyn ClientSpace) -> Result<Self, Failure> {
        let mut segments = Vec::new();
        let (mut list, mut skip) = (first, skip);
        for _ in 0..MAX_LISTS {
            if list % LIST_ALIGNMENT != 0 {
                return Err(Failure::Unsupported);
            }
            let mut head = [0; HEAD_LEN];
            space.read(list, &mut head)?;
            let count = usize::from(u16::from_le_bytes([head[10], head[11]]));
            if count > MAX_ENTRIES {
                return Err(Failure::Unsupported);
            }
            let mut entries = vec![0; count * ENTRY_LEN];
            space.read(list.wrapping_add(HEAD_LEN as u64), &mut entries)?;
            for entry in entries.chunks_exact(ENTRY_LEN) {
                let (at, len) = (address(entry, 0), word(entry, 4) as usize);
                if len > MAX_ENTRY_BYTES {
                    return Err(Failure::Unsupported);
                }
                let skipped = skip.min(len);
                skip -= skipped;
                if skipped < len {
                    segments.push((at.wrapping_add(skipped as u64), len - skipped));
                }
            }
            list = address(&head, 0);
            if list == 0 {
                return Ok(Self(segments));
            }
        }
        Err(Failure::Unsupported)
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
        let walk = |skip| Segments::walk(BASE, skip, &memory).unwrap().0;
        assert_eq!(walk(0), [(1000, 10), (2000, 20), (3000, 30)]);
        assert_eq!(walk(10), [(2000, 20), (3000, 30)]);
        assert_eq!(walk(15), [(2005, 15), (3000, 30)]);
        assert_eq!(walk(60), []);
    }

    #[test]
    fn broken_lists_are_refused() {
        let memory = FlatMemory::new(0x1000);
        memory.write(BASE, &list(BASE, &[(1000, 10)])).unwrap();
        assert_eq!(Segments::walk(BASE, 0, &memory).unwrap_err(), Failure::Unsupported, "endless chain");
        assert_eq!(Segments::walk(BASE + 8, 0, &memory).unwrap_err(), Failure::Unsupported, "alignment");
        assert_eq!(Segments::walk(64, 0, &memory).unwrap_err(), Failure::Address);
        memory.write(BASE, &list(0, &[(1000, 9 << 20)])).unwrap();
        assert_eq!(Segments::walk(BASE, 0, &memory).unwrap_err(), Failure::Unsupported, "entry length");
        memory.write(BASE + 10, &[0xFF, 0xFF]).unwrap();
        assert_eq!(Segments::walk(BASE, 0, &memory).unwrap_err(), Failure::Unsupported, "entry count");
    }

    #[test]
    fn bytes_go_round_through_segments() {
        let memory = FlatMemory::new(0x1000);
        let segments = Segments(vec![(BASE, 3), (BASE + 100, 4)]);
        segments.scatter(b"abcdefg", &memory).unwrap();
        assert_eq!(memory.bytes(BASE + 100, 4), b"defg");
        assert_eq!(segments.gather(5, &memory).unwrap(), b"abcde");
        assert_eq!(segments.gather(8, &memory).unwrap_err(), Failure::Unsupported);
    }
}
