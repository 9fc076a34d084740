//! The device's part of an inflate stream: pieces, their check, and who owns which byte in between.
//!
//! A piece is a copy of some of the caller's input and a buffer of the stream's own; nothing of the caller's is lent. Its
//! plain text is released only after the device's running checksum was found equal to that of the bytes in memory, the last
//! piece's only after the trailer was.
//!
//! *Hold-back*: while plain text of a piece waits, the caller still owns the input it came from. It was consumed by the
//! device and kept in the log, but `next_in` moves only when everything is delivered: callers take input that is used up
//! before the end for a truncated stream. The caller's contract is to present it again, so it is skipped then.

use std::ffi::c_int;
use std::sync::Arc;

use warpdrive::request::compress::{InflatePiece, InflateStream, InflatedPiece, Wrapper};
use warpdrive::{Reason, memory};

use super::replay::Log;
use super::{Inflate, Mode, Probe, Progress};
use crate::abi::io::Io;
use crate::abi::{Z_BLOCK, Z_BUF_ERROR, Z_FINISH, Z_MEM_ERROR, Z_OK, Z_STREAM_END, Z_TREES};
use crate::accelerator::{InflateAccelerator, InflateLimits};
use crate::wrapper;

/// Calls with little input in a row after which the caller is one that reads small pieces.
const SMALL_CALLS: u32 = 4;
/// Longest trailer: gzip's CRC-32 and length (RFC 1952 §2.3.1).
const TRAILER_MAX_BYTES: usize = 8;
/// `strm->data_type` when a stream ended: no unused bits, last block.
const ENDED_DATA_TYPE: c_int = 64;

/// A stream on the device.
#[derive(Clone)]
pub(super) struct Hardware {
    limits: InflateLimits,
    stream: InflateStream,
    /// What the device consumed beyond the place where the engine waits.
    pub(super) log: Log,
    /// Compressed bytes in front of the engine's place, plain text in front of it: the device does them again first.
    repeated: Probe,
    /// The last piece's output; `ready` is the part that waits for the caller.
    output: Vec<u8>,
    ready: std::ops::Range<usize>,
    /// Input that the device consumed and the caller still owns.
    pub(super) held: usize,
    /// Over everything the device made, and its length modulo 2^32.
    checksum: u32,
    len: u32,
    /// The checksum where the engine waits.
    pub(super) checksum_before: u32,
    /// Bytes delivered since then.
    pub(super) delivered: u64,
    room: usize,
    /// How much the device has used and made in all, for a guess of what the next piece will use.
    used: u64,
    made: u64,
    /// Bytes of the caller's in the last piece.
    asked: usize,
    small_calls: u32,
    ended: bool,
    /// More plain text may come without more input.
    owes: bool,
    /// The device took a part of the trailer.
    in_trailer: bool,
}

impl Hardware {
    /// A stream at the first byte of its body; `checksum`: of what was delivered so far. `probe`: what software did before.
    pub(super) fn new(wrapper: Wrapper, checksum: u32, limits: InflateLimits, probe: Option<Probe>) -> Self {
        Self {
            limits,
            stream: InflateStream::new(wrapper),
            log: Log::default(),
            repeated: probe.unwrap_or_default(),
            output: Vec::new(),
            ready: 0..0,
            held: 0,
            checksum: wrapper::initial_checksum(wrapper),
            len: 0,
            checksum_before: checksum,
            delivered: 0,
            room: limits.first_room,
            used: 0,
            made: 0,
            asked: 0,
            small_calls: 0,
            ended: false,
            owes: false,
            in_trailer: false,
        }
    }

    /// Plain text that software delivered before and the device has not made again.
    pub(super) fn software_part(&self) -> usize {
        self.repeated.delivered
    }

