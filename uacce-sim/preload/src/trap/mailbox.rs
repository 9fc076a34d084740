//! What a trapped store does: a doorbell goes into the control page and wakes the daemon, anything else into the region.
#![expect(unsafe_code, reason = "writes memory shared with the daemon")]

use crate::decode::Store;
use crate::ranges::Range;
use crate::syscall;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use uacce_sim_protocol::control;

/// Offset of the doorbell on V1 hardware, whose word has another layout (uacce-qm §3.3).
const V1_DOORBELL: usize = 0x340;
/// Doorbell commands (uacce-qm §3.3).
const SUBMISSION: u64 = 0;
const COMPLETION: u64 = 1;

/// How far a duplicate of a closed descriptor is looked for.
const DUPLICATES: i32 = 1024;

/// A mapped control page.
#[derive(Clone, Copy)]
pub(super) struct Control(pub(super) usize);

impl Control {
    /// # Safety
    /// `offset` is that of a 32-bit word of a mapped control page.
    pub(super) unsafe fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the caller's promise; pages are aligned, and the protocol's offsets too.
        unsafe { &*((self.0 + offset) as *const AtomicU32) }
    }

    /// # Safety
    /// `offset` is that of a 64-bit word of a mapped control page.
    pub(super) unsafe fn long(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: as in `word`.
        unsafe { &*((self.0 + offset) as *const AtomicU64) }
    }
}

/// Whether the device was removed, and its mapped memory with it.
///
/// # Safety
/// The range's control page is mapped.
pub(crate) unsafe fn is_removed(range: &Range) -> bool {
    let page = Control(range.control());
    // SAFETY: the caller's promise.
    unsafe { page.word(control::GONE) }.load(Ordering::Relaxed) == control::GONE_WITH_MEMORY
}

/// Carries out `store` at `offset` of the region. Returns what lay there before (for an exchange), or `None` if the store
/// leaves the region.
///
/// # Safety
/// The range's alias and control page are mapped.
pub(crate) unsafe fn deliver(range: &Range, offset: usize, store: &Store) -> Option<u64> {
    let control = Control(range.control());
    let width = usize::from(store.width);
    let end = offset.checked_add(width)?;
    if range.alias().checked_add(end)? > control.0 {
        return None;
    }
    // SAFETY: the control page is mapped.
    let doorbell = unsafe { control.word(control::DOORBELL_OFFSET) }.load(Ordering::Relaxed) as usize;
    let at = (range.alias() + offset) as *mut u8;
    let [low, high] = [0, 64].map(|shift| u64::from_le_bytes(eight(store.value >> shift)));
    let mut before = [0u8; 8];
    for (index, byte) in before.iter_mut().enumerate().take(width) {
        // SAFETY: inside the region, which the alias maps readable.
        *byte = unsafe { at.add(index).read_volatile() };
    }
    // SAFETY: control page and region are mapped.
    unsafe {
        if offset == doorbell && width >= 8 {
            ring(range, control, doorbell, low);
        } else if offset + 8 == doorbell && width == 16 {
            ring(range, control, doorbell, high);
        } else if offset == doorbell && width == 4 {
            // Two halves: nothing happens before the high one comes. What hardware does is unknown.
            range.low_half.store(u32::from_le_bytes(four(low)), Ordering::Relaxed);
        } else if offset == doorbell + 4 && width == 4 {
            let word = u64::from(range.low_half.load(Ordering::Relaxed)) | low << 32;
            ring(range, control, doorbell, word);
        } else {
            for (index, byte) in store.value.to_le_bytes().iter().enumerate().take(width) {
                at.add(index).write_volatile(*byte);
            }
        }
    }
    Some(u64::from_le_bytes(before))
}

fn eight(value: u128) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = value.to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

fn four(value: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = value.to_le_bytes();
    [a, b, c, d]
}

