//! An accelerator for tests: made of the software engine, and as unreliable as a test wants it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use warpdrive::config::Verify;
use warpdrive::request::compress::{Checksum, DeflateSegment, DeflatedSegment, Window, Wrapper};
use warpdrive::{Outcome, Reason};

use crate::abi::Z_SYNC_FLUSH;
use crate::abi::next::{Deflater, Settings};
use crate::accelerator::{Accelerator, DeflateLimits};
use crate::testing::Random;
use crate::wrapper;

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) hardware: u64,
    pub(crate) software: u64,
    /// Answers that failed their check.
    pub(crate) wrong: u64,
    pub(crate) doubts: u64,
    pub(crate) noted: Vec<(Reason, u64, u64)>,
}

impl Counts {
    pub(crate) fn noted(&self, reason: Reason) -> u64 {
        self.noted.iter().filter(|n| n.0 == reason).map(|n| n.2).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.hardware + self.software + self.noted.iter().map(|n| n.2).sum::<u64>()
    }
}

/// What the accelerator does wrong without a word.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Lie {
    None,
    /// One bit of its output.
    Output,
    /// It read other plain text.
    Checksum,
}

/// An accelerator made of the software engine.
#[derive(Clone)]
pub(crate) struct Fake {
    random: Rc<Random>,
    pub(crate) counts: Rc<RefCell<Counts>>,
    /// `preview`'s answer.
    pub(crate) route: Result<(), Reason>,
    /// `preview` says now and then that there is no device at the moment.
    pub(crate) absent_percent: usize,
    pub(crate) failing_percent: usize,
    pub(crate) expanding_percent: usize,
    pub(crate) lie: Lie,
    pub(crate) verify: Verify,
    pub(crate) parallel: usize,
    pub(crate) min_bytes: usize,
    pub(crate) stream_bytes: usize,
    pub(crate) limits: DeflateLimits,
    /// The device knows windows below 32 KiB.
    pub(crate) narrow: bool,
    pub(crate) most_ahead: Rc<Cell<usize>>,
    /// Inputs that a timed-out device still reads.
    held: Rc<RefCell<Vec<Arc<Vec<u8>>>>>,
}

impl Fake {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Rc::new(Random::new(seed)),
            counts: Rc::default(),
            route: Ok(()),
            absent_percent: 0,
            failing_percent: 0,
            expanding_percent: 0,
            lie: Lie::None,
            verify: Verify::Crc,
            parallel: 1,
            min_bytes: DeflateLimits::PRODUCT.threshold,
            stream_bytes: 16 << 20,
            limits: DeflateLimits::PRODUCT,
            narrow: false,
            most_ahead: Rc::default(),
            held: Rc::default(),
        }
    }
}

impl Accelerator for Fake {
    type InFlight = DeflateSegment;

    fn preview(&self, window: Window, _: usize) -> Result<(), Reason> {
        if self.random.chance(self.absent_percent) {
            return Err(
                [Reason::NoDevice, Reason::Busy, Reason::Paused, Reason::Policy][self.random.below(4)]
            );
        }
        if self.narrow || window == Window::K32 { self.route } else { Err(Reason::Unsupported) }
    }

    fn begin(&self, segment: &DeflateSegment, ahead: usize) -> DeflateSegment {
        let len = segment.input.len();
        assert!(len != 0 && len <= DeflateSegment::MAX_LEN_BYTES && len % 4 == 0, "{len}");
        let most = self.most_ahead.get().max(ahead);
        self.most_ahead.set(most);
        segment.clone()
    }

    fn finish<S>(
        &self,
        segment: DeflateSegment,
        check: impl FnOnce(&DeflatedSegment) -> bool,
        software: impl FnOnce() -> S,
    ) -> Outcome<DeflatedSegment, S> {
        let len = segment.input.len();
        if self.random.chance(self.failing_percent) {
            if self.random.chance(50) {
                self.held.borrow_mut().push(segment.input.clone());
            }
            drop(segment);
            self.counts.borrow_mut().software += len as u64;
            return Outcome::Software(software());
        }
        let mut bytes = Vec::new();
        if self.random.chance(self.expanding_percent) {
            for piece in segment.input.chunks(1000) {
                wrapper::stored_blocks(&mut bytes, piece);
            }
            bytes.extend_from_slice(&wrapper::SYNC_MARKER);
        } else {
            let window_bits = match segment.window {
                Window::K4 => 12,
                Window::K8 => 13,
                Window::K16 => 14,
                Window::K24 | Window::K32 => 15,
            };
            let settings = Settings { level: 3, window_bits, mem_level: 8, strategy: 0 };
            let mut engine = Deflater::new(settings).unwrap();
            engine.run_to_vec(&segment.input, Z_SYNC_FLUSH, &mut bytes).unwrap();
        }
        let mut checksum = segment.checksum.map(|checksum| match checksum {
            Checksum::Adler32 => wrapper::checksum(Wrapper::Zlib, 1, &segment.input),
            Checksum::Crc32 => wrapper::checksum(Wrapper::Gzip, 0, &segment.input),
        });
        match self.lie {
            Lie::None => {}
            Lie::Output => {
                let at = self.random.below(bytes.len() - 5);
                bytes[at] ^= 1 << self.random.below(8);
            }
            Lie::Checksum => checksum = checksum.map(|checksum| checksum ^ 1),
        }
        drop(segment);
        if check(&DeflatedSegment { bytes: bytes.clone(), checksum }) {
            self.counts.borrow_mut().hardware += len as u64;
            Outcome::Hardware(DeflatedSegment { bytes, checksum })
        } else {
            let mut counts = self.counts.borrow_mut();
            counts.software += len as u64;
            counts.wrong += 1;
            drop(counts);
            Outcome::Software(software())
        }
    }

    fn verify(&self) -> Verify {
        self.verify
    }

    fn doubt(&self) {
        self.counts.borrow_mut().doubts += 1;
    }

    fn parallel(&self) -> usize {
        self.parallel
    }

    fn min_bytes(&self) -> usize {
        self.min_bytes
    }

    fn stream_bytes(&self) -> usize {
        self.stream_bytes
    }

    fn limits(&self) -> DeflateLimits {
        self.limits
    }

    fn note(&self, reason: Reason, requests: u64, len_bytes: u64) {
        self.counts.borrow_mut().noted.push((reason, requests, len_bytes));
    }
}
