//! The queue's file descriptor, which the host program may close or fork away behind our back.
#![expect(
    unsafe_code,
    reason = "fcntl, fstat and close on numbers, which may no longer be ours; a table of them without a lock"
)]

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::Error;

/// An open file that is used and closed only while the number still means the same file, and only by the process that
/// opened it.
///
/// Daemons close every descriptor they do not know (`closefrom`); the number may then be a socket of the program.
/// Or it may be another queue of ours: open files of one device look the same to `fstat`, so the file made last owns the
/// number, and an older one has lost it.
/// A forked child shares the file, and through it the parent's queue: it must not stop it, and needs not close it.
#[derive(Debug)]
pub(crate) struct QueueFile {
    fd: RawFd,
    identity: Identity,
    /// Of all files of this process, from 1 on.
    serial: u64,
    /// The serial of the file that owns `fd`.
    owner: &'static AtomicU64,
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
    /// Takes over `file`, just opened, under a number of at least 3, and that number from any older file of this process
    /// that had the same.
    ///
    /// # Errors
    /// [`Error::Os`]: the file cannot be moved or identified, or its number is 2^20 or more (`EMFILE`); it is closed.
    pub(crate) fn new(file: File) -> Result<Self, Error> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let file = beyond_standard(file)?;
        let Some(owner) = owner(file.as_raw_fd()) else {
            return Err(Error::Os(std::io::Error::from_raw_os_error(libc::EMFILE)));
        };
        // Relaxed, here and in `number`: nothing but the serial itself is told by this word.
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        owner.store(serial, Ordering::Relaxed);
        // Identified only now: should the older file have closed the number a moment ago, this notices.
        let Some(identity) = Identity::of(file.as_raw_fd()) else {
            return Err(Error::Os(std::io::Error::last_os_error()));
        };
        Ok(Self { fd: file.into_raw_fd(), identity, serial, owner, pid: std::process::id() })
    }

    /// The process is the one that opened the file.
    pub(crate) fn here(&self) -> bool {
        std::process::id() == self.pid
    }

    /// The number, if it still means our file in the process that opened it. Looks, and holds nothing: the host may close
    /// the number in the next moment, as it may at any time.
    ///
    /// # Errors
    /// [`Error::Gone`]: it does not.
    pub(crate) fn number(&self) -> Result<RawFd, Error> {
        let ours = self.here()
            && self.owner.load(Ordering::Relaxed) == self.serial
            && Identity::of(self.fd) == Some(self.identity);
        if ours { Ok(self.fd) } else { Err(Error::Gone) }
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

/// Leaves 0, 1 and 2 to the host: a daemon that has closed its standard output opens its log next, and counts on getting
/// number 1. What the kernel knows of a queue hangs on the open file, not on its number.
fn beyond_standard(file: File) -> Result<File, Error> {
    if file.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(file);
    }
    // SAFETY: makes a new number, and takes none but that of the open `file`.
    let fd = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) };
    if fd < 0 {
        return Err(Error::Os(std::io::Error::last_os_error()));
    }
    // SAFETY: the number just made, which nobody else has. `file` goes, and with it the number that was too low.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The word that says who owns the number `fd`; `None` for numbers that no process has by default (`fs.nr_open`).
///
/// A table, because it needs no lock, which a forked child could find held: the child goes on with what it inherits.
/// Serials are never given twice, so an owner that is gone needs not be taken out. The table grows by a page for each
/// [`PART_LEN`] numbers that were ever a queue's, and no further.
fn owner(fd: RawFd) -> Option<&'static AtomicU64> {
    static OWNERS: [AtomicPtr<Part>; PARTS] = [const { AtomicPtr::new(ptr::null_mut()) }; PARTS];
    let fd = usize::try_from(fd).ok()?;
    let place = OWNERS.get(fd / PART_LEN)?;
    let mut part = place.load(Ordering::Acquire);
    if part.is_null() {
        let fresh: Box<Part> = Box::new([const { AtomicU64::new(0) }; PART_LEN]);
        let fresh = Box::into_raw(fresh);
        part = match place.compare_exchange(part, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: `fresh` was not published; this is its only owner.
                drop(unsafe { Box::from_raw(fresh) });
                other
            }
        };
    }
    // SAFETY: not null; made by `Box::into_raw` above, published by the exchange and never freed.
    unsafe { &*part }.get(fd % PART_LEN)
}

