//! Memory in flight: what is lent to a device, by whom, and when it comes back.
//!
//! Two kinds. *Owned*: the request holds a copy of its input and its own output; when the caller stops waiting, they stay
//! in the slot until the completion arrives or the queue is gone. *Direct*: the caller's own memory, by plain pointer;
//! it comes back by completion, or when the queue has been stopped, drained and closed, and the caller waits for that
//! ([`SharedQueue::run_direct`]). Nothing lent lies on a stack, and nothing stays lent after its call returned.

#![expect(unsafe_code, reason = "lends memory to a device by address")]

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

use uacce_sys::SubmissionRing;
use zeroize::Zeroize;

use super::slots::Ticket;
use super::{SharedQueue, Timing};
use crate::descriptor::hpre::{self, Answer, Task};
use crate::descriptor::sec::{self, Aes256Cbc};
use crate::descriptor::zip::{
    self, Deflate, Deflated, Form, Inflate, InflatePiece, InflatedPiece, InflatedSizes,
};
use crate::descriptor::{Descriptor, Fault, MAX_LEN_BYTES};
use crate::memory;
use crate::request::cipher::{AesCbcKey, Direction};
use crate::request::compress::{Carried, DeflateSegment, InflateBody, InflateStream, Window, Wrapper};
use crate::secret::Secret;
use crate::stats::Reason;

/// Heap bytes at a fixed address. While lent nobody looks at them; whoever holds the value may take the bytes.
#[derive(Debug)]
struct Region {
    bytes: NonNull<[u8]>,
    capacity: usize,
    secret: bool,
}

// SAFETY: a Region owns its bytes alone and gives no shared access to them; it may move and be dropped anywhere.
unsafe impl Send for Region {}

impl Region {
    /// `len_bytes` zero bytes. `secret`: erase them on drop. They come from memory that may have been in use before, and are
    /// zeroed so that a device that says more than it wrote says nothing of an earlier request. `None`: no memory.
    fn zeroed(len_bytes: usize, secret: bool) -> Option<Self> {
        let mut bytes = memory::take_all(len_bytes)?;
        bytes.resize(len_bytes, 0);
        Some(Self::of(bytes, secret))
    }

    /// A copy. `None`: no memory.
    fn copy(from: &[u8], secret: bool) -> Option<Self> {
        let mut bytes = memory::take_all(from.len())?;
        bytes.extend_from_slice(from);
        Some(Self::of(bytes, secret))
    }

    fn of(bytes: Vec<u8>, secret: bool) -> Self {
        let mut bytes = ManuallyDrop::new(bytes);
        Self { bytes: NonNull::from(bytes.as_mut_slice()), capacity: bytes.capacity(), secret }
    }

