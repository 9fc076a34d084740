//! Queues: one hardware queue shared by the threads of a process, safe and blocking at the top.
//!
//! [`SharedQueue::submit`] takes a slot, puts the request's memory into it and rings the doorbell;
//! [`SharedQueue::wait`] brings the memory back with the device's report, or a reason for software. Any thread consumes
//! completions and wakes their owners ([`desk`] says who sleeps where). [`pool`] decides which queues exist.

mod desk;
pub(crate) mod fork;
pub(crate) mod inflight;
pub(crate) mod pool;
pub(crate) mod slots;
pub(crate) mod spin;
mod sync;
pub(crate) mod wait;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uacce_sys::{CompletionRing, Error, Queue, SubmissionRing};

use crate::descriptor::{MAX_LEN_BYTES, TagPlace};
use crate::stats::Reason;
pub(crate) use desk::Timing;
use desk::{Arrival, Death, Desk, Port, Reportable, Sleeper};
use inflight::Flight;
use slots::Ticket;

/// What `uacce_sys::open` gives.
pub(crate) type Opened = (Arc<Queue>, SubmissionRing, CompletionRing);

/// An open queue and its outstanding requests.
///
/// The order of the fields is the order of the end: the rings and the queue go first (stopped, unmapped, closed), the
/// desk's slots with the lent memory after them.
#[derive(Debug)]
pub(crate) struct SharedQueue {
    submissions: Mutex<Option<Submissions>>,
    desk: Desk<Completions, Box<Flight>>,
    /// Serialises [`Self::close`]; true when the file is closed.
    closed: Mutex<bool>,
    /// Its failure has been told to health.
    reported: AtomicBool,
    /// Milliseconds on the pool's clock.
    last_used_ms: AtomicU64,
    descriptor_len: usize,
    depth: u16,
    /// Room of the process's budget, given back last.
    _permit: pool::Permit,
}

#[derive(Debug)]
struct Submissions {
    ring: SubmissionRing,
    /// The ring slot the next submission will use.
    next: u16,
}

/// The completion ring and the queue's file.
#[derive(Debug)]
struct Completions {
    ring: CompletionRing,
    queue: Arc<Queue>,
    tag_place: TagPlace,
    /// The completed descriptor consumed last.
    report: [u8; MAX_LEN_BYTES],
}

impl Port for Completions {
    type Sleeper = Arc<Queue>;

    fn consume(&mut self) -> Result<Option<Arrival>, Death> {
        let report = self.report.get_mut(..self.tag_place.descriptor_len()).unwrap_or_default();
        match self.ring.consume(report) {
            Ok(None) => Ok(None),
            // The entry names a request that is still out: nothing of this queue is given back before it is closed.
            Ok(Some(_)) if !self.tag_place.is_processed(report) => Err(Death::Impossible),
            Ok(Some(completion)) => {
                Ok(Some(Arrival { tag: self.tag_place.read(report), ring_slot: completion.slot }))
            }
            Err(Error::Impossible) => Err(Death::Impossible),
            Err(_) => Err(Death::Reset),
        }
    }

    fn report(&self) -> &[u8] {
        self.report.get(..self.tag_place.descriptor_len()).unwrap_or_default()
    }

    fn arm(&mut self) -> bool {
        self.ring.acknowledge(true);
        self.ring.ready()
    }

    fn sleeper(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    fn lap(&self) -> u16 {
        self.queue.completions_between_polls()
    }
}

impl Sleeper for Arc<Queue> {
    fn sleep(&self, timeout: Duration) -> Result<bool, Death> {
        match self.poll(timeout) {
            // poll() never tells of a stopped device (uacce-qm §2.7), the status words do.
            Ok(false) if self.stopped() => Err(Death::Reset),
            Ok(readable) => Ok(readable),
            Err(_) => Err(Death::Reset),
        }
    }
}

impl Reportable for Box<Flight> {
    fn store(&mut self, report: &[u8]) {
        Flight::store(self, report);
    }
}

impl SharedQueue {
    /// Takes over an opened queue whose completed descriptors carry their tag at `tag_place`.
    /// # Errors
    /// [`Reason::Unsupported`]: descriptors of another length than the family's, or no room for a request.
    pub(crate) fn new(opened: Opened, tag_place: TagPlace, permit: pool::Permit) -> Result<Self, Reason> {
        let (queue, submission, completion) = opened;
        let (depth, descriptor_len) = (queue.depth(), queue.descriptor_len());
        let (last_generation, most) = tag_place.capacity();
        if descriptor_len != tag_place.descriptor_len() || depth < 2 || depth - 1 > most {
            return Err(Reason::Unsupported);
        }
        let report = [0; MAX_LEN_BYTES];
        let port = Completions { ring: completion, queue, tag_place, report };
        Ok(Self {
            submissions: Mutex::new(Some(Submissions { ring: submission, next: 0 })),
            desk: Desk::new(port, depth - 1, last_generation),
            closed: Mutex::new(false),
            reported: AtomicBool::new(false),
            last_used_ms: AtomicU64::new(0),
            descriptor_len,
            depth,
            _permit: permit,
        })
    }

