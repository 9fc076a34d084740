//! Health of one queue class of one device: failures pause it, a known answer brings it back.
//!
//! A pure state machine on a clock it is given. A failure pauses for a while that doubles from failure to failure, with
//! jitter; then one caller at a time starts a probe with a known answer and goes on in software, a later caller
//! looks whether it came back. A wrong result asks for several known answers in a row. `P`: a probe under way.

pub(crate) mod known;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::config;
use crate::queue::recover;

/// What a caller may do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission<P> {
    /// Use the device.
    Go,
    /// Do not.
    Wait,
    /// Start a probe and report with [`Health::probing`] or [`Health::failed`]; then as `Wait`.
    Start,
    /// Look after this probe and report with [`Health::probing`], [`Health::passed`] or [`Health::failed`].
    Check(P),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Health<P> {
    inner: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    phase: Phase<P>,
    /// The next failure's pause.
    pause: Duration,
    last_failure: Option<Instant>,
    /// Known answers still wanted.
    wanted: u32,
    /// Requests in a row that the device refused.
    refused: u32,
}

#[derive(Debug)]
enum Phase<P> {
    Good,
    Paused {
        until: Instant,
    },
    /// A probe is under way; `None`: some caller holds it, since then.
    Probing {
        probe: Option<P>,
        since: Instant,
    },
}

/// A caller that took a probe and never reported back has died; another may try after this long.
const HELD_LIMIT: Duration = Duration::from_secs(10);
/// A probe unanswered for this long has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

impl<P> Health<P> {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(State {
                phase: Phase::Good,
                pause: Duration::ZERO,
                last_failure: None,
                wanted: 0,
                refused: 0,
            }),
        }
    }

    /// Whether a caller may use the device now.
    pub(crate) fn admit(&self, now: Instant) -> Admission<P> {
        let mut state = recover(self.inner.lock());
        match &mut state.phase {
            Phase::Good => Admission::Go,
            Phase::Paused { until } if now < *until => Admission::Wait,
            Phase::Probing { probe: Some(_), since } => {
                let since = *since;
                match std::mem::replace(&mut state.phase, Phase::Probing { probe: None, since }) {
                    Phase::Probing { probe: Some(probe), .. } => Admission::Check(probe),
                    _ => Admission::Wait,
                }
            }
            Phase::Probing { probe: None, since } if now < *since + HELD_LIMIT => Admission::Wait,
            Phase::Paused { .. } | Phase::Probing { .. } => {
                state.phase = Phase::Probing { probe: None, since: now };
                Admission::Start
            }
        }
    }

    /// What [`Self::admit`] would say, changing nothing.
    #[cfg(test)]
    pub(crate) fn good(&self) -> bool {
        matches!(recover(self.inner.lock()).phase, Phase::Good)
    }

    /// The probe is under way, or still. Returns false, and the caller drops it, when it has been so for too long.
    pub(crate) fn probing(&self, held: P, now: Instant) -> Result<(), P> {
        let mut state = recover(self.inner.lock());
        match &mut state.phase {
            Phase::Probing { probe, since } if probe.is_none() && now < *since + PROBE_LIMIT => {
                *probe = Some(held);
                Ok(())
            }
            _ => Err(held),
        }
    }

    /// The known answer came back right. `Go`: the device is good again. `Start`: another known answer is wanted, and the caller
    /// starts it. `Wait`: meanwhile the device failed again, and is paused.
    pub(crate) fn passed(&self, now: Instant) -> Admission<P> {
        let mut state = recover(self.inner.lock());
        if !matches!(state.phase, Phase::Probing { probe: None, .. }) {
            return Admission::Wait;
        }
        state.wanted = state.wanted.saturating_sub(1);
        state.refused = 0;
        if state.wanted == 0 {
            state.phase = Phase::Good;
            Admission::Go
        } else {
            state.phase = Phase::Probing { probe: None, since: now };
            Admission::Start
        }
    }

    /// No probe could be sent, for reasons that are not the device's: one is due after the shortest pause.
    pub(crate) fn postponed(&self, now: Instant, limits: &config::Health) {
        let mut state = recover(self.inner.lock());
        if matches!(state.phase, Phase::Probing { probe: None, .. }) {
            state.phase = Phase::Paused { until: now + jittered(limits.pause_min) };
        }
    }

    /// The device failed: a time-out, a stopped queue, an impossible report, a wrong probe.
    pub(crate) fn failed(&self, now: Instant, limits: &config::Health) {
        recover(self.inner.lock()).fail(now, limits, 1);
    }

    /// The device gave a wrong result: several known answers are wanted.
    pub(crate) fn wrong(&self, now: Instant, limits: &config::Health) {
        recover(self.inner.lock()).fail(now, limits, limits.known_answers);
    }

    /// The device refused a valid request; `patience` such in a row are a failure.
    pub(crate) fn refused(&self, now: Instant, limits: &config::Health, patience: u32) {
        let mut state = recover(self.inner.lock());
        state.refused += 1;
        if state.refused >= patience {
            state.fail(now, limits, 1);
        }
    }

    /// The device answered well.
    pub(crate) fn answered(&self) {
        recover(self.inner.lock()).refused = 0;
    }
}

