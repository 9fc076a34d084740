//! What the program wants done with SIGSEGV, kept behind the trap: read by the handler, replaced by `sigaction` and its
//! relatives, both possibly in signal context and in several threads. No lock: a value is written into a fresh cell and
//! then made current.
#![expect(unsafe_code, reason = "speaks the kernel's sigaction")]

use crate::real::next;
use crate::syscall;
use core::sync::atomic::{AtomicU64, Ordering};

/// A signal disposition, without libc's padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// Handler address, `SIG_DFL` or `SIG_IGN`.
    pub(crate) handler: usize,
    /// `SA_*`.
    pub(crate) flags: i32,
    /// Signals blocked while it runs, bit n − 1 for signal n.
    pub(crate) mask: u64,
}

impl Action {
    /// The default: the process dies.
    pub(crate) const DEFAULT: Self = Self { handler: libc::SIG_DFL, flags: 0, mask: 0 };

    /// From libc's form.
    ///
    /// # Safety
    /// `action` points at a `struct sigaction`.
    pub(crate) unsafe fn read(action: *const libc::sigaction) -> Self {
        // SAFETY: the caller's promise; a signal set is at least eight bytes, the first of which the kernel uses.
        unsafe {
            Self {
                handler: (*action).sa_sigaction,
                flags: (*action).sa_flags,
                mask: (&raw const (*action).sa_mask).cast::<u64>().read_unaligned(),
            }
        }
    }

    /// Into libc's form, unused parts zero.
    pub(crate) fn to_libc(self) -> libc::sigaction {
        // SAFETY: integers and an optional function: all zero is a value.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = self.handler;
        action.sa_flags = self.flags;
        // SAFETY: a signal set is at least eight bytes.
        unsafe { (&raw mut action.sa_mask).cast::<u64>().write_unaligned(self.mask) };
        action
    }
}

const CELLS: usize = 32;
type Cell = [AtomicU64; 3];
static CELL: [Cell; CELLS] = [const { [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)] }; CELLS];
/// Number of the newest write begun, and of the one in force; write n lies in cell n modulo [`CELLS`].
static BEGUN: AtomicU64 = AtomicU64::new(0);
static CURRENT: AtomicU64 = AtomicU64::new(0);

fn cell(number: u64) -> &'static Cell {
    let index = usize::try_from(number % CELLS as u64).unwrap_or(0);
    CELL.get(index).unwrap_or(&CELL[0])
}

/// The program's disposition.
pub(crate) fn recorded() -> Action {
    loop {
        let number = CURRENT.load(Ordering::Acquire);
        let [handler, flags, mask] = cell(number);
        let action = Action {
            handler: usize::try_from(handler.load(Ordering::Relaxed)).unwrap_or(libc::SIG_DFL),
            flags: i32::from_ne_bytes(low_half(flags.load(Ordering::Relaxed))),
            mask: mask.load(Ordering::Relaxed),
        };
        core::sync::atomic::fence(Ordering::Acquire);
        // Numbers never repeat: an unchanged one means the cell was not reused meanwhile.
        if CURRENT.load(Ordering::Relaxed) == number {
            return action;
        }
    }
}

fn low_half(word: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]).to_ne_bytes()
}

/// Replaces it.
pub(crate) fn record(action: Action) {
    let number = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
    let [handler, flags, mask] = cell(number);
    handler.store(action.handler as u64, Ordering::Relaxed);
    flags.store(u64::from(action.flags as u32), Ordering::Relaxed);
    mask.store(action.mask, Ordering::Relaxed);
    CURRENT.store(number, Ordering::Release);
}

/// The kernel's form of a disposition, the same on x86-64 and aarch64.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// What the kernel would do with SIGSEGV.
pub(crate) fn installed() -> usize {
    let mut action = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    let arguments = [libc::SIGSEGV as usize, 0, (&raw mut action) as usize, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel fills one such structure.
    let _ = unsafe { syscall::call(libc::SYS_rt_sigaction, arguments) };
    action.handler
}

/// Gives SIGSEGV back to the kernel's default. Async-signal-safe.
pub(crate) fn restore_default() {
    let action = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    let arguments = [libc::SIGSEGV as usize, (&raw const action) as usize, 0, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel reads one such structure; the default needs no restorer.
    let _ = unsafe { syscall::call(libc::SYS_rt_sigaction, arguments) };
}

/// The next `sigaction` in line (libc's, which knows how to return from a handler).
///
/// # Safety
/// As `sigaction(2)`.
pub(crate) unsafe fn next_sigaction(
    signal: libc::c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> libc::c_int {
    let Some(next) =
        next!(c"sigaction" => fn(libc::c_int, *const libc::sigaction, *mut libc::sigaction) -> libc::c_int)
    else {
        crate::errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: the caller's promise.
    unsafe { next(signal, new, old) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_disposition_stands() {
        for flags in [libc::SA_SIGINFO, libc::SA_RESETHAND, -1] {
            let action = Action { handler: 0x7000_1234_5678, flags, mask: 1 << 63 };
            record(action);
            assert_eq!(recorded(), action);
            // SAFETY: a whole structure of our own.
            assert_eq!(unsafe { Action::read(&action.to_libc()) }, action);
        }
        record(Action::DEFAULT);
        assert_eq!(recorded(), Action::DEFAULT);
    }
}