    /// Bytes of the caller's input that the last piece had.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// Delivers what fits; returns it as the checksum of all delivered, continued from `checksum`.
    fn deliver(&mut self, io: &mut Io<'_>, wrapper: Wrapper, checksum: u32) -> u32 {
        let waiting = self.output.get(self.ready.clone()).unwrap_or_default();
        let len = io.put(waiting);
        self.delivered += len as u64;
        self.ready.start += len;
        if self.ready.is_empty() {
            // Everything the device made is the caller's.
            return self.checksum;
        }
        wrapper::checksum(wrapper, checksum, waiting.get(..len).unwrap_or_default())
    }

    /// Bytes of input that a piece with `room` is expected to use.
    fn appetite(&self, room: usize) -> usize {
        let expected = match self.made {
            0 => room / 2,
            made => {
                let share = u128::from(self.used) * room as u128 / u128::from(made);
                usize::try_from(share).unwrap_or(room)
            }
        };
        (expected + expected / 8 + 4096).min(room)
    }

    /// Sends a piece of the caller's input. `delivered`: checksum of what the caller has.
    fn piece<A: InflateAccelerator>(
        &mut self,
        accelerator: &A,
        io: &Io<'_>,
        delivered: u32,
    ) -> Result<(), Reason> {
        let max = InflateStream::PIECE_MAX_BYTES;
        let again = std::mem::take(&mut self.repeated);
        let room = (self.room.max(io.avail_out()) + again.delivered).min(max);
        let given = io.input();
        let given = given.get(..self.appetite(room).min(given.len())).unwrap_or_default();
        self.asked = given.len();
        let mut input = Vec::new();
        input.try_reserve_exact(again.consumed.len() + given.len()).map_err(|_| Reason::Busy)?;
        input.extend_from_slice(&again.consumed);
        input.extend_from_slice(given);
        let input = Arc::new(input);
        let output = self.buffer(room)?;

        let wrapper = self.stream.wrapper();
        let (checksum, len, log) = (self.checksum, self.len, &self.log);
        let mut made = (checksum, len);
        let right = |done: &InflatedPiece| {
            let text = done.output.get(..done.produced).unwrap_or_default();
            let (seen, new) = text.split_at(again.delivered.min(text.len()));
            let seen_checksum = wrapper::checksum(wrapper, checksum, seen);
            made.0 = wrapper::checksum(wrapper, seen_checksum, new);
            made.1 = len.wrapping_add(truncated(done.produced));
            let repeated_right = again.delivered == 0
                || (seen.len() == again.delivered
                    && done.consumed >= again.consumed.len()
                    && (wrapper == Wrapper::Raw || seen_checksum == delivered));
            let used = input.get(..done.consumed).unwrap_or_default();
            repeated_right
                && done.checksum.is_none_or(|reported| reported == made.0)
                && (!done.ended || matches_trailer(wrapper, made, log, used))
        };
        let piece = InflatePiece { input: Arc::clone(&input), output };
        let done = match accelerator.piece(&mut self.stream, piece, right) {
            Ok(done) => done,
            Err(reason) => {
                self.repeated = again;
                return Err(reason);
            }
        };

        let progress = done.consumed + done.produced;
        (self.checksum, self.len) = made;
        self.used += done.consumed as u64;
        self.made += done.produced as u64;
        self.held = done.consumed - again.consumed.len().min(done.consumed);
        self.log.push(input, again.consumed.len()..done.consumed);
        self.ready = again.delivered..done.produced;
        self.output = done.output;
        self.ended = done.ended;
        self.in_trailer = done.in_trailer;
        self.owes = !done.ended && progress != 0 && (done.owes || done.produced == room);
        if done.produced == room {
            self.room = (self.room * 4).min(self.limits.room);
        }
        if progress == 0 && !done.ended && !given.is_empty() {
            // Neither an answer nor an error.
            return Err(Reason::DeviceError);
        }
        Ok(())
    }

    /// A buffer of exactly `room` bytes: the last one if it is free and fits.
    fn buffer(&mut self, room: usize) -> Result<Vec<u8>, Reason> {
        let mut buffer = std::mem::take(&mut self.output);
        if buffer.capacity() < room {
            memory::give(buffer);
            buffer = memory::take(room);
        }
        let missing = room.saturating_sub(buffer.len());
        buffer.try_reserve_exact(missing).map_err(|_| Reason::Busy)?;
        buffer.resize(room, 0);
        Ok(buffer)
    }
}

