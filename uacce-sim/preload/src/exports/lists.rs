//! Calls that walk directories inside libc, where no other interposed call is met on the way.
#![expect(unsafe_code, reason = "replaces libc functions")]

use super::nodes;
use super::paths::show;
use crate::errno;
use crate::path::{self, Kind};
use crate::real::next;
use core::ffi::{c_char, c_int, c_void};
use libc::AT_FDCWD;

type Callback = *const c_void;

macro_rules! scan {
    ($($symbol:literal $name:ident($($directory:ident)?);)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            $($directory: c_int,)?
            name: *const c_char,
            list: *mut c_void,
            filter: Callback,
            order: Callback,
        ) -> c_int {
            let Some(next) = next!($symbol => fn(
                $(scan!(@ c_int $directory),)? *const c_char, *mut c_void, Callback, Callback) -> c_int)
            else {
                errno::write(libc::ENOSYS);
                return -1;
            };
            #[allow(unused_variables)]
            let at = AT_FDCWD;
            $(let at = $directory;)?
            // SAFETY: the program's promise to libc.
            unsafe {
                path::at(at, name, |to| {
                    let nodes = match to.kind {
                        Kind::Foreign => nodes::scan(to.directory, to.name, list, filter, order),
                        _ => None,
                    };
                    nodes.unwrap_or_else(|| next($(scan!(@ pass to $directory),)? to.name, list, filter, order))
                })
            }
        }
    )* };
    (@ c_int $directory:ident) => { c_int };
    (@ pass $to:ident $directory:ident) => { $to.directory };
}

scan! {
    c"scandir" scandir();
    c"scandir64" scandir64();
    c"scandirat" scandirat(directory);
    c"scandirat64" scandirat64(directory);
}

/// The part of `glob_t` that is looked at.
#[repr(C)]
struct Found {
    count: usize,
    paths: *mut *mut c_char,
    offset: usize,
}

macro_rules! glob {
    ($($symbol:literal $name:ident;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            pattern: *const c_char,
            flags: c_int,
            on_error: Callback,
            found: *mut c_void,
        ) -> c_int {
            let Some(next) = next!($symbol => fn(*const c_char, c_int, Callback, *mut c_void) -> c_int) else {
                errno::write(libc::ENOSYS);
                return libc::GLOB_ABORTED;
            };
            // SAFETY: the program's promise to libc.
            unsafe {
                path::at(AT_FDCWD, pattern, |to| {
                    let go = |flags| next(to.name, flags, on_error, found);
                    if to.kind == Kind::Foreign {
                        return nodes::glob_nodes(pattern, flags, found, go);
                    }
                    let result = go(flags);
                    if result == 0 {
                        show_all(found.cast(), flags);
                    }
                    result
                })
            }
        }
    )* };
}

glob! {
    c"glob" glob;
    c"glob64" glob64;
}

/// Takes the daemon's directory off every name found.
///
/// # Safety
/// `found` is what a successful `glob` filled.
unsafe fn show_all(found: *mut Found, flags: c_int) {
    // SAFETY: the caller's promise: `offset` places, then `count` strings of glob's own.
    unsafe {
        let offset = if flags & libc::GLOB_DOOFFS != 0 { (*found).offset } else { 0 };
        for index in offset..offset + (*found).count {
            show(*(*found).paths.add(index));
        }
    }
}
