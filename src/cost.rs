//! Measured cost: how long each kind and size of request takes, on the device and in software, as callers see it.
//!
//! A moving average per kind and size class, lock-free; a lost update costs nothing but a little precision. The averages
//! size sleeping and let the policy `auto` choose; [`Costs::sample`] says when to measure the engine not in use.
//!
//! For compression a size that was not measured yet is judged by its nearest neighbour: what software takes grows with the
//! size; what a device takes may all be latency, or all be work, so the kinder of the two is assumed, and measured. A
//! device's time is forgotten after a while, for streams that stay away from it would never learn that it has become fast.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Algorithm;
use crate::average::Average;
use crate::queue::spin::Habit;
use crate::request::cipher::Direction;

/// Kinds: every row of the counters twice, for RSA's two key forms; then what is paid for by length, by the power of two
/// of it.
const KINDS: usize = Algorithm::ALL.len() * 2;
const CLASSES: usize = KINDS + 7 * 32;
/// Device answers before software is measured for comparison; for compression one is enough.
const SETTLED: u32 = 8;
/// How long a device's time is believed when it speaks against the device.
const BELIEVED: Duration = Duration::from_secs(10);
/// One in this many requests goes to the engine that is not preferred, so that its average stays true.
const EXPLORE: u32 = 256;

/// A kind and size of request: an index into the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(usize);

impl Class {
    /// Its place among the sizes of its kind; `None`: size does not matter.
    fn size(self) -> Option<usize> {
        self.0.checked_sub(KINDS).map(|at| at % 32)
    }

    /// The class of a request; `crt` is RSA's alone.
    pub(crate) fn of(algorithm: Algorithm, len_bytes: usize, crt: bool) -> Self {
        let log2 = usize::try_from(len_bytes.max(1).ilog2()).unwrap_or(0).min(31);
        Self(match algorithm {
            Algorithm::Deflate => KINDS + log2,
            Algorithm::Inflate => KINDS + 32 + log2,
            // Two more for its directions, see `of_cipher`.
            Algorithm::Aes256Cbc => KINDS + 2 * 32 + log2,
            Algorithm::Sm2Encrypt => KINDS + 5 * 32 + log2,
            Algorithm::Sm2Decrypt => KINDS + 6 * 32 + log2,
            other => other.index() * 2 + usize::from(crt),
        })
    }

    /// The class of a cipher's request as its caller sees it, with copies and checks: in software the two directions
    /// differ by several times. [`Class::of`] is the device's part alone.
    pub(crate) fn of_cipher(direction: Direction, len_bytes: usize) -> Self {
        let Self(device) = Self::of(Algorithm::Aes256Cbc, len_bytes, false);
        Self(match direction {
            Direction::Encrypt => device + 32,
            Direction::Decrypt => device + 2 * 32,
        })
    }
}

/// The averages. On the heap: callers may have small stacks.
#[derive(Debug)]
pub(crate) struct Costs {
    cells: Box<[Cell]>,
    start: Instant,
}

#[derive(Debug, Default)]
struct Cell {
    hardware: Average<3>,
    /// Milliseconds since the start.
    hardware_at: AtomicU64,
    software: Average<3>,
    turns: AtomicU32,
    habit: Habit,
}

impl Costs {
    pub(crate) fn new() -> Self {
        Self { cells: (0..CLASSES).map(|_| Cell::default()).collect(), start: Instant::now() }
    }

    pub(crate) fn hardware(&self, class: Class) -> Option<Duration> {
        self.cells.get(class.0)?.hardware.read()
    }

    pub(crate) fn software(&self, class: Class) -> Option<Duration> {
        self.cells.get(class.0)?.software.read()
    }

    /// Whether looking for the answers of this kind pays.
    pub(crate) fn habit(&self, class: Class) -> Option<&Habit> {
        self.cells.get(class.0).map(|cell| &cell.habit)
    }

    /// What a request may take on the device; `None`: it is worth a try.
    pub(crate) fn hardware_estimate(&self, class: Class) -> Option<Duration> {
        if class.size().is_none() {
            return self.hardware(class);
        }
        let now = self.clock();
        let fresh = |cell: &Cell| {
            let age = now.saturating_sub(cell.hardware_at.load(Ordering::Relaxed));
            if u128::from(age) < BELIEVED.as_millis() { cell.hardware.read() } else { None }
        };
        let (took, from, to) = self.nearest(class, fresh)?;
        Some(if from > to { took / (1 << (from - to)) } else { took })
    }

    /// What a request will take in software; `None`: nobody knows.
    pub(crate) fn software_estimate(&self, class: Class) -> Option<Duration> {
        if class.size().is_none() {
            return self.software(class);
        }
        let (took, from, to) = self.nearest(class, |cell| cell.software.read())?;
        Some(if from > to { took / (1 << (from - to)) } else { took.saturating_mul(1 << (to - from)) })
    }

    /// The time of the nearest size that has one, smaller ones first; its place and that of `class`.
    fn nearest(
        &self,
        class: Class,
        time: impl Fn(&Cell) -> Option<Duration>,
    ) -> Option<(Duration, usize, usize)> {
        let size = class.size()?;
        let first = class.0 - size;
        let of = |at: usize| Some((time(self.cells.get(first + at)?)?, at, size));
        let near = |distance: usize| {
            let smaller = size.checked_sub(distance).and_then(of);
            smaller.or_else(|| (size + distance < 32).then(|| of(size + distance)).flatten())
        };
        (0..32).find_map(near)
    }

