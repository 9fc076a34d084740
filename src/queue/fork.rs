//! The state of this process, and only this one: a child begins anew.
//!
//! Everything hangs off one pointer. Two things tell a child from its parent: a word in a page that the kernel wipes at
//! fork, and the process id, where the kernel cannot be trusted with the wiping (emulators ignore it): asking for the id is
//! a system call, and small requests come by the hundred thousand. On a mismatch the parent's state is leaked, whatever it
//! was in the middle of, and new state is made at the first need: a queue belongs to the process that opened it, its
//! mappings do not exist in the child (uacce-qm §6). There is no fork handler.

#![expect(
    unsafe_code,
    reason = "a page of its own, a pointer that outlives every reader, and two raw system calls"
)]

use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The one pointer; `T` is made by the first caller that needs it.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    current: AtomicPtr<Holder<T>>,
}

#[derive(Debug)]
struct Holder<T> {
    stamp: Stamp,
    /// Blocks the threads of one process while one of them makes the value; no other process ever sees it.
    value: OnceLock<T>,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { current: AtomicPtr::new(ptr::null_mut()) }
    }

    /// This process's value; `make` makes it if there is none. It is given the parent's value if that was complete when
    /// this process was forked: it may copy what never changes, and must touch no lock, queue or counter in it.
    pub(crate) fn value(&'static self, make: impl FnOnce(Option<&T>) -> T) -> &'static T {
        let mut current = self.current.load(Ordering::Acquire);
        let mut parent = None;
        loop {
            // SAFETY: the pointer is null or came from `Box::into_raw` below and is never freed once published.
            let holder = unsafe { current.as_ref() };
            if let Some(holder) = holder.filter(|holder| holder.stamp.ours()) {
                return holder.value.get_or_init(|| make(parent));
            }
            parent = holder.and_then(|holder| holder.value.get());
            let fresh = Box::into_raw(Box::new(Holder { stamp: Stamp::new(), value: OnceLock::new() }));
            match self.current.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
                // The parent's holder, if any, is leaked.
                Ok(_) => current = fresh,
                Err(other) => {
                    // SAFETY: `fresh` was not published; this is its only owner.
                    drop(unsafe { Box::from_raw(fresh) });
                    current = other;
                }
            }
        }
    }
}

/// Tells whether memory was made by this very process.
#[derive(Debug)]
struct Stamp {
    /// In a page of its own that is wiped in a child; none when the kernel gave none.
    word: Option<NonNull<AtomicU32>>,
    /// Compared too, where the word may not be wiped.
    pid: Option<u32>,
}

// SAFETY: the word is an atomic in a mapping that lives as long as the Stamp; any thread may look.
unsafe impl Send for Stamp {}
// SAFETY: as above.
unsafe impl Sync for Stamp {}

const SET: u32 = 0x7761_7264;

impl Stamp {
    fn new() -> Self {
        let (word, trusted) = match page() {
            Some((word, wiped)) => (Some(word), wiped),
            None => (None, false),
        };
        if let Some(word) = word {
            // SAFETY: the page is mapped, writable and aligned; it lives until `drop`.
            unsafe { word.as_ref() }.store(SET, Ordering::Release);
        }
        Self { word, pid: (!trusted).then(std::process::id) }
    }

    fn ours(&self) -> bool {
        // SAFETY: as in `new`; in a child the page is there too, wiped.
        let set = self.word.is_none_or(|word| unsafe { word.as_ref() }.load(Ordering::Acquire) == SET);
        set && self.pid.is_none_or(|pid| pid == std::process::id())
    }
}

impl Drop for Stamp {
    fn drop(&mut self) {
        if let Some(word) = self.word {
            // SAFETY: this mapping was made by `page` and nobody looks at it any more.
            unsafe { libc::munmap(word.as_ptr().cast(), PAGE) };
        }
    }
}

/// Mapped length; the kernel rounds it up to its page.
const PAGE: usize = 4096;

/// Advice that no kernel knows. Who takes it takes anything, and does nothing for it.
const UNKNOWN_ADVICE: libc::c_int = 0x7fff_ffff;

