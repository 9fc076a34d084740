//! The client's address space: what a device reaches through the IOMMU, the daemon reaches through the kernel.
#![expect(unsafe_code, reason = "process_vm_readv and process_vm_writev have no safe interface")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why an access did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// Some byte of the range is not mapped, or not writable: an IOMMU fault.
    Fault,
    /// The address space is gone; nobody waits for the result.
    Gone,
}

/// Memory a descriptor's addresses point into.
pub trait ClientSpace {
    /// Fills `bytes` from `address`.
    /// # Errors
    /// [`MemoryError::Fault`] if any byte cannot be read; then `bytes` is unspecified.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError>;
    /// Stores `bytes` at `address`.
    /// # Errors
    /// [`MemoryError::Fault`] if any byte cannot be written; a prefix may have been.
    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError>;
}

/// The address space of the process that opened a queue.
///
/// `process_vm_*` by process id is tried first; when the kernel refuses it once, the client's `/proc/…/mem` does the work
/// from then on. That file also tells whether the address space still exists, however the process changed: after an `exec`
/// the process id leads to a stranger's memory, the file to nothing.
pub struct ClientMemory {
    pid: libc::pid_t,
    mem: File,
    by_process_id: AtomicBool,
}

impl ClientMemory {
    /// `handed`: the client's own `/proc/thread-self/mem`, when it could open it.
    /// # Errors
    /// `InvalidInput` when something else was handed over.
    /// `PermissionDenied` and the like when no file was handed over and the daemon may not open it either.
    pub fn new(pid: libc::pid_t, handed: Option<OwnedFd>) -> io::Result<Self> {
        let mem = match handed {
            Some(descriptor) => memory_file(descriptor)?,
            None => File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?,
        };
        Ok(Self { pid, mem, by_process_id: AtomicBool::new(pid > 0) })
    }

    /// The process id it was opened under; 0 if it is of another process id namespace.
    pub fn process(&self) -> u32 {
        u32::try_from(self.pid).unwrap_or(0)
    }

    /// Whether the address space still exists.
    ///
    /// Reading the never-mapped page 0 through `/proc/…/mem` fails with EIO while it does, and returns 0 bytes afterwards.
    /// The file may be another process's, which lives longer: the one that connected must exist as well.
    pub fn is_alive(&self) -> bool {
        !matches!(self.mem.read_at(&mut [0; 1], 0), Ok(0)) && !self.has_ended()
    }

    /// Whether the process is known to be gone. One of another process id namespace is not known.
    fn has_ended(&self) -> bool {
        // SAFETY: plain system call; signal 0 only asks.
        let answer = unsafe { libc::kill(self.pid, 0) };
        self.pid > 0 && answer != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
    }

    /// The client's mappings; `None` when the kernel does not let us look.
    ///
    /// A process whose main thread has ended shows none under its own id, but under those of its other threads.
    fn maps(&self) -> Option<String> {
        let process = PathBuf::from(format!("/proc/{}", self.pid));
        let read = |directory: PathBuf| {
            std::fs::read_to_string(directory.join("maps")).ok().filter(|maps| !maps.is_empty())
        };
        read(process.clone()).or_else(|| {
            std::fs::read_dir(process.join("task")).ok()?.flatten().find_map(|thread| read(thread.path()))
        })
    }

    /// Whether the client has the file with this inode mapped; `None` when the kernel does not let us look.
    pub fn has_mapped(&self, inode: u64) -> Option<bool> {
        Some(self.maps()?.lines().any(|line| line.split_whitespace().nth(4) == Some(&inode.to_string())))
    }

    /// Whether every page of the range is mapped writable; `None` when the kernel does not let us look.
    fn is_writable(&self, address: u64, len: u64) -> Option<bool> {
        let end = address.checked_add(len)?;
        let maps = self.maps()?;
        let mut reached = address;
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (Some(range), Some(permissions)) = (words.next(), words.next()) else { continue };
            let Some((from, to)) = range.split_once('-') else { continue };
            let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else {
                continue;
            };
            if from <= reached && reached < to && permissions.as_bytes().get(1) == Some(&b'w') {
                reached = to;
            }
        }
        Some(reached >= end)
    }
}

impl ClientSpace for ClientMemory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        if self.by_process_id.load(Ordering::Relaxed) {
            let (local, len) = (bytes.as_mut_ptr().cast(), bytes.len());
            let moved = transfer(address, len, |done, remote| {
                let local = libc::iovec { iov_base: local_at(local, done), iov_len: len - done };
                // SAFETY: `local` describes the part of `bytes` after the `done` bytes already filled, which the caller
                // lent us mutably; `remote` is checked by the kernel.
                unsafe { libc::process_vm_readv(self.pid, &raw const local, 1, remote, 1, 0) }
            });
            match moved {
                Moved::Whole => return Ok(()),
                Moved::Fault => return Err(MemoryError::Fault),
                Moved::Refused => self.by_process_id.store(false, Ordering::Relaxed),
            }
        }
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.mem.read_at(rest, address.checked_add(done as u64).ok_or(MemoryError::Fault)?) {
                Ok(0) => return Err(MemoryError::Gone),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(MemoryError::Fault),
            }
        }
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        // The result may be late: the process may have ended, or have become another program under the same id.
        if !self.is_alive() {
            return Err(MemoryError::Gone);
        }
        if self.by_process_id.load(Ordering::Relaxed) {
            let (local, len) = (bytes.as_ptr().cast_mut().cast(), bytes.len());
            let moved = transfer(address, len, |done, remote| {
                let local = libc::iovec { iov_base: local_at(local, done), iov_len: len - done };
                // SAFETY: `local` describes the part of `bytes` not yet moved, which the kernel only reads; `remote` is
                // checked by the kernel.
                unsafe { libc::process_vm_writev(self.pid, &raw const local, 1, remote, 1, 0) }
            });
            match moved {
                Moved::Whole => return Ok(()),
                Moved::Fault => return Err(MemoryError::Fault),
                Moved::Refused => self.by_process_id.store(false, Ordering::Relaxed),
            }
        }
        // Writes through /proc/…/mem are forced: they go through to read-only pages, where a device would fault.
        if self.is_writable(address, bytes.len() as u64) == Some(false) {
            return Err(MemoryError::Fault);
        }
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match self.mem.write_at(rest, address.checked_add(done as u64).ok_or(MemoryError::Fault)?) {
                Ok(0) => return Err(MemoryError::Gone),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(MemoryError::Fault),
            }
        }
        Ok(())
    }
}

