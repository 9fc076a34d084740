//! Calls that take one path: it is led to where it really lies. Answers that are paths lose the daemon's directory.
#![expect(unsafe_code, reason = "replaces libc functions")]

use super::nodes;
use crate::real::next;
use crate::{errno, path, root};
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use libc::{AT_FDCWD, size_t, ssize_t};

/// `symbol name(arguments) -> result else failure, at (directory, path) => target (arguments for the next definition)`.
macro_rules! follow {
    ($($symbol:literal $name:ident($($argument:ident: $type:ty),*) -> $result:ty, else $failure:expr,
        at ($directory:expr, $path:expr) => $target:ident ($($pass:expr),*) $(=> $after:tt)?;)*) => { $(
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            let Some(next) = next!($symbol => fn($($type),*) -> $result) else {
                errno::write(libc::ENOSYS);
                return $failure;
            };
            // SAFETY: the path is a C string and the rest as the function demands, by the program's promise to libc.
            unsafe { path::at($directory, $path, |$target| follow!(@ $($after)? $target, next($($pass),*))) }
        }
    )* };
    (@ $target:ident, $result:expr) => { $result };
    (@ ($after:path, $status:ident) $target:ident, $result:expr) => { $after(&$target, $result, $status) };
}

follow! {
    c"stat" stat(name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, status) => (nodes::status, status);
    c"stat64" stat64(name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, status) => (nodes::status, status);
    c"lstat" lstat(name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, status) => (nodes::status, status);
    c"lstat64" lstat64(name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, status) => (nodes::status, status);
    c"fstatat" fstatat(directory: c_int, name: *const c_char, status: *mut c_void, flags: c_int) -> c_int, else -1,
        at (directory, name) => to (to.directory, to.name, status, flags) => (nodes::status, status);
    c"fstatat64" fstatat64(directory: c_int, name: *const c_char, status: *mut c_void, flags: c_int) -> c_int, else -1,
        at (directory, name) => to (to.directory, to.name, status, flags) => (nodes::status, status);
    c"statx" statx(directory: c_int, name: *const c_char, flags: c_int, mask: c_uint, status: *mut c_void) -> c_int,
        else -1, at (directory, name) => to (to.directory, to.name, flags, mask, status) => (nodes::extended_status, status);
    c"access" access(name: *const c_char, mode: c_int) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, mode);
    c"euidaccess" euidaccess(name: *const c_char, mode: c_int) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, mode);
    c"eaccess" eaccess(name: *const c_char, mode: c_int) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, mode);
    c"faccessat" faccessat(directory: c_int, name: *const c_char, mode: c_int, flags: c_int) -> c_int, else -1,
        at (directory, name) => to (to.directory, to.name, mode, flags);
    c"statfs" statfs(name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, status);
    c"statfs64" statfs64(name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, status);
    c"statvfs" statvfs(name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, status);
    c"statvfs64" statvfs64(name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name, status);
    c"chdir" chdir(name: *const c_char) -> c_int, else -1,
        at (AT_FDCWD, name) => to (to.name);
    c"inotify_add_watch" inotify_add_watch(watcher: c_int, name: *const c_char, mask: c_uint) -> c_int, else -1,
        at (AT_FDCWD, name) => to (watcher, to.name, mask);
    c"getxattr" getxattr(name: *const c_char, attribute: *const c_char, value: *mut c_void, size: size_t) -> ssize_t,
        else -1, at (AT_FDCWD, name) => to (to.name, attribute, value, size);
    c"lgetxattr" lgetxattr(name: *const c_char, attribute: *const c_char, value: *mut c_void, size: size_t) -> ssize_t,
        else -1, at (AT_FDCWD, name) => to (to.name, attribute, value, size);
    c"listxattr" listxattr(name: *const c_char, list: *mut c_char, size: size_t) -> ssize_t, else -1,
        at (AT_FDCWD, name) => to (to.name, list, size);
    c"llistxattr" llistxattr(name: *const c_char, list: *mut c_char, size: size_t) -> ssize_t, else -1,
        at (AT_FDCWD, name) => to (to.name, list, size);
}