    fn address(&self) -> u64 {
        address(self.bytes.as_ptr().cast())
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes; the device is done with them.
    fn into_vec(self) -> Vec<u8> {
        // SAFETY: the last use: this value is not dropped.
        unsafe { ManuallyDrop::new(self).as_vec() }
    }

    /// The bytes as the vector they came from.
    ///
    /// # Safety
    /// Nothing of this value is used afterwards.
    unsafe fn as_vec(&mut self) -> Vec<u8> {
        // SAFETY: pointer, length and capacity are those of the vector that `of` forgot; the caller promises that it is
        // made only once.
        unsafe { Vec::from_raw_parts(self.bytes.as_ptr().cast(), self.bytes.len(), self.capacity) }
    }

    /// The bytes; the device is done with them.
    fn bytes(&self) -> &[u8] {
        // SAFETY: the allocation lives as long as `self`. The device does not write: a Region is reachable only through
        // its Flight, and a Flight that is out lies inside the slot table, which hands it out after its completion.
        unsafe { self.bytes.as_ref() }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the last use.
        let mut bytes = unsafe { self.as_vec() };
        if self.secret {
            erase(&mut bytes);
        }
        memory::give(bytes);
    }
}

/// Zeroises in pieces of a cache line: byte by byte it would cost as much as the rest of a small request.
fn erase(bytes: &mut [u8]) {
    let mut lines = bytes.chunks_exact_mut(64);
    for line in lines.by_ref() {
        if let Ok(line) = <&mut [u8; 64]>::try_from(line) {
            // SAFETY: a valid, exclusive array of integers, for which all-zero is a value.
            unsafe { zeroize::zeroize_flat_type(line) };
        }
    }
    lines.into_remainder().zeroize();
}

/// Memory of a caller that waits until it has it back.
#[derive(Debug)]
struct CallerMemory {
    start: u64,
    len_bytes: usize,
}

/// Bytes the device reads.
#[derive(Debug)]
enum Input {
    /// So many bytes at the start of the output's region, before the output: one piece of memory for both.
    Leading(usize),
    Owned(Region),
    Shared(Arc<Vec<u8>>),
    Caller(CallerMemory),
}

impl Input {
    fn address(&self) -> u64 {
        match self {
            // Whoever makes such a request knows where its output begins.
            Self::Leading(_) => 0,
            Self::Owned(region) => region.address(),
            Self::Shared(bytes) => address(bytes.as_ptr()),
            Self::Caller(memory) => memory.start,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leading(len) => *len,
            Self::Owned(region) => region.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Caller(memory) => memory.len_bytes,
        }
    }
}

/// Bytes the device writes.
#[derive(Debug)]
enum Output {
    Owned(Region),
    Caller(CallerMemory),
}

impl Output {
    fn address(&self) -> u64 {
        match self {
            Self::Owned(region) => region.address(),
            Self::Caller(memory) => memory.start,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Owned(region) => region.len(),
            Self::Caller(memory) => memory.len_bytes,
        }
    }
}

/// What the device is asked to do with the lent memory.
#[derive(Debug)]
enum Operation {
    Pkey { operation: hpre::Operation, width_bytes: usize, key: Arc<Secret> },
    AesCbc { form: sec::Form, direction: Direction, key: Arc<Secret>, iv: Region },
    Deflate { form: Form, wrapper: Wrapper, window: Window, context: Region },
    Inflate { form: Form, wrapper: Wrapper },
    InflatePiece { form: Form, wrapper: Wrapper, first: bool, carried: Carried, context: Region },
}

/// One request with everything it lends: the only maker of descriptors, so that no address in a descriptor belongs to
/// anything else.
#[derive(Debug)]
pub(crate) struct Flight {
    operation: Operation,
    input: Input,
    output: Output,
    completed: [u8; MAX_LEN_BYTES],
}

impl Flight {
    /// A public-key operation. `fill` puts its input, `operation.input_len(width_bytes)` zero bytes, into place; `None`, and no
    /// flight, when it finds that the input is not the device's to see, or when the key is of another operation.
    pub(crate) fn pkey(
        operation: hpre::Operation,
        width_bytes: usize,
        key: &Arc<Secret>,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<Box<Self>> {
        if key.bytes().len() < operation.key_len(width_bytes) {
            return None;
        }
        let input_len = operation.input_len(width_bytes);
        let mut both = Secret::zeroed(input_len + operation.output_len(width_bytes));
        fill(both.bytes_mut().get_mut(..input_len)?)?;
        Some(Self::new(
            Operation::Pkey { operation, width_bytes, key: Arc::clone(key) },
            Input::Leading(input_len),
            Output::Owned(Region::of(both.into_vec(), true)),
        ))
    }

    /// AES-256-CBC. `iv`: 16 bytes, copied; `text`: whole blocks. `None`: no memory.
    pub(crate) fn aes_cbc(
        key: &AesCbcKey,
        direction: Direction,
        iv: &[u8],
        text: Vec<u8>,
        form: sec::Form,
    ) -> Option<Box<Self>> {
        let len = text.len();
        // Only plain text is a secret. First of all, so that it is erased if there is no memory for the rest.
        let text = Region::of(text, direction == Direction::Encrypt);
        let (key, iv) = (Arc::clone(key.material()), Region::copy(iv, false)?);
        let answer = Region::zeroed(len, direction == Direction::Decrypt)?;
        let operation = Operation::AesCbc { form, direction, key, iv };
        Some(Self::new(operation, Input::Owned(text), Output::Owned(answer)))
    }

    /// A segment to compress. `wrapper`: the type of request that gives raw blocks on this device. `None`: no memory.
    pub(crate) fn deflate(segment: &DeflateSegment, form: Form, wrapper: Wrapper) -> Option<Box<Self>> {
        let context = Region::zeroed(zip::CONTEXT_LEN_BYTES, false)?;
        let room = Region::zeroed(zip::deflate_room(segment.input.len()), false)?;
        Some(Self::new(
            Operation::Deflate { form, wrapper, window: segment.window, context },
            Input::Shared(Arc::clone(&segment.input)),
            Output::Owned(room),
        ))
    }

    /// A body to inflate, through copies. `None`: no memory.
    pub(crate) fn inflate(body: &InflateBody<'_>, form: Form) -> Option<Box<Self>> {
        Some(Self::new(
            Operation::Inflate { form, wrapper: body.wrapper },
            Input::Owned(Region::copy(body.input, false)?),
            Output::Owned(Region::zeroed(body.output.len(), false)?),
        ))
    }

    /// A piece of a stream. The device gets a copy of the stream's context: what it writes there counts only when it
    /// answers. `output`: its length is the room. `None`: no memory.
    pub(crate) fn inflate_piece(
        stream: &InflateStream,
        input: Arc<Vec<u8>>,
        output: Vec<u8>,
        form: Form,
    ) -> Option<Box<Self>> {
        let first = stream.is_fresh();
        let context = if first {
            Region::zeroed(zip::CONTEXT_LEN_BYTES, false)?
        } else {
            Region::copy(&stream.context, false)?
        };
        Some(Self::new(
            Operation::InflatePiece {
                form,
                wrapper: stream.wrapper,
                first,
                carried: stream.carried,
                context,
            },
            Input::Shared(input),
            Output::Owned(Region::of(output, false)),
        ))
    }

    fn new(operation: Operation, input: Input, output: Output) -> Box<Self> {
        Box::new(Self { operation, input, output, completed: [0; MAX_LEN_BYTES] })
    }

    /// Fills `bytes` with the descriptor.
    pub(crate) fn encode(&self, tag: u32, bytes: &mut [u8]) {
        match &self.operation {
            Operation::Pkey { operation, width_bytes, key } => {
                self.as_task(*operation, *width_bytes, key).encode(tag, bytes);
            }
            Operation::AesCbc { form, direction, key, iv } => {
                self.as_aes_cbc(*form, *direction, key, iv).encode(tag, bytes);
            }
            Operation::Deflate { form, wrapper, window, context } => {
                self.as_deflate(*form, *wrapper, *window, context).encode(tag, bytes);
            }
            Operation::Inflate { form, wrapper } => self.as_inflate(*form, *wrapper).encode(tag, bytes),
            Operation::InflatePiece { form, wrapper, first, carried, context } => {
                self.as_piece(*form, *wrapper, *first, *carried, context).encode(tag, bytes);
            }
        }
    }

    /// Keeps what the device reported.
    pub(crate) fn store(&mut self, completed: &[u8]) {
        for (kept, reported) in self.completed.iter_mut().zip(completed) {
            *kept = *reported;
        }
    }

    /// The answer of [`Self::pkey`].
    /// # Errors
    /// [`Fault`] of the completed descriptor.
    pub(crate) fn pkey_answer(self: Box<Self>) -> Result<Answered, Fault> {
        let Operation::Pkey { operation, width_bytes, key } = &self.operation else {
            return Err(Fault::Impossible);
        };
        let said = self.as_task(*operation, *width_bytes, key).decode(&self.completed)?;
        match self.output {
            Output::Owned(region) => Ok(Answered { said, region, start: self.input.len() }),
            Output::Caller(_) => Err(Fault::Impossible),
        }
    }

    /// The answer of [`Self::aes_cbc`].
    /// # Errors
    /// [`Fault`] of the completed descriptor.
    pub(crate) fn cipher_answer(self: Box<Self>) -> Result<Ciphered, Fault> {
        let Operation::AesCbc { form, direction, key, iv } = &self.operation else {
            return Err(Fault::Impossible);
        };
        self.as_aes_cbc(*form, *direction, key, iv).decode(&self.completed)?;
        match (self.input, self.output) {
            (Input::Owned(text), Output::Owned(answer)) => Ok(Ciphered { text, answer }),
            _ => Err(Fault::Impossible),
        }
    }

    /// The answer of [`Self::deflate`]: exactly the bytes produced, and what the device said of them.
    /// # Errors
    /// [`Fault`] of the completed descriptor.
    pub(crate) fn deflate_answer(self: Box<Self>) -> Result<(Vec<u8>, Deflated), Fault> {
        let Operation::Deflate { form, wrapper, window, context } = &self.operation else {
            return Err(Fault::Impossible);
        };
        let answer = self.as_deflate(*form, *wrapper, *window, context).decode(&self.completed)?;
        let Output::Owned(region) = self.output else { return Err(Fault::Impossible) };
        let mut bytes = region.into_vec();
        bytes.truncate(answer.produced);
        Ok((bytes, answer))
    }

    /// The sizes of an inflate answer; with owned memory the plain text is copied to `output`, where it fits by
    /// construction: `output` is the slice the request was made for.
    /// # Errors
    /// [`Fault`] of the completed descriptor.
    pub(crate) fn inflate_answer(self: Box<Self>, output: &mut [u8]) -> Result<InflatedSizes, Fault> {
        let Operation::Inflate { form, wrapper } = &self.operation else { return Err(Fault::Impossible) };
        let sizes = self.as_inflate(*form, *wrapper).decode(&self.completed)?;
        if let Output::Owned(region) = &self.output {
            let target = output.get_mut(..sizes.produced).ok_or(Fault::Impossible)?;
            target.copy_from_slice(region.bytes().get(..sizes.produced).ok_or(Fault::Impossible)?);
        }
        Ok(sizes)
    }

    /// The answer of [`Self::inflate_piece`]: what the device reported, its output (of full length) and the context as the
    /// device left it.
    /// # Errors
    /// [`Fault`] of the completed descriptor.
    pub(crate) fn piece_answer(self: Box<Self>) -> Result<(InflatedPiece, Vec<u8>, Vec<u8>), Fault> {
        let Operation::InflatePiece { form, wrapper, first, carried, context } = &self.operation else {
            return Err(Fault::Impossible);
        };
        let answer = self.as_piece(*form, *wrapper, *first, *carried, context).decode(&self.completed)?;
        match (self.operation, self.output) {
            (Operation::InflatePiece { context, .. }, Output::Owned(output)) => {
                Ok((answer, output.into_vec(), context.into_vec()))
            }
            _ => Err(Fault::Impossible),
        }
    }

    fn as_task(&self, operation: hpre::Operation, width_bytes: usize, key: &Secret) -> Task {
        // Input, then output. No buffer, no address: an empty one's would be another's.
        let unless_empty = |len: usize, address: u64| if len == 0 { 0 } else { address };
        let (start, input_len) = (self.output.address(), self.input.len());
        Task {
            operation,
            width_bytes,
            key: address(key.bytes().as_ptr()),
            input: unless_empty(input_len, start),
            output: unless_empty(self.output.len() - input_len, start + input_len as u64),
        }
    }

    fn as_aes_cbc(&self, form: sec::Form, direction: Direction, key: &Secret, iv: &Region) -> Aes256Cbc {
        Aes256Cbc {
            form,
            direction,
            key: address(key.bytes().as_ptr()),
            iv: iv.address(),
            input: self.input.address(),
            output: self.output.address(),
            // At most 0xFFFE00: checked by the engine. The device refuses 0.
            len: u32::try_from(self.input.len()).unwrap_or(0),
        }
    }

    fn as_deflate(&self, form: Form, wrapper: Wrapper, window: Window, context: &Region) -> Deflate {
        Deflate {
            form,
            wrapper,
            window,
            input: self.input.address(),
            input_len: flat_len(self.input.len()),
            output: self.output.address(),
            output_len: flat_len(self.output.len()),
            context: context.address(),
        }
    }

    fn as_piece(
        &self,
        form: Form,
        wrapper: Wrapper,
        first: bool,
        carried: Carried,
        context: &Region,
    ) -> InflatePiece {
        let output = self.output.address();
        InflatePiece {
            form,
            wrapper,
            first,
            // Of no bytes, any valid address (`zip §3.4`).
            input: if self.input.len() == 0 { output } else { self.input.address() },
            input_len: flat_len(self.input.len()),
            output,
            output_len: flat_len(self.output.len()),
            context: context.address(),
            carried,
        }
    }

    fn as_inflate(&self, form: Form, wrapper: Wrapper) -> Inflate {
        Inflate {
            form,
            wrapper,
            input: self.input.address(),
            input_len: flat_len(self.input.len()),
            output: self.output.address(),
            output_len: flat_len(self.output.len()),
        }
    }
}

/// What a cipher was given and what it answered, equally long. The plain text of the two is erased on drop.
#[derive(Debug)]
pub(crate) struct Ciphered {
    text: Region,
    answer: Region,
}

impl Ciphered {
    /// What the device read.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.bytes()
    }

