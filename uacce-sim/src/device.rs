//! A simulated device: what it is, and which of its queue numbers are taken.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::fault::{Armed, Faults};
use crate::model::{Model, hpre, sec, zip};
use crate::note;
use crate::sysfs::Attributes;
use crate::trouble::{Condition, Health};

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

/// Hardware generation: Kunpeng 920 (`v2`) or its successor (`v3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hardware {
    /// Queue manager 0x21: shared doorbell page, RSA and DH, zlib and gzip.
    V2,
    /// Queue manager 0x30: 64 KiB doorbell region per queue, elliptic curves, raw deflate.
    V3,
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
    /// Time from doorbell to completion, at least.
    pub latency: Duration,
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
    pub hardware: Hardware,
    /// Kernel driver imitated.
    pub kernel: Kernel,
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

    /// The `api` attribute (uacce-qm §1.3).
    pub fn api(&self) -> &'static str {
        match self.hardware {
            Hardware::V2 => "hisi_qm_v2",
            Hardware::V3 => "hisi_qm_v3",
        }
    }

    /// The `flags` attribute: SVA, and on vendor kernels that an IOMMU is there (uacce-qm §1.2).
    pub fn flags(&self) -> u32 {
        match self.kernel {
            Kernel::Mainline => 1,
            Kernel::Kae | Kernel::Openeuler => 1 | 1 << 7,
        }
    }

    /// The `algorithms` attribute, in the kernel's order (uacce-qm §1.4).
    pub fn algorithms(&self) -> &'static str {
        match (self.engine, self.hardware) {
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
        match self.hardware {
            Hardware::V2 => page_size * (1 + 0x1000 / page_size),
            Hardware::V3 => 0x1_0000,
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
            Engine::Hpre => Box::new(hpre::Hpre::new(class, self.hardware, self.service.memo)),
            Engine::Sec => Box::new(sec::Sec::new(self.hardware)),
            Engine::Zip => Box::new(zip::Zip::new(class, self.hardware, self.service.memo)),
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
}

impl Device {
    /// A device with all queues free.
    pub fn new(description: Description, attributes: Attributes, faults: Faults) -> Self {
        let calls = Mutex::new(Numbers::new(description.queues));
        Self { description, attributes, calls, faults, health: Health::default() }
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

    /// Gives a queue number back.
    pub fn release(&self, calls: &mut Calls<'_>, number: u16) {
        calls.release(number);
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
        Self { taken: vec![false; usize::from(count)], next: 0 }
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

    fn release(&mut self, number: u16) {
        if let Some(taken) = self.taken.get_mut(usize::from(number)) {
            *taken = false;
        }
    }

    fn free(&self) -> usize {
        self.taken.iter().filter(|taken| !**taken).count()
    }
}

/// Builds the devices and their attribute files under `root`.
/// # Errors
/// What writing the files reports.
pub fn build(
    root: &std::path::Path,
    descriptions: Vec<Description>,
    faults: &[Arc<Armed>],
) -> io::Result<Vec<Arc<Device>>> {
    let mut devices = Vec::new();
    for description in descriptions {
        let attributes = Attributes::create(root, &description)?;
        let faults = Faults::of(faults, &description);
        devices.push(Arc::new(Device::new(description, attributes, faults)));
    }
    Ok(devices)
}

/// Entries of each ring.
pub const DEPTH: u16 = 1024;
/// Bytes of a completion entry.
pub const COMPLETION_LEN: usize = 16;
/// Where the doorbell word lies in its region, v2 and later (uacce-qm §3.1).
pub const DOORBELL_OFFSET: usize = 0x1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn description(engine: Engine, hardware: Hardware) -> Description {
        let service =
            Service { latency: Duration::ZERO, memo: false, doorbell: Doorbell::Trap, spin: Duration::ZERO };
        Description { engine, id: 3, hardware, kernel: Kernel::Mainline, queues: 2, service }
    }

    /// uacce-qm §3.1 and §3.2, all three page sizes.
    #[test]
    fn region_sizes_are_the_kernels() {
        let zip = description(Engine::Zip, Hardware::V2);
        let hpre = description(Engine::Hpre, Hardware::V3);
        let sizes = |device: &Description| {
            [4096, 16384, 65536].map(|page| (device.doorbell_region_len(page), device.ring_region_len(page)))
        };
        assert_eq!(sizes(&zip), [(8192, 151_552), (16384, 163_840), (65536, 262_144)]);
        assert_eq!(sizes(&hpre), [(65536, 86016), (65536, 98304), (65536, 196_608)]);
    }

    #[test]
    fn numbers_go_round() {
        let mut numbers = Numbers::new(3);
        assert_eq!([numbers.take(), numbers.take()], [Some(0), Some(1)]);
        numbers.release(0);
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(2), Some(0), None]);
        numbers.release(1);
        assert_eq!((numbers.free(), numbers.take()), (1, Some(1)));
    }
}
