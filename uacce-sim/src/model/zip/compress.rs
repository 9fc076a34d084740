//! Deflate as the hardware does it: whole payloads, and pieces of streams that end on byte boundaries.

use zlib_rs::{Deflate, DeflateFlush, Status};

/// Deflate engines, one per window size, kept for their allocations.
pub(super) struct Compressor([Option<Deflate>; 5]);

/// A compressed piece of a stream, as bytes: how much input it holds, whether it ends the stream, the output.
pub(super) struct Piece;

impl Piece {
    /// Bytes before the output.
    pub(super) const HEAD: usize = 5;

    fn join(consumed: usize, ended: bool, output: &[u8]) -> Vec<u8> {
        [&super::index(consumed).to_le_bytes()[..], &[u8::from(ended)], output].concat()
    }

    /// Input bytes consumed, and whether the stream ended.
    pub(super) fn lengths(piece: &[u8]) -> (usize, bool) {
        match piece {
            [a, b, c, d, ended, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, *ended == 1),
            _ => (0, false),
        }
    }
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self(Default::default())
    }

    /// A complete payload; `None` if it does not fit.
    pub(super) fn whole(&mut self, window_code: u32, input: &[u8], room: usize) -> Option<Vec<u8>> {
        self.deflate(window_code, &[], input, DeflateFlush::Finish, room)
    }

    /// One piece of a stream (zip §7.4). Not `finish`: ends with a sync marker. `finish`: the final block, with
    /// `trailer_len` bytes of room left. What does not fit is left for the next piece, and the stream does not end then:
    /// software takes "all consumed" for the end. `None` if not even an empty piece fits.
    pub(super) fn piece(
        &mut self,
        window_code: u32,
        history: &[u8],
        input: &[u8],
        finish: bool,
        room: usize,
        trailer_len: usize,
    ) -> Option<Vec<u8>> {
        if finish {
            let last = room.checked_sub(trailer_len).and_then(|payload_room| {
                self.deflate(window_code, history, input, DeflateFlush::Finish, payload_room)
            });
            if let Some(output) = last {
                return Some(Piece::join(input.len(), true, &output));
            }
        }
        let mut len = if finish { input.len().checked_sub(1)? } else { input.len() };
        loop {
            let part = input.get(..len)?;
            if let Some(output) = self.deflate(window_code, history, part, DeflateFlush::SyncFlush, room) {
                return Some(Piece::join(len, false, &output));
            }
            if len == 0 {
                return None;
            }
            // Stored blocks fit this much; beyond that halving finds what does.
            let stored = room.saturating_sub(STORED_OVERHEAD + room / 4096);
            len = if stored < len { stored } else { len / 2 };
        }
    }

    fn deflate(
        &mut self,
        window_code: u32,
        history: &[u8],
        input: &[u8],
        flush: DeflateFlush,
        room: usize,
    ) -> Option<Vec<u8>> {
        let code = window_code as usize;
        let bits = *WINDOW_BITS.get(code)?;
        let engine = self.0.get_mut(code)?.get_or_insert_with(|| Deflate::new(LEVEL, false, bits));
        engine.reset();
        if !history.is_empty() {
            engine.set_dictionary(history).ok()?;
        }
        let enough = input.len() + input.len() / 8 + 1024;
        let mut output = vec![0; room.min(enough)];
        let status = engine.compress(input, &mut output, flush).ok()?;
        let produced = usize::try_from(engine.total_out()).ok()?;
        let all_in = engine.total_in() == input.len() as u64;
        // A sync flush that fills the buffer to its end may have more to say.
        let complete = match flush {
            DeflateFlush::Finish => status == Status::StreamEnd,
            _ => all_in && produced < output.len(),
        };
        output.truncate(produced);
        complete.then_some(output)
    }
}

/// The hardware has one compression effort; this one has its ratio at the highest speed.
const LEVEL: i32 = 2;
/// By window code; 24 KiB has no power of two, the next smaller is used.
const WINDOW_BITS: [u8; 5] = [12, 13, 14, 14, 15];
/// Block header, sync marker, and what the engine keeps in reserve.
const STORED_OVERHEAD: usize = 16;
