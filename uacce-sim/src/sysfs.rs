//! The attribute files: an ordinary directory tree shaped like the kernel's `/sys` and `/dev`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::device::{Description, Engine, Hardware, Kernel};
use crate::os::process::page_size;

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

/// `pciXXXX:YY/<bridge>` and the function behind it, placed as on a two-socket Kunpeng 920.
fn pci_address(device: &Description) -> (String, String) {
    let (root_bus, bus) = match device.engine {
        Engine::Hpre => (0x78, 0x79),
        Engine::Sec => (0x74, 0x76),
        Engine::Zip => (0x74, 0x75),
    };
    let (bridge, slot) = (device.id / 32, device.id % 32);
    (
        format!("pci0000:{root_bus:02x}/0000:{root_bus:02x}:{bridge:02x}.0"),
        format!("0000:{bus:02x}:{slot:02x}.0"),
    )
}

fn pci_attributes(device: &Description) -> Vec<(&'static str, String)> {
    let (id, class) = match device.engine {
        Engine::Hpre => ("0xa258", "0x100000"),
        Engine::Sec => ("0xa255", "0x100000"),
        Engine::Zip => ("0xa250", "0x120000"),
    };
    let revision = match device.hardware {
        Hardware::V2 => "0x21",
        Hardware::V3 => "0x30",
    };
    vec![
        ("vendor", "0x19e5\n".to_owned()),
        ("device", format!("{id}\n")),
        ("revision", format!("{revision}\n")),
        ("class", format!("{class}\n")),
        ("numa_node", "0\n".to_owned()),
    ]
}

/// Attributes and their values without the closing newline (uacce-qm §1.2).
fn attributes(device: &Description) -> Vec<(&'static str, String)> {
    let page_size = page_size() as usize;
    let mut all = vec![
        ("api", device.api().to_owned()),
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
    match device.kernel {
        Kernel::Mainline => {}
        Kernel::Kae => {
            all.push(("node_id", "0".to_owned()));
            all.push(("numa_distance", "0".to_owned()));
            all.push(("dev_state", "0".to_owned()));
        }
        Kernel::Openeuler => {
            all.push(("node_id", "0".to_owned()));
            all.push(("numa_distance", "10".to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Doorbell, Service};
    use std::time::Duration;

    fn zip(kernel: Kernel) -> Description {
        let service =
            Service { latency: Duration::ZERO, memo: false, doorbell: Doorbell::Trap, spin: Duration::ZERO };
        Description { engine: Engine::Zip, id: 4, hardware: Hardware::V2, kernel, queues: 64, service }
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
