//! Whether a device is readable, by the imitated kernel's own rule (uacce-qm §2.7).
#![expect(unsafe_code, reason = "reads memory shared with the daemon")]
#![cfg_attr(test, allow(dead_code))]

use super::mailbox::{Control, drain_by, inode_of};
use crate::ranges::{self, Range};
use core::sync::atomic::Ordering;
use uacce_sim_protocol::control;

/// Entries of a completion ring (uacce-qm §2.1).
const DEPTH: u64 = 1024;

/// A simulated device whose readiness is its kernel's to tell.
pub(crate) struct Poll {
    range: &'static Range,
    descriptor: i32,
    rule: u32,
}

impl Poll {
    /// The queue behind `descriptor`, if it has its doorbell region mapped here and a rule of its own.
    pub(crate) fn of(descriptor: i32) -> Option<Self> {
        let range = ranges::of_inode(inode_of(descriptor)?)?;
        let page = Control(range.control());
        // SAFETY: the range is in the table, so its control page is mapped.
        let rule = unsafe { page.word(control::READINESS) }.load(Ordering::Relaxed);
        (rule != control::READY_TOKEN).then_some(Self { range, descriptor, rule })
    }

    fn control(&self) -> Control {
        Control(self.range.control())
    }

    /// What mainline would find: how many entries it has passed over, and how many it will have.
    fn scanned(&self) -> (u64, u64) {
        let page = self.control();
        // SAFETY: the control page is mapped.
        unsafe {
            let written = page.long(control::COMPLETIONS).load(Ordering::Acquire);
            let passed = page.long(control::POLLED_COMPLETIONS).load(Ordering::Relaxed);
            (passed, passed_after(passed, written))
        }
    }

    /// Whether a `poll` now would say so. Takes nothing.
    pub(crate) fn is_ready(&self) -> bool {
        let page = self.control();
        // SAFETY: the control page is mapped.
        unsafe {
            if page.word(control::GONE).load(Ordering::Relaxed) != 0 {
                return false;
            }
            match self.rule {
                control::READY_COUNT => page.word(control::EVENTS).load(Ordering::Acquire) != 0,
                _ => {
                    let (before, after) = self.scanned();
                    before != after
                }
            }
        }
    }

    /// Whether it is readable; what is told now is not told again.
    pub(crate) fn take(&self) -> bool {
        let page = self.control();
        // The token first: whatever completes after this look sends another.
        // SAFETY: the control page is mapped.
        unsafe {
            drain_by(self.descriptor, page);
            if page.word(control::GONE).load(Ordering::Relaxed) != 0 {
                return false;
            }
            match self.rule {
                control::READY_COUNT => {
                    let one_less = |events: u32| events.checked_sub(1);
                    let events = page.word(control::EVENTS);
                    events.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less).is_ok()
                }
                _ => {
                    let (before, after) = self.scanned();
                    page.long(control::POLLED_COMPLETIONS).store(after, Ordering::Relaxed);
                    before != after
                }
            }
        }
    }
}

/// Entries passed over by a scan from `passed` on, `written` having been written: it goes on while the phase is the one it
/// expects. A lap and more behind it may find the phase of another lap there, as mainline's does (uacce-qm §11 trap 7).
fn passed_after(passed: u64, written: u64) -> u64 {
    let mut at = passed;
    // The lap that wrote the entry at this place last, and whether the phase tells it from the lap expected.
    while at < written {
        let laps_ahead = (written - 1 - at) / DEPTH;
        if laps_ahead % 2 != 0 {
            break;
        }
        at += 1;
        if at - passed >= 2 * DEPTH {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_passes_over_what_is_new() {
        assert_eq!(passed_after(0, 0), 0);
        assert_eq!(passed_after(0, 3), 3);
        assert_eq!(passed_after(3, 3), 3);
        assert_eq!(passed_after(1000, 1000 + DEPTH), 1000 + DEPTH);
        // One entry more than a lap: the first place carries the next lap's phase.
        assert_eq!(passed_after(1000, 1001 + DEPTH), 1000);
        // Two laps: the phases are the same again up to the write place.
        assert_eq!(passed_after(0, 2 * DEPTH + 5), 5);
    }
}
