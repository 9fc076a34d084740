//! The ring service of one started queue: doorbells in, descriptors through the model, completions out (uacce-qm §3.3, §4).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use uacce_sim_protocol::control;

use crate::account::{Event, Tally};
use crate::describe;
use crate::device::{COMPLETION_LEN, DEPTH, Device, Doorbell, Service};
use crate::doorbell::{COMPLETION, Layout, SUBMISSION};
use crate::fault::Kind;
use crate::fault::damage::{Damage, Damaging};
use crate::model::Model;
use crate::note;
use crate::os::client::{ClientMemory, ClientSpace};
use crate::os::process::precise_sleeps;
use crate::os::region::Region;
use crate::os::socket;
use crate::spin::{self, Spin};
use crate::trace::record::Kind as Recorded;
use crate::trouble::{self, Line, Trouble};

/// What a worker needs to know.
pub struct Plan {
    /// Whose queue it is.
    pub device: Arc<Device>,
    /// How a reset reaches it.
    pub line: Arc<Line>,
    /// Where it is counted.
    pub tally: Arc<Tally>,
    /// Queue number, as doorbells and completions name it.
    pub number: u16,
    /// Queue class.
    pub class: u16,
    /// Bytes per descriptor, a multiple of 4.
    pub descriptor_len: usize,
    /// What computes.
    pub model: Box<dyn Model>,
    /// Spinning, doorbell mode.
    pub service: Service,
    /// Submission ring, completion ring, status words.
    pub rings: Arc<Region>,
    /// Doorbell region with its control page.
    pub doorbell: Arc<Region>,
    /// Offset of the control page.
    pub control: usize,
    /// How a doorbell word reads.
    pub layout: Layout,
    /// The opener's address space.
    pub memory: Arc<ClientMemory>,
    /// What the addresses in descriptors lead to.
    pub space: Arc<dyn ClientSpace + Send + Sync>,
    /// Where readiness tokens go.
    pub socket: Arc<OwnedFd>,
}

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After everything rung so far is complete.
    Drain,
    /// After the request at hand; nobody waits for the others.
    Abandon,
}

/// A running worker.
pub struct Worker {
    thread: JoinHandle<()>,
    ending: Arc<AtomicU8>,
    doorbell: Arc<Region>,
    sequence: usize,
}

impl Worker {
    /// Starts serving: head and tail 0, phase 1, armed (uacce-qm §2.7, §4.2).
    /// # Errors
    /// When the kernel has no thread to give.
    pub fn start(plan: Plan) -> io::Result<Self> {
        let ending = Arc::new(AtomicU8::new(RUNNING));
        let doorbell = Arc::clone(&plan.doorbell);
        let sequence = plan.control + control::SEQUENCE;
        // Before the client learns that START succeeded: a doorbell rung right after it must not be taken for an old one.
        let serving = Serving::new(plan, Arc::clone(&ending));
        let thread =
            thread::Builder::new().name("queue".to_owned()).stack_size(STACK_LEN).spawn(|| serving.run())?;
        Ok(Self { thread, ending, doorbell, sequence })
    }

    /// Ends the worker and waits for it.
    pub fn stop(self, ending: Ending) {
        let word = match ending {
            Ending::Drain => DRAIN,
            Ending::Abandon => ABANDON,
        };
        self.ending.store(word, Ordering::SeqCst);
        self.doorbell.word32(self.sequence).fetch_add(1, Ordering::SeqCst);
        self.doorbell.wake(self.sequence);
        if self.thread.join().is_err() {
            note!("a queue's worker panicked");
        }
    }
}

/// A request between doorbell and completion.
struct Flight {
    slot: u16,
    /// Counts the queue's requests.
    number: u64,
    /// When its doorbell rang.
    rung: Instant,
    /// Not to be completed before.
    due: Option<Instant>,
    /// What goes wrong with its completion.
    faults: Vec<Kind>,
    /// The descriptor words that changed, once computed: (offset in the descriptor, new value).
    result: Option<Vec<(usize, u32)>>,
    /// The address space it names is gone: whatever came of it is nobody's error.
    orphaned: bool,
}

