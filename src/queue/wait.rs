//! Waiting: the word a waiter sleeps on, whose turn it is to sleep in `poll()`, and for how long.
//!
//! One thread per queue leads: it sleeps in `poll()` and consumes completions for everyone. The others are parked on
//! their slot's word. A leader that leaves hands the lead to one of the parked threads, under the lock that guards the
//! list of them, so no moment exists in which a thread is parked and nobody leads.

#![expect(unsafe_code, reason = "futex, errno, the CPU mask and a thread's time have no safe interface")]

use std::collections::VecDeque;
use std::time::Duration;

use super::sync::atomic::{AtomicU32, Ordering};
use super::sync::{Mutex, lock};

/// Longest sleep in `poll()`: a stopped device is noticed this soon even if nothing wakes the sleeper.
const POLL_LIMIT: Duration = Duration::from_millis(50);
/// Shortest time-out on a queue that announces its answers. Nobody waits for it to end; but a timer due before the kernel's
/// next tick (1 to 10 ms) is programmed into the processor and taken back at every sleep, which costs 5 µs and more.
const ANNOUNCED_LEAST: Duration = Duration::from_millis(10);

/// States of a slot's word.
const PENDING: u32 = 0;
const PARKED: u32 = 1;
const NUDGED: u32 = 2;
const DONE: u32 = 3;

/// The word a slot's waiter sleeps on.
#[derive(Debug)]
pub(crate) struct Word {
    state: AtomicU32,
    #[cfg(loom)]
    model: (loom::sync::Mutex<()>, loom::sync::Condvar),
}

impl Word {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU32::new(PENDING),
            #[cfg(loom)]
            model: (loom::sync::Mutex::new(()), loom::sync::Condvar::new()),
        }
    }

    /// Makes the word new for the slot's next request; nobody waits on it. A nudge that came before is used up: its reason
    /// is visible from here on.
    pub(crate) fn reset(&self) {
        self.state.swap(PENDING, Ordering::AcqRel);
    }

    /// The request is answered; what was stored before [`Self::finish`] is visible.
    pub(crate) fn finished(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }

    /// Announces the answer and wakes the waiter.
    pub(crate) fn finish(&self) {
        if self.state.swap(DONE, Ordering::AcqRel) == PARKED {
            self.wake();
        }
    }

    /// Wakes the waiter without an answer: it shall look around (it leads now, or the queue died).
    pub(crate) fn nudge(&self) {
        // Written in every case: who changes the word next sees what was stored before the nudge.
        let nudged = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
            DONE => Some(DONE),
            _ => Some(NUDGED),
        });
        if nudged == Ok(PARKED) {
            self.wake();
        }
    }

    /// Sleeps until [`Self::finish`], [`Self::nudge`] or `timeout`; returns at once if either came before. May return
    /// for no reason.
    pub(crate) fn park(&self, timeout: Duration) {
        if self.state.compare_exchange(PENDING, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.sleep(timeout);
        }
        // Awake: a nudge is used up, an answer stays.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
            PARKED | NUDGED => Some(PENDING),
            _ => None,
        });
    }

    #[cfg(not(loom))]
    fn sleep(&self, timeout: Duration) {
        let limit = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: the word is a live, aligned 32-bit integer, `limit` outlives the call; FUTEX_WAIT reads both.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.state.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                PARKED,
                &raw const limit,
            );
        }
    }

    #[cfg(not(loom))]
    fn wake(&self) {
        // SAFETY: the word's address is only a key here; one thread at most sleeps on it.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.state.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            );
        }
    }

    /// The model of FUTEX_WAIT: compare and sleep are one step; time never passes, so a lost wake-up is a deadlock.
    #[cfg(loom)]
    fn sleep(&self, _timeout: Duration) {
        let mut guard = self.model.0.lock().unwrap();
        while self.state.load(Ordering::Acquire) == PARKED {
            guard = self.model.1.wait(guard).unwrap();
        }
    }

    #[cfg(loom)]
    fn wake(&self) {
        let _guard = self.model.0.lock().unwrap();
        self.model.1.notify_all();
    }
}

/// Who leads, and who is parked meanwhile (slot indices, oldest first).
#[derive(Debug)]
pub(crate) struct Turns {
    inner: Mutex<TurnState>,
}

#[derive(Debug, Default)]
struct TurnState {
    led: bool,
    parked: VecDeque<u16>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(TurnState::default()) }
    }

    /// The waiter of slot `index` asks for the lead. True: it leads. False: it is listed and shall park.
    pub(crate) fn join(&self, index: u16) -> bool {
        let mut turns = lock(&self.inner);
        if turns.led {
            turns.parked.push_back(index);
            return false;
        }
        turns.led = true;
        true
    }

    /// The parked waiter of slot `index` is awake. True: it was taken from the list meanwhile, so it leads.
    pub(crate) fn wake_up(&self, index: u16) -> bool {
        let mut turns = lock(&self.inner);
        match turns.parked.iter().position(|&parked| parked == index) {
            Some(position) => {
                turns.parked.remove(position);
                false
            }
            None => true,
        }
    }

    /// The leader leaves. The lead passes to the returned slot's waiter, which the caller must nudge.
    pub(crate) fn leave(&self) -> Option<u16> {
        let mut turns = lock(&self.inner);
        let next = turns.parked.pop_front();
        turns.led = next.is_some();
        next
    }
}

