//! Submission and completion rings: private indices, phase, depth in entries.
//!
//! ```text
//!             tail ─► next free slot                     head ─► next entry, expected phase
//! submission [ D | D |   |   |   ]   completion         [ 1 | 1 | 0 | 0 | 0 ]  first lap: 1 is new
//!                                                       [ 0 | 1 | 1 | 1 | 1 ]  second lap: 0 is new
//! ```
//! Neither index is ever read back from shared memory. A completion entry names the slot whose descriptor the device has
//! overwritten with its answer; it is new when its phase bit equals the expected one, which flips at each wrap
//! (uacce-qm §4). No method here makes a system call or changes errno.

use std::sync::Arc;

use crate::qm::Bell;
use crate::{Error, Queue, barrier};

/// The submission side of one queue. One owner at a time (`&mut`); the completion side may work at the same moment.
#[derive(Debug)]
pub struct SubmissionRing {
    queue: Arc<Queue>,
    /// Next slot to fill.
    tail: u16,
}

impl SubmissionRing {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, tail: 0 }
    }

    /// Submits one descriptor and rings the doorbell.
    ///
    /// `descriptor`: exactly [`crate::Queue::descriptor_len`] bytes, little-endian, tag already set. Returns the ring
    /// slot used, `0..depth`.
    /// # Errors
    /// [`Error::Full`]: every slot is in flight; poll, then retry. [`Error::Stopped`]: the device disabled the queue;
    /// reopen it. [`Error::Unsupported`]: `descriptor` has another length. On any error nothing was submitted.
    /// # Safety
    /// Every buffer address in `descriptor` stays valid and unaliased until the matching completion is consumed or
    /// the queue is stopped.
    #[expect(unsafe_code, reason = "the caller lends the device what the descriptor names")]
    pub unsafe fn submit(&mut self, descriptor: &[u8]) -> Result<u16, Error> {
        let queue = &*self.queue;
        let layout = queue.layout();
        if descriptor.len() != layout.descriptor_len() {
            return Err(Error::Unsupported);
        }
        let inside = queue.enter_submission()?;
        let slot = self.tail;
        if !queue.credit().free(slot) {
            return Err(if queue.send_disabled() { Error::Stopped } else { Error::Full });
        }
        // Fill, then look at the status words, then ring: the order that leaves a reset the smallest gap (trap 30).
        queue.shared().copy_in(layout.slot(slot), descriptor).ok_or(Error::Unsupported)?;
        if queue.send_disabled() {
            return Err(Error::Stopped);
        }
        queue.credit().charge(slot);
        self.tail = next(slot, layout.submission_depth());
        barrier::before_submission_doorbell();
        queue.ring(Bell::Submission { tail: self.tail });
        drop(inside);
        Ok(slot)
    }

    /// The queue this ring belongs to.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

/// One consumed completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Submission slot whose descriptor completed, `0..depth`.
    pub slot: u16,
}

/// The completion side of one queue.
#[derive(Debug)]
pub struct CompletionRing {
    queue: Arc<Queue>,
    /// Next entry to consume.
    head: u16,
    /// Value of the phase bit in an entry that is new at `head`.
    phase: u16,
    /// Entries consumed since the last completion doorbell.
    unrung: u16,
}

