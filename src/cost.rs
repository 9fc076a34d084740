//! Measured cost: how long each kind and size of request takes, on the device and in software, as callers see it.
//!
//! A moving average per kind and size class, lock-free; a lost update costs nothing but a little precision. The averages
//! size spinning and sleeping and let the policy `auto` choose; [`Costs::sample`] says when to measure the engine not in use.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::Algorithm;

/// Kinds: every row of the counters twice, for RSA's two key forms; then compression and decompression by the power of two
/// of their length.
const KINDS: usize = Algorithm::ALL.len() * 2;
const CLASSES: usize = KINDS + 2 * 32;
/// Weight of a new value: 1/8.
const SHIFT: u32 = 3;
/// Device answers before software is measured for comparison.
const SETTLED: u32 = 8;
/// One in this many requests goes to the engine that is not preferred, so that its average stays true.
const EXPLORE: u32 = 256;

/// A kind and size of request: an index into the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(usize);

impl Class {
    /// The class of a request; `crt` is RSA's alone.
    pub(crate) fn of(algorithm: Algorithm, len_bytes: usize, crt: bool) -> Self {
        let log2 = usize::try_from(len_bytes.max(1).ilog2()).unwrap_or(0).min(31);
        Self(match algorithm {
            Algorithm::Deflate => KINDS + log2,
            Algorithm::Inflate => KINDS + 32 + log2,
            other => other.index() * 2 + usize::from(crt),
        })
    }
}

/// The averages. On the heap: callers may have small stacks.
#[derive(Debug)]
pub(crate) struct Costs(Box<[Cell]>);

/// Nanoseconds; 0: not measured.
#[derive(Debug, Default)]
struct Cell {
    hardware: AtomicU64,
    software: AtomicU64,
    turns: AtomicU32,
}

impl Costs {
    pub(crate) fn new() -> Self {
        Self((0..CLASSES).map(|_| Cell::default()).collect())
    }

    pub(crate) fn hardware(&self, class: Class) -> Option<Duration> {
        read(&self.0.get(class.0)?.hardware)
    }

    pub(crate) fn software(&self, class: Class) -> Option<Duration> {
        read(&self.0.get(class.0)?.software)
    }

    pub(crate) fn note_hardware(&self, class: Class, took: Duration) {
        if let Some(cell) = self.0.get(class.0) {
            note(&cell.hardware, took);
        }
    }

    pub(crate) fn note_software(&self, class: Class, took: Duration) {
        if let Some(cell) = self.0.get(class.0) {
            note(&cell.software, took);
        }
    }

    /// True when this request should go to the engine that the averages speak against, or that has none yet. Counts a
    /// turn: call it once per request under the policy `auto`.
    pub(crate) fn sample(&self, class: Class) -> bool {
        let Some(cell) = self.0.get(class.0) else { return false };
        let turn = cell.turns.fetch_add(1, Ordering::Relaxed);
        turn % EXPLORE == SETTLED
    }
}

fn read(cell: &AtomicU64) -> Option<Duration> {
    match cell.load(Ordering::Relaxed) {
        0 => None,
        nanos => Some(Duration::from_nanos(nanos)),
    }
}

fn note(cell: &AtomicU64, took: Duration) {
    let new = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX >> SHIFT).clamp(1, u64::MAX >> SHIFT);
    let old = cell.load(Ordering::Relaxed);
    let next = if old == 0 { new } else { old - (old >> SHIFT) + (new >> SHIFT) };
    cell.store(next.max(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_follow_slowly_and_start_at_once() {
        let costs = Costs::new();
        let class = Class::of(Algorithm::Deflate, 70_000, false);
        assert_eq!(costs.hardware(class), None);
        costs.note_hardware(class, Duration::from_nanos(8_000));
        assert_eq!(costs.hardware(class), Some(Duration::from_nanos(8_000)));
        costs.note_hardware(class, Duration::from_nanos(16_000));
        assert_eq!(costs.hardware(class), Some(Duration::from_nanos(9_000)));
        assert_eq!(costs.software(class), None);
        costs.note_software(class, Duration::MAX);
        costs.note_software(class, Duration::ZERO);
        assert!(costs.software(class).is_some());
    }

    #[test]
    fn classes_are_apart() {
        let mut seen = Vec::new();
        for algorithm in Algorithm::ALL {
            if !matches!(algorithm, Algorithm::Deflate | Algorithm::Inflate) {
                seen.push(Class::of(algorithm, 0, false));
                seen.push(Class::of(algorithm, 0, true));
            }
        }
        for shift in 0..32 {
            seen.push(Class::of(Algorithm::Deflate, 1 << shift, false));
            seen.push(Class::of(Algorithm::Inflate, 1 << shift, false));
        }
        for (index, class) in seen.iter().enumerate() {
            assert!(class.0 < CLASSES);
            assert!(!seen[..index].contains(class));
        }
        assert_eq!(Class::of(Algorithm::Inflate, usize::MAX, false).0, CLASSES - 1);
    }

    #[test]
    fn the_other_engine_is_tried_early_and_then_rarely() {
        let costs = Costs::new();
        let class = Class::of(Algorithm::RsaPrivate(2048), 256, true);
        let tried: Vec<_> = (0..600).filter(|_| costs.sample(class)).collect();
        assert_eq!(tried, [8, 264, 520]);
    }
}
