//! The attribute files: an ordinary directory tree shaped like the kernel's `/sys` and `/dev`.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use crate::device::{Description, Engine, Generation, Kernel};

/// The files of one device that change while it lives.
pub struct Attributes {
    directory: PathBuf,
    scratch: PathBuf,
    /// What else shows that the device is there.
    entries: [PathBuf; 2],
}

impl Attributes {
    /// Writes the tree of one device under `root/sys` and its placeholder under `root/dev`.
    /// # Errors
    /// What the file system reports.
    pub fn create(root: &Path, device: &Description) -> io::Result<Self> {
        let name = device.name();
        let (bridge, function) = pci_address(device);
        let parent = root.join("sys/devices").join(&bridge).join(&function);
        let directory = parent.join("uacce").join(&name);
        fs::create_dir_all(&directory)?;
        for (file, value) in pci_attributes(device) {
            fs::write(parent.join(file), value)?;
        }
        for (file, value) in attributes(device) {
            fs::write(directory.join(file), format!("{value}\n"))?;
        }
        symlink(format!("../../../{function}"), directory.join("device"))?;
        symlink("../../../../../../class/uacce", directory.join("subsystem"))?;
        let class = root.join("sys/class/uacce");
        fs::create_dir_all(&class)?;
        let entries = [class.join(&name), root.join("dev").join(&name)];
        symlink(format!("../../devices/{bridge}/{function}/uacce/{name}"), &entries[0])?;
        fs::create_dir_all(root.join("dev"))?;
        fs::write(&entries[1], "")?;
        Ok(Self { directory, scratch: root.join(format!(".{name}")), entries })
    }

    /// Shows a new value. A reader sees the old or the new one, never a part.
    /// # Errors
    /// What the file system reports.
    pub fn set(&self, attribute: &str, value: &str) -> io::Result<()> {
        // Two attributes may change at one time.
        let scratch = self.scratch.with_extension(attribute);
        fs::write(&scratch, format!("{value}\n"))?;
        fs::rename(&scratch, self.directory.join(attribute))
    }

    /// The file of an attribute, e.g. to watch it.
    pub fn path(&self, attribute: &str) -> PathBuf {
        self.directory.join(attribute)
    }

    /// As [`Self::set`], in the same file: it may be watched, or open for writing in a client.
    /// # Errors
    /// What the file system reports.
    pub fn rewrite(&self, attribute: &str, value: &str) -> io::Result<()> {
        let text = format!("{value}\n");
        let file = fs::File::options().write(true).open(self.path(attribute))?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.set_len(text.len() as u64)
    }

    /// Shows that the device is no longer there: its entries vanish, its files with them.
    /// # Errors
    /// What the file system reports.
    pub fn vanish(&self) -> io::Result<()> {
        for entry in &self.entries {
            fs::remove_file(entry)?;
        }
        fs::remove_dir_all(&self.directory)
    }
}

/// Removes what [`Attributes::create`] wrote, for all devices.
pub fn remove(root: &Path) {
    // What cannot be removed is left: the daemon is ending, and nobody relies on it.
    let _ = fs::remove_dir_all(root.join("sys"));
    let _ = fs::remove_dir_all(root.join("dev"));
}

/// `pciXXXX:YY/<bridge>` and the function behind it, placed as on a two-socket Kunpeng 920, where nodes 0 and 2 have
/// accelerators; those on other nodes get PCI domains of their own.
fn pci_address(device: &Description) -> (String, String) {
    let (root_bus, bus) = match device.engine {
        Engine::Hpre => (0x78, 0x79),
        Engine::Sec => (0x74, 0x76),
        Engine::Zip => (0x74, 0x75),
    };
    let (socket, domain) = (u32::from(device.node >> 1 & 1) * 0x40, device.node >> 2 << 1 | device.node & 1);
    let (root_bus, bus) = (root_bus + socket, bus + socket);
    let (bridge, slot) = (device.id / 32, device.id % 32);
    (
        format!("pci{domain:04x}:{root_bus:02x}/{domain:04x}:{root_bus:02x}:{bridge:02x}.0"),
        format!("{domain:04x}:{bus:02x}:{slot:02x}.0"),
    )
}

