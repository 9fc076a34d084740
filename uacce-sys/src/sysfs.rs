//! Discovery: what `/sys/class/uacce` says of each device.
//!
//! Kernels differ (uacce-qm §1.2): five attributes are everywhere and a device without one of them is not usable; of the
//! others each kernel has some. Each attribute is one open, one short read. Nothing is remembered between calls.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where devices are looked for; a parameter so that tests need no real sysfs.
#[derive(Clone, Debug)]
pub struct Roots {
    /// The class directory, `/sys/class/uacce`.
    pub class: PathBuf,
    /// The directory of character devices, `/dev`.
    pub dev: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { class: "/sys/class/uacce".into(), dev: "/dev".into() }
    }
}

/// One device as sysfs describes it at the time of [`discover`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Entry name, e.g. `hisi_zip-4`.
    pub name: String,
    /// The character device, e.g. `/dev/hisi_zip-4`.
    pub path: PathBuf,
    /// The driver's interface, e.g. `hisi_qm_v2`.
    pub api: String,
    /// Number in `api`: 1, 2, 3 or 5; 0 if it is no HiSilicon queue manager's, which [`crate::open`] refuses.
    pub api_version: u32,
    /// `flags`: bit 0 SVA, bit 1 no IOMMU, bit 7 IOMMU.
    pub flags: u32,
    /// One entry per line of `algorithms`.
    pub algorithms: Vec<String>,
    /// `region_mmio_size`, bytes.
    pub mmio_len_bytes: usize,
    /// `region_dus_size`, bytes.
    pub dus_len_bytes: usize,
    /// Free queues now, if the kernel tells.
    pub available_instances: Option<i64>,
    /// `isolate` is present and 1.
    pub isolated: bool,
    /// NUMA node of the parent device; -1 unknown.
    pub numa_node: i32,
    /// `numa_distance` (vendor kernels only).
    pub numa_distance: Option<i32>,
    /// `dev_state` (KAE kernels only): -1 while the device is stopped.
    pub dev_state: Option<i32>,
    /// `isolate_strategy`: hardware errors tolerated per hour before isolation; 0 never isolates.
    pub isolate_strategy: Option<u32>,
    /// `dev_usage`: how busy the engines are, in percent, as the driver words it (`COMPRESS: 3`).
    pub usage: Option<String>,
}

impl DeviceInfo {
    /// The device works in the process's own address space.
    pub fn sva(&self) -> bool {
        self.flags & crate::abi::FLAG_SVA != 0
    }

    /// The device offers `algorithm`, an exact line of `algorithms`.
    pub fn offers(&self, algorithm: &str) -> bool {
        self.algorithms.iter().any(|line| line == algorithm)
    }
}

/// Lists the devices below `roots`, in directory order; unreadable or malformed entries are left out. No class directory
/// means no devices. Clobbers errno.
pub fn discover(roots: &Roots) -> Vec<DeviceInfo> {
    let Ok(entries) = fs::read_dir(&roots.class) else { return Vec::new() };
    entries.filter_map(|entry| device(roots, entry.ok()?.file_name().to_str()?)).collect()
}

/// One device; `None` if a mandatory attribute is missing or malformed.
fn device(roots: &Roots, name: &str) -> Option<DeviceInfo> {
    if name.starts_with('.') {
        return None;
    }
    let entry = roots.class.join(name);
    let api = text(&entry, "api")?;
    let algorithms: Vec<String> =
        text(&entry, "algorithms")?.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Some(DeviceInfo {
        path: roots.dev.join(name),
        api_version: api_version(&api),
        flags: number(&entry, "flags")?,
        // Hidden by the kernel when 0: a device without regions has no queues for us.
        mmio_len_bytes: number(&entry, "region_mmio_size").filter(|len| *len != 0)?,
        dus_len_bytes: number(&entry, "region_dus_size").filter(|len| *len != 0)?,
        available_instances: number(&entry, "available_instances"),
        isolated: number::<u32>(&entry, "isolate").is_some_and(|isolate| isolate != 0),
        // Vendor kernels say it beside the others, all kernels at the parent device.
        numa_node: number(&entry, "node_id").or_else(|| number(&entry, "device/numa_node")).unwrap_or(-1),
        numa_distance: number(&entry, "numa_distance"),
        dev_state: number(&entry, "dev_state"),
        isolate_strategy: number(&entry, "isolate_strategy"),
        usage: text(&entry, "dev_usage"),
        name: name.to_owned(),
        api,
        algorithms,
    })
}

