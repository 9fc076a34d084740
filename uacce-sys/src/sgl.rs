//! Hardware scatter-gather lists: one buffer address in a descriptor, many pieces of memory behind it.
//!
//! A list is a 64-byte head and up to 255 entries of 32 bytes; lists form a chain by address (uacce-qm §8). The same
//! format serves every version of the queue manager.

use crate::{Error, abi};

/// A chain of lists in the process's own memory, which is the device's too (shared virtual addressing).
///
/// Plain memory: while a submitted descriptor names [`Self::address`], the owner keeps the value alive and unchanged, as
/// with every buffer of a request; moving the value does not move the memory.
#[derive(Debug)]
pub struct ScatterList {
    /// The lists, one after another, each starting on a block.
    blocks: Box<[Block]>,
    len_bytes: u64,
}

/// One alignment unit: a head, or two entries.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Block([u64; WORDS]);

impl ScatterList {
    /// A chain that names `segments` (address, bytes) in order. Empty segments are left out; those beyond 8 MiB are
    /// split, as one entry holds no more.
    ///
    /// # Errors
    /// [`Error::Unsupported`]: nothing but empty segments, a segment at address 0 or beyond the end of the address space,
    /// or more than 256 lists of 255 entries.
    pub fn new(segments: &[(u64, u64)]) -> Result<Self, Error> {
        let mut entries = 0;
        let mut len_bytes = 0u64;
        for &(address, len) in segments.iter().filter(|segment| segment.1 != 0) {
            if address == 0 || address.checked_add(len).is_none() {
                return Err(Error::Unsupported);
            }
            len_bytes = len_bytes.checked_add(len).ok_or(Error::Unsupported)?;
            entries += len.div_ceil(ENTRY_LEN_MAX);
        }
        if entries == 0 || entries > LIST_ENTRIES as u64 * u64::from(abi::SGL_CHAIN_MAX) {
            return Err(Error::Unsupported);
        }
        let entries = usize::try_from(entries).map_err(|_| Error::Unsupported)?;

        let lists = entries.div_ceil(LIST_ENTRIES);
        let last = entries - (lists - 1) * LIST_ENTRIES;
        let blocks = (lists - 1) * LIST_BLOCKS + list_blocks(last);
        let mut list = Self { blocks: vec![Block::default(); blocks].into_boxed_slice(), len_bytes };
        for index in 0..lists {
            let next = if index + 1 < lists { list.list_address(index + 1) } else { 0 };
            let room = if index + 1 < lists { LIST_ENTRIES } else { last };
            list.write_head(index, next, entries, room);
        }
        for (index, (address, len)) in segments.iter().copied().flat_map(pieces).enumerate() {
            list.write_entry(index, address, len);
        }
        Ok(list)
    }

    /// The address that goes into a descriptor; a multiple of 64.
    pub fn address(&self) -> u64 {
        self.list_address(0)
    }

    /// Bytes named by all entries together.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn list_address(&self, list: usize) -> u64 {
        self.blocks.as_ptr().wrapping_add(list * LIST_BLOCKS).expose_provenance() as u64
    }

    /// `entries`: of the whole chain. `room`: entries of this list, all of them valid.
    fn write_head(&mut self, list: usize, next: u64, entries: usize, room: usize) {
        let Some(Block(words)) = self.blocks.get_mut(list * LIST_BLOCKS) else { return };
        // entry_sum_in_chain counts room, as the kernel writes it; our lists have no unused room.
        words[HEAD_NEXT] = next;
        words[HEAD_COUNTS] = entries as u64 | (room as u64) << 16 | (room as u64) << 32;
    }

    fn write_entry(&mut self, index: usize, address: u64, len: u64) {
        let (list, entry) = (index / LIST_ENTRIES, index % LIST_ENTRIES);
        let Some(Block(words)) = self.blocks.get_mut(list * LIST_BLOCKS + 1 + entry / 2) else { return };
        let first = entry % 2 * ENTRY_WORDS;
        words[first + ENTRY_ADDRESS] = address;
        words[first + ENTRY_LEN] = len;
    }
}

/// A segment in pieces that one entry can hold.
fn pieces((address, len): (u64, u64)) -> impl Iterator<Item = (u64, u64)> {
    (0..len.div_ceil(ENTRY_LEN_MAX)).map(move |index| {
        let start = index * ENTRY_LEN_MAX;
        (address + start, ENTRY_LEN_MAX.min(len - start))
    })
}

