//! Hardware mode: cutting the fifo into segments, and what is made in software between them.

use std::ffi::c_int;
use std::sync::Arc;

use warpdrive::request::compress::{DeflateSegment, Window};
use warpdrive::{Outcome, Reason};

use super::{Deflate, INTERRUPTED, Mode, THRESHOLD_BYTES, last};
use crate::abi::io::Io;
use crate::abi::next::{Deflater, OutOfMemory, Settings};
use crate::abi::{Z_FINISH, Z_FULL_FLUSH, Z_NO_FLUSH, Z_OK, Z_STREAM_END, Z_SYNC_FLUSH, Z_UNKNOWN};
use crate::accelerator::Accelerator;
use crate::{buffers, wrapper};

/// A stream of small writes is cut at first here, then at twice that, up to [`LAST_SEGMENT_BYTES`]: segments have no
/// history, and 1 MiB costs 0.1 to 0.4 % of size where 256 KiB costs 0.3 to 1.4 %.
pub(super) const FIRST_SEGMENT_BYTES: usize = 256 << 10;
const LAST_SEGMENT_BYTES: usize = 1 << 20;
/// The device wants lengths in multiples of this for segments that are not the last (zip §3.3).
const GRAIN_BYTES: usize = 4;
/// Segments in a row that the device may leave to software before the stream stays there.
const PATIENCE: u32 = 2;
/// zlib guesses text or binary from its first block; this much is as good.
const GUESS_BYTES: usize = 16 << 10;

impl<A: Accelerator> Deflate<A> {
    /// The hardware part of a call. `None`: the stream has just moved to software, which goes on with the call.
    pub(super) fn run_hardware(
        &mut self,
        io: &mut Io<'_>,
        flush: c_int,
    ) -> Result<Option<c_int>, OutOfMemory> {
        loop {
            // All of a large write in one segment; small writes gather.
            let at_hand = self.fifo.len().saturating_add(io.avail_in());
            let full = at_hand.clamp(self.segment_bytes, DeflateSegment::MAX_LEN_BYTES);
            self.take(io, full)?;
            if self.fifo.len() < full {
                break;
            }
            self.segment_bytes = (self.segment_bytes * 2).min(LAST_SEGMENT_BYTES);
            self.cut_segment()?;
            if self.leave_if_unlucky()? {
                return Ok(None);
            }
            if !self.deliver(io) {
                return Ok(Some(Z_OK));
            }
        }
        match flush {
            Z_NO_FLUSH => Ok(Some(Z_OK)),
            Z_FINISH => {
                if self.fifo.len() >= THRESHOLD_BYTES {
                    self.cut_segment()?;
                    if self.leave_if_unlucky()? {
                        return Ok(None);
                    }
                }
                self.finish()?;
                Ok(Some(if self.deliver(io) { Z_STREAM_END } else { Z_OK }))
            }
            _ => {
                self.flush(flush)?;
                if self.leave_if_unlucky()? {
                    return Ok(None);
                }
                if self.deliver(io) && io.avail_out() == 0 {
                    self.last_flush = INTERRUPTED;
                }
                Ok(Some(Z_OK))
            }
        }
    }

