//! An in-process device on heap memory: the rings above it are the real ones, the test plays the hardware.
//!
//! [`FakeDevice::queue`] gives a started queue and the other end of it. The test takes submitted descriptors off the
//! submission ring ([`FakeDevice::take`]) and answers them ([`FakeDevice::complete`]), or hands a closure to a thread that
//! does both ([`FakeDevice::serve`]):
//!
//! ```
//! # use std::time::Duration;
//! # use uacce_sys::fake::FakeDevice;
//! let (queue, mut submission, mut completion, device) = FakeDevice::queue(16, 64);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| device.serve(|descriptor| descriptor[63] = 1));
//!     // SAFETY: this descriptor holds no address.
//!     let slot = unsafe { submission.submit(&[7; 64]) }.unwrap();
//!     let mut answer = [0; 64];
//!     let done = loop {
//!         match completion.consume(&mut answer).unwrap() {
//!             Some(done) => break done,
//!             None => {
//!                 completion.acknowledge(true);
//!                 if !completion.ready() {
//!                     queue.poll(Duration::from_secs(1)).unwrap();
//!                 }
//!             }
//!         }
//!     };
//!     assert_eq!((done.slot, answer[0], answer[63]), (slot, 7, 1));
//!     queue.stop();
//! });
//! ```
//!
//! What it keeps of the hardware: doorbell words are the real ones, every one is seen and kept; results are visible
//! before the completion entry, the entry before the event; an event comes only after arming (`START` arms), one for each
//! arming, and at once if a completion is already unread; readiness lasts until the next completion doorbell (as on the
//! simulator; kernels consume it in `poll`). A completion ring driven full sets both status words, as a real overflow
//! ends a queue.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::abi::{self, CompletionEntry, QpInfo};
use crate::device::Doorbell;
use crate::file::QueueFile;
use crate::qm::{Layout, Version};
use crate::region::Region;
use crate::{CompletionRing, Queue, SubmissionRing};

/// The device side of one queue. Clones are the same device; dropping them all leaves the queue open and silent.
#[derive(Clone, Debug)]
pub struct FakeDevice {
    shared: Arc<Shared>,
}

/// A descriptor taken off the submission ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its slot.
    pub slot: u16,
    /// Its bytes, as submitted.
    pub descriptor: Vec<u8>,
}

/// A doorbell as the device decoded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedDoorbell {
    /// 0 submission, 1 completion.
    pub command: u16,
    /// New tail or head.
    pub index: u16,
    /// An event was asked for (`c_flag`).
    pub arm: bool,
    /// The queue number it named; [`FAKE_QUEUE_NUMBER`] unless the driver is wrong.
    pub queue: u16,
}

/// The phase of a completion entry written by [`FakeDevice::write_entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The one that makes the entry new.
    Right,
    /// The one left from the lap before: the entry is not there yet.
    Wrong,
}

/// The number every fake queue has.
pub const FAKE_QUEUE_NUMBER: u16 = 7;

impl FakeDevice {
    /// A started queue of `depth` entries in both rings and `descriptor_len` bytes (a power of two, `8..=4096`) per
    /// descriptor, its rings, and the device behind them.
    ///
    /// # Panics
    /// If no queue can look like that, or the process has no file descriptors left.
    pub fn queue(depth: u16, descriptor_len: usize) -> (Arc<Queue>, SubmissionRing, CompletionRing, Self) {
        Self::queue_with_depths(depth, depth, descriptor_len)
    }

    /// The same with rings of different depths.
    ///
    /// # Panics
    /// As [`Self::queue`].
    pub fn queue_with_depths(
        submission_depth: u16,
        completion_depth: u16,
        descriptor_len: usize,
    ) -> (Arc<Queue>, SubmissionRing, CompletionRing, Self) {
        let info = QpInfo {
            sqe_size: u32::try_from(descriptor_len).unwrap_or(0),
            sq_depth: submission_depth,
            cq_depth: completion_depth,
            reserved: 0,
        };
        match Self::with_info(info) {
            Some(all) => all,
            None => panic!(
                "no queue of {submission_depth} and {completion_depth} entries and {descriptor_len} bytes"
            ),
        }
    }

