//! The queue manager: its ioctls, its doorbell word by version, and where things lie in the shared region.
#![expect(unsafe_code, reason = "ioctl")]

use std::io;
use std::os::fd::RawFd;

use crate::Error;
use crate::abi::{self, QpContext, QpInfo};

/// How doorbells are written. Version 2 and every later or unknown one share a format (uacce-qm §1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Version {
    /// From the number in the `api` attribute.
    pub(crate) fn of(api_version: u32) -> Self {
        if api_version == 1 { Self::V1 } else { Self::V2 }
    }
}

/// What a doorbell tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bell {
    /// The submission ring's next free slot.
    Submission { tail: u16 },
    /// The completion ring's next entry; `arm`: one event at the next completion.
    Completion { head: u16, arm: bool },
}

/// The 64-bit doorbell word (uacce-qm §3.3). `queue`: the number given by `SET_QP_CTX`.
#[inline]
pub(crate) fn doorbell_word(version: Version, queue: u16, bell: Bell) -> u64 {
    let (command, index, priority) = match bell {
        Bell::Submission { tail } => (abi::DOORBELL_SQ, tail, 0),
        Bell::Completion { head, arm } => (abi::DOORBELL_CQ, head, u64::from(arm)),
    };
    let low = match version {
        Version::V1 => u64::from(queue) | u64::from(command) << 16,
        // Ten bits of queue number; bits 16-31 hold a number the kernel leaves at 0.
        Version::V2 => u64::from(queue & 0x3ff) | u64::from(command) << 12,
    };
    low | u64::from(index) << 32 | priority << 48
}

/// Where things lie in the region of rings and status words (uacce-qm §3.2), checked against the region's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    descriptor_len: usize,
    submission_depth: u16,
    completion_depth: u16,
    len: usize,
}

impl Layout {
    /// `len`: bytes of the region. `None`: what the kernel answered cannot be a queue in a region of that length.
    pub(crate) fn new(info: QpInfo, len: usize) -> Option<Self> {
        let descriptor_len = usize::try_from(info.sqe_size).ok()?;
        let layout =
            Self { descriptor_len, submission_depth: info.sq_depth, completion_depth: info.cq_depth, len };
        // The hardware takes the size as a power of two; one slot of each ring always stays empty.
        let sane = descriptor_len.is_power_of_two()
            && (size_of::<u64>()..=4096).contains(&descriptor_len)
            && info.sq_depth >= 2
            && info.cq_depth >= 2
            && len % size_of::<u64>() == 0;
        let rings = layout.entry(info.cq_depth);
        let room = len.checked_sub(abi::STATUS_RX_FROM_END as usize)?;
        (sane && rings <= room).then_some(layout)
    }

    pub(crate) fn descriptor_len(&self) -> usize {
        self.descriptor_len
    }

    pub(crate) fn submission_depth(&self) -> u16 {
        self.submission_depth
    }

    pub(crate) fn completion_depth(&self) -> u16 {
        self.completion_depth
    }

    /// Most requests that may be submitted and not yet acknowledged: neither ring may ever be full to its last entry.
    pub(crate) fn limit(&self) -> u16 {
        self.submission_depth.min(self.completion_depth) - 1
    }

    /// Offset of a descriptor.
    pub(crate) fn slot(&self, index: u16) -> usize {
        self.descriptor_len * usize::from(index)
    }

    /// Offset of a completion entry: the ring follows the submission ring without padding.
    pub(crate) fn entry(&self, index: u16) -> usize {
        self.descriptor_len * usize::from(self.submission_depth)
            + size_of::<abi::CompletionEntry>() * usize::from(index)
    }

    /// Offset of the receive status word.
    pub(crate) fn status_rx(&self) -> usize {
        self.len - abi::STATUS_RX_FROM_END as usize
    }

    /// Offset of the send status word.
    pub(crate) fn status_tx(&self) -> usize {
        self.len - abi::STATUS_TX_FROM_END as usize
    }
}

/// Sets the queue class and returns the queue's number.
///
/// # Errors
/// [`Error::Unsupported`] (`EINVAL`: the device has no such class), else as [`ioctl_error`].
pub(crate) fn set_context(fd: RawFd, class: u16) -> Result<u16, Error> {
    let mut context = QpContext { id: 0, qc_type: class };
    match ioctl(fd, abi::SET_QP_CTX, &mut context) {
        Ok(()) => Ok(context.id),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Err(Error::Unsupported),
        Err(error) => Err(ioctl_error(error)),
    }
}

/// Asks the kernel for descriptor size and depths; kernels before 6.1 do not know the question and leave the defaults,
/// `descriptor_len` being the one built in for this kind of device (`None`: unknown).
///
/// # Errors
/// [`Error::Gone`]; [`Error::Unsupported`]: no answer and no default.
pub(crate) fn info(fd: RawFd, descriptor_len: Option<u32>) -> Result<QpInfo, Error> {
    let mut info = QpInfo::default();
    match ioctl(fd, abi::SET_QP_INFO, &mut info) {
        Ok(()) => Ok(info),
        Err(error) => match ioctl_error(error) {
            Error::Gone => Err(Error::Gone),
            _ => Ok(QpInfo {
                sqe_size: descriptor_len.ok_or(Error::Unsupported)?,
                sq_depth: abi::DEFAULT_DEPTH,
                cq_depth: abi::DEFAULT_DEPTH,
                reserved: 0,
            }),
        },
    }
}

/// Starts the queue.
///
/// # Errors
/// [`Error::Stopped`]: the queue manager is being reset (`EPERM`) or does not answer its mailbox (`ETIMEDOUT`, `EIO`).
/// [`Error::Busy`]: its mailbox is in use (`EBUSY`). Else as [`ioctl_error`].
pub(crate) fn start(fd: RawFd) -> Result<(), Error> {
    plain_ioctl(fd, abi::START).map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM | libc::ETIMEDOUT | libc::EIO) => Error::Stopped,
        Some(libc::EBUSY) => Error::Busy,
        _ => ioctl_error(error),
    })
}

