//! The caller's buffers, for the length of one call.
#![expect(unsafe_code, reason = "reads and writes memory that C callers described by pointer and length")]

use std::marker::PhantomData;
use std::ptr;

/// Input still to read and output room still to fill, lengths in bytes.
///
/// Kept as pointers, not slices: output room is uninitialised memory. Never outlives the call it was made for.
pub(crate) struct Io<'a> {
    input: *const u8,
    avail_in: usize,
    output: *mut u8,
    avail_out: usize,
    _call: PhantomData<&'a mut [u8]>,
}

impl<'a> Io<'a> {
    /// # Safety
    /// For `'a`: `input` is NULL or readable for `avail_in` bytes that nobody writes; `output` is NULL or writable for
    /// `avail_out` bytes that nobody else uses.
    pub(crate) unsafe fn from_raw(
        input: *const u8,
        avail_in: usize,
        output: *mut u8,
        avail_out: usize,
    ) -> Self {
        Self { input, avail_in, output, avail_out, _call: PhantomData }
    }

    pub(crate) fn from_slices(input: &'a [u8], output: &'a mut [u8]) -> Self {
        Self {
            input: input.as_ptr(),
            avail_in: input.len(),
            output: output.as_mut_ptr(),
            avail_out: output.len(),
            _call: PhantomData,
        }
    }

    /// zlib's first test in `deflate` and `inflate`: a NULL that is about to be used.
    pub(crate) fn has_null(&self) -> bool {
        self.output.is_null() || (self.input.is_null() && self.avail_in != 0)
    }

    pub(crate) fn avail_in(&self) -> usize {
        self.avail_in
    }

    pub(crate) fn avail_out(&self) -> usize {
        self.avail_out
    }

    pub(crate) fn next_in(&self) -> *const u8 {
        self.input
    }

    pub(crate) fn next_out(&self) -> *mut u8 {
        self.output
    }

    /// The unread input.
    pub(crate) fn input(&self) -> &'a [u8] {
        if self.input.is_null() || self.avail_in == 0 {
            return &[];
        }
        // SAFETY: non-NULL and readable for `avail_in` bytes during `'a`, promised to `from_raw` and true of a slice;
        // `advance_in` keeps pointer and length together.
        unsafe { std::slice::from_raw_parts(self.input, self.avail_in) }
    }

    /// The output room, if there is any and no more than `limit` bytes. What it holds is the caller's leftovers.
    pub(crate) fn room(&mut self, limit: usize) -> Option<&mut [u8]> {
        if self.output.is_null() || self.avail_out == 0 || self.avail_out > limit {
            return None;
        }
        // SAFETY: non-NULL and writable for `avail_out` bytes, promised to `from_raw`. The memory was allocated outside
        // of this program's Rust part, so its bytes have some value, whatever the caller left there; u8 takes any.
        Some(unsafe { std::slice::from_raw_parts_mut(self.output, self.avail_out) })
    }

    /// What was written since `next_out` was `start`.
    pub(crate) fn written_since(&self, start: *mut u8) -> &[u8] {
        let len = (self.output as usize).wrapping_sub(start as usize);
        if start.is_null() || len > isize::MAX as usize {
            return &[];
        }
        // SAFETY: `output` only moves forward, by `advance_out`, over bytes that were just written; `from_raw` was
        // promised that they are the caller's and nobody else's during `'a`.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// Marks `len` bytes as read, or all there are if fewer.
    pub(crate) fn advance_in(&mut self, len: usize) {
        let len = len.min(self.avail_in);
        self.input = self.input.wrapping_add(len);
        self.avail_in -= len;
    }

    /// Marks `len` bytes of room as written, or all there are if fewer.
    pub(crate) fn advance_out(&mut self, len: usize) {
        let len = len.min(self.avail_out);
        self.output = self.output.wrapping_add(len);
        self.avail_out -= len;
    }

    /// The same buffers with no more than `len` bytes of input. What is done there is to be marked here.
    pub(crate) fn beginning(&mut self, len: usize) -> Io<'_> {
        Io { avail_in: self.avail_in.min(len), _call: PhantomData, ..*self }
    }

    /// Copies as much of `bytes` as fits; returns how much that was.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.avail_out);
        if len == 0 || self.output.is_null() {
            return 0;
        }
        // SAFETY: `output` is non-NULL and writable for `avail_out >= len` bytes, promised to `from_raw`; `bytes` is
        // the shim's own memory, so the two do not overlap.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.output, len) };
        self.advance_out(len);
        len
    }
}
