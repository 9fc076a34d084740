//! Where requests wait for their answers: the completion side of a queue, generic over the ring so that the model checker
//! runs this very code.
//!
//! A waiter spins a little, then leads or parks. The leader consumes for everyone and sleeps in `poll()`; while it sleeps
//! the completions are its alone, for another thread's completion doorbell could take its wake-up away.

use std::time::{Duration, Instant};

use super::slots::{Slots, Ticket};
use super::spin::{Habit, SleepCost, spin_time, spun};
use super::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use super::sync::{Mutex, lock, try_lock};
use super::wait::{Turns, poll_time};
use crate::stats::Reason;

/// How one request waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing<'a> {
    /// Measured latency of this kind of request.
    pub(crate) expected: Option<Duration>,
    /// Whether looking has paid for this kind of request; `None`: never look.
    pub(crate) habit: Option<&'a Habit>,
    /// When the request is given up.
    pub(crate) deadline: Duration,
    /// Longest spin.
    pub(crate) spin_max: Duration,
    /// Shortest `poll()` time-out.
    pub(crate) sleep_min: Duration,
    /// CPUs of the process.
    pub(crate) cpus: usize,
}

/// Why a queue brings no more answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Death {
    /// Stopped, reset, removed, closed.
    Reset = 1,
    /// The device reported what no working device reports.
    Impossible = 2,
}

impl Death {
    fn reason(code: u8) -> Option<Reason> {
        match code {
            0 => None,
            code if code == Self::Impossible as u8 => Some(Reason::DeviceError),
            _ => Some(Reason::Reset),
        }
    }
}

/// A completion as the ring names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The tag in the completed descriptor; `None`: it cannot be one of ours.
    pub(crate) tag: Option<u32>,
    /// The ring slot the completion entry names.
    pub(crate) ring_slot: u16,
}

/// The completion ring.
pub(crate) trait Port {
    /// What the leader sleeps on without holding the ring.
    type Sleeper: Sleeper;

    /// Consumes the next completion, if there is one.
    /// # Errors
    /// The queue is dead.
    fn consume(&mut self) -> Result<Option<Arrival>, Death>;
    /// The completed descriptor consumed last.
    fn report(&self) -> &[u8];
    /// Asks for an event at the next completion; true: one is there already.
    fn arm(&mut self) -> bool;
    fn sleeper(&self) -> Self::Sleeper;
    /// Completions after which the kernel must be asked once (uacce-qm trap 7).
    fn lap(&self) -> u16;
}

/// `poll()`.
pub(crate) trait Sleeper {
    /// Sleeps until the device announces a completion or `timeout` passes; true: it announced one.
    /// # Errors
    /// The queue is dead.
    fn sleep(&self, timeout: Duration) -> Result<bool, Death>;
}

/// What lies in a slot while its request is out.
pub(crate) trait Reportable {
    /// Keeps what the device reported.
    fn store(&mut self, report: &[u8]);
}

/// See the module. The ring goes before the slots: the queue is closed before lent memory is dropped.
#[derive(Debug)]
pub(crate) struct Desk<P, F> {
    completions: Mutex<Completions<P>>,
    pub(super) slots: Slots<F>,
    turns: Turns,
    sleep_cost: SleepCost,
    /// A [`Death`]; 0 while it lives.
    dead: AtomicU8,
    /// New requests are welcome.
    usable: AtomicBool,
}

#[derive(Debug)]
struct Completions<P> {
    /// None once the queue is closed.
    port: Option<P>,
    /// The leader is in `poll()`.
    asleep: bool,
    /// Completions consumed since the last `poll()`.
    since_poll: u16,
    /// The last answer that a leader slept for was announced, not found by looking.
    announces: bool,
}

/// Longest sleep on a slot's word.
const PARK_LIMIT: Duration = Duration::from_millis(100);

impl<P: Port, F: Reportable> Desk<P, F> {
    /// A desk for `count` requests at a time; `last_generation`: see [`Slots::with_generations`].
    pub(crate) fn new(port: P, count: u16, last_generation: u16) -> Self {
        Self {
            completions: Mutex::new(Completions {
                port: Some(port),
                asleep: false,
                since_poll: 0,
                announces: false,
            }),
            slots: Slots::with_generations(count, last_generation),
            turns: Turns::new(),
            sleep_cost: SleepCost::default(),
            dead: AtomicU8::new(0),
            usable: AtomicBool::new(true),
        }
    }

