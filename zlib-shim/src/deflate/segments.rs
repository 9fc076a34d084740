//! Hardware mode: cutting the fifo into segments, and what is made in software between them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::Arc;

use warpdrive::memory::{self, Charge};
use warpdrive::request::compress::{DeflateSegment, DeflatedSegment, Window};
use warpdrive::{Outcome, Reason};

use super::verify::{self, Proof};
use super::{Deflate, INTERRUPTED, Mode, last};
use crate::abi::io::Io;
use crate::abi::next::OutOfMemory;
use crate::abi::{Z_FINISH, Z_FULL_FLUSH, Z_NO_FLUSH, Z_OK, Z_STREAM_END, Z_SYNC_FLUSH, Z_UNKNOWN};
use crate::accelerator::Accelerator;
use crate::{engines, wrapper};

/// A byte of plain text at the device, its copy and room for its output.
const HELD_PER_BYTE: usize = 3;
/// The device wants lengths in multiples of this for segments that are not the last (zip §3.3).
const GRAIN_BYTES: usize = 4;
/// Segments in a row that the device may leave to software before the stream stays there.
const PATIENCE: u32 = 2;
/// zlib guesses text or binary from its first block; this much is as good.
const GUESS_BYTES: usize = 16 << 10;

/// A segment under way.
struct Sent<F> {
    segment: DeflateSegment,
    in_flight: F,
    proof: Proof,
    /// The stream's checksum where the segment begins.
    start_checksum: u32,
    _charge: Charge,
}

/// Segments under way, oldest first.
type Batch<A> = VecDeque<Sent<<A as Accelerator>::InFlight>>;

impl<A: Accelerator> Deflate<A> {
    /// The hardware part of a call. `None`: the stream has just moved to software, which goes on with the call.
    pub(super) fn run_hardware(
        &mut self,
        io: &mut Io<'_>,
        flush: c_int,
    ) -> Result<Option<c_int>, OutOfMemory> {
        let mut out = VecDeque::new();
        loop {
            // While the caller's buffer has room, pieces are sent beside those that are under way.
            if self.pending.is_empty() && self.failures < PATIENCE {
                self.send_pieces(io, flush, &mut out)?;
            }
            let Some(oldest) = out.pop_front() else { break };
            self.receive(oldest, &mut out)?;
            self.deliver(io);
        }
        if self.leave_if_unlucky()? {
            return Ok(None);
        }
        if !self.pending.is_empty() {
            return Ok(Some(Z_OK));
        }
        match flush {
            Z_NO_FLUSH => Ok(Some(Z_OK)),
            Z_FINISH => {
                self.finish()?;
                Ok(Some(if self.deliver(io) { Z_STREAM_END } else { Z_OK }))
            }
            _ => {
                self.flush(flush)?;
                if self.deliver(io) && io.avail_out() == 0 {
                    self.last_flush = INTERRUPTED;
                }
                Ok(Some(Z_OK))
            }
        }
    }

    /// Cuts what is at hand into segments and sends them: small writes gather, a large one goes to the device in several
    /// pieces at a time. Sends nothing when there is not enough at hand.
    fn send_pieces(&mut self, io: &mut Io<'_>, flush: c_int, out: &mut Batch<A>) -> Result<(), OutOfMemory> {
        let limits = self.accelerator.limits();
        loop {
            let at_hand = self.fifo.len().saturating_add(io.avail_in());
            let (full, limit) = self.plan(at_hand);
            if out.len() >= limit {
                return Ok(());
            }
            if let Err(OutOfMemory) = self.take(io, full) {
                // What is under way comes first, and may leave memory behind.
                return if out.is_empty() { Err(OutOfMemory) } else { Ok(()) };
            }
            let len = self.fifo.len();
            let at_end = flush != Z_NO_FLUSH && io.avail_in() == 0;
            let whole = out.is_empty() && flush == Z_FINISH && self.is_large_enough(len);
            if len < full && !(at_end && (len >= limits.threshold || whole)) {
                return Ok(());
            }
            if out.try_reserve(1).is_err() {
                return if out.is_empty() { Err(OutOfMemory) } else { Ok(()) };
            }
            if at_hand < 2 * limits.piece {
                self.segment_bytes = (self.segment_bytes * 2).min(limits.last_segment);
            }
            let sent = self.send(out.len());
            out.push_back(sent);
        }
    }

