//! Isolation by counted errors (uacce-qm §5.4): how many hardware errors an hour a device may have.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::device::{Device, Kernel};
use crate::note;
use crate::os::watch::Watch;

/// The errors of one device.
#[derive(Debug, Default)]
pub struct Isolation {
    /// Errors tolerated within [`WINDOW`]; 0: any number.
    threshold: u16,
    errors: Vec<Instant>,
    isolated: bool,
}

impl Isolation {
    /// What `isolate_strategy` shows.
    pub fn threshold(&self) -> u16 {
        self.threshold
    }

    /// `isolate_strategy` was written: what was counted is forgotten. Refused (false) once isolated.
    pub fn set_threshold(&mut self, threshold: u16) -> bool {
        if !self.isolated {
            self.threshold = threshold;
            self.errors.clear();
        }
        !self.isolated
    }

    /// Counts an error that reset the device; true when it is isolated thereby.
    pub fn count(&mut self, now: Instant) -> bool {
        if self.threshold == 0 || self.isolated {
            return false;
        }
        self.errors.retain(|error| now.saturating_duration_since(*error) < WINDOW);
        self.isolated = self.errors.len() >= usize::from(self.threshold);
        self.errors.push(now);
        self.isolated
    }

    /// A reset failed: isolated whatever was counted.
    pub fn isolate(&mut self) {
        self.isolated = true;
    }
}

/// Takes over what clients write to `isolate_strategy`, for as long as the daemon lives. What the kernel would refuse is put
/// back; the writer, whose file is an ordinary one, is not told.
/// # Errors
/// What inotify reports; no thread.
pub fn watch(devices: &[Arc<Device>]) -> io::Result<()> {
    let mut watch = Watch::new()?;
    let mut watched = HashMap::new();
    for device in devices {
        watched.insert(watch.add(&device.attributes().path(STRATEGY))?, Arc::clone(device));
    }
    thread::Builder::new().name("strategy".to_owned()).stack_size(128 << 10).spawn(move || {
        loop {
            let changes = match watch.wait() {
                Ok(changes) => changes,
                Err(error) => {
                    note!("isolate_strategy is no longer watched: {error}");
                    return;
                }
            };
            for (number, closed) in changes {
                if let Some(device) = watched.get(&number) {
                    take_over(device, closed);
                }
            }
        }
    })?;
    Ok(())
}

/// The file has changed; `closed`: whoever wrote has finished.
fn take_over(device: &Device, closed: bool) {
    let path = device.attributes().path(STRATEGY);
    // Gone with its device.
    let Ok(text) = fs::read_to_string(&path) else { return };
    let mut isolation = device.isolation.lock();
    let written = text.trim().parse::<u16>();
    let now = isolation.threshold();
    match written {
        Ok(threshold) if threshold != now || closed => {
            let busy = device.description.kernel == Kernel::Kae && device.is_used();
            if !busy && isolation.set_threshold(threshold) {
                note!("{}: {threshold} errors an hour are tolerated", device.description.name());
            }
        }
        // Cut off to be written.
        Err(_) if !closed => return,
        _ => {}
    }
    let shown = isolation.threshold().to_string();
    if text.trim_end() != shown {
        if let Err(error) = device.attributes().rewrite(STRATEGY, &shown) {
            note!("{}: isolate_strategy: {error}", device.description.name());
        }
    }
}

const STRATEGY: &str = "isolate_strategy";
/// How long an error counts.
const WINDOW: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_too_many_isolates() {
        let mut isolation = Isolation::default();
        let start = Instant::now();
        assert!((0..100).all(|_| !isolation.count(start)), "0 tolerates any number");
        assert!(isolation.set_threshold(2));
        assert!(!isolation.count(start) && !isolation.count(start));
        // An hour later the first two no longer count.
        assert!(!isolation.count(start + WINDOW) && !isolation.count(start + WINDOW));
        assert!(isolation.count(start + WINDOW));
        assert!(!isolation.count(start + WINDOW), "once");
        assert!(!isolation.set_threshold(9));
        assert_eq!(isolation.threshold(), 2);
    }

    #[test]
    fn a_new_threshold_forgets() {
        let mut isolation = Isolation::default();
        let now = Instant::now();
        isolation.set_threshold(1);
        assert!(!isolation.count(now));
        isolation.set_threshold(1);
        assert!(!isolation.count(now) && isolation.count(now));
    }
}
