//! The functions a program finds here instead of libc's. Each is short: look at the arguments, then the next definition
//! in line, or the daemon.
//!
//! Variadic C functions are defined with all their arguments: on both architectures a variadic call passes integers
//! and pointers exactly so.

mod lists;
mod machine;
mod memory;
mod nodes;
mod open;
mod paths;
mod polls;
mod raw;
mod signals;
mod walks;

/// A system call's result as C has it: -1 and `errno`.
fn returned(result: Result<core::ffi::c_int, i32>) -> core::ffi::c_int {
    result.unwrap_or_else(|number| {
        crate::errno::write(number);
        -1
    })
}