    /// Waits for the answer to `ticket`.
    /// # Errors
    /// [`Reason::TimeOut`], or why the queue died. The request's memory stays in its slot then; the ticket is spent.
    pub(crate) fn wait(&self, ticket: &Ticket, timing: &Timing<'_>) -> Result<F, Reason> {
        let start = Instant::now();
        let end = start + timing.deadline;
        self.spin(ticket, timing, start);
        loop {
            if let Some(flight) = self.take(ticket) {
                return Ok(flight);
            }
            if let Some(reason) = self.death() {
                return self.slots.abandon(ticket).ok_or(reason);
            }
            let remaining = end.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                // A process that was stopped for a while finds its answers in the ring.
                self.drain(&mut lock(&self.completions));
                return self.slots.abandon(ticket).ok_or_else(|| {
                    self.retire();
                    Reason::TimeOut
                });
            }
            let leads = self.turns.join(ticket.index()) || {
                self.slots.park(ticket, remaining.min(PARK_LIMIT));
                self.turns.wake_up(ticket.index())
            };
            if leads {
                let _turn = Turn(self);
                self.lead(ticket, timing, end);
            }
        }
    }

    /// The answer to `ticket` if it is there; never waits.
    pub(crate) fn fetch(&self, ticket: &Ticket) -> Option<F> {
        self.look();
        self.take(ticket)
    }

    /// Something from the ring, while it is there.
    pub(crate) fn with_port<T>(&self, look: impl FnOnce(&P) -> T) -> Option<T> {
        lock(&self.completions).port.as_ref().map(look)
    }

    /// Hands out what has arrived, then gives up the ring for good; every waiter sees the end.
    pub(crate) fn end(&self) {
        let port = {
            let mut completions = lock(&self.completions);
            self.drain(&mut completions);
            completions.port.take()
        };
        self.die(Death::Reset);
        drop(port);
    }

    /// The queue brings no more answers; everyone who waits shall see it.
    pub(crate) fn die(&self, cause: Death) {
        let _ = self.dead.compare_exchange(0, cause as u8, Ordering::AcqRel, Ordering::Acquire);
        self.retire();
        self.slots.nudge_all();
    }

    /// Why it brings no more answers; `None` while it does.
    pub(crate) fn death(&self) -> Option<Reason> {
        Death::reason(self.dead.load(Ordering::Acquire))
    }

    /// New requests may come here.
    pub(crate) fn usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    /// No new requests; those outstanding go on.
    pub(crate) fn retire(&self) {
        self.usable.store(false, Ordering::Relaxed);
    }

    fn take(&self, ticket: &Ticket) -> Option<F> {
        if self.slots.finished(ticket) { self.slots.take(ticket) } else { None }
    }

    /// Looks for the answer, for as long as that can pay.
    fn spin(&self, ticket: &Ticket, timing: &Timing<'_>, start: Instant) {
        // What is there at once, or another's to bring, says nothing of how long answers take.
        if !self.look() || self.over(ticket) {
            return;
        }
        let Some(habit) = timing.habit else { return };
        let time = spin_time(habit, &self.sleep_cost, timing.spin_max, timing.cpus);
        if time.is_zero() {
            return;
        }
        let until = start + time;
        while !self.over(ticket) {
            if Instant::now() >= until {
                return spun(habit, false);
            }
            std::hint::spin_loop();
            if !self.look() {
                return;
            }
        }
        spun(habit, self.slots.finished(ticket));
    }

    /// The request is answered, or will never be.
    fn over(&self, ticket: &Ticket) -> bool {
        self.slots.finished(ticket) || self.death().is_some()
    }

    /// Consumes what is there, unless another thread is at it. False: the leader sleeps, the completions are its.
    fn look(&self) -> bool {
        let Some(mut completions) = try_lock(&self.completions) else { return true };
        if completions.asleep {
            return false;
        }
        self.drain(&mut completions);
        true
    }

    /// Sleeps in `poll()` and consumes for everyone until this thread's own request is answered, given up or lost.
    fn lead(&self, ticket: &Ticket, timing: &Timing<'_>, end: Instant) {
        let mut in_vain = 0;
        let mut announced = None;
        loop {
            let (begin, remaining);
            let (sleeper, announces) = {
                let mut completions = lock(&self.completions);
                completions.asleep = false;
                self.drain(&mut completions);
                if let (Some(announced), 1..) = (announced, completions.since_poll) {
                    completions.announces = announced;
                }
                if self.over(ticket) {
                    return;
                }
                remaining = end.saturating_duration_since(Instant::now());
                if remaining.is_zero() {
                    return;
                }
                let Some(port) = completions.port.as_mut() else { return };
                begin = self.sleep_cost.begin();
                // Ask for an event, then look once more: a completion between the two raises none (uacce-qm §2.7).
                if port.arm() {
                    continue;
                }
                let sleeper = port.sleeper();
                completions.asleep = true;
                completions.since_poll = 0;
                (sleeper, completions.announces)
            };
            let time = poll_time(timing.expected, in_vain, remaining, timing.sleep_min, announces);
            let slept = sleeper.sleep(time);
            self.sleep_cost.end(begin);
            announced = slept.ok();
            match slept {
                Ok(true) => in_vain = 0,
                Ok(false) => in_vain = in_vain.saturating_add(1),
                Err(cause) => self.die(cause),
            }
        }
    }

    /// Consumes every completion there is and wakes the owners.
    fn drain(&self, completions: &mut Completions<P>) {
        let Completions { port: Some(port), since_poll, .. } = completions else { return };
        while self.death().is_none() {
            match port.consume() {
                Ok(None) => break,
                Ok(Some(Arrival { tag, ring_slot })) => {
                    *since_poll = since_poll.saturating_add(1);
                    // The tag is trusted, the slot index checked against it.
                    let known = tag.is_some_and(|tag| {
                        self.slots.complete(tag, ring_slot, |flight| flight.store(port.report())).is_ok()
                    });
                    if !known {
                        self.die(Death::Impossible);
                    }
                    // Not after the loop: a burst alone may be longer than a lap, and goes on as long as others submit.
                    if *since_poll >= port.lap() {
                        *since_poll = 0;
                        if let Err(cause) = port.sleeper().sleep(Duration::ZERO) {
                            self.die(cause);
                        }
                    }
                }
                Err(cause) => self.die(cause),
            }
        }
    }
}

