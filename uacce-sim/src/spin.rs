//! Whether a worker that has nothing to do spins, and for how long: only while that pays, and never on a processor that
//! something else could use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Spins in vain before a worker sleeps at once.
const MAX_CREDIT: u8 = 4;
const SHORTEST_REST: Duration = Duration::from_micros(20);
const LONGEST_REST: Duration = Duration::from_millis(20);
/// How long one look at the machine's load counts.
const CROWD_PERIOD: Duration = Duration::from_millis(20);

/// Workers not asleep, in the whole daemon.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// One worker's habit.
pub struct Spin {
    longest: Duration,
    /// Spins that may still fail before sleeping at once.
    credit: u8,
    /// How long a worker that must poll rests between two looks.
    rest: Duration,
}

impl Spin {
    /// A worker's that spins for `longest` at the most.
    pub fn new(longest: Duration) -> Self {
        Self { longest, credit: MAX_CREDIT, rest: SHORTEST_REST }
    }

    /// Spins at most `limit`; true when `rung` became true.
    pub fn until(&mut self, limit: Duration, rung: impl Fn() -> bool) -> bool {
        if self.credit == 0 || self.longest.is_zero() {
            return false;
        }
        let end = Instant::now() + self.longest.min(limit);
        loop {
            for _ in 0..16 {
                if rung() {
                    self.credit = MAX_CREDIT;
                    self.rest = SHORTEST_REST;
                    return true;
                }
                std::hint::spin_loop();
            }
            if Instant::now() >= end {
                self.credit -= 1;
                return false;
            }
        }
    }

    /// Spins for all of `time`, or until `rung` is true.
    pub fn for_time(time: Duration, rung: impl Fn() -> bool) {
        let end = Instant::now() + time;
        while !rung() && Instant::now() < end {
            std::hint::spin_loop();
        }
    }

    /// A sleep ended: a short one says that spinning would have been right.
    pub fn slept(&mut self, time: Duration, rung: bool) {
        if rung {
            self.rest = SHORTEST_REST;
            if time <= self.longest * 2 {
                self.credit = MAX_CREDIT;
            }
        } else {
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
    }

    /// How long a worker that must poll may sleep until it looks again.
    pub fn pause(&self) -> Duration {
        self.rest
    }
}

/// A worker begins, or its sleep has ended.
pub fn awake() {
    BUSY.fetch_add(1, Ordering::Relaxed);
}

/// A worker ends, or goes to sleep.
pub fn asleep() {
    BUSY.fetch_sub(1, Ordering::Relaxed);
}

/// Whether spinning takes a processor from nobody.
pub fn processor_is_free() -> bool {
    BUSY.load(Ordering::Relaxed) < processors() && !is_crowded()
}

/// Whether more threads want to run than there are processors, on the whole machine; looked at now and then.
fn is_crowded() -> bool {
    static LOOK: parking_lot::Mutex<Option<(Instant, bool)>> = parking_lot::Mutex::new(None);
    // Another worker is looking: its answer comes too late for this wait.
    let Some(mut look) = LOOK.try_lock() else { return false };
    if let Some((when, crowded)) = *look {
        if when.elapsed() < CROWD_PERIOD {
            return crowded;
        }
    }
    // "0.20 0.18 0.12 1/80 11206": the fourth field counts the runnable threads, us among them.
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let runnable = load.split([' ', '/']).nth(3).and_then(|count| count.parse().ok()).unwrap_or(0usize);
    let crowded = runnable > processors();
    *look = Some((Instant::now(), crowded));
    crowded
}

fn processors() -> usize {
    static PROCESSORS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spinning_stops_when_it_never_pays() {
        let mut spin = Spin::new(Duration::from_micros(1));
        for _ in 0..MAX_CREDIT {
            assert!(!spin.until(Duration::from_secs(1), || false));
        }
        assert_eq!(spin.credit, 0);
        spin.slept(Duration::from_secs(1), true);
        assert_eq!(spin.credit, 0);
        spin.slept(Duration::from_micros(1), true);
        assert_eq!(spin.credit, MAX_CREDIT);
    }
}
