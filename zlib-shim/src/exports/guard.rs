//! What stands around every export: no panic and no changed `errno` reaches the host program, and its thread is not
//! cancelled in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use warpdrive::cancel::Uncancelled;

/// Runs `call`; a panic becomes `failed`. Leaves `errno` as it was: device calls may change it.
pub(super) fn guard<R>(failed: R, call: impl FnOnce() -> R) -> R {
    let kept = errno();
    let _uncancelled = Uncancelled::new();
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        // Dropping a payload may panic again.
        std::mem::forget(payload);
        failed
    });
    set_errno(kept);
    result
}

/// Makes panics of this library silent: stderr is the host's. Called where streams begin.
pub(super) fn silence_panics() {
    static ONCE: Once = Once::new();
    if !cfg!(test) {
        // Rust's standard library is linked in statically: the hook is ours alone.
        ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    }
}

fn errno() -> i32 {
    // SAFETY: the address of the calling thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}

pub(super) fn set_errno(value: i32) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = value }
}
