//! Queues: one hardware queue shared by the threads of a process, safe and blocking at the top.
//!
//! [`SharedQueue::submit`] takes a slot, puts the request's memory into it and rings the doorbell;
//! [`SharedQueue::wait`] brings the memory back with the device's report, or a reason for software. Any thread consumes
//! completions and wakes their owners ([`wait`] says who sleeps where). [`pool`] decides which queues exist.

pub(crate) mod fork;
pub(crate) mod inflight;
pub(crate) mod pool;
pub(crate) mod slots;
mod sync;
pub(crate) mod wait;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use uacce_sys::{CompletionRing, Error, Queue, SubmissionRing};

use crate::descriptor::{MAX_LEN_BYTES, TagPlace};
use crate::stats::Reason;
use inflight::Flight;
use slots::{Slots, Ticket};
use wait::{Turns, poll_time, spin_time};

/// What `uacce_sys::open` gives.
pub(crate) type Opened = (Arc<Queue>, SubmissionRing, CompletionRing);

/// How one request waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Measured latency of this kind of request.
    pub(crate) expected: Option<Duration>,
    /// When the request is given up.
    pub(crate) deadline: Duration,
    /// Longest spin.
    pub(crate) spin_max: Duration,
    /// Shortest `poll()` time-out.
    pub(crate) sleep_min: Duration,
    /// CPUs of the process.
    pub(crate) cpus: usize,
}

/// An open queue and its outstanding requests.
///
/// The order of the fields is the order of the end: the rings and the queue go first (stopped, unmapped, closed), the
/// slot table with the lent memory after them.
#[derive(Debug)]
pub(crate) struct SharedQueue {
    submissions: Mutex<Option<Submissions>>,
    completions: Mutex<Completions>,
    /// Serialises [`Self::close`]; true when the file is closed.
    closed: Mutex<bool>,
    slots: Slots<Box<Flight>>,
    turns: Turns,
    /// Why the queue is dead; 0 while it lives.
    dead: AtomicU8,
    /// New requests are welcome.
    usable: AtomicBool,
    /// Its failure has been told to health.
    reported: AtomicBool,
    /// Milliseconds on the pool's clock.
    last_used_ms: AtomicU64,
    descriptor_len: usize,
    depth: u16,
    tag_place: TagPlace,
    /// Room of the process's budget, given back last.
    _permit: pool::Permit,
}

#[derive(Debug)]
struct Submissions {
    ring: SubmissionRing,
    /// The ring slot the next submission will use.
    next: u16,
}

#[derive(Debug)]
struct Completions {
    device: Option<(CompletionRing, Arc<Queue>)>,
    /// The leader is in `poll()`: the completions are its alone, or its wake-up might get lost.
    asleep: bool,
    /// Completions consumed since the last `poll()`; mainline's wake-up test looks at most one lap back (uacce-qm trap 7).
    since_poll: u16,
}

/// Longest sleep on a slot's word.
const PARK_LIMIT: Duration = Duration::from_millis(100);
const DEAD_RESET: u8 = 1;
const DEAD_IMPOSSIBLE: u8 = 2;

impl SharedQueue {
    /// Takes over an opened queue whose completed descriptors carry their tag at `tag_place`.
    /// # Errors
    /// [`Reason::Unsupported`]: descriptors of another length than the family's, or no room for a request.
    pub(crate) fn new(opened: Opened, tag_place: TagPlace, permit: pool::Permit) -> Result<Self, Reason> {
        let (queue, submission, completion) = opened;
        let (depth, descriptor_len) = (queue.depth(), queue.descriptor_len());
        if descriptor_len != tag_place.descriptor_len() || depth < 2 {
            return Err(Reason::Unsupported);
        }
        Ok(Self {
            submissions: Mutex::new(Some(Submissions { ring: submission, next: 0 })),
            completions: Mutex::new(Completions {
                device: Some((completion, queue)),
                asleep: false,
                since_poll: 0,
            }),
            closed: Mutex::new(false),
            slots: Slots::new(depth - 1),
            turns: Turns::new(),
            dead: AtomicU8::new(0),
            usable: AtomicBool::new(true),
            reported: AtomicBool::new(false),
            last_used_ms: AtomicU64::new(0),
            descriptor_len,
            depth,
            tag_place,
            _permit: permit,
        })
    }

