//! Hardware or software: one pure decision, made from a table of facts that the engine gathers.
//!
//! Nothing here measures, waits, counts or opens anything; the tests at the bottom are the specification.

use std::time::Duration;

use crate::Reason;
use crate::config::Policy;

/// What stands between a request and a device, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// None is present, or none that this process may use.
    Absent,
    /// Present, but this kind of request is not among its capabilities.
    Incapable,
    /// Able, but health has paused or quarantined every one of them.
    Paused,
    /// Able and in good health.
    Ready,
}

/// The facts about one request and the devices that could serve it.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// What the configuration says for the request's algorithm.
    pub policy: Policy,
    /// The best device for this request.
    pub device: Device,
    /// Payload of the request, bytes.
    pub len_bytes: u64,
    /// Smallest payload worth a trip, bytes; 0 where size does not matter.
    pub min_bytes: u64,
    /// Requests this process has outstanding on queues of the right class.
    pub outstanding: u32,
    /// How many it could have outstanding, those counted in `outstanding` and those of queues not yet opened included.
    pub capacity: u32,
    /// Measured time of such a request on the device, from the caller's point of view; `None` while unmeasured.
    pub hardware: Option<Duration>,
    /// Measured time of such a request in software; `None` while unmeasured.
    pub software: Option<Duration>,
}

/// Decides where a request goes: `Ok` to hardware, else to software.
///
/// Checked in this order: the policy `software`; presence; capability; size; health; load; measured cost.
/// The policy `hardware` leaves out size and cost: whatever the device can do goes there. Cost decides only when both engines
/// have been measured, and equal cost goes to hardware, which leaves the processor free.
/// # Errors
/// The reason software is counted under.
pub fn route(inputs: &Inputs) -> Result<(), Reason> {
    let economical = match inputs.policy {
        Policy::Software => return Err(Reason::Policy),
        Policy::Hardware => false,
        Policy::Auto => true,
    };
    match inputs.device {
        Device::Absent => return Err(Reason::NoDevice),
        Device::Incapable => return Err(Reason::Unsupported),
        Device::Paused | Device::Ready => {}
    }
    if economical && inputs.len_bytes < inputs.min_bytes {
        return Err(Reason::Small);
    }
    if inputs.device == Device::Paused {
        return Err(Reason::Paused);
    }
    if inputs.outstanding >= inputs.capacity {
        return Err(Reason::Busy);
    }
    match (inputs.hardware, inputs.software) {
        (Some(hardware), Some(software)) if economical && hardware > software => Err(Reason::Policy),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Device::{Absent, Incapable, Paused, Ready};
    use Policy::{Auto, Hardware, Software};

    const KIB_64: u64 = 65_536;

    fn micros(n: u64) -> Option<Duration> {
        Some(Duration::from_micros(n))
    }

    #[test]
    fn table() {
        #[rustfmt::skip]
        let rows = [
            // policy    device     length      outstanding/capacity  hardware      software       expected
            (Auto,       Ready,     KIB_64,     0, 1,                 None,         None,          Ok(())),
            (Auto,       Ready,     KIB_64 - 1, 0, 1,                 None,         None,          Err(Reason::Small)),
            (Auto,       Ready,     0,          0, 1,                 None,         None,          Err(Reason::Small)),
            (Auto,       Ready,     u64::MAX,   0, 1,                 None,         None,          Ok(())),
            (Auto,       Ready,     KIB_64,     1, 1,                 None,         None,          Err(Reason::Busy)),
            (Auto,       Ready,     KIB_64,     2, 1,                 None,         None,          Err(Reason::Busy)),
            (Auto,       Ready,     KIB_64,     0, 0,                 None,         None,          Err(Reason::Busy)),
            (Auto,       Ready,     KIB_64,     0, 1,                 micros(100),  micros(600),   Ok(())),
            (Auto,       Ready,     KIB_64,     0, 1,                 micros(600),  micros(600),   Ok(())),
            (Auto,       Ready,     KIB_64,     0, 1,                 micros(601),  micros(600),   Err(Reason::Policy)),
            (Auto,       Ready,     KIB_64,     0, 1,                 micros(601),  None,          Ok(())),
            (Auto,       Ready,     KIB_64,     0, 1,                 None,         micros(1),     Ok(())),
            (Auto,       Paused,    KIB_64,     0, 1,                 None,         None,          Err(Reason::Paused)),
            (Auto,       Paused,    1,          0, 1,                 None,         None,          Err(Reason::Small)),
            (Auto,       Incapable, KIB_64,     0, 1,                 None,         None,          Err(Reason::Unsupported)),
            (Auto,       Absent,    1,          0, 0,                 None,         None,          Err(Reason::NoDevice)),
            (Hardware,   Ready,     1,          0, 1,                 micros(9),    micros(1),     Ok(())),
            (Hardware,   Ready,     1,          1, 1,                 None,         None,          Err(Reason::Busy)),
            (Hardware,   Paused,    1,          0, 1,                 None,         None,          Err(Reason::Paused)),
            (Hardware,   Incapable, KIB_64,     0, 1,                 None,         None,          Err(Reason::Unsupported)),
            (Hardware,   Absent,    KIB_64,     0, 0,                 None,         None,          Err(Reason::NoDevice)),
            (Software,   Ready,     KIB_64,     0, 1,                 micros(1),    micros(9),     Err(Reason::Policy)),
            (Software,   Absent,    1,          0, 0,                 None,         None,          Err(Reason::Policy)),
        ];
        for (policy, device, len_bytes, outstanding, capacity, hardware, software, expected) in rows {
            let inputs = Inputs {
                policy,
                device,
                len_bytes,
                min_bytes: KIB_64,
                outstanding,
                capacity,
                hardware,
                software,
            };
            assert_eq!(route(&inputs), expected, "{inputs:?}");
        }
    }

    #[test]
    fn a_kind_without_a_threshold_is_never_small() {
        let inputs = Inputs {
            policy: Auto,
            device: Ready,
            len_bytes: 0,
            min_bytes: 0,
            outstanding: 0,
            capacity: 1,
            hardware: None,
            software: None,
        };
        assert_eq!(route(&inputs), Ok(()));
    }
}
