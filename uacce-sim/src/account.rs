//! What devices did: counts per queue and device, for `uacce-sim top`, and records for whoever traces.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::describe;
use crate::device::Engine;
use crate::os::client::ClientSpace;
use crate::trace::Tracer;
use crate::trace::record::{Kind, Record};

/// A device's account.
pub struct Account {
    engine: Engine,
    device: String,
    tracer: Arc<Tracer>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    open: Vec<Weak<Tally>>,
    /// Of queues that are closed.
    closed: Counts,
    last_failure: Option<Failure>,
}

/// What one open queue did.
pub struct Tally {
    account: Arc<Account>,
    number: u16,
    process: u32,
    opened: Instant,
    class: AtomicU16,
    rung: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    /// The last completed descriptor.
    last: Mutex<Vec<u8>>,
    last_failure: Mutex<Option<Failure>>,
}

/// Counts since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests rung.
    pub rung: u64,
    /// Requests answered.
    pub completed: u64,
    /// Of those, with an error in the descriptor.
    pub failed: u64,
    /// Bytes of plain data worked on.
    pub bytes: u64,
    /// Doorbells dropped: for another queue, malformed, or more requests than the ring holds.
    pub dropped: u64,
}

/// An answer with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// What was asked for.
    pub operation: String,
    /// What the descriptor said.
    pub what: String,
}

/// A queue at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    /// Queue number.
    pub queue: u16,
    /// Queue class.
    pub class: u16,
    /// The process that opened it.
    pub process: u32,
    /// The name of its program.
    pub command: String,
    /// Seconds since it was opened.
    pub age: f64,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// The last operation answered.
    pub operation: Option<String>,
    /// The last answer with an error.
    pub last_failure: Option<Failure>,
}

/// A device at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceState {
    /// Entry in `/dev`.
    pub device: String,
    /// Queues it has.
    pub queues: u16,
    /// `normal`, `stopped` or `removed`.
    pub condition: String,
    /// Counts of all its queues, open and closed.
    #[serde(flatten)]
    pub counts: Counts,
    /// The last answer with an error, of any queue.
    pub last_failure: Option<Failure>,
    /// Its open queues.
    pub open: Vec<QueueState>,
}

/// What happened to a request, for the trace.
pub struct Event<'a> {
    /// Submission or completion.
    pub kind: Kind,
    /// Submission slot.
    pub slot: u16,
    /// Counts the queue's requests from 0.
    pub number: u64,
    /// Since the doorbell.
    pub rung: Instant,
    /// As it lies in the ring.
    pub descriptor: &'a [u8],
}

impl Account {
    /// An account without entries.
    pub fn new(engine: Engine, device: String, tracer: Arc<Tracer>) -> Arc<Self> {
        Arc::new(Self { engine, device, tracer, books: Mutex::default() })
    }

    /// A queue was opened by this process.
    pub fn open(self: &Arc<Self>, number: u16, process: u32) -> Arc<Tally> {
        let tally = Arc::new(Tally {
            account: Arc::clone(self),
            number,
            process,
            opened: Instant::now(),
            class: AtomicU16::new(0),
            rung: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            last: Mutex::default(),
            last_failure: Mutex::default(),
        });
        let mut books = self.books.lock();
        books.open.retain(|tally| tally.strong_count() > 0);
        books.open.push(Arc::downgrade(&tally));
        tally
    }

    /// How things stand.
    pub fn state(&self, queues: u16, condition: &str) -> DeviceState {
        let books = self.books.lock();
        let mut state = DeviceState {
            device: self.device.clone(),
            queues,
            condition: condition.to_owned(),
            counts: books.closed,
            last_failure: books.last_failure.clone(),
            open: Vec::new(),
        };
        let open: Vec<_> = books.open.iter().filter_map(Weak::upgrade).collect();
        drop(books);
        for tally in open {
            let queue = tally.state();
            state.counts.add(&queue.counts);
            if queue.last_failure.as_ref().map(|failure| failure.time)
                > state.last_failure.as_ref().map(|failure| failure.time)
            {
                state.last_failure.clone_from(&queue.last_failure);
            }
            state.open.push(queue);
        }
        state.open.sort_by_key(|queue| queue.queue);
        state
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.rung += other.rung;
        self.completed += other.completed;
        self.failed += other.failed;
        self.bytes += other.bytes;
        self.dropped += other.dropped;
    }
}