    /// New requests may come here.
    pub(crate) fn usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    /// Requests outstanding, those nobody waits for any more included.
    pub(crate) fn outstanding(&self) -> usize {
        self.slots.taken()
    }

    /// Requests it can hold.
    pub(crate) fn capacity(&self) -> usize {
        usize::from(self.depth) - 1
    }

    /// No new requests; those outstanding go on.
    pub(crate) fn retire(&self) {
        self.usable.store(false, Ordering::Relaxed);
    }

    /// True for the first who reports a failure of this queue: many waiters see the same one.
    pub(crate) fn first_report(&self) -> bool {
        !self.reported.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn touch(&self, now_ms: u64) {
        self.last_used_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn last_used_ms(&self) -> u64 {
        self.last_used_ms.load(Ordering::Relaxed)
    }

    /// Lends `flight` to the device and rings the doorbell.
    /// # Errors
    /// [`Reason::Busy`]: every slot is out. [`Reason::Reset`], [`Reason::DeviceError`]: the queue is dead. The device has
    /// seen nothing then.
    pub(crate) fn submit(&self, flight: Box<Flight>) -> Result<Ticket, Reason> {
        if let Some(reason) = self.death() {
            return Err(reason);
        }
        let ticket = self.slots.reserve().ok_or(Reason::Busy)?;
        let mut bytes = [0; MAX_LEN_BYTES];
        let descriptor = bytes.get_mut(..self.descriptor_len).unwrap_or_default();
        flight.encode(ticket.tag(), descriptor);

        let mut submissions = recover(self.submissions.lock());
        let next = submissions.as_ref().map_or(0, |side| side.next);
        // Into the table before the doorbell: the completion may come before `lend` returns.
        self.slots.fill(&ticket, flight, next);
        let Some(side) = submissions.as_mut() else {
            self.slots.retract(ticket);
            return Err(Reason::Reset);
        };
        match inflight::lend(&mut side.ring, descriptor) {
            Ok(slot) => {
                side.next = if slot + 1 >= self.depth { 0 } else { slot + 1 };
                if slot != next {
                    // The ring does not count as we do: no completion could be trusted.
                    self.die(DEAD_IMPOSSIBLE);
                }
                Ok(ticket)
            }
            Err(error) => {
                drop(submissions);
                self.slots.retract(ticket);
                match error {
                    Error::Full => Err(Reason::Busy),
                    _ => {
                        self.die(DEAD_RESET);
                        Err(Reason::Reset)
                    }
                }
            }
        }
    }

    /// Waits for the answer to `ticket`: spins, then leads or parks.
    /// # Errors
    /// [`Reason::TimeOut`], or why the queue died. The request's memory stays in its slot then; the ticket is spent.
    pub(crate) fn wait(&self, ticket: &Ticket, timing: &Timing) -> Result<Box<Flight>, Reason> {
        let start = Instant::now();
        let end = start + timing.deadline;
        self.spin(ticket, start + spin_time(timing.expected, timing.spin_max, timing.cpus));
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
                self.drain(&mut recover(self.completions.lock()));
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
    pub(crate) fn fetch(&self, ticket: &Ticket) -> Option<Box<Flight>> {
        self.look();
        self.take(ticket)
    }

    /// Gives `ticket` up; its memory stays in its slot until the device is done with it.
    pub(crate) fn abandon(&self, ticket: &Ticket) {
        drop(self.slots.abandon(ticket));
    }

    /// Ends the queue: when it returns the device touches no memory of any request any more. Stops it, hands out what
    /// still arrived, unmaps and closes it. Waiters get software.
    pub(crate) fn close(&self) {
        let mut closed = recover(self.closed.lock());
        if *closed {
            return;
        }
        self.retire();
        drop(recover(self.submissions.lock()).take());
        let queue = recover(self.completions.lock()).device.as_ref().map(|(_, queue)| Arc::clone(queue));
        if let Some(mut queue) = queue {
            queue.stop();
            let mut completions = recover(self.completions.lock());
            self.drain(&mut completions);
            drop(completions.device.take());
            drop(completions);
            self.die(DEAD_RESET);
            // The leader holds the file while it sleeps in poll(), 50 ms at the longest.
            while let Err(shared) = Arc::try_unwrap(queue) {
                queue = shared;
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        *closed = true;
    }

    fn take(&self, ticket: &Ticket) -> Option<Box<Flight>> {
        if self.slots.finished(ticket) { self.slots.take(ticket) } else { None }
    }

    fn spin(&self, ticket: &Ticket, until: Instant) {
        while Instant::now() < until && !self.slots.finished(ticket) && self.death().is_none() {
            if !self.look() {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Consumes what is there, unless another thread is at it. False: the leader sleeps, the completions are its.
    fn look(&self) -> bool {
        let mut completions = match self.completions.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return true,
        };
        if completions.asleep {
            return false;
        }
        self.drain(&mut completions);
        true
    }

    /// Sleeps in `poll()` and consumes for everyone until this thread's own request is answered, given up or lost.
    fn lead(&self, ticket: &Ticket, timing: &Timing, end: Instant) {
        let mut in_vain = 0;
        loop {
            let queue = {
                let mut completions = recover(self.completions.lock());
                completions.asleep = false;
                self.drain(&mut completions);
                let now = Instant::now();
                if self.slots.finished(ticket) || self.death().is_some() || now >= end {
                    return;
                }
                let Some((ring, queue)) = completions.device.as_mut() else { return };
                // Ask for an event, then look once more: a completion between the two raises none (uacce-qm §2.7).
                ring.acknowledge(true);
                if ring.ready() {
                    continue;
                }
                let queue = Arc::clone(queue);
                completions.asleep = true;
                completions.since_poll = 0;
                queue
            };
            let remaining = end.saturating_duration_since(Instant::now());
            match queue.poll(poll_time(timing.expected, in_vain, remaining, timing.sleep_min)) {
                Ok(true) => in_vain = 0,
                // poll() never tells of a stopped device (uacce-qm §2.7), the status words do.
                Ok(false) if queue.stopped() => self.die(DEAD_RESET),
                Ok(false) => in_vain = in_vain.saturating_add(1),
                Err(_) => self.die(DEAD_RESET),
            }
        }
    }

    /// Consumes every completion there is and wakes the owners.
    fn drain(&self, completions: &mut Completions) {
        let Completions { device: Some((ring, queue)), since_poll, .. } = completions else { return };
        let mut bytes = [0; MAX_LEN_BYTES];
        let descriptor = bytes.get_mut(..self.descriptor_len).unwrap_or_default();
        while self.death().is_none() {
            match ring.consume(descriptor) {
                Ok(None) => break,
                Ok(Some(completion)) => {
                    *since_poll = since_poll.saturating_add(1);
                    // The tag is trusted, the slot index checked against it.
                    let known = self.tag_place.read(descriptor).is_some_and(|tag| {
                        self.slots.complete(tag, completion.slot, |flight| flight.store(descriptor)).is_ok()
                    });
                    if !known {
                        self.die(DEAD_IMPOSSIBLE);
                    }
                }
                Err(Error::Impossible) => self.die(DEAD_IMPOSSIBLE),
                Err(_) => self.die(DEAD_RESET),
            }
        }
        if *since_poll >= self.depth / 2 {
            *since_poll = 0;
            if queue.poll(Duration::ZERO).is_err() {
                self.die(DEAD_RESET);
            }
        }
    }

    /// The queue brings no more answers; everyone who waits shall see it.
    fn die(&self, cause: u8) {
        let _ = self.dead.compare_exchange(0, cause, Ordering::AcqRel, Ordering::Acquire);
        self.retire();
        self.slots.nudge_all();
    }

    /// Why it brings no more answers; `None` while it does.
    pub(crate) fn death(&self) -> Option<Reason> {
        match self.dead.load(Ordering::Acquire) {
            0 => None,
            DEAD_IMPOSSIBLE => Some(Reason::DeviceError),
            _ => Some(Reason::Reset),
        }
    }
}

/// The lead, handed on when dropped, whatever happens to the thread.
struct Turn<'a>(&'a SharedQueue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(next) = self.0.turns.leave() {
            self.0.slots.nudge(next);
        }
    }
}

/// Goes on after a panic elsewhere: the critical sections of this room leave consistent state behind at each step.
pub(crate) fn recover<'a, T>(
    result: Result<MutexGuard<'a, T>, PoisonError<MutexGuard<'a, T>>>,
) -> MutexGuard<'a, T> {
    result.unwrap_or_else(PoisonError::into_inner)
}
