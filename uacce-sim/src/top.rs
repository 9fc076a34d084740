//! `uacce-sim top`: what the devices of a daemon are doing.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use uacce_sim_protocol::ROOT_VARIABLE;

use crate::account::{Counts, DeviceState, Failure};
use crate::run::runtime_directory;
use crate::trace::now;
use crate::watch::{self, State};

/// How it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// One table, then the end.
    pub once: bool,
    /// JSON, one line a table.
    pub json: bool,
    /// Over which rates are measured.
    pub interval: Duration,
}

/// What JSON says beyond [`State`].
#[derive(Serialize)]
struct Rated<'a> {
    #[serde(flatten)]
    state: &'a State,
    /// Seconds over which the rates were measured.
    interval: f64,
    rates: Vec<DeviceRates>,
}

#[derive(Serialize)]
struct DeviceRates {
    device: String,
    requests_per_second: f64,
    bytes_per_second: f64,
    queues: Vec<QueueRates>,
}

#[derive(Serialize)]
struct QueueRates {
    queue: u16,
    requests_per_second: f64,
    bytes_per_second: f64,
}

/// The daemon's directory: as given, as the environment says, or the only one there is.
/// # Errors
/// When there are none, or several.
pub fn root(given: Option<PathBuf>) -> io::Result<PathBuf> {
    if let Some(root) = given.or_else(|| std::env::var_os(ROOT_VARIABLE).map(PathBuf::from)) {
        return std::path::absolute(root);
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(runtime_directory())?.flatten() {
        let path = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with("uacce-sim-");
        if named && path.join(watch::SOCKET_NAME).exists() {
            found.push(path);
        }
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(io::Error::new(io::ErrorKind::NotFound, "no uacce-sim serves here; say --root DIR")),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            Err(io::Error::other(format!("several daemons; say --root DIR with one of {}", names.join(" "))))
        }
    }
}

/// Shows tables until the daemon ends or nobody reads them.
/// # Errors
/// When no daemon serves in `root`.
pub fn top(root: &Path, style: Style) -> io::Result<()> {
    let mut before = watch::ask(root)?;
    let mut asked = Instant::now();
    let mut output = io::stdout().lock();
    loop {
        thread::sleep(style.interval.saturating_sub(asked.elapsed()));
        let state = match watch::ask(root) {
            // It was there when we began: it ended, which is no error of ours.
            Err(_) if !style.once => return Ok(()),
            state => state?,
        };
        let seconds = asked.elapsed().as_secs_f64();
        asked = Instant::now();
        let text = if style.json {
            let rated = Rated { state: &state, interval: seconds, rates: rates(&before, &state, seconds) };
            serde_json::to_string(&rated)? + "\n"
        } else {
            table(root, &before, &state, seconds, now())
        };
        // Home, the table, and nothing below it.
        let written = if io::stdout().is_terminal() && !style.once && !style.json {
            let lines = text.replace('\n', "\x1b[K\n");
            write!(output, "\x1b[H{lines}\x1b[J")
        } else {
            output.write_all(text.as_bytes())
        };
        match written.and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        if style.once {
            return Ok(());
        }
        before = state;
    }
}

fn rates(before: &State, state: &State, seconds: f64) -> Vec<DeviceRates> {
    let per_second = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds.max(1e-9);
    let devices = state.devices.iter().map(|device| {
        let earlier = before.devices.iter().find(|earlier| earlier.device == device.device);
        let counts = earlier.map_or(Counts::default(), |earlier| earlier.counts);
        DeviceRates {
            device: device.device.clone(),
            requests_per_second: per_second(counts.completed, device.counts.completed),
            bytes_per_second: per_second(counts.bytes, device.counts.bytes),
            queues: device
                .open
                .iter()
                .map(|queue| {
                    // A number may have gone to another process meanwhile.
                    let same = |other: &&crate::account::QueueState| {
                        other.queue == queue.queue && other.process == queue.process && other.age < queue.age
                    };
                    let earlier = earlier.and_then(|earlier| earlier.open.iter().find(same));
                    let counts = earlier.map_or(Counts::default(), |earlier| earlier.counts);
                    QueueRates {
                        queue: queue.queue,
                        requests_per_second: per_second(counts.completed, queue.counts.completed),
                        bytes_per_second: per_second(counts.bytes, queue.counts.bytes),
                    }
                })
                .collect(),
        }
    });
    devices.collect()
}