    /// Milliseconds since the start.
    fn clock(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn note_hardware(&self, class: Class, took: Duration) {
        if let Some(cell) = self.cells.get(class.0) {
            cell.hardware.note(took);
            cell.hardware_at.store(self.clock(), Ordering::Relaxed);
        }
    }

    pub(crate) fn note_software(&self, class: Class, took: Duration) {
        if let Some(cell) = self.cells.get(class.0) {
            cell.software.note(took);
        }
    }

    /// True when this request should go to the engine that the averages speak against, or that has none yet. Counts a
    /// turn: call it once per request under the policy `auto`.
    pub(crate) fn sample(&self, class: Class) -> bool {
        let Some(cell) = self.cells.get(class.0) else { return false };
        let turn = cell.turns.fetch_add(1, Ordering::Relaxed);
        if class.size().is_some() && self.software_estimate(class).is_none() {
            return self.hardware_estimate(class).is_some();
        }
        turn % EXPLORE == SETTLED
    }
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
    fn a_size_is_judged_by_its_neighbours() {
        let costs = Costs::new();
        let class = |log2: u32| Class::of(Algorithm::Deflate, 1 << log2, false);
        let micros = |n: u64| Some(Duration::from_micros(n));
        assert!(!costs.sample(class(18)), "nothing is known of either");
        costs.note_hardware(class(18), Duration::from_micros(400));
        assert!(costs.sample(class(18)) && costs.sample(class(20)), "software is not known at any size");
        assert_eq!(
            [16, 18, 20].map(|at| costs.hardware_estimate(class(at))),
            [micros(100), micros(400), micros(400)]
        );
        assert_eq!(costs.hardware(class(20)), None);
        costs.note_software(class(19), Duration::from_micros(800));
        assert_eq!(
            [16, 18, 21].map(|at| costs.software_estimate(class(at))),
            [micros(100), micros(400), micros(3200)]
        );
        assert!(!costs.sample(class(20)));
        let inflate = Class::of(Algorithm::Inflate, 1 << 18, false);
        assert_eq!((costs.hardware_estimate(inflate), costs.software_estimate(inflate)), (None, None));
        let rsa = Class::of(Algorithm::RsaPrivate(2048), 256, true);
        assert_eq!((costs.hardware_estimate(rsa), costs.software_estimate(rsa)), (None, None));
        assert_eq!(
            costs.software_estimate(Class::of(Algorithm::Deflate, 1, false)),
            Some(Duration::from_nanos(1))
        );
        assert!(
            costs.software_estimate(Class::of(Algorithm::Deflate, usize::MAX, false)) > micros(1_000_000)
        );
    }

    #[test]
    fn a_device_s_time_is_forgotten() {
        let mut costs = Costs::new();
        let class = Class::of(Algorithm::Deflate, 1 << 18, false);
        costs.note_hardware(class, Duration::from_millis(20));
        assert!(costs.hardware_estimate(class).is_some());
        costs.start = costs.start.checked_sub(BELIEVED).unwrap();
        assert_eq!(costs.hardware_estimate(class), None, "worth another try");
        assert!(costs.hardware(class).is_some(), "but waited for as before");
    }

    #[test]
    fn classes_are_apart() {
        let mut seen = Vec::new();
        for algorithm in Algorithm::ALL {
            let by_size = [
                Algorithm::Deflate,
                Algorithm::Inflate,
                Algorithm::Aes256Cbc,
                Algorithm::Sm2Encrypt,
                Algorithm::Sm2Decrypt,
            ];
            if !by_size.contains(&algorithm) {
                seen.push(Class::of(algorithm, 0, false));
                seen.push(Class::of(algorithm, 0, true));
            }
        }
        for shift in 0..32 {
            seen.push(Class::of(Algorithm::Deflate, 1 << shift, false));
            seen.push(Class::of(Algorithm::Inflate, 1 << shift, false));
            seen.push(Class::of(Algorithm::Aes256Cbc, 1 << shift, false));
            seen.push(Class::of_cipher(Direction::Encrypt, 1 << shift));
            seen.push(Class::of_cipher(Direction::Decrypt, 1 << shift));
            seen.push(Class::of(Algorithm::Sm2Encrypt, 1 << shift, false));
            seen.push(Class::of(Algorithm::Sm2Decrypt, 1 << shift, false));
        }
        for (index, class) in seen.iter().enumerate() {
            assert!(class.0 < CLASSES);
            assert!(!seen[..index].contains(class));
        }
        assert_eq!(Class::of(Algorithm::Sm2Decrypt, usize::MAX, false).0, CLASSES - 1);
    }

    #[test]
    fn the_other_engine_is_tried_early_and_then_rarely() {
        let costs = Costs::new();
        let class = Class::of(Algorithm::RsaPrivate(2048), 256, true);
        let tried: Vec<_> = (0..600).filter(|_| costs.sample(class)).collect();
        assert_eq!(tried, [8, 264, 520]);
    }
}
