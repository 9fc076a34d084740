//! The object behind `z_stream.state`.
//!
//! A few dozen bytes from the caller's `zalloc`; the stream proper is the shim's own memory, so that callers with a
//! tight allocator never see more than zlib's own needs. It checks itself: a stream that was copied by value, that
//! belongs to another zlib in the process, or that is of the other kind, is refused with `Z_STREAM_ERROR`, never followed.
#![expect(unsafe_code, reason = "turns the caller's z_stream into the stream behind it")]

use std::ffi::{c_uint, c_void};
use std::mem::size_of;

use super::z_stream;

/// A kind of stream, told apart by its tag.
pub(crate) trait Body {
    /// Different for every kind.
    const KIND: u64;
    /// Whether a `z_stream` that was copied by value is the stream as well.
    const MOVABLE: bool = false;
}

/// "warpdrvz", first word of every block: no pointer of another zlib's state looks like it.
const MAGIC: u64 = u64::from_le_bytes(*b"warpdrvz");

#[repr(C)]
struct Block<T> {
    magic: u64,
    kind: u64,
    /// The stream this block was made for.
    owner: *mut z_stream,
    /// From `Box`.
    body: *mut T,
    /// A call is under way, or one panicked and left the body in an unknown state.
    busy: bool,
}

/// Puts zlib's defaults into unset allocator fields, as every `*Init*_` does (zlib.h, z_stream).
pub(crate) fn default_allocator(strm: &mut z_stream) {
    if strm.zalloc.is_none() {
        strm.zalloc = Some(zcalloc);
        strm.opaque = std::ptr::null_mut();
    }
    if strm.zfree.is_none() {
        strm.zfree = Some(zcfree);
    }
}

/// Installs `body` behind `strm.state`. `Err`: `zalloc` had nothing; nothing was changed.
///
/// # Safety
/// `strm` is valid, its allocator fields are set and keep zlib's contract: `zalloc(opaque, items, size)` returns NULL or
/// `items * size` bytes aligned for any object.
pub(crate) unsafe fn install<T: Body>(strm: *mut z_stream, body: Box<T>) -> Result<(), Box<T>> {
    // SAFETY: valid, promised by the caller.
    let fields = unsafe { &mut *strm };
    let Some(zalloc) = fields.zalloc else { return Err(body) };
    #[expect(clippy::cast_possible_truncation, reason = "a few dozen bytes")]
    // SAFETY: zlib's contract for zalloc, promised by the caller.
    let memory = unsafe { zalloc(fields.opaque, 1, size_of::<Block<T>>() as c_uint) };
    if memory.is_null() {
        return Err(body);
    }
    let block = Block { magic: MAGIC, kind: T::KIND, owner: strm, body: Box::into_raw(body), busy: false };
    // SAFETY: freshly allocated for exactly this type.
    unsafe { memory.cast::<Block<T>>().write(block) };
    fields.state = memory.cast();
    Ok(())
}

/// The checks of zlib's own state check, and a few more.
///
/// # Safety
/// `strm` is NULL or a readable `z_stream` whose `state` is NULL or what some zlib put there.
unsafe fn find<T: Body>(strm: *mut z_stream) -> Option<*mut Block<T>> {
    // SAFETY: NULL or readable, promised by the caller.
    let fields = unsafe { strm.as_ref() }?;
    if fields.zalloc.is_none() || fields.zfree.is_none() || fields.state.is_null() {
        return None;
    }
    let block = fields.state.cast::<Block<T>>();
    if !block.is_aligned() {
        return None;
    }
    // SAFETY: every zlib's state begins with at least one pointer, so a word is readable whoever made it.
    if unsafe { (*block).magic } != MAGIC {
        return None;
    }
    // SAFETY: the magic says that this is one of our blocks; the three words stand at the same place in all of them.
    let (kind, owner) = unsafe { ((*block).kind, (*block).owner) };
    (kind == T::KIND && (T::MOVABLE || std::ptr::eq(owner, strm))).then_some(block)
}

/// Runs `call` on the stream behind `strm`, or returns `refused` when there is none (or a call is under way).
///
/// # Safety
/// As zlib demands of its callers: `strm` is NULL or a valid `z_stream`, used by one thread at a time.
pub(crate) unsafe fn with<T: Body, R>(
    strm: *mut z_stream,
    refused: R,
    call: impl FnOnce(&mut z_stream, &mut T) -> R,
) -> R {
    // SAFETY: passed on from the caller.
    let Some(block) = (unsafe { find::<T>(strm) }) else { return refused };
    // SAFETY: `find` says that this is our block, and the caller that no other thread uses it.
    if unsafe { std::mem::replace(&mut (*block).busy, true) } {
        return refused;
    }
    // SAFETY: `body` came from Box::into_raw in `install` and is freed only by `remove`; `busy` keeps it to this call.
    let body = unsafe { &mut *(*block).body };
    // SAFETY: valid, checked by `find`; the block and the body are other objects.
    let result = call(unsafe { &mut *strm }, body);
    // SAFETY: as above. Not reached by a panic: the stream then stays refused.
    unsafe { (*block).busy = false };
    result
}

/// As [`with`], for `inflateBack`, whose callbacks may leave by `longjmp`: nothing is marked, nothing waits to be dropped.
///
/// # Safety
/// As [`with`].
pub(crate) unsafe fn with_unmarked<T: Body, R>(
    strm: *mut z_stream,
    refused: R,
    call: impl FnOnce(*mut z_stream, &mut T) -> R,
) -> R {
    // SAFETY: passed on from the caller.
    let Some(block) = (unsafe { find::<T>(strm) }) else { return refused };
    // SAFETY: as in `with`.
    let body = unsafe { &mut *(*block).body };
    call(strm, body)
}

/// Takes the stream away from `strm` and frees its block.
///
/// # Safety
/// As [`with`].
pub(crate) unsafe fn remove<T: Body>(strm: *mut z_stream) -> Option<Box<T>> {
    // SAFETY: passed on from the caller.
    let block = unsafe { find::<T>(strm) }?;
    // SAFETY: `find` says that this is our block.
    let Block { body, busy, .. } = unsafe { block.read() };
    // SAFETY: ours; the magic must not survive in freed memory.
    unsafe { (*block).magic = 0 };
    // SAFETY: valid, checked by `find`.
    let fields = unsafe { &mut *strm };
    fields.state = std::ptr::null_mut();
    if let Some(zfree) = fields.zfree {
        // SAFETY: allocated by the matching zalloc; the opaque is the caller's to keep (zlib.h).
        unsafe { zfree(fields.opaque, block.cast()) };
    }
    // A body that panicked is leaked: dropping it could touch what the panic left half done.
    // SAFETY: from Box::into_raw in `install`, taken out exactly once because `state` is now NULL.
    (!busy).then(|| unsafe { Box::from_raw(body) })
}

/// zlib's default `zalloc`.
unsafe extern "C" fn zcalloc(_opaque: *mut c_void, items: c_uint, size: c_uint) -> *mut c_void {
    // SAFETY: malloc takes any size.
    unsafe { libc::malloc((items as usize).saturating_mul(size as usize)) }
}

/// zlib's default `zfree`.
unsafe extern "C" fn zcfree(_opaque: *mut c_void, address: *mut c_void) {
    // SAFETY: zlib's contract: only what zcalloc returned comes back here.
    unsafe { libc::free(address) }
}
