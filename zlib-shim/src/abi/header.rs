//! A `gz_header` lent by the caller of `deflateSetHeader`.
#![expect(unsafe_code, reason = "reads a C structure and the C strings it points to")]

use std::ffi::CStr;
use std::ptr::NonNull;

use super::gz_header;

/// The caller's header description. The caller keeps it, and what it points to, until the header has been written
/// (zlib.h, deflateSetHeader).
#[derive(Clone, Copy)]
pub(crate) struct HeaderRef(NonNull<gz_header>);

/// What of a `gz_header` reaches the stream.
pub(crate) struct Fields<'a> {
    pub(crate) text: bool,
    pub(crate) mtime: u32,
    pub(crate) os: u8,
    pub(crate) extra: Option<&'a [u8]>,
    /// Terminating NUL included, as it goes into the stream.
    pub(crate) name: Option<&'a [u8]>,
    /// Terminating NUL included.
    pub(crate) comment: Option<&'a [u8]>,
    pub(crate) header_crc: bool,
}

impl HeaderRef {
    /// # Safety
    /// `head` is NULL, or it and what it points to stay readable until the header has been written or another was set.
    pub(crate) unsafe fn new(head: *mut gz_header) -> Option<Self> {
        NonNull::new(head).map(Self)
    }

    /// Reads the fields as they are now: zlib looks at them when it writes the header, not when they are set.
    #[expect(clippy::cast_possible_truncation, reason = "zlib writes the low 32 bits of time and 8 of os")]
    pub(crate) fn fields(&self) -> Fields<'_> {
        // SAFETY: readable until the header is written, promised to `new`.
        let head = unsafe { self.0.as_ref() };
        let string = |start: *mut u8| {
            // SAFETY: a non-NULL name or comment is a C string, promised to `new` (zlib.h, gz_header).
            (!start.is_null()).then(|| unsafe { CStr::from_ptr(start.cast()) }.to_bytes_with_nul())
        };
        // The field's own length is 16 bits (RFC 1952 §2.3.1.1).
        let extra_len = (head.extra_len & 0xffff) as usize;
        let extra = (!head.extra.is_null()).then(|| {
            // SAFETY: a non-NULL extra is readable for extra_len bytes, promised to `new`.
            unsafe { std::slice::from_raw_parts(head.extra, extra_len) }
        });
        Fields {
            text: head.text != 0,
            mtime: head.time as u32,
            os: head.os as u8,
            extra,
            name: string(head.name),
            comment: string(head.comment),
            header_crc: head.hcrc != 0,
        }
    }
}
