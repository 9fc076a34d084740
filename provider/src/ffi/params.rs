//! A view of OpenSSL's parameter arrays: read what the caller sent, fill what the caller asks, build arrays of our own.
#![expect(unsafe_code, reason = "parameter arrays are C memory")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;

use super::bindings::Param;

/// Parameters the caller sent; null is an empty array.
#[derive(Clone, Copy)]
pub(crate) struct Params<'a> {
    first: *const Param,
    lent: PhantomData<&'a Param>,
}

impl<'a> Params<'a> {
    /// No parameters.
    pub(crate) const NONE: Self = Self { first: std::ptr::null(), lent: PhantomData };

    /// # Safety
    /// `first` is null or an array ending with a null key, valid with everything it points to for `'a`.
    pub(crate) unsafe fn new(first: *const Param) -> Self {
        Self { first, lent: PhantomData }
    }

    /// As C gets it.
    pub(crate) fn raw(self) -> *const Param {
        self.first
    }

    /// Each parameter with its name.
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a CStr, &'a Param)> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            // SAFETY: `new`'s promise: null, or within an array whose end mark has not been passed.
            let param = unsafe { next.as_ref() }?;
            if param.key.is_null() {
                return None;
            }
            next = next.wrapping_add(1);
            // SAFETY: keys are null-terminated strings.
            Some((unsafe { CStr::from_ptr(param.key) }, param))
        })
    }

    /// A copy of the text under `key`.
    pub(crate) fn text(self, key: &CStr) -> Option<CString> {
        let (_, param) = self.iter().find(|(name, _)| *name == key)?;
        text_of(param)
    }

    /// Whether the whole number under `key` is other than zero; `None` without one.
    pub(crate) fn flag(self, key: &CStr) -> Option<bool> {
        let (_, param) = self.iter().find(|(name, _)| *name == key)?;
        if !matches!(param.data_type, Param::INTEGER | Param::UNSIGNED_INTEGER) || param.data.is_null() {
            return None;
        }
        // SAFETY: `new`'s promise covers the `data_size` bytes at `data`.
        let bytes = unsafe { std::slice::from_raw_parts(param.data.cast::<u8>(), param.data_size) };
        Some(bytes.iter().any(|byte| *byte != 0))
    }

    /// A copy of the bytes under `key`.
    pub(crate) fn octets(self, key: &CStr) -> Option<Vec<u8>> {
        let (_, param) = self.iter().find(|(name, _)| *name == key)?;
        if param.data_type != Param::OCTET_STRING || param.data.is_null() {
            return None;
        }
        // SAFETY: `new`'s promise covers the `data_size` bytes at `data`.
        Some(unsafe { std::slice::from_raw_parts(param.data.cast::<u8>(), param.data_size) }.to_vec())
    }
}

/// The text of a string parameter: up to its first null byte or, without one, all of it.
fn text_of(param: &Param) -> Option<CString> {
    if param.data.is_null() {
        return None;
    }
    match param.data_type {
        Param::UTF8_PTR => {
            // SAFETY: the type says that `data` points to a pointer to a string.
            let pointer = unsafe { *param.data.cast::<*const c_char>() };
            // SAFETY: as above.
            (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_owned())
        }
        Param::UTF8_STRING => {
            // SAFETY: the array's promise covers the `data_size` bytes at `data`.
            let bytes = unsafe { std::slice::from_raw_parts(param.data.cast::<u8>(), param.data_size) };
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            CString::new(text).ok()
        }
        _ => None,
    }
}

/// Parameters the caller wants filled; null is an empty array.
pub(crate) struct ParamsToFill<'a> {
    first: *mut Param,
    lent: PhantomData<&'a mut Param>,
}

