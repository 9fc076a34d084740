//! Counters: hardware, software, and why.
//!
//! One routed request is one count; bytes are counted apart; internal checks are not counted. The rows are
//! [`Algorithm::ALL`], the columns hardware, the bytes of each side, and one per [`Reason`]. With a directory configured
//! they live in a mapped file there, made at the first count, that outlives the process (`page.rs` describes it);
//! [`Totals`] reads such files back, whoever wrote them.

mod page;
mod reason;
mod totals;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceBox;

use crate::Algorithm;
use crate::config::Config;
pub use page::FILE_SUFFIX;
pub(crate) use page::file_may_reach;
pub use reason::Reason;
pub use totals::{Row, Skipped, Totals, read_directory};

use page::{COLUMNS, Page};

/// This process's counters. Counting is lock-free and, after the first count, does not allocate.
///
/// Belongs to the process that opened it: a forked child opens its own, so that no two processes ever share a file.
pub struct Counters {
    /// Where the file goes; `None`: memory only.
    dir: Option<PathBuf>,
    page: OnceBox<Page>,
}

impl Counters {
    /// Counters as configured. Opens no file yet.
    pub fn open(config: &Config) -> Self {
        Self { dir: config.stats.dir.clone(), page: OnceBox::new() }
    }

    /// Counts one request answered by hardware. `len_bytes`: plain-text bytes, or the modulus's.
    pub fn hardware(&self, algorithm: Algorithm, len_bytes: u64) {
        let cells = self.row(algorithm);
        add(&cells[page::HARDWARE], 1);
        add(&cells[page::HARDWARE_BYTES], len_bytes);
    }

    /// Counts `requests` answered by software for one reason; 0 counts only the bytes.
    pub fn software(&self, algorithm: Algorithm, reason: Reason, requests: u64, len_bytes: u64) {
        let cells = self.row(algorithm);
        add(&cells[page::REASONS + reason.index()], requests);
        add(&cells[page::SOFTWARE_BYTES], len_bytes);
    }

    /// What has been counted so far.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        if let Some(page) = self.page.get() {
            for algorithm in Algorithm::ALL {
                let cells = page.cells(algorithm.index());
                let value = |column: usize| cells[column].load(Ordering::Relaxed);
                totals.add_row(
                    algorithm.name(),
                    page::column_names().map(|(index, name)| (name, value(index))),
                );
            }
            totals.processes = 1;
        }
        totals
    }

    fn row(&self, algorithm: Algorithm) -> &[AtomicU64; COLUMNS] {
        // Two threads that count first at once may each make a page: one wins, the other's file is removed again.
        let page = self.page.get_or_init(|| Box::new(Page::open(self.dir.as_deref())));
        page.cells(algorithm.index())
    }
}

fn add(cell: &AtomicU64, value: u64) {
    if value != 0 {
        // Counters are independent sums: nothing is ordered by them.
        cell.fetch_add(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
