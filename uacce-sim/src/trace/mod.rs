//! `--trace` and `uacce-sim trace`: what clients send and what comes back, descriptor by descriptor.
//!
//! A record goes to whoever listens through a bounded queue to a thread of the listener's own: a slow disk or reader loses
//! records (and is told how many), never slows a request. Without listeners a request costs one load.

#[cfg(test)]
mod golden;
pub mod print;
pub mod record;

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use self::record::{Kind, MOST_PAYLOAD, Payload, Record, file_header};
use crate::describe;
use crate::model::segments::Segments;
use crate::note;
use crate::os::client::ClientSpace;

/// Sends records to its listeners.
#[derive(Default)]
pub struct Tracer {
    listeners: Mutex<Vec<Listener>>,
    /// How many there are.
    count: AtomicUsize,
    /// The most payload bytes of a buffer that any of them wants.
    payload: AtomicUsize,
}

struct Listener {
    sender: SyncSender<Vec<u8>>,
    missed: Arc<AtomicU64>,
    payload: usize,
    /// A file: worth waiting for at the end.
    thread: Option<JoinHandle<()>>,
}

impl Tracer {
    /// Adds a listener: a file or a connection, which gets at most `limit` bytes, and of each buffer at most `payload`.
    /// # Errors
    /// When the kernel has no thread to give.
    pub fn listen(
        &self,
        to: impl Write + Send + 'static,
        payload: usize,
        limit: u64,
        is_file: bool,
    ) -> io::Result<()> {
        let (sender, receiver) = sync_channel(WAITING_RECORDS);
        let missed = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&missed);
        let thread =
            thread::Builder::new().name("trace".to_owned()).stack_size(128 << 10).spawn(move || {
                if let Err(error) = write_records(BufWriter::new(to), &receiver, &counted, limit) {
                    if is_file {
                        note!("trace: {error}");
                    }
                }
            })?;
        let payload = payload.min(MOST_PAYLOAD);
        let mut listeners = self.listeners.lock();
        listeners.push(Listener { sender, missed, payload, thread: is_file.then_some(thread) });
        self.counted(&listeners);
        Ok(())
    }

    /// Whether anybody listens.
    pub fn is_on(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    /// Records a submission or completion; its payload is read from `space` if anybody asked for it.
    pub fn record(&self, mut record: Record, space: &dyn ClientSpace) {
        let most = self.payload.load(Ordering::Relaxed);
        if most > 0 {
            record.payload = payload(&record, most, space);
        }
        let mut plain = None;
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| {
            let packet = if listener.payload == 0 || record.payload.is_empty() {
                plain.get_or_insert_with(|| cut(&record, 0).encode()).clone()
            } else {
                cut(&record, listener.payload).encode()
            };
            match listener.sender.try_send(packet) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    listener.missed.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            }
        });
        self.counted(&listeners);
    }

    /// Ends all listening; what was recorded reaches its file.
    pub fn finish(&self) {
        let listeners = std::mem::take(&mut *self.listeners.lock());
        self.counted(&[]);
        for listener in listeners {
            drop(listener.sender);
            if let Some(thread) = listener.thread {
                if thread.join().is_err() {
                    note!("trace: the writer panicked");
                }
            }
        }
    }

    fn counted(&self, listeners: &[Listener]) {
        self.count.store(listeners.len(), Ordering::Relaxed);
        let most = listeners.iter().map(|listener| listener.payload).max();
        self.payload.store(most.unwrap_or(0), Ordering::Relaxed);
    }
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn write_records(
    mut to: BufWriter<impl Write>,
    from: &Receiver<Vec<u8>>,
    missed: &AtomicU64,
    limit: u64,
) -> io::Result<()> {
    let mut left = limit;
    let mut write = |to: &mut BufWriter<_>, bytes: &[u8]| {
        let len = bytes.len() as u64;
        if len + NOTE_LEN > left {
            to.write_all(&Record::note(Kind::Limit, 0, now()).encode())?;
            return Ok(false);
        }
        left -= len;
        io::Write::write_all(to, bytes).map(|()| true)
    };
    write(&mut to, &file_header())?;
    to.flush()?;
    loop {
        let packet = match from.try_recv() {
            Ok(packet) => packet,
            Err(TryRecvError::Empty) => {
                // Whoever watches sees everything as soon as there is nothing more to come.
                to.flush()?;
                match from.recv() {
                    Ok(packet) => packet,
                    Err(_) => return Ok(()),
                }
            }
            Err(TryRecvError::Disconnected) => return to.flush(),
        };
        let gap = missed.swap(0, Ordering::Relaxed);
        let room = gap == 0 || write(&mut to, &Record::note(Kind::Gap, gap, now()).encode())?;
        if !room || !write(&mut to, &packet)? {
            return to.flush();
        }
    }
}

