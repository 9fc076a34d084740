//! Streams that have hardly begun wait without an engine, where there are many.
//!
//! What an engine knows follows from what it was given. While that is little, it is kept, and another engine is told it when
//! the stream goes on.

use std::ffi::c_int;

use warpdrive::memory;

use super::{Inflate, Mode};
use crate::abi::io::Io;
use crate::abi::next::{Inflater, OutOfMemory};
use crate::abi::own::copied;
use crate::abi::{Z_BUF_ERROR, Z_NO_FLUSH, Z_OK, Z_SYNC_FLUSH};
use crate::engines;

/// So much input is read again in next to no time.
const CHEAP_BYTES: usize = 512;
/// Engines and buffers of all streams below this are no reason to do with less.
const MANY_BYTES: usize = 3 << 20;

/// The input of a stream from its beginning, while all that its engine knows follows from it.
#[derive(Default)]
pub(super) struct Early {
    input: Vec<u8>,
    complete: bool,
}

impl Early {
    /// A stream that begins.
    pub(super) fn begin(&mut self) {
        self.input.clear();
        self.complete = true;
    }

    /// The engine was told something else.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The engine was given `consumed` of `input`.
    pub(super) fn note(&mut self, code: c_int, flush: c_int, input: &[u8], consumed: usize) {
        let plain = matches!(code, Z_OK | Z_BUF_ERROR) && (Z_NO_FLUSH..=Z_SYNC_FLUSH).contains(&flush);
        // Without memory to remember it, the engine stays.
        if !plain
            || self.input.len() + consumed > CHEAP_BYTES
            || (self.complete && self.input.try_reserve(consumed).is_err())
        {
            self.forget();
        } else if self.complete {
            self.input.extend_from_slice(input.get(..consumed).unwrap_or_default());
        }
    }

    pub(super) fn copy(&self) -> Result<Self, OutOfMemory> {
        Ok(Self { input: copied(&self.input)?, complete: self.complete })
    }

    /// Brings a new engine to where the old one was: it had delivered all that it could make of its input.
    pub(super) fn replay(&self, engine: &mut Inflater) {
        if self.input.is_empty() {
            return;
        }
        let mut input = &self.input[..];
        let mut ignored = [0; 1024];
        loop {
            let (_, consumed, produced) = engine.run(&mut Io::from_slices(input, &mut ignored), Z_NO_FLUSH);
            input = input.get(consumed..).unwrap_or_default();
            if consumed == 0 && produced == 0 {
                return;
            }
        }
    }
}

impl<A> Inflate<A> {
    /// Lets the engine go at the end of a call that gave all there was.
    pub(super) fn rest(&mut self, io: &Io<'_>, code: c_int) {
        let idle = matches!(code, Z_OK | Z_BUF_ERROR) && io.avail_in() == 0 && io.avail_out() != 0;
        if idle
            && self.early.complete
            && matches!(self.mode, Mode::Undecided | Mode::Software)
            && self.doubtful == 0
            && memory::held_bytes() > MANY_BYTES
        {
            self.let_go();
        }
    }

    /// Gives the engine back.
    pub(super) fn let_go(&mut self) {
        if let Some(engine) = self.engine.take() {
            engines::give_inflater(engine);
        }
    }

    /// The engine, made now if there is none.
    pub(super) fn engine(&mut self) -> Result<&mut Inflater, OutOfMemory> {
        if self.engine.is_none() {
            let mut engine = engines::take_inflater(self.window_bits)?;
            self.early.replay(&mut engine);
            self.engine = Some(engine);
        }
        self.engine.as_mut().ok_or(OutOfMemory)
    }

    /// Gives a resting stream its engine back, before it is asked or told something.
    pub(super) fn wake(&mut self) {
        if !self.early.input.is_empty() {
            // Without memory, a stream that knows nothing answers as one that has not begun.
            let _ = self.engine();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::next::{Deflater, Settings};
    use crate::abi::{Z_FINISH, Z_STREAM_END};
    use crate::inflate::Inflate;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let settings = Settings { level: 6, window_bits: 15, mem_level: 8, strategy: 0 };
        let mut bytes = Vec::new();
        Deflater::new(settings).unwrap().run_to_vec(plain, Z_FINISH, &mut bytes).unwrap();
        bytes
    }

    /// Input in pieces of any length; between them there is an engine only where it must know what was long ago.
    #[test]
    fn nothing_is_lost_while_a_stream_rests() {
        let _many = memory::Charge::new(2 * MANY_BYTES);
        let text: Vec<u8> = (0..9000_u32).flat_map(|at| (at * at % 977).to_le_bytes()).collect();
        for (plain, rests) in
            [(&text[..], false), (&text[..300], true), (&[7; 200_000][..], true), (&[], true)]
        {
            let bytes = packed(plain);
            for piece in [1, 2, 3, 7, 100, 511] {
                let mut stream = Inflate::new(-15);
                let mut room = vec![0; plain.len() + 1];
                let (mut at, mut done) = (0, 0);
                let code = loop {
                    let end = (at + piece).min(bytes.len());
                    let mut io = Io::from_slices(&bytes[at..end], &mut room[done..]);
                    let code = stream.inflate(&mut io, Z_NO_FLUSH).code;
                    assert_eq!(io.avail_in(), 0);
                    done = plain.len() + 1 - io.avail_out();
                    at = end;
                    if code != Z_OK {
                        break code;
                    }
                    assert_eq!(stream.engine.is_none(), at <= CHEAP_BYTES, "{at}");
                    if at % 5 == 0 {
                        let tail = stream.dictionary().unwrap();
                        assert!(room[..done].ends_with(&tail) && tail.len() == done.min(32 << 10));
                        assert!(stream.engine.is_some());
                    }
                    if at % 11 == 0 {
                        stream = stream.copy().unwrap();
                    }
                };
                assert_eq!((code, at, done), (Z_STREAM_END, bytes.len(), plain.len()), "{piece}");
                assert!(room[..done] == *plain);
                assert!(rests || bytes.len() > CHEAP_BYTES);
            }
        }
    }

    /// What was told to the engine beside the input stays told.
    #[test]
    fn a_stream_that_was_told_something_keeps_its_engine() {
        let _many = memory::Charge::new(2 * MANY_BYTES);
        let bytes = packed(b"some words, some words, some words");
        let mut room = [0; 100];
        let mut stream = Inflate::new(-15);
        stream.inflate(&mut Io::from_slices(&bytes[..5], &mut room), Z_NO_FLUSH);
        assert!(stream.engine.is_none());
        assert_eq!(stream.validate(true), Z_OK);
        stream.inflate(&mut Io::from_slices(&bytes[5..6], &mut room), Z_NO_FLUSH);
        assert!(stream.engine.is_some());
        stream.reset();
        stream.inflate(&mut Io::from_slices(&bytes[..5], &mut room), Z_NO_FLUSH);
        assert!(stream.engine.is_none(), "a new beginning");
        assert_eq!(stream.prime(0, 0), Z_OK);
        assert!(stream.engine.is_some());
    }
}
