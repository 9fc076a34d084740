//! zlib's ABI: the layouts C sees, and the rooms that turn its pointers into Rust values.
//!
//! Together with `exports/` this is the only part of the crate with `unsafe` in it. What leaves here is safe to use:
//! [`io::Io`] (the buffers of one call), [`block`] (the object behind `z_stream.state`), [`header::HeaderRef`] (a
//! borrowed `gz_header`), [`own`] (memory that may not be there), [`next`] (the software engine for streams) and [`whole`] (that for whole buffers and checksums).

pub(crate) mod block;
#[cfg(feature = "gz")]
pub(crate) mod file;
pub(crate) mod header;
pub(crate) mod io;
pub(crate) mod next;
pub(crate) mod own;
pub(crate) mod pool;
pub(crate) mod whole;

use std::ffi::{c_int, c_ulong};
use std::mem::{align_of, offset_of, size_of};

pub(crate) use zlib_rs::c_api::{gz_header, in_func, out_func, z_stream};

pub(crate) const Z_NO_FLUSH: c_int = 0;
pub(crate) const Z_SYNC_FLUSH: c_int = 2;
pub(crate) const Z_FULL_FLUSH: c_int = 3;
pub(crate) const Z_FINISH: c_int = 4;
pub(crate) const Z_BLOCK: c_int = 5;
pub(crate) const Z_TREES: c_int = 6;

pub(crate) const Z_OK: c_int = 0;
pub(crate) const Z_STREAM_END: c_int = 1;
pub(crate) const Z_NEED_DICT: c_int = 2;
#[cfg(feature = "gz")]
pub(crate) const Z_ERRNO: c_int = -1;
pub(crate) const Z_STREAM_ERROR: c_int = -2;
pub(crate) const Z_DATA_ERROR: c_int = -3;
pub(crate) const Z_MEM_ERROR: c_int = -4;
pub(crate) const Z_BUF_ERROR: c_int = -5;
pub(crate) const Z_VERSION_ERROR: c_int = -6;

pub(crate) const Z_DEFLATED: c_int = 8;
pub(crate) const Z_BINARY: c_int = 0;
pub(crate) const Z_TEXT: c_int = 1;
pub(crate) const Z_UNKNOWN: c_int = 2;

/// `sizeof(z_stream)`, which every `*Init*_` is told by its caller.
pub(crate) const STREAM_SIZE: c_int = 112;

// LP64, as measured with offsetof on zlib 1.2.13, 1.3.1 and 1.3.2.
const _: () = {
    assert!(size_of::<z_stream>() == STREAM_SIZE as usize);
    assert!(align_of::<z_stream>() == 8);
    assert!(offset_of!(z_stream, next_in) == 0);
    assert!(offset_of!(z_stream, avail_in) == 8);
    assert!(offset_of!(z_stream, total_in) == 16);
    assert!(offset_of!(z_stream, next_out) == 24);
    assert!(offset_of!(z_stream, avail_out) == 32);
    assert!(offset_of!(z_stream, total_out) == 40);
    assert!(offset_of!(z_stream, msg) == 48);
    assert!(offset_of!(z_stream, state) == 56);
    assert!(offset_of!(z_stream, zalloc) == 64);
    assert!(offset_of!(z_stream, zfree) == 72);
    assert!(offset_of!(z_stream, opaque) == 80);
    assert!(offset_of!(z_stream, data_type) == 88);
    assert!(offset_of!(z_stream, adler) == 96);
    assert!(offset_of!(z_stream, reserved) == 104);
    assert!(size_of::<c_ulong>() == 8);
    assert!(size_of::<gz_header>() == 80);
    assert!(offset_of!(gz_header, extra) == 24);
    assert!(offset_of!(gz_header, name) == 40);
    assert!(offset_of!(gz_header, comment) == 56);
    assert!(offset_of!(gz_header, hcrc) == 68);
    assert!(offset_of!(gz_header, done) == 72);
};