/// Makes sure that it is a `/proc/…/mem`: holding anything else of a client's (a socket's end, a pipe, a file that answers
/// late) could keep its queue for ever.
fn memory_file(descriptor: OwnedFd) -> io::Result<File> {
    let file = File::from(descriptor);
    // SAFETY: all-zero is a valid `statfs`.
    let mut system: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `system` is a live statfs, the descriptor is ours.
    super::checked(unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut system) })?;
    let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let is_memory = system.f_type == libc::PROC_SUPER_MAGIC && name.ends_with("mem");
    if is_memory && file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

enum Moved {
    Whole,
    Fault,
    /// Not permitted, or the process id leads nowhere (its main thread may have ended): use the file.
    Refused,
}

/// Repeats `call` until `len` bytes are moved: it may move a part, and reports a fault only when it moves nothing.
fn transfer(address: u64, len: usize, mut call: impl FnMut(usize, *const libc::iovec) -> isize) -> Moved {
    let mut done = 0;
    while done < len {
        let Some(remote) = address.checked_add(done as u64).and_then(|at| usize::try_from(at).ok()) else {
            return Moved::Fault;
        };
        let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(remote), iov_len: len - done };
        match call(done, &raw const remote) {
            0 => return Moved::Fault,
            count if count > 0 => done += count.unsigned_abs(),
            _ => match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EPERM | libc::ESRCH | libc::ENOSYS) => return Moved::Refused,
                _ => return Moved::Fault,
            },
        }
    }
    Moved::Whole
}

fn local_at(base: *mut libc::c_void, offset: usize) -> *mut libc::c_void {
    base.cast::<u8>().wrapping_add(offset).cast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null_mut;

    fn own_memory() -> ClientMemory {
        let pid = libc::pid_t::try_from(std::process::id()).unwrap();
        ClientMemory::new(pid, None).unwrap()
    }

    /// Two pages: the first as asked, the second absent.
    fn page_before_a_hole(protection: i32) -> u64 {
        // SAFETY: fresh anonymous mapping; the tail is unmapped again before anyone uses it.
        let base = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let base = libc::mmap(null_mut(), 8192, protection, flags, -1, 0);
            libc::munmap(base.wrapping_byte_add(4096), 4096);
            base
        };
        base.addr() as u64
    }

    #[test]
    fn both_ways_read_write_and_fault() {
        for by_process_id in [true, false] {
            let memory = own_memory();
            memory.by_process_id.store(by_process_id, Ordering::Relaxed);
            let page = page_before_a_hole(libc::PROT_READ | libc::PROT_WRITE);
            memory.write(page + 4090, b"123456").unwrap();
            let mut bytes = [0; 6];
            memory.read(page + 4090, &mut bytes).unwrap();
            assert_eq!(&bytes, b"123456");
            assert_eq!(memory.read(page + 4091, &mut bytes), Err(MemoryError::Fault));
            assert_eq!(memory.write(page + 4091, &bytes), Err(MemoryError::Fault));
            for wild in [0, 8, u64::MAX, u64::MAX - 3, 1 << 63] {
                assert_eq!(memory.read(wild, &mut bytes), Err(MemoryError::Fault), "{wild:#x}");
                assert_eq!(memory.write(wild, &bytes), Err(MemoryError::Fault), "{wild:#x}");
            }
            assert_eq!(memory.by_process_id.load(Ordering::Relaxed), by_process_id);
        }
    }

    #[test]
    fn a_read_only_page_refuses_a_result() {
        for by_process_id in [true, false] {
            let memory = own_memory();
            memory.by_process_id.store(by_process_id, Ordering::Relaxed);
            let page = page_before_a_hole(libc::PROT_READ);
            assert_eq!(memory.write(page, b"x"), Err(MemoryError::Fault));
            let mut byte = [7];
            memory.read(page, &mut byte).unwrap();
            assert_eq!(byte, [0]);
        }
    }

    #[test]
    fn an_ended_process_is_gone() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let memory = ClientMemory::new(libc::pid_t::try_from(child.id()).unwrap(), None).unwrap();
        assert!(memory.is_alive());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!memory.is_alive());
        assert_eq!(memory.read(4096, &mut [0; 4]), Err(MemoryError::Gone));
        assert_eq!(memory.write(4096, &[0; 4]), Err(MemoryError::Gone));
    }
}
