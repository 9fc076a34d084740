//! ZIP: zlib and gzip payloads, and on v3 raw deflate, whole or as streams; LZ4 blocks and LZ77 sequences (zip §1, §2, §7, §8).
//!
//! The engine makes and reads payloads and trailers; two- and ten-byte headers are software's business.

mod buffers;
mod checksum;
mod compress;
mod inflate;
mod lz77;
mod sequences;

use zlib_rs::Inflate;

use self::buffers::Buffers;
use self::checksum::{Format, Running};
use self::compress::Compressor;
use self::inflate::{Outcome, State};
use self::lz77::Form;
use super::segments::Segments;
use super::{Model, address, set_word, word};
use crate::device::Hardware;
use crate::memo::Memo;
use crate::os::client::{ClientSpace, MemoryError};

/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 128;

/// The engine of one queue.
pub struct Zip {
    direction: Option<Direction>,
    hardware: Hardware,
    memo: Memo,
    compressor: Compressor,
    inflate: Inflate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Compress,
    Decompress,
}

/// A request's status (zip §1.7). Only the first two have public numbers for what they mean; the others are "any other
/// nonzero value", chosen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Failure {
    /// The destination is too small.
    Room = 0x0E,
    /// The trailer does not match the data.
    Checksum = 0x10,
    /// Not a deflate payload, or cut short.
    Data = 0x21,
    /// A combination this hardware has not.
    Unsupported = 0x22,
    /// An address that does not translate.
    Address = 0x23,
}

/// What a request gave.
struct Answer {
    consumed: usize,
    produced: usize,
    /// Word 3: status in the low byte, bit 8 the last block was seen.
    status: u32,
    /// Words 15, 28, 29.
    context: [u32; 3],
    /// Words 30, 31.
    running: [u32; 2],
    /// Word 2, of requests for sequences.
    literals: usize,
}

/// What a request is about (zip §1.3).
#[derive(Clone, Copy)]
enum Kind {
    Deflate,
    /// A block without a frame.
    Lz4,
    Sequences(Form),
}

/// A descriptor, read.
struct Request {
    kind: Kind,
    /// What surrounds a deflate payload.
    format: Format,
    input_len: usize,
    room: usize,
    window_code: u32,
    /// `None`: stateless.
    stream: Option<Stream>,
    context: [u32; 3],
    running: [u32; 2],
}

struct Stream {
    first: bool,
    finish: bool,
    /// Where the device keeps its state in the client's memory.
    context_at: u64,
}

impl Zip {
    /// `class`: the queue class, 0 compresses, 1 decompresses.
    pub fn new(class: u16, hardware: Hardware, memo: bool) -> Self {
        let direction = match class {
            0 => Some(Direction::Compress),
            1 => Some(Direction::Decompress),
            _ => None,
        };
        Self {
            direction,
            hardware,
            memo: Memo::new(memo),
            compressor: Compressor::new(),
            inflate: Inflate::new(false, MAX_WINDOW_BITS),
        }
    }

    fn parse(&self, descriptor: &[u8]) -> Result<Request, Failure> {
        let (stream_bits, kind) = (word(descriptor, 7), word(descriptor, 9));
        let (what, format) = match (kind & 0xFF, self.hardware) {
            (0x01, Hardware::V3) => (Kind::Deflate, Format::Raw),
            (0x02, _) => (Kind::Deflate, Format::Zlib),
            (0x03, _) => (Kind::Deflate, Format::Gzip),
            (0x04, Hardware::V3) => (Kind::Lz4, Format::Raw),
            // Of each pair one asks for more effort ("price mode"); here both get the same.
            (0x40 | 0x41, Hardware::V3) => (Kind::Sequences(Form::Plain), Format::Raw),
            (0x42 | 0x43, Hardware::V3) => (Kind::Sequences(Form::Zstd), Format::Raw),
            _ => return Err(Failure::Unsupported),
        };
        let descriptor_type = match self.hardware {
            Hardware::V2 => 0,
            Hardware::V3 => 3,
        };
        let window_code = match self.hardware {
            // Not configurable there (zip §1.6).
            Hardware::V2 => MAX_WINDOW_CODE,
            Hardware::V3 => kind >> 12 & 0xF,
        };
        let input_len = word(descriptor, 4) as usize;
        if stream_bits >> 28 != descriptor_type || window_code > MAX_WINDOW_CODE || input_len > MAX_INPUT {
            return Err(Failure::Unsupported);
        }
        let stream = (stream_bits >> 26 & 1 == 1).then(|| Stream {
            first: stream_bits >> 27 & 1 == 1,
            finish: stream_bits >> 25 & 1 == 1,
            context_at: address(descriptor, 22),
        });
        Ok(Request {
            kind: what,
            format,
            input_len,
            room: (word(descriptor, 14) as usize).min(MAX_OUTPUT),
            window_code,
            stream,
            context: [15, 28, 29].map(|index| word(descriptor, index)),
            running: [30, 31].map(|index| word(descriptor, index)),
        })
    }