    fn with_info(info: QpInfo) -> Option<(Arc<Queue>, SubmissionRing, CompletionRing, Self)> {
        // As the kernel sizes it: both rings, rounded up to a page, and one page more (uacce-qm §3.2).
        let rings = usize::try_from(info.sqe_size).ok()? * usize::from(info.sq_depth)
            + size_of::<CompletionEntry>() * usize::from(info.cq_depth);
        let len = rings.next_multiple_of(PAGE) + PAGE;
        let layout = Layout::new(info, len)?;
        let words: Arc<[AtomicU64]> = (0..len / size_of::<u64>()).map(|_| AtomicU64::new(0)).collect();

        let (file, peer) = UnixStream::pair().ok()?;
        let reader = file.try_clone().ok()?;
        reader.set_nonblocking(true).ok()?;
        let file = QueueFile::new(File::from(OwnedFd::from(file))).ok()?;
        let shared = Arc::new(Shared {
            memory: Region::heap(Arc::clone(&words)),
            layout,
            state: Mutex::new(State {
                events: Events { peer: Some(peer), reader: Some(reader), token: false },
                tail: 0,
                taken: 0,
                written: 0,
                phase: 1,
                acknowledged: 0,
                armed: true,
                doorbells: VecDeque::new(),
                put: false,
                held: false,
            }),
            changed: Condvar::new(),
        });
        let queue = Queue::new(
            Doorbell::Fake(Arc::clone(&shared)),
            Region::heap(words),
            file,
            layout,
            Version::V2,
            FAKE_QUEUE_NUMBER,
        );
        let (queue, submission, completion) = queue.rings();
        Some((queue, submission, completion, Self { shared }))
    }

    /// The next submitted descriptor, in order. Waits for a doorbell up to `timeout`; `None` then, and after
    /// [`Queue::stop`].
    pub fn take(&self, timeout: Duration) -> Option<Submission> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if state.put {
                return None;
            }
            if state.taken != state.tail {
                break;
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let layout = &self.shared.layout;
        let slot = state.taken;
        let mut descriptor = vec![0; layout.descriptor_len()];
        self.shared.memory.copy_out(layout.slot(slot), &mut descriptor)?;
        state.taken = after(slot, layout.submission_depth());
        Some(Submission { slot, descriptor })
    }

    /// Writes `descriptor` back into `slot`, then a completion entry for it, then raises the event if one was asked for.
    /// In any order of slots; twice for one slot, or for a slot never submitted, is a misbehaving device.
    ///
    /// False, and nothing touched, after [`Queue::stop`].
    pub fn complete(&self, slot: u16, descriptor: &[u8]) -> bool {
        let state = self.shared.lock();
        if state.put {
            return false;
        }
        // Beyond the ring or of another length: nothing is written, the entry below stands alone.
        if slot < self.shared.layout.submission_depth()
            && descriptor.len() == self.shared.layout.descriptor_len()
        {
            let _ = self.shared.memory.copy_in(self.shared.layout.slot(slot), descriptor);
        }
        self.shared.write_entry(state, slot, Phase::Right)
    }

    /// Writes a completion entry that names `slot` (any number), touching no descriptor. With [`Phase::Wrong`] the
    /// device's own place does not advance and no event is raised: the next entry goes to the same place.
    ///
    /// False, and nothing touched, after [`Queue::stop`].
    pub fn write_entry(&self, slot: u16, phase: Phase) -> bool {
        let state = self.shared.lock();
        if state.put {
            return false;
        }
        self.shared.write_entry(state, slot, phase)
    }

    /// Answers every descriptor with what `work` makes of it, in order, until the queue is stopped.
    pub fn serve(&self, mut work: impl FnMut(&mut [u8])) {
        loop {
            match self.take(Duration::from_secs(1)) {
                Some(mut submission) => {
                    work(&mut submission.descriptor);
                    self.complete(submission.slot, &submission.descriptor);
                }
                None if self.put() => return,
                None => {}
            }
        }
    }

    /// Sets the status words: 1 stops sending (`ds_tx`) or receiving (`ds_rx`). No event: kernels raise none.
    pub fn set_status(&self, send: u32, receive: u32) {
        self.shared.set_status(send, receive);
    }

    /// Every doorbell since the last call, oldest first.
    pub fn doorbells(&self) -> Vec<ObservedDoorbell> {
        self.shared.lock().doorbells.drain(..).collect()
    }

    /// Makes the queue's file readable for no reason.
    pub fn wake(&self) {
        self.shared.lock().events.raise();
    }

    /// Hangs up, as a killed simulator does: the file is readable and hung up for ever.
    pub fn hang_up(&self) {
        self.shared.lock().events.peer = None;
    }

    /// While `held`, [`Queue::stop`] does not return: the kernel drains for as long.
    pub fn hold_stop(&self, held: bool) {
        self.shared.lock().held = held;
        self.shared.changed.notify_all();
    }

