//! Reserved memory: what addresses in descriptors lead to on devices without shared virtual addressing (uacce-qm §7.3).
//!
//! Each queue's static shared region is a memfd, cut into slices with bus addresses. A device behind an IOMMU sees the
//! regions of its own queues; without one, all devices see the regions of all. Nothing else is on the bus here: where real
//! hardware without IOMMU would reach any memory, an address outside every region does not translate.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::os::client::{ClientSpace, MemoryError};

/// The addresses that devices use.
pub struct Bus {
    kind: Kind,
    slices: RwLock<BTreeMap<u64, Slice>>,
}

/// Who gives addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IOMMU: one slice however long, from 4 GiB downwards.
    Translated,
    /// Nobody: physical memory, in blocks as large as the kernel's page allocator has them.
    Physical,
}

#[derive(Clone)]
struct Slice {
    file: Arc<File>,
    /// Where it begins in the file.
    offset: u64,
    len: u64,
}

/// The region of one queue; its addresses end with it.
pub struct Reserved {
    bus: Arc<Bus>,
    file: Arc<File>,
    /// Bus address and length of each slice, in the order they are mapped in, which is that of their addresses.
    slices: Vec<(u64, u64)>,
}

impl Bus {
    /// An empty bus.
    pub fn new(kind: Kind) -> Arc<Self> {
        Arc::new(Self { kind, slices: RwLock::new(BTreeMap::new()) })
    }

    /// Gives addresses to the `len` bytes (whole pages) of a region.
    /// # Errors
    /// `OutOfMemory` when the region is larger than 2 GiB or no addresses are left.
    pub fn reserve(self: &Arc<Self>, region: OwnedFd, len: u64, page_size: u64) -> io::Result<Reserved> {
        if len > MAX_LEN {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let file = Arc::new(File::from(region));
        let mut reserved = Reserved { bus: Arc::clone(self), file, slices: Vec::new() };
        let longest = match self.kind {
            Kind::Translated => len.max(1),
            Kind::Physical => block_len(page_size),
        };
        let mut slices = self.slices.write();
        let (mut offset, mut above) = (0, PHYSICAL_BASE);
        while offset < len {
            let slice_len = longest.min(len - offset);
            let place = match self.kind {
                Kind::Translated => highest_free(&slices, slice_len),
                Kind::Physical => lowest_free(&slices, above, longest),
            };
            let Some(at) = place else {
                drop(slices);
                return Err(io::ErrorKind::OutOfMemory.into());
            };
            let file = Arc::clone(&reserved.file);
            slices.insert(at, Slice { file, offset, len: slice_len });
            reserved.slices.push((at, slice_len));
            offset += slice_len;
            above = at + longest;
            // Memory is not of one piece: a hole now and then, as long as a block.
            if reserved.slices.len() % BLOCKS_IN_ONE_PIECE == 0 {
                above += longest;
            }
        }
        drop(slices);
        Ok(reserved)
    }

    /// Calls `act` with file, offset and length of each piece of `address .. address + len`.
    fn pieces(
        &self,
        address: u64,
        len: usize,
        mut act: impl FnMut(&File, u64, usize, usize) -> io::Result<()>,
    ) -> Result<(), MemoryError> {
        let slices = self.slices.read();
        let mut done = 0;
        while done < len {
            let at = address.checked_add(done as u64).ok_or(MemoryError::Fault)?;
            let (start, slice) = slices.range(..=at).next_back().ok_or(MemoryError::Fault)?;
            let inside = at - start;
            let left = slice.len.checked_sub(inside).filter(|left| *left > 0).ok_or(MemoryError::Fault)?;
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(len - done);
            act(&slice.file, slice.offset + inside, done, part).map_err(|_| MemoryError::Fault)?;
            done += part;
        }
        Ok(())
    }
}

impl ClientSpace for Bus {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let len = bytes.len();
        self.pieces(address, len, |file, offset, done, part| {
            file.read_exact_at(bytes.get_mut(done..done + part).unwrap_or_default(), offset)
        })
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.pieces(address, bytes.len(), |file, offset, done, part| {
            // A region cut off at removal must not grow again.
            if offset + part as u64 > file.metadata()?.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.write_all_at(bytes.get(done..done + part).unwrap_or_default(), offset)
        })
    }
}

impl Reserved {
    /// The memfd, to hand to the client.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The memfd's inode.
    /// # Errors
    /// What `fstat` reports.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.ino())
    }

    /// `GET_SS_DMA` (uacce-qm §7.3): address and length (64 KiB units, 12 bits) of a slice, and how many follow it.
    pub fn slice(&self, index: u64) -> Option<(u64, usize)> {
        let index = usize::try_from(index).ok()?;
        let (at, len) = self.slices.get(index)?;
        Some((at | (len >> 16 & 0xFFF), self.slices.len() - 1 - index))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut slices = self.bus.slices.write();
        for (at, _) in &self.slices {
            slices.remove(at);
        }
    }
}

/// Bytes of the largest block of the kernel's page allocator, where a slice's length can still be told (uacce-qm §7.3).
fn block_len(page_size: u64) -> u64 {
    let order = match page_size {
        16384 => 11,
        65536 => 13,
        _ => 10,
    };
    let len = page_size << order;
    if len > 0xFFF << 16 { 0x1000 << 15 } else { len }
}

