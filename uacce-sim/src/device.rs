//! A simulated device: what it is, and which of its queue numbers are taken.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::account::Account;
use crate::doorbell::Layout;
use crate::fault::{Armed, Faults};
use crate::isolation::{self, Isolation};
use crate::model::{Model, hpre, sec, zip};
use crate::note;
use crate::pace::{Pace, Times};
use crate::reserved::{self, Bus};
use crate::sysfs::Attributes;
use crate::trace::Tracer;
use crate::trouble::{Condition, Health};
use crate::usage::{self, Usage};

/// Which accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Public-key accelerator.
    Hpre,
    /// Cipher and digest accelerator.
    Sec,
    /// Compression accelerator.
    Zip,
}

impl Engine {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hpre => "hpre",
            Self::Sec => "sec",
            Self::Zip => "zip",
        }
    }
}

/// What the engines can do: as in Kunpeng 920, or as in its successors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    /// RSA and DH, zlib and gzip, SEC descriptors of type 2.
    V2,
    /// Elliptic curves, raw deflate, SEC descriptors of type 3.
    V3,
}

/// Generation of the queue manager (uacce-qm §9); Kunpeng 920 is `v2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Generation {
    /// Revision 0x20: doorbell at 0x340 with a layout of its own; no HPRE.
    V1,
    /// Revision 0x21: shared doorbell page.
    V2,
    /// Revision 0x30: 64 KiB doorbell region per queue.
    V3,
    /// Revision 0x51: as v3, with registers that tell how busy it is.
    V5,
}

impl Generation {
    /// What its engines can do.
    pub fn engines(self) -> Hardware {
        match self {
            Self::V1 | Self::V2 => Hardware::V2,
            Self::V3 | Self::V5 => Hardware::V3,
        }
    }

    /// Where its doorbell lies, and how a word for it reads.
    pub fn doorbell(self) -> Layout {
        match self {
            Self::V1 => Layout::First,
            Self::V2 | Self::V3 | Self::V5 => Layout::Later,
        }
    }
}

/// How descriptors name memory (uacce-qm §7.1); the names are those of the `flags` attribute's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Memory {
    /// The client's own addresses.
    Sva,
    /// Addresses an IOMMU gives to reserved memory, one slice per queue.
    Iommu,
    /// Bus addresses of reserved memory, in slices.
    Noiommu,
}

/// Whose kernel driver is imitated where they differ (uacce-qm §1.2, §2.3, §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kernel {
    /// Mainline 6.1 to 6.18: a put queue is finished, its number free at once.
    Mainline,
    /// The vendor's out-of-tree driver.
    Kae,
    /// openEuler 6.6: a put queue can be started again, its number is freed at close.
    Openeuler,
}

/// How doorbells reach the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Doorbell {
    /// The preload library catches each store; none is lost.
    Trap,
    /// The daemon polls the doorbell word; a store may hide the one before it, so for strictly synchronous clients only.
    Poll,
}

/// How requests are served.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Remember results.
    pub memo: bool,
    /// How doorbells arrive.
    pub doorbell: Doorbell,
    /// How long a worker spins for the next doorbell before it sleeps.
    pub spin: Duration,
}

/// Everything that is fixed about one device.
#[derive(Clone, Debug)]
pub struct Description {
    /// Which accelerator.
    pub engine: Engine,
    /// The id behind the name: one counter for all devices.
    pub id: u32,
    /// Hardware generation.
    pub generation: Generation,
    /// Kernel driver imitated.
    pub kernel: Kernel,
    /// How descriptors name memory.
    pub memory: Memory,
    /// NUMA node it sits on.
    pub node: u8,
    /// Whether it is on a machine with several NUMA nodes.
    pub numa: bool,
    /// Page size of its machine, bytes.
    pub page_size: u32,
    /// Queues it has.
    pub queues: u16,
    /// How its requests are served.
    pub service: Service,
}

impl Description {
    /// Entry in `/sys/class/uacce` and `/dev`, e.g. `hisi_zip-1`.
    pub fn name(&self) -> String {
        let driver = match self.engine {
            Engine::Hpre => "hisi_hpre",
            Engine::Sec => "hisi_sec2",
            Engine::Zip => "hisi_zip",
        };
        format!("{driver}-{}", self.id)
    }

    /// What its engines can do.
    pub fn hardware(&self) -> Hardware {
        self.generation.engines()
    }