    /// [`Queue::stop`] was called, maybe held; or the queue was dropped.
    pub fn put(&self) -> bool {
        self.shared.lock().put
    }

    /// Waits until [`Self::put`] is true or `timeout` passes; says which.
    pub fn wait_put(&self, timeout: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, timeout, |state| !state.put);
        waited.unwrap_or_else(PoisonError::into_inner).0.put
    }
}

/// What the queue and its device share.
#[derive(Debug)]
pub(crate) struct Shared {
    memory: Region,
    layout: Layout,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    events: Events,
    /// Latest submission doorbell.
    tail: u16,
    /// Next slot to take.
    taken: u16,
    /// Next completion entry to write.
    written: u16,
    phase: u16,
    /// Latest completion doorbell.
    acknowledged: u16,
    armed: bool,
    doorbells: VecDeque<ObservedDoorbell>,
    put: bool,
    held: bool,
}

/// The queue's file is one end of a socket pair; one byte in it is one event.
#[derive(Debug)]
struct Events {
    peer: Option<UnixStream>,
    reader: Option<UnixStream>,
    token: bool,
}

impl Events {
    fn raise(&mut self) {
        if let Some(peer) = self.peer.as_mut().filter(|_| !self.token) {
            self.token = peer.write_all(&[1]).is_ok();
        }
    }

    fn clear(&mut self) {
        if let Some(reader) = self.reader.as_mut().filter(|_| self.token) {
            let _ = reader.read(&mut [0]);
            self.token = false;
        }
    }
}

impl Shared {
    /// One store to the doorbell register.
    pub(crate) fn ring(&self, word: u64) {
        let field = |low: u32, bits: u32| u16::try_from(word >> low & ((1 << bits) - 1)).unwrap_or(0);
        let bell = ObservedDoorbell {
            command: field(12, 4),
            index: field(32, 16),
            arm: field(48, 8) != 0,
            queue: field(0, 12),
        };
        let mut state = self.lock();
        state.doorbells.push_back(bell);
        // Hardware drops what names another queue, a random number that does not match, or an index beyond the ring.
        if bell.queue != FAKE_QUEUE_NUMBER || field(16, 16) != 0 {
            return;
        }
        match bell.command {
            abi::DOORBELL_SQ if bell.index < self.layout.submission_depth() => {
                state.tail = bell.index;
                self.changed.notify_all();
            }
            abi::DOORBELL_CQ if bell.index < self.layout.completion_depth() => {
                state.events.clear();
                state.acknowledged = bell.index;
                state.armed = bell.arm;
                if state.armed && state.acknowledged != state.written {
                    state.armed = false;
                    state.events.raise();
                }
            }
            _ => {}
        }
    }

    /// `PUT_Q`.
    pub(crate) fn put(&self) {
        let mut state = self.lock();
        state.put = true;
        self.changed.notify_all();
        while state.held {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // The event socket goes with the queue, which would otherwise be read after its number was closed.
        state.events.reader = None;
    }

    fn write_entry(&self, mut state: MutexGuard<'_, State>, slot: u16, phase: Phase) -> bool {
        let depth = self.layout.completion_depth();
        let at = self.layout.entry(state.written);
        if phase == Phase::Right && after(state.written, depth) == state.acknowledged {
            self.set_status(1, 1);
            return false;
        }
        let bit = state.phase ^ u16::from(phase == Phase::Wrong);
        let _ = self.memory.store_u16(at + std::mem::offset_of!(CompletionEntry, sq_head), slot);
        let _ = self.memory.store_u16(at + std::mem::offset_of!(CompletionEntry, sq_num), FAKE_QUEUE_NUMBER);
        // Last, with release: who sees the phase sees the rest.
        let _ = self.memory.store_u16(at + std::mem::offset_of!(CompletionEntry, w7), bit);
        if phase == Phase::Wrong {
            return true;
        }
        state.written = after(state.written, depth);
        if state.written == 0 {
            state.phase ^= 1;
        }
        if state.armed {
            state.armed = false;
            state.events.raise();
        }
        true
    }

    fn set_status(&self, send: u32, receive: u32) {
        let _ = self.memory.store_u32(self.layout.status_tx(), send);
        let _ = self.memory.store_u32(self.layout.status_rx(), receive);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn after(index: u16, depth: u16) -> u16 {
    if index + 1 == depth { 0 } else { index + 1 }
}

const PAGE: usize = 4096;
