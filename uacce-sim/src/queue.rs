//! One open of a device: one queue, from open to the last close (uacce-qm §2).

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use uacce_sim_protocol::{self as protocol, Mapping, Reply, control};

use crate::account::Tally;
use crate::device::{COMPLETION_LEN, DEPTH, Device, Doorbell, Kernel};
use crate::note;
use crate::os::client::{ClientMemory, ClientSpace};
use crate::os::region::{Region, shared_memory};
use crate::reserved::Reserved;
use crate::trouble::{Condition, Line};
use crate::worker::{Ending, Worker};

/// What `open` was called with.
pub struct Opening {
    /// `open` flags.
    pub flags: u32,
    /// The client's page size, bytes.
    pub page_size: u32,
    /// The connection: it carries readiness tokens.
    pub socket: Arc<OwnedFd>,
    /// The opener's address space.
    pub memory: ClientMemory,
}

/// An open queue.
pub struct Queue {
    device: Arc<Device>,
    state: State,
    /// Held from open until put or close, depending on the kernel.
    number: Option<u16>,
    /// The number as shown to the client, even after it was given back.
    shown_number: u16,
    class: u16,
    writable: bool,
    page_size: usize,
    rings: Arc<Region>,
    doorbell: Arc<Region>,
    mapped_once: [bool; 2],
    reserved: Option<Reserved>,
    memory: Arc<ClientMemory>,
    socket: Arc<OwnedFd>,
    line: Arc<Line>,
    tally: Arc<Tally>,
}

enum State {
    Init,
    Started(Worker),
    Zombie,
}

impl Queue {
    /// Opens a queue.
    /// # Errors
    /// The errno of `open` (uacce-qm §2.4): EPERM while the device is stopped, ENXIO when it is gone, EBUSY without a free
    /// queue, ENOMEM, EINVAL for an impossible page size, and what a fault says.
    pub fn open(device: &Arc<Device>, opening: Opening) -> Result<Self, i32> {
        let page_size = opening.page_size as usize;
        if !page_size.is_power_of_two() || !(4096..=65536).contains(&page_size) {
            return Err(libc::EINVAL);
        }
        if let Some(errno) = refusal(device).or_else(|| device.faults.opening()) {
            return Err(errno);
        }
        let mut calls = device.calls();
        let number = device.take(&mut calls).ok_or(libc::EBUSY)?;
        // The vendors' count of events belongs to the number, and is not cleared for its next owner (uacce-qm §11 trap 8).
        let regions = build_regions(device, page_size, number, calls.events(number));
        let (rings, doorbell) = match regions {
            Ok(regions) => regions,
            Err(error) => {
                note!("{}: no memory for a queue: {error}", device.description.name());
                device.release(&mut calls, number, 0);
                return Err(libc::ENOMEM);
            }
        };
        let (rings, doorbell) = (Arc::new(rings), Arc::new(doorbell));
        let control = device_control(device, page_size);
        let line = Arc::new(Line::new(Arc::clone(&rings), Arc::clone(&doorbell), control));
        if let Some(usage) = &device.usage {
            line.show_registers(&usage.registers());
        }
        device.health.enter(&line);
        // A reset that began before would not stop this queue.
        if let Some(errno) = refusal(device) {
            device.release(&mut calls, number, 0);
            return Err(errno);
        }
        drop(calls);
        let tally = device.account.open(number, opening.memory.process());
        Ok(Self {
            device: Arc::clone(device),
            state: State::Init,
            number: Some(number),
            shown_number: number,
            class: 0,
            writable: opening.flags & ACCESS_MODE == READ_WRITE,
            page_size,
            rings,
            doorbell,
            mapped_once: [false; 2],
            reserved: None,
            memory: Arc::new(opening.memory),
            socket: opening.socket,
            line,
            tally,
        })
    }

    /// Answers an ioctl (uacce-qm §2.1, §2.5).
    pub fn ioctl(&mut self, command: u32, bytes: &[u8]) -> Reply {
        let device = Arc::clone(&self.device);
        let calls = device.calls();
        if self.is_finished() {
            return Reply::failure(libc::ENXIO);
        }
        match command {
            START => self.start(),
            PUT_QUEUE => {
                // Draining may take as long as the client has filled its ring for: nobody else waits for that.
                drop(calls);
                self.put();
                Reply::default()
            }
            SET_CONTEXT => self.set_context(bytes),
            SHOW_INFO => self.show_info(bytes),
            SHOW_SLICE if self.has_reserved() => self.show_slice(bytes),
            // Never ENOTTY.
            _ => Reply::failure(libc::EINVAL),
        }
    }

