//! The doorbell regions this process has mapped, for the trap handler to find without a lock.
//!
//! The table lies on pages that a forked child finds zeroed (`MADV_WIPEONFORK`), as it finds the mappings themselves
//! gone; the process id beside it tells the same where the advice is ignored.
#![expect(unsafe_code, reason = "shares a table with a signal handler")]

use crate::syscall;
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
use uacce_sim_protocol::control;

/// Most doorbell ranges one process can have; a device has at most a few thousand queues (uacce-qm §1.2).
const SLOTS: usize = 4096;

/// One mapped doorbell range. A `start` of 0 means free.
#[derive(Default)]
pub(crate) struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    base: AtomicUsize,
    alias: AtomicUsize,
    alias_len: AtomicUsize,
    control: AtomicUsize,
    descriptor: AtomicI32,
    inode: AtomicU64,
    trapped: AtomicBool,
    polled: AtomicBool,
    /// Low half of a doorbell rung as two 32-bit stores.
    pub(crate) low_half: AtomicU32,
}

impl Range {
    /// Whether stores here are to be served (else they are faults of the program).
    pub(crate) fn trapped(&self) -> bool {
        self.trapped.load(Ordering::Relaxed)
    }

    /// `address` as an offset into the region, bytes.
    pub(crate) fn offset(&self, address: usize) -> usize {
        address.wrapping_sub(self.base.load(Ordering::Relaxed))
    }

    /// Where the writable alias of the region begins.
    pub(crate) fn alias(&self) -> usize {
        self.alias.load(Ordering::Relaxed)
    }

    /// Where the control page lies.
    pub(crate) fn control(&self) -> usize {
        self.control.load(Ordering::Relaxed)
    }

    /// The descriptor the region was mapped from, and its inode then.
    pub(crate) fn descriptor(&self) -> (i32, u64) {
        (self.descriptor.load(Ordering::Relaxed), self.inode.load(Ordering::Relaxed))
    }
}

impl Range {
    /// Another descriptor of the same queue serves from now on; -1: there is none.
    pub(crate) fn set_descriptor(&self, descriptor: i32) {
        self.descriptor.store(descriptor, Ordering::Relaxed);
    }
}

struct Table {
    process: AtomicU32,
    lock: AtomicU32,
    /// Slots ever used.
    used: AtomicUsize,
    slots: [Range; SLOTS],
}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(core::ptr::null_mut());

/// A new mapping, to be entered.
pub(crate) struct Mapped {
    /// The program's address and length, bytes.
    pub(crate) start: usize,
    /// Bytes the program sees.
    pub(crate) len: usize,
    /// Our writable alias of the region and the control page behind it.
    pub(crate) alias: usize,
    /// Bytes of the alias.
    pub(crate) alias_len: usize,
    /// Address of the control page inside the alias.
    pub(crate) control: usize,
    /// Descriptor it was mapped from.
    pub(crate) descriptor: i32,
    /// That descriptor's inode.
    pub(crate) inode: u64,
    /// Whether stores are to be served.
    pub(crate) trapped: bool,
    /// Whether the daemon polls the region, which then is plain memory for the program.
    pub(crate) polled: bool,
}

fn table() -> Option<&'static Table> {
    // SAFETY: once set, the pointer is to zeroed pages of that size which are never unmapped.
    unsafe { TABLE.load(Ordering::Acquire).as_ref() }
}

/// Whether this process has a table that a different process made, seen through shared memory (a `vfork` child).
pub(crate) fn borrowed() -> bool {
    table().is_some_and(|table| {
        let process = table.process.load(Ordering::Relaxed);
        process != 0 && process != syscall::process_id()
    })
}

fn in_use(table: &Table) -> impl Iterator<Item = &Range> {
    table.slots.iter().take(table.used.load(Ordering::Acquire))
}

/// The range that holds `address`. Async-signal-safe.
pub(crate) fn find(address: usize) -> Option<&'static Range> {
    let table = table()?;
    let range = in_use(table).find(|range| {
        let start = range.start.load(Ordering::Acquire);
        start != 0 && start <= address && address < range.end.load(Ordering::Relaxed)
    })?;
    (table.process.load(Ordering::Relaxed) == syscall::process_id()).then_some(range)
}

/// A range mapped from the descriptor with this inode.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn of_inode(inode: u64) -> Option<&'static Range> {
    let table = table()?;
    let range = in_use(table).find(|range| {
        range.start.load(Ordering::Acquire) != 0 && range.inode.load(Ordering::Relaxed) == inode
    })?;
    (table.process.load(Ordering::Relaxed) == syscall::process_id()).then_some(range)
}

fn overlap(range: &Range, start: usize, end: usize) -> bool {
    let from = range.start.load(Ordering::Acquire);
    from != 0 && from < end && start < range.end.load(Ordering::Relaxed)
}

