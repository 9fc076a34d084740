//! Objects that C holds by pointer: one function to hand out, one to take back, two to look inside.
#![expect(unsafe_code, reason = "turns pointers that C kept for us back into the objects they came from")]

use std::ffi::c_void;
use std::sync::Arc;

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeGreater as _};

use super::guard::{Failure, guard};

/// An object whose calls can report a panic.
pub(crate) trait Reports {
    /// Puts "internal error" on OpenSSL's error queue.
    fn report_panic(&self);
}

/// Gives `object` to C.
pub(crate) fn boxed<T>(object: T) -> *mut c_void {
    Box::into_raw(Box::new(object)).cast()
}

/// Gives one share of `object` to C.
pub(crate) fn shared<T>(object: Arc<T>) -> *mut c_void {
    Arc::into_raw(object).cast_mut().cast()
}

/// Takes back what [`boxed`] gave; null is nothing.
///
/// # Safety
/// `pointer` is null or from [`boxed`] of the same `T`, not yet taken back, and no call on it is running.
pub(crate) unsafe fn free_boxed<T>(pointer: *mut c_void) {
    if !pointer.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(pointer.cast::<T>()) });
    }
}

/// Takes back what [`shared`] gave; null is nothing.
///
/// # Safety
/// `pointer` is null or from [`shared`] of the same `T`, and this share not yet taken back.
pub(crate) unsafe fn free_shared<T>(pointer: *mut c_void) {
    if !pointer.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Arc::from_raw(pointer.cast::<T>().cast_const()) });
    }
}

/// A further share of the object behind `pointer`; null is none.
///
/// # Safety
/// `pointer` is null or from [`shared`] of the same `T`, and its share alive.
pub(crate) unsafe fn share<T>(pointer: *const c_void) -> Option<Arc<T>> {
    if pointer.is_null() {
        return None;
    }
    let object = pointer.cast::<T>();
    // SAFETY: the caller's promise; the count is raised before the second owner exists.
    unsafe {
        Arc::increment_strong_count(object);
        Some(Arc::from_raw(object))
    }
}

/// The object behind `pointer`, for the length of a call.
///
/// # Safety
/// `pointer` is null or from [`boxed`] or [`shared`] of the same `T`, alive for `'a`, and nobody changes it meanwhile.
pub(crate) unsafe fn borrow<'a, T>(pointer: *const c_void) -> Option<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.cast::<T>().as_ref() }
}

/// Guarded call on the object behind `pointer`; null gives the failure value.
///
/// # Safety
/// As for [`borrow`].
pub(crate) unsafe fn enter<T: Reports, R: Failure>(pointer: *const c_void, body: impl FnOnce(&T) -> R) -> R {
    // SAFETY: the caller's promise.
    let object = unsafe { borrow::<T>(pointer) };
    guard(|| object.map_or((), Reports::report_panic), || object.map_or(R::VALUE, body))
}

/// Guarded call that may change the object behind `pointer`; null gives the failure value.
///
/// # Safety
/// `pointer` is null or from [`boxed`] of the same `T`, alive, and used by this thread alone for the length of the call.
pub(crate) unsafe fn enter_mut<T: Reports, R: Failure>(
    pointer: *mut c_void,
    body: impl FnOnce(&mut T) -> R,
) -> R {
    guard(
        // SAFETY: the caller's promise; `body` has ended when this runs.
        || unsafe { borrow::<T>(pointer) }.map_or((), Reports::report_panic),
        || {
            // SAFETY: the caller's promise.
            unsafe { pointer.cast::<T>().as_mut() }.map_or(R::VALUE, body)
        },
    )
}

/// Memory the caller lends for reading; may be null with length 0.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pointer: *const u8,
    len: usize,
    lent: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Input<'a> {
    /// # Safety
    /// `pointer` is null or has `len` readable bytes for `'a`.
    pub(crate) unsafe fn new(pointer: *const u8, len: usize) -> Self {
        Self { pointer, len, lent: std::marker::PhantomData }
    }

    /// As C gets it.
    pub(crate) fn raw(self) -> (*const u8, usize) {
        (self.pointer, self.len)
    }

    /// Bytes.
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// True when nothing was given.
    pub(crate) fn is_null(self) -> bool {
        self.pointer.is_null()
    }

    /// The first `len` bytes, or all there are.
    pub(crate) fn first(self, len: usize) -> Self {
        Self { len: len.min(self.len), ..self }
    }

    /// What follows the first `len` bytes.
    pub(crate) fn skip(self, len: usize) -> Self {
        let len = len.min(self.len);
        Self { pointer: self.pointer.wrapping_add(len), len: self.len - len, ..self }
    }

    /// Appends the bytes, none for a null pointer.
    pub(crate) fn append_to(self, to: &mut Vec<u8>) {
        // SAFETY: the slice ends before this function returns, and `to` is Rust's own memory.
        to.extend_from_slice(unsafe { self.bytes() }.unwrap_or_default());
    }

    /// The bytes; none for a null pointer.
    ///
    /// # Safety
    /// Nothing writes to the memory while the slice lives (an output of the same call may overlap).
    pub(crate) unsafe fn bytes(self) -> Option<&'a [u8]> {
        if self.pointer.is_null() || isize::try_from(self.len).is_err() {
            return None;
        }
        // SAFETY: `new`'s and this function's promises.
        Some(unsafe { std::slice::from_raw_parts(self.pointer, self.len) })
    }

    /// Copies the bytes to the start of `to`; `None` when they are null or too many. Gives the number copied.
    pub(crate) fn copy_to(self, to: &mut [u8]) -> Option<usize> {
        // SAFETY: the slice ends before this function returns, and `to` is Rust's own memory.
        let bytes = unsafe { self.bytes() }?;
        to.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(bytes.len())
    }
}

