//! The engines, all behind zlib's calling convention: two libraries opened by path, three linked in under names of their own.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong, c_void};

use libz_rs_sys as rs;
pub use libz_rs_sys::z_stream;

/// What callers were compiled against.
const VERSION: &CStr = c"1.2.13";
/// `sizeof(z_stream)`.
const STREAM_BYTES: c_int = 112;

type DeflateInit = unsafe extern "C" fn(
    *mut z_stream,
    level: c_int,
    method: c_int,
    window_bits: c_int,
    mem_level: c_int,
    strategy: c_int,
    *const c_char,
    c_int,
) -> c_int;
type InflateInit = unsafe extern "C" fn(*mut z_stream, window_bits: c_int, *const c_char, c_int) -> c_int;
type Run = unsafe extern "C" fn(*mut z_stream, c_int) -> c_int;
type End = unsafe extern "C" fn(*mut z_stream) -> c_int;
type Compress = unsafe extern "C" fn(*mut u8, *mut c_ulong, *const u8, c_ulong, c_int) -> c_int;
type Uncompress = unsafe extern "C" fn(*mut u8, *mut c_ulong, *const u8, c_ulong) -> c_int;
type Checksum = unsafe extern "C" fn(c_ulong, *const u8, c_uint) -> c_ulong;

/// A zlib.
#[derive(Clone, Copy)]
pub struct Zlib {
    deflate_init: DeflateInit,
    inflate_init: InflateInit,
    deflate: Run,
    inflate: Run,
    deflate_end: End,
    inflate_end: End,
    deflate_reset: End,
    inflate_reset: End,
    compress: Compress,
    uncompress: Uncompress,
    crc32: Checksum,
    adler32: Checksum,
}

/// What stands around deflate data: zlib's windowBits.
#[derive(Clone, Copy)]
pub enum Format {
    Zlib = 15,
    Gzip = 31,
    Raw = -15,
}

/// Which checksum.
#[derive(Clone, Copy)]
pub enum Sum {
    Crc32,
    Adler32,
}

impl Zlib {
    /// A library opened from `path`, its names kept to itself.
    pub fn open(path: &str) -> Self {
        let name = CString::new(path).unwrap();
        // SAFETY: a C string; the libraries' own start-up code is theirs to answer for.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null(), "cannot open {path}");
        let find = |name: &CStr| {
            // SAFETY: an open library and a C string.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            assert!(!found.is_null(), "{path} lacks {name:?}");
            found
        };
        macro_rules! function {
            ($name:literal, $type:ty) => {
                // SAFETY: a function of this name has this type (zlib.h).
                unsafe { std::mem::transmute::<*mut c_void, $type>(find($name)) }
            };
        }
        Self {
            deflate_init: function!(c"deflateInit2_", DeflateInit),
            inflate_init: function!(c"inflateInit2_", InflateInit),
            deflate: function!(c"deflate", Run),
            inflate: function!(c"inflate", Run),
            deflate_end: function!(c"deflateEnd", End),
            inflate_end: function!(c"inflateEnd", End),
            deflate_reset: function!(c"deflateReset", End),
            inflate_reset: function!(c"inflateReset", End),
            compress: function!(c"compress2", Compress),
            uncompress: function!(c"uncompress", Uncompress),
            crc32: function!(c"crc32", Checksum),
            adler32: function!(c"adler32", Checksum),
        }
    }

    pub fn zlib_rs() -> Self {
        Self {
            deflate_init: rs::deflateInit2_,
            inflate_init: rs::inflateInit2_,
            deflate: rs::deflate,
            inflate: rs::inflate,
            deflate_end: rs::deflateEnd,
            inflate_end: rs::inflateEnd,
            deflate_reset: rs::deflateReset,
            inflate_reset: rs::inflateReset,
            compress: rs::compress2,
            uncompress: rs::uncompress,
            crc32: rs::crc32,
            adler32: rs::adler32,
        }
    }

    pub fn zlib_ng() -> Self {
        Self {
            deflate_init: ng::deflate_init,
            inflate_init: ng::inflate_init,
            deflate: ng::deflate,
            inflate: ng::inflate,
            deflate_end: ng::deflate_end,
            inflate_end: ng::inflate_end,
            deflate_reset: ng::deflate_reset,
            inflate_reset: ng::inflate_reset,
            compress: ng::compress,
            uncompress: ng::uncompress,
            crc32: ng::crc32,
            adler32: ng::adler32,
        }
    }

