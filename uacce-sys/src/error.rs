//! What can go wrong between a process and a queue, and what the caller may do about it.

use std::{fmt, io};

/// An error of the kernel's or the queue manager's interface. The variant says what the caller may do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No such device, or it was removed (`ENOENT`, `ENODEV`, `ENXIO`). *Fall back*; look again later.
    Gone,
    /// Every queue of the device is taken (`EBUSY` at open). *Fall back*; try again later.
    Busy,
    /// The device is being reset, was isolated, or its status words say stop (`EPERM`, `ds_tx`/`ds_rx`). *Fall back*;
    /// the queue is dead, only a new open may bring the device back.
    Stopped,
    /// This process may not open the device (`EACCES`). *Fall back.*
    Denied,
    /// The submission ring holds `depth - 1` requests. *Retry* after a completion, or fall back.
    Full,
    /// The device wrote something impossible: an index beyond the ring. The queue is dead. *Fall back.*
    Impossible,
    /// The device offers an interface this crate does not speak. *Fall back.*
    Unsupported,
    /// Any other answer of the operating system. *Fall back.*
    Os(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("no such device, or it was removed"),
            Self::Busy => f.write_str("every queue of the device is taken"),
            Self::Stopped => f.write_str("the device is stopped, being reset or isolated"),
            Self::Denied => f.write_str("permission denied"),
            Self::Full => f.write_str("the submission ring is full"),
            Self::Impossible => f.write_str("the device reported an impossible index"),
            Self::Unsupported => f.write_str("the device's interface version is not supported"),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