impl<P> State<P> {
    fn fail(&mut self, now: Instant, limits: &config::Health, wanted: u32) {
        self.wanted = self.wanted.max(wanted);
        self.refused = 0;
        if matches!(self.phase, Phase::Paused { until } if now < until) {
            // Others that met the same failure.
            return;
        }
        // A device that was good for as long as the longest pause starts anew.
        let fresh =
            self.last_failure.is_none_or(|last| now.saturating_duration_since(last) > limits.pause_max * 2);
        self.pause = if fresh || self.pause.is_zero() {
            limits.pause_min
        } else {
            (self.pause * 2).min(limits.pause_max)
        };
        self.last_failure = Some(now);
        self.phase = Phase::Paused { until: now + jittered(self.pause) };
    }
}

/// The pause, up to a quarter shorter or longer, so that a server's processes do not all come back at once.
fn jittered(pause: Duration) -> Duration {
    let spread = pause / 4;
    pause - spread + (spread * 2).mul_f64(crate::queue::fork::random_fraction())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> config::Health {
        config::Health {
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(60),
            known_answers: 3,
        }
    }

    /// Fails at `now`, and says how long the pause lasted.
    fn fail_and_measure(health: &Health<u8>, now: &mut Instant) -> Duration {
        health.failed(*now, &limits());
        let start = *now;
        while health.admit(*now) == Admission::Wait {
            *now += Duration::from_millis(1);
        }
        *now - start
    }

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest() {
        let health = Health::<u8>::new();
        let mut now = Instant::now();
        assert_eq!(health.admit(now), Admission::Go);
        let mut expected = limits().pause_min;
        for _ in 0..12 {
            let pause = fail_and_measure(&health, &mut now);
            assert!(pause >= expected * 3 / 4 && pause <= expected * 5 / 4, "{pause:?} for {expected:?}");
            expected = (expected * 2).min(limits().pause_max);
        }
        assert_eq!(expected, limits().pause_max);
    }

    #[test]
    fn many_who_meet_one_failure_pause_once() {
        let health = Health::<u8>::new();
        let mut now = Instant::now();
        for _ in 0..20 {
            health.failed(now, &limits());
        }
        assert!(fail_and_measure(&health, &mut now) <= limits().pause_min * 5 / 4);
    }

    #[test]
    fn one_caller_probes_and_a_later_one_sees_the_answer() {
        let health = Health::new();
        let mut now = Instant::now();
        health.failed(now, &limits());
        now += limits().pause_min * 2;
        assert_eq!(health.admit(now), Admission::Start);
        assert_eq!(health.admit(now), Admission::Wait, "one at a time");
        health.probing(7, now).unwrap();
        assert_eq!(health.admit(now), Admission::Check(7));
        assert_eq!(health.admit(now), Admission::Wait, "held by the one who looks");
        health.probing(7, now).unwrap();
        assert_eq!(health.admit(now), Admission::Check(7));
        assert_eq!(health.passed(now), Admission::Go);
        assert_eq!(health.admit(now), Admission::Go);
    }

    #[test]
    fn a_failure_while_a_probe_is_looked_at_stands() {
        let health = Health::new();
        let mut now = Instant::now();
        health.failed(now, &limits());
        now += limits().pause_min * 2;
        assert_eq!(health.admit(now), Admission::Start);
        health.probing(7, now).unwrap();
        assert_eq!(health.admit(now), Admission::Check(7));
        health.wrong(now, &limits());
        assert_eq!(health.passed(now), Admission::Wait);
        assert_eq!(health.admit(now), Admission::Wait);
        now += limits().pause_min * 4;
        for known in 0..3 {
            assert_eq!(health.admit(now), if known == 0 { Admission::Start } else { Admission::Wait });
            health.probing(known, now).unwrap();
            assert_eq!(health.admit(now), Admission::Check(known));
            assert_eq!(health.passed(now), if known == 2 { Admission::Go } else { Admission::Start });
        }
    }

    #[test]
    fn a_probe_that_could_not_be_sent_costs_no_longer_pause() {
        let health = Health::<u8>::new();
        let mut now = Instant::now();
        health.failed(now, &limits());
        for _ in 0..10 {
            now += limits().pause_min * 5 / 4;
            assert_eq!(health.admit(now), Admission::Start);
            health.postponed(now, &limits());
            assert_eq!(health.admit(now), Admission::Wait);
        }
    }

    #[test]
    fn a_failed_probe_pauses_for_longer() {
        let health = Health::<u8>::new();
        let mut now = Instant::now();
        let first = fail_and_measure(&health, &mut now);
        let second = fail_and_measure(&health, &mut now);
        assert!(first <= limits().pause_min * 5 / 4 && second >= limits().pause_min * 3 / 2);
    }

    #[test]
    fn a_wrong_result_wants_several_known_answers() {
        let health = Health::new();
        let mut now = Instant::now();
        health.wrong(now, &limits());
        now += limits().pause_min * 2;
        assert_eq!(health.admit(now), Admission::Start);
        for known in 0..2 {
            health.probing(known, now).unwrap();
            assert_eq!(health.admit(now), Admission::Check(known));
            assert_eq!(health.passed(now), Admission::Start, "more are wanted");
            assert!(!health.good());
        }
        health.probing(2, now).unwrap();
        assert_eq!(health.admit(now), Admission::Check(2));
        assert_eq!(health.passed(now), Admission::Go);
        assert!(health.good());
    }

    #[test]
    fn a_probe_nobody_looks_after_or_that_never_ends_is_not_waited_for() {
        let health = Health::new();
        let mut now = Instant::now();
        health.failed(now, &limits());
        now += limits().pause_min * 2;
        assert_eq!(health.admit(now), Admission::Start);
        assert_eq!(health.admit(now + HELD_LIMIT), Admission::Start, "its starter died");
        now += HELD_LIMIT;
        health.probing(1, now).unwrap();
        now += PROBE_LIMIT;
        assert_eq!(health.admit(now), Admission::Check(1));
        assert_eq!(health.probing(1, now), Err(1), "too long");
    }

    #[test]
    fn refusals_in_a_row_are_a_failure_single_ones_are_not() {
        let health = Health::<u8>::new();
        let now = Instant::now();
        for _ in 0..10 {
            health.refused(now, &limits(), 3);
            health.refused(now, &limits(), 3);
            health.answered();
        }
        assert!(health.good());
        for _ in 0..3 {
            health.refused(now, &limits(), 3);
        }
        assert!(!health.good());
    }

    #[test]
    fn a_long_good_time_forgets_old_failures() {
        let health = Health::<u8>::new();
        let mut now = Instant::now();
        for _ in 0..5 {
            fail_and_measure(&health, &mut now);
        }
        assert_eq!(health.passed(now), Admission::Go);
        now += limits().pause_max * 3;
        assert!(fail_and_measure(&health, &mut now) <= limits().pause_min * 5 / 4);
    }
}