    /// What the device wrote.
    pub(crate) fn answer(&self) -> &[u8] {
        self.answer.bytes()
    }
}

/// The result of a public-key operation, erased on drop.
#[derive(Debug)]
pub(crate) struct Answered {
    /// What the descriptor says.
    pub(crate) said: Answer,
    region: Region,
    /// Where the output begins.
    start: usize,
}

impl Answered {
    /// What the device wrote: of a public-key operation big-endian fields of its width, empty for a verification.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.region.bytes().get(self.start..).unwrap_or_default()
    }
}

/// Writes the descriptor of `flight` into the ring and rings the doorbell. The one place where memory is lent.
///
/// `flight` must lie in the slot table under `tag` already; the table keeps it until its completion, and the queue drops
/// the table after it has been stopped and closed.
/// # Errors
/// As [`SubmissionRing::submit`]; the device has not seen the request then.
pub(super) fn lend(ring: &mut SubmissionRing, descriptor: &[u8]) -> Result<u16, uacce_sys::Error> {
    // SAFETY: the descriptor was made by `Flight::encode`, so each address in it points into memory which that Flight
    // owns, shares, or (Direct) which a caller lends who waits in `run_direct`. The Flight lies in the slot table;
    // `Slots` gives it out or drops it only on its completion, and `SharedQueue` closes the queue before it drops the
    // table. Outputs are unaliased: a Region is its Flight's alone, a caller's output came as `&mut`.
    unsafe { ring.submit(descriptor) }
}

