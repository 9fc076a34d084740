//! Counters read back and summed, from any number of processes, whoever wrote the files.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::page::{
    FILE_SUFFIX, HARDWARE_BYTES_NAME, HARDWARE_NAME, HEADER_LEN, MAGIC, REASON_PREFIX, SOFTWARE_BYTES_NAME,
    VERSION,
};

/// Sums over processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By algorithm name; only rows in which something was counted.
    pub algorithms: BTreeMap<String, Row>,
    /// How many processes were summed.
    pub processes: u64,
}

/// One algorithm's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Requests answered by a device.
    pub hardware: u64,
    /// Requests answered by software, by reason; only reasons with a count.
    pub software: BTreeMap<String, u64>,
    /// Bytes that devices worked on.
    pub hardware_bytes: u64,
    /// Bytes that software worked on.
    pub software_bytes: u64,
}

/// Files with our suffix that were left out of a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Not to be opened or read by this process.
    pub unreadable: u64,
    /// Not counters, cut short, or of a later version.
    pub foreign: u64,
}

/// Sums every counter file directly in `dir`. Files of other names are not looked at.
/// # Errors
/// The directory itself cannot be read.
pub fn read_directory(dir: &Path) -> io::Result<(Totals, Skipped)> {
    let (mut totals, mut skipped) = (Totals::default(), Skipped::default());
    for entry in fs::read_dir(dir)? {
        let Ok(entry) = entry else {
            skipped.unreadable += 1;
            continue;
        };
        if !entry.file_name().to_string_lossy().ends_with(FILE_SUFFIX) {
            continue;
        }
        match read_file(&entry.path()) {
            // Removed between the listing and now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => skipped.unreadable += 1,
            // Just being made: nothing is counted there yet.
            Ok(bytes) if bytes.iter().take(MAGIC.len()).all(|byte| *byte == 0) => {}
            Ok(bytes) => match totals.add_file(&bytes) {
                Some(()) => {}
                None => skipped.foreign += 1,
            },
        }
    }
    Ok((totals, skipped))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: a FIFO with our suffix must not hold us up. O_NOFOLLOW: links are nobody's counters.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_LEN_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Totals {
    /// Adds one process's file; `None`, and nothing added, when it is not one.
    pub fn add_file(&mut self, bytes: &[u8]) -> Option<()> {
        let header = Header::parse(bytes)?;
        let name =
            |index: usize| name(bytes.get(header.names + index * header.name_len..)?.get(..header.name_len)?);
        // All or nothing: every name is looked at before anything is added.
        let columns: Vec<&str> =
            (header.rows..header.rows + header.columns).map(name).collect::<Option<_>>()?;
        let rows: Vec<&str> = (0..header.rows).map(name).collect::<Option<_>>()?;
        for (row, algorithm) in rows.into_iter().enumerate() {
            if algorithm.is_empty() {
                continue;
            }
            let start = header.cells + row * header.columns * 8;
            let cells = bytes.get(start..).unwrap_or_default().chunks_exact(8).map(u64_le);
            let counts =
                columns.iter().map(|name| name.strip_prefix(REASON_PREFIX).unwrap_or(name)).zip(cells);
            self.add_row(algorithm, counts);
        }
        self.processes = self.processes.saturating_add(1);
        Some(())
    }

    /// Adds named cells to an algorithm's row; a reason goes by its own name. An all-zero row leaves no trace.
    pub(super) fn add_row<'a>(&mut self, algorithm: &str, cells: impl IntoIterator<Item = (&'a str, u64)>) {
        let counted = |(name, value): &(&str, u64)| *value != 0 && !name.is_empty();
        for (name, value) in cells.into_iter().filter(counted) {
            let row = self.algorithms.entry(algorithm.to_owned()).or_default();
            let sum = match name {
                HARDWARE_NAME => &mut row.hardware,
                HARDWARE_BYTES_NAME => &mut row.hardware_bytes,
                SOFTWARE_BYTES_NAME => &mut row.software_bytes,
                reason => row.software.entry(reason.to_owned()).or_default(),
            };
            *sum = sum.saturating_add(value);
        }
    }

    /// Adds another sum to this one.
    pub fn add(&mut self, other: &Self) {
        for (algorithm, row) in &other.algorithms {
            let reasons = row.software.iter().map(|(reason, count)| (reason.as_str(), *count));
            let fixed = [
                (HARDWARE_NAME, row.hardware),
                (HARDWARE_BYTES_NAME, row.hardware_bytes),
                (SOFTWARE_BYTES_NAME, row.software_bytes),
            ];
            self.add_row(algorithm, fixed.into_iter().chain(reasons));
        }
        self.processes = self.processes.saturating_add(other.processes);
    }

    /// Requests that a device answered, all algorithms.
    pub fn hardware(&self) -> u64 {
        self.algorithms.values().fold(0, |sum, row| sum.saturating_add(row.hardware))
    }
}

impl Row {
    /// Requests that software answered, all reasons.
    pub fn software_requests(&self) -> u64 {
        self.software.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// The fields a reader needs, checked against the length of the file.
struct Header {
    name_len: usize,
    rows: usize,
    columns: usize,
    names: usize,
    cells: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes_before_cells = |at: usize| -> Option<usize> {
            let field = bytes.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(field)).ok()
        };
        if bytes.len() < HEADER_LEN
            || !bytes.starts_with(&MAGIC)
            || bytes_before_cells(8)? != usize::try_from(VERSION).ok()?
        {
            return None;
        }
        let header = Self {
            name_len: bytes_before_cells(12)?,
            rows: bytes_before_cells(16)?,
            columns: bytes_before_cells(20)?,
            names: bytes_before_cells(24)?,
            cells: bytes_before_cells(28)?,
        };
        let name_count = header.rows.checked_add(header.columns)?;
        let names_end = name_count.checked_mul(header.name_len)?.checked_add(header.names)?;
        let cells_len = header.rows.checked_mul(header.columns)?.checked_mul(8)?;
        let cells_end = cells_len.checked_add(header.cells)?;
        let sound = (1..=MAX_NAME_LEN).contains(&header.name_len)
            && header.rows <= MAX_NAMES
            && header.columns <= MAX_NAMES
            && header.names >= HEADER_LEN
            && header.cells >= names_end
            && cells_end <= bytes.len();
        sound.then_some(header)
    }
}

/// A zero-padded name. Lower-case letters, digits, `-` and `/` only: it goes into reports as it is.
fn name(field: &[u8]) -> Option<&str> {
    let len = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let (name, padding) = field.split_at(len);
    let plain = name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'/'));
    (plain && padding.iter().all(|byte| *byte == 0)).then_some(())?;
    std::str::from_utf8(name).ok()
}

fn u64_le(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// Far beyond anything a later version could need.
const MAX_LEN_BYTES: u64 = 64 << 10;
const MAX_NAME_LEN: usize = 256;
const MAX_NAMES: usize = 1024;
