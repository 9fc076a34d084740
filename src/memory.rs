//! Large buffers: lent to requests and streams, kept warm for the next, and counted.
//!
//! A device that meets a page nobody has touched yet must wait for the kernel, so a new buffer is touched before it is
//! lent, and a used one is kept. What all streams hold at a time is counted against a budget ([`Charge`]); whoever finds it
//! spent ([`is_short`]) holds less: nobody is refused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config;

/// Smaller buffers are left to malloc.
pub const WORTH_BYTES: usize = 64 << 10;

static IDLE: Idle = Idle::new();
static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);
static HELD_LIMIT: AtomicUsize = AtomicUsize::new(config::Memory::DEFAULT.process_bytes);

/// Takes the limits of a configuration over.
pub(crate) fn limit(limits: &config::Memory) {
    IDLE.limit.store(limits.idle_bytes, Ordering::Relaxed);
    HELD_LIMIT.store(limits.process_bytes, Ordering::Relaxed);
}

/// An empty buffer with room for `len_bytes`: an idle one if one fits, else a new one, every page of it touched. Without
/// memory for it, a buffer with less room.
pub fn take(len_bytes: usize) -> Vec<u8> {
    IDLE.take(len_bytes)
}

/// As [`take`], with all the room that was asked for; `None` where there is no memory. Growing a buffer that has not got it
/// would end the process.
pub(crate) fn take_all(len_bytes: usize) -> Option<Vec<u8>> {
    let mut buffer = take(len_bytes);
    buffer.try_reserve_exact(len_bytes).ok()?;
    Some(buffer)
}

/// Gives a buffer back, whoever made it. Its content is forgotten.
pub fn give(buffer: Vec<u8>) {
    IDLE.give(buffer);
}

/// Buffers that nobody uses.
struct Idle {
    /// Only ever `try_lock`ed: a child forked while another thread held it must go on without it.
    buffers: Mutex<Vec<Vec<u8>>>,
    /// Their bytes, changed under the lock.
    len_bytes: AtomicUsize,
    limit: AtomicUsize,
}

impl Idle {
    const fn new() -> Self {
        Self {
            buffers: Mutex::new(Vec::new()),
            len_bytes: AtomicUsize::new(0),
            limit: AtomicUsize::new(config::Memory::DEFAULT.idle_bytes),
        }
    }

    fn take(&self, len_bytes: usize) -> Vec<u8> {
        if len_bytes >= WORTH_BYTES {
            if let Ok(mut buffers) = self.buffers.try_lock() {
                // No more than twice what is asked for: the large ones are for those who need them.
                let fits = |buffer: &Vec<u8>| (len_bytes..=2 * len_bytes).contains(&buffer.capacity());
                let smallest = buffers.iter().enumerate().filter(|(_, buffer)| fits(buffer));
                if let Some((at, _)) = smallest.min_by_key(|(_, buffer)| buffer.capacity()) {
                    let buffer = buffers.swap_remove(at);
                    self.len_bytes.fetch_sub(buffer.capacity(), Ordering::Relaxed);
                    return buffer;
                }
            }
        }
        let mut buffer = Vec::new();
        if buffer.try_reserve_exact(len_bytes).is_ok() && len_bytes >= WORTH_BYTES {
            buffer.resize(len_bytes, 0);
            buffer.clear();
        }
        buffer
    }

    fn give(&self, mut buffer: Vec<u8>) {
        let len_bytes = buffer.capacity();
        if len_bytes < WORTH_BYTES {
            return;
        }
        buffer.clear();
        if let Ok(mut buffers) = self.buffers.try_lock() {
            let total = self.len_bytes.load(Ordering::Relaxed) + len_bytes;
            if total <= self.limit.load(Ordering::Relaxed) && buffers.try_reserve(1).is_ok() {
                self.len_bytes.store(total, Ordering::Relaxed);
                buffers.push(buffer);
            }
        }
    }
}

/// Memory that a stream holds, given back on drop.
#[derive(Debug, Default)]
pub struct Charge(usize);

impl Charge {
    /// Counts `len_bytes`.
    pub fn new(len_bytes: usize) -> Self {
        HELD_BYTES.fetch_add(len_bytes, Ordering::Relaxed);
        Self(len_bytes)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        HELD_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// True when the streams of this process hold more than they should.
pub fn is_short() -> bool {
    HELD_BYTES.load(Ordering::Relaxed) > HELD_LIMIT.load(Ordering::Relaxed)
}

/// Bytes that streams of this process hold.
pub fn held_bytes() -> usize {
    HELD_BYTES.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_and_the_limit_holds() {
        const LEN: usize = 1 << 20;
        let idle = Idle::new();
        let buffer = idle.take(LEN);
        assert!(buffer.is_empty() && buffer.capacity() >= LEN);
        let address = buffer.as_ptr();
        idle.give(buffer);
        let again = idle.take(LEN - 1000);
        assert_eq!(again.as_ptr(), address);
        let other = idle.take(LEN);
        assert_ne!(other.as_ptr(), address);
        assert!(idle.take(100).capacity() < 1000);
        idle.give(again);
        idle.give(other);
        assert!(idle.take(WORTH_BYTES).capacity() < LEN, "too large for that");
        for _ in 0..100 {
            idle.give(Vec::with_capacity(LEN));
        }
        let kept = idle.len_bytes.load(Ordering::Relaxed);
        assert!(kept > LEN && kept <= config::Memory::DEFAULT.idle_bytes);
        assert_eq!(idle.buffers.lock().unwrap().iter().map(Vec::capacity).sum::<usize>(), kept);
        idle.limit.store(0, Ordering::Relaxed);
        idle.give(Vec::with_capacity(LEN));
        assert_eq!(idle.len_bytes.load(Ordering::Relaxed), kept);
    }

    #[test]
    fn what_is_held_is_counted_until_it_is_dropped() {
        let before = held_bytes();
        let charge = Charge::new(1 << 40);
        assert!(held_bytes() >= before + (1 << 40) && is_short());
        drop(charge);
        assert!(!is_short());
    }
}
