//! A moving average of times, lock-free. A lost update costs nothing but a little precision, so everything is relaxed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Nanoseconds; 0: not measured. A new value weighs 1/2^`SHIFT`.
#[derive(Debug, Default)]
pub(crate) struct Average<const SHIFT: u32>(AtomicU64);

impl<const SHIFT: u32> Average<SHIFT> {
    pub(crate) fn read(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn note(&self, took: Duration) {
        let new = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX >> SHIFT).clamp(1, u64::MAX >> SHIFT);
        let old = self.0.load(Ordering::Relaxed);
        let next = if old == 0 { new } else { old - (old >> SHIFT) + (new >> SHIFT) };
        self.0.store(next.max(1), Ordering::Relaxed);
    }
}