    /// Ends the current segment so that everything taken can be decoded, and the output ends in a sync marker.
    fn flush(&mut self, flush: c_int) -> Result<(), OutOfMemory> {
        self.compress_fifo()?;
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
            self.pending.queue().extend_from_slice(&wrapper::FINAL_BLOCK);
        } else {
            let mut engine = self.engine()?;
            engine.run_to_vec(&self.fifo, Z_FINISH, self.pending.queue())?;
            self.spare = Some(engine);
            self.tally.begin(Reason::Tail);
            self.count(self.fifo.len());
            let fifo = std::mem::take(&mut self.fifo);
            self.remember(&fifo);
            buffers::give(fifo);
        }
        self.close();
        Ok(())
    }

    /// Compresses everything in the fifo: by the device what is worth it, the rest by the engine.
    pub(super) fn compress_fifo(&mut self) -> Result<(), OutOfMemory> {
        if matches!(self.mode, Mode::Hardware) && self.fifo.len() >= THRESHOLD_BYTES {
            self.cut_segment()?;
        }
        if self.fifo.is_empty() {
            return Ok(());
        }
        let reason = if self.suitable() { Reason::Small } else { Reason::Unsupported };
        let mut engine = self.engine()?;
        engine.run_to_vec(&self.fifo, Z_SYNC_FLUSH, self.pending.queue())?;
        self.spare = Some(engine);
        self.tally.begin(reason);
        self.count(self.fifo.len());
        self.report();
        let fifo = std::mem::take(&mut self.fifo);
        self.remember(&fifo);
        buffers::give(fifo);
        self.marked = Some(Z_SYNC_FLUSH);
        Ok(())
    }

    /// Sends the fifo, but for at most three bytes, to the device as one segment.
    ///
    /// The plain text leaves the fifo in the same step in which its compressed form enters the queue.
    fn cut_segment(&mut self) -> Result<(), OutOfMemory> {
        let mut plain = std::mem::take(&mut self.fifo);
        let rest = plain.split_off(plain.len() - plain.len() % GRAIN_BYTES);
        let segment = DeflateSegment { input: Arc::new(plain), window: Window::K32 };
        let settings = self.parameters.settings;
        let (spare, window, input) = (&mut self.spare, &self.window, &segment.input);
        let outcome = self.accelerator.deflate(&segment, || {
            let mut bytes = Vec::new();
            let mut engine = engine(spare, settings, window)?;
            engine.run_to_vec(input, Z_SYNC_FLUSH, &mut bytes)?;
            *spare = Some(engine);
            Ok(bytes)
        });
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
                self.fifo = Arc::try_unwrap(segment.input).unwrap_or_else(|shared| shared.as_ref().clone());
                self.fifo.extend_from_slice(&rest);
                return Err(OutOfMemory);
            }
        };
        if made.len() > wrapper::stored_len(segment.input.len()) {
            // Incompressible. Stored blocks keep the whole within zlib's bound, whoever made the segment.
            wrapper::stored_blocks(self.pending.queue(), &segment.input);
            self.marked = None;
        } else {
            self.pending.append(made);
            self.marked = Some(Z_SYNC_FLUSH);
        }
        if self.data_type == Z_UNKNOWN {
            self.data_type = wrapper::data_type(segment.input.get(..GUESS_BYTES).unwrap_or(&segment.input));
        }
        let DeflateSegment { input, .. } = segment;
        self.remember(&input);
        // A device that timed out may still read its copy; then that stays where it is.
        if let Ok(mut plain) = Arc::try_unwrap(input) {
            plain.clear();
            self.fifo = plain;
        }
        self.fifo.extend_from_slice(&rest);
        if self.fifo.is_empty() {
            self.release_fifo();
        }
        Ok(())
    }

    /// Moves the stream to software when the device has let it down too often. True: moved.
    fn leave_if_unlucky(&mut self) -> Result<bool, OutOfMemory> {
        if self.failures < PATIENCE {
            return Ok(false);
        }
        let reason = self.accelerator.preview(THRESHOLD_BYTES).err().unwrap_or(Reason::DeviceError);
        self.enter_software(reason)?;
        Ok(true)
    }

    /// Appends compressed plain text to the window.
    fn remember(&mut self, plain: &[u8]) {
        let size = 1 << self.parameters.settings.window_bits;
        let plain = last(plain, size);
        let excess = (self.window.len() + plain.len()).saturating_sub(size);
        self.window.drain(..excess);
        self.window.extend_from_slice(plain);
    }
}

/// The spare engine or a new one, fresh, with `window` as its history.
pub(super) fn engine(
    spare: &mut Option<Deflater>,
    settings: Settings,
    window: &[u8],
) -> Result<Deflater, OutOfMemory> {
    let mut engine = match spare.take() {
        Some(mut engine) => {
            engine.renew(settings)?;
            engine
        }
        None => Deflater::new(settings)?,
    };
    if !window.is_empty() {
        engine.set_dictionary(window);
    }
    Ok(engine)
}