fn pci_attributes(device: &Description) -> Vec<(&'static str, String)> {
    let (id, class) = match device.engine {
        Engine::Hpre => ("0xa258", "0x100000"),
        Engine::Sec => ("0xa255", "0x100000"),
        Engine::Zip => ("0xa250", "0x120000"),
    };
    let revision = match device.generation {
        Generation::V1 => "0x20",
        Generation::V2 => "0x21",
        Generation::V3 => "0x30",
        Generation::V5 => "0x51",
    };
    vec![
        ("vendor", "0x19e5\n".to_owned()),
        ("device", format!("{id}\n")),
        ("revision", format!("{revision}\n")),
        ("class", format!("{class}\n")),
        ("numa_node", format!("{}\n", device.node)),
    ]
}

/// Attributes and their values without the closing newline (uacce-qm §1.2).
fn attributes(device: &Description) -> Vec<(&'static str, String)> {
    let page_size = device.page_size as usize;
    let mut all = vec![
        ("api", device.api()),
        ("flags", device.flags().to_string()),
        ("available_instances", device.queues.to_string()),
        ("algorithms", device.algorithms().to_owned()),
        ("region_mmio_size", device.doorbell_region_len(page_size).to_string()),
        ("region_dus_size", device.ring_region_len(page_size).to_string()),
        ("isolate", "0".to_owned()),
        ("isolate_strategy", "0".to_owned()),
        ("dev", format!("240:{}", device.id)),
        ("uevent", format!("MAJOR=240\nMINOR={}\nDEVNAME={}", device.id, device.name())),
    ];
    if device.kernel != Kernel::Mainline {
        all.push(("node_id", device.node.to_string()));
        all.push(("numa_distance", device.numa_distance().to_string()));
    }
    if device.kernel == Kernel::Kae {
        all.push(("dev_state", "0".to_owned()));
    }
    if device.tells_usage() {
        all.push(("dev_usage", crate::usage::shown(device.engine, [0; 2])));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::testing::description;

    fn zip(kernel: Kernel) -> Description {
        Description { id: 4, kernel, queues: 64, ..description(Engine::Zip, Generation::V2) }
    }

    #[test]
    fn devices_sit_on_their_nodes() {
        let root = crate::os::process::private_directory(&std::env::temp_dir()).unwrap();
        let kernel = Kernel::Openeuler;
        for (node, distance, place) in [
            (0, "10", "pci0000:74"),
            (1, "12", "pci0001:74"),
            (2, "20", "pci0000:b4"),
            (7, "22", "pci0003:b4"),
        ] {
            let device = Description { id: node.into(), node, numa: true, ..zip(kernel) };
            Attributes::create(&root, &device).unwrap();
            let class = root.join("sys/class/uacce").join(device.name());
            let read = |file: &str| fs::read_to_string(class.join(file)).unwrap().trim_end().to_owned();
            assert_eq!(read("device/numa_node"), node.to_string());
            assert_eq!((read("node_id"), read("numa_distance")), (node.to_string(), distance.to_owned()));
            assert!(fs::read_link(&class).unwrap().to_string_lossy().contains(place), "{node}");
        }
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn looks_like_the_kernels() {
        let root = crate::os::process::private_directory(&std::env::temp_dir()).unwrap();
        let attributes = Attributes::create(&root, &zip(Kernel::Kae)).unwrap();
        let class = root.join("sys/class/uacce/hisi_zip-4");
        let read = |file: &str| fs::read_to_string(class.join(file)).unwrap();
        assert_eq!(read("api"), "hisi_qm_v2\n");
        assert_eq!(read("algorithms"), "zlib\ngzip\n");
        assert_eq!(read("flags"), "129\n");
        assert_eq!(read("device/numa_node"), "0\n");
        assert_eq!(read("subsystem/hisi_zip-4/dev_state"), "0\n");
        assert!(fs::read_link(&class).unwrap().starts_with("../../devices/pci0000:74"));
        attributes.set("available_instances", "7").unwrap();
        assert_eq!(read("available_instances"), "7\n");
        attributes.vanish().unwrap();
        assert!(fs::symlink_metadata(&class).is_err() && !root.join("dev/hisi_zip-4").exists());
        remove(&root);
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        fs::remove_dir(&root).unwrap();
    }
}