    /// The `api` attribute (uacce-qm §1.3).
    pub fn api(&self) -> String {
        let version = match (self.generation, self.kernel) {
            (Generation::V1, _) => 1,
            (Generation::V2, _) => 2,
            (Generation::V5, Kernel::Openeuler) => 5,
            (Generation::V3 | Generation::V5, _) => 3,
        };
        let suffix = if self.memory == Memory::Noiommu { "_noiommu" } else { "" };
        format!("hisi_qm_v{version}{suffix}")
    }

    /// The `flags` attribute (uacce-qm §1.2): SVA, no IOMMU, and on vendor kernels that an IOMMU is there.
    pub fn flags(&self) -> u32 {
        match (self.memory, self.kernel) {
            (Memory::Sva, Kernel::Mainline) => 1,
            (Memory::Sva, Kernel::Kae | Kernel::Openeuler) => 1 | 1 << 7,
            (Memory::Iommu, _) => 1 << 7,
            (Memory::Noiommu, _) => 1 << 1,
        }
    }

    /// The `numa_distance` attribute as a reader on node 0 finds it: 10 at home, 12 to the other half of a socket, more to
    /// another socket, as a Kunpeng 920 server's firmware tells it. Without NUMA the kernels differ (uacce-qm §1.2).
    pub fn numa_distance(&self) -> u32 {
        match (self.numa, self.kernel, self.node) {
            (false, Kernel::Kae, _) => 0,
            (false, _, _) | (true, _, 0) => 10,
            (true, _, 1) => 12,
            (true, _, node) => 20 + 2 * u32::from(node & 1),
        }
    }

    /// Whether its registers tell how busy it is (uacce-qm §3.1): api 5 and later.
    pub fn tells_usage(&self) -> bool {
        self.generation == Generation::V5 && self.kernel == Kernel::Openeuler
    }

    /// The `algorithms` attribute, in the kernel's order (uacce-qm §1.4).
    pub fn algorithms(&self) -> &'static str {
        match (self.engine, self.hardware()) {
            (Engine::Hpre, Hardware::V2) => "rsa\ndh",
            (Engine::Hpre, Hardware::V3) => "rsa\ndh\necdh\necdsa\nsm2\nx25519\nx448",
            (Engine::Sec, _) => "cipher\ndigest\naead",
            (Engine::Zip, Hardware::V2) => "zlib\ngzip",
            (Engine::Zip, Hardware::V3) => match self.kernel {
                // Newer than the others: they know the capability bits of lz77_only and lz4.
                Kernel::Mainline => "zlib\ngzip\ndeflate\nlz77_zstd\nlz77_only\nlz4",
                Kernel::Kae => "zlib\ngzip\ndeflate\nlz77_zstd",
                Kernel::Openeuler => "zlib\ngzip\ndeflate",
            },
        }
    }

    /// Bytes per descriptor.
    pub fn descriptor_len(&self) -> usize {
        match self.engine {
            Engine::Hpre => hpre::DESCRIPTOR_LEN,
            Engine::Sec => sec::DESCRIPTOR_LEN,
            Engine::Zip => zip::DESCRIPTOR_LEN,
        }
    }

    /// Bytes of the doorbell region for a client with this page size (uacce-qm §3.1).
    pub fn doorbell_region_len(&self, page_size: usize) -> usize {
        match self.generation {
            Generation::V1 => page_size,
            Generation::V2 => page_size * (1 + 0x1000 / page_size),
            Generation::V3 | Generation::V5 => 0x1_0000,
        }
    }

    /// Bytes of the ring region for a client with this page size (uacce-qm §3.2).
    pub fn ring_region_len(&self, page_size: usize) -> usize {
        let rings = (self.descriptor_len() + COMPLETION_LEN) * usize::from(DEPTH);
        rings.next_multiple_of(page_size) + page_size
    }

    /// What a queue of this class (`qc_type`) computes with.
    pub fn model(&self, class: u16) -> Box<dyn Model> {
        match self.engine {
            Engine::Hpre => Box::new(hpre::Hpre::new(class, self.hardware(), self.service.memo)),
            Engine::Sec => Box::new(sec::Sec::new(self.hardware())),
            Engine::Zip => Box::new(zip::Zip::new(class, self.hardware(), self.service.memo)),
        }
    }
}

