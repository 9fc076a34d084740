//! A mapped region: memory the device or the kernel writes at the same time as we do.
//!
//! Every access is a relaxed atomic of fixed size: shared memory may change at any moment, so each field is read once,
//! whole, into a local. Order comes from [`crate::barrier`]. Callers keep to one size per field: descriptors in eight
//! bytes, completion entries in two, status words in four.
#![expect(unsafe_code, reason = "mmap, and loads and stores in the memory it gives")]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::Error;
use crate::file::QueueFile;

/// `len` bytes of memory shared with a device, bounds-checked. Unmapped on drop, but only by the process that mapped it:
/// the kernel does not copy the mapping into a child, where the address may be anybody's.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
    backing: Backing,
}

#[derive(Debug)]
enum Backing {
    Mapping {
        pid: u32,
    },
    #[cfg(any(test, feature = "fake"))]
    Heap {
        _words: std::sync::Arc<[AtomicU64]>,
    },
}

// SAFETY: the memory belongs to no thread, stays mapped as long as the value lives, and is only reached by atomic or
// volatile accesses.
unsafe impl Send for Region {}
// SAFETY: as above; shared use is what atomic accesses are for.
unsafe impl Sync for Region {}

impl Region {
    /// Maps region `number` of the queue's file, `len` bytes. The kernel itself keeps it out of children.
    ///
    /// # Errors
    /// [`Error::Gone`] (`ENXIO`, `ENODEV`), [`Error::Unsupported`] (`EINVAL`: the kernel wants another length),
    /// [`Error::Denied`] (`EACCES`), [`Error::Os`].
    pub(crate) fn map(file: &QueueFile, number: u32, len: usize) -> Result<Self, Error> {
        let offset = libc::off_t::from(number) * page_size();
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.number()?,
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            let error = std::io::Error::last_os_error();
            return Err(match error.raw_os_error() {
                Some(libc::ENXIO | libc::ENODEV) => Error::Gone,
                Some(libc::EINVAL) => Error::Unsupported,
                Some(libc::EACCES) => Error::Denied,
                _ => Error::Os(error),
            });
        }
        let start = NonNull::new(start.cast()).ok_or(Error::Unsupported)?;
        Ok(Self { start, len, backing: Backing::Mapping { pid: std::process::id() } })
    }

    /// The same memory for both sides of an in-process device.
    #[cfg(any(test, feature = "fake"))]
    pub(crate) fn heap(words: std::sync::Arc<[AtomicU64]>) -> Self {
        let start = NonNull::from(&*words).cast();
        Self { start, len: words.len() * size_of::<u64>(), backing: Backing::Heap { _words: words } }
    }

    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Two bytes at `offset`; `None` beyond the end or unaligned.
    #[inline]
    pub(crate) fn load_u16(&self, offset: usize) -> Option<u16> {
        let field = self.field::<u16>(offset)?;
        // SAFETY: `field` is aligned and inside memory that lives as long as `self`.
        Some(unsafe { AtomicU16::from_ptr(field.as_ptr()) }.load(Ordering::Relaxed))
    }

    /// Four bytes at `offset`; `None` beyond the end or unaligned.
    #[inline]
    pub(crate) fn load_u32(&self, offset: usize) -> Option<u32> {
        let field = self.field::<u32>(offset)?;
        // SAFETY: as in `load_u16`.
        Some(unsafe { AtomicU32::from_ptr(field.as_ptr()) }.load(Ordering::Relaxed))
    }

    /// Copies `into.len()` bytes, a multiple of eight, from `offset`; `None` (nothing copied) beyond the end or unaligned.
    #[inline]
    pub(crate) fn copy_out(&self, offset: usize, into: &mut [u8]) -> Option<()> {
        let first = self.words(offset, into.len())?;
        for (index, chunk) in into.chunks_exact_mut(size_of::<u64>()).enumerate() {
            // SAFETY: `words` checked alignment and room for all of them.
            let word = unsafe { AtomicU64::from_ptr(first.as_ptr().add(index)) }.load(Ordering::Relaxed);
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        Some(())
    }

    /// Copies `from`, a multiple of eight bytes, to `offset`; `None` (nothing copied) beyond the end or unaligned.
    #[inline]
    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) -> Option<()> {
        let first = self.words(offset, from.len())?;
        for (index, chunk) in from.chunks_exact(size_of::<u64>()).enumerate() {
            let mut word = [0; size_of::<u64>()];
            word.copy_from_slice(chunk);
            // SAFETY: `words` checked alignment and room for all of them.
            unsafe { AtomicU64::from_ptr(first.as_ptr().add(index)) }
                .store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
        Some(())
    }

    /// Stores a device register: one aligned eight-byte volatile store, never split, repeated or left out.
    /// `None` (nothing stored) beyond the end or unaligned.
    #[inline]
    pub(crate) fn store_register(&self, offset: usize, value: u64) -> Option<()> {
        let register = self.field::<u64>(offset)?;
        // SAFETY: `register` is aligned and inside memory that lives as long as `self`.
        unsafe { register.as_ptr().write_volatile(value) };
        Some(())
    }

    /// Puts private zero pages in the place of a mapping, in one step, so that a late access by another thread meets
    /// harmless memory: after `PUT_Q` some kernels give the queue, and this memory, to another process while we still
    /// have it mapped (uacce-qm §11, trap 2). Should the call fail, the mapping stays until drop.
    pub(crate) fn detach(&self) {
        match self.backing {
            // SAFETY: replaces exactly our own mapping, which no reference outlives: all accesses are by offset.
            Backing::Mapping { pid } if pid == std::process::id() => unsafe {
                libc::mmap(
                    self.start.as_ptr().cast(),
                    self.len,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                    -1,
                    0,
                );
            },
            _ => {}
        }
    }

    /// A pointer to `T` at `offset`, aligned and in bounds.
    #[inline]
    fn field<T>(&self, offset: usize) -> Option<NonNull<T>> {
        self.range(offset, size_of::<T>(), align_of::<T>()).map(NonNull::cast)
    }

    /// A pointer to `len / 8` words at `offset`, aligned and in bounds.
    #[inline]
    fn words(&self, offset: usize, len: usize) -> Option<NonNull<u64>> {
        if len % size_of::<u64>() != 0 {
            return None;
        }
        self.range(offset, len, align_of::<u64>()).map(NonNull::cast)
    }

    #[inline]
    fn range(&self, offset: usize, len: usize, align: usize) -> Option<NonNull<u8>> {
        // Mappings start on a page, heap memory on eight bytes: the offset's alignment is the address's.
        if offset % align != 0 || offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: `offset + len` lies within the region.
        Some(unsafe { self.start.add(offset) })
    }
}