    /// For so much plain text at hand: the length of the next segment, and how many may be under way.
    fn plan(&self, at_hand: usize) -> (usize, usize) {
        let budget = if memory::is_short() { 0 } else { self.accelerator.stream_bytes() / HELD_PER_BYTE };
        let (lanes, limits) = (self.accelerator.parallel(), self.accelerator.limits());
        let pieces = at_hand.div_ceil(limits.last_segment).max(lanes.min(at_hand / limits.piece));
        let piece = at_hand.div_ceil(pieces.max(1)).next_multiple_of(GRAIN_BYTES);
        let lanes = lanes.min(budget / piece.max(1));
        if lanes > 1 && pieces > 1 {
            return (piece, lanes);
        }
        let most = (budget - budget % GRAIN_BYTES).clamp(self.segment_bytes, DeflateSegment::MAX_LEN_BYTES);
        ((at_hand - at_hand % GRAIN_BYTES).clamp(self.segment_bytes, most), lanes.max(1))
    }

    /// Ends the current segment so that everything taken can be decoded, and the output ends in a sync marker.
    fn flush(&mut self, flush: c_int) -> Result<(), OutOfMemory> {
        self.compress_fifo()?;
        self.pending.reserve(wrapper::SYNC_MARKER.len())?;
        if self.marked.is_none() || self.pending.is_empty() {
            self.pending.queue().extend_from_slice(&wrapper::SYNC_MARKER);
        }
        self.marked = Some(flush);
        if flush == Z_FULL_FLUSH {
            self.window.clear();
        }
        Ok(())
    }

    /// Ends the stream: what is left is too little for the device, or nothing.
    fn finish(&mut self) -> Result<(), OutOfMemory> {
        if self.fifo.is_empty() {
            self.pending.reserve(wrapper::FINAL_BLOCK.len() + wrapper::TRAILER_MAX_BYTES)?;
            self.pending.queue().extend_from_slice(&wrapper::FINAL_BLOCK);
            // Three bits of header and seven of code.
            self.end_bits = 2;
        } else {
            let mut engine = self.engine()?;
            engine.run_to_vec(&self.fifo, Z_FINISH, self.pending.queue())?;
            self.end_bits = engine.bits_used();
            engines::give(engine);
            self.tally.begin(Reason::Tail);
            self.count(self.fifo.len());
            let fifo = std::mem::take(&mut self.fifo);
            self.remember(&fifo);
            memory::give(fifo);
        }
        self.close();
        Ok(())
    }

    /// Compresses everything in the fifo: by the device what is worth it, the rest by the engine.
    pub(super) fn compress_fifo(&mut self) -> Result<(), OutOfMemory> {
        if matches!(self.mode, Mode::Hardware) && self.fifo.len() >= self.accelerator.limits().threshold {
            let sent = self.send(0);
            self.receive(sent, &mut VecDeque::new())?;
        }
        if self.fifo.is_empty() {
            return Ok(());
        }
        let reason = if self.suitable().is_some() { Reason::Small } else { Reason::Unsupported };
        let mut engine = self.engine()?;
        engine.run_to_vec(&self.fifo, Z_SYNC_FLUSH, self.pending.queue())?;
        engines::give(engine);
        self.tally.begin(reason);
        self.count(self.fifo.len());
        self.report();
        let fifo = std::mem::take(&mut self.fifo);
        self.remember(&fifo);
        memory::give(fifo);
        self.marked = Some(Z_SYNC_FLUSH);
        Ok(())
    }

    /// Sends the fifo, but for at most three bytes, to the device as one segment.
    fn send(&mut self, ahead: usize) -> Sent<A::InFlight> {
        let mut plain = std::mem::take(&mut self.fifo);
        let rest = plain.split_off(plain.len() - plain.len() % GRAIN_BYTES);
        let wrapper = self.parameters.wrapper;
        let verify = self.accelerator.verify();
        let checksum = verify::asked(verify, wrapper);
        let start_checksum = self.fifo_checksum;
        let end_checksum = match rest.is_empty() {
            true => self.checksum,
            // What stays behind begins there, and is sent with a checksum of its own.
            false => wrapper::checksum(wrapper, start_checksum, &plain),
        };
        let proof = match checksum {
            Some(_) => Proof::new(verify, verify::part(wrapper, start_checksum, end_checksum, &plain)),
            None => Proof::new(verify, 0),
        };
        // Unsuitable parameters never get here; the widest window is the one that every device has.
        let window = self.suitable().unwrap_or(Window::K32);
        let segment = DeflateSegment { input: Arc::new(plain), window, checksum };
        let in_flight = self.accelerator.begin(&segment, ahead);
        self.fifo = rest;
        self.fifo_checksum = end_checksum;
        let charge = Charge::new(segment.input.len() * HELD_PER_BYTE);
        Sent { segment, in_flight, proof, start_checksum, _charge: charge }
    }