/// A device with its queue numbers.
pub struct Device {
    /// What it is.
    pub description: Description,
    /// What is to go wrong with its requests.
    pub faults: Faults,
    /// How it is, and its open queues.
    pub health: Health,
    /// Its errors, where they are counted.
    pub isolation: Mutex<Isolation>,
    /// How busy it is, where it tells.
    pub usage: Option<Usage>,
    /// What descriptors' addresses lead to, where that is not the client's own address space.
    pub bus: Option<Arc<Bus>>,
    /// How long its requests take.
    pub pace: Pace,
    /// What it did.
    pub account: Arc<Account>,
    attributes: Attributes,
    /// One mutex per device, held across open, ioctl, mmap and release as the kernel does (uacce-qm §2.5).
    calls: Mutex<Numbers>,
}

/// Proof that the device's calls are serialised, and its queue numbers.
pub type Calls<'a> = MutexGuard<'a, Numbers>;

/// Which queue numbers are taken.
#[derive(Debug)]
pub struct Numbers {
    taken: Vec<bool>,
    next: u16,
    /// Events left over by the last owner of each number.
    events: Vec<u32>,
}

impl Device {
    /// A device with all queues free.
    pub fn new(
        description: Description,
        attributes: Attributes,
        faults: Faults,
        bus: Option<Arc<Bus>>,
        outside: &Outside,
    ) -> Self {
        Self {
            calls: Mutex::new(Numbers::new(description.queues)),
            usage: description.tells_usage().then(Usage::default),
            pace: Pace::new(&outside.times, description.engine, description.hardware()),
            account: Account::new(description.engine, description.name(), Arc::clone(&outside.tracer)),
            description,
            attributes,
            faults,
            bus,
            health: Health::default(),
            isolation: Mutex::default(),
        }
    }

    /// Whether any queue is open.
    pub fn is_used(&self) -> bool {
        let calls = self.calls();
        calls.free() < calls.taken.len()
    }

    /// Its attribute files.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Shows whether the queue manager runs, where a kernel tells (uacce-qm §1.2).
    pub fn show_state(&self, running: bool) {
        if self.description.kernel == Kernel::Kae {
            if let Err(error) = self.attributes.set("dev_state", if running { "0" } else { "-1" }) {
                note!("{}: dev_state: {error}", self.description.name());
            }
        }
    }

    /// Waits for the device's turn.
    pub fn calls(&self) -> Calls<'_> {
        self.calls.lock()
    }

    /// Takes a queue number; `None` when all are taken.
    pub fn take(&self, calls: &mut Calls<'_>) -> Option<u16> {
        let number = calls.take()?;
        self.show(calls);
        Some(number)
    }

    /// Gives a queue number back; so many events of it no `poll` has answered.
    pub fn release(&self, calls: &mut Calls<'_>, number: u16, events: u32) {
        calls.release(number, events);
        self.show(calls);
    }

    fn show(&self, calls: &Calls<'_>) {
        if self.health.condition() == Condition::Removed {
            return;
        }
        if let Err(error) = self.attributes.set("available_instances", &calls.free().to_string()) {
            note!("{}: available_instances: {error}", self.description.name());
        }
    }
}

impl Numbers {
    fn new(count: u16) -> Self {
        Self { taken: vec![false; usize::from(count)], next: 0, events: vec![0; usize::from(count)] }
    }

    /// Numbers are handed out cyclically, as the kernel's: a number just freed comes round last.
    fn take(&mut self) -> Option<u16> {
        let count = self.taken.len();
        let start = usize::from(self.next);
        let free = (0..count).map(|step| (start + step) % count).find(|number| !self.taken[*number])?;
        self.taken[free] = true;
        self.next = u16::try_from((free + 1) % count).unwrap_or(0);
        u16::try_from(free).ok()
    }

    /// Events that the last owner of this number left.
    pub fn events(&self, number: u16) -> u32 {
        self.events.get(usize::from(number)).copied().unwrap_or(0)
    }

    fn release(&mut self, number: u16, events: u32) {
        if let Some(taken) = self.taken.get_mut(usize::from(number)) {
            *taken = false;
        }
        if let Some(left) = self.events.get_mut(usize::from(number)) {
            *left = events;
        }
    }

    fn free(&self) -> usize {
        self.taken.iter().filter(|taken| !**taken).count()
    }
}

/// What devices share.
pub struct Outside {
    /// What is to go wrong.
    pub faults: Vec<Arc<Armed>>,
    /// How long requests take.
    pub times: Times,
    /// Who wants to know of each.
    pub tracer: Arc<Tracer>,
}