impl SharedQueue {
    /// Inflates with the caller's own memory, and returns when the device no longer touches it: after the completion,
    /// or after this queue has been stopped, drained and closed.
    /// # Errors
    /// The reason for software; `body.output` then holds anything.
    pub(crate) fn run_direct(
        &self,
        body: &mut InflateBody<'_>,
        form: Form,
        timing: &Timing<'_>,
    ) -> Result<Box<Flight>, Reason> {
        let input = CallerMemory { start: address(body.input.as_ptr()), len_bytes: body.input.len() };
        let output = CallerMemory { start: address(body.output.as_mut_ptr()), len_bytes: body.output.len() };
        let flight = Flight::new(
            Operation::Inflate { form, wrapper: body.wrapper },
            Input::Caller(input),
            Output::Caller(output),
        );
        let ticket: Ticket = self.submit(flight)?;
        // From here to its completion the caller's memory is lent; any other way out leads through `close`.
        let recall = Recall(self);
        let flight = self.wait(&ticket, timing)?;
        std::mem::forget(recall);
        Ok(flight)
    }
}

/// Closes the queue when dropped: the lent memory of the caller's frame must come back, even if the thread unwinds.
struct Recall<'a>(&'a SharedQueue);

impl Drop for Recall<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The address a device uses for `pointer`: the process's own (SVA). Exposes the pointer: the device may follow it.
fn address(pointer: *const u8) -> u64 {
    pointer.expose_provenance() as u64
}