fn table(root: &Path, before: &State, state: &State, seconds: f64, now: u64) -> String {
    let rates = rates(before, state, seconds);
    let processor = (state.processor - before.processor) / seconds.max(1e-9) * 100.0;
    let total: f64 = rates.iter().map(|device| device.requests_per_second).sum();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "uacce-sim {}, process {}, up {}, processor {processor:.0} %, memory {:.1} MiB, {total:.0} requests/s\n",
        root.display(),
        state.process,
        clock(state.age),
        state.resident as f64 / f64::from(1 << 20),
    );
    let _ = writeln!(
        text,
        "{:<14} {:>9} {:>10} {:>10} {:>9} {:>12} {:>8} {:>8}  STATE",
        "DEVICE", "OPEN", "REQ/S", "MB/S", "IN FLIGHT", "REQUESTS", "ERRORS", "DROPPED"
    );
    for (device, rate) in state.devices.iter().zip(&rates) {
        let _ = writeln!(
            text,
            "{:<14} {:>9} {:>10.0} {:>10.1} {:>9} {:>12} {:>8} {:>8}  {}",
            device.device,
            format!("{}/{}", device.open.len(), device.queues),
            rate.requests_per_second,
            rate.bytes_per_second / 1e6,
            in_flight(device),
            device.counts.completed,
            device.counts.failed,
            device.counts.dropped,
            device.condition,
        );
        if let Some(failure) = &device.last_failure {
            let _ = writeln!(text, "{:<14} last error {}", "", describe(failure, now));
        }
    }
    let open: usize = state.devices.iter().map(|device| device.open.len()).sum();
    if open > 0 {
        let _ = writeln!(
            text,
            "\n{:<14} {:>5} {:>5} {:>8} {:<16} {:>10} {:>10} {:>9} {:>12} {:>8}  LAST OPERATION",
            "DEVICE",
            "QUEUE",
            "CLASS",
            "PROCESS",
            "COMMAND",
            "REQ/S",
            "MB/S",
            "IN FLIGHT",
            "REQUESTS",
            "ERRORS"
        );
    }
    for (device, rates) in state.devices.iter().zip(&rates) {
        for (queue, rate) in device.open.iter().zip(&rates.queues) {
            let _ = writeln!(
                text,
                "{:<14} {:>5} {:>5} {:>8} {:<16} {:>10.0} {:>10.1} {:>9} {:>12} {:>8}  {}",
                device.device,
                queue.queue,
                queue.class,
                queue.process,
                queue.command,
                rate.requests_per_second,
                rate.bytes_per_second / 1e6,
                queue.counts.rung.saturating_sub(queue.counts.completed),
                queue.counts.completed,
                queue.counts.failed,
                queue.operation.as_deref().unwrap_or("-"),
            );
            if let Some(failure) = &queue.last_failure {
                let _ = writeln!(text, "{:<14} last error {}", "", describe(failure, now));
            }
        }
    }
    text
}

/// Of open queues only: what a closed one left unanswered, nobody waits for.
fn in_flight(device: &DeviceState) -> u64 {
    device.open.iter().map(|queue| queue.counts.rung.saturating_sub(queue.counts.completed)).sum()
}

fn describe(failure: &Failure, now: u64) -> String {
    let ago = now.saturating_sub(failure.time) / 1_000_000_000;
    format!("{ago} s ago: {}: {}", failure.operation, failure.what)
}

fn clock(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::QueueState;

    fn state(age: f64, completed: u64) -> State {
        let counts =
            Counts { rung: completed + 2, completed, failed: 1, bytes: completed * 1000, dropped: 0 };
        let failure = Failure { time: 5_000_000_000, operation: "dh-2048".into(), what: "etype 0x1".into() };
        State {
            process: 7,
            age,
            processor: age / 2.0,
            resident: 3 << 20,
            devices: vec![DeviceState {
                device: "hisi_hpre-0".into(),
                queues: 64,
                condition: "normal".into(),
                counts,
                last_failure: Some(failure.clone()),
                open: vec![QueueState {
                    queue: 3,
                    class: 0,
                    process: 99,
                    command: "openssl".into(),
                    age,
                    counts,
                    operation: Some("rsa-2048-private".into()),
                    last_failure: None,
                }],
            }],
        }
    }

    #[test]
    fn rates_are_differences_over_time() {
        let text = table(Path::new("/r"), &state(1.0, 100), &state(3.0, 1100), 2.0, 9_000_000_000);
        assert!(text.starts_with(
            "uacce-sim /r, process 7, up 0:00:03, processor 50 %, memory 3.0 MiB, 500 requests/s\n"
        ));
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[3], ["hisi_hpre-0", "1/64", "500", "0.5", "2", "1100", "1", "0", "normal"]);
        assert_eq!(lines[4].join(" "), "last error 4 s ago: dh-2048: etype 0x1");
        assert_eq!(
            lines[7],
            ["hisi_hpre-0", "3", "0", "99", "openssl", "500", "0.5", "2", "1100", "1", "rsa-2048-private"]
        );
    }

    /// A queue number that went to a later open begins anew.
    #[test]
    fn a_new_owner_of_a_number_starts_from_zero() {
        let (mut before, after) = (state(50.0, 5000), state(1.0, 30));
        before.devices[0].open[0].process = 98;
        assert!((rates(&before, &after, 1.0)[0].queues[0].requests_per_second - 30.0).abs() < 0.01);
        before.devices[0].open[0].process = 99;
        assert!((rates(&before, &after, 1.0)[0].queues[0].requests_per_second - 30.0).abs() < 0.01);
    }
}