impl Drop for Hardware {
    fn drop(&mut self) {
        memory::give(std::mem::take(&mut self.output));
    }
}

impl<A: InflateAccelerator> Inflate<A> {
    /// A call on a stream of the device's.
    pub(super) fn run_hardware(&mut self, io: &mut Io<'_>, flush: c_int) -> Progress {
        if matches!(flush, Z_BLOCK | Z_TREES) {
            self.leave_hardware(Reason::Unsupported);
            return self.run_resumed(io, flush);
        }
        let before = (io.avail_in(), io.avail_out());
        let wrapper = self.wrapper();
        let failure = loop {
            let Mode::Hardware(hardware) = &mut self.mode else { return Progress::nothing(Z_MEM_ERROR) };
            if !hardware.ready.is_empty() {
                let checksum = hardware.deliver(io, wrapper, self.checksum);
                if self.checking {
                    self.checksum = checksum;
                }
                if !hardware.ready.is_empty() {
                    break None;
                }
            }
            let settled = hardware.held.min(io.avail_in());
            io.advance_in(settled);
            hardware.held -= settled;
            if hardware.in_trailer && hardware.held == 0 && wrapper == Wrapper::Gzip {
                // zlib compares its first half before the second has come.
                break Some((Reason::Tail, false));
            }
            if hardware.held != 0 || hardware.ended || (io.avail_in() == 0 && !hardware.owes) {
                break None;
            }
            if before == (io.avail_in(), io.avail_out()) {
                let small = io.avail_in() < hardware.limits.small;
                hardware.small_calls = if small { hardware.small_calls + 1 } else { 0 };
                if hardware.small_calls > SMALL_CALLS {
                    break Some((Reason::Small, false));
                }
            }
            // Room in the caller's buffer or not: the stream may end here, and the caller may know.
            if hardware.log.len() >= hardware.limits.log {
                // Beyond this the stream could not go on without the device.
                break Some((Reason::Policy, false));
            }
            if let Err(reason) = hardware.piece(&self.accelerator, io, self.checksum) {
                break Some((reason, true));
            }
        };
        if let Some((reason, counted)) = failure {
            self.leave_hardware_for(reason, counted);
            return self.run_resumed(io, flush);
        }
        let Mode::Hardware(hardware) = &mut self.mode else { return Progress::nothing(Z_MEM_ERROR) };
        let ended = hardware.ended && hardware.ready.is_empty() && hardware.held == 0;
        if ended {
            memory::give(std::mem::take(&mut hardware.output));
        }
        let code = match () {
            () if ended => Z_STREAM_END,
            () if flush == Z_FINISH || before == (io.avail_in(), io.avail_out()) => Z_BUF_ERROR,
            () => Z_OK,
        };
        Progress {
            code,
            adler: (wrapper != Wrapper::Raw).then_some(self.checksum.into()),
            data_type: if ended { ENDED_DATA_TYPE } else { 0 },
            message: std::ptr::null_mut(),
        }
    }
}

/// Whether `made`, checksum and length, is what the trailer says: the last bytes of `used`, or of the log and `used`. The
/// device compares them too, but it is the device that is doubted here.
fn matches_trailer(wrapper: Wrapper, made: (u32, u32), log: &Log, used: &[u8]) -> bool {
    let mut tail = [0; TRAILER_MAX_BYTES];
    log.copy_tail(used, &mut tail);
    let [a, b, c, d, e, f, g, h] = tail;
    match wrapper {
        Wrapper::Raw => true,
        Wrapper::Zlib => made.0 == u32::from_be_bytes([e, f, g, h]),
        Wrapper::Gzip => made == (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ISIZE is the length modulo 2^32 (RFC 1952 §2.3.1)")]
fn truncated(len: usize) -> u32 {
    len as u32
}
