//! What is in flight: shared by the two rings of a queue, never by the device.
//!
//! A request is *charged* from its submission until the completion doorbell gives its entry back to the device, so the
//! device can never find its completion ring full. Its slot is *in flight* from submission until its completion is
//! consumed, so a slot is never overwritten under the device, in whatever order it completes, and a completion for a slot
//! that nobody waits for is noticed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Credits and slots of one queue.
#[derive(Debug)]
pub(crate) struct Credit {
    charged: AtomicU32,
    limit: u32,
    /// One bit per submission slot.
    in_flight: Box<[AtomicU64]>,
}

impl Credit {
    /// `depth`: submission slots. `limit`: most requests charged at a time.
    pub(crate) fn new(depth: u16, limit: u16) -> Self {
        let words = usize::from(depth).div_ceil(WORD_BITS);
        Self {
            charged: AtomicU32::new(0),
            limit: u32::from(limit),
            in_flight: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// `slot` may be filled: a credit is left and the device is done with what the slot held. Only the submission side
    /// charges, so the answer stays true until it does.
    ///
    /// Acquire pairs with the release in [`Self::take`] and [`Self::repay`]: the old descriptor was copied out before the
    /// slot is filled again.
    #[inline]
    pub(crate) fn free(&self, slot: u16) -> bool {
        let (word, bit) = place(slot);
        !self.exhausted()
            && self.in_flight.get(word).is_some_and(|word| word.load(Ordering::Acquire) & bit == 0)
    }

    /// No credit is left.
    #[inline]
    pub(crate) fn exhausted(&self) -> bool {
        self.charged.load(Ordering::Acquire) >= self.limit
    }

    /// Charges a request in `slot`, before its doorbell.
    #[inline]
    pub(crate) fn charge(&self, slot: u16) {
        let (word, bit) = place(slot);
        if let Some(word) = self.in_flight.get(word) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        self.charged.fetch_add(1, Ordering::Relaxed);
    }

    /// `slot` holds a request the device has not yet answered.
    #[inline]
    pub(crate) fn expected(&self, slot: u16) -> bool {
        let (word, bit) = place(slot);
        self.in_flight.get(word).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Ends the flight of `slot`, after its descriptor was copied out.
    #[inline]
    pub(crate) fn take(&self, slot: u16) {
        let (word, bit) = place(slot);
        if let Some(word) = self.in_flight.get(word) {
            word.fetch_and(!bit, Ordering::Release);
        }
    }

    /// Gives back `count` credits, after the completion doorbell.
    #[inline]
    pub(crate) fn repay(&self, count: u16) {
        self.charged.fetch_sub(u32::from(count), Ordering::Release);
    }
}

#[inline]
fn place(slot: u16) -> (usize, u64) {
    (usize::from(slot) / WORD_BITS, 1 << (usize::from(slot) % WORD_BITS))
}

const WORD_BITS: usize = u64::BITS as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_after_its_completion_and_a_credit_after_its_doorbell() {
        let credit = Credit::new(4, 3);
        for slot in 0..3 {
            assert!(credit.free(slot) && !credit.expected(slot));
            credit.charge(slot);
            assert!(credit.expected(slot));
        }
        assert!(!credit.free(3), "three of three credits are taken");
        credit.take(1);
        assert!(!credit.expected(1));
        assert!(!credit.free(3), "the entry is not yet given back");
        credit.repay(1);
        assert!(credit.free(3) && credit.free(1));
        assert!(!credit.free(0), "a credit, but the slot is still in flight");
    }

    #[test]
    fn slots_beyond_the_ring_are_nobodys() {
        let credit = Credit::new(64, 63);
        assert!(!credit.free(64) && !credit.expected(64) && !credit.expected(u16::MAX));
        credit.take(u16::MAX);
    }
}
