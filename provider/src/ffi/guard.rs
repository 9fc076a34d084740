//! Every call from C enters here: a panic becomes the function's failure value, `errno` leaves as it came, and the thread is
//! not cancelled in between.
#![expect(unsafe_code, reason = "errno is a C variable")]

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use warpdrive::cancel::Uncancelled;

/// What a C function of this type answers when it failed.
pub(crate) trait Failure {
    /// The value.
    const VALUE: Self;
}

impl Failure for c_int {
    const VALUE: Self = 0;
}

impl Failure for () {
    const VALUE: Self = ();
}

impl<T> Failure for *const T {
    const VALUE: Self = std::ptr::null();
}

impl<T> Failure for *mut T {
    const VALUE: Self = std::ptr::null_mut();
}

/// Runs `body`; after a panic, runs `report` and answers the failure value.
pub(crate) fn guard<T: Failure>(report: impl FnOnce(), body: impl FnOnce() -> T) -> T {
    let errno = Errno::save();
    let _uncancelled = Uncancelled::new();
    let value = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            // A payload whose drop panics must not escape either.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
            let _ = catch_unwind(AssertUnwindSafe(report));
            T::VALUE
        }
    };
    errno.restore();
    value
}

/// A panic is caught and reported through OpenSSL's error queue; the standard library's own message would go to the host
/// program's stderr. This silences only the copy of the standard library inside this module.
pub(crate) fn silence_panics() {
    #[cfg(not(test))]
    std::panic::set_hook(Box::new(|_| {}));
}

struct Errno(c_int);

impl Errno {
    fn save() -> Self {
        // SAFETY: the address of the calling thread's errno is always valid.
        Self(unsafe { *libc::__errno_location() })
    }

    fn restore(self) {
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = self.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_failure_value_and_is_reported_once() {
        let mut reports = 0;
        let value: c_int = guard(|| reports += 1, || panic!("as a caller would see it"));
        assert_eq!((value, reports), (0, 1));
        let pointer: *mut u8 = guard(|| reports += 1, || panic!("again"));
        assert!(pointer.is_null());
        assert_eq!(reports, 2);
    }

    #[test]
    fn a_panicking_report_does_not_escape() {
        let value: c_int = guard(|| panic!("report"), || panic!("body"));
        assert_eq!(value, 0);
    }

    #[test]
    fn errno_leaves_as_it_came() {
        // SAFETY: the calling thread's errno.
        unsafe { *libc::__errno_location() = libc::EINTR };
        let value: c_int = guard(
            || (),
            || {
                // SAFETY: as above.
                unsafe { *libc::__errno_location() = libc::ENOENT };
                1
            },
        );
        assert_eq!(value, 1);
        // SAFETY: as above.
        assert_eq!(unsafe { *libc::__errno_location() }, libc::EINTR);
    }
}