    /// Answers an mmap: the reply and the memory that goes with it (uacce-qm §2.2, §2.5).
    pub fn map(&mut self, offset: u64, length: u64, prot: u32) -> (Reply, Option<BorrowedFd<'_>>) {
        let device = Arc::clone(&self.device);
        let _calls = device.calls();
        match self.check_map(offset, length, prot) {
            Err(errno) => (Reply::failure(errno), None),
            Ok(Regions::Doorbell) => {
                self.mapped_once[0] = true;
                let mapping_len = device.description.doorbell_region_len(self.page_size) as u64;
                let reply = Reply { mapping: Mapping::Doorbell, mapping_len, ..Reply::default() };
                (reply, Some(self.doorbell.fd()))
            }
            Ok(Regions::Rings) => {
                self.mapped_once[1] = true;
                let mapping_len = self.rings.size() as u64;
                let reply = Reply { mapping: Mapping::Plain, mapping_len, ..Reply::default() };
                (reply, Some(self.rings.fd()))
            }
            Ok(Regions::Reserved) => match self.reserve(length) {
                Err(errno) => (Reply::failure(errno), None),
                Ok(mapping_len) => {
                    let reply = Reply { mapping: Mapping::Plain, mapping_len, ..Reply::default() };
                    (reply, self.reserved.as_ref().map(Reserved::fd))
                }
            },
        }
    }

    /// Whether the kernel has reserved memory at all: mainline has not (uacce-qm §2.2).
    fn has_reserved(&self) -> bool {
        self.device.description.kernel != Kernel::Mainline
    }

    /// Makes the static shared region; its length in whole pages (uacce-qm §7.3).
    fn reserve(&mut self, length: u64) -> Result<u64, i32> {
        // An earlier one is no longer mapped: its memory is free before the new one is looked for.
        self.drop_reserved();
        let page_size = self.page_size as u64;
        let len = length.checked_next_multiple_of(page_size).filter(|len| *len > 0).ok_or(libc::EINVAL)?;
        // With shared virtual addressing nobody asks for it, and no address of it means anything to the device.
        let bus = self.device.bus.as_ref().ok_or(libc::ENOMEM)?;
        let made = usize::try_from(len)
            .map_err(|_| io::ErrorKind::OutOfMemory.into())
            .and_then(|len| shared_memory(c"uacce-sim-reserved", len, !self.device.faults.take_memory()))
            .and_then(|memory| bus.reserve(memory, len, page_size))
            .and_then(|reserved| Ok((reserved.fd().try_clone_to_owned()?, reserved)));
        match made {
            Ok((memory, reserved)) => {
                self.line.set_reserved(Some(memory.into()));
                self.reserved = Some(reserved);
                Ok(len)
            }
            Err(error) => {
                note!("{}: no reserved memory: {error}", self.device.description.name());
                Err(libc::ENOMEM)
            }
        }
    }

    fn drop_reserved(&mut self) {
        self.line.set_reserved(None);
        self.reserved = None;
    }

    /// `GET_SS_DMA`: a slice's index in, its address and length out; returns how many follow (uacce-qm §7.3).
    fn show_slice(&self, bytes: &[u8]) -> Reply {
        let Ok(index) = bytes.try_into().map(u64::from_le_bytes) else { return Reply::failure(libc::EFAULT) };
        match self.reserved.as_ref().and_then(|reserved| reserved.slice(index)) {
            None => Reply::failure(libc::EINVAL),
            Some((word, rest)) => Reply {
                value: i64::try_from(rest).unwrap_or(0),
                bytes: word.to_le_bytes().to_vec(),
                ..Reply::default()
            },
        }
    }

    /// The last reference was closed.
    ///
    /// The kernel keeps a queue for as long as it is mapped, even after close: it is served until the doorbell region is
    /// unmapped or the address space is gone.
    pub fn close(mut self) {
        while matches!(self.state, State::Started(_)) && self.is_doorbell_mapped() && self.memory.is_alive() {
            thread::sleep(UNMAP_POLL);
        }
        self.stop();
        self.drop_reserved();
        self.release_number();
    }

    /// The word is the client's to write, so the kernel is asked as well, where it answers.
    fn is_doorbell_mapped(&self) -> bool {
        let at = device_control(&self.device, self.page_size) + control::MAPPED;
        let claimed = self.doorbell.word32(at).load(Ordering::Acquire) != 0;
        claimed && self.doorbell.inode().ok().and_then(|inode| self.memory.has_mapped(inode)).unwrap_or(true)
    }

    /// Put, or the device is gone.
    fn is_finished(&self) -> bool {
        matches!(self.state, State::Zombie) || self.device.health.condition() == Condition::Removed
    }