/// Builds the devices and their attribute files under `root`.
/// # Errors
/// What writing the files reports.
pub fn build(
    root: &std::path::Path,
    descriptions: Vec<Description>,
    outside: &Outside,
) -> io::Result<Vec<Arc<Device>>> {
    let mut devices = Vec::new();
    let physical = Bus::new(reserved::Kind::Physical);
    for description in descriptions {
        let attributes = Attributes::create(root, &description)?;
        let faults = Faults::of(&outside.faults, &description);
        let bus = match description.memory {
            Memory::Sva => None,
            Memory::Iommu => Some(Bus::new(reserved::Kind::Translated)),
            Memory::Noiommu => Some(Arc::clone(&physical)),
        };
        let device = Arc::new(Device::new(description, attributes, faults, bus, outside));
        if device.usage.is_some() {
            usage::watch(Arc::clone(&device))?;
        }
        devices.push(device);
    }
    isolation::watch(&devices)?;
    Ok(devices)
}

/// Entries of each ring.
pub const DEPTH: u16 = 1024;
/// Bytes of a completion entry.
pub const COMPLETION_LEN: usize = 16;

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) fn description(engine: Engine, generation: Generation) -> Description {
        let service = Service { memo: false, doorbell: Doorbell::Trap, spin: Duration::ZERO };
        let (kernel, memory) = (Kernel::Mainline, Memory::Sva);
        Description {
            engine,
            id: 3,
            generation,
            kernel,
            memory,
            node: 0,
            numa: false,
            page_size: 4096,
            queues: 2,
            service,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::description;
    use super::*;

    /// uacce-qm §3.1 and §3.2, all three page sizes.
    #[test]
    fn region_sizes_are_the_kernels() {
        let zip = description(Engine::Zip, Generation::V2);
        let hpre = description(Engine::Hpre, Generation::V3);
        let first = description(Engine::Zip, Generation::V1);
        let sizes = |device: &Description| {
            [4096, 16384, 65536].map(|page| (device.doorbell_region_len(page), device.ring_region_len(page)))
        };
        assert_eq!(sizes(&zip), [(8192, 151_552), (16384, 163_840), (65536, 262_144)]);
        assert_eq!(sizes(&hpre), [(65536, 86016), (65536, 98304), (65536, 196_608)]);
        assert_eq!(sizes(&first), [(4096, 151_552), (16384, 163_840), (65536, 262_144)]);
    }

    /// uacce-qm §1.2, §1.3 and §7.1.
    #[test]
    fn flags_and_api_tell_how_memory_is_named() {
        let shown = |kernel, memory, generation| {
            let device = Description { kernel, memory, ..description(Engine::Zip, generation) };
            (device.flags(), device.api())
        };
        let named = |flags, api: &str| (flags, api.to_owned());
        assert_eq!(shown(Kernel::Mainline, Memory::Sva, Generation::V5), named(1, "hisi_qm_v3"));
        assert_eq!(shown(Kernel::Openeuler, Memory::Sva, Generation::V5), named(129, "hisi_qm_v5"));
        assert_eq!(shown(Kernel::Kae, Memory::Iommu, Generation::V2), named(128, "hisi_qm_v2"));
        assert_eq!(shown(Kernel::Kae, Memory::Noiommu, Generation::V1), named(2, "hisi_qm_v1_noiommu"));
    }

    #[test]
    fn far_nodes_are_farther() {
        let at = |node, numa, kernel| {
            Description { node, numa, kernel, ..description(Engine::Zip, Generation::V2) }.numa_distance()
        };
        assert_eq!([0, 1, 2, 3].map(|node| at(node, true, Kernel::Kae)), [10, 12, 20, 22]);
        assert_eq!((at(0, false, Kernel::Kae), at(0, false, Kernel::Openeuler)), (0, 10));
    }

    #[test]
    fn numbers_go_round() {
        let mut numbers = Numbers::new(3);
        assert_eq!([numbers.take(), numbers.take()], [Some(0), Some(1)]);
        numbers.release(0, 5);
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(2), Some(0), None]);
        numbers.release(1, 0);
        assert_eq!((numbers.events(0), numbers.events(1)), (5, 0));
        assert_eq!((numbers.free(), numbers.take()), (1, Some(1)));
    }
}