// Programs built before glibc 2.33 reach stat through these; libraries without them never call here.
#[cfg(target_arch = "x86_64")]
follow! {
    c"__xstat" __xstat(version: c_int, name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (version, to.name, status) => (nodes::status, status);
    c"__xstat64" __xstat64(version: c_int, name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (version, to.name, status) => (nodes::status, status);
    c"__lxstat" __lxstat(version: c_int, name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (version, to.name, status) => (nodes::status, status);
    c"__lxstat64" __lxstat64(version: c_int, name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (version, to.name, status) => (nodes::status, status);
    c"__fxstatat" __fxstatat(version: c_int, directory: c_int, name: *const c_char, status: *mut c_void, flags: c_int)
        -> c_int, else -1, at (directory, name) => to (version, to.directory, to.name, status, flags) => (nodes::status, status);
    c"__fxstatat64" __fxstatat64(version: c_int, directory: c_int, name: *const c_char, status: *mut c_void, flags: c_int)
        -> c_int, else -1, at (directory, name) => to (version, to.directory, to.name, status, flags) => (nodes::status, status);
}
#[cfg(target_arch = "aarch64")]
follow! {
    c"__xstat" __xstat(version: c_int, name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (version, to.name, status) => (nodes::status, status);
    c"__lxstat" __lxstat(version: c_int, name: *const c_char, status: *mut c_void) -> c_int, else -1,
        at (AT_FDCWD, name) => to (version, to.name, status) => (nodes::status, status);
    c"__fxstatat" __fxstatat(version: c_int, directory: c_int, name: *const c_char, status: *mut c_void, flags: c_int)
        -> c_int, else -1, at (directory, name) => to (version, to.directory, to.name, status, flags) => (nodes::status, status);
}

/// How many bytes at the start of an answer a program must not see.
pub(super) fn hidden(answer: &[u8]) -> usize {
    root::root().and_then(|root| path::hidden_prefix(root, answer)).unwrap_or(0)
}

/// Takes the daemon's directory off a NUL-terminated answer, in place.
///
/// # Safety
/// `answer` is null or a writable NUL-terminated string.
pub(super) unsafe fn show(answer: *mut c_char) -> *mut c_char {
    if !answer.is_null() {
        // SAFETY: the caller's promise; the move stays inside the string, its NUL included.
        unsafe {
            let text = CStr::from_ptr(answer).to_bytes();
            let (len, skip) = (text.len() + 1, hidden(text));
            if skip != 0 {
                core::ptr::copy(answer.add(skip), answer, len - skip);
            }
        }
    }
    answer
}

/// Takes the daemon's directory off a link's target of `len` bytes, in place. Returns its length then.
///
/// # Safety
/// `answer` is writable for `len` bytes if `len` is positive.
unsafe fn show_link(answer: *mut c_char, len: ssize_t) -> ssize_t {
    let Ok(whole) = usize::try_from(len) else { return len };
    // SAFETY: the caller's promise.
    let bytes = unsafe { core::slice::from_raw_parts_mut(answer.cast::<u8>(), whole) };
    let skip = hidden(bytes);
    if skip != 0 {
        bytes.copy_within(skip.., 0);
    }
    ssize_t::try_from(whole - skip).unwrap_or(len)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn readlink(name: *const c_char, answer: *mut c_char, size: size_t) -> ssize_t {
    let Some(next) = next!(c"readlink" => fn(*const c_char, *mut c_char, size_t) -> ssize_t) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: the program's promise to libc.
    unsafe { path::at(AT_FDCWD, name, |to| show_link(answer, next(to.name, answer, size))) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn readlinkat(
    directory: c_int,
    name: *const c_char,
    answer: *mut c_char,
    size: size_t,
) -> ssize_t {
    let Some(next) = next!(c"readlinkat" => fn(c_int, *const c_char, *mut c_char, size_t) -> ssize_t) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: the program's promise to libc.
    unsafe { path::at(directory, name, |to| show_link(answer, next(to.directory, to.name, answer, size))) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __readlink_chk(
    name: *const c_char,
    answer: *mut c_char,
    size: size_t,
    room: size_t,
) -> ssize_t {
    let Some(next) = next!(c"__readlink_chk" => fn(*const c_char, *mut c_char, size_t, size_t) -> ssize_t)
    else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: the program's promise to libc.
    unsafe { path::at(AT_FDCWD, name, |to| show_link(answer, next(to.name, answer, size, room))) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __readlinkat_chk(
    directory: c_int,
    name: *const c_char,
    answer: *mut c_char,
    size: size_t,
    room: size_t,
) -> ssize_t {
    let Some(next) =
        next!(c"__readlinkat_chk" => fn(c_int, *const c_char, *mut c_char, size_t, size_t) -> ssize_t)
    else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: the program's promise to libc.
    unsafe {
        path::at(directory, name, |to| show_link(answer, next(to.directory, to.name, answer, size, room)))
    }
}

// glibc's realpath makes its own system calls, so the name goes in translated and the answer comes out translated.

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn realpath(name: *const c_char, answer: *mut c_char) -> *mut c_char {
    let Some(next) = next!(c"realpath" => fn(*const c_char, *mut c_char) -> *mut c_char) else {
        errno::write(libc::ENOSYS);
        return core::ptr::null_mut();
    };
    // SAFETY: the program's promise to libc.
    unsafe { path::at(AT_FDCWD, name, |to| show(next(to.name, answer))) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __realpath_chk(
    name: *const c_char,
    answer: *mut c_char,
    room: size_t,
) -> *mut c_char {
    let Some(next) = next!(c"__realpath_chk" => fn(*const c_char, *mut c_char, size_t) -> *mut c_char) else {
        errno::write(libc::ENOSYS);
        return core::ptr::null_mut();
    };
    // SAFETY: the program's promise to libc.
    unsafe { path::at(AT_FDCWD, name, |to| show(next(to.name, answer, room))) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn canonicalize_file_name(name: *const c_char) -> *mut c_char {
    let Some(next) = next!(c"canonicalize_file_name" => fn(*const c_char) -> *mut c_char) else {
        errno::write(libc::ENOSYS);
        return core::ptr::null_mut();
    };
    // SAFETY: the program's promise to libc.
    unsafe { path::at(AT_FDCWD, name, |to| show(next(to.name))) }
}

/// The working directory, entered through `chdir`, under the name it was entered by.
macro_rules! working_directory {
    ($($symbol:literal $name:ident($($argument:ident: $type:ty),*);)*) => { $(
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $name($($argument: $type),*) -> *mut c_char {
            let Some(next) = next!($symbol => fn($($type),*) -> *mut c_char) else {
                errno::write(libc::ENOSYS);
                return core::ptr::null_mut();
            };
            // SAFETY: the program's promise to libc.
            unsafe { show(next($($argument),*)) }
        }
    )* };
}

working_directory! {
    c"getcwd" getcwd(answer: *mut c_char, size: size_t);
    c"__getcwd_chk" __getcwd_chk(answer: *mut c_char, size: size_t, room: size_t);
    c"getwd" getwd(answer: *mut c_char);
    c"__getwd_chk" __getwd_chk(answer: *mut c_char, room: size_t);
    c"get_current_dir_name" get_current_dir_name();
}
