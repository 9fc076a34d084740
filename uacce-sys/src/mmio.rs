//! The doorbell register of one queue.
//!
//! On shared layouts the page also holds registers of the whole function (uacce-qm §3.1): nothing but the doorbell is
//! ever touched.

use crate::abi;
use crate::qm::Version;
use crate::region::Region;

/// The mapped register page(s) and the one place in them that is ours.
#[derive(Debug)]
pub(crate) struct Mmio {
    region: Region,
    doorbell_offset: usize,
}

impl Mmio {
    /// `None`: the region is too short to hold the doorbell.
    pub(crate) fn new(region: Region, version: Version) -> Option<Self> {
        let doorbell_offset = match version {
            Version::V1 => abi::DOORBELL_OFFSET_V1,
            Version::V2 => abi::DOORBELL_OFFSET_V2,
        } as usize;
        let fits = doorbell_offset + size_of::<u64>() <= region.len();
        fits.then_some(Self { region, doorbell_offset })
    }

    /// Rings: one aligned 64-bit volatile store. The caller has placed the barrier.
    #[inline]
    pub(crate) fn ring(&self, word: u64) {
        // In bounds: checked by `new`.
        let _ = self.region.store_register(self.doorbell_offset, word);
    }

    /// Takes the registers away; later rings reach nothing. See [`Region::detach`].
    pub(crate) fn detach(&self) {
        self.region.detach();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn the_doorbell_alone_is_written() {
        for (version, at) in [(Version::V1, 0x340), (Version::V2, 0x1000)] {
            let words: Arc<[AtomicU64]> = (0..1025).map(|_| AtomicU64::new(0)).collect();
            let mmio = Mmio::new(Region::heap(Arc::clone(&words)), version).unwrap();
            mmio.ring(0x0001_0203_0000_1004);
            for (index, word) in words.iter().enumerate() {
                let expected = if index * 8 == at { 0x0001_0203_0000_1004 } else { 0 };
                assert_eq!(word.load(Ordering::Relaxed), expected, "{version:?} at {:#x}", index * 8);
            }
        }
    }

    #[test]
    fn a_short_region_has_no_doorbell() {
        let one_page = || Region::heap((0..512).map(|_| AtomicU64::new(0)).collect::<Arc<[_]>>());
        assert!(Mmio::new(one_page(), Version::V2).is_none());
        assert!(Mmio::new(one_page(), Version::V1).is_some());
    }
}
