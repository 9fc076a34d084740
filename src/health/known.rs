//! Known answers: one fixed request of each kind, to ask a device that failed whether it is well again.
//!
//! Public key: published vectors ([`pkey`]). Inflate: a fixed zlib body. Compress: there is no one right answer, so the shape is checked, and the Adler-32 the device computed where the
//! request type has one.

pub(crate) mod cipher;
pub(crate) mod pkey;

use crate::descriptor::zip::Deflated;
use crate::request::compress::{DeflateSegment, InflateBody, Window, Wrapper};

/// The text that both compression answers are about.
pub(crate) fn text() -> Vec<u8> {
    TEXT.repeat(TEXT_REPEATS)
}

/// A segment of the text.
pub(crate) fn segment() -> DeflateSegment {
    DeflateSegment { input: std::sync::Arc::new(text()), window: Window::K32, checksum: None }
}

/// True when `bytes` can be the segment compressed: shorter than the text, which repeats itself; ending in the sync
/// marker; the device's own Adler-32 right where `wrapper` has one.
pub(crate) fn deflate_right(bytes: &[u8], answer: &Deflated, wrapper: Wrapper) -> bool {
    let summed = wrapper != Wrapper::Zlib || answer.checksum == TEXT_ADLER;
    bytes.ends_with(&SYNC_MARKER) && bytes.len() < TEXT.len() * TEXT_REPEATS && summed
}

/// The body of the text compressed; `output` must hold the text.
pub(crate) fn inflate_body(output: &mut [u8]) -> InflateBody<'_> {
    InflateBody { input: &BODY, output, wrapper: Wrapper::Zlib }
}

/// True when an inflate of [`inflate_body`] gave the text and used the whole body.
pub(crate) fn inflate_right(consumed: usize, produced: &[u8]) -> bool {
    consumed == BODY.len() && produced == text()
}

/// An empty stored block's length fields: what every sync flush ends in (RFC 1951 §3.2.4).
pub(crate) const SYNC_MARKER: [u8; 4] = [0, 0, 0xff, 0xff];

const TEXT: &[u8] = b"First light: one request all the way, from a program to a queue and back. ";
const TEXT_REPEATS: usize = 16;
/// Adler-32 of the text.
const TEXT_ADLER: u32 = 0x7ad09e50;

/// The text as deflate data with its Adler-32.
#[rustfmt::skip]
const BODY: [u8; 86] = [
    0xed, 0xcc, 0xd1, 0x0d, 0x80, 0x20, 0x0c, 0x84, 0xe1, 0x55, 0x6e, 0x00, 0xe3, 0x00, 0x0e, 0xc0, 0x1e, 0x55, 0x2b, 0x18,
    0x81, 0x6a, 0x2d, 0x31, 0x6e, 0x2f, 0x43, 0xf8, 0xd8, 0xc7, 0xfb, 0x73, 0xf9, 0xc2, 0xae, 0xb7, 0x21, 0xef, 0x31, 0xd9,
    0x04, 0xa9, 0x0c, 0xe5, 0xab, 0x71, 0x4f, 0x94, 0x33, 0x2c, 0x31, 0x1e, 0x7a, 0x07, 0x6c, 0x2a, 0x05, 0x84, 0x53, 0x25,
    0x2a, 0x15, 0x98, 0xf4, 0xd1, 0x6f, 0x8d, 0x41, 0x75, 0xc5, 0x4c, 0xcb, 0x31, 0x22, 0xb8, 0xe4, 0x92, 0x4b, 0x2e, 0xfd,
    0x2a, 0x7d, 0x7a, 0xd0, 0x9e, 0x50,
];
