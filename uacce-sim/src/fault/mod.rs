//! Scripted misbehaviour: which requests and opens of a device go wrong, and how (`--fault`, `--fault-file`).

pub mod damage;
pub mod script;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::device::Description;
pub use script::Rule;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The completion comes this much later, and with it all that follow in its queue; requests overlap.
    Late(Duration),
    /// The engine works this much longer on it; requests of the queue do not overlap.
    Slow(Duration),
    /// No completion ever; later requests of the queue complete.
    Lost,
    /// Two completion entries for one request.
    Twice,
    /// The completion entry names this submission slot.
    Wild(u16),
    /// The completion entry carries the phase of the lap before.
    Phase,
    /// These bits of the tag come back inverted.
    Tag(u32),
    /// Results with a wrong bit in each piece written.
    Bytes,
    /// Not computed; the descriptor reports this error.
    Status(u32),
    /// The output ends half way.
    Short,
    /// The function is reset: queues stopped, no open for this long (uacce-qm §5.1).
    Reset(Duration),
    /// A reset that fails: the device is isolated (uacce-qm §5.4).
    Isolate,
    /// The device is removed (uacce-qm §5.3).
    Unplug(Unplugged),
    /// `open` fails with this errno.
    Open(i32),
}

/// What becomes of the memory mapped from a removed device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplugged {
    /// It stays as it was.
    Readable,
    /// Every access is a SIGBUS, as on the kernel's device, whose pages are taken away.
    Sigbus,
}

/// The rules that concern one device.
#[derive(Clone, Default)]
pub struct Faults(Vec<Arc<Armed>>);

/// A rule at work: its counts span all queues of all devices it names.
pub struct Armed {
    rule: Rule,
    seen: AtomicU64,
    struck: AtomicU64,
}

impl Armed {
    /// A rule that has not seen anything.
    pub fn new(rule: Rule) -> Self {
        Self { rule, seen: AtomicU64::new(0), struck: AtomicU64::new(0) }
    }

    /// Counts one request or open, and says whether it is struck.
    fn strikes(&self) -> bool {
        let number = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(number) = number.checked_sub(self.rule.after).filter(|number| *number > 0) else {
            return false;
        };
        let due = number % self.rule.every == 0;
        let lucky = self.rule.chance.is_none_or(|chance| scattered(self.rule.seed, number) < chance);
        let limit = self.rule.times.unwrap_or(u64::MAX);
        let count = |struck: u64| (struck < limit).then_some(struck + 1);
        due && lucky && self.struck.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok()
    }
}

impl Faults {
    /// Those of `rules` that name this device.
    pub fn of(rules: &[Arc<Armed>], device: &Description) -> Self {
        Self(rules.iter().filter(|armed| armed.rule.names(device)).cloned().collect())
    }

    /// Whether no rule concerns requests: nothing needs counting.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What strikes the next request of a queue of this class.
    pub fn request(&self, class: u16) -> Vec<Kind> {
        let concerned = self.0.iter().filter(|armed| {
            !matches!(armed.rule.kind, Kind::Open(_)) && armed.rule.class.is_none_or(|only| only == class)
        });
        concerned.filter(|armed| armed.strikes()).map(|armed| armed.rule.kind).collect()
    }

    /// Whether a rule takes mapped memory away: it must be made so that it can be.
    pub fn take_memory(&self) -> bool {
        self.0.iter().any(|armed| armed.rule.kind == Kind::Unplug(Unplugged::Sigbus))
    }

    /// The errno the next open fails with.
    pub fn opening(&self) -> Option<i32> {
        let mut errno = None;
        for armed in &self.0 {
            if let Kind::Open(fails) = armed.rule.kind {
                if armed.strikes() {
                    errno = errno.or(Some(fails));
                }
            }
        }
        errno
    }
}

/// A number below [`script::WHOLE`] that only looks random: the same seed strikes the same requests (splitmix64).
fn scattered(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ mixed >> 31) % script::WHOLE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(rule: &str, count: u64) -> Vec<u64> {
        let armed = Armed::new(rule.parse().unwrap());
        (1..=count).filter(|_| armed.strikes()).collect()
    }

    #[test]
    fn rules_strike_when_they_say() {
        assert_eq!(struck("lost", 3), [1, 2, 3]);
        assert_eq!(struck("lost,after=2", 4), [3, 4]);
        assert_eq!(struck("lost,every=3", 7), [3, 6]);
        assert_eq!(struck("lost,after=1,every=2,times=2", 9), [3, 5]);
        assert!(struck("lost,times=0", 9).is_empty());
    }

    #[test]
    fn chance_follows_its_seed() {
        let first = struck("lost,chance=0.1,seed=1", 10_000);
        assert!((800..1200).contains(&first.len()), "{}", first.len());
        assert_eq!(first, struck("lost,chance=0.1,seed=1", 10_000));
        assert_ne!(first, struck("lost,chance=0.1,seed=2", 10_000));
        assert!(struck("lost,chance=0", 1000).is_empty());
        assert_eq!(struck("lost,chance=1", 1000).len(), 1000);
    }
}