/// A page of its own, and whether the kernel promised to wipe it in a child.
fn page() -> Option<(NonNull<AtomicU32>, bool)> {
    // SAFETY: a new anonymous private mapping touches nothing that exists; the advice is given for it alone.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(ptr::null_mut(), PAGE, protection, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return None;
        }
        // Refused before Linux 4.14 and by some emulators; others say yes to everything.
        let wiped = libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) == 0
            && libc::madvise(page, PAGE, UNKNOWN_ADVICE) != 0;
        Some((NonNull::new(page.cast())?, wiped))
    }
}

/// The NUMA node this thread runs on.
pub(crate) fn node() -> Option<i32> {
    let mut node: libc::c_uint = 0;
    // SAFETY: the kernel writes one unsigned integer through the second pointer; the others may be null (getcpu(2)).
    let result = unsafe {
        libc::syscall(
            libc::SYS_getcpu,
            ptr::null_mut::<libc::c_uint>(),
            &raw mut node,
            ptr::null_mut::<libc::c_void>(),
        )
    };
    if result == 0 { i32::try_from(node).ok() } else { None }
}

/// A number in `0.0..1.0`, different from process to process and call to call; good for jitter and nothing else.
pub(crate) fn random_fraction() -> f64 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = u64::from(CALLS.fetch_add(1, Ordering::Relaxed));
    // splitmix64's finaliser over pid and call number.
    let mut bits = (u64::from(std::process::id()) << 32 | call).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let top = u32::try_from((bits ^ bits >> 31) >> 32).unwrap_or(0);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// Runs `work` in a forked child and says whether it ended well, in time, with true.
#[cfg(test)]
pub(crate) fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: what the child of a threaded process may hope to do is what the tests try.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
        // SAFETY: ends the child at once, without exit handlers.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let start = std::time::Instant::now();
    let mut status = -1;
    // SAFETY: our own child, a valid integer.
    while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
        if start.elapsed() > std::time::Duration::from_secs(20) {
            // SAFETY: our own child, not waited for yet.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_per_process() {
        static STATE: PerProcess<u32> = PerProcess::new();
        assert_eq!(*STATE.value(|_| 1), 1);
        assert_eq!(*STATE.value(|_| 2), 1);
        let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(|| *STATE.value(|_| 3))).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 1));
    }

    #[test]
    fn a_child_begins_anew_and_the_parent_keeps_its_own() {
        static STATE: PerProcess<u32> = PerProcess::new();
        STATE.value(|_| 1);
        assert!(in_child(|| *STATE.value(|parent| 2 + *parent.unwrap()) == 3));
        assert_eq!(*STATE.value(|_| 3), 1);
    }

    #[test]
    fn either_mark_alone_is_enough() {
        let stamp = Stamp::new();
        assert!(stamp.ours());
        // SAFETY: the page of a live Stamp.
        unsafe { stamp.word.unwrap().as_ref() }.store(0, Ordering::Release);
        assert!(!stamp.ours(), "wiped");
        let mut other = Stamp::new();
        other.pid = Some(std::process::id() + 1);
        assert!(!other.ours(), "another process");
        other.pid = Some(std::process::id());
        other.word = None;
        assert!(other.ours());
    }

    /// Linux from 4.14 on; the test of a child above shows that it keeps the promise.
    #[test]
    fn a_kernel_that_wipes_is_not_asked_for_the_process() {
        let refused = {
            let (page, _) = page().unwrap();
            // SAFETY: the page was made for this, and goes away with the process.
            unsafe { libc::madvise(page.as_ptr().cast(), PAGE, UNKNOWN_ADVICE) != 0 }
        };
        assert_eq!(Stamp::new().pid.is_none(), refused);
    }

    #[test]
    fn fractions_spread() {
        let drawn: Vec<_> = (0..1000).map(|_| random_fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        assert!(drawn.iter().any(|&fraction| fraction < 0.1) && drawn.iter().any(|&fraction| fraction > 0.9));
    }
}
