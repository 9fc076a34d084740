//! A device played by the software engine, which can fail, dawdle and lie.

use super::*;

#[derive(Default)]
pub(super) struct Counts {
    pub(super) pieces: u64,
    pub(super) hardware: u64,
    pub(super) failed: u64,
    pub(super) lies: u64,
    pub(super) measured: usize,
    pub(super) noted: Vec<(Reason, u64, u64)>,
}

impl Counts {
    pub(super) fn bytes(&self) -> u64 {
        self.hardware + self.noted.iter().map(|noted| noted.2).sum::<u64>()
    }

    pub(super) fn requests(&self) -> u64 {
        self.noted.iter().map(|noted| noted.1).sum::<u64>()
    }
}

/// What a played device writes into a stream's context: the number of one of these.
pub(super) struct Saved {
    pub(super) engine: RefCell<Inflater>,
    pub(super) trailer: Vec<u8>,
    pub(super) body_ended: bool,
    pub(super) ended: bool,
    pub(super) checksum: u32,
    pub(super) len: u32,
}

/// How a device deceives.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Lie {
    No,
    /// A bit of the output is wrong; the checksum is that of the right text.
    Bytes,
    /// Half of the output is missing.
    Short,
    /// A bit is wrong and the device's own checksum agrees with it.
    Perfect,
}

/// An accelerator made of the software engine.
#[derive(Clone)]
pub(super) struct Fake {
    pub(super) random: Rc<Random>,
    pub(super) counts: Rc<RefCell<Counts>>,
    pub(super) saved: Rc<RefCell<Vec<Saved>>>,
    pub(super) limits: InflateLimits,
    pub(super) route: Result<(), Reason>,
    pub(super) failing_percent: usize,
    /// Fails from this piece on.
    pub(super) failing_from: u64,
    pub(super) lying_percent: usize,
    pub(super) lie: Lie,
    /// Leaves room unused and says that it owes something.
    pub(super) lazy_percent: usize,
}

impl Fake {
    pub(super) fn new(seed: u64, limits: InflateLimits) -> Self {
        Self {
            random: Rc::new(Random::new(seed)),
            counts: Rc::default(),
            saved: Rc::default(),
            limits,
            route: Ok(()),
            failing_percent: 0,
            failing_from: u64::MAX,
            lying_percent: 0,
            lie: Lie::No,
            lazy_percent: 0,
        }
    }

    pub(super) fn copy_of(&self, stream: &mut InflateStream) -> Saved {
        let wrapper = stream.wrapper();
        if stream.is_fresh() {
            return Saved {
                engine: RefCell::new(Inflater::new(-15).unwrap()),
                trailer: Vec::new(),
                body_ended: false,
                ended: false,
                checksum: wrapper::initial_checksum(wrapper),
                len: 0,
            };
        }
        let index = u64::from_le_bytes(stream.context_mut()[..8].try_into().unwrap());
        let all = self.saved.borrow();
        let saved = &all[usize::try_from(index).unwrap()];
        let engine = RefCell::new(saved.engine.borrow_mut().copy().unwrap());
        Saved { engine, trailer: saved.trailer.clone(), ..*saved }
    }
}

impl InflateAccelerator for Fake {
    fn limits(&self) -> InflateLimits {
        self.limits
    }

    fn takes_raw(&self) -> bool {
        true
    }

    fn preview(&self, _: Wrapper, _: usize) -> Result<(), Reason> {
        self.route
    }

    fn piece(
        &self,
        stream: &mut InflateStream,
        piece: InflatePiece,
        check: impl FnOnce(&InflatedPiece) -> bool,
    ) -> Result<InflatedPiece, Reason> {
        let InflatePiece { input, mut output } = piece;
        assert!(input.len() <= InflateStream::PIECE_MAX_BYTES);
        assert!((200..=InflateStream::PIECE_MAX_BYTES).contains(&output.len()));
        let random = &self.random;
        self.counts.borrow_mut().pieces += 1;
        if random.chance(self.failing_percent) || self.counts.borrow().pieces > self.failing_from {
            output.fill(0xee);
            self.counts.borrow_mut().failed += 1;
            let reasons = [Reason::TimeOut, Reason::Reset, Reason::DeviceError, Reason::Busy, Reason::Paused];
            return Err(reasons[random.below(reasons.len())]);
        }
        let wrapper = stream.wrapper();
        let mut now = self.copy_of(stream);
        assert!(!now.ended, "nothing is asked after the end");
        let lazy = random.chance(self.lazy_percent);
        let room = if lazy { 1 + random.below(output.len()) } else { output.len() };
        let (mut used, mut made, mut owes) = (0, 0, false);
        if !now.body_ended {
            let mut io = Io::from_slices(&input, &mut output[..room]);
            let (code, consumed, produced) = now.engine.borrow_mut().run(&mut io, Z_NO_FLUSH);
            (used, made) = (consumed, produced);
            match code {
                Z_STREAM_END => now.body_ended = true,
                Z_OK | Z_BUF_ERROR => owes = made == room,
                _ => {
                    self.counts.borrow_mut().failed += 1;
                    return Err(Reason::Refused);
                }
            }
        }
        now.len = now.len.wrapping_add(u32::try_from(made).unwrap());
        let right = wrapper::checksum(wrapper, now.checksum, &output[..made]);
        let before = now.checksum;
        now.checksum = right;
        if now.body_ended {
            let mut expected = Vec::new();
            wrapper::trailer(&mut expected, wrapper, now.checksum, now.len.into());
            let more = (expected.len() - now.trailer.len()).min(input.len() - used);
            now.trailer.extend_from_slice(&input[used..used + more]);
            used += more;
            now.ended = now.trailer.len() == expected.len();
            // A device that lies about its text may well believe itself.
            if now.ended && now.trailer != expected && self.lie != Lie::Perfect {
                self.counts.borrow_mut().failed += 1;
                return Err(Reason::Refused);
            }
        }
        let mut reported = right;
        if made != 0 && random.chance(self.lying_percent) {
            self.counts.borrow_mut().lies += 1;
            match self.lie {
                Lie::No => {}
                Lie::Bytes => output[random.below(made)] ^= 4,
                Lie::Short => made /= 2,
                Lie::Perfect => {
                    output[random.below(made)] ^= 4;
                    reported = wrapper::checksum(wrapper, before, &output[..made]);
                    now.checksum = reported;
                }
            }
        }
        let done = InflatedPiece {
            output,
            consumed: used,
            produced: made,
            ended: now.ended,
            owes: owes && !now.ended,
            in_trailer: now.body_ended && !now.ended,
            checksum: (wrapper != Wrapper::Raw).then_some(reported),
        };
        if !check(&done) {
            self.counts.borrow_mut().failed += 1;
            return Err(Reason::WrongResult);
        }
        let index = self.saved.borrow().len() as u64;
        self.saved.borrow_mut().push(now);
        *stream.context_mut() = index.to_le_bytes().to_vec();
        self.counts.borrow_mut().hardware += done.produced as u64;
        Ok(done)
    }

    fn note(&self, reason: Reason, requests: u64, len_bytes: u64) {
        self.counts.borrow_mut().noted.push((reason, requests, len_bytes));
    }

    fn measured(&self, len_bytes: usize, took: Duration) {
        assert!(len_bytes >= self.limits.large && took > Duration::ZERO);
        self.counts.borrow_mut().measured += len_bytes;
    }
}