    /// Waits for a segment, the oldest, and queues what became of it; `later` are under way behind it.
    ///
    /// The plain text of a segment is let go in the same step in which its compressed form enters the queue. Out of memory:
    /// what is not compressed yet is in the fifo again.
    fn receive(&mut self, sent: Sent<A::InFlight>, later: &mut Batch<A>) -> Result<(), OutOfMemory> {
        let Sent { segment, in_flight, proof, start_checksum, _charge } = sent;
        let wrong = Cell::new(false);
        let settings = self.parameters.settings;
        let (window, input) = (&self.window, &segment.input);
        let check = |made: &DeflatedSegment| {
            let holds = proof.holds(made, input);
            wrong.set(!holds);
            holds
        };
        let outcome = self.accelerator.finish(in_flight, check, || {
            let mut bytes = Vec::new();
            let mut engine = engines::take(settings, window)?;
            engine.run_to_vec(input, Z_SYNC_FLUSH, &mut bytes)?;
            engines::give(engine);
            Ok(bytes)
        });
        if wrong.get() {
            self.accelerator.doubt();
            // What was answered along with it is doubted too.
            later.iter_mut().for_each(|sent| sent.proof = sent.proof.strict());
        }
        let made = match outcome {
            Outcome::Hardware(made) => {
                self.failures = 0;
                made.bytes
            }
            Outcome::Software(Ok(bytes)) => {
                self.failures += 1;
                bytes
            }
            Outcome::Software(Err(OutOfMemory)) => {
                self.put_back(segment.input, later, start_checksum);
                return Err(OutOfMemory);
            }
        };
        // Incompressible. Stored blocks keep the whole within zlib's bound, whoever made the segment.
        let stored = made.len() > wrapper::stored_len(segment.input.len());
        if (stored || !self.pending.is_empty()) && self.pending.reserve(made.len()).is_err() {
            self.put_back(segment.input, later, start_checksum);
            return Err(OutOfMemory);
        }
        if stored {
            wrapper::stored_blocks(self.pending.queue(), &segment.input);
            self.marked = None;
            memory::give(made);
        } else {
            self.pending.append(made);
            self.marked = Some(Z_SYNC_FLUSH);
        }
        if self.data_type == Z_UNKNOWN {
            self.data_type = wrapper::data_type(segment.input.get(..GUESS_BYTES).unwrap_or(&segment.input));
        }
        self.remember(&segment.input);
        // A device that timed out may still read its copy; then that stays where it is.
        if let Ok(plain) = Arc::try_unwrap(segment.input) {
            memory::give(plain);
        }
        Ok(())
    }

    /// Gathers in the fifo again what was under way: `oldest` and all `later`.
    fn put_back(&mut self, oldest: Arc<Vec<u8>>, later: &mut Batch<A>, start_checksum: u32) {
        let mut plain = own(oldest);
        for later in later.drain(..) {
            plain.extend_from_slice(&later.segment.input);
        }
        plain.extend_from_slice(&self.fifo);
        self.fifo = plain;
        self.fifo_checksum = start_checksum;
    }

    /// Moves the stream to software when the device has let it down too often. True: moved.
    fn leave_if_unlucky(&mut self) -> Result<bool, OutOfMemory> {
        if self.failures < PATIENCE {
            return Ok(false);
        }
        let reason = self.candidate(self.accelerator.limits().threshold).err().unwrap_or(Reason::DeviceError);
        self.enter_software(reason)?;
        Ok(true)
    }

    /// Appends compressed plain text to the window.
    fn remember(&mut self, plain: &[u8]) {
        let size = 1 << self.parameters.settings.window_bits;
        let plain = last(plain, size);
        let excess = (self.window.len() + plain.len()).saturating_sub(size);
        self.window.drain(..excess);
        if self.window.try_reserve(plain.len()).is_err() {
            // Nothing has to refer back.
            self.window = Vec::new();
            return;
        }
        self.window.extend_from_slice(plain);
    }
}

/// The bytes themselves if nobody else holds them, else a copy.
fn own(shared: Arc<Vec<u8>>) -> Vec<u8> {
    Arc::try_unwrap(shared).unwrap_or_else(|shared| shared.as_ref().clone())
}