impl<'a> From<&'a [u8]> for Input<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { pointer: bytes.as_ptr(), len: bytes.len(), lent: std::marker::PhantomData }
    }
}

/// Memory the caller lends for a result, with the place for its length. A null buffer asks for the size.
pub(crate) struct Output<'a> {
    pointer: *mut u8,
    len: *mut usize,
    size: usize,
    lent: std::marker::PhantomData<&'a mut [u8]>,
}

impl<'a> Output<'a> {
    /// # Safety
    /// `pointer` is null or has `size` writable bytes for `'a`; `len` is null or writable.
    pub(crate) unsafe fn new(pointer: *mut u8, len: *mut usize, size: usize) -> Self {
        Self { pointer, len, size, lent: std::marker::PhantomData }
    }

    /// Over Rust's own memory.
    pub(crate) fn over(bytes: &'a mut [u8], len: &'a mut usize) -> Self {
        Self { pointer: bytes.as_mut_ptr(), len, size: bytes.len(), lent: std::marker::PhantomData }
    }

    /// Asks for the size alone.
    pub(crate) fn asking(len: &'a mut usize) -> Self {
        Self { pointer: std::ptr::null_mut(), len, size: 0, lent: std::marker::PhantomData }
    }

    /// True when only the size is wanted.
    pub(crate) fn is_size_query(&self) -> bool {
        self.pointer.is_null()
    }

    /// Bytes the caller has room for.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Bytes of the answer that was given last, or whatever its place held before; 0 without a place.
    pub(crate) fn answered_len(&self) -> usize {
        // SAFETY: `new`'s promise: null or valid.
        unsafe { self.len.as_ref() }.copied().unwrap_or(0)
    }

    /// Whether an input lies, in part, where the answer goes.
    pub(crate) fn overlaps(&self, input: Input<'_>) -> bool {
        let (ours, theirs) = (self.pointer.addr(), input.pointer.addr());
        ours < theirs.saturating_add(input.len) && theirs < ours.saturating_add(self.size)
    }

    /// As C gets it.
    pub(crate) fn raw(&self) -> (*mut u8, *mut usize, usize) {
        (self.pointer, self.len, self.size)
    }