    fn start(&mut self) -> Reply {
        match self.state {
            State::Init => {}
            State::Started(_) => return Reply::failure(libc::EINVAL),
            State::Zombie => return Reply::failure(libc::ENXIO),
        }
        if let Some(errno) = refusal(&self.device) {
            return Reply::failure(errno);
        }
        let worker = Worker::start(crate::worker::Plan {
            device: Arc::clone(&self.device),
            line: Arc::clone(&self.line),
            tally: Arc::clone(&self.tally),
            number: self.shown_number,
            class: self.class,
            descriptor_len: self.device.description.descriptor_len(),
            model: self.device.description.model(self.class),
            service: self.device.description.service,
            rings: Arc::clone(&self.rings),
            doorbell: Arc::clone(&self.doorbell),
            control: device_control(&self.device, self.page_size),
            layout: self.device.description.generation.doorbell(),
            memory: Arc::clone(&self.memory),
            space: match &self.device.bus {
                Some(bus) => Arc::clone(bus) as Arc<dyn ClientSpace + Send + Sync>,
                None => Arc::clone(&self.memory) as Arc<dyn ClientSpace + Send + Sync>,
            },
            socket: Arc::clone(&self.socket),
        });
        match worker {
            Ok(worker) => {
                self.state = State::Started(worker);
                Reply::default()
            }
            Err(error) => {
                note!(
                    "{}: no thread for queue {}: {error}",
                    self.device.description.name(),
                    self.shown_number
                );
                Reply::failure(libc::ENOMEM)
            }
        }
    }

    /// PUT_Q: drain, then (uacce-qm §2.3) a zombie whose number is free, or on openEuler a queue as after open.
    fn put(&mut self) {
        self.stop();
        match self.device.description.kernel {
            Kernel::Mainline | Kernel::Kae => {
                self.state = State::Zombie;
                self.line.set_gone();
                self.release_number();
            }
            Kernel::Openeuler => self.state = State::Init,
        }
    }

    fn stop(&mut self) {
        if let State::Started(worker) = std::mem::replace(&mut self.state, State::Init) {
            let ending = if self.memory.is_alive() { Ending::Drain } else { Ending::Abandon };
            worker.stop(ending);
        }
    }

    fn release_number(&mut self) {
        if let Some(number) = self.number.take() {
            let at = device_control(&self.device, self.page_size) + control::EVENTS;
            let events = self.doorbell.word32(at).load(Ordering::Relaxed);
            self.device.release(&mut self.device.calls(), number, events);
        }
    }

    /// `hisi_qp_ctx`: id out, class in (uacce-qm §2.1). Recorded only; it counts at START.
    fn set_context(&mut self, bytes: &[u8]) -> Reply {
        let [_, _, low, high] = bytes else { return Reply::failure(libc::EFAULT) };
        let class = u16::from_le_bytes([*low, *high]);
        let highest = match self.device.description.kernel {
            Kernel::Mainline | Kernel::Kae => 1,
            Kernel::Openeuler => 2,
        };
        if class > highest {
            return Reply::failure(libc::EINVAL);
        }
        self.class = class;
        self.tally.set_class(class);
        let mut answer = self.shown_number.to_le_bytes().to_vec();
        answer.extend(class.to_le_bytes());
        Reply { bytes: answer, ..Reply::default() }
    }

    /// `hisi_qp_info`: descriptor size and depths out, the last eight bytes unchanged (uacce-qm §2.1).
    fn show_info(&self, bytes: &[u8]) -> Reply {
        let Some(reserved) = bytes.get(8..16) else { return Reply::failure(libc::EFAULT) };
        let descriptor_len = u32::try_from(self.device.description.descriptor_len()).unwrap_or(0);
        let mut answer = descriptor_len.to_le_bytes().to_vec();
        answer.extend(DEPTH.to_le_bytes());
        answer.extend(DEPTH.to_le_bytes());
        answer.extend(reserved);
        Reply { bytes: answer, ..Reply::default() }
    }

