//! uacce on one page: how a process finds an accelerator, opens one of its queues and moves descriptors.
//!
//! The kernel lists devices in `/sys/class/uacce` ([`sysfs`]). Opening `/dev/<device>` gives one hardware queue pair;
//! mapping two regions of that file gives its rings and its doorbell ([`device`]). A request is a descriptor written
//! into the submission ring, announced by one 64-bit doorbell store, and answered by an entry of the completion ring
//! that names the slot whose descriptor the device has overwritten with its status ([`ring`]).
//!
//! Nothing here knows what a descriptor means, chooses a device or waits with a policy: that is the core, the next room.
//!
//! # Safety contract of the crate
//! The device may write anything into memory it shares with us: private indices are kept, each index, tag and status
//! word is read once into a local and checked. Regions are unmapped before their file is closed. Buffers whose addresses
//! stand in a submitted descriptor are the caller's promise, see [`ring::SubmissionRing::submit`].

pub mod abi;
pub mod device;
mod error;
pub mod ring;
pub mod sysfs;

pub use device::{Queue, QueueClass, open};
pub use error::Error;
pub use ring::{Completion, CompletionRing, SubmissionRing};
pub use sysfs::{DeviceInfo, Roots, discover};