    fn run(&mut self, descriptor: &[u8], space: &dyn ClientSpace) -> Result<Answer, Failure> {
        let direction = self.direction.ok_or(Failure::Unsupported)?;
        let request = self.parse(descriptor)?;
        // Software drains its state with such requests, and points them at buffers shorter than the room they name: not one
        // byte may be written (zip §2.7, §7.3).
        if request.stream.is_some() && request.input_len == 0 && request.room <= BYPASS_ROOM {
            let (context, running) = (request.context, request.running);
            return Ok(Answer { consumed: 0, produced: 0, status: 0, context, running, literals: 0 });
        }
        let buffers = Buffers::parse(descriptor, space)?;
        let input = buffers.source.gather(request.input_len, space)?;
        let room = request.room.min(buffers.destination.len());
        match (direction, request.kind, &request.stream) {
            (Direction::Compress, Kind::Deflate, None) => {
                self.compress(&request, &input, room, &buffers.destination, space)
            }
            (Direction::Compress, Kind::Deflate, Some(stream)) => {
                self.compress_stream(&request, stream, &input, room, &buffers.destination, space)
            }
            (Direction::Decompress, Kind::Deflate, None) => {
                self.decompress(&request, &input, room, &buffers.destination, space)
            }
            (Direction::Decompress, Kind::Deflate, Some(stream)) => {
                decompress_stream(&request, stream, &input, room, &buffers.destination, space)
            }
            (Direction::Compress, Kind::Sequences(form), _) => {
                let literals = Buffers::literals(descriptor, space)?;
                self.sequences(form, &request, &input, [&literals, &buffers.destination], space)
            }
            (Direction::Compress, Kind::Lz4, None) => {
                self.lz4(&request, &input, room, &buffers.destination, space)
            }
            // LZ4 has no streams, and neither it nor sequences go the other way (zip §1.3).
            (_, Kind::Lz4 | Kind::Sequences(_), _) => Err(Failure::Unsupported),
        }
    }

    /// Zip §7.1: the whole input, a complete payload with its trailer.
    fn compress(
        &mut self,
        request: &Request,
        input: &[u8],
        room: usize,
        destination: &Segments,
        space: &dyn ClientSpace,
    ) -> Result<Answer, Failure> {
        let mut running = Running::new(request.format);
        running.update(input);
        let trailer = running.trailer();
        let payload_room = room.checked_sub(trailer.len()).ok_or(Failure::Room)?;
        let compressor = &mut self.compressor;
        let window_code = request.window_code;
        let mut output = self.memo.recall(
            || memo_key(b"c", &[window_code, index(payload_room)], &[input]),
            || compressor.whole(window_code, input, payload_room).ok_or(Failure::Room),
        )?;
        output.extend(trailer);
        destination.scatter(&output, space)?;
        Ok(Answer {
            consumed: input.len(),
            produced: output.len(),
            status: 0,
            context: [0; 3],
            running: running.registers(),
            literals: 0,
        })
    }