    /// True when both the buffer and the place for its length are there, and the buffer has room for `len` bytes.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        !self.pointer.is_null() && !self.len.is_null() && self.size >= len
    }

    /// Whether the first `len` bytes of the buffer share none with `input`.
    pub(crate) fn is_apart(&self, len: usize, input: Input<'_>) -> bool {
        let (output, input, input_len) = (self.pointer.addr(), input.pointer.addr(), input.len);
        output.saturating_add(len) <= input || input.saturating_add(input_len) <= output
    }

    /// Whether the buffer is the memory of `input`.
    pub(crate) fn is_in_place(&self, input: Input<'_>) -> bool {
        std::ptr::eq(self.pointer, input.pointer)
    }

    /// What follows the first `at` bytes, with a length of its own.
    pub(crate) fn rest<'b>(&'b mut self, at: usize, len: &'b mut usize) -> Output<'b> {
        let at = at.min(self.size);
        let pointer = self.pointer.wrapping_add(at);
        Output { pointer, len, size: self.size - at, lent: std::marker::PhantomData }
    }

    /// The length as it stands.
    pub(crate) fn told(&self) -> usize {
        // SAFETY: `new`'s promise: null or the caller's own variable.
        unsafe { self.len.as_ref() }.copied().unwrap_or(0)
    }

    /// Says that `len` bytes were given.
    pub(crate) fn tell(&mut self, len: usize) {
        // SAFETY: as above.
        if let Some(place) = unsafe { self.len.as_mut() } {
            *place = len;
        }
    }

    /// Gives the caller `bytes`; false, and nothing written, when there is no room.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> bool {
        self.put_part(bytes, bytes.len())
    }

    /// As [`Self::put`], but says that the first `len` bytes are what counts.
    pub(crate) fn put_part(&mut self, bytes: &[u8], len: usize) -> bool {
        if self.pointer.is_null() || self.len.is_null() || bytes.len() > self.size {
            return false;
        }
        // SAFETY: `new`'s promise; `bytes` is Rust's own memory, and the length was checked.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer, bytes.len());
            *self.len = len;
        }
        true
    }

    /// As [`Self::put`], and fills what is left of the caller's buffer with `rest`.
    pub(crate) fn put_and_fill(&mut self, bytes: &[u8], rest: u8) -> bool {
        let is_put = self.put(bytes);
        if is_put {
            // SAFETY: `new`'s promise: `size` writable bytes, no fewer than `put` has just written.
            unsafe { self.pointer.add(bytes.len()).write_bytes(rest, self.size - bytes.len()) };
        }
        is_put
    }

    /// Gives the caller the first `len` of `bytes`, if `good`. Which bytes are touched, and when, depends on neither `len` nor
    /// `good`: as many as `bytes` are there, the rest with what they hold. False, and nothing written, when there is no room
    /// for all of `bytes`.
    pub(crate) fn put_secretly(&mut self, bytes: &[u8], len: u32, good: Choice) -> bool {
        let (Ok(all), Ok(len_bytes)) = (u32::try_from(bytes.len()), usize::try_from(len)) else {
            return false;
        };
        if self.pointer.is_null() || self.len.is_null() || bytes.len() > self.size {
            return false;
        }
        for (index, (byte, offset)) in (0..all).zip(bytes.iter().zip(0..)) {
            let take = good & len.ct_gt(&index);
            // SAFETY: `new`'s promise: `size` writable bytes, of which `offset` is one. C memory, so it holds something.
            unsafe {
                let place = self.pointer.add(offset);
                place.write(u8::conditional_select(&place.read(), byte, take));
            }
        }
        let pick = |old: usize, new: usize| {
            let pairs = old.to_ne_bytes().into_iter().zip(new.to_ne_bytes());
            let mut picked = [0; size_of::<usize>()];
            for (byte, (old, new)) in picked.iter_mut().zip(pairs) {
                *byte = u8::conditional_select(&old, &new, good);
            }
            usize::from_ne_bytes(picked)
        };
        // SAFETY: `new`'s promise, and not null.
        unsafe { *self.len = pick(*self.len, len_bytes) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn miri_parts_of_a_buffer() {
        let mut room = *b"abcdefgh";
        let input = Input::from(&room[2..6]);
        assert_eq!(
            (input.len(), input.first(9).len(), input.skip(9).len(), input.skip(3).len()),
            (4, 4, 0, 1)
        );
        let mut copy = b"x".to_vec();
        input.skip(1).first(2).append_to(&mut copy);
        assert_eq!(copy, b"xde");
        let (start, mut told) = (room.as_mut_ptr(), 7);
        let place = &raw mut told;
        // SAFETY: eight bytes of room.
        let at = |offset, size| unsafe { Output::new(start.wrapping_add(offset), place, size) };
        // SAFETY: four of them.
        let input = unsafe { Input::new(start.wrapping_add(2), 4) };
        assert!(at(2, 4).is_in_place(input) && !at(1, 4).is_in_place(input));
        for (offset, len, apart) in [(0, 2, true), (0, 3, false), (2, 4, false), (5, 1, false), (6, 2, true)]
        {
            assert_eq!(at(offset, 8 - offset).is_apart(len, input), apart, "{offset} {len}");
        }
        let mut output = at(0, 8);
        assert!(output.has_room(8) && !output.has_room(9));
        let mut part_told = 0;
        assert!(output.rest(6, &mut part_told).put(b"XY"));
        assert!(!output.rest(7, &mut part_told).put(b"XY"));
        assert_eq!((part_told, output.told()), (2, 7));
        output.tell(8);
        assert_eq!((told, room), (8, *b"abcdefXY"));
        let mut filled_told = 0;
        let mut filled = Output::over(&mut room[..6], &mut filled_told);
        assert!(filled.put_and_fill(b"123", b'.') && !filled.put_and_fill(b"1234567", b'.'));
        assert!(filled.put_and_fill(b"123456", b'.') && filled.put_and_fill(b"78", b'.'));
        assert_eq!((filled_told, room), (2, *b"78....XY"));
    }

    #[test]
    fn miri_a_secret_length_writes_what_is_good_and_no_more() {
        for (len, good, expected) in
            [(2, 1, *b"ab..."), (4, 1, *b"abcd."), (0, 1, *b"....."), (3, 0, *b".....")]
        {
            let (mut room, mut told) = (*b".....", 99);
            let mut output = Output::over(&mut room, &mut told);
            assert!(output.put_secretly(b"abcd", len, Choice::from(good)));
            assert_eq!(room, expected);
            assert_eq!(told, if good == 1 { len as usize } else { 99 });
        }
        let (mut room, mut told) = (*b"...", 99);
        assert!(!Output::over(&mut room, &mut told).put_secretly(b"abcd", 1, Choice::from(1)));
        assert_eq!((room, told), (*b"...", 99));
    }
}