/// What came of one turn.
enum Turn {
    Worked,
    /// Nothing to do as long as the control page's sequence is this.
    Idle(u32),
    Ended,
}

struct Serving {
    plan: Plan,
    ending: Arc<AtomicU8>,
    flights: VecDeque<Flight>,
    /// How many of `flights`, from the front, are computed.
    computed: usize,
    submission_tail: u16,
    completion_tail: u16,
    completion_head: u16,
    phase: bool,
    armed: bool,
    /// When the engine has done what slow requests keep it busy with.
    engine_free: Option<Instant>,
    submissions_seen: u64,
    completions_seen: u64,
    /// With polled doorbells, the submission ring as last completed: a descriptor that differs is new. Else empty.
    ring_seen: Vec<u8>,
    /// Someone waits though nothing is outstanding: since when the descriptor that would be next looks like this.
    unrung: Option<(Instant, Vec<u8>)>,
    spin: Spin,
}

impl Serving {
    fn new(plan: Plan, ending: Arc<AtomicU8>) -> Self {
        let count = |offset: usize| plan.doorbell.word64(plan.control + offset).load(Ordering::Acquire);
        let (submissions_seen, completions_seen) =
            (count(control::SUBMISSION_COUNT), count(control::COMPLETION_COUNT));
        for offset in [control::COMPLETIONS, control::POLLED_COMPLETIONS] {
            plan.doorbell.word64(plan.control + offset).store(0, Ordering::Relaxed);
        }
        let mut ring_seen = Vec::new();
        if plan.service.doorbell == Doorbell::Poll {
            plan.doorbell.word64(plan.layout.offset()).store(NOT_RUNG, Ordering::SeqCst);
            ring_seen.resize(plan.descriptor_len * usize::from(DEPTH), 0);
            plan.rings.copy_out(0, &mut ring_seen);
        }
        Self {
            spin: Spin::new(plan.service.spin),
            plan,
            ending,
            flights: VecDeque::new(),
            computed: 0,
            submission_tail: 0,
            completion_tail: 0,
            completion_head: 0,
            phase: true,
            armed: true,
            engine_free: None,
            submissions_seen,
            completions_seen,
            ring_seen,
            unrung: None,
        }
    }

    fn run(mut self) {
        precise_sleeps();
        spin::awake();
        self.plan.line.set_started(true);
        loop {
            match self.turn() {
                Turn::Worked => {}
                Turn::Idle(sequence) => self.wait(sequence),
                Turn::Ended => break,
            }
        }
        self.plan.line.set_started(false);
        spin::asleep();
    }

    /// Does what is to be done next.
    fn turn(&mut self) -> Turn {
        // The order matters: sequence and ending first, then doorbells. Whatever comes later changes the sequence, and
        // the wait below returns at once.
        let sequence = self.control32(control::SEQUENCE);
        let ending = self.ending.load(Ordering::SeqCst);
        if ending == ABANDON {
            return Turn::Ended;
        }
        if self.plan.line.is_halted() {
            // Outstanding requests are lost, doorbells have no effect (uacce-qm §5.1).
            self.flights.clear();
            self.computed = 0;
            self.plan.line.set_quiet();
            return if ending == DRAIN { Turn::Ended } else { Turn::Idle(sequence) };
        }
        self.take_doorbells();
        self.take_unrung();
        if self.complete_due() || self.compute_next() {
            return Turn::Worked;
        }
        if ending == DRAIN && self.flights.is_empty() { Turn::Ended } else { Turn::Idle(sequence) }
    }

    fn take_doorbells(&mut self) {
        match self.plan.service.doorbell {
            Doorbell::Trap => {
                // Word before count on the writer's side, count before word here: the word is at least as new.
                let count = self.control64(control::SUBMISSION_COUNT);
                if count != self.submissions_seen {
                    self.submissions_seen = count;
                    self.ring(self.control64(control::SUBMISSION_DOORBELL), SUBMISSION);
                }
                let count = self.control64(control::COMPLETION_COUNT);
                if count != self.completions_seen {
                    self.completions_seen = count;
                    self.ring(self.control64(control::COMPLETION_DOORBELL), COMPLETION);
                }
            }
            Doorbell::Poll => {
                let word = self.plan.doorbell.word64(self.plan.layout.offset());
                if word.load(Ordering::Acquire) != NOT_RUNG {
                    let rung = word.swap(NOT_RUNG, Ordering::AcqRel);
                    self.ring(rung, self.plan.layout.read(rung).command);
                }
            }
        }
    }

