//! One open queue pair: the file, its two mappings, its life.

use std::sync::Arc;
use std::time::Duration;

use crate::{CompletionRing, DeviceInfo, Error, SubmissionRing};

/// The queue class (`qc_type`) given to the kernel before start: ZIP 0 compress, 1 inflate; HPRE 0 RSA/DH, 1 ECC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueClass(pub u16);

/// An open and started queue pair, shared by its two rings. The last owner stops, unmaps and closes it; in a forked
/// child dropping does nothing.
#[derive(Debug)]
pub struct Queue {
    _private: (),
}

/// Opens a queue of `device`, maps it, sets its class, starts it, and gives its rings.
///
/// # Errors
/// [`Error::Gone`], [`Error::Busy`], [`Error::Stopped`], [`Error::Denied`], [`Error::Unsupported`], [`Error::Os`].
pub fn open(
    device: &DeviceInfo,
    class: QueueClass,
) -> Result<(Arc<Queue>, SubmissionRing, CompletionRing), Error> {
    let _ = (device, class);
    Err(Error::Gone)
}

impl Queue {
    /// Bytes of one descriptor: HPRE 64, SEC and ZIP 128.
    pub fn descriptor_len(&self) -> usize {
        0
    }

    /// Slots in the submission ring; at most one fewer may be outstanding.
    pub fn depth(&self) -> u16 {
        0
    }

    /// The status words say that the device was stopped; every outstanding request is lost.
    pub fn stopped(&self) -> bool {
        true
    }

    /// Sleeps until the device announces a completion or `timeout` passes. Spurious returns are normal.
    ///
    /// Returns true when the file is readable.
    /// # Errors
    /// [`Error::Gone`]: hang-up, a foreign file now has our number, or the device was removed.
    pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
        let _ = timeout;
        Err(Error::Gone)
    }

    /// Stops the queue (`PUT_Q`): returns when the device no longer touches any buffer of any submitted descriptor.
    /// May block while the kernel drains. Later submissions answer [`Error::Stopped`]. Calling it again is harmless.
    pub fn stop(&self) {}
}
