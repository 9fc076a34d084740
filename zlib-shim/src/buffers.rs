//! Large buffers, lent to streams while they hold something and kept for the next when empty.

use std::sync::Mutex;

/// Buffers kept at most, and the largest worth keeping.
const KEPT: usize = 4;
const KEPT_BYTES: usize = 2 << 20;
/// Smaller ones are left to malloc.
const WORTH_BYTES: usize = 64 << 10;

/// Only ever `try_lock`ed: a child forked while another thread held it must go on without it.
static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer for `len_bytes`, if an idle one is that large; else one without room. The smallest that will do.
pub(crate) fn take(len_bytes: usize) -> Vec<u8> {
    let Ok(mut idle) = IDLE.try_lock() else { return Vec::new() };
    let fits = idle.iter().enumerate().filter(|(_, buffer)| buffer.capacity() >= len_bytes);
    let best = fits.min_by_key(|(_, buffer)| buffer.capacity()).map(|(at, _)| at);
    best.map_or_else(Vec::new, |at| idle.swap_remove(at))
}

/// Gives a buffer back. Its content is forgotten.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if !(WORTH_BYTES..=KEPT_BYTES).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    if let Ok(mut idle) = IDLE.try_lock() {
        if idle.len() < KEPT && idle.try_reserve(1).is_ok() {
            idle.push(buffer);
        }
    }
}