    /// Acts on a doorbell word (uacce-qm §3.3). A word for another queue or with a wrong random field is dropped, as by the
    /// hardware.
    fn ring(&mut self, word: u64, expected_command: u16) {
        let rung = self.plan.layout.read(word);
        let heeded = rung.queue == self.plan.number && rung.valid && rung.command == expected_command;
        if !heeded || rung.index >= DEPTH {
            note!("queue {}: doorbell {word:#018x} dropped", self.plan.number);
            self.plan.tally.dropped();
            return;
        }
        match rung.command {
            SUBMISSION => self.submitted(rung.index),
            COMPLETION => self.consumed(rung.index, rung.priority & 1 == 1),
            // Event-queue doorbells are the kernel's.
            _ => {}
        }
    }

    fn submitted(&mut self, tail: u16) {
        let new = (tail + DEPTH - self.submission_tail) % DEPTH;
        if self.flights.len() + usize::from(new) >= usize::from(DEPTH) {
            note!("queue {}: more than {} requests at once, doorbell dropped", self.plan.number, DEPTH - 1);
            self.plan.tally.dropped();
            return;
        }
        let (rung, first) = (Instant::now(), self.plan.tally.rung(new));
        let traced = self.plan.tally.is_traced();
        for step in 0..new {
            let slot = (self.submission_tail + step) % DEPTH;
            let number = first + u64::from(step);
            if traced {
                self.trace(Recorded::Submission, slot, slot, number, rung);
            }
            self.flights.push_back(Flight {
                slot,
                number,
                rung,
                due: None,
                faults: Vec::new(),
                result: None,
                orphaned: false,
            });
        }
        self.submission_tail = tail;
    }

    /// The client has consumed completions up to `head`, and wants an event for the next one or not.
    fn consumed(&mut self, head: u16, arm: bool) {
        self.completion_head = head;
        self.armed = arm;
        let waits_for_nothing = arm && self.flights.is_empty() && head == self.completion_tail;
        if waits_for_nothing && !self.ring_seen.is_empty() {
            self.unrung = Some((Instant::now(), self.next_descriptor()));
        }
        // Completed between the client's last look and this doorbell: nothing else would wake it.
        if self.armed && self.completion_head != self.completion_tail {
            self.send_token();
        }
    }

    /// Takes a descriptor of which no doorbell has told. A hardware register takes every store; a polled one keeps the last: who
    /// submits one request and asks at once for an event stores twice, and maybe only the second is seen. Who asks first and
    /// writes a descriptor then still has its doorbell to ring, so it must have been lying there for a while.
    fn take_unrung(&mut self) {
        let Some((since, descriptor)) = &self.unrung else { return };
        if !self.flights.is_empty() {
            self.unrung = None;
            return;
        }
        let next = self.next_descriptor();
        if next != *descriptor {
            self.unrung = Some((Instant::now(), next));
        } else if since.elapsed() >= SETTLED {
            self.unrung = None;
            let at = usize::from(self.submission_tail) * self.plan.descriptor_len;
            if self.ring_seen.get(at..at + next.len()) != Some(&next) {
                self.submitted((self.submission_tail + 1) % DEPTH);
            }
        }
    }

    /// What lies where the next request would.
    fn next_descriptor(&self) -> Vec<u8> {
        let mut descriptor = vec![0; self.plan.descriptor_len];
        let at = usize::from(self.submission_tail) * self.plan.descriptor_len;
        self.plan.rings.copy_out(at, &mut descriptor);
        descriptor
    }

