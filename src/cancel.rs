//! Thread cancellation, kept away from a stretch of code.
//!
//! `pthread_cancel` ends a thread at its next cancellation point by unwinding its stack in a way of its own: a `catch_unwind`
//! on the way ends the process. zlib and libcrypto compute and meet no such point; a library that opens files and sleeps in
//! `poll()` meets many. So every front door that does more than compute holds an [`Uncancelled`], and a cancellation takes
//! effect after the call, where the host would have met it with the libraries that these stand for.
#![expect(unsafe_code, reason = "pthread_setcancelstate has no safe interface")]

use std::ffi::c_int;
use std::marker::PhantomData;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// `PTHREAD_CANCEL_DISABLE` of glibc and musl.
const DISABLE: c_int = 1;

/// While one lives, its thread is not cancelled; they nest.
#[derive(Debug)]
pub struct Uncancelled {
    before: c_int,
    /// The state is the thread's.
    _thread: PhantomData<*const ()>,
}

impl Uncancelled {
    /// From now on.
    #[must_use]
    pub fn new() -> Self {
        let mut before = DISABLE;
        // SAFETY: writes the old state to the valid pointer it is given; with this state it cannot fail.
        unsafe { pthread_setcancelstate(DISABLE, &raw mut before) };
        Self { before, _thread: PhantomData }
    }
}

impl Default for Uncancelled {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Uncancelled {
    fn drop(&mut self) {
        let mut ours = 0;
        // SAFETY: as in `new`; the state is one that this call gave. It is no cancellation point itself.
        unsafe { pthread_setcancelstate(self.before, &raw mut ours) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> c_int {
        let now = Uncancelled::new();
        now.before
    }

    #[test]
    fn they_nest_and_leave_the_state_as_it_was() {
        let before = state();
        assert_ne!(before, DISABLE);
        {
            let _outer = Uncancelled::new();
            {
                let _inner = Uncancelled::new();
                assert_eq!(state(), DISABLE);
            }
            assert_eq!(state(), DISABLE);
        }
        assert_eq!(state(), before);
    }
}