impl CompletionRing {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, head: 0, phase: 1, unrung: 0 }
    }

    /// Consumes the next completion if there is one and copies the completed descriptor into `descriptor`
    /// (`descriptor_len()` bytes). The completion doorbell is rung at once, with interrupts off, every depth/4 entries,
    /// and whenever submissions wait for the credit; callers ring the rest with [`Self::acknowledge`].
    ///
    /// A request keeps its credit until that doorbell: at most `depth - 1` are submitted and not yet acknowledged, so the
    /// device's completion ring cannot overflow.
    /// # Errors
    /// [`Error::Stopped`]: the status words say stop, or the queue was stopped; answers that lie in the ring are not
    /// handed out, a device that went mad may have written them. [`Error::Impossible`]: an index beyond the ring, or of a
    /// slot that is not in flight; the queue is dead from then on and answers [`Error::Stopped`].
    /// [`Error::Unsupported`]: `descriptor` has another length; nothing was consumed.
    pub fn consume(&mut self, descriptor: &mut [u8]) -> Result<Option<Completion>, Error> {
        let queue = &*self.queue;
        let layout = queue.layout();
        if descriptor.len() != layout.descriptor_len() {
            return Err(Error::Unsupported);
        }
        let inside = queue.enter_completion()?;
        if !self.is_new() {
            return if queue.receive_disabled() { Err(Error::Stopped) } else { Ok(None) };
        }
        barrier::after_phase();
        // Each shared field once, into a local, before anything is decided.
        let slot = queue.shared().load_u16(layout.entry(self.head) + ENTRY_SLOT).unwrap_or(u16::MAX);
        if slot >= layout.submission_depth() || !queue.credit().expected(slot) {
            queue.halt();
            return Err(Error::Impossible);
        }
        queue.shared().copy_out(layout.slot(slot), descriptor).ok_or(Error::Impossible)?;
        // After the copy: a device found faulty before this moment may have spoilt the answer.
        barrier::after_copy();
        if queue.receive_disabled() {
            return Err(Error::Stopped);
        }
        queue.credit().take(slot);
        self.head = next(self.head, layout.completion_depth());
        if self.head == 0 {
            self.phase ^= 1;
        }
        self.unrung += 1;
        if self.unrung >= (layout.completion_depth() / 4).max(1) || queue.credit().exhausted() {
            ring(queue, self.head, &mut self.unrung, false);
        }
        drop(inside);
        Ok(Some(Completion { slot }))
    }

    /// True when the next completion is already there; consumes nothing. Never after a stop.
    pub fn ready(&self) -> bool {
        !self.queue.halted() && self.is_new()
    }

    /// Rings the completion doorbell at the current head. `arm`: ask for one event at the next completion; after it,
    /// call [`Self::ready`] again before sleeping in [`crate::Queue::poll`]. After a stop it does nothing.
    pub fn acknowledge(&mut self, arm: bool) {
        let queue = &*self.queue;
        let Ok(inside) = queue.enter_completion() else { return };
        ring(queue, self.head, &mut self.unrung, arm);
        drop(inside);
        if arm {
            barrier::after_arming();
        }
    }

    /// The queue this ring belongs to.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    #[inline]
    fn is_new(&self) -> bool {
        let entry = self.queue.layout().entry(self.head);
        self.queue.shared().load_u16(entry + ENTRY_PHASE).is_some_and(|word| word & 1 == self.phase)
    }
}

/// Rings the completion doorbell and gives back the credits of the `unrung` entries before `head`.
#[inline]
fn ring(queue: &Queue, head: u16, unrung: &mut u16, arm: bool) {
    barrier::before_completion_doorbell();
    queue.ring(Bell::Completion { head, arm });
    queue.credit().repay(*unrung);
    *unrung = 0;
}

/// The index after `index` in a ring of `depth` entries.
#[inline]
fn next(index: u16, depth: u16) -> u16 {
    if index + 1 == depth { 0 } else { index + 1 }
}

const ENTRY_SLOT: usize = std::mem::offset_of!(crate::abi::CompletionEntry, sq_head);
const ENTRY_PHASE: usize = std::mem::offset_of!(crate::abi::CompletionEntry, w7);

#[cfg(test)]
#[expect(unsafe_code, reason = "submissions whose descriptors hold no addresses")]
mod tests {
    use super::*;
    use crate::fake::{FakeDevice, ObservedDoorbell, Phase};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(20);

    /// A descriptor of `len` bytes that says `number`.
    fn request(len: usize, number: u64) -> Vec<u8> {
        let mut descriptor = vec![0; len];
        descriptor[..8].copy_from_slice(&number.to_le_bytes());
        descriptor
    }

    fn said(descriptor: &[u8]) -> u64 {
        u64::from_le_bytes(descriptor[..8].try_into().unwrap())
    }

    fn submit(ring: &mut SubmissionRing, number: u64) -> Result<u16, Error> {
        let descriptor = request(ring.queue().descriptor_len(), number);
        // SAFETY: the descriptor holds a number, no address.
        unsafe { ring.submit(&descriptor) }
    }