    /// Computes the first request not yet computed. In order: completions of a queue are, so a later result is of no use.
    fn compute_next(&mut self) -> bool {
        let Some(flight) = self.flights.get_mut(self.computed) else { return false };
        let at = usize::from(flight.slot) * self.plan.descriptor_len;
        let mut descriptor = vec![0; self.plan.descriptor_len];
        self.plan.rings.copy_out(at, &mut descriptor);
        let submitted = descriptor.clone();
        let device = &self.plan.device;
        if !device.faults.is_empty() {
            flight.faults = device.faults.request(self.plan.class);
        }
        for kind in &flight.faults {
            match kind {
                Kind::Late(time) => flight.due = Some(flight.due.unwrap_or_else(Instant::now) + *time),
                Kind::Slow(time) => {
                    let begin = self.engine_free.map_or_else(Instant::now, |free| free.max(Instant::now()));
                    self.engine_free = Some(begin + *time);
                    flight.due = flight.due.max(self.engine_free);
                }
                Kind::Reset(time) => trouble::begin(device, Trouble::Reset(*time)),
                Kind::Isolate => trouble::begin(device, Trouble::Isolation),
                Kind::Unplug(memory) => trouble::begin(device, Trouble::Removal(*memory)),
                _ => {}
            }
        }
        if flight.faults.iter().any(is_device_wide) {
            // Lost with all others: what stops the queue comes at once.
            self.flights.clear();
            self.computed = 0;
            return true;
        }
        let damage = Damage::of(&flight.faults);
        // After an exec the process id leads to a new program, which never lent us anything.
        let alive = self.plan.memory.is_alive();
        if damage.status.is_none() && alive {
            let memory = Damaging { space: &*self.plan.space, damage: &damage };
            let space: &dyn ClientSpace =
                if damage.bytes || damage.short { &memory } else { &*self.plan.space };
            let model = &mut self.plan.model;
            let begin = Instant::now();
            let ran = catch_unwind(AssertUnwindSafe(|| model.execute(&mut descriptor, space)));
            if let Some(usage) = &device.usage {
                usage.add(self.plan.class, begin.elapsed());
            }
            if ran.is_err() {
                note!("queue {}: the model panicked; the request stays unprocessed", self.plan.number);
                descriptor.clone_from(&submitted);
            }
        }
        // It may have gone while the engine worked.
        let failed = describe::failure(device.description.engine, &descriptor).is_some();
        flight.orphaned = !alive || failed && !self.plan.memory.is_alive();
        damage.deface(device.description.engine, &mut descriptor);
        if !device.pace.is_immediate() {
            let memory = &*self.plan.space;
            let work = describe::work(device.description.engine, self.plan.class, &descriptor, |at, len| {
                is_small(at, len, memory)
            });
            let late = flight.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(flight.rung));
            flight.due = Some(device.pace.due(flight.rung, self.plan.class, &work) + late);
        }
        flight.result = Some(changed_words(&submitted, &descriptor));
        self.computed += 1;
        true
    }

    /// Completes the first request if it is computed and due.
    fn complete_due(&mut self) -> bool {
        let ready = self.flights.front().is_some_and(|flight| {
            flight.result.is_some() && flight.due.is_none_or(|due| due <= Instant::now())
        });
        if !ready {
            return false;
        }
        let Some(flight) = self.flights.pop_front() else { return false };
        self.computed -= 1;
        let at = usize::from(flight.slot) * self.plan.descriptor_len;
        for (offset, word) in flight.result.unwrap_or_default() {
            self.plan.rings.word32(at + offset).store(word, Ordering::Relaxed);
        }
        let (mut slot, mut entries, mut phase) = (flight.slot, 1, self.phase);
        for kind in &flight.faults {
            match kind {
                Kind::Lost => entries = 0,
                Kind::Twice => entries = 2,
                Kind::Wild(wild) => slot = *wild,
                Kind::Phase => phase = !phase,
                _ => {}
            }
        }
        let at = usize::from(flight.slot) * self.plan.descriptor_len;
        let mut descriptor = [0; MAX_DESCRIPTOR_LEN];
        let descriptor = descriptor.get_mut(..self.plan.descriptor_len).unwrap_or_default();
        self.plan.rings.copy_out(at, descriptor);
        if flight.orphaned {
            self.plan.tally.orphaned();
        } else {
            self.plan.tally.completed(descriptor);
        }
        if let Some(seen) = self.ring_seen.get_mut(at..at + descriptor.len()) {
            seen.copy_from_slice(descriptor);
        }
        let traced = self.plan.tally.is_traced();
        for _ in 0..entries {
            if traced {
                self.trace(Recorded::Completion, flight.slot, slot, flight.number, flight.rung);
            }
            self.publish(slot, phase);
        }
        true
    }

    /// Records the descriptor in `slot`; `shown` is the slot as the client is told of it.
    fn trace(&self, kind: Recorded, slot: u16, shown: u16, number: u64, rung: Instant) {
        let mut descriptor = vec![0; self.plan.descriptor_len];
        self.plan.rings.copy_out(usize::from(slot) * self.plan.descriptor_len, &mut descriptor);
        let event = Event { kind, slot: shown, number, rung, descriptor: &descriptor };
        self.plan.tally.trace(&event, &*self.plan.space);
    }

    /// Writes a completion entry (uacce-qm §4.1); its phase last, so that whoever sees it sees the descriptor too.
    fn publish(&mut self, slot: u16, phase: bool) {
        let ring = self.plan.descriptor_len * usize::from(DEPTH);
        let at = ring + usize::from(self.completion_tail) * COMPLETION_LEN;
        let rings = &self.plan.rings;
        rings.word32(at).store(0, Ordering::Relaxed);
        rings.word32(at + 4).store(0, Ordering::Relaxed);
        rings.word32(at + 8).store(u32::from(slot) | u32::from(self.plan.number) << 16, Ordering::Relaxed);
        rings.word32(at + 12).store(u32::from(phase) << 16, Ordering::Release);
        let written = self.plan.doorbell.word64(self.plan.control + control::COMPLETIONS);
        written.fetch_add(1, Ordering::Release);
        self.completion_tail = (self.completion_tail + 1) % DEPTH;
        if self.completion_tail == 0 {
            self.phase = !self.phase;
        }
        // The arming may be what a polled register has lost.
        if self.armed || self.plan.service.doorbell == Doorbell::Poll {
            self.send_token();
        }
    }

    /// Makes the descriptor readable: at most one unread byte, one per arming.
    ///
    /// The flag is set before the byte goes out and once more after: the trap handler may have cleared it in between without
    /// finding the byte, which would then stay for ever. A flag without a byte only costs the handler one empty read.
    fn send_token(&mut self) {
        self.armed = false;
        self.plan.doorbell.word32(self.plan.control + control::EVENTS).fetch_add(1, Ordering::Release);
        let socket = self.plan.socket.as_fd();
        let flag = self.plan.doorbell.word32(self.plan.control + control::TOKEN);
        flag.store(1, Ordering::SeqCst);
        if !socket::unread(socket) {
            // Failing means the client is gone or does not read; both end elsewhere.
            let _ = socket::send(socket, &[1], &[]);
        }
        flag.store(1, Ordering::SeqCst);
    }

    /// Nothing to do: waits for a doorbell, an ending, or the time the first request is due.
    fn wait(&mut self, sequence: u32) {
        let settled = self.unrung.as_ref().map(|(since, _)| *since + SETTLED);
        let due = self.flights.front().and_then(|flight| flight.due).or(settled);
        let left = || {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            left.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)
        };
        let doorbell = Arc::clone(&self.plan.doorbell);
        let (at, control) = (self.plan.control, self.plan.control);
        let polled = self.plan.service.doorbell == Doorbell::Poll;
        let offset = self.plan.layout.offset();
        let rung = || {
            (polled && doorbell.word64(offset).load(Ordering::Relaxed) != NOT_RUNG)
                || doorbell.word32(at + control::SEQUENCE).load(Ordering::Relaxed) != sequence
        };
        let processor_free = spin::processor_is_free();
        if processor_free {
            let limit = left();
            // Timers are late by as much as this: a completion that is near is not slept for.
            if limit < APPROACH {
                Spin::for_time(limit, rung);
                return;
            }
            if self.spin.until(limit - APPROACH, rung) {
                return;
            }
        }
        let limit = if processor_free { left().saturating_sub(APPROACH) } else { left() };
        let before = Instant::now();
        spin::asleep();
        let sleeping = doorbell.word32(control + control::SLEEPING);
        sleeping.store(1, Ordering::SeqCst);
        // The kernel compares the sequence once more: a doorbell after our look makes the wait return at once.
        let limit = if polled { self.spin.pause().min(limit) } else { limit };
        doorbell.wait(control + control::SEQUENCE, sequence, limit);
        sleeping.store(0, Ordering::SeqCst);
        spin::awake();
        self.spin.slept(before.elapsed(), rung());
    }

    fn control32(&self, offset: usize) -> u32 {
        self.plan.doorbell.word32(self.plan.control + offset).load(Ordering::SeqCst)
    }

    fn control64(&self, offset: usize) -> u64 {
        self.plan.doorbell.word64(self.plan.control + offset).load(Ordering::Acquire)
    }
}

