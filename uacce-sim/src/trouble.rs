//! What befalls a whole device: reset, isolation, removal (uacce-qm §5.1, §5.3, §5.4).

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uacce_sim_protocol::control;

use crate::device::Device;
use crate::fault::Unplugged;
use crate::note;
use crate::os::region::Region;

/// What befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Stopped, and usable again after this long.
    Reset(Duration),
    /// Stopped for good, `isolate` says 1.
    Isolation,
    /// No longer there.
    Removal(Unplugged),
}

/// How a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Fine.
    Normal,
    /// Stopped: open and START fail with EPERM.
    Stopped,
    /// Gone: everything fails with ENXIO.
    Removed,
}

/// The open queues of a device, and how it is.
#[derive(Default)]
pub struct Health {
    condition: AtomicU8,
    lines: Mutex<Vec<Weak<Line>>>,
}

/// What a reset reaches of one open queue.
pub struct Line {
    rings: Arc<Region>,
    doorbell: Arc<Region>,
    /// Offset of the control page in `doorbell`.
    control: usize,
    started: AtomicBool,
    halted: AtomicBool,
    quiet: AtomicBool,
    /// Reserved memory, to be taken away with the device.
    reserved: Mutex<Option<File>>,
}

impl Line {
    /// Of a queue with these regions; `control` is the offset of the control page.
    pub fn new(rings: Arc<Region>, doorbell: Arc<Region>, control: usize) -> Self {
        Self {
            rings,
            doorbell,
            control,
            started: AtomicBool::new(false),
            halted: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
            reserved: Mutex::new(None),
        }
    }

    /// Writes registers: offset in the doorbell region, and value.
    pub fn show_registers(&self, registers: &[(usize, u32)]) {
        for (offset, value) in registers {
            self.doorbell.word32(*offset).store(*value, Ordering::Relaxed);
        }
    }

    /// Nothing is told by `poll` any more (uacce-qm §2.7): put, or the device is removed.
    pub fn set_gone(&self) {
        self.doorbell.word32(self.control + control::GONE).store(control::GONE_SILENTLY, Ordering::SeqCst);
    }

    /// The queue has this reserved memory now, or none any more.
    pub fn set_reserved(&self, memory: Option<File>) {
        *self.reserved.lock() = memory;
    }

    /// The device is removed. Whether the pages of its regions go with it depends; of the doorbell region only stores
    /// become faults, by the trap that serves them.
    fn remove(&self, memory: Unplugged) {
        self.set_gone();
        if memory == Unplugged::Readable {
            return;
        }
        self.doorbell.word32(self.control + control::GONE).store(control::GONE_WITH_MEMORY, Ordering::SeqCst);
        let cut = self.rings.cut();
        let reserved = self.reserved.lock().as_ref().map_or(Ok(()), |file| file.set_len(0));
        if let Err(error) = cut.and(reserved) {
            note!("memory of a removed device stays: {error}");
        }
    }

    /// A worker begins or ends.
    pub fn set_started(&self, started: bool) {
        self.started.store(started, Ordering::SeqCst);
    }

    /// Whether the hardware queue was stopped: nothing is served, what was rung is lost.
    pub fn is_halted(&self) -> bool {
        self.halted.load(Ordering::SeqCst)
    }

    /// The worker touches neither rings nor client memory from now on.
    pub fn set_quiet(&self) {
        self.quiet.store(true, Ordering::SeqCst);
    }

    fn halt(&self) {
        self.halted.store(true, Ordering::SeqCst);
        let sequence = self.control + control::SEQUENCE;
        self.doorbell.word32(sequence).fetch_add(1, Ordering::SeqCst);
        self.doorbell.wake(sequence);
    }

    fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::SeqCst) || !self.started.load(Ordering::SeqCst)
    }

    /// Writes a status word, counted from the end of the ring region (uacce-qm §3.2).
    fn set_status(&self, from_end: usize) {
        self.rings.word32(self.rings.size() - from_end).store(1, Ordering::SeqCst);
    }
}