    /// Zip §7.4: one piece of a stream; ends on a byte boundary with no block open, or with the final block and trailer.
    /// History is kept in the client's context memory, its length in word 29.
    fn compress_stream(
        &mut self,
        request: &Request,
        stream: &Stream,
        input: &[u8],
        room: usize,
        destination: &Segments,
        space: &dyn ClientSpace,
    ) -> Result<Answer, Failure> {
        let (mut running, history) = if stream.first {
            (Running::new(request.format), Vec::new())
        } else {
            let len = (request.context[2] as usize & 0xFFFF).min(MAX_WINDOW);
            let mut history = vec![0; len];
            space.read(stream.context_at.wrapping_add(WINDOW_AT), &mut history)?;
            (Running::resume(request.format, request.running), history)
        };
        let trailer_len = if stream.finish { running.trailer().len() } else { 0 };
        let compressor = &mut self.compressor;
        let (window_code, finish) = (request.window_code, stream.finish);
        // The remembered result: four bytes of consumed length, then the output.
        let mut piece = self.memo.recall(
            || {
                let numbers = [window_code, u32::from(finish), index(room), index(trailer_len)];
                memo_key(b"s", &numbers, &[&history, input])
            },
            || compressor.piece(window_code, &history, input, finish, room, trailer_len).ok_or(Failure::Room),
        )?;
        let (consumed, ended) = compress::Piece::lengths(&piece);
        piece.drain(..compress::Piece::HEAD);
        let used = input.get(..consumed).unwrap_or(input);
        running.update(used);
        if ended {
            piece.extend(running.trailer());
        }
        destination.scatter(&piece, space)?;
        let kept = save_history(stream.context_at, &history, used, space)?;
        Ok(Answer {
            consumed,
            produced: piece.len(),
            status: 0,
            context: [0, 0, kept],
            running: running.registers(),
            literals: 0,
        })
    }

    /// Zip §7.1: a complete payload and its trailer, which is verified.
    fn decompress(
        &mut self,
        request: &Request,
        input: &[u8],
        room: usize,
        destination: &Segments,
        space: &dyn ClientSpace,
    ) -> Result<Answer, Failure> {
        let engine = &mut self.inflate;
        let mut output = self.memo.recall(
            || memo_key(b"d", &[index(room)], &[input]),
            || {
                let (consumed, mut output) = inflate::whole(engine, input, room)?;
                output.extend(index(consumed).to_le_bytes());
                Ok::<_, Failure>(output)
            },
        )?;
        let consumed = output.split_off(output.len() - 4);
        let consumed = consumed.try_into().map_or(0, u32::from_le_bytes) as usize;
        let mut running = Running::new(request.format);
        running.update(&output);
        let trailer = running.trailer();
        let found = input.get(consumed..consumed + trailer.len()).ok_or(Failure::Data)?;
        if found != trailer {
            return Err(Failure::Checksum);
        }
        destination.scatter(&output, space)?;
        Ok(Answer {
            consumed: consumed + trailer.len(),
            produced: output.len(),
            status: 0,
            context: [0; 3],
            running: running.registers(),
            literals: 0,
        })
    }
}

impl Model for Zip {
    fn execute(&mut self, descriptor: &mut [u8], space: &dyn ClientSpace) {
        let answer = self.run(descriptor, space).unwrap_or_else(|failure| Answer {
            consumed: 0,
            produced: 0,
            status: failure as u32,
            context: [0; 3],
            running: [30, 31].map(|index| word(descriptor, index)),
            literals: 0,
        });
        set_word(descriptor, 0, index(answer.consumed));
        set_word(descriptor, 1, index(answer.produced));
        set_word(descriptor, 2, index(answer.literals));
        set_word(descriptor, 3, answer.status);
        for (index, value) in [15, 28, 29].into_iter().zip(answer.context) {
            set_word(descriptor, index, value);
        }
        for (index, value) in [30, 31].into_iter().zip(answer.running) {
            set_word(descriptor, index, value);
        }
    }
}

impl From<MemoryError> for Failure {
    fn from(_: MemoryError) -> Self {
        Self::Address
    }
}