type Part = [AtomicU64; PART_LEN];

const PART_LEN: usize = 512;
const PARTS: usize = (1 << 20) / PART_LEN;

#[cfg(test)]
mod tests {
    use super::*;

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

    /// What is left when the host closes every number it does not know and one of ours comes back as another queue of
    /// the same device: two open files that `fstat` cannot tell apart.
    fn two_of_one_device_under_one_number() -> (QueueFile, QueueFile) {
        let older = QueueFile::new(File::open("/dev/null").unwrap()).unwrap();
        let fd = older.number().unwrap();
        let newer = File::open("/dev/null").unwrap();
        // Closes and opens in one step: no other test can get the number in between.
        // SAFETY: both numbers are open; the old file has no other user.
        assert_eq!(unsafe { libc::dup2(newer.as_raw_fd(), fd) }, fd);
        // SAFETY: the duplicate just made, which nobody else closes.
        let newer = QueueFile::new(unsafe { File::from_raw_fd(fd) }).unwrap();
        (older, newer)
    }

    #[test]
    fn another_queue_under_our_number_is_left_alone() {
        let (older, newer) = two_of_one_device_under_one_number();
        let fd = newer.number().unwrap();
        assert!(matches!(older.number(), Err(Error::Gone)));
        drop(older);
        assert_eq!(newer.number().unwrap(), fd, "the newer file was closed, or lost its number");
    }

    /// Runs `work` in a forked child of this program, which has other threads, and says whether it ended well, with true.
    fn in_child(work: impl FnOnce() -> Option<bool>) -> bool {
        // SAFETY: what the child may do is what the tests try; it never returns from here.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: ends a child that hangs.
            unsafe { libc::alarm(20) };
            let good = work() == Some(true);
            // SAFETY: leaves at once, running nothing of the test harness.
            unsafe { libc::_exit(i32::from(!good)) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status == 0
    }

    /// The child closes what it does not know, and opens a queue of its own.
    #[test]
    fn a_child_owns_its_own_and_nothing_of_its_parents() {
        let parents = QueueFile::new(File::open("/dev/null").unwrap()).unwrap();
        let fd = parents.number().unwrap();
        assert!(in_child(|| {
            let file = File::open("/dev/null").ok()?;
            // SAFETY: both numbers are open in this process, which has no other thread.
            let same = unsafe { libc::dup2(file.as_raw_fd(), fd) } == fd;
            // SAFETY: the duplicate just made, which nobody else closes.
            let own = QueueFile::new(unsafe { File::from_raw_fd(fd) }).ok()?;
            let gone = matches!(parents.number(), Err(Error::Gone));
            drop(parents);
            Some(same && gone && own.number().ok()? == fd)
        }));
    }

    /// A daemon has closed its standard output and will open its log, which then gets number 1.
    #[test]
    fn the_standard_numbers_stay_free() {
        assert!(in_child(|| {
            for standard in 0..3 {
                // SAFETY: a number that nothing in this child uses.
                unsafe { libc::close(standard) };
            }
            let file = QueueFile::new(File::open("/dev/null").ok()?).ok()?;
            let fd = file.number().ok()?;
            // SAFETY: asks for a flag.
            let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
            let free = (0..3).all(|standard| Identity::of(standard).is_none());
            drop(file);
            Some(fd >= 3 && flags == libc::FD_CLOEXEC && free && Identity::of(fd).is_none())
        }));
    }

    #[test]
    fn each_number_has_one_word() {
        let last = 1 << 20;
        for fd in [0, 1, 511, 512, last - 1] {
            let word = owner(fd).unwrap();
            assert!(ptr::eq(word, owner(fd).unwrap()), "{fd}");
            assert!(!ptr::eq(word, owner(fd ^ 1).unwrap()), "{fd}");
        }
        assert!(owner(-1).is_none() && owner(last).is_none() && owner(RawFd::MAX).is_none());
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
