//! `errno` of the calling thread.
#![expect(unsafe_code, reason = "errno is a C thread-local")]

/// Reads it.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn read() -> i32 {
    // SAFETY: libc returns the address of this thread's errno, always valid.
    unsafe { *libc::__errno_location() }
}

/// Writes it.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn write(value: i32) {
    // SAFETY: as in `read`.
    unsafe { *libc::__errno_location() = value }
}
