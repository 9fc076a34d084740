//! Memory shared with a client: a sealed memfd, mapped here for as long as the queue lives.
#![expect(unsafe_code, reason = "shared memory has no safe interface in std")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::{bus, checked};

/// A shared region of fixed size, zero-filled at creation.
///
/// The client may write any byte at any moment, so every access is one atomic load or store of an aligned word, checked
/// against the region's length; no reference to its bytes ever exists. The memfd is sealed against shrinking, or guarded:
/// a client cannot make an access here fault.
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    fd: OwnedFd,
}

// SAFETY: `Region` is a plain address range reached through atomics only; it has no thread affinity.
unsafe impl Send for Region {}
// SAFETY: as above, all access through `&self` is atomic.
unsafe impl Sync for Region {}

impl Region {
    /// Creates a region of `len` bytes (rounded up by the kernel to whole pages when mapped).
    /// # Errors
    /// What `memfd_create`, `ftruncate`, `fcntl` or `mmap` report; typically out of memory or descriptors.
    pub fn new(name: &CStr, len: usize) -> io::Result<Self> {
        Self::map(shared_memory(name, len, true)?, len)
    }

    /// As [`Region::new`], but [`Region::cut`] may take it away, and so may the client. An access that finds it gone meets
    /// zeros here, and nothing else happens (`os::bus`).
    /// # Errors
    /// As [`Region::new`]; more such regions than can be guarded.
    pub fn removable(name: &CStr, len: usize) -> io::Result<Self> {
        let region = Self::map_unchecked(shared_memory(name, len, false)?, len)?;
        bus::guard(region.base.as_ptr().addr(), len)?;
        Ok(region)
    }

    /// Takes a removable region away: whoever has it mapped gets a SIGBUS from now on.
    /// # Errors
    /// `EPERM` for one that is not removable.
    pub fn cut(&self) -> io::Result<()> {
        std::fs::File::from(self.fd.try_clone()?).set_len(0)
    }

    /// Maps a region made elsewhere, its first `len` bytes: the client's side. Fails unless it is sealed as by
    /// [`Region::new`] and at least that long, so that an access can never fault.
    /// # Errors
    /// `InvalidInput` for another kind of file; what `mmap` reports.
    pub fn map(fd: OwnedFd, len: usize) -> io::Result<Self> {
        let raw = fd.as_raw_fd();
        // SAFETY: plain system call on our own descriptor.
        let seals = checked(unsafe { libc::fcntl(raw, libc::F_GET_SEALS) })?;
        let file = std::fs::File::from(fd.try_clone()?);
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        if seals & libc::F_SEAL_SHRINK == 0 || size < len {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Self::map_unchecked(fd, len)
    }

    fn map_unchecked(fd: OwnedFd, len: usize) -> io::Result<Self> {
        let raw = fd.as_raw_fd();
        // SAFETY: a fresh mapping chosen by the kernel; it aliases nothing of this process.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                raw,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len, fd })
    }

    /// Bytes in the region.
    pub fn size(&self) -> usize {
        self.len
    }

    /// The memfd, to hand to the client.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The memfd's inode: how it shows in a client's `/proc/…/maps`.
    /// # Errors
    /// What `fstat` reports.
    pub fn inode(&self) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(std::fs::File::from(self.fd.try_clone()?).metadata()?.ino())
    }

    /// The 32-bit word at byte `offset`.
    /// # Panics
    /// When `offset` is not a multiple of 4 inside the region: offsets come from our own layout, never from a client.
    pub fn word32(&self, offset: usize) -> &AtomicU32 {
        assert!(
            offset % 4 == 0 && offset.checked_add(4).is_some_and(|end| end <= self.len),
            "offset {offset}"
        );
        // SAFETY: in bounds and aligned (checked above; the base is page-aligned), mapped until `self` is dropped, and
        // only ever accessed atomically by this process.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// The 64-bit word at byte `offset`.
    /// # Panics
    /// As [`Region::word32`], for multiples of 8.
    pub fn word64(&self, offset: usize) -> &AtomicU64 {
        assert!(
            offset % 8 == 0 && offset.checked_add(8).is_some_and(|end| end <= self.len),
            "offset {offset}"
        );
        // SAFETY: as in `word32`.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// Copies `bytes.len()` bytes (a multiple of 4) from `offset` (a multiple of 4), word by word.
    pub fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            let word = self.word32(offset + index * 4).load(Ordering::Relaxed);
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
    }

    /// Stores `bytes` (a multiple of 4) at `offset` (a multiple of 4), word by word.
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks_exact(4).enumerate() {
            let word = u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
            self.word32(offset + index * 4).store(word, Ordering::Relaxed);
        }
    }