/// Rings the doorbell (simulator.md §6.1, steps 3 to 5).
///
/// # Safety
/// The control page is mapped.
unsafe fn ring(range: &Range, control: Control, doorbell: usize, word: u64) {
    let (queue, command, random) = if doorbell == V1_DOORBELL {
        (word & 0xffff, word >> 16 & 0xffff, 0)
    } else {
        (word & 0xfff, word >> 12 & 0xf, word >> 16 & 0xffff)
    };
    // SAFETY: the control page is mapped.
    unsafe {
        let own = u64::from(control.word(control::QUEUE_NUMBER).load(Ordering::Relaxed));
        // A word for another queue would ring that queue in reality; one with a wrong random field is dropped by hardware.
        if queue != own || random != 0 {
            control.long(control::FOREIGN).fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (latest, count) = match command {
            SUBMISSION => (control::SUBMISSION_DOORBELL, control::SUBMISSION_COUNT),
            COMPLETION => {
                // Before the word is published: a daemon that spins may answer it with the next token at once.
                drain(range, control);
                (control::COMPLETION_DOORBELL, control::COMPLETION_COUNT)
            }
            // Event queues are the kernel's.
            _ => return,
        };
        // Release: whoever reads the word sees the descriptors written before it.
        control.long(latest).store(word, Ordering::Release);
        control.long(count).fetch_add(1, Ordering::Release);
        // Sequentially consistent against the daemon's "sleeping, then look at the sequence again".
        control.word(control::SEQUENCE).fetch_add(1, Ordering::SeqCst);
        if control.word(control::SLEEPING).load(Ordering::SeqCst) != 0 {
            let word = control.0 + control::SEQUENCE;
            let _ = syscall::call(libc::SYS_futex, [word, libc::FUTEX_WAKE as usize, 1, 0, 0, 0]);
        }
    }
}

/// Takes an unread readiness token out of the socket, by whichever of its descriptors is left.
///
/// # Safety
/// The control page is mapped.
pub(super) unsafe fn drain(range: &Range, control: Control) {
    // SAFETY: the control page is mapped.
    if !unsafe { take_token(control) } {
        return;
    }
    let (mut descriptor, inode) = range.descriptor();
    // The program may have closed the descriptor, got its number for something else, and kept a duplicate.
    if descriptor >= 0 && inode_of(descriptor) != Some(inode) {
        descriptor = (0..DUPLICATES).find(|other| inode_of(*other) == Some(inode)).unwrap_or(-1);
        range.set_descriptor(descriptor);
    }
    receive(descriptor);
}

/// The same where `descriptor` was just found to be one of the socket's.
///
/// # Safety
/// The control page is mapped.
pub(super) unsafe fn drain_by(descriptor: i32, control: Control) {
    // SAFETY: the control page is mapped.
    if unsafe { take_token(control) } {
        receive(descriptor);
    }
}

/// Whether there was a token; it is this caller's to read now.
///
/// # Safety
/// The control page is mapped.
unsafe fn take_token(control: Control) -> bool {
    // SAFETY: the control page is mapped.
    let token = unsafe { control.word(control::TOKEN) };
    token.load(Ordering::Relaxed) != 0 && token.swap(0, Ordering::AcqRel) != 0
}

fn receive(descriptor: i32) {
    if descriptor < 0 {
        return;
    }
    let mut byte = 0u8;
    let flags = libc::MSG_DONTWAIT as usize;
    let arguments = [syscall::fd(descriptor), (&raw mut byte) as usize, 1, flags, 0, 0];
    // SAFETY: the kernel writes at most one byte.
    let _ = unsafe { syscall::call(libc::SYS_recvfrom, arguments) };
}

/// The inode behind a descriptor.
pub(crate) fn inode_of(descriptor: i32) -> Option<u64> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::uninit();
    let arguments = [syscall::fd(descriptor), status.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel fills one whole structure, read only on success.
    unsafe {
        syscall::call(libc::SYS_fstat, arguments).ok()?;
        Some(status.assume_init().st_ino)
    }
}
