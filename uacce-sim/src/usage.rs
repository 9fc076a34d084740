//! How busy an engine is: the usage registers of queue manager v5 and the `dev_usage` attribute (uacce-qm §1.2, §3.1).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::device::{Device, Engine};
use crate::note;

/// Computing time of one device, per queue class.
#[derive(Default)]
pub struct Usage {
    busy_ns: [AtomicU64; CLASSES],
    /// The last window's registers: thousandths busy, of [`TOTAL`].
    registers: [AtomicU64; CLASSES],
    active: AtomicBool,
    turn: Mutex<()>,
    work: Condvar,
}

impl Usage {
    /// A request of this class was computed in this time.
    pub fn add(&self, class: u16, time: Duration) {
        let Some(busy) = self.busy_ns.get(usize::from(class)) else { return };
        busy.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if !self.active.swap(true, Ordering::SeqCst) {
            // With the lock, so that whoever is about to sleep sees the flag or is woken.
            drop(self.turn.lock());
            self.work.notify_one();
        }
    }

    /// The registers: offset in the doorbell region, and value (low half busy, high half total).
    pub fn registers(&self) -> [(usize, u32); CLASSES] {
        [0, 1].map(|class| {
            let busy = self.registers.get(class).map_or(0, |busy| busy.load(Ordering::Relaxed));
            (REGISTERS + class * 4, u32::try_from(busy).unwrap_or(0) | TOTAL << 16)
        })
    }

    /// Ends a window: its share becomes the registers' value. Percent per class; all zero when nothing was computed.
    fn turn_over(&self, window: Duration) -> [u16; CLASSES] {
        let mut percent = [0; CLASSES];
        let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).max(1);
        for ((busy, register), percent) in self.busy_ns.iter().zip(&self.registers).zip(&mut percent) {
            // Several queues compute at once; the engine is busy at most all the time.
            let busy_ns = busy.swap(0, Ordering::Relaxed).min(window_ns);
            let share = busy_ns * u64::from(TOTAL) / window_ns;
            register.store(share, Ordering::Relaxed);
            // Something was done: that is not nothing, however little.
            *percent = if busy_ns == 0 { 0 } else { u16::try_from(share / 10).unwrap_or(100).max(1) };
        }
        percent
    }

    /// Sleeps until there is something to count.
    fn wait_for_work(&self) {
        let mut turn = self.turn.lock();
        self.active.store(false, Ordering::SeqCst);
        while !self.active.load(Ordering::SeqCst)
            && self.busy_ns.iter().all(|busy| busy.load(Ordering::Relaxed) == 0)
        {
            self.work.wait(&mut turn);
        }
    }
}

/// Keeps registers and attribute of a device up to date for as long as the daemon lives. Costs nothing while it is idle.
/// # Errors
/// When the kernel has no thread to give.
pub fn watch(device: Arc<Device>) -> io::Result<()> {
    thread::Builder::new().name("usage".to_owned()).stack_size(128 << 10).spawn(move || {
        let Some(usage) = &device.usage else { return };
        loop {
            usage.wait_for_work();
            loop {
                thread::sleep(WINDOW);
                let percent = usage.turn_over(WINDOW);
                device.health.show_registers(&usage.registers());
                let text = shown(device.description.engine, percent);
                if let Err(error) = device.attributes().set("dev_usage", &text) {
                    // Removed with the device.
                    note!("{}: dev_usage: {error}", device.description.name());
                    return;
                }
                if percent == [0; CLASSES] {
                    break;
                }
            }
        }
    })?;
    Ok(())
}

/// The text of `dev_usage` without its last newline: percent by what each engine calls its classes.
pub fn shown(engine: Engine, percent: [u16; CLASSES]) -> String {
    let [first, second] = percent;
    match engine {
        Engine::Hpre => format!("RSA: {first}\nECC: {second}"),
        Engine::Sec => format!("SEC: {first}"),
        // In this order: a reader that searches for "COMPRESS: " must not find the end of the other.
        Engine::Zip => format!("COMPRESS: {first}\nDECOMPRESS: {second}\nDAE: 0"),
    }
}

const CLASSES: usize = 2;
/// Where the registers lie: one of 32 bits per queue class.
const REGISTERS: usize = 0x1100;
/// What a register's high half says.
const TOTAL: u32 = 1000;
/// How long a measurement takes.
const WINDOW: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_window() {
        let usage = Usage::default();
        assert_eq!(usage.registers(), [(0x1100, 1000 << 16), (0x1104, 1000 << 16)]);
        usage.add(0, WINDOW / 4);
        usage.add(1, WINDOW * 3);
        usage.add(9, WINDOW);
        assert_eq!(usage.turn_over(WINDOW), [25, 100]);
        assert_eq!(usage.registers(), [(0x1100, 250 | 1000 << 16), (0x1104, 1000 | 1000 << 16)]);
        assert_eq!(usage.turn_over(WINDOW), [0, 0]);
        usage.add(0, Duration::from_nanos(1));
        assert_eq!(usage.turn_over(WINDOW), [1, 0], "a little is not nothing");
        assert_eq!(shown(Engine::Zip, [1, 2]), "COMPRESS: 1\nDECOMPRESS: 2\nDAE: 0");
    }
}
