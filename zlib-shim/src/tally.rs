//! Counts a stream's software bytes in coarse steps.

use warpdrive::Reason;

/// Bytes gathered before they are reported.
const STEP_BYTES: u64 = 1 << 20;

/// Plain text that software handled and nobody has been told of yet.
#[derive(Default)]
pub(crate) struct Tally {
    reason: Option<Reason>,
    /// This run of software work was already counted as a request.
    counted: bool,
    len_bytes: u64,
}

impl Tally {
    /// From here on, software bytes count under `reason`, as one request.
    pub(crate) fn begin(&mut self, reason: Reason) {
        self.reason = Some(reason);
        self.counted = false;
    }

    /// As [`begin`](Self::begin), after a routed request that was counted when it failed.
    pub(crate) fn begin_counted(&mut self, reason: Reason) {
        self.reason = Some(reason);
        self.counted = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len_bytes == 0
    }

    /// Bytes gathered and not yet reported.
    pub(crate) fn len_bytes(&self) -> usize {
        usize::try_from(self.len_bytes).unwrap_or(usize::MAX)
    }

    /// As [`begin`](Self::begin), for bytes that were gathered before their reason was known.
    pub(crate) fn set_reason(&mut self, reason: Reason) {
        self.reason = Some(reason);
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The tally of a copied stream: what this one gathered is this one's to report.
    pub(crate) fn continued(&self) -> Self {
        Self { reason: self.reason, counted: true, len_bytes: 0 }
    }

    /// Adds `len_bytes`; true when it is time to [`report`](Self::report).
    pub(crate) fn add(&mut self, len_bytes: usize) -> bool {
        self.len_bytes += len_bytes as u64;
        self.len_bytes >= STEP_BYTES
    }

    /// Hands what was gathered to `note` as (reason, requests, bytes). Nothing gathered: nothing said.
    pub(crate) fn report(&mut self, note: impl FnOnce(Reason, u64, u64)) {
        let Some(reason) = self.reason else { return };
        if self.len_bytes == 0 {
            return;
        }
        note(reason, u64::from(!self.counted), self.len_bytes);
        self.counted = true;
        self.len_bytes = 0;
    }
}
