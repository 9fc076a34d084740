//! The allocator under the software engine: a few finished blocks are kept for the next stream.
//!
//! An engine needs a few hundred kilobytes. Taken from `malloc` each time they would be mapped, faulted in and unmapped
//! for every short stream; taken from the caller's `zalloc` they would break callers that budget for stock zlib's
//! smaller state (nginx does). At most [`KEPT_BLOCKS`] are kept, so an idle process holds little.
#![expect(unsafe_code, reason = "an allocator behind a C function pointer")]

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{c_uint, c_void};
use std::ptr;
use std::sync::Mutex;

/// Idle blocks kept at most, all sizes together.
const KEPT_BLOCKS: usize = 4;
/// Alignment of what the engine gets, and bytes in front of it that remember the block's size.
const ALIGN_BYTES: usize = 64;
/// A block fits a request when it wastes no more than this.
const SLACK_BYTES: usize = 4096;

struct Block {
    start: *mut u8,
    /// Whole size, the remembering part included.
    size_bytes: usize,
}

// SAFETY: a `Block` in the list is owned by the list alone; nothing in it belongs to a thread.
unsafe impl Send for Block {}

/// Only ever `try_lock`ed: a child forked while another thread held it must go on without it.
static KEPT: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// `zalloc` for the engine's streams. NULL when memory is out.
pub(crate) unsafe extern "C" fn zalloc(_opaque: *mut c_void, items: c_uint, size: c_uint) -> *mut c_void {
    let size_bytes = items as usize * size as usize + ALIGN_BYTES;
    let mut block = None;
    if let Ok(mut kept) = KEPT.try_lock() {
        let fits = |b: &Block| b.size_bytes >= size_bytes && b.size_bytes - size_bytes <= SLACK_BYTES;
        if let Some(at) = kept.iter().position(fits) {
            block = Some(kept.swap_remove(at));
        }
    }
    let block = match block {
        Some(block) => block,
        None => {
            let Ok(layout) = Layout::from_size_align(size_bytes, ALIGN_BYTES) else { return ptr::null_mut() };
            // SAFETY: the layout's size is at least ALIGN_BYTES, so not zero.
            let start = unsafe { alloc(layout) };
            if start.is_null() {
                return ptr::null_mut();
            }
            Block { start, size_bytes }
        }
    };
    // SAFETY: a block is at least ALIGN_BYTES long and aligned to it; its first word is ours to write.
    unsafe { block.start.cast::<usize>().write(block.size_bytes) };
    // SAFETY: still inside the block.
    unsafe { block.start.add(ALIGN_BYTES) }.cast()
}

/// `zfree` for the engine's streams: keeps the block if there is room, else gives it back.
pub(crate) unsafe extern "C" fn zfree(_opaque: *mut c_void, address: *mut c_void) {
    if address.is_null() {
        return;
    }
    // SAFETY: the engine frees only what `zalloc` above gave it, ALIGN_BYTES into a block.
    let start = unsafe { address.cast::<u8>().sub(ALIGN_BYTES) };
    // SAFETY: `zalloc` wrote the size there and the engine cannot reach in front of its address.
    let size_bytes = unsafe { start.cast::<usize>().read() };
    if let Ok(mut kept) = KEPT.try_lock() {
        if kept.len() < KEPT_BLOCKS && kept.try_reserve(1).is_ok() {
            kept.push(Block { start, size_bytes });
            return;
        }
    }
    let Ok(layout) = Layout::from_size_align(size_bytes, ALIGN_BYTES) else { return };
    // SAFETY: allocated above with exactly this layout, and not kept.
    unsafe { dealloc(start, layout) };
}
