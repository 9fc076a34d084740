//! uacce on one page: how a process finds an accelerator, opens one of its queues and moves descriptors.
//!
//! The kernel lists devices in `/sys/class/uacce` ([`sysfs`]). Opening `/dev/<device>` gives one hardware queue pair;
//! mapping two regions of that file gives its rings and its doorbell ([`device`]). A request is a descriptor written
//! into the submission ring, announced by one 64-bit doorbell store, and answered by an entry of the completion ring
//! that names the slot whose descriptor the device has overwritten with its status ([`ring`]).
//!
//! Lists of buffers travel as hardware scatter-gather lists ([`sgl`]).
//!
//! Nothing here knows what a descriptor means, chooses a device or waits with a policy: that is the core, the next room.
//!
//! # Safety contract of the crate
//! The device may write anything into memory it shares with us: private indices are kept, each index, tag and status
//! word is read once into a local and checked. Regions are unmapped before their file is closed. Buffers whose addresses
//! stand in a submitted descriptor are the caller's promise, see [`ring::SubmissionRing::submit`].
//!
//! # errno
//! [`discover`], [`open`], [`Queue::poll`], [`Queue::stop`] and dropping the last owner of a queue make system calls and
//! leave errno as those left it: front doors save and restore it. The rings make none and never touch it.

pub mod abi;
pub mod device;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod ring;
pub mod sgl;
pub mod sysfs;

mod barrier;
mod credit;
mod error;
mod file;
mod gate;
mod mmio;
mod qm;
mod region;

pub use device::{Queue, QueueClass, open};
pub use error::Error;
pub use ring::{Completion, CompletionRing, SubmissionRing};
pub use sgl::ScatterList;
pub use sysfs::{DeviceInfo, Roots, discover};

const _: () = assert!(
    cfg!(all(target_pointer_width = "64", target_endian = "little")),
    "uacce doorbells are single 64-bit stores, and every layout is little-endian"
);