    /// `compress2`: the length of what `room` then holds.
    pub fn compress(&self, level: c_int, plain: &[u8], room: &mut [u8]) -> Result<usize, c_int> {
        let mut len = room.len() as c_ulong;
        // SAFETY: both buffers are valid for the lengths given.
        let code = unsafe {
            (self.compress)(room.as_mut_ptr(), &mut len, plain.as_ptr(), plain.len() as c_ulong, level)
        };
        if code == 0 { Ok(len as usize) } else { Err(code) }
    }

    /// `uncompress`: the length of what `room` then holds.
    pub fn uncompress(&self, packed: &[u8], room: &mut [u8]) -> Result<usize, c_int> {
        let mut len = room.len() as c_ulong;
        // SAFETY: both buffers are valid for the lengths given.
        let code = unsafe {
            (self.uncompress)(room.as_mut_ptr(), &mut len, packed.as_ptr(), packed.len() as c_ulong)
        };
        if code == 0 { Ok(len as usize) } else { Err(code) }
    }

    pub fn checksum(&self, sum: Sum, bytes: &[u8]) -> u64 {
        let (function, start) = match sum {
            Sum::Crc32 => (self.crc32, 0),
            Sum::Adler32 => (self.adler32, 1),
        };
        // SAFETY: readable for its length.
        unsafe { function(start, bytes.as_ptr(), u32::try_from(bytes.len()).unwrap()) }
    }
}

/// All fields 0, as a C program's: each engine takes its own allocator.
fn blank() -> Box<z_stream> {
    // SAFETY: pointers, optional functions and numbers: all of them may be 0.
    Box::new(unsafe { std::mem::zeroed() })
}

/// One stream of one zlib; it must not move while it is open.
pub struct Stream {
    zlib: Zlib,
    deflating: bool,
    strm: Box<z_stream>,
}

impl Stream {
    pub fn deflate(zlib: Zlib, level: c_int, format: Format) -> Self {
        let mut strm = blank();
        // SAFETY: a blank stream, and what zlib.h's macro passes.
        let code = unsafe {
            (zlib.deflate_init)(&mut *strm, level, 8, format as c_int, 8, 0, VERSION.as_ptr(), STREAM_BYTES)
        };
        assert_eq!(code, 0, "deflateInit");
        Self { zlib, deflating: true, strm }
    }

    pub fn inflate(zlib: Zlib, format: Format) -> Self {
        let mut strm = blank();
        // SAFETY: as above.
        let code =
            unsafe { (zlib.inflate_init)(&mut *strm, format as c_int, VERSION.as_ptr(), STREAM_BYTES) };
        assert_eq!(code, 0, "inflateInit");
        Self { zlib, deflating: false, strm }
    }

    /// One call. Returns zlib's code, bytes consumed, bytes produced.
    pub fn run(&mut self, input: &[u8], output: &mut [u8], flush: c_int) -> (c_int, usize, usize) {
        let (len_in, len_out) = (u32::try_from(input.len()).unwrap(), u32::try_from(output.len()).unwrap());
        self.strm.next_in = input.as_ptr().cast_mut();
        self.strm.avail_in = len_in;
        self.strm.next_out = output.as_mut_ptr();
        self.strm.avail_out = len_out;
        let function = if self.deflating { self.zlib.deflate } else { self.zlib.inflate };
        // SAFETY: an open stream, pointed at buffers that are valid for their lengths.
        let code = unsafe { function(&mut *self.strm, flush) };
        (code, (len_in - self.strm.avail_in) as usize, (len_out - self.strm.avail_out) as usize)
    }

    pub fn reset(&mut self) {
        let function = if self.deflating { self.zlib.deflate_reset } else { self.zlib.inflate_reset };
        // SAFETY: an open stream.
        assert_eq!(unsafe { function(&mut *self.strm) }, 0, "reset");
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let function = if self.deflating { self.zlib.deflate_end } else { self.zlib.inflate_end };
        // SAFETY: an open stream, not used after this.
        unsafe { function(&mut *self.strm) };
    }
}

/// libdeflate, its memory made once and used again: the best that it can do.
pub struct Libdeflate {
    compressor: *mut libdeflate_sys::libdeflate_compressor,
    decompressor: *mut libdeflate_sys::libdeflate_decompressor,
}

impl Libdeflate {
    pub fn new(level: c_int) -> Self {
        // SAFETY: no demands but a level in range, which is checked by the result.
        let (compressor, decompressor) = unsafe {
            (
                libdeflate_sys::libdeflate_alloc_compressor(level),
                libdeflate_sys::libdeflate_alloc_decompressor(),
            )
        };
        assert!(!compressor.is_null() && !decompressor.is_null(), "libdeflate");
        Self { compressor, decompressor }
    }