#[cfg(any(test, feature = "fake"))]
impl Region {
    /// Stores two bytes, everything stored before being visible first; `None` beyond the end or unaligned.
    pub(crate) fn store_u16(&self, offset: usize, value: u16) -> Option<()> {
        let field = self.field::<u16>(offset)?;
        // SAFETY: as in `load_u16`.
        unsafe { AtomicU16::from_ptr(field.as_ptr()) }.store(value, Ordering::Release);
        Some(())
    }

    /// Stores four bytes; `None` beyond the end or unaligned.
    pub(crate) fn store_u32(&self, offset: usize, value: u32) -> Option<()> {
        let field = self.field::<u32>(offset)?;
        // SAFETY: as in `load_u16`.
        unsafe { AtomicU32::from_ptr(field.as_ptr()) }.store(value, Ordering::Release);
        Some(())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match self.backing {
            // SAFETY: our own mapping (or the zero pages in its place), and nothing can reach it after drop.
            Backing::Mapping { pid } if pid == std::process::id() => unsafe {
                libc::munmap(self.start.as_ptr().cast(), self.len);
            },
            _ => {}
        }
    }
}

/// Bytes of a page: region offsets are counted in them.
fn page_size() -> libc::off_t {
    // SAFETY: `sysconf` only looks up a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // The call cannot fail for this name; the types differ between C libraries.
    #[allow(clippy::useless_conversion)]
    libc::off_t::from(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::sync::Arc;

    fn heap(words: usize) -> Region {
        Region::heap((0..words).map(|_| AtomicU64::new(0)).collect::<Arc<[_]>>())
    }

    #[test]
    fn accesses_stay_inside() {
        let region = heap(4);
        assert_eq!(region.len(), 32);
        assert_eq!(region.load_u16(30), Some(0));
        assert_eq!(region.load_u16(32), None);
        assert_eq!(region.load_u16(1), None);
        assert_eq!(region.load_u16(usize::MAX - 1), None);
        assert_eq!(region.load_u32(28), Some(0));
        assert_eq!(region.load_u32(30), None);
        assert_eq!(region.copy_in(16, &[1; 16]), Some(()));
        assert_eq!(region.copy_in(24, &[1; 16]), None);
        assert_eq!(region.copy_in(0, &[1; 12]), None);
        assert_eq!(region.copy_out(4, &mut [0; 8]), None);
        assert_eq!(region.store_register(24, 9), Some(()));
        assert_eq!(region.store_register(28, 9), None);
    }

    #[test]
    fn bytes_keep_their_order() {
        let region = heap(2);
        let bytes: Vec<u8> = (1..=16).collect();
        region.copy_in(0, &bytes).unwrap();
        let mut back = [0; 16];
        region.copy_out(0, &mut back).unwrap();
        assert_eq!(back[..], bytes[..]);
        assert_eq!(region.load_u16(2), Some(u16::from_ne_bytes([3, 4])));
    }

    #[test]
    fn a_detached_mapping_no_longer_reaches_the_file() {
        let path = std::env::temp_dir().join(format!("uacce-sys-region-{}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.set_len(4096).unwrap();
        let mut watcher = file.try_clone().unwrap();
        let file = QueueFile::new(file).unwrap();
        let region = Region::map(&file, 0, 4096).unwrap();
        region.copy_in(8, &7u64.to_ne_bytes()).unwrap();
        region.detach();
        region.copy_in(8, &9u64.to_ne_bytes()).unwrap();
        assert_eq!(region.load_u32(16), Some(0));
        let mut bytes = [0; 16];
        std::io::Read::read_exact(&mut watcher, &mut bytes).unwrap();
        assert_eq!(bytes[8..], 7u64.to_ne_bytes());
    }

    #[test]
    fn mapping_errors_keep_their_meaning() {
        // A socket cannot be mapped (ENODEV): what a placeholder in the place of a device gives.
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = QueueFile::new(std::fs::File::from(std::os::fd::OwnedFd::from(socket))).unwrap();
        assert!(matches!(Region::map(&file, 0, 4096), Err(Error::Gone)));
        let file = QueueFile::new(std::fs::File::open("/dev/zero").unwrap()).unwrap();
        assert!(matches!(Region::map(&file, 0, 4096), Err(Error::Denied)));
        assert!(matches!(Region::map(&file, 0, 0), Err(Error::Unsupported | Error::Denied)));
    }
}
