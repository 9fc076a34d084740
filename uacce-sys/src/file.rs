//! The queue's file descriptor, which the host program may close or fork away behind our back.
#![expect(unsafe_code, reason = "fstat and close on a number that may no longer be ours")]

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{IntoRawFd, RawFd};

use crate::Error;

/// An open file that is used and closed only while the number still means the same file, and only by the process that
/// opened it.
///
/// Daemons close every descriptor they do not know (`closefrom`); the number may then be a socket of the program.
/// A forked child shares the file, and through it the parent's queue: it must not stop it, and needs not close it.
#[derive(Debug)]
pub(crate) struct QueueFile {
    fd: RawFd,
    identity: Identity,
    pid: u32,
}

/// What tells one open file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    special: u64,
}

impl QueueFile {
    /// Takes over `file`.
    ///
    /// # Errors
    /// [`Error::Os`]: the file cannot be identified; it is closed.
    pub(crate) fn new(file: File) -> Result<Self, Error> {
        use std::os::fd::AsRawFd;
        let Some(identity) = Identity::of(file.as_raw_fd()) else {
            return Err(Error::Os(std::io::Error::last_os_error()));
        };
        Ok(Self { fd: file.into_raw_fd(), identity, pid: std::process::id() })
    }

    /// The process is the one that opened the file.
    pub(crate) fn here(&self) -> bool {
        std::process::id() == self.pid
    }

    /// The number, if it still means our file in the process that opened it.
    ///
    /// # Errors
    /// [`Error::Gone`]: it does not.
    pub(crate) fn number(&self) -> Result<RawFd, Error> {
        if self.here() && Identity::of(self.fd) == Some(self.identity) {
            Ok(self.fd)
        } else {
            Err(Error::Gone)
        }
    }
}

impl Drop for QueueFile {
    fn drop(&mut self) {
        if let Ok(fd) = self.number() {
            // SAFETY: `number` just found the file we opened and own behind `fd`; nothing uses it after drop.
            unsafe { libc::close(fd) };
        }
    }
}

impl Identity {
    /// `None`: no such descriptor.
    fn of(fd: RawFd) -> Option<Self> {
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: `fstat` accepts any number and writes at most one `stat` to the valid pointer it is given.
        if unsafe { libc::fstat(fd, status.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: `fstat` succeeded and has filled the structure.
        let status = unsafe { status.assume_init() };
        // The types differ between C libraries and architectures.
        #[allow(clippy::unnecessary_cast)]
        Some(Self {
            device: status.st_dev as u64,
            inode: status.st_ino as u64,
            special: status.st_rdev as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_foreign_file_under_our_number_is_left_alone() {
        let file = QueueFile::new(File::open("/dev/null").unwrap()).unwrap();
        let fd = file.number().unwrap();
        let stranger = File::open("/dev/zero").unwrap();
        // What a program does after `closefrom`: the same number, another file.
        // SAFETY: both numbers are open; the old file has no other user.
        assert_eq!(unsafe { libc::dup2(stranger.as_raw_fd(), fd) }, fd);
        assert!(matches!(file.number(), Err(Error::Gone)));
        drop(file);
        assert_eq!(Identity::of(fd), Identity::of(stranger.as_raw_fd()), "the stranger was closed");
        // SAFETY: the duplicate made above, used no more.
        unsafe { libc::close(fd) };
    }

    #[test]
    fn dropping_closes_our_own() {
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = QueueFile::new(File::from(std::os::fd::OwnedFd::from(writer))).unwrap();
        drop(file);
        let mut end = [0];
        assert_eq!(std::io::Read::read(&mut &reader, &mut end).unwrap(), 0, "the other end is still open");
    }
}
