//! The daemon's log: a few lines a second at most, whatever clients do.

use std::fmt::Arguments;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Writes one line, unless the limit is reached.
#[macro_export]
macro_rules! note {
    ($($argument:tt)*) => { $crate::log::write(format_args!($($argument)*)) };
}

/// Where lines go.
pub enum Sink {
    /// Nowhere.
    Quiet,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(File),
}

impl Sink {
    /// Opens a log file for appending.
    /// # Errors
    /// What opening the file reports.
    pub fn file(path: &Path) -> std::io::Result<Self> {
        Ok(Self::File(File::options().create(true).append(true).open(path)?))
    }
}

/// Sends all further lines to `sink`.
pub fn open(sink: Sink) {
    *LOG.lock() = Some(Log { sink, start: Instant::now(), limit: Limit::new(Instant::now()) });
}

/// Writes one line; use [`note!`].
pub fn write(line: Arguments<'_>) {
    let mut guard = LOG.lock();
    let Some(log) = guard.as_mut() else { return };
    let now = Instant::now();
    let Some(dropped) = log.limit.admit(now) else { return };
    let seconds = now.duration_since(log.start).as_secs_f64();
    let text = match dropped {
        0 => format!("uacce-sim {seconds:.3}: {line}\n"),
        _ => format!("uacce-sim {seconds:.3}: ({dropped} lines left out)\nuacce-sim {seconds:.3}: {line}\n"),
    };
    // A full disk or closed terminal is no reason to fail a client's request.
    let _ = match &mut log.sink {
        Sink::Quiet => Ok(()),
        Sink::Stderr => std::io::stderr().write_all(text.as_bytes()),
        Sink::File(file) => file.write_all(text.as_bytes()),
    };
}

struct Log {
    sink: Sink,
    start: Instant,
    limit: Limit,
}

/// At most [`LINES`] lines per [`PERIOD`].
struct Limit {
    since: Instant,
    admitted: u32,
    dropped: u64,
}

impl Limit {
    fn new(now: Instant) -> Self {
        Self { since: now, admitted: 0, dropped: 0 }
    }

    /// `Some(lines left out before this one)` if a line may be written now.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= PERIOD {
            self.since = now;
            self.admitted = 0;
        }
        if self.admitted >= LINES {
            self.dropped += 1;
            return None;
        }
        self.admitted += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

const LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(1);
static LOG: Mutex<Option<Log>> = Mutex::new(None);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let admitted = (0..1000).filter(|_| limit.admit(start).is_some()).count();
        assert_eq!(admitted, LINES as usize);
        assert_eq!(limit.admit(start + PERIOD), Some(1000 - u64::from(LINES)));
        assert_eq!(limit.admit(start + PERIOD), Some(0));
    }
}