/// Of a submission, what the device will read; of a completion, what it wrote.
fn payload(record: &Record, most: usize, space: &dyn ClientSpace) -> Vec<Payload> {
    let output = record.kind == Kind::Completion;
    let buffers = describe::buffers(record.engine, &record.descriptor).into_iter();
    buffers
        .filter(|buffer| buffer.output == output)
        .map(|buffer| {
            let count = buffer.len.min(most);
            let segments = if buffer.list {
                Segments::walk(buffer.at, buffer.skip, count, space)
            } else {
                Ok(Segments::flat(buffer.at, count))
            };
            let bytes = segments.and_then(|segments| segments.gather(count.min(segments.len()), space));
            Payload {
                name: buffer.name.to_owned(),
                len: u32::try_from(buffer.len).unwrap_or(u32::MAX),
                bytes: bytes.unwrap_or_default(),
            }
        })
        .collect()
}

fn cut(record: &Record, payload: usize) -> Record {
    let mut cut = Record { payload: Vec::new(), ..record.clone() };
    if payload > 0 {
        cut.payload.clone_from(&record.payload);
        cut.payload.iter_mut().for_each(|piece| piece.bytes.truncate(payload));
    }
    cut
}

/// Records that wait for a listener at most; about a megabyte without payload.
const WAITING_RECORDS: usize = 4096;
/// Bytes of a record without descriptor, kept free for the last one.
const NOTE_LEN: u64 = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Engine;
    use crate::model::testing::FlatMemory;

    /// A file that several may look at.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An RSA request with its key at the beginning of `FlatMemory`.
    fn request(kind: Kind) -> Record {
        let mut descriptor = vec![0; 64];
        let mut set =
            |index: usize, value: u32| descriptor[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
        let base = u32::try_from(FlatMemory::BASE).unwrap();
        set(0, if kind == Kind::Submission { 0x4000_0001 } else { 0xC000_0001 });
        set(1, 15);
        set(2, base);
        set(4, base + 1000);
        set(6, base + 2000);
        Record { kind, device: "hisi_hpre-0".to_owned(), descriptor, time: 5, ..Record::note(kind, 0, 0) }
    }

    fn records(file: &Shared) -> Vec<Record> {
        let bytes = file.0.lock().clone();
        let mut reader = print::Reader::new(&bytes[..]).unwrap();
        std::iter::from_fn(|| reader.next_record().unwrap()).collect()
    }

    #[test]
    fn payload_goes_only_where_it_was_asked_for() {
        let memory = FlatMemory::new(4096);
        memory.write(FlatMemory::BASE, &[0x77; 320]).unwrap();
        let tracer = Tracer::default();
        let (plain, with) = (Shared::default(), Shared::default());
        tracer.listen(plain.clone(), 0, u64::MAX, true).unwrap();
        tracer.listen(with.clone(), 8, u64::MAX, true).unwrap();
        assert!(tracer.is_on());
        tracer.record(request(Kind::Submission), &memory);
        tracer.record(request(Kind::Completion), &memory);
        tracer.finish();
        assert!(!tracer.is_on());
        assert!(records(&plain).iter().all(|record| record.payload.is_empty()));
        assert!(!plain.0.lock().windows(4).any(|window| window == [0x77; 4]), "a key in the file");
        let found = records(&with);
        let names: Vec<Vec<_>> = found
            .iter()
            .map(|record| {
                record
                    .payload
                    .iter()
                    .map(|piece| (piece.name.as_str(), piece.len, piece.bytes.len()))
                    .collect()
            })
            .collect();
        assert_eq!(names, [vec![("key", 320, 8), ("in", 128, 8)], vec![("out", 128, 8)]]);
        assert_eq!(found[0].payload[0].bytes, [0x77; 8]);
    }

    #[test]
    fn the_limit_ends_a_file_and_says_so() {
        let tracer = Tracer::default();
        let file = Shared::default();
        tracer.listen(file.clone(), 0, 1000, true).unwrap();
        let memory = FlatMemory::new(0);
        for _ in 0..100 {
            tracer.record(request(Kind::Submission), &memory);
        }
        tracer.finish();
        assert!(file.0.lock().len() <= 1000);
        let kinds: Vec<_> = records(&file).iter().map(|record| record.kind).collect();
        assert_eq!(kinds.last(), Some(&Kind::Limit));
        assert!(kinds.len() > 4);
    }

    /// A reader that does not read: requests go on, and the count of what it missed is right.
    #[test]
    fn slow_listeners_lose_records_and_learn_how_many() {
        struct Gate(Receiver<()>, Shared);
        impl Write for Gate {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                self.1.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (open, gate) = std::sync::mpsc::channel();
        let file = Shared::default();
        let tracer = Tracer::default();
        tracer.listen(Gate(gate, file.clone()), 0, u64::MAX, true).unwrap();
        let memory = FlatMemory::new(0);
        let sent = WAITING_RECORDS * 2;
        for _ in 0..sent {
            tracer.record(request(Kind::Submission), &memory);
        }
        drop(open);
        // The gap is told before the next record.
        while tracer.listeners.lock()[0].missed.load(Ordering::Relaxed) > 0 {
            tracer.record(request(Kind::Submission), &memory);
            thread::yield_now();
        }
        tracer.finish();
        let found = records(&file);
        let missed: u64 =
            found.iter().filter(|record| record.kind == Kind::Gap).map(|record| record.number).sum();
        assert!(missed > 0);
        let written = found.iter().filter(|record| record.kind == Kind::Submission).count();
        assert!(written as u64 + missed >= sent as u64);
        assert_eq!(records(&file)[0].engine, Engine::Hpre);
    }
}
