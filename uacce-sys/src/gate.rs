//! A ring's door: closed for ever when the queue is stopped, and empty before the stop goes on.

use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether a ring's one user is inside. On its own cache line: the two rings work at the same moment.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Gate {
    occupied: AtomicBool,
}

/// Proof of being inside; leaves on drop.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new() -> Self {
        Self { occupied: AtomicBool::new(false) }
    }

    /// Enters unless `halted`. At most one user at a time: the ring's methods that ring take `&mut`.
    ///
    /// Sequentially consistent on both sides: either we see `halted`, or [`Self::wait_empty`] sees us.
    #[inline]
    pub(crate) fn enter(&self, halted: &AtomicBool) -> Option<Inside<'_>> {
        self.occupied.store(true, Ordering::SeqCst);
        let inside = Inside(self);
        (!halted.load(Ordering::SeqCst)).then_some(inside)
    }

    /// Returns when nobody is inside. `halted` was set (sequentially consistent) before. Users stay for the time of one
    /// copy and one store, so this spins and yields.
    pub(crate) fn wait_empty(&self) {
        while self.occupied.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.occupied.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn nobody_is_inside_after_the_wait() {
        for _ in 0..200 {
            let (gate, halted, work) = (Gate::new(), AtomicBool::new(false), AtomicU64::new(0));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while let Some(_inside) = gate.enter(&halted) {
                        work.store(1, Ordering::Relaxed);
                        work.store(0, Ordering::Relaxed);
                    }
                });
                halted.store(true, Ordering::SeqCst);
                gate.wait_empty();
                assert_eq!(work.load(Ordering::Relaxed), 0);
            });
        }
    }

    #[test]
    fn a_closed_gate_stays_empty() {
        let (gate, halted) = (Gate::new(), AtomicBool::new(true));
        assert!(gate.enter(&halted).is_none());
        gate.wait_empty();
    }
}
