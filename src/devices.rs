//! What devices the machine shows, for the command line's eyes: the same discovery the queues use, and in words why a device
//! would be left alone.

pub use uacce_sys::{DeviceInfo, Roots, discover};

/// Why this library leaves a device alone, judged from what the kernel says of it; `None`: it would be used.
/// Permission and free queues are not looked at: only opening it tells.
pub fn obstacle(device: &DeviceInfo) -> Option<&'static str> {
    if device.api_version < 2 {
        Some("its interface is older than hisi_qm_v2")
    } else if !device.sva() {
        Some("it does not share addresses with processes (SVA off: IOMMU or kernel setting)")
    } else if device.isolated {
        Some("the kernel has isolated it after errors")
    } else if device.dev_state.is_some_and(|state| state < 0) {
        Some("it is stopped")
    } else {
        None
    }
}