/// Zip §7.3: as much as input and room allow; everything needed to go on lies in the client's context memory.
fn decompress_stream(
    request: &Request,
    stream: &Stream,
    input: &[u8],
    room: usize,
    destination: &Segments,
    space: &dyn ClientSpace,
) -> Result<Answer, Failure> {
    let mut running = if stream.first {
        Running::new(request.format)
    } else {
        Running::resume(request.format, request.running)
    };
    let (mut state, history) = if stream.first {
        (State::new(running.trailer().len()), Vec::new())
    } else {
        let mut saved = [0; State::LEN];
        space.read(stream.context_at, &mut saved)?;
        let state = State::load(&saved).ok_or(Failure::Data)?;
        let mut history = vec![0; state.history_len()];
        space.read(stream.context_at.wrapping_add(WINDOW_AT), &mut history)?;
        (state, history)
    };
    let progress = state.run(input, &history, room);
    running.update(&progress.output);
    let (status, decoder_state) = match progress.outcome {
        Outcome::Ended if state.trailer() != running.trailer() => return Err(Failure::Checksum),
        Outcome::Ended => (STREAM_ENDED, 0),
        Outcome::AlreadyEnded => (0, 0),
        Outcome::InvalidData => return Err(Failure::Data),
        Outcome::InputUsed if state.wants_trailer() => (0, TRAILER_MISSING),
        Outcome::InputUsed => (0, 0),
        Outcome::RoomFull if progress.consumed < input.len() => (0, ROOM_FULL),
        Outcome::RoomFull => (0, OUTPUT_OWED),
    };
    destination.scatter(&progress.output, space)?;
    let kept = save_history(stream.context_at, &history, &progress.output, space)?;
    state.set_history_len(kept);
    space.write(stream.context_at, &state.save())?;
    Ok(Answer {
        consumed: progress.consumed,
        produced: progress.output.len(),
        status,
        context: [decoder_state, 0, kept],
        running: running.registers(),
        literals: 0,
    })
}

/// Keeps the last 32 KiB of what went by, where the hardware keeps them (zip §2.1); returns how many bytes.
fn save_history(
    context_at: u64,
    history: &[u8],
    new: &[u8],
    space: &dyn ClientSpace,
) -> Result<u32, Failure> {
    let old = history.get(history.len() - history.len().min(MAX_WINDOW.saturating_sub(new.len()))..);
    let new = new.get(new.len() - new.len().min(MAX_WINDOW)..).unwrap_or_default();
    let kept = [old.unwrap_or_default(), new].concat();
    if !kept.is_empty() {
        space.write(context_at.wrapping_add(WINDOW_AT), &kept)?;
    }
    Ok(index(kept.len()))
}

fn memo_key(kind: &[u8], numbers: &[u32], parts: &[&[u8]]) -> Vec<u8> {
    let mut key = kind.to_vec();
    key.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    for part in parts {
        key.extend(index(part.len()).to_le_bytes());
        key.extend(*part);
    }
    key
}

/// A length as a descriptor holds it; all are limited to far less than 4 GiB.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The hardware's limit per request as once stated (zip §3.1).
const MAX_INPUT: usize = 16 << 20;
/// More output than this in one request is answered as if the room ended here.
const MAX_OUTPUT: usize = 64 << 20;
const MAX_WINDOW: usize = 32 << 10;
const MAX_WINDOW_BITS: u8 = 15;
/// 4, 8, 16, 24 and 32 KiB (zip §1.6).
const MAX_WINDOW_CODE: u32 = 4;
/// Where the history lies in the context memory (zip §2.1).
const WINDOW_AT: u64 = 0xC00;
/// Requests without input and with no more room than this do nothing.
const BYPASS_ROOM: usize = 16;
/// Status 0x13 with the last-block bit.
const STREAM_ENDED: u32 = 0x113;
/// Decoder states (zip §2.4).
const OUTPUT_OWED: u32 = 1;
const ROOM_FULL: u32 = 2;
const TRAILER_MISSING: u32 = 4;

#[cfg(test)]
mod tests;