impl ParamsToFill<'_> {
    /// # Safety
    /// `first` is null or an array ending with a null key, valid and writable with everything it points to for `'a`.
    pub(crate) unsafe fn new(first: *mut Param) -> Self {
        Self { first, lent: PhantomData }
    }

    /// As C gets it.
    pub(crate) fn raw(&mut self) -> *mut Param {
        self.first
    }

    fn find(&mut self, key: &CStr) -> Option<&mut Param> {
        let mut next = self.first;
        loop {
            // SAFETY: `new`'s promise: null, or within an array whose end mark has not been passed.
            let param = unsafe { next.as_mut() }?;
            if param.key.is_null() {
                return None;
            }
            // SAFETY: keys are null-terminated strings.
            if unsafe { CStr::from_ptr(param.key) } == key {
                return Some(param);
            }
            next = next.wrapping_add(1);
        }
    }

    /// True when `key` is asked for.
    pub(crate) fn asks(&mut self, key: &CStr) -> bool {
        self.find(key).is_some()
    }

    /// Answers `key`, if asked, with a pointer to `text`. False when the caller's place is of another type.
    pub(crate) fn answer_text(&mut self, key: &CStr, text: &'static CStr) -> bool {
        let Some(param) = self.find(key) else { return true };
        if param.data_type != Param::UTF8_PTR {
            return false;
        }
        param.return_size = text.count_bytes();
        if !param.data.is_null() {
            // SAFETY: the type says that `data` points to a pointer.
            unsafe { *param.data.cast::<*const c_char>() = text.as_ptr() };
        }
        true
    }

    /// Answers `key`, if asked, with a small number. False when the caller's place is not for numbers or too narrow.
    pub(crate) fn answer_number(&mut self, key: &CStr, number: u8) -> bool {
        let Some(param) = self.find(key) else { return true };
        if !matches!(param.data_type, Param::INTEGER | Param::UNSIGNED_INTEGER) {
            return false;
        }
        if param.data.is_null() {
            param.return_size = size_of::<c_int>();
            return true;
        }
        if param.data_size == 0 {
            return false;
        }
        let place = if cfg!(target_endian = "little") { 0 } else { param.data_size - 1 };
        // SAFETY: `data` has `data_size` writable bytes, at least one, and `place` is one of them.
        unsafe {
            param.data.cast::<u8>().write_bytes(0, param.data_size);
            *param.data.cast::<u8>().add(place) = number;
        }
        param.return_size = param.data_size;
        true
    }
}

/// One parameter over our own memory, for an array we pass to the default provider or the core.
#[repr(transparent)]
pub(crate) struct Own<'a> {
    param: Param,
    lent: PhantomData<&'a mut u8>,
}

impl<'a> Own<'a> {
    /// The end of an array.
    pub(crate) const END: Self = Self { param: Param::END, lent: PhantomData };

    fn new(key: &'static CStr, data_type: u32, data: *mut u8, data_size: usize) -> Self {
        let param = Param {
            key: key.as_ptr(),
            data_type,
            data: data.cast(),
            data_size,
            return_size: Param::UNMODIFIED,
        };
        Self { param, lent: PhantomData }
    }

    /// A number, to send or to be filled.
    pub(crate) fn int(key: &'static CStr, value: &'a mut c_int) -> Self {
        let value: *mut c_int = value;
        Self::new(key, Param::INTEGER, value.cast(), size_of::<c_int>())
    }

    /// Bytes, to send or room for them.
    pub(crate) fn octets(key: &'static CStr, value: &'a mut [u8]) -> Self {
        Self::new(key, Param::OCTET_STRING, value.as_mut_ptr(), value.len())
    }

    /// How many bytes were filled in; `None` when nobody answered.
    pub(crate) fn answer_len(&self) -> Option<usize> {
        Some(self.param.return_size).filter(|len| *len != Param::UNMODIFIED)
    }

    /// A number without sign, to send or to be filled.
    pub(crate) fn unsigned(key: &'static CStr, value: &'a mut u32) -> Self {
        let value: *mut u32 = value;
        Self::new(key, Param::UNSIGNED_INTEGER, value.cast(), size_of::<u32>())
    }

    /// A big number to send, in native byte order.
    pub(crate) fn number(key: &'static CStr, value: &'a mut [u8]) -> Self {
        Self::new(key, Param::UNSIGNED_INTEGER, value.as_mut_ptr(), value.len())
    }

    /// Asks how long a big number is.
    pub(crate) fn number_asking(key: &'static CStr) -> Self {
        Self::new(key, Param::UNSIGNED_INTEGER, std::ptr::null_mut(), 0)
    }

    /// A text to send.
    pub(crate) fn text(key: &'static CStr, value: &'a CStr) -> Self {
        // Sent arrays are only read.
        Self::new(key, Param::UTF8_STRING, value.as_ptr().cast_mut().cast(), value.count_bytes())
    }

    /// Room for a text; one byte stays for the end mark.
    pub(crate) fn text_room(key: &'static CStr, room: &'a mut [u8]) -> Self {
        Self::new(key, Param::UTF8_STRING, room.as_mut_ptr(), room.len())
    }

    /// Room for a pointer to text that lives as long as whoever answers.
    pub(crate) fn pointer_room(key: &'static CStr, room: &'a mut *const c_char) -> Self {
        let room: *mut *const c_char = room;
        Self::new(key, Param::UTF8_PTR, room.cast(), 0)
    }

