//! SIGBUS in the daemon: a page of a removable region that is no longer there becomes a page of zeros of our own.
//!
//! Such a region may end at any moment, when its device is removed or because its client cut it off. A look before every
//! access would come too early, so the fault itself is served: the kernel names the address, and the access goes on.
#![expect(unsafe_code, reason = "is a signal handler, and maps over pages that are gone")]

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::checked;

/// A guarded range; a start of 0 means free.
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
}

static RANGES: [Range; MAX_RANGES] =
    [const { Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; MAX_RANGES];

/// Guards `len` bytes from `start` on, a mapping of whole pages.
pub(super) fn guard(start: usize, len: usize) -> io::Result<()> {
    static INSTALLED: Once = Once::new();
    let mut installed = Ok(());
    INSTALLED.call_once(|| installed = install());
    installed?;
    let claim = |range: &&Range| {
        range.start.compare_exchange(0, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let range = RANGES.iter().find(claim).ok_or(io::ErrorKind::OutOfMemory)?;
    range.end.store(start + len, Ordering::Relaxed);
    range.start.store(start, Ordering::Release);
    Ok(())
}

/// Nothing that begins at `start` is guarded any more. Its mapping must still be there, so that the range is nobody else's.
pub(super) fn release(start: usize) {
    if let Some(range) = RANGES.iter().find(|range| range.start.load(Ordering::Acquire) == start) {
        range.start.store(0, Ordering::Release);
    }
}

fn install() -> io::Result<()> {
    // SAFETY: all zero is a value of it; the fields that matter follow.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a whole structure; the handler is async-signal-safe.
    checked(unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Atomics and one system call: async-signal-safe. What is not ours happens again, with the default disposition.
extern "C" fn handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's structure, valid while the handler runs; a SIGBUS has an address.
    let address = unsafe { (*info).si_addr() }.addr();
    let guarded = RANGES.iter().any(|range| {
        let start = range.start.load(Ordering::Acquire);
        start > CLAIMED && start <= address && address < range.end.load(Ordering::Relaxed)
    });
    // SAFETY: sysconf takes a number; mmap replaces one page of a mapping that is ours and reached through atomics only;
    // signal takes a disposition.
    unsafe {
        let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096);
        let at = std::ptr::without_provenance_mut(address & !(page - 1));
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        if !guarded || libc::mmap(at, page, prot, flags, -1, 0) == libc::MAP_FAILED {
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
        }
    }
}

/// Removable regions at one time: every queue of every device has one.
const MAX_RANGES: usize = 4096;
const CLAIMED: usize = 1;