/// Whether this process never mapped a doorbell region: the quick way out of every mapping call.
#[cfg_attr(test, allow(dead_code))]
#[inline]
pub(crate) fn never() -> bool {
    TABLE.load(Ordering::Relaxed).is_null()
}

/// Whether any doorbell range touches `start .. start + len`.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn touches(start: usize, len: usize) -> bool {
    let Some(table) = table() else { return false };
    let end = start.saturating_add(len);
    in_use(table).any(|range| overlap(range, start, end)) && !borrowed()
}

/// Whether this process has a doorbell range whose stores are to be served.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn any_trapped() -> bool {
    let served = |range: &Range| range.start.load(Ordering::Relaxed) != 0 && range.trapped();
    table().is_some_and(|table| in_use(table).any(served)) && !borrowed()
}

/// Runs `act` alone among the threads of this process. Signals wait, so no handler can want the lock it interrupts.
fn alone<R>(table: &Table, act: impl FnOnce() -> R) -> R {
    let mask = syscall::signal_mask(libc::SIG_SETMASK, u64::MAX);
    while table.lock.swap(1, Ordering::Acquire) != 0 {
        // SAFETY: sched_yield takes nothing.
        let _ = unsafe { syscall::call(libc::SYS_sched_yield, [0; 6]) };
    }
    let result = act();
    table.lock.store(0, Ordering::Release);
    syscall::signal_mask(libc::SIG_SETMASK, mask);
    result
}

/// This process's table, made on first use.
fn own_table() -> Option<&'static Table> {
    if table().is_none() {
        let len = size_of::<Table>();
        let at = map_anonymous(len)?;
        // MADV_WIPEONFORK failing (an old kernel) leaves the process id to tell.
        // SAFETY: the pages are ours.
        let _ =
            unsafe { syscall::call(libc::SYS_madvise, [at, len, libc::MADV_WIPEONFORK as usize, 0, 0, 0]) };
        let made = at as *mut Table;
        if TABLE.compare_exchange(core::ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire).is_err() {
            unmap(at, len);
        }
    }
    let table = table()?;
    let process = syscall::process_id();
    let before = table.process.load(Ordering::Relaxed);
    if before != process {
        if before != 0 {
            // An inherited table whose pages were not wiped: its ranges are the parent's.
            for range in in_use(table) {
                range.start.store(0, Ordering::Relaxed);
            }
            table.lock.store(0, Ordering::Relaxed);
            table.used.store(0, Ordering::Relaxed);
        }
        table.process.store(process, Ordering::Release);
    }
    Some(table)
}

/// Enters a mapping. `false`: no room.
pub(crate) fn enter(mapped: &Mapped) -> bool {
    let Some(table) = own_table() else { return false };
    alone(table, || {
        let slot = free_slot(table).inspect(|range| {
            range.end.store(mapped.start.saturating_add(mapped.len), Ordering::Relaxed);
            range.base.store(mapped.start, Ordering::Relaxed);
            range.alias.store(mapped.alias, Ordering::Relaxed);
            range.alias_len.store(mapped.alias_len, Ordering::Relaxed);
            range.control.store(mapped.control, Ordering::Relaxed);
            range.descriptor.store(mapped.descriptor, Ordering::Relaxed);
            range.inode.store(mapped.inode, Ordering::Relaxed);
            range.trapped.store(mapped.trapped, Ordering::Relaxed);
            range.polled.store(mapped.polled, Ordering::Relaxed);
            range.low_half.store(0, Ordering::Relaxed);
            // Release: a handler that sees the start sees the rest.
            range.start.store(mapped.start, Ordering::Release);
        });
        slot.is_some()
    })
}

fn free_slot(table: &Table) -> Option<&Range> {
    let used = table.used.load(Ordering::Relaxed);
    if let Some(range) = in_use(table).find(|range| range.start.load(Ordering::Relaxed) == 0) {
        return Some(range);
    }
    let range = table.slots.get(used)?;
    table.used.store(used + 1, Ordering::Release);
    Some(range)
}

/// Takes `start .. start + len` out of every range: it is about to be unmapped, or has been mapped over. A region of
/// which nothing is left is given up.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn forget(start: usize, len: usize) {
    let Some(table) = table() else { return };
    let end = start.saturating_add(len);
    alone(table, || {
        for range in in_use(table).filter(|range| overlap(range, start, end)) {
            let (from, to) = (range.start.load(Ordering::Relaxed), range.end.load(Ordering::Relaxed));
            if from < start && end < to {
                // The middle goes: a second range takes the tail. Without a free slot the tail is lost, not the program.
                if let Some(tail) = free_slot(table) {
                    copy(range, tail, end);
                }
            }
            if from < start {
                range.end.store(start, Ordering::Release);
            } else if end < to {
                range.start.store(end, Ordering::Release);
            } else {
                range.start.store(0, Ordering::Release);
                let alias = range.alias();
                let shared = in_use(table)
                    .any(|other| other.start.load(Ordering::Relaxed) != 0 && other.alias() == alias);
                if !shared {
                    release(range);
                }
            }
        }
    });
}