    /// Room for a pointer to bytes that live as long as whoever answers leaves them alone.
    pub(crate) fn bytes_room(key: &'static CStr, room: &'a mut *const u8) -> Self {
        let room: *mut *const u8 = room;
        Self::new(key, Param::OCTET_PTR, room.cast(), 0)
    }

    /// A copy of the bytes that a [`Own::bytes_room`] was pointed to, if it was.
    pub(crate) fn bytes_answered(&self) -> Option<Vec<u8>> {
        let len = self.param.return_size;
        if self.param.data_type != Param::OCTET_PTR || len == Param::UNMODIFIED {
            return None;
        }
        // SAFETY: `bytes_room` made `data` a pointer to a pointer, which `'a` keeps alive.
        let bytes = unsafe { *self.param.data.cast::<*const u8>() };
        // SAFETY: whoever answered promises that many bytes, and has not been called since.
        (!bytes.is_null()).then(|| unsafe { std::slice::from_raw_parts(bytes, len) }.to_vec())
    }
}

/// `array` as C sends it; empty unless its last element is [`Own::END`].
pub(crate) fn to_send<'a>(array: &'a [Own<'_>]) -> Params<'a> {
    match array.last() {
        Some(last) if last.param.key.is_null() => Params { first: array.as_ptr().cast(), lent: PhantomData },
        _ => Params::NONE,
    }
}

/// `array` as C fills it; empty unless its last element is [`Own::END`].
pub(crate) fn to_fill<'a>(array: &'a mut [Own<'_>]) -> ParamsToFill<'a> {
    match array.last() {
        Some(last) if last.param.key.is_null() => {
            ParamsToFill { first: array.as_mut_ptr().cast(), lent: PhantomData }
        }
        _ => ParamsToFill { first: std::ptr::null_mut(), lent: PhantomData },
    }
}

/// A constant list of parameter descriptions.
#[repr(transparent)]
pub(crate) struct Described<const N: usize>([Param; N]);

// SAFETY: points to constants, read only.
unsafe impl<const N: usize> Sync for Described<N> {}

impl<const N: usize> Described<N> {
    /// `params`, the last of which must be the end mark.
    pub(crate) const fn new(params: [Param; N]) -> Self {
        assert!(N > 0 && params[N - 1].key.is_null());
        Self(params)
    }

    /// As C gets it.
    pub(crate) const fn raw(&'static self) -> *const Param {
        self.0.as_ptr()
    }
}

/// One description: name and type.
pub(crate) const fn describe(key: &'static CStr, data_type: u32) -> Param {
    let (key, data) = (key.as_ptr(), std::ptr::null_mut());
    Param { key, data_type, data, data_size: 0, return_size: Param::UNMODIFIED }
}

/// The description of a number that fits an `int`.
pub(crate) const fn describe_int(key: &'static CStr) -> Param {
    let mut param = describe(key, Param::INTEGER);
    param.data_size = size_of::<c_int>();
    param
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn miri_texts_are_read_with_and_without_their_end_mark() {
        let array = [Own::text(c"digest", c"SHA256"), Own::END];
        assert_eq!(to_send(&array).text(c"digest"), Some(c"SHA256".to_owned()));
        let mut room = *b"SHA1\0\0\0\0";
        let array = [Own::text_room(c"digest", &mut room), Own::END];
        assert_eq!(to_send(&array).text(c"digest"), Some(c"SHA1".to_owned()));
    }

    #[test]
    fn miri_answers_fit_the_place() {
        let mut status: c_int = -1;
        let mut array = [Own::int(c"status", &mut status), Own::END];
        assert!(to_fill(&mut array).answer_number(c"status", 1));
        assert!(to_fill(&mut array).answer_number(c"other", 1));
        assert!(!to_fill(&mut array).answer_text(c"status", c"text"));
        assert_eq!(array[0].param.return_size, 4);
        assert_eq!(status, 1);

        let mut name = std::ptr::null();
        let mut array = [Own::pointer_room(c"name", &mut name), Own::END];
        assert!(to_fill(&mut array).answer_text(c"name", c"warpdrive"));
        assert_eq!(array[0].param.return_size, 9);
        // SAFETY: just set.
        assert_eq!(unsafe { CStr::from_ptr(name) }, c"warpdrive");
    }

    #[test]
    fn miri_an_array_without_end_is_empty() {
        let mut status: c_int = -1;
        let mut array = [Own::int(c"status", &mut status)];
        assert!(to_send(&array).raw().is_null());
        assert!(to_fill(&mut array).raw().is_null());
        assert_eq!(to_send(&[]).iter().count(), 0);
    }
}