/// Blocks of a list with room for `entries`.
const fn list_blocks(entries: usize) -> usize {
    1 + entries.div_ceil(2)
}

const WORDS: usize = abi::SGL_ALIGN as usize / size_of::<u64>();
const ENTRY_WORDS: usize = WORDS / 2;
const LIST_ENTRIES: usize = abi::SGL_ENTRIES_MAX as usize;
const LIST_BLOCKS: usize = list_blocks(LIST_ENTRIES);
const ENTRY_LEN_MAX: u64 = abi::SGL_ENTRY_LEN_MAX as u64;

// Words of a head and of an entry.
const HEAD_NEXT: usize = std::mem::offset_of!(abi::SglHeader, next_dma) / 8;
const HEAD_COUNTS: usize = std::mem::offset_of!(abi::SglHeader, entry_sum_in_chain) / 8;
const ENTRY_ADDRESS: usize = std::mem::offset_of!(abi::SglEntry, buff) / 8;
const ENTRY_LEN: usize = std::mem::offset_of!(abi::SglEntry, len) / 8;

const _: () = {
    assert!(size_of::<Block>() == size_of::<abi::SglHeader>());
    assert!(size_of::<Block>() == 2 * size_of::<abi::SglEntry>());
    // Every count fits its 16 bits.
    assert!(abi::SGL_ENTRIES_MAX * abi::SGL_CHAIN_MAX <= u16::MAX as u32);
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows the chain as a device does: by address and by the count in each list.
    fn walk(list: &ScatterList) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        let base = list.address();
        let mut address = base;
        while address != 0 {
            assert_eq!(address % 64, 0);
            let start = usize::try_from(address - base).unwrap() / 64;
            let head = list.blocks[start].0;
            let (chain, valid, room) = (head[1] & 0xffff, head[1] >> 16 & 0xffff, head[1] >> 32 & 0xffff);
            assert_eq!(head[1] >> 48, 0);
            assert!(valid <= room && room <= chain);
            for entry in 0..usize::try_from(valid).unwrap() {
                let words = &list.blocks[start + 1 + entry / 2].0[entry % 2 * 4..][..4];
                assert_eq!((words[1], words[2] >> 32, words[3]), (0, 0, 0));
                found.push((words[0], words[2]));
            }
            address = head[0];
        }
        found
    }

    #[test]
    fn one_list_in_bytes() {
        let list = ScatterList::new(&[(0x1000, 5), (0x2000, 0), (0x3001, 8 << 20)]).unwrap();
        assert_eq!(list.len_bytes(), 5 + (8 << 20));
        assert_eq!(list.blocks.len(), 2);
        assert_eq!(list.blocks[0].0, [0, 2 | 2 << 16 | 2 << 32, 0, 0, 0, 0, 0, 0]);
        assert_eq!(list.blocks[1].0, [0x1000, 0, 5, 0, 0x3001, 0, 8 << 20, 0]);
    }

    #[test]
    fn chains_grow_at_255_entries() {
        for (count, lists) in [(1, 1), (254, 1), (255, 1), (256, 2), (510, 2), (511, 3), (65_280, 256)] {
            let segments: Vec<_> = (1..=count).map(|index| (index * 0x1000, index)).collect();
            let list = ScatterList::new(&segments).unwrap();
            assert_eq!(walk(&list), segments, "{count}");
            assert_eq!(list.blocks.len().div_ceil(LIST_BLOCKS), lists);
            assert_eq!(list.blocks[0].0[1] & 0xffff, count);
        }
    }

    #[test]
    fn long_segments_are_split() {
        let list = ScatterList::new(&[(0x1000, (20 << 20) + 1)]).unwrap();
        let most = 8 << 20;
        assert_eq!(walk(&list), [(0x1000, most), (0x1000 + most, most), (0x1000 + 2 * most, (4 << 20) + 1)]);
    }

    #[test]
    fn impossible_lists_are_refused() {
        for segments in [
            &[][..],
            &[(0x1000, 0)],
            &[(0, 1)],
            &[(0x1000, 1), (0, 1)],
            &[(u64::MAX, 1)],
            &[(1, u64::MAX - 1)],
            &[(0x1000, 1); 65_281],
        ] {
            assert!(matches!(ScatterList::new(segments), Err(Error::Unsupported)));
        }
    }

    #[test]
    fn a_moved_list_keeps_its_address() {
        let list = ScatterList::new(&[(0x1000, 1)]).unwrap();
        let address = list.address();
        let boxed = Box::new(list);
        assert_eq!(boxed.address(), address);
    }
}
