//! The log: off unless the configuration names a file; never standard output or error, which belong to the host program.
//!
//! Each line opens the file, appends and closes it again: no descriptor is kept that a daemon might close or a child inherit,
//! rotation needs no signal, and there is no lock that a fork could find held. Lines are few by design, see
//! [`crate::config::Log`].

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use crate::config;
use crate::stats::file_may_reach;

/// This process's way to the log file.
pub(crate) struct Log {
    file: Option<PathBuf>,
    lines_per_minute: u32,
    start: Instant,
    /// Minute since `start` in the upper half, lines in that minute in the lower.
    spent: AtomicU64,
    dropped: AtomicU64,
}

impl Log {
    /// As configured. Opens nothing yet.
    pub(crate) fn open(config: &config::Log) -> Self {
        Self {
            file: config.file.clone(),
            lines_per_minute: config.lines_per_minute,
            start: Instant::now(),
            spent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Writes one line, unless the log is off or this minute's lines are spent. Nothing is done about failures.
    pub(crate) fn note(&self, message: fmt::Arguments<'_>) {
        let Some(file) = &self.file else { return };
        if !self.admits(self.start.elapsed().as_secs() / 60) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mut line =
            format!("{time} warpdrive[{}]: {message}", std::process::id()).replace(char::is_control, " ");
        if dropped != 0 {
            line.push_str(&format!(" ({dropped} lines dropped before this)"));
        }
        line.push('\n');
        let _ = append(file, &line);
    }

    /// Takes one of the lines of `minute`, if any is left.
    fn admits(&self, minute: u64) -> bool {
        let take = |spent: u64| {
            let (then, lines) = (spent >> 32, spent & u64::from(u32::MAX));
            match then == minute {
                true if lines >= u64::from(self.lines_per_minute) => None,
                true => Some(spent + 1),
                false => Some(minute << 32 | 1),
            }
        };
        self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// One write, so that lines of several processes do not mix.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    let end = metadata.len().saturating_add(line.len() as u64);
    if !metadata.is_file() || !file_may_reach(end) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn log(file: Option<PathBuf>, lines_per_minute: u32) -> Log {
        Log::open(&config::Log { file, lines_per_minute })
    }

    #[test]
    fn lines_are_whole_and_on_one_line() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let log = log(Some(path.clone()), 10);
        assert!(!path.exists(), "made with the first line");
        log.note(format_args!("first\nof {}", 2));
        log.note(format_args!("second"));
        let text = fs::read_to_string(&path).unwrap();
        let pid = std::process::id();
        let ends: Vec<&str> =
            text.lines().filter_map(|line| line.split_once(' ')).map(|(_, end)| end).collect();
        assert_eq!(ends, [format!("warpdrive[{pid}]: first of 2"), format!("warpdrive[{pid}]: second")]);
    }

    #[test]
    fn lines_beyond_the_limit_are_dropped_and_counted() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let log = log(Some(path.clone()), 3);
        (0..10).for_each(|n| log.note(format_args!("{n}")));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
        assert_eq!(log.dropped.load(Ordering::Relaxed), 7);
        // As if the minute of the first lines were over.
        log.spent.store(7 << 32, Ordering::Relaxed);
        log.note(format_args!("later"));
        assert!(fs::read_to_string(&path).unwrap().ends_with(": later (7 lines dropped before this)\n"));
    }

    #[test]
    fn each_minute_has_its_lines() {
        let log = log(None, 2);
        let admitted = [0, 0, 0, 1, 1, 1, 9, 9, 9].map(|minute| log.admits(minute));
        assert_eq!(admitted, [true, true, false, true, true, false, true, true, false]);
    }

    #[test]
    fn off_and_unwritable_are_silent() {
        log(None, 10).note(format_args!("nowhere"));
        let scratch = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(scratch.path().join("fifo")).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink("target", scratch.path().join("link")).unwrap();
        for name in ["absent/log", "", "fifo", "link"] {
            log(Some(scratch.path().join(name)), 10).note(format_args!("lost"));
        }
        assert!(!scratch.path().join("target").exists(), "links are not followed");
    }
}