/// The lead, handed on when dropped, whatever happens to the thread.
struct Turn<'a, P: Port, F: Reportable>(&'a Desk<P, F>);

impl<P: Port, F: Reportable> Drop for Turn<'_, P, F> {
    fn drop(&mut self) {
        if let Some(next) = self.0.turns.leave() {
            self.0.slots.nudge(next);
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex as Shared};

    /// What one sleep brings: an event or not, an answer or not.
    type Sleep = (bool, bool);

    /// A device that answers whoever sleeps on it, as told, and notes for how long he would have slept.
    #[derive(Clone, Default)]
    struct Scripted(Arc<Shared<Script>>);

    #[derive(Default)]
    struct Script {
        sleeps: std::collections::VecDeque<Sleep>,
        times_ms: Vec<u128>,
        outstanding: Option<Arrival>,
        /// What lies in the ring.
        arrived: std::collections::VecDeque<Arrival>,
        /// How much lay there at each sleep.
        left: Vec<usize>,
    }

    impl Port for Scripted {
        type Sleeper = Self;

        fn consume(&mut self) -> Result<Option<Arrival>, Death> {
            Ok(lock(&self.0).arrived.pop_front())
        }

        fn report(&self) -> &[u8] {
            &[]
        }

        fn arm(&mut self) -> bool {
            false
        }

        fn sleeper(&self) -> Self {
            self.clone()
        }

        fn lap(&self) -> u16 {
            4
        }
    }

    impl Sleeper for Scripted {
        fn sleep(&self, timeout: Duration) -> Result<bool, Death> {
            let mut script = lock(&self.0);
            script.times_ms.push(timeout.as_millis());
            let left = script.arrived.len();
            script.left.push(left);
            let (event, answer) = script.sleeps.pop_front().unwrap_or_default();
            if answer {
                let outstanding = script.outstanding.take();
                script.arrived.extend(outstanding);
            }
            Ok(event)
        }
    }

    struct Parcel;

    impl Reportable for Parcel {
        fn store(&mut self, _report: &[u8]) {}
    }

    /// Time-outs in milliseconds of the sleeps that one request after the other took.
    fn sleeps(script: &[Sleep]) -> Vec<u128> {
        let port = Scripted::default();
        lock(&port.0).sleeps.extend(script);
        let desk = Desk::new(port.clone(), 1, u16::MAX);
        let timing = Timing {
            expected: None,
            habit: None,
            deadline: Duration::from_secs(1000),
            spin_max: Duration::ZERO,
            sleep_min: Duration::from_millis(1),
            cpus: 2,
        };
        for _ in script.iter().filter(|(_, answer)| *answer) {
            let ticket = desk.slots.reserve().unwrap();
            desk.slots.fill(&ticket, Parcel, 0);
            lock(&port.0).outstanding = Some(Arrival { tag: Some(ticket.tag()), ring_slot: 0 });
            assert!(desk.wait(&ticket, &timing).is_ok());
        }
        let script = lock(&port.0);
        script.times_ms.clone()
    }

    #[test]
    fn a_burst_is_consumed_with_a_poll_at_each_lap() {
        let port = Scripted::default();
        let desk = Desk::new(port.clone(), 10, u16::MAX);
        let tickets: Vec<_> = (0..10).map(|_| desk.slots.reserve().unwrap()).collect();
        for (ring_slot, ticket) in (0..).zip(&tickets) {
            desk.slots.fill(ticket, Parcel, ring_slot);
            lock(&port.0).arrived.push_back(Arrival { tag: Some(ticket.tag()), ring_slot });
        }
        assert!(tickets.iter().all(|ticket| desk.fetch(ticket).is_some()));
        assert_eq!(lock(&port.0).left, [6, 2], "answers left at each poll");
    }

    #[test]
    fn who_is_woken_sleeps_without_a_short_time_out() {
        assert_eq!(sleeps(&[(true, true), (true, true), (true, true)]), [1, 10, 10]);
    }

    #[test]
    fn an_answer_that_nobody_announced_shortens_the_next_sleep() {
        assert_eq!(sleeps(&[(true, true), (false, true), (true, true), (true, true)]), [1, 10, 1, 10]);
    }

    #[test]
    fn an_event_without_an_answer_says_nothing() {
        assert_eq!(sleeps(&[(true, false), (false, false), (false, true), (true, true)]), [1, 1, 2, 1]);
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test -p warpdrive --lib --release loom`. In the model no time passes, so a
/// lost wake-up is a deadlock, which loom reports.
#[cfg(test)]
#[cfg(loom)]
mod loom_tests {
    use super::*;
    use loom::sync::{Arc, Condvar, Mutex as Model};
    use loom::thread;

    /// A device that answers in order, with an event as hardware gives it: one per arming, at the next completion.
    #[derive(Default)]
    struct Device {
        submitted: Vec<(u32, u16)>,
        completed: usize,
        consumed: usize,
        armed: bool,
        event: bool,
        stopped: bool,
    }

    #[derive(Clone)]
    struct Wire(Arc<(Model<Device>, Condvar)>);

    impl Wire {
        fn new() -> Self {
            Self(Arc::new((Model::new(Device { armed: true, ..Device::default() }), Condvar::new())))
        }

        fn complete_one(&self) {
            let mut device = self.0.0.lock().unwrap();
            while device.completed == device.submitted.len() {
                device = self.0.1.wait(device).unwrap();
            }
            device.completed += 1;
            if device.armed {
                device.armed = false;
                device.event = true;
            }
            self.0.1.notify_all();
        }

        fn stop(&self) {
            let mut device = self.0.0.lock().unwrap();
            device.stopped = true;
            device.event = true;
            self.0.1.notify_all();
        }
    }

    impl Port for Wire {
        type Sleeper = Self;

        fn consume(&mut self) -> Result<Option<Arrival>, Death> {
            let mut device = self.0.0.lock().unwrap();
            if device.stopped {
                return Err(Death::Reset);
            }
            if device.consumed == device.completed {
                return Ok(None);
            }
            let (tag, ring_slot) = device.submitted[device.consumed];
            device.consumed += 1;
            // The worst a ring may do: ring the doorbell at each entry, with interrupts off.
            device.event = false;
            device.armed = false;
            Ok(Some(Arrival { tag: Some(tag), ring_slot }))
        }

        fn report(&self) -> &[u8] {
            &[]
        }

        fn arm(&mut self) -> bool {
            let mut device = self.0.0.lock().unwrap();
            // The doorbell takes a pending event back, as the simulator's does.
            device.event = device.stopped;
            device.armed = true;
            device.consumed < device.completed
        }

        fn sleeper(&self) -> Self {
            self.clone()
        }

        fn lap(&self) -> u16 {
            u16::MAX
        }
    }

    impl Sleeper for Wire {
        fn sleep(&self, _timeout: Duration) -> Result<bool, Death> {
            let mut device = self.0.0.lock().unwrap();
            while !device.event {
                device = self.0.1.wait(device).unwrap();
            }
            Ok(true)
        }
    }

    struct Parcel(u32, bool);

    impl Reportable for Parcel {
        fn store(&mut self, _report: &[u8]) {
            self.1 = true;
        }
    }

    fn timing() -> Timing<'static> {
        Timing {
            expected: None,
            habit: None,
            deadline: Duration::from_secs(1000),
            spin_max: Duration::ZERO,
            sleep_min: Duration::from_millis(1),
            cpus: 1,
        }
    }

    fn request(desk: &Desk<Wire, Parcel>, wire: &Wire, number: u32) -> Result<Parcel, Reason> {
        let ticket = desk.slots.reserve().unwrap();
        {
            let mut device = wire.0.0.lock().unwrap();
            let ring_slot = u16::try_from(device.submitted.len()).unwrap();
            desk.slots.fill(&ticket, Parcel(number, false), ring_slot);
            device.submitted.push((ticket.tag(), ring_slot));
            wire.0.1.notify_all();
        }
        desk.wait(&ticket, &timing())
    }

    fn model(check: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(check);
    }

    #[test]
    fn loom_every_waiter_gets_its_own_answer() {
        model(|| {
            let wire = Wire::new();
            let desk = Arc::new(Desk::new(wire.clone(), 2, u16::MAX));
            let waiters: Vec<_> = (0..2)
                .map(|number| {
                    let (desk, wire) = (Arc::clone(&desk), wire.clone());
                    thread::spawn(move || {
                        let parcel = request(&desk, &wire, number).unwrap();
                        assert!(parcel.0 == number && parcel.1);
                    })
                })
                .collect();
            wire.complete_one();
            wire.complete_one();
            for waiter in waiters {
                waiter.join().unwrap();
            }
            assert_eq!(desk.slots.taken(), 0);
        });
    }

    #[test]
    fn loom_a_death_is_seen_by_all_waiters() {
        model(|| {
            let wire = Wire::new();
            let desk = Arc::new(Desk::new(wire.clone(), 2, u16::MAX));
            let waiters: Vec<_> = (0..2)
                .map(|number| {
                    let (desk, wire) = (Arc::clone(&desk), wire.clone());
                    thread::spawn(move || drop(request(&desk, &wire, number)))
                })
                .collect();
            wire.stop();
            for waiter in waiters {
                waiter.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_one_who_only_looks_takes_no_wake_up_away() {
        model(|| {
            let wire = Wire::new();
            let desk = Arc::new(Desk::new(wire.clone(), 2, u16::MAX));
            let looker = {
                let desk = Arc::clone(&desk);
                thread::spawn(move || {
                    desk.look();
                })
            };
            let waiter = {
                let (desk, wire) = (Arc::clone(&desk), wire.clone());
                thread::spawn(move || assert!(request(&desk, &wire, 1).unwrap().1))
            };
            wire.complete_one();
            looker.join().unwrap();
            waiter.join().unwrap();
        });
    }
}
