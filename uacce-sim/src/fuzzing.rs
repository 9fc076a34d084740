//! What the fuzz targets in `fuzz/` drive, and the replay of their corpus in plain tests.
//!
//! Each function takes any bytes and must neither panic nor let anything be read or written outside [`Arena`]: what a
//! client could reach.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use uacce_sim_protocol::{Reply, ReplyHead, Request, control};

use crate::describe;
use crate::device::{
    Description, Device, Doorbell, Engine, Generation, Hardware, Kernel, Memory, Outside, Service, build,
};
use crate::model::segments::Segments;
use crate::model::{Model, hpre, sec, zip};
use crate::os::client::{ClientMemory, ClientSpace, MemoryError};
use crate::os::process::{page_size, private_directory};
use crate::os::region::Region;
use crate::os::socket;
use crate::pace::Times;
use crate::trouble::Line;
use crate::worker::{Plan, Stepped};

/// All the memory there is: from address 0 up.
struct Arena(Mutex<Vec<u8>>);

impl Arena {
    fn new(contents: &[u8]) -> Self {
        let mut memory = vec![0; ARENA_LEN];
        let len = contents.len().min(ARENA_LEN);
        memory[..len].copy_from_slice(&contents[..len]);
        Self(Mutex::new(memory))
    }

    fn range(address: u64, len: usize) -> Result<std::ops::Range<usize>, MemoryError> {
        let start = usize::try_from(address).map_err(|_| MemoryError::Fault)?;
        let end = start.checked_add(len).filter(|end| *end <= ARENA_LEN).ok_or(MemoryError::Fault)?;
        Ok(start..end)
    }
}

impl ClientSpace for Arena {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let range = Self::range(address, bytes.len())?;
        bytes.copy_from_slice(&self.0.lock()[range]);
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let range = Self::range(address, bytes.len())?;
        self.0.lock()[range].copy_from_slice(bytes);
        Ok(())
    }
}

/// The first byte chooses engine, generation and class, the second how many descriptors follow; the rest is memory.
pub fn descriptors(data: &[u8]) {
    let Some(([choice, count], rest)) = data.split_first_chunk() else { return };
    let hardware = if choice & 4 == 0 { Hardware::V2 } else { Hardware::V3 };
    let class = u16::from(choice >> 3 & 1);
    let (engine, mut model): (_, Box<dyn Model>) = match choice & 3 {
        0 => (Engine::Hpre, Box::new(hpre::Hpre::new(class, hardware, false))),
        1 => (Engine::Sec, Box::new(sec::Sec::new(hardware))),
        _ => (Engine::Zip, Box::new(zip::Zip::new(class, hardware, choice & 16 != 0))),
    };
    let len = if engine == Engine::Hpre { hpre::DESCRIPTOR_LEN } else { zip::DESCRIPTOR_LEN };
    let count = usize::from(count % 4) + 1;
    let Some((descriptors, memory)) = rest.split_at_checked(count * len) else { return };
    let arena = Arena::new(memory);
    let mut last = Vec::new();
    for descriptor in descriptors.chunks_exact(len) {
        let mut descriptor = descriptor.to_vec();
        // A stream goes on with what the device left in the descriptor.
        if count > 1 && choice & 32 != 0 && !last.is_empty() && engine == Engine::Zip {
            for index in [15, 28, 29, 30, 31] {
                let at = index * 4..index * 4 + 4;
                descriptor[at.clone()].copy_from_slice(&last[at]);
            }
        }
        let submitted = descriptor.clone();
        model.execute(&mut descriptor, &arena);
        assert_eq!(descriptor.len(), submitted.len());
        look_at(engine, class, &descriptor, &arena);
        last = descriptor;
    }
}

/// Everything that describes a descriptor for people.
fn look_at(engine: Engine, class: u16, descriptor: &[u8], arena: &Arena) {
    let work = describe::work(engine, class, descriptor, |_, _| None);
    assert!(!work.name.is_empty());
    assert_eq!(work.bytes, describe::bytes(engine, class, descriptor));
    let _ = describe::failure(engine, descriptor);
    for buffer in describe::buffers(engine, descriptor) {
        if buffer.list {
            let _ = Segments::walk(buffer.at, buffer.skip, buffer.len.min(4096), arena);
        }
    }
    for field in describe::fields(engine, descriptor) {
        let _ = field.meaning(field.value(descriptor));
    }
}

