//! Looking for an answer before sleeping: whether it pays, and for how long.
//!
//! Looking costs the time it lasts. Sleeping costs what it takes to ask for an event, to enter the kernel and to be woken,
//! and that is a few microseconds here and fifty there: it is measured ([`SleepCost`]). Who looks for as long as a sleep
//! costs, and sleeps then, pays at most twice what the better of the two would have cost. [`Habit`] makes that worst case
//! rare: a kind of request whose answers come later is looked for only now and then.
//!
//! All values are hints that steer time alone: relaxed, and std's own, so that the model checker does not follow them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::wait::thread_time;
use crate::average::Average;

/// What a sleep is taken to cost until one was measured.
const UNMEASURED: Duration = Duration::from_micros(20);
/// The first sleeps are measured, then one in this many: asking for the time costs a system call.
const MEASURED_FIRST: u32 = 4;
const MEASURED_ONE_IN: u32 = 32;
/// In vain so many times in a row, and a look is taken once in 2^6 requests.
const MOST_IN_VAIN: u32 = 6;

/// Whether looking has found the answers of one kind of request. Empty: looking is worth a try.
#[derive(Debug, Default)]
pub(crate) struct Habit {
    /// Looks in vain since the last that found something.
    in_vain: AtomicU32,
    /// Requests that sleep at once before the next look.
    left_out: AtomicU32,
}

impl Habit {
    /// Whether to look this time; counts a request.
    fn looks(&self) -> bool {
        match self.left_out.load(Ordering::Relaxed) {
            0 => true,
            left => {
                self.left_out.store(left - 1, Ordering::Relaxed);
                false
            }
        }
    }

    /// A look found the answer.
    fn found(&self) {
        self.in_vain.store(0, Ordering::Relaxed);
        self.left_out.store(0, Ordering::Relaxed);
    }

    /// A look ended without: the next one comes after 1, 3, 7, … 63 requests.
    fn missed(&self) {
        let in_vain = self.in_vain.load(Ordering::Relaxed).saturating_add(1).min(MOST_IN_VAIN);
        self.in_vain.store(in_vain, Ordering::Relaxed);
        self.left_out.store((1 << in_vain) - 1, Ordering::Relaxed);
    }
}

/// Processor time that one sleep takes, from asking for the event to being awake again: a moving average.
#[derive(Debug, Default)]
pub(crate) struct SleepCost {
    average: Average<2>,
    sleeps: AtomicU32,
}

impl SleepCost {
    /// How long looking can pay: as long as a sleep costs, `most` at the longest.
    fn worth(&self, most: Duration) -> Duration {
        self.average.read().unwrap_or(UNMEASURED).min(most)
    }

    /// Before a sleep: the thread's processor time, when this one shall be measured.
    pub(crate) fn begin(&self) -> Option<Duration> {
        let sleeps = self.sleeps.fetch_add(1, Ordering::Relaxed);
        if sleeps < MEASURED_FIRST || sleeps % MEASURED_ONE_IN == 0 { thread_time() } else { None }
    }

    /// After the sleep that `begin` gave.
    pub(crate) fn end(&self, begin: Option<Duration>) {
        if let Some((begin, end)) = begin.and_then(|begin| Some((begin, thread_time()?))) {
            self.average.note(end.saturating_sub(begin));
        }
    }
}

/// How long to look for one answer before sleeping: not at all where another processor is not there to bring it
/// (`cpus`), where `most` forbids it, or where it was in vain too often. Counts a request.
pub(crate) fn spin_time(habit: &Habit, cost: &SleepCost, most: Duration, cpus: usize) -> Duration {
    if cpus < 2 || most.is_zero() || !habit.looks() { Duration::ZERO } else { cost.worth(most) }
}

/// What came of a look that lasted [`spin_time`].
pub(crate) fn spun(habit: &Habit, found: bool) {
    if found { habit.found() } else { habit.missed() }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(100);

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn one_looks_for_as_long_as_a_sleep_costs() {
        let (habit, cost) = (Habit::default(), SleepCost::default());
        assert_eq!(spin_time(&habit, &cost, MOST, 2), us(20), "nothing measured");
        assert_eq!(spin_time(&habit, &cost, us(5), 2), us(5));
        cost.average.note(us(48));
        assert_eq!(spin_time(&habit, &cost, MOST, 2), us(48));
        cost.average.note(us(8));
        assert_eq!(spin_time(&habit, &cost, MOST, 2), us(38), "a moving average");
        cost.average.note(Duration::MAX);
        assert_eq!(spin_time(&habit, &cost, MOST, 2), MOST);
        assert_eq!(spin_time(&habit, &cost, MOST, 1), Duration::ZERO, "one CPU");
        assert_eq!(spin_time(&habit, &cost, Duration::ZERO, 2), Duration::ZERO, "switched off");
    }

    #[test]
    fn looks_in_vain_become_rare_and_one_answer_brings_them_back() {
        let (habit, cost) = (Habit::default(), SleepCost::default());
        let mut looks = Vec::new();
        for request in 0..260 {
            if !spin_time(&habit, &cost, MOST, 2).is_zero() {
                looks.push(request);
                spun(&habit, false);
            }
        }
        assert_eq!(looks, [0, 2, 6, 14, 30, 62, 126, 190, 254]);
        habit.found();
        for _ in 0..10 {
            assert!(!spin_time(&habit, &cost, MOST, 2).is_zero());
            spun(&habit, true);
        }
        spun(&habit, false);
        assert!(spin_time(&habit, &cost, MOST, 2).is_zero());
        assert!(!spin_time(&habit, &cost, MOST, 2).is_zero(), "one outlier costs one sleep");
    }

    #[test]
    fn sleeps_are_measured_at_first_and_then_now_and_then() {
        let cost = SleepCost::default();
        let measured: Vec<u32> = (0..100).filter(|_| cost.begin().is_some()).collect();
        assert_eq!(measured, [0, 1, 2, 3, 32, 64, 96]);
        cost.end(None);
        assert_eq!(cost.worth(MOST), UNMEASURED);
        let begin = thread_time();
        assert!(begin.is_some());
        cost.end(begin);
        assert!(cost.average.read().is_some());
        cost.end(Some(Duration::MAX));
        assert!(
            cost.worth(Duration::MAX) < Duration::from_secs(10),
            "a clock that ran back counts as nothing"
        );
    }
}