    pub fn compress(&self, plain: &[u8], room: &mut [u8]) -> usize {
        // SAFETY: our compressor, and buffers valid for their lengths.
        unsafe {
            libdeflate_sys::libdeflate_zlib_compress(
                self.compressor,
                plain.as_ptr().cast(),
                plain.len(),
                room.as_mut_ptr().cast(),
                room.len(),
            )
        }
    }

    pub fn uncompress(&self, packed: &[u8], room: &mut [u8]) -> usize {
        let mut len = 0;
        // SAFETY: our decompressor, and buffers valid for their lengths.
        let code = unsafe {
            libdeflate_sys::libdeflate_zlib_decompress(
                self.decompressor,
                packed.as_ptr().cast(),
                packed.len(),
                room.as_mut_ptr().cast(),
                room.len(),
                &mut len,
            )
        };
        assert_eq!(code as u32, 0, "libdeflate_zlib_decompress");
        len
    }

    pub fn checksum(sum: Sum, bytes: &[u8]) -> u64 {
        // SAFETY: readable for its length.
        u64::from(unsafe {
            match sum {
                Sum::Crc32 => libdeflate_sys::libdeflate_crc32(0, bytes.as_ptr().cast(), bytes.len()),
                Sum::Adler32 => libdeflate_sys::libdeflate_adler32(1, bytes.as_ptr().cast(), bytes.len()),
            }
        })
    }
}

impl Drop for Libdeflate {
    fn drop(&mut self) {
        // SAFETY: made in `new`, given up here.
        unsafe {
            libdeflate_sys::libdeflate_free_compressor(self.compressor);
            libdeflate_sys::libdeflate_free_decompressor(self.decompressor);
        }
    }
}

/// zlib-ng's own interface. Its `z_stream` has zlib's layout as far as callers here look, and is no longer.
mod ng {
    use super::{c_char, c_int, c_uint, c_ulong, z_stream};
    use libz_ng_sys as ng;

    const _: () = assert!(size_of::<ng::z_stream>() <= size_of::<z_stream>());

    macro_rules! on_stream {
        ($($name:ident($($argument:ident: $type:ty),*) = $function:path;)*) => {$(
            pub unsafe extern "C" fn $name(strm: *mut z_stream, $($argument: $type),*) -> c_int {
                // SAFETY: the caller's promise, passed on.
                unsafe { $function(strm.cast(), $($argument),*) }
            }
        )*};
    }
    on_stream! {
        deflate(flush: c_int) = ng::deflate;
        inflate(flush: c_int) = ng::inflate;
        deflate_end() = ng::deflateEnd;
        inflate_end() = ng::inflateEnd;
        deflate_reset() = ng::deflateReset;
        inflate_reset() = ng::inflateReset;
        deflate_init(
            level: c_int,
            method: c_int,
            window_bits: c_int,
            mem_level: c_int,
            strategy: c_int,
            version: *const c_char,
            size: c_int
        ) = ng::deflateInit2_;
        inflate_init(window_bits: c_int, version: *const c_char, size: c_int) = ng::inflateInit2_;
    }

    pub unsafe extern "C" fn compress(
        dest: *mut u8,
        dest_len: *mut c_ulong,
        source: *const u8,
        source_len: c_ulong,
        level: c_int,
    ) -> c_int {
        // SAFETY: the caller's promise, passed on; `size_t` and `unsigned long` are the same on LP64.
        unsafe { ng::compress2(dest, dest_len.cast(), source, source_len as usize, level) }
    }

    pub unsafe extern "C" fn uncompress(
        dest: *mut u8,
        dest_len: *mut c_ulong,
        source: *const u8,
        source_len: c_ulong,
    ) -> c_int {
        // SAFETY: as above.
        unsafe { ng::uncompress(dest, dest_len.cast(), source, source_len as usize) }
    }

    pub unsafe extern "C" fn crc32(start: c_ulong, bytes: *const u8, len: c_uint) -> c_ulong {
        // SAFETY: the caller's promise, passed on.
        unsafe { ng::crc32(start as u32, bytes, len) }.into()
    }

    pub unsafe extern "C" fn adler32(start: c_ulong, bytes: *const u8, len: c_uint) -> c_ulong {
        // SAFETY: as above.
        unsafe { ng::adler32(start as u32, bytes, len) }.into()
    }
}