    fn check_map(&self, offset: u64, length: u64, prot: u32) -> Result<Regions, i32> {
        let page_size = self.page_size as u64;
        let (region, index) = match offset / page_size {
            0 if offset == 0 => (Regions::Doorbell, 0),
            1 if offset == page_size => (Regions::Rings, 1),
            2 if offset == 2 * page_size && self.has_reserved() => (Regions::Reserved, 2),
            _ => return Err(libc::EINVAL),
        };
        // The VFS refuses a writable shared mapping of a read-only file before the driver is asked.
        if prot & PROT_WRITE != 0 && !self.writable {
            return Err(libc::EACCES);
        }
        let zombie = self.is_finished();
        let made = self.mapped_once.get(index).map_or(self.reserved.is_some(), |mapped| *mapped);
        let exists = made && self.is_still_mapped(region);
        match self.device.description.kernel {
            Kernel::Mainline if zombie => return Err(libc::ENXIO),
            _ if exists => return Err(libc::EEXIST),
            _ if zombie => return Err(libc::ENXIO),
            _ => {}
        }
        let rounded = length.checked_next_multiple_of(page_size).ok_or(libc::EINVAL)?;
        let limit = match region {
            Regions::Doorbell => self.device.description.doorbell_region_len(self.page_size) as u64,
            Regions::Rings => self.rings.size() as u64,
            Regions::Reserved => u64::MAX,
        };
        let fits = match region {
            Regions::Doorbell | Regions::Reserved => 0 < rounded && rounded <= limit,
            Regions::Rings => rounded == limit,
        };
        if fits { Ok(region) } else { Err(libc::EINVAL) }
    }

    /// A second mmap of a region is allowed after a munmap. Nobody tells the daemon of that one, so it looks.
    fn is_still_mapped(&self, region: Regions) -> bool {
        let inode = match region {
            Regions::Doorbell => self.doorbell.inode().ok(),
            Regions::Rings => self.rings.inode().ok(),
            Regions::Reserved => self.reserved.as_ref().and_then(|reserved| reserved.inode().ok()),
        };
        inode.and_then(|inode| self.memory.has_mapped(inode)).unwrap_or(false)
    }
}

#[derive(Clone, Copy)]
enum Regions {
    Doorbell,
    Rings,
    Reserved,
}

/// What open and START fail with while the device is not as it should be.
fn refusal(device: &Device) -> Option<i32> {
    match device.health.condition() {
        Condition::Normal => None,
        Condition::Stopped => Some(libc::EPERM),
        Condition::Removed => Some(libc::ENXIO),
    }
}

/// Offset of the control page behind the doorbell region.
fn device_control(device: &Device, page_size: usize) -> usize {
    device.description.doorbell_region_len(page_size)
}

fn build_regions(
    device: &Device,
    page_size: usize,
    number: u16,
    left_over: u32,
) -> io::Result<(Region, Region)> {
    let description = &device.description;
    let (name, len) = (c"uacce-sim-rings", description.ring_region_len(page_size));
    let removable = device.faults.take_memory();
    let rings = if removable { Region::removable(name, len)? } else { Region::new(name, len)? };
    // The kernel zeroes completions and status words at open, not the submission ring: whoever reads a slot it did not
    // fill gets what an earlier owner left (uacce-qm §2.3, §11 trap 4).
    let submissions = description.descriptor_len() * usize::from(DEPTH);
    rings.copy_in(0, &vec![0xA5; submissions]);
    debug_assert!(submissions + COMPLETION_LEN * usize::from(DEPTH) < rings.size());
    let control_at = description.doorbell_region_len(page_size);
    let doorbell = Region::new(c"uacce-sim-doorbell", control_at + page_size)?;
    let store =
        |offset: usize, value: u32| doorbell.word32(control_at + offset).store(value, Ordering::Relaxed);
    store(control::MAGIC, protocol::MAGIC);
    store(control::VERSION, u32::from(protocol::VERSION));
    store(control::QUEUE_NUMBER, u32::from(number));
    store(control::DOORBELL_OFFSET, u32::try_from(description.generation.doorbell().offset()).unwrap_or(0));
    let readiness = match description.kernel {
        Kernel::Mainline => control::READY_SCAN,
        Kernel::Kae | Kernel::Openeuler => control::READY_COUNT,
    };
    store(control::READINESS, readiness);
    store(control::EVENTS, left_over);
    store(control::POLLED, u32::from(description.service.doorbell == Doorbell::Poll));
    Ok((rings, doorbell))
}

/// `_IO('W', 0)`
const START: u32 = 0x5700;
/// `_IO('W', 1)`
const PUT_QUEUE: u32 = 0x5701;
/// `_IOR('W', 3, unsigned long)`, read and written in spite of its name.
const SHOW_SLICE: u32 = 0x8008_5703;
/// `_IOWR('H', 10, struct hisi_qp_ctx)`
const SET_CONTEXT: u32 = 0xC004_480A;
/// `_IOWR('H', 11, struct hisi_qp_info)`
const SHOW_INFO: u32 = 0xC010_480B;
/// `O_ACCMODE` and `O_RDWR` of the `open` flags, `PROT_WRITE` of mmap's protection.
const ACCESS_MODE: u32 = 3;
const READ_WRITE: u32 = 2;
const PROT_WRITE: u32 = 2;
/// How often a closed but still mapped queue is looked at.
const UNMAP_POLL: Duration = Duration::from_millis(20);