    /// Takes `count` requests and answers each with its number plus one.
    fn answer(device: &FakeDevice, count: usize) {
        for _ in 0..count {
            let mut submission = device.take(LONG).unwrap();
            let number = said(&submission.descriptor) + 1;
            submission.descriptor[..8].copy_from_slice(&number.to_le_bytes());
            assert!(device.complete(submission.slot, &submission.descriptor));
        }
    }

    fn bell(command: u16, index: u16, arm: bool) -> ObservedDoorbell {
        ObservedDoorbell { command, index, arm, queue: crate::fake::FAKE_QUEUE_NUMBER }
    }

    /// Separate threads submit, serve and consume; sleeping in `poll`, with both rings wrapping more than 64 times.
    #[test]
    fn many_laps() {
        for (depth, len, laps) in [(2u16, 64, 200u64), (3, 128, 200), (16, 64, 200), (1024, 128, 66)] {
            let total = u64::from(depth) * laps;
            let (queue, mut submission, mut completion, device) = FakeDevice::queue(depth, len);
            let queue = &*queue;
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    for number in 0..total {
                        while let Err(error) = submit(&mut submission, number) {
                            assert!(matches!(error, Error::Full), "{error}");
                            std::thread::yield_now();
                        }
                    }
                });
                scope.spawn(|| {
                    device.serve(|descriptor| {
                        let number = said(descriptor) + 1;
                        descriptor[..8].copy_from_slice(&number.to_le_bytes());
                    });
                });
                let mut descriptor = vec![0; len];
                for number in 0..total {
                    let done = loop {
                        if let Some(done) = completion.consume(&mut descriptor).unwrap() {
                            break done;
                        }
                        completion.acknowledge(true);
                        if !completion.ready() {
                            assert!(queue.poll(LONG).unwrap(), "a wake-up was lost");
                        }
                    };
                    assert_eq!(u64::from(done.slot), number % u64::from(depth));
                    assert_eq!(said(&descriptor), number + 1);
                }
                assert!(completion.consume(&mut descriptor).unwrap().is_none());
                queue.stop();
            });
        }
    }

    #[test]
    fn depth_minus_one_outstanding_then_full() {
        let (_queue, mut submission, mut completion, device) = FakeDevice::queue(1024, 64);
        let mut descriptor = vec![0; 64];
        for lap in 0..3 {
            for number in 0..1023 {
                submit(&mut submission, number).unwrap();
            }
            assert!(matches!(submit(&mut submission, 9), Err(Error::Full)));
            assert!(matches!(submit(&mut submission, 9), Err(Error::Full)));
            answer(&device, 1);
            assert!(completion.consume(&mut descriptor).unwrap().is_some());
            // Consumed while the ring was full: the credit is back without further ado.
            submit(&mut submission, 1023).unwrap();
            assert!(matches!(submit(&mut submission, 9), Err(Error::Full)));
            answer(&device, 1023);
            for number in 1..1024 {
                assert!(completion.consume(&mut descriptor).unwrap().is_some());
                assert_eq!(said(&descriptor), number + 1, "lap {lap}");
            }
            assert!(completion.consume(&mut descriptor).unwrap().is_none());
            completion.acknowledge(false);
        }
    }

    /// Without acknowledgement requests keep their credit: the device's completion ring never overflows.
    #[test]
    fn the_completion_ring_cannot_overflow() {
        let (queue, mut submission, mut completion, device) = FakeDevice::queue(8, 64);
        let mut descriptor = vec![0; 64];
        for number in 0..10_000 {
            while submit(&mut submission, number).is_ok() {}
            while let Some(mut taken) = device.take(Duration::ZERO) {
                taken.descriptor[8] = 1;
                assert!(device.complete(taken.slot, &taken.descriptor), "overflow");
            }
            for _ in 0..number % 8 {
                completion.consume(&mut descriptor).unwrap();
            }
        }
        assert!(!queue.stopped());
    }

    #[test]
    fn doorbells_of_both_rings() {
        let (_queue, mut submission, mut completion, device) = FakeDevice::queue(8, 64);
        let mut descriptor = vec![0; 64];
        for number in 0..5 {
            assert_eq!(u64::from(submit(&mut submission, number).unwrap()), number);
        }
        assert_eq!(device.doorbells(), (1..=5).map(|tail| bell(0, tail, false)).collect::<Vec<_>>());
        answer(&device, 5);
        for _ in 0..5 {
            completion.consume(&mut descriptor).unwrap().unwrap();
        }
        // One each quarter of the ring; the fifth waits for its acknowledgement.
        assert_eq!(device.doorbells(), [bell(1, 2, false), bell(1, 4, false)]);
        completion.acknowledge(true);
        completion.acknowledge(true);
        assert_eq!(device.doorbells(), [bell(1, 5, true), bell(1, 5, true)]);
        for number in 5..9 {
            submit(&mut submission, number).unwrap();
        }
        let tails: Vec<_> = device.doorbells().iter().map(|bell| bell.index).collect();
        assert_eq!(tails, [6, 7, 0, 1]);
    }

    #[test]
    fn an_event_for_each_arming() {
        let (queue, mut submission, mut completion, device) = FakeDevice::queue(8, 64);
        let mut descriptor = vec![0; 64];
        assert!(!queue.poll(Duration::ZERO).unwrap());
        submit(&mut submission, 1).unwrap();
        answer(&device, 1);
        assert!(queue.poll(LONG).unwrap(), "START arms");
        completion.consume(&mut descriptor).unwrap().unwrap();
        completion.acknowledge(false);
        submit(&mut submission, 2).unwrap();
        answer(&device, 1);
        assert!(!queue.poll(Duration::ZERO).unwrap(), "not armed");
        completion.acknowledge(true);
        assert!(completion.ready(), "armed too late, but not unseen");
        assert!(queue.poll(LONG).unwrap(), "and told at once");
        device.wake();
        completion.consume(&mut descriptor).unwrap().unwrap();
        completion.acknowledge(true);
        assert!(!completion.ready());
        assert!(!queue.poll(Duration::ZERO).unwrap());
    }

    #[test]
    fn completions_may_come_in_any_order() {
        let (_queue, mut submission, mut completion, device) = FakeDevice::queue(4, 64);
        let mut descriptor = vec![0; 64];
        for number in 0..3 {
            submit(&mut submission, number).unwrap();
        }
        for slot in [1, 2] {
            assert!(device.complete(slot, &request(64, 100 + u64::from(slot))));
            assert_eq!(completion.consume(&mut descriptor).unwrap(), Some(Completion { slot }));
            assert_eq!(said(&descriptor), 100 + u64::from(slot));
        }
        submit(&mut submission, 3).unwrap();
        // Credits are left, but the next slot still belongs to the device.
        assert!(matches!(submit(&mut submission, 4), Err(Error::Full)));
        assert!(device.complete(0, &request(64, 100)));
        completion.consume(&mut descriptor).unwrap().unwrap();
        assert_eq!(submit(&mut submission, 4).unwrap(), 0);
    }

    #[test]
    fn the_wrong_phase_is_no_completion() {
        let (_queue, mut submission, mut completion, device) = FakeDevice::queue(4, 64);
        let mut descriptor = vec![0; 64];
        for number in 0..20 {
            submit(&mut submission, number).unwrap();
            let taken = device.take(LONG).unwrap();
            assert!(device.write_entry(taken.slot, Phase::Wrong));
            assert!(!completion.ready());
            assert!(completion.consume(&mut descriptor).unwrap().is_none());
            assert!(device.complete(taken.slot, &taken.descriptor));
            assert!(completion.ready());
            completion.consume(&mut descriptor).unwrap().unwrap();
        }
    }

    #[test]
    fn impossible_slots_end_the_queue() {
        // Beyond the ring, far beyond, never submitted, answered twice.
        for (slot, first) in [(8u16, false), (u16::MAX, false), (5, false), (0, true)] {
            let (queue, mut submission, mut completion, device) = FakeDevice::queue(8, 64);
            let mut descriptor = vec![0; 64];
            submit(&mut submission, 1).unwrap();
            submit(&mut submission, 2).unwrap();
            if first {
                answer(&device, 1);
                completion.consume(&mut descriptor).unwrap().unwrap();
            }
            assert!(device.write_entry(slot, Phase::Right));
            assert!(matches!(completion.consume(&mut descriptor), Err(Error::Impossible)), "{slot}");
            assert!(matches!(completion.consume(&mut descriptor), Err(Error::Stopped)));
            assert!(matches!(submit(&mut submission, 3), Err(Error::Stopped)));
            assert!(matches!(queue.poll(Duration::ZERO), Err(Error::Stopped)));
            assert!(queue.stopped() && !completion.ready());
            assert!(!device.put());
            queue.stop();
            assert!(device.put());
        }
    }

    #[test]
    fn status_words() {
        let (queue, mut submission, mut completion, device) = FakeDevice::queue(4, 64);
        let mut descriptor = vec![0; 64];
        for number in 0..2 {
            submit(&mut submission, number).unwrap();
        }
        device.doorbells();
        device.set_status(1, 0);
        assert!(matches!(submit(&mut submission, 3), Err(Error::Stopped)));
        assert_eq!(device.doorbells(), [], "a stopped queue is not rung");
        // The device drains: what it finishes still counts.
        assert!(!queue.stopped());
        answer(&device, 1);
        assert!(completion.consume(&mut descriptor).unwrap().is_some());
        assert!(completion.consume(&mut descriptor).unwrap().is_none());
        answer(&device, 1);
        device.set_status(1, 1);
        assert!(queue.stopped());
        assert!(matches!(completion.consume(&mut descriptor), Err(Error::Stopped)));
        assert!(matches!(submit(&mut submission, 3), Err(Error::Stopped)));
    }

    #[test]
    fn a_full_ring_of_a_stopped_device_is_stopped() {
        let (_queue, mut submission, _completion, device) = FakeDevice::queue(2, 64);
        submit(&mut submission, 0).unwrap();
        device.set_status(1, 1);
        assert!(matches!(submit(&mut submission, 1), Err(Error::Stopped)));
    }

    #[test]
    fn descriptors_of_another_length_are_refused() {
        let (_queue, mut submission, mut completion, device) = FakeDevice::queue(4, 64);
        for len in [0, 63, 65, 128] {
            // SAFETY: no address in it.
            let answer = unsafe { submission.submit(&vec![0; len]) };
            assert!(matches!(answer, Err(Error::Unsupported)));
            assert!(matches!(completion.consume(&mut vec![0; len]), Err(Error::Unsupported)));
        }
        assert_eq!(device.doorbells(), []);
    }

    #[test]
    fn nothing_moves_after_a_stop() {
        let (queue, mut submission, mut completion, device) = FakeDevice::queue(4, 64);
        let mut descriptor = vec![0; 64];
        submit(&mut submission, 0).unwrap();
        answer(&device, 1);
        device.doorbells();
        queue.stop();
        queue.stop();
        assert!(matches!(submit(&mut submission, 1), Err(Error::Stopped)));
        assert!(matches!(completion.consume(&mut descriptor), Err(Error::Stopped)));
        assert!(!completion.ready());
        completion.acknowledge(true);
        assert_eq!(device.doorbells(), []);
        assert!(!device.complete(0, &descriptor));
        assert!(device.take(LONG).is_none());
    }

    /// A stop in the middle of traffic: no doorbell comes after it.
    #[test]
    fn no_doorbell_follows_a_stop() {
        for _ in 0..100 {
            let (queue, mut submission, mut completion, device) = FakeDevice::queue(16, 64);
            std::thread::scope(|scope| {
                scope.spawn(|| device.serve(|_| {}));
                scope.spawn(|| while !matches!(submit(&mut submission, 1), Err(Error::Stopped)) {});
                scope.spawn(|| {
                    let mut descriptor = vec![0; 64];
                    while completion.consume(&mut descriptor).is_ok() {
                        completion.acknowledge(true);
                    }
                });
                let mut seen = 0;
                while seen < 8 {
                    seen += device.doorbells().len();
                    std::thread::yield_now();
                }
                queue.stop();
                device.doorbells();
            });
            assert_eq!(device.doorbells(), []);
        }
    }
}