/// The number in `hisi_qm_v2` or `hisi_qm_v3_noiommu`; 0 for anything else.
fn api_version(api: &str) -> u32 {
    let Some(rest) = api.strip_prefix("hisi_qm_v") else { return 0 };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().unwrap_or(0)
}

/// A decimal attribute; `None` if it is absent, unreadable, no number, or out of range.
fn number<T: FromStr>(entry: &Path, attribute: &str) -> Option<T> {
    text(entry, attribute)?.parse().ok()
}

/// An attribute without its last newline; `None` if it is absent, unreadable, empty, not text, or longer than sysfs can
/// show.
fn text(entry: &Path, attribute: &str) -> Option<String> {
    let mut bytes = [0; ATTRIBUTE_LEN_MAX];
    let mut file = File::open(entry.join(attribute)).ok()?;
    let mut len = 0;
    loop {
        match file.read(bytes.get_mut(len..)?) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        if len == bytes.len() {
            return None;
        }
    }
    let text = std::str::from_utf8(bytes.get(..len)?).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    (!text.is_empty()).then(|| text.to_owned())
}

/// The kernel builds `algorithms` in 256 bytes; everything else is shorter.
const ATTRIBUTE_LEN_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A class directory in a temporary folder, removed on drop.
    struct Tree {
        roots: Roots,
        root: PathBuf,
    }

    impl Tree {
        fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let root = std::env::temp_dir().join(format!("uacce-sys-{}-{number}", std::process::id()));
            let roots = Roots { class: root.join("class"), dev: root.join("dev") };
            fs::create_dir_all(&roots.class).unwrap();
            Self { roots, root }
        }

        fn attribute(&self, device: &str, name: &str, value: impl AsRef<[u8]>) {
            let path = self.roots.class.join(device).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        }

        /// What every kernel shows for a Kunpeng 920's ZIP (uacce-qm §1.2).
        fn mainline(&self, device: &str) {
            for (name, value) in [
                ("api", "hisi_qm_v2\n"),
                ("flags", "1\n"),
                ("algorithms", "zlib\ngzip\n"),
                ("region_mmio_size", "8192\n"),
                ("region_dus_size", "151552\n"),
                ("available_instances", "64\n"),
                ("device/numa_node", "1\n"),
                ("isolate", "0\n"),
                ("isolate_strategy", "0\n"),
            ] {
                self.attribute(device, name, value);
            }
        }

        fn only(&self) -> DeviceInfo {
            let mut found = discover(&self.roots);
            assert_eq!(found.len(), 1);
            found.remove(0)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.root);
        }
    }

    #[test]
    fn a_mainline_device() {
        let tree = Tree::new();
        tree.mainline("hisi_zip-4");
        let device = tree.only();
        assert_eq!(device.name, "hisi_zip-4");
        assert_eq!(device.path, tree.roots.dev.join("hisi_zip-4"));
        assert_eq!((device.api.as_str(), device.api_version), ("hisi_qm_v2", 2));
        assert!(device.sva() && !device.isolated);
        assert_eq!(device.algorithms, ["zlib", "gzip"]);
        assert!(device.offers("gzip") && !device.offers("zip") && !device.offers("zlib\ngzip"));
        assert_eq!((device.mmio_len_bytes, device.dus_len_bytes), (8192, 151_552));
        assert_eq!(device.available_instances, Some(64));
        assert_eq!((device.numa_node, device.numa_distance, device.dev_state), (1, None, None));
        assert_eq!((device.isolate_strategy, device.usage), (Some(0), None));
    }

    #[test]
    fn a_vendor_device() {
        let tree = Tree::new();
        tree.mainline("hisi_hpre-2");
        for (name, value) in [
            ("api", "hisi_qm_v3_noiommu\n"),
            ("flags", "130\n"),
            ("node_id", "-1\n"),
            ("numa_distance", "20\n"),
            ("dev_state", "-1\n"),
            ("isolate", "1\n"),
            ("isolate_strategy", "65535\n"),
            ("dev_usage", "ECC: 3\nRSA: 40\n"),
            ("available_instances", "-3\n"),
        ] {
            tree.attribute("hisi_hpre-2", name, value);
        }
        let device = tree.only();
        assert_eq!((device.api.as_str(), device.api_version), ("hisi_qm_v3_noiommu", 3));
        assert!(!device.sva() && device.isolated);
        assert_eq!(device.flags, crate::abi::FLAG_NOIOMMU | crate::abi::FLAG_IOMMU);
        assert_eq!((device.numa_node, device.numa_distance, device.dev_state), (-1, Some(20), Some(-1)));
        assert_eq!(device.isolate_strategy, Some(65535));
        assert_eq!(device.usage.as_deref(), Some("ECC: 3\nRSA: 40"));
        assert_eq!(device.available_instances, Some(-3));
    }

    #[test]
    fn a_device_without_a_mandatory_attribute_is_left_out() {
        for name in ["api", "flags", "algorithms", "region_mmio_size", "region_dus_size"] {
            let tree = Tree::new();
            tree.mainline("hisi_zip-4");
            tree.mainline("hisi_zip-5");
            let path = tree.roots.class.join("hisi_zip-4").join(name);
            fs::remove_file(&path).unwrap();
            assert_eq!(tree.only().name, "hisi_zip-5", "{name} absent");
            for broken in [&b""[..], b"\n", b"\xff\xfe\n", &[b'1'; 5000]] {
                tree.attribute("hisi_zip-4", name, broken);
                assert_eq!(tree.only().name, "hisi_zip-5", "{name} {broken:?}");
            }
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            assert_eq!(tree.only().name, "hisi_zip-5", "{name} is a directory");
        }
        for (name, broken) in [
            ("flags", "-1"),
            ("flags", "1 2"),
            ("flags", "0x1"),
            ("flags", "4294967296"),
            ("region_mmio_size", "0\n"),
            ("region_dus_size", "0\n"),
            ("region_dus_size", "-4096\n"),
            ("region_dus_size", "99999999999999999999\n"),
        ] {
            let tree = Tree::new();
            tree.mainline("hisi_zip-4");
            tree.attribute("hisi_zip-4", name, broken);
            assert!(discover(&tree.roots).is_empty(), "{name} {broken:?}");
        }
    }

    #[test]
    fn an_optional_attribute_may_be_anything() {
        for name in ["available_instances", "isolate", "node_id", "numa_distance", "dev_state"] {
            for broken in [&b""[..], b"\n", b"none\n", b"\xff\n", b"999999999999999999999\n", &[b'1'; 5000]] {
                let tree = Tree::new();
                tree.mainline("hisi_zip-4");
                tree.attribute("hisi_zip-4", name, broken);
                let device = tree.only();
                assert!(!device.isolated);
                assert_eq!(device.numa_node, 1, "falls back to the parent's");
                assert_eq!((device.numa_distance, device.dev_state), (None, None));
                assert_eq!(device.available_instances.is_none(), name == "available_instances");
            }
        }
        let tree = Tree::new();
        tree.mainline("hisi_zip-4");
        fs::remove_dir_all(tree.roots.class.join("hisi_zip-4/device")).unwrap();
        assert_eq!(tree.only().numa_node, -1);
    }

    #[test]
    fn interface_versions() {
        for (api, version) in [
            ("hisi_qm_v1", 1),
            ("hisi_qm_v2", 2),
            ("hisi_qm_v3_noiommu", 3),
            ("hisi_qm_v5", 5),
            ("hisi_qm_v12", 12),
            ("hisi_qm_v", 0),
            ("hisi_qm_vx", 0),
            ("hisi_qm", 0),
            ("other_v2", 0),
            ("hisi_qm_v99999999999", 0),
        ] {
            assert_eq!(api_version(api), version, "{api}");
        }
    }

    #[test]
    fn hidden_entries_and_missing_directories() {
        let tree = Tree::new();
        tree.mainline(".hisi_zip-4");
        fs::write(tree.roots.class.join("stray"), "x").unwrap();
        assert!(discover(&tree.roots).is_empty());
        fs::remove_dir_all(&tree.roots.class).unwrap();
        assert!(discover(&tree.roots).is_empty());
    }

    #[test]
    fn entries_are_links_in_a_real_class_directory() {
        let tree = Tree::new();
        tree.mainline("../devices/hisi_sec2-0");
        std::os::unix::fs::symlink("../devices/hisi_sec2-0", tree.roots.class.join("hisi_sec2-0")).unwrap();
        assert_eq!(tree.only().name, "hisi_sec2-0");
    }
}