/// The highest free place below 4 GiB, aligned to 64 KiB; the first page stays free, so no address is 0.
fn highest_free(slices: &BTreeMap<u64, Slice>, len: u64) -> Option<u64> {
    let mut end = 1 << 32;
    for (start, slice) in slices.iter().rev() {
        if start + slice.len + len <= end {
            break;
        }
        end = *start;
    }
    let at = end.checked_sub(len)? & !0xFFFF;
    let below = slices.range(..end).next_back().map_or(0x1_0000, |(start, slice)| start + slice.len);
    (at >= below).then_some(at)
}

/// The lowest free place for `len` bytes, aligned to `len`, from `above` on.
fn lowest_free(slices: &BTreeMap<u64, Slice>, above: u64, len: u64) -> Option<u64> {
    let mut at = above.next_multiple_of(len);
    for (start, slice) in slices {
        if start + slice.len > at {
            if at + len <= *start {
                break;
            }
            at = (start + slice.len).next_multiple_of(len);
        }
    }
    (at + len <= PHYSICAL_END).then_some(at)
}

/// Longest region, bytes.
const MAX_LEN: u64 = 2 << 30;
/// Where the memory of a simulated machine without IOMMU lies.
const PHYSICAL_BASE: u64 = 0x20_8000_0000;
const PHYSICAL_END: u64 = 0x40_0000_0000;
/// After so many blocks comes a hole.
const BLOCKS_IN_ONE_PIECE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::region::shared_memory;

    const MIB: u64 = 1 << 20;

    fn reserve(bus: &Arc<Bus>, len: u64) -> io::Result<Reserved> {
        bus.reserve(shared_memory(c"test", usize::try_from(len).unwrap(), true).unwrap(), len, 4096)
    }

    #[test]
    fn an_iommu_gives_one_slice() {
        let bus = Bus::new(Kind::Translated);
        let first = reserve(&bus, 64 * MIB).unwrap();
        let (word, rest) = first.slice(0).unwrap();
        assert_eq!((word & 0xFFF, rest), (1024, 0));
        assert_eq!(word & !0xFFF, (1 << 32) - 64 * MIB);
        assert_eq!(first.slice(1), None);
        let second = reserve(&bus, 4096).unwrap();
        assert_eq!(second.slice(0), Some(((1 << 32) - 64 * MIB - 0x1_0000, 0)));
        drop(first);
        // The addresses serve again.
        assert_eq!(reserve(&bus, MIB).unwrap().slice(0).unwrap().0 & !0xFFF, (1 << 32) - MIB);
        assert_eq!(
            reserve(&bus, MAX_LEN + 4096).err().map(|error| error.kind()),
            Some(io::ErrorKind::OutOfMemory)
        );
    }

    #[test]
    fn without_one_there_are_slices_and_holes() {
        let bus = Bus::new(Kind::Physical);
        let region = reserve(&bus, 22 * MIB).unwrap();
        let slices: Vec<_> = (0..).map_while(|index| region.slice(index)).collect();
        let expected = [(0, 5), (4, 4), (8, 3), (12, 2), (20, 1), (24, 0)];
        let shown: Vec<_> =
            slices.iter().map(|(word, rest)| (((word & !0xFFF) - PHYSICAL_BASE) / MIB, *rest)).collect();
        assert_eq!(shown, expected);
        assert_eq!(slices.iter().map(|(word, _)| word & 0xFFF).collect::<Vec<_>>(), [64, 64, 64, 64, 64, 32]);
        let other = reserve(&bus, 4096).unwrap();
        assert_eq!(other.slice(0).unwrap().0, PHYSICAL_BASE + 16 * MIB, "the hole serves");
    }

    #[test]
    fn bytes_are_found_across_slices_and_nowhere_else() {
        let bus = Bus::new(Kind::Physical);
        let region = reserve(&bus, 18 * MIB).unwrap();
        let border = PHYSICAL_BASE + 4 * MIB;
        bus.write(border - 3, b"abcdef").unwrap();
        let mut bytes = [0; 6];
        bus.read(border - 3, &mut bytes).unwrap();
        assert_eq!(&bytes, b"abcdef");
        let mut direct = [0; 6];
        region.file.read_exact_at(&mut direct, 4 * MIB - 3).unwrap();
        assert_eq!(&direct, b"abcdef");
        for wild in [0, 4096, PHYSICAL_BASE - 1, PHYSICAL_BASE + 16 * MIB - 3, u64::MAX - 2] {
            assert_eq!(bus.read(wild, &mut bytes), Err(MemoryError::Fault), "{wild:#x}");
            assert_eq!(bus.write(wild, &bytes), Err(MemoryError::Fault), "{wild:#x}");
        }
        drop(region);
        assert_eq!(bus.read(border, &mut bytes), Err(MemoryError::Fault));
    }

    #[test]
    fn blocks_are_as_long_as_the_page_allocators() {
        assert_eq!([4096, 16384, 65536].map(block_len), [4 * MIB, 32 * MIB, 128 * MIB]);
    }
}
