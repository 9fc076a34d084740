//! Submission and completion rings: private indices, phase, depth in entries.

use crate::Error;

/// The submission side of one queue. One owner at a time (`&mut`); the completion side may work at the same moment.
#[derive(Debug)]
pub struct SubmissionRing {
    _private: (),
}

impl SubmissionRing {
    /// Submits one descriptor and rings the doorbell.
    ///
    /// `descriptor`: exactly [`crate::Queue::descriptor_len`] bytes, little-endian, tag already set. Returns the ring
    /// slot used, `0..depth`.
    /// # Errors
    /// [`Error::Full`]: every slot is in flight; poll, then retry. [`Error::Stopped`]: the device disabled the queue;
    /// reopen it.
    /// # Safety
    /// Every buffer address in `descriptor` stays valid and unaliased until the matching completion is consumed or
    /// the queue is stopped.
    #[allow(unsafe_code)]
    pub unsafe fn submit(&mut self, descriptor: &[u8]) -> Result<u16, Error> {
        let _ = descriptor;
        Err(Error::Stopped)
    }
}

/// One consumed completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Submission slot whose descriptor completed, `0..depth`.
    pub slot: u16,
}

/// The completion side of one queue.
#[derive(Debug)]
pub struct CompletionRing {
    _private: (),
}

impl CompletionRing {
    /// Consumes the next completion if there is one and copies the completed descriptor into `descriptor`
    /// (`descriptor_len()` bytes). The completion doorbell is rung at once, with interrupts off, every depth/4 entries;
    /// callers ring the rest with [`Self::acknowledge`].
    /// # Errors
    /// [`Error::Stopped`]: the status words say stop. [`Error::Impossible`]: an index beyond the ring.
    pub fn consume(&mut self, descriptor: &mut [u8]) -> Result<Option<Completion>, Error> {
        let _ = descriptor;
        Err(Error::Stopped)
    }

    /// True when the next completion is already there; consumes nothing.
    pub fn ready(&self) -> bool {
        false
    }

    /// Rings the completion doorbell at the current head. `arm`: ask for one event at the next completion; after it,
    /// call [`Self::ready`] again before sleeping in [`crate::Queue::poll`].
    pub fn acknowledge(&mut self, arm: bool) {
        let _ = arm;
    }
}