/// Whether the big-endian number at `at` fits in 64 bits: a public exponent does.
fn is_small(at: u64, len: usize, memory: &dyn ClientSpace) -> Option<bool> {
    let mut number = vec![0; len];
    memory.read(at, &mut number).ok()?;
    number.split_last_chunk::<8>().map(|(high, _)| high.iter().all(|byte| *byte == 0))
}

/// A worker without a thread, for whoever takes its turns.
#[cfg(any(test, feature = "fuzzing"))]
pub struct Stepped(Serving);

#[cfg(any(test, feature = "fuzzing"))]
impl Stepped {
    /// As [`Worker::start`].
    pub fn new(plan: Plan) -> Self {
        Self(Serving::new(plan, Arc::new(AtomicU8::new(RUNNING))))
    }

    /// Takes a turn; whether there was something to do.
    /// # Panics
    /// When what it knows of its rings contradicts itself.
    pub fn turn(&mut self) -> bool {
        let worked = matches!(self.0.turn(), Turn::Worked);
        let serving = &self.0;
        assert!(serving.flights.len() < usize::from(DEPTH), "more in flight than the ring holds");
        assert!(serving.computed <= serving.flights.len());
        let ends = [serving.submission_tail, serving.completion_tail, serving.completion_head];
        assert!(ends.iter().all(|end| *end < DEPTH), "{ends:?}");
        worked
    }
}