/// A length as descriptors carry it. Lengths are checked when a request is built; one that would not fit becomes 0, which
/// every device refuses.
fn flat_len(len_bytes: usize) -> u32 {
    if len_bytes <= zip::MAX_FLAT_LEN_BYTES { u32::try_from(len_bytes).unwrap_or(0) } else { 0 }
}

/// What a test's device does with the addresses it was given.
#[cfg(test)]
pub(crate) mod device_view {
    /// Reads lent memory.
    pub(crate) fn read(address: u64, len_bytes: usize) -> Vec<u8> {
        let start = std::ptr::with_exposed_provenance(usize::try_from(address).unwrap());
        // SAFETY: the test's device passes addresses and lengths of a descriptor that is in flight.
        unsafe { std::slice::from_raw_parts(start, len_bytes) }.to_vec()
    }

    /// Writes lent memory.
    pub(crate) fn write(address: u64, bytes: &[u8]) {
        let start = std::ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap());
        // SAFETY: as in `read`; the output of a request in flight is nobody else's.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn miri_a_region_gives_its_bytes_away_once() {
        let region = Region::of(vec![1, 2, 3], false);
        assert_eq!(region.bytes(), [1, 2, 3]);
        assert_eq!(region.into_vec(), [1, 2, 3]);
        drop(Region::zeroed(100, true).unwrap());
        let mut bytes = vec![7; 201];
        erase(&mut bytes);
        assert_eq!(bytes, [0; 201]);
        assert_eq!(Region::zeroed(0, true).unwrap().into_vec(), []);
        assert_eq!(Region::copy(&[4, 5], false).unwrap().bytes(), [4, 5]);
        assert!(Region::zeroed(usize::MAX / 4, false).is_none(), "no memory");
    }

    #[test]
    fn lengths_beyond_the_descriptor_are_refused_by_being_zero() {
        assert_eq!(flat_len(zip::MAX_FLAT_LEN_BYTES), 8 << 20);
        assert_eq!(flat_len(zip::MAX_FLAT_LEN_BYTES + 1), 0);
    }

    #[test]
    fn a_shared_input_is_lent_without_a_copy() {
        let input = Arc::new(vec![7; 1000]);
        let segment = DeflateSegment { input: Arc::clone(&input), window: Window::K32, checksum: None };
        let flight = Flight::deflate(&segment, Form::Type3, Wrapper::Raw).unwrap();
        let mut bytes = [0; MAX_LEN_BYTES];
        flight.encode(1, &mut bytes);
        assert_eq!(bytes[72..80], address(input.as_ptr()).to_le_bytes());
        assert_eq!(bytes[16..20], 1000u32.to_le_bytes());
        drop(flight);
        assert_eq!(Arc::strong_count(&input), 2);
    }
}