impl Tally {
    /// The queue's class became known.
    pub fn set_class(&self, class: u16) {
        self.class.store(class, Ordering::Relaxed);
    }

    /// A doorbell rang for so many requests; returns the number of the first.
    pub fn rung(&self, count: u16) -> u64 {
        self.rung.fetch_add(count.into(), Ordering::Relaxed)
    }

    /// A doorbell was dropped.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was answered with this descriptor.
    pub fn completed(&self, descriptor: &[u8]) {
        self.completed.fetch_add(1, Ordering::Relaxed);
        let engine = self.account.engine;
        let class = self.class.load(Ordering::Relaxed);
        if engine != Engine::Hpre {
            let bytes = describe::bytes(engine, class, descriptor);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        if let Some(what) = describe::failure(engine, descriptor) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            let operation = describe::work(engine, class, descriptor, |_, _| None).name;
            *self.last_failure.lock() = Some(Failure { time: crate::trace::now(), operation, what });
        }
        let mut last = self.last.lock();
        last.clear();
        last.extend(descriptor);
    }

    /// A request was done with whose client is gone: neither its work nor its error.
    pub fn orphaned(&self) {
        self.completed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether anybody traces: whether [`Tally::trace`] needs calling.
    pub fn is_traced(&self) -> bool {
        self.account.tracer.is_on()
    }

    /// Tells whoever traces.
    pub fn trace(&self, event: &Event<'_>, space: &dyn ClientSpace) {
        let took = match event.kind {
            Kind::Completion => u64::try_from(event.rung.elapsed().as_nanos()).unwrap_or(u64::MAX),
            _ => 0,
        };
        let record = Record {
            kind: event.kind,
            engine: self.account.engine,
            device: self.account.device.clone(),
            queue: self.number,
            class: self.class.load(Ordering::Relaxed),
            slot: event.slot,
            process: self.process,
            number: event.number,
            took,
            time: crate::trace::now(),
            descriptor: event.descriptor.to_vec(),
            payload: Vec::new(),
        };
        self.account.tracer.record(record, space);
    }

    fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Completions first: never more of them than requests.
        let (completed, failed, bytes) = (load(&self.completed), load(&self.failed), load(&self.bytes));
        Counts { rung: load(&self.rung), completed, failed, bytes, dropped: load(&self.dropped) }
    }

    fn state(&self) -> QueueState {
        let class = self.class.load(Ordering::Relaxed);
        let last = self.last.lock().clone();
        let command = std::fs::read_to_string(format!("/proc/{}/comm", self.process)).unwrap_or_default();
        QueueState {
            queue: self.number,
            class,
            process: self.process,
            command: command.trim_end().to_owned(),
            age: self.opened.elapsed().as_secs_f64(),
            counts: self.counts(),
            operation: (!last.is_empty())
                .then(|| describe::work(self.account.engine, class, &last, |_, _| None).name),
            last_failure: self.last_failure.lock().clone(),
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let mut books = self.account.books.lock();
        books.closed.add(&self.counts());
        if let Some(failure) = self.last_failure.get_mut().take() {
            if books.last_failure.as_ref().is_none_or(|last| last.time < failure.time) {
                books.last_failure = Some(failure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_queues_keep_counting_for_their_device() {
        let account = Account::new(Engine::Zip, "hisi_zip-1".to_owned(), Arc::default());
        let mut descriptor = vec![0; 128];
        descriptor[0] = 100;
        descriptor[36] = 2;
        let (first, second) = (account.open(5, 1), account.open(4, 2));
        assert_eq!((first.rung(3), first.rung(1), second.rung(1)), (0, 3, 0));
        first.completed(&descriptor);
        descriptor[12] = 0x0E;
        second.completed(&descriptor);
        second.dropped();
        let state = account.state(8, "normal");
        assert_eq!(state.counts, Counts { rung: 5, completed: 2, failed: 1, bytes: 200, dropped: 1 });
        assert_eq!(state.open.iter().map(|queue| queue.queue).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(state.open[1].operation.as_deref(), Some("deflate-zlib"));
        assert_eq!(state.last_failure.as_ref().unwrap().what, "status 0x0e (no room)");
        drop((first, second));
        let after = account.state(8, "normal");
        assert_eq!((after.counts, after.open.len()), (state.counts, 0));
        assert_eq!(after.last_failure, state.last_failure);
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<DeviceState>(&text).unwrap(), state);
    }
}