fn is_device_wide(kind: &Kind) -> bool {
    matches!(kind, Kind::Reset(_) | Kind::Isolate | Kind::Unplug(_))
}

fn changed_words(before: &[u8], after: &[u8]) -> Vec<(usize, u32)> {
    let words = before.chunks_exact(4).zip(after.chunks_exact(4)).enumerate();
    words
        .filter(|(_, (before, after))| before != after)
        .map(|(index, (_, after))| (index * 4, u32::from_ne_bytes([after[0], after[1], after[2], after[3]])))
        .collect()
}

const RUNNING: u8 = 0;
const DRAIN: u8 = 1;
const ABANDON: u8 = 2;
/// No client writes this doorbell: its random field is not 0.
const NOT_RUNG: u64 = u64::MAX;
const MAX_DESCRIPTOR_LEN: usize = 128;
const STACK_LEN: usize = 512 << 10;
/// A sleeping worker looks up this often even if nobody wakes it: a client may scribble over the futex word.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);
/// The last part of the way to a completion that is not due yet.
const APPROACH: Duration = Duration::from_micros(60);
/// How long a descriptor lies unchanged before it is taken without a doorbell.
const SETTLED: Duration = Duration::from_micros(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_words_are_written_back() {
        let before = [0u8; 16];
        let mut after = before;
        after[5] = 1;
        after[12] = 2;
        assert_eq!(
            changed_words(&before, &after),
            [(4, u32::from_ne_bytes([0, 1, 0, 0])), (12, u32::from_ne_bytes([2, 0, 0, 0]))]
        );
    }
}
