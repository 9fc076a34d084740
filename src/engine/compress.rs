//! Decompression's front doors: whole bodies, and streams piece by piece.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hardware::{Ask, Core};
use super::{Outcome, core};
use crate::cost::Class;
use crate::descriptor::Fault;
use crate::descriptor::zip::{self, MAX_FLAT_LEN_BYTES};
use crate::queue::SharedQueue;
use crate::queue::inflight::Flight;
use crate::queue::pool::{Device, Work};
use crate::queue::wait::ErrnoKept;
use crate::request::compress::{InflateBody, InflatePiece, InflateStream, Inflated, InflatedPiece, Wrapper};
use crate::{Algorithm, Reason, memory};

/// Requests of this many bytes or fewer, both sides together, are copied; longer ones use the caller's memory.
const COPY_LIMIT: usize = 256 << 10;

/// Inflates one whole body. `check` is given the device's plain text and what it says it did, and compares the text with
/// the stream's own trailer; a device answer that fails is thrown away and counted against the device. `software` runs when
/// hardware did not answer, failed that check, or met anything but a complete, valid stream that fits `output`; `output` then holds anything. The plain-text bytes of `software` are not known here: a front door
/// that wants them counted adds them with [`note_software`](super::note_software) and no request.
pub fn inflate<S>(
    body: InflateBody<'_>,
    check: impl FnOnce(&[u8], Inflated) -> bool,
    software: impl FnOnce(InflateBody<'_>) -> S,
) -> Outcome<Inflated, S> {
    core().inflate(body, check, software)
}

/// As [`preview`](super::preview), for inflate requests of `wrapper` with `len_bytes` of input.
/// # Errors
/// The reason software would be counted under.
pub fn preview_inflate(wrapper: Wrapper, len_bytes: usize) -> Result<(), Reason> {
    let _errno = ErrnoKept::new();
    core().preview_of(&Ask { work: Work::Inflate(wrapper), ..Ask::of(Algorithm::Inflate, len_bytes) })
}

/// Software took so long to inflate `len_bytes` of compressed data that [`inflate_piece`] left to it for the sake of cost.
pub fn note_inflate_time(len_bytes: usize, took: Duration) {
    let _errno = ErrnoKept::new();
    core().costs.note_software(Class::of(Algorithm::Inflate, len_bytes, true), took);
}

/// Inflates one piece of `stream`, and counts it: one request. `check` is given what the device made, and compares it with
/// the device's own checksum and, at the end, with the trailer; an answer that fails is thrown away and counted against the
/// device. A failure of the device is tried once more, on another queue where there is one.
/// # Errors
/// The reason for software, counted; `stream` is as it was. The front door goes on in software and adds the bytes with
/// [`note_software`](super::note_software) and no request.
pub fn inflate_piece(
    stream: &mut InflateStream,
    piece: InflatePiece,
    check: impl FnOnce(&InflatedPiece) -> bool,
) -> Result<InflatedPiece, Reason> {
    core().inflate_piece(stream, piece, check)
}

impl Ask {
    fn inflate_piece(stream: &InflateStream, piece: &InflatePiece) -> Self {
        let len_bytes = piece.input.len();
        let algorithm = Algorithm::Inflate;
        let work = Work::Inflate(stream.wrapper);
        Self { work, ..Self::of(algorithm, len_bytes) }
    }

    fn inflate(body: &InflateBody<'_>) -> Self {
        let len_bytes = body.input.len();
        let algorithm = Algorithm::Inflate;
        let work = Work::Inflate(body.wrapper);
        Self { work, ..Self::of(algorithm, len_bytes) }
    }
}

impl Core {
    pub(super) fn inflate<S>(
        &self,
        mut body: InflateBody<'_>,
        check: impl FnOnce(&[u8], Inflated) -> bool,
        software: impl FnOnce(InflateBody<'_>) -> S,
    ) -> Outcome<Inflated, S> {
        let ask = Ask::inflate(&body);
        let attempt = {
            let _errno = ErrnoKept::new();
            let attempt = self.try_inflate(&ask, &mut body, check);
            let produced = attempt.as_ref().map_or(0, |done| done.produced);
            self.count(&ask, attempt.as_ref().err().copied(), produced);
            attempt
        };
        match attempt {
            Ok(done) => Outcome::Hardware(done),
            Err(reason) => Outcome::Software(self.timed(&ask, reason, || software(body))),
        }
    }

    fn try_inflate(
        &self,
        ask: &Ask,
        body: &mut InflateBody<'_>,
        check: impl FnOnce(&[u8], Inflated) -> bool,
    ) -> Result<Inflated, Reason> {
        let lengths = [body.input.len(), body.output.len()];
        if lengths.iter().any(|len| !(1..=MAX_FLAT_LEN_BYTES).contains(len)) {
            return Err(Reason::Unsupported);
        }
        let (device, queue) = self.acquire(ask)?;
        let copied = lengths.iter().sum::<usize>() <= COPY_LIMIT;
        let flight = if copied {
            self.fly(ask, &device, &queue, |device| Flight::inflate(body, device.form))?
        } else {
            let start = Instant::now();
            let answered = queue.run_direct(body, device.form, &self.timing(ask));
            self.arrived(ask, &device, &queue, start, answered)?
        };
        let answer = flight.inflate_answer(body.output);
        if !copied && matches!(answer, Err(Fault::Impossible)) {
            // A device that contradicts itself may still be at the caller's memory.
            queue.close();
        }
        let sizes = self.judged(ask, &device, &queue, answer)?;
        let done = Inflated { consumed: sizes.consumed, produced: sizes.produced };
        if !body.output.get(..done.produced).is_some_and(|text| check(text, done)) {
            return Err(self.wrong(ask, &device));
        }
        Ok(done)
    }

    pub(super) fn inflate_piece(
        &self,
        stream: &mut InflateStream,
        piece: InflatePiece,
        check: impl FnOnce(&InflatedPiece) -> bool,
    ) -> Result<InflatedPiece, Reason> {
        let _errno = ErrnoKept::new();
        let ask = Ask::inflate_piece(stream, &piece);
        let attempt = self.try_piece(&ask, stream, piece, check);
        let produced = attempt.as_ref().map_or(0, |done| done.produced);
        self.count(&ask, attempt.as_ref().err().copied(), produced);
        attempt
    }

    fn try_piece(
        &self,
        ask: &Ask,
        stream: &mut InflateStream,
        piece: InflatePiece,
        check: impl FnOnce(&InflatedPiece) -> bool,
    ) -> Result<InflatedPiece, Reason> {
        let InflatePiece { input, output } = piece;
        let room = output.len();
        if input.len() > MAX_FLAT_LEN_BYTES || !(200..=MAX_FLAT_LEN_BYTES).contains(&room) {
            return Err(Reason::Unsupported);
        }
        // Once a stream is the device's, only failure takes it away.
        let acquired = if stream.is_fresh() { self.acquire(ask) } else { self.acquire_again(ask) };
        let (device, queue) = acquired?;
        let mut flown = self.fly_piece(ask, &device, &queue, stream, &input, output);
        let mut device = device;
        if let Err(first @ (Reason::TimeOut | Reason::Reset | Reason::DeviceError)) = flown {
            // Whatever the second attempt says, the first is what there is to tell.
            let (other, queue) = self.acquire_again(ask).map_err(|_| first)?;
            let mut output = memory::take_all(room).ok_or(first)?;
            output.resize(room, 0);
            let again = self.fly_piece(ask, &other, &queue, stream, &input, output);
            device = other;
            flown = match again {
                Err(Reason::TimeOut | Reason::Reset | Reason::DeviceError | Reason::Busy) => Err(first),
                again => again,
            };
        }
        let (answer, output, context) = flown?;
        let done = InflatedPiece {
            output,
            consumed: answer.consumed,
            produced: answer.produced,
            ended: answer.ended,
            owes: answer.owes,
            in_trailer: answer.in_trailer,
            checksum: zip::checksum(stream.wrapper, answer.carried.checksum),
        };
        if !check(&done) {
            return Err(self.wrong(ask, &device));
        }
        stream.context = context;
        stream.carried = answer.carried;
        Ok(done)
    }

    fn fly_piece(
        &self,
        ask: &Ask,
        device: &Device,
        queue: &SharedQueue,
        stream: &InflateStream,
        input: &Arc<Vec<u8>>,
        output: Vec<u8>,
    ) -> Result<(zip::InflatedPiece, Vec<u8>, Vec<u8>), Reason> {
        let flight = self.fly(ask, device, queue, |device| {
            Flight::inflate_piece(stream, Arc::clone(input), output, device.form)
        })?;
        self.judged(ask, device, queue, flight.piece_answer())
    }
}