/// Where a list begins, how much to skip, how much is wanted; the rest is memory.
pub fn lists(data: &[u8]) {
    let Some((head, memory)) = data.split_first_chunk::<10>() else { return };
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let first = u16_at(0) as u64 * 64;
    let (skip, wanted, len) = (u16_at(2), u16_at(4) << (head[9] & 15), u16_at(6));
    let arena = Arena::new(memory);
    let wanted = if head[8] & 1 == 1 { usize::MAX } else { wanted };
    let Ok(segments) = Segments::walk(first, skip, wanted, &arena) else { return };
    let len = len.min(segments.len());
    if let Ok(bytes) = segments.gather(len, &arena) {
        assert_eq!(bytes.len(), len);
        if segments.scatter(&bytes, &arena).is_ok() && head[8] & 2 == 2 {
            let _ = segments.scatter(&vec![0x5A; len], &arena);
        }
    }
    assert!(
        segments.gather(segments.len().saturating_add(1), &arena).is_err() || segments.len() == usize::MAX
    );
}

/// A connection's whole conversation, with good, bad and garbage messages and any number of descriptors.
pub fn messages(data: &[u8]) {
    let _ = (Request::decode(data), Reply::decode(data), ReplyHead::decode(data));
    if let Ok(mut reader) = crate::trace::print::Reader::new(data) {
        while let Ok(Some(record)) = reader.next_record() {
            let _ = crate::trace::print::text(&record, crate::trace::print::Style::default());
        }
    }
    let devices = devices();
    let Ok((client, server)) = socket::pair() else { return };
    std::thread::scope(|scope| {
        scope.spawn(|| crate::serve::converse_with(devices, server));
        converse(data, &client);
        drop(client);
    });
    for device in devices {
        assert!(!device.is_used(), "{}: a queue leaked", device.description.name());
    }
}

fn converse(data: &[u8], client: &std::os::fd::OwnedFd) {
    let mut input = Input(data);
    for _ in 0..MOST_MESSAGES {
        let Some(kind) = input.byte() else { return };
        let wire = match kind & 7 {
            0 => input.bytes(usize::from(kind >> 3) * 8),
            1 => {
                let names = [
                    "hisi_hpre-0",
                    "hisi_zip-1",
                    "hisi_sec2-2",
                    "hisi_zip-3",
                    "",
                    "\u{fffd}",
                    "hisi_zip-9",
                    "x",
                ];
                let name = names[usize::from(kind >> 3 & 7)].to_owned();
                let page_size = [4096, 16384, 65536, 0, 1, 5000, u32::MAX, 8192][usize::from(kind >> 5)];
                Request::Open { name, flags: input.word() & 3, page_size }.encode().to_vec()
            }
            2 | 3 => {
                let commands = [0x5700, 0x5701, 0xC004_480A, 0xC010_480B, 0x8008_5703, 0x5700];
                let command =
                    commands.get(usize::from(kind >> 3) % 7).copied().unwrap_or_else(|| input.word());
                let len = usize::from(input.byte().unwrap_or(0));
                Request::Ioctl { command, argument: input.long(), bytes: input.bytes(len) }.encode().to_vec()
            }
            4 | 5 => {
                let page = u64::from(page_size());
                let offset = [0, page, 2 * page, 3 * page, 8, u64::MAX][usize::from(kind >> 3) % 6];
                let lengths = [page, 2 * page, 86016, 151_552, 0x1_0000, 0];
                let length = lengths.get(usize::from(kind >> 5)).copied().unwrap_or_else(|| input.long());
                // Reserved memory as large as asked for takes time and teaches nothing.
                let length = if length < u64::MAX - 4096 { length & 0xF_FFFF } else { length };
                Request::Map { offset, length, prot: u32::from(kind >> 6) }.encode().to_vec()
            }
            6 => {
                let mut wire = Request::Map { offset: 0, length: 0, prot: 0 }.encode().to_vec();
                for (byte, scribble) in wire.iter_mut().zip(input.bytes(40)) {
                    *byte ^= scribble;
                }
                wire
            }
            _ => return,
        };
        let Ok((ours, theirs)) = socket::pair() else { return };
        let many = usize::from(kind == 0xFF) * 4 + usize::from(kind >> 7);
        let mut descriptors = vec![theirs.as_fd(); many.max(1)];
        if wire.first() == Some(&0xEE) {
            descriptors.clear();
        }
        if wire.is_empty() || socket::send(client.as_fd(), &wire, &descriptors).is_err() {
            return;
        }
        let expects = !descriptors.is_empty();
        drop(theirs);
        if expects {
            let mut answer = [0; 256];
            if let Ok((len, _)) = socket::receive(ours.as_fd(), &mut answer) {
                assert!(Reply::decode(&answer[..len]).is_some(), "an answer that is none");
            }
        }
    }
}