impl Health {
    /// How the device is now.
    pub fn condition(&self) -> Condition {
        match self.condition.load(Ordering::SeqCst) {
            NORMAL => Condition::Normal,
            STOPPED => Condition::Stopped,
            _ => Condition::Removed,
        }
    }

    /// Writes registers of the device, in the doorbell regions of all open queues.
    pub fn show_registers(&self, registers: &[(usize, u32)]) {
        let lines: Vec<_> = self.lines.lock().iter().filter_map(Weak::upgrade).collect();
        for line in lines {
            line.show_registers(registers);
        }
    }

    /// Adds an open queue. Look at the condition afterwards: trouble that began before does not know of it.
    pub fn enter(&self, line: &Arc<Line>) {
        let mut lines = self.lines.lock();
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(line));
    }
}

/// Begins trouble, unless the device has some already. It takes its course on a thread of its own: the caller may be one
/// of the queues that it stops.
pub fn begin(device: &Arc<Device>, trouble: Trouble) {
    let condition = if matches!(trouble, Trouble::Removal(_)) { REMOVED } else { STOPPED };
    let change = device.health.condition.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
        (now == NORMAL || condition > now).then_some(condition)
    });
    if change.is_err() {
        return;
    }
    note!("{}: {trouble:?}", device.description.name());
    let course = Arc::clone(device);
    let spawned = thread::Builder::new()
        .name("trouble".to_owned())
        .stack_size(256 << 10)
        .spawn(move || take_course(&course, trouble));
    if let Err(error) = spawned {
        note!("{}: no thread for a reset: {error}", device.description.name());
        device.health.condition.store(NORMAL, Ordering::SeqCst);
    }
}

fn take_course(device: &Device, trouble: Trouble) {
    let lines: Vec<_> = device.health.lines.lock().iter().filter_map(Weak::upgrade).collect();
    // The kernel's order: nobody sends any more, what runs ends, nobody receives any more.
    lines.iter().for_each(|line| line.set_status(TX));
    lines.iter().for_each(|line| line.halt());
    let end = Instant::now() + LONGEST_DRAIN;
    while Instant::now() < end && !lines.iter().all(|line| line.is_quiet()) {
        thread::sleep(Duration::from_micros(200));
    }
    lines.iter().for_each(|line| line.set_status(RX));
    if let Trouble::Removal(memory) = trouble {
        lines.iter().for_each(|line| line.remove(memory));
    }
    drop(lines);
    let shown = match trouble {
        Trouble::Reset(time) => {
            device.show_state(false);
            // Too many errors isolate it although this reset succeeds: open works again, clients stay away.
            if device.isolation.lock().count(Instant::now()) {
                note!("{}: isolated after too many errors", device.description.name());
                if let Err(error) = device.attributes().set("isolate", "1") {
                    note!("{}: isolate: {error}", device.description.name());
                }
            }
            thread::sleep(time);
            device.show_state(true);
            let again = |now| (now == STOPPED).then_some(NORMAL);
            let _ = device.health.condition.fetch_update(Ordering::SeqCst, Ordering::SeqCst, again);
            Ok(())
        }
        Trouble::Isolation => {
            device.isolation.lock().isolate();
            device.show_state(false);
            device.attributes().set("isolate", "1")
        }
        Trouble::Removal(_) => device.attributes().vanish(),
    };
    if let Err(error) = shown {
        note!("{}: attributes: {error}", device.description.name());
    }
}

const NORMAL: u8 = 0;
const STOPPED: u8 = 1;
const REMOVED: u8 = 2;
/// Status words, bytes before the end of the ring region.
const TX: usize = 4;
const RX: usize = 8;
/// How long a stopped queue may take for the request at hand (uacce-qm §2.6).
const LONGEST_DRAIN: Duration = Duration::from_secs(1);