    /// New requests may come here.
    pub(crate) fn usable(&self) -> bool {
        self.desk.usable()
    }

    /// Requests outstanding, those nobody waits for any more included.
    pub(crate) fn outstanding(&self) -> usize {
        self.desk.slots.taken()
    }

    /// Requests it can hold.
    pub(crate) fn capacity(&self) -> usize {
        usize::from(self.depth) - 1
    }

    /// No new requests; those outstanding go on.
    pub(crate) fn retire(&self) {
        self.desk.retire();
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
        if let Some(reason) = self.desk.death() {
            return Err(reason);
        }
        let ticket = self.desk.slots.reserve().ok_or(Reason::Busy)?;
        let mut bytes = [0; MAX_LEN_BYTES];
        let descriptor = bytes.get_mut(..self.descriptor_len).unwrap_or_default();
        flight.encode(ticket.tag(), descriptor);

        let mut submissions = recover(self.submissions.lock());
        let next = submissions.as_ref().map_or(0, |side| side.next);
        // Into the table before the doorbell: the completion may come before `lend` returns.
        self.desk.slots.fill(&ticket, flight, next);
        let Some(side) = submissions.as_mut() else {
            self.desk.slots.retract(ticket);
            return Err(Reason::Reset);
        };
        match inflight::lend(&mut side.ring, descriptor) {
            Ok(slot) => {
                side.next = if slot >= self.depth - 1 { 0 } else { slot + 1 };
                if slot != next {
                    // The ring does not count as we do: no completion could be trusted.
                    self.desk.die(Death::Impossible);
                }
                Ok(ticket)
            }
            Err(error) => {
                drop(submissions);
                self.desk.slots.retract(ticket);
                match error {
                    Error::Full => Err(Reason::Busy),
                    _ => {
                        self.desk.die(Death::Reset);
                        Err(Reason::Reset)
                    }
                }
            }
        }
    }

    /// Waits for the answer to `ticket`.
    /// # Errors
    /// [`Reason::TimeOut`], or why the queue died. The request's memory stays in its slot then; the ticket is spent.
    pub(crate) fn wait(&self, ticket: &Ticket, timing: &Timing<'_>) -> Result<Box<Flight>, Reason> {
        self.desk.wait(ticket, timing)
    }

    /// The answer to `ticket` if it is there; never waits.
    pub(crate) fn fetch(&self, ticket: &Ticket) -> Option<Box<Flight>> {
        self.desk.fetch(ticket)
    }

    /// Why it brings no more answers; `None` while it does.
    pub(crate) fn death(&self) -> Option<Reason> {
        self.desk.death()
    }

    /// Gives `ticket` up; its memory stays in its slot until the device is done with it.
    pub(crate) fn abandon(&self, ticket: &Ticket) {
        drop(self.desk.slots.abandon(ticket));
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
        if let Some(mut queue) = self.desk.with_port(|port| Arc::clone(&port.queue)) {
            queue.stop();
            self.desk.end();
            // The leader holds the file while it sleeps in poll(), 50 ms at the longest.
            while let Err(shared) = Arc::try_unwrap(queue) {
                queue = shared;
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        *closed = true;
    }
}

/// Goes on after a panic elsewhere: the critical sections of this room leave consistent state behind at each step.
pub(crate) fn recover<'a, T>(
    result: Result<MutexGuard<'a, T>, PoisonError<MutexGuard<'a, T>>>,
) -> MutexGuard<'a, T> {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use uacce_sys::fake::FakeDevice;

    /// The kernel counts completions, in a ring that may be smaller than that of submissions.
    #[test]
    fn a_poll_is_due_within_a_lap_of_the_completion_ring() {
        for (submission_depth, completion_depth) in [(64, 8), (64, 64), (8, 64), (2, 2)] {
            let (queue, _submission, ring, _device) =
                FakeDevice::queue_with_depths(submission_depth, completion_depth, 128);
            let tag_place = TagPlace::ZipType3;
            let port = Completions { ring, queue, tag_place, report: [0; MAX_LEN_BYTES] };
            assert_eq!(port.lap(), completion_depth / 2);
        }
    }
}