/// Stops the queue after draining it. Any failure means that the kernel no longer runs it (`ENXIO`: stopped before, or
/// the device was removed), so there is nothing to report.
pub(crate) fn put(fd: RawFd) {
    let _ = plain_ioctl(fd, abi::PUT_Q);
}

/// What every ioctl may answer: `ENXIO` and `ENODEV` mean that the device is gone, `EPERM` that it is stopped.
fn ioctl_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENXIO | libc::ENODEV | libc::EBADF | libc::ENOTTY) => Error::Gone,
        Some(libc::EPERM) => Error::Stopped,
        _ => Error::Os(error),
    }
}

/// An ioctl whose argument is read and written in place. Clobbers errno.
fn ioctl<T: Argument>(fd: RawFd, request: u32, argument: &mut T) -> io::Result<()> {
    const { assert!(size_of::<T>() <= 16) };
    // SAFETY: the request's number carries the argument's size (asserted in `abi`), and `T: Argument` is plain integers
    // for which any bytes are valid.
    let answer = unsafe { libc::ioctl(fd, request as libc::Ioctl, std::ptr::from_mut(argument)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An ioctl without argument. Clobbers errno.
fn plain_ioctl(fd: RawFd, request: u32) -> io::Result<()> {
    // SAFETY: these requests take no argument; the kernel touches no memory of ours.
    let answer = unsafe { libc::ioctl(fd, request as libc::Ioctl, 0) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Structures the kernel may overwrite with any bytes.
trait Argument {}
impl Argument for QpContext {}
impl Argument for QpInfo {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doorbell_words() {
        let submission = |tail| Bell::Submission { tail };
        let completion = |head, arm| Bell::Completion { head, arm };
        for (version, queue, bell, word) in [
            (Version::V2, 0, submission(0), 0),
            (Version::V2, 5, submission(1), 0x0000_0001_0000_0005),
            (Version::V2, 0x3ff, submission(1023), 0x0000_03ff_0000_03ff),
            (Version::V2, 5, completion(2, false), 0x0000_0002_0000_1005),
            (Version::V2, 5, completion(2, true), 0x0001_0002_0000_1005),
            (Version::V2, 0x7ff, completion(0xffff, true), 0x0001_ffff_0000_13ff),
            (Version::V1, 5, submission(1), 0x0000_0001_0000_0005),
            (Version::V1, 4095, submission(7), 0x0000_0007_0000_0fff),
            (Version::V1, 4095, completion(7, false), 0x0000_0007_0001_0fff),
            (Version::V1, 1, completion(1023, true), 0x0001_03ff_0001_0001),
        ] {
            assert_eq!(doorbell_word(version, queue, bell), word, "{version:?} {queue} {bell:?}");
        }
    }

    #[test]
    fn versions() {
        assert_eq!(Version::of(1), Version::V1);
        for number in [0, 2, 3, 5, 99] {
            assert_eq!(Version::of(number), Version::V2);
        }
    }

    fn info(sqe_size: u32, sq_depth: u16, cq_depth: u16) -> QpInfo {
        QpInfo { sqe_size, sq_depth, cq_depth, reserved: 0 }
    }

    /// The table of uacce-qm §3.2.
    #[test]
    fn layouts_of_known_devices() {
        let zip = Layout::new(info(128, 1024, 1024), 151_552).unwrap();
        assert_eq!((zip.slot(1), zip.entry(0), zip.entry(1)), (128, 0x20000, 0x20010));
        assert_eq!((zip.status_rx(), zip.status_tx()), (0x24FF8, 0x24FFC));
        assert_eq!(zip.limit(), 1023);
        let hpre = Layout::new(info(64, 1024, 1024), 86_016).unwrap();
        assert_eq!((hpre.slot(1023), hpre.entry(0)), (65472, 0x10000));
        assert_eq!((hpre.status_rx(), hpre.status_tx()), (0x14FF8, 0x14FFC));
        for (len, info) in [(163_840, info(128, 1024, 1024)), (196_608, info(64, 1024, 1024))] {
            assert!(Layout::new(info, len).is_some());
        }
        assert_eq!(Layout::new(info(64, 1024, 512), 86_016).unwrap().limit(), 511);
    }

    #[test]
    fn impossible_answers_are_refused() {
        for (sqe_size, sq_depth, cq_depth, len) in [
            (0, 1024, 1024, 151_552),
            (100, 1024, 1024, 151_552),
            (8192, 16, 16, 151_552),
            (4, 1024, 1024, 151_552),
            (128, 0, 1024, 151_552),
            (128, 1024, 0, 151_552),
            (128, 1, 1024, 151_552),
            (128, 2048, 2048, 151_552),
            (128, 65535, 65535, 151_552),
            (u32::MAX, 65535, 65535, 151_552),
            (128, 1024, 1024, 147_456),
            (128, 1024, 1024, 151_555),
            (128, 2, 2, 0),
        ] {
            assert_eq!(
                Layout::new(info(sqe_size, sq_depth, cq_depth), len),
                None,
                "{sqe_size} {sq_depth} {cq_depth} {len}"
            );
        }
    }

    #[test]
    fn a_file_that_is_no_device() {
        use std::os::fd::AsRawFd;
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = file.as_raw_fd();
        assert!(matches!(set_context(fd, 0), Err(Error::Gone)));
        assert!(matches!(super::info(fd, Some(64)), Err(Error::Gone)));
        assert!(matches!(start(fd), Err(Error::Gone)));
        put(fd);
    }
}