/// Doorbells, good and wild, scribbling over all shared memory, and the worker's turns, in any order.
pub fn doorbells(data: &[u8]) {
    let mut input = Input(data);
    let Some(choice) = input.byte() else { return };
    let device = &devices()[usize::from(choice & 1)];
    let description = &device.description;
    let page = page_size() as usize;
    let control = description.doorbell_region_len(page);
    let rings = Region::new(c"fuzz-rings", description.ring_region_len(page));
    let doorbell = Region::new(c"fuzz-doorbell", control + page);
    let (Ok(rings), Ok(doorbell), Ok((ours, theirs))) = (rings, doorbell, socket::pair()) else { return };
    let (rings, doorbell) = (Arc::new(rings), Arc::new(doorbell));
    let process = libc::pid_t::try_from(std::process::id()).unwrap_or(0);
    let Ok(memory) = ClientMemory::new(process, None) else { return };
    let mut service = description.service;
    service.doorbell = if choice & 2 == 0 { Doorbell::Trap } else { Doorbell::Poll };
    let layout = description.generation.doorbell();
    let mut worker = Stepped::new(Plan {
        device: Arc::clone(device),
        line: Arc::new(Line::new(Arc::clone(&rings), Arc::clone(&doorbell), control)),
        tally: device.account.open(5, 0),
        number: 5,
        class: u16::from(choice >> 2 & 1),
        descriptor_len: description.descriptor_len(),
        model: description.model(u16::from(choice >> 2 & 1)),
        service,
        rings: Arc::clone(&rings),
        doorbell: Arc::clone(&doorbell),
        control,
        layout,
        memory: Arc::new(memory),
        space: Arc::new(Arena::new(&[])),
        socket: Arc::new(theirs),
    });
    let ring = |word: u64, slot: usize, count: usize| {
        doorbell.word64(layout.offset()).store(word, Ordering::SeqCst);
        doorbell.word64(control + slot).store(word, Ordering::SeqCst);
        doorbell.word64(control + count).fetch_add(1, Ordering::SeqCst);
    };
    let submission = |word| ring(word, control::SUBMISSION_DOORBELL, control::SUBMISSION_COUNT);
    let completion = |word| ring(word, control::COMPLETION_DOORBELL, control::COMPLETION_COUNT);
    let mut turns = 0;
    while let Some(kind) = input.byte() {
        let index = u64::from(input.word() & 0x7FF);
        match kind & 7 {
            0 => submission(input.long()),
            1 => submission(5 | index << 32),
            2 => completion(5 | 1 << 12 | index << 32 | u64::from(kind >> 3 & 1) << 48),
            3 => completion(input.long()),
            4 => {
                let at = input.word() as usize % (rings.size() / 4) * 4;
                rings.word32(at).store(input.word(), Ordering::Relaxed);
            }
            5 => {
                let at = input.word() as usize % (doorbell.size() / 4) * 4;
                doorbell.word32(at).store(input.word(), Ordering::Relaxed);
            }
            _ => {}
        }
        for _ in 0..=(kind >> 3) {
            turns += 1;
            if !worker.turn() || turns > MOST_TURNS {
                break;
            }
        }
        let _ = socket::is_readable(ours.as_fd(), Duration::ZERO)
            && socket::receive(ours.as_fd(), &mut [0; 4]).is_ok();
    }
    while turns < MOST_TURNS && worker.turn() {
        turns += 1;
    }
}

/// Bytes taken from the front; zeros when there are no more, except where the end matters.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn word(&mut self) -> u32 {
        self.bytes(4).iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
    }

    fn long(&mut self) -> u64 {
        u64::from(self.word()) << 32 | u64::from(self.word())
    }
}

/// Devices that live as long as the process; their attribute files go to a directory that is removed at once.
fn devices() -> &'static [Arc<Device>] {
    static DEVICES: OnceLock<Vec<Arc<Device>>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let describe = |id, engine, generation, kernel, memory| Description {
            engine,
            id,
            generation,
            kernel,
            memory,
            node: 0,
            numa: false,
            queues: 4,
            page_size: page_size(),
            service: Service { memo: false, doorbell: Doorbell::Trap, spin: Duration::ZERO },
        };
        let descriptions = vec![
            describe(0, Engine::Hpre, Generation::V3, Kernel::Mainline, Memory::Sva),
            describe(1, Engine::Zip, Generation::V2, Kernel::Kae, Memory::Sva),
            describe(2, Engine::Sec, Generation::V3, Kernel::Openeuler, Memory::Sva),
            describe(3, Engine::Zip, Generation::V2, Kernel::Openeuler, Memory::Iommu),
        ];
        let outside = Outside { faults: Vec::new(), times: Times::default(), tracer: Arc::default() };
        let root = private_directory(&std::env::temp_dir()).expect("a directory");
        let devices = build(&root, descriptions, &outside).expect("devices");
        let _ = std::fs::remove_dir_all(&root);
        devices
    })
}

const ARENA_LEN: usize = 1 << 18;
const MOST_MESSAGES: usize = 64;
const MOST_TURNS: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "no corpus for {target}");
    }

    #[test]
    fn corpus_of_descriptors() {
        replay("descriptors", descriptors);
    }

    #[test]
    fn corpus_of_lists() {
        replay("lists", lists);
    }

    #[test]
    fn corpus_of_messages() {
        replay("messages", messages);
    }

    #[test]
    fn corpus_of_doorbells() {
        replay("doorbells", doorbells);
    }
}