/// Time-out of one `poll()`: about twice the expected latency, at least `least`, doubling with each one that passed in
/// vain up to [`POLL_LIMIT`], and not past the request's `remaining` time. `announces`: the queue wakes who sleeps on it.
pub(crate) fn poll_time(
    expected: Option<Duration>,
    in_vain: u32,
    remaining: Duration,
    least: Duration,
    announces: bool,
) -> Duration {
    let shortest = if announces { least.max(ANNOUNCED_LEAST) } else { least };
    let first = (expected.unwrap_or_default() * 2).max(shortest);
    let longer = first.saturating_mul(1 << in_vain.min(6));
    longer.min(POLL_LIMIT.max(least)).min(remaining.max(least))
}

/// CPUs this process may run on, at least 1. Reads the affinity mask, no file.
pub(crate) fn cpus() -> usize {
    // SAFETY: cpu_set_t is plain bits, all zero is valid; the kernel writes at most the size given.
    let count = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        match libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) {
            0 => libc::CPU_COUNT(&set),
            _ => 1,
        }
    };
    usize::try_from(count).unwrap_or(1).max(1)
}

/// Processor time of the calling thread so far; `None`: the system does not tell.
pub(crate) fn thread_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to the valid pointer it is given.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0 {
        return None;
    }
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// Time since some moment before the process began, behind by up to a tick of the kernel (10 ms at most): cheaper than an
/// [`std::time::Instant`], for no counter is read.
pub(crate) fn coarse_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to the valid pointer it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Keeps the calling thread's errno over a stretch of our own system calls (`zlib` and OpenSSL callers look at it).
#[derive(Debug)]
pub(crate) struct ErrnoKept(i32);

impl ErrnoKept {
    pub(crate) fn new() -> Self {
        // SAFETY: the C library gives every thread a valid errno address.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl Drop for ErrnoKept {
    fn drop(&mut self) {
        // SAFETY: as in `new`; the guard never leaves its thread's stack frame.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn an_answer_before_parking_is_not_missed() {
        let word = Word::new();
        word.finish();
        word.park(LONG);
        assert!(word.finished());
    }

    #[test]
    fn a_nudge_before_parking_is_used_up_once() {
        let word = Word::new();
        word.nudge();
        word.park(LONG);
        assert!(!word.finished());
        assert_eq!(word.state.load(Ordering::Relaxed), PENDING);
        word.park(Duration::from_millis(1));
        assert_eq!(word.state.load(Ordering::Relaxed), PENDING, "a time-out leaves nothing behind");
    }

    #[test]
    fn a_parked_thread_is_woken() {
        let word = Arc::new(Word::new());
        let waiter = std::thread::spawn({
            let word = Arc::clone(&word);
            move || {
                while !word.finished() {
                    word.park(LONG);
                }
            }
        });
        while word.state.load(Ordering::Relaxed) != PARKED {
            std::thread::yield_now();
        }
        word.finish();
        waiter.join().unwrap();
    }

    #[test]
    fn the_lead_passes_to_the_longest_parked() {
        let turns = Turns::new();
        assert!(turns.join(0));
        assert!(!turns.join(1));
        assert!(!turns.join(2));
        assert!(!turns.wake_up(2), "woken by its answer, not by the lead");
        assert_eq!(turns.leave(), Some(1));
        assert!(!turns.join(3), "the lead is 1's already");
        assert!(turns.wake_up(1));
        assert_eq!(turns.leave(), Some(3));
        assert!(turns.wake_up(3));
        assert_eq!(turns.leave(), None);
        assert!(turns.join(4));
    }

    #[test]
    fn poll_time_outs_double_within_bounds() {
        let ms = Duration::from_millis;
        assert_eq!(poll_time(None, 0, LONG, ms(1), false), ms(1));
        assert_eq!(poll_time(Some(ms(3)), 0, LONG, ms(1), false), ms(6));
        assert_eq!(poll_time(Some(ms(3)), 2, LONG, ms(1), false), ms(24));
        assert_eq!(poll_time(Some(ms(3)), 40, LONG, ms(1), false), ms(50));
        assert_eq!(poll_time(Some(ms(900)), 0, LONG, ms(1), false), ms(50), "a dead device is seen soon");
        assert_eq!(poll_time(Some(ms(20)), 0, ms(3), ms(1), false), ms(3));
        assert_eq!(poll_time(None, 0, Duration::ZERO, ms(1), false), ms(1));
        assert_eq!(poll_time(None, 0, LONG, ms(500), false), ms(500), "as configured");
        assert_eq!(poll_time(None, 0, LONG, ms(1), true), ms(10), "past the next tick");
        assert_eq!(poll_time(Some(ms(9)), 1, LONG, ms(1), true), ms(36));
        assert_eq!(poll_time(None, 9, LONG, ms(1), true), ms(50));
        assert_eq!(poll_time(None, 0, ms(4), ms(1), true), ms(4));
        assert_eq!(poll_time(None, 0, LONG, ms(500), true), ms(500));
    }

    #[test]
    fn errno_is_kept() {
        // SAFETY: this thread's errno.
        unsafe { *libc::__errno_location() = 77 };
        {
            let _kept = ErrnoKept::new();
            // SAFETY: a bad descriptor is refused with EBADF.
            unsafe { libc::close(-1) };
        }
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(77));
    }
}