    /// Sleeps while the word at `offset` still is `expected`, at most for `limit`. Wakes may be spurious.
    pub fn wait(&self, offset: usize, expected: u32, limit: Duration) {
        let limit = libc::timespec {
            tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let word = self.word32(offset).as_ptr();
        // SAFETY: `word` is mapped and aligned (`word32`), `limit` lives through the call. A shared futex (not PRIVATE):
        // the waker is another process. The result does not matter: the caller looks again at what it waits for.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, expected, &raw const limit) };
    }

    /// Wakes whoever waits on the word at `offset`.
    pub fn wake(&self, offset: usize) {
        let word = self.word32(offset).as_ptr();
        // SAFETY: `word` is mapped and aligned (`word32`).
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX) };
    }
}

/// A memfd of `len` zero bytes that nobody can make longer, nor (if `whole`) shorter.
/// # Errors
/// What `memfd_create`, `ftruncate` or `fcntl` report; typically out of memory or descriptors.
pub fn shared_memory(name: &CStr, len: usize, whole: bool) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: `name` is a NUL-terminated string for the length of the call.
    let raw = checked(unsafe { libc::memfd_create(name.as_ptr(), flags) })?;
    // SAFETY: `memfd_create` has just returned this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    let size = libc::off_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: plain system call on our own descriptor.
    checked(unsafe { libc::ftruncate(raw, size) })?;
    let shrink = if whole { libc::F_SEAL_SHRINK } else { 0 };
    // SAFETY: plain system call on our own descriptor.
    checked(unsafe { libc::fcntl(raw, libc::F_ADD_SEALS, shrink | libc::F_SEAL_GROW | libc::F_SEAL_SEAL) })?;
    Ok(fd)
}

impl AsRawFd for Region {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        bus::release(self.base.as_ptr().addr());
        // SAFETY: exactly the range `new` mapped; no reference into it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_shrink_it() {
        let region = Region::new(c"test", 8192).unwrap();
        let file = std::fs::File::from(region.fd().try_clone_to_owned().unwrap());
        assert_eq!(file.set_len(0).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(file.metadata().unwrap().len(), 8192);
    }

    #[test]
    fn what_is_taken_away_reads_as_zeros() {
        let region = Region::removable(c"test", 8192).unwrap();
        region.word32(0).store(7, Ordering::Relaxed);
        region.word32(4096).store(8, Ordering::Relaxed);
        region.cut().unwrap();
        assert_eq!(region.word32(4096).load(Ordering::Relaxed), 0);
        region.word32(0).store(9, Ordering::Relaxed);
        assert_eq!(region.word32(0).load(Ordering::Relaxed), 9);
        assert!(Region::new(c"test", 4096).unwrap().cut().is_err());
    }

    #[test]
    fn words_and_copies_agree() {
        let region = Region::new(c"test", 4096).unwrap();
        region.copy_in(8, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(region.word64(8).load(Ordering::Relaxed), u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
        let mut bytes = [0; 4];
        region.copy_out(12, &mut bytes);
        assert_eq!(bytes, [5, 6, 7, 8]);
    }

    #[test]
    fn a_changed_word_does_not_wait() {
        let region = Region::new(c"test", 4096).unwrap();
        region.word32(0).store(1, Ordering::SeqCst);
        let before = std::time::Instant::now();
        region.wait(0, 0, Duration::from_secs(10));
        assert!(before.elapsed() < Duration::from_secs(5));
    }
}