fn copy(from: &Range, to: &Range, start: usize) {
    to.end.store(from.end.load(Ordering::Relaxed), Ordering::Relaxed);
    to.base.store(from.base.load(Ordering::Relaxed), Ordering::Relaxed);
    to.alias.store(from.alias(), Ordering::Relaxed);
    to.alias_len.store(from.alias_len.load(Ordering::Relaxed), Ordering::Relaxed);
    to.control.store(from.control(), Ordering::Relaxed);
    to.descriptor.store(from.descriptor.load(Ordering::Relaxed), Ordering::Relaxed);
    to.inode.store(from.inode.load(Ordering::Relaxed), Ordering::Relaxed);
    to.trapped.store(from.trapped(), Ordering::Relaxed);
    to.polled.store(from.polled.load(Ordering::Relaxed), Ordering::Relaxed);
    to.low_half.store(from.low_half.load(Ordering::Relaxed), Ordering::Relaxed);
    to.start.store(start, Ordering::Release);
}

/// Tells the daemon that the region is no longer mapped, and unmaps the alias. The table entry is gone by now.
#[cfg_attr(test, allow(dead_code))]
fn release(range: &Range) {
    let control = range.control() as *const u8;
    if !control.is_null() {
        // SAFETY: the alias is mapped until the next line; the offset lies in its control page.
        unsafe { (*control.add(control::MAPPED).cast::<AtomicU32>()).store(0, Ordering::Release) };
    }
    fence(Ordering::SeqCst);
    unmap(range.alias(), range.alias_len.load(Ordering::Relaxed));
}

/// The program changes the protection of `start .. start + len`: whether stores there are its faults from now on.
/// `false` when a doorbell range there is polled, and so takes any protection.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn set_trapped(start: usize, len: usize, trapped: bool) -> bool {
    let Some(table) = table() else { return false };
    let end = start.saturating_add(len);
    in_use(table).filter(|range| overlap(range, start, end)).fold(true, |all, range| {
        let polled = range.polled.load(Ordering::Relaxed);
        range.trapped.store(trapped && !polled, Ordering::Relaxed);
        all && !polled
    })
}

/// The first doorbell range that touches `start .. end`, cut to it.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn first_within(start: usize, end: usize) -> Option<(usize, usize)> {
    in_use(table()?)
        .filter(|range| overlap(range, start, end))
        .map(|range| {
            let (from, to) = (range.start.load(Ordering::Relaxed), range.end.load(Ordering::Relaxed));
            (from.max(start), to.min(end))
        })
        .min()
}

/// Anonymous zeroed pages.
fn map_anonymous(len: usize) -> Option<usize> {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let arguments = [0, len, syscall::fd(prot), syscall::fd(flags), usize::MAX, 0];
    // SAFETY: asks for fresh memory only.
    unsafe { syscall::call(libc::SYS_mmap, arguments) }.ok()
}

/// Unmaps memory of this library's own.
pub(crate) fn unmap(at: usize, len: usize) {
    if len != 0 {
        // SAFETY: the caller owns these pages and keeps no pointer to them.
        let _ = unsafe { syscall::call(libc::SYS_munmap, [at, len, 0, 0, 0, 0]) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(start: usize, len: usize) -> Mapped {
        let alias = map_anonymous(8192).unwrap();
        Mapped {
            start,
            len,
            alias,
            alias_len: 8192,
            control: alias + 4096,
            descriptor: -1,
            inode: 0,
            trapped: true,
            polled: false,
        }
    }

    #[test]
    fn partial_unmapping_leaves_the_rest() {
        let at = 0x7000_0000_0000;
        assert!(enter(&mapped(at, 0x4000)));
        assert!(touches(at + 0x3fff, 1) && !touches(at + 0x4000, 1) && !touches(at - 1, 1));
        forget(at + 0x1000, 0x1000);
        assert!(find(at + 0xfff).is_some());
        assert!(find(at + 0x1000).is_none());
        assert_eq!(find(at + 0x2000).map(|range| range.offset(at + 0x2000)), Some(0x2000));
        forget(at, 0x800);
        assert!(find(at + 0x7ff).is_none() && find(at + 0x800).is_some());
        forget(at, 0x10000);
        assert!(find(at + 0x800).is_none() && find(at + 0x2000).is_none());
        // The slots serve again.
        assert!(enter(&mapped(at, 0x1000)));
        assert!(set_trapped(at, 1, false));
        assert_eq!(first_within(at - 0x1000, at + 0x800), Some((at, at + 0x800)));
        assert_eq!(find(at).map(Range::trapped), Some(false));
        forget(at, 0x1000);
    }
}
