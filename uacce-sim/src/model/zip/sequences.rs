//! Requests whose output is no deflate payload: LZ77 sequences for zstd and others, and LZ4 blocks (zip §8).

use super::lz77::{Form, LastOffsets, Output};
use super::{Answer, Failure, MAX_WINDOW, Request, WINDOW_AT, Zip, index, memo_key, save_history};
use crate::model::segments::Segments;
use crate::os::client::ClientSpace;

impl Zip {
    /// Literals to the first of `destinations`, sequences to the second. A stream keeps its history and last offsets in the
    /// client's context memory; stateless, each request is a frame of its own.
    pub(super) fn sequences(
        &mut self,
        form: Form,
        request: &Request,
        input: &[u8],
        [literals, sequences]: [&Segments; 2],
        space: &dyn ClientSpace,
    ) -> Result<Answer, Failure> {
        // Software that uses scatter-gather lists names no context (zip §8.3).
        let context_at = request.stream.as_ref().map(|stream| stream.context_at).filter(|at| *at != 0);
        let resumed = context_at.filter(|_| request.stream.as_ref().is_some_and(|stream| !stream.first));
        let (mut last_offsets, mut history) = (LastOffsets::START, Vec::new());
        if let Some(at) = resumed {
            let mut saved = [0; LastOffsets::LEN];
            space.read(at.wrapping_add(LAST_OFFSETS_AT), &mut saved)?;
            last_offsets = LastOffsets::from_bytes(saved);
            history.resize((request.context[2] as usize & 0xFFFF).min(MAX_WINDOW), 0);
            space.read(at.wrapping_add(WINDOW_AT), &mut history)?;
        }
        let window = WINDOWS.get(request.window_code as usize).copied().unwrap_or(MAX_WINDOW);
        let output = Output::new(form, window, &history, input, &mut last_offsets);
        let behind = match form {
            Form::Zstd => OVERFLOW_LEN + FREQUENCIES_LEN,
            Form::Plain => DIAGNOSTICS_LEN,
        };
        // Literals need more room than input, whatever they come to (zip §3.2, §10.2).
        if literals.len() < input.len() + LITERALS_RESERVE
            || sequences.len().min(request.room) < output.sequences.len() + behind
        {
            return Err(Failure::Room);
        }
        literals.scatter(&output.literals, space)?;
        let mut text = output.sequences;
        text.resize(text.len() + behind, 0);
        sequences.scatter(&text, space)?;
        let mut kept = 0;
        if let Some(at) = context_at {
            // The literals carried to the next request: none, each request ends with its own.
            let state = [last_offsets.to_bytes(), vec![0; 4]].concat();
            space.write(at.wrapping_add(LAST_OFFSETS_AT), &state)?;
            kept = save_history(at, &history, input, space)?;
        }
        Ok(Answer {
            consumed: input.len(),
            produced: output.count,
            status: 0,
            context: [0, 0, kept],
            running: [request.running[0], output.overflow.map_or(0, |at| index(at) & 0xFF_FFFF | 1 << 24)],
            literals: output.literals.len(),
        })
    }

    /// One block, without a frame.
    pub(super) fn lz4(
        &mut self,
        request: &Request,
        input: &[u8],
        room: usize,
        destination: &Segments,
        space: &dyn ClientSpace,
    ) -> Result<Answer, Failure> {
        let output = self.memo.recall(
            || memo_key(b"4", &[], &[input]),
            || Ok::<_, Failure>(lz4_flex::block::compress(input)),
        )?;
        if output.len() > room {
            return Err(Failure::Room);
        }
        destination.scatter(&output, space)?;
        Ok(Answer {
            consumed: input.len(),
            produced: output.len(),
            status: 0,
            context: [0; 3],
            running: request.running,
            literals: 0,
        })
    }
}

/// By window code (zip §1.6).
const WINDOWS: [usize; 5] = [4 << 10, 8 << 10, 16 << 10, 24 << 10, MAX_WINDOW];
/// Where the last offsets lie in the context memory, the literals carried over behind them (zip §2.1).
const LAST_OFFSETS_AT: u64 = 0x310;
const LITERALS_RESERVE: usize = 16;
/// Behind the sequences: for zstd a record of the overflow and a table of frequencies, else diagnostics. What stands in them
/// is not published; here it is zeros. What words 2 and 31 of the descriptor say is enough to read the sequences.
const OVERFLOW_LEN: usize = 8;
const FREQUENCIES_LEN: usize = 784;
const DIAGNOSTICS_LEN: usize = 16;

#[cfg(test)]
mod tests;
