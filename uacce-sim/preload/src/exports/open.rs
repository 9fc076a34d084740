//! Calls that open: a device node becomes a queue of the daemon's, any other name its real file.
#![expect(unsafe_code, reason = "replaces libc functions")]

use super::returned;
use crate::path::{self, Kind, Target};
use crate::real::next;
use crate::{client, errno, syscall};
use core::ffi::{c_char, c_int, c_void};
use libc::{AT_FDCWD, mode_t};

/// Opens a node as the kernel would: `EEXIST`, `ENOTDIR` and `ENOENT` come before the driver.
///
/// # Safety
/// `target` is a node whose name is a C string.
unsafe fn node(target: &Target<'_>, flags: c_int) -> Result<c_int, i32> {
    // SAFETY: the caller's promise.
    if !unsafe { syscall::exists(target.name.cast()) } {
        return Err(libc::ENOENT);
    }
    if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 {
        return Err(libc::EEXIST);
    }
    if flags & libc::O_DIRECTORY != 0 {
        return Err(libc::ENOTDIR);
    }
    client::open(target.place.map(path::Place::node).unwrap_or_default(), flags)
}

/// The flags to open an attribute with. Nobody creates files in sysfs: `O_CREAT` finds an attribute or fails.
///
/// # Safety
/// `target` is an attribute whose name is a C string.
unsafe fn uncreating(target: &Target<'_>, flags: c_int) -> Result<c_int, i32> {
    if flags & libc::O_CREAT == 0 || flags & libc::O_PATH != 0 {
        return Ok(flags);
    }
    // SAFETY: the caller's promise.
    match (unsafe { syscall::exists(target.name.cast()) }, flags & libc::O_EXCL != 0) {
        (true, true) => Err(libc::EEXIST),
        (false, _) if target.place.is_some_and(path::Place::has_parent) => Err(libc::EACCES),
        _ => Ok(flags & !libc::O_CREAT),
    }
}

/// Whether this opening reaches the driver (an `O_PATH` descriptor does not).
fn reaches_driver(target: &Target<'_>, flags: c_int) -> bool {
    target.kind == Kind::Node && flags & libc::O_PATH == 0
}

macro_rules! opening {
    ($($symbol:literal $name:ident($($directory:ident)?);)*) => { $(
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $name($($directory: c_int,)? name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            #[allow(unused_variables)]
            let at = AT_FDCWD;
            $(let at = $directory;)?
            let next = next!($symbol => fn($(opening!(@ c_int $directory),)? *const c_char, c_int, mode_t) -> c_int);
            // SAFETY: the program's promise to libc.
            unsafe {
                path::at(at, name, |to| {
                    if reaches_driver(&to, flags) {
                        return returned(node(&to, flags));
                    }
                    let mut flags = flags;
                    if to.kind == Kind::Attribute {
                        match uncreating(&to, flags) {
                            Ok(allowed) => flags = allowed,
                            Err(number) => return returned(Err(number)),
                        }
                    }
                    match next {
                        Some(next) => next($(opening!(@ pass to $directory),)? to.name, flags, mode),
                        // Before the dynamic linker can answer.
                        None => {
                            let directory = syscall::fd(to.directory);
                            let arguments =
                                [directory, to.name as usize, syscall::fd(flags), mode as usize, 0, 0];
                            let opened = syscall::call(libc::SYS_openat, arguments);
                            returned(opened.map(|number| c_int::try_from(number).unwrap_or(-1)))
                        }
                    }
                })
            }
        }
    )* };
    (@ c_int $directory:ident) => { c_int };
    (@ pass $to:ident $directory:ident) => { $to.directory };
}

// The `_2` forms come from fortified callers, without a mode; a third argument of theirs is never looked at.
opening! {
    c"open" open();
    c"open64" open64();
    c"__open" __open();
    c"__open64" __open64();
    c"__open_2" __open_2();
    c"__open64_2" __open64_2();
    c"openat" openat(directory);
    c"openat64" openat64(directory);
    c"__openat_2" __openat_2(directory);
    c"__openat64_2" __openat64_2(directory);
}

macro_rules! creating {
    ($($symbol:literal $name:ident;)*) => { $(
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $name(name: *const c_char, mode: mode_t) -> c_int {
            let Some(next) = next!($symbol => fn(*const c_char, mode_t) -> c_int) else {
                errno::write(libc::ENOSYS);
                return -1;
            };
            // SAFETY: the program's promise to libc.
            unsafe {
                path::at(AT_FDCWD, name, |to| match to.kind {
                    Kind::Node => returned(node(&to, libc::O_WRONLY)),
                    Kind::Attribute => open(name, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode),
                    _ => next(to.name, mode),
                })
            }
        }
    )* };
}

creating! {
    c"creat" creat;
    c"creat64" creat64;
}

/// The `open` flags of a stdio mode, its letters after the first in any order; `None` for no such mode.
///
/// # Safety
/// `mode` is a C string.
unsafe fn stdio_flags(mode: *const c_char) -> Option<c_int> {
    // SAFETY: the caller's promise.
    let text = unsafe { core::ffi::CStr::from_ptr(mode) }.to_bytes();
    let (one_way, create) = match text.first()? {
        b'r' => (libc::O_RDONLY, 0),
        b'w' | b'a' => (libc::O_WRONLY, libc::O_CREAT),
        _ => return None,
    };
    let letter = |letter, flag| if text.contains(&letter) { flag } else { 0 };
    let access = if text.contains(&b'+') { libc::O_RDWR } else { one_way };
    Some(access | create | letter(b'e', libc::O_CLOEXEC) | letter(b'x', libc::O_EXCL))
}

/// A stream over what `open` would give.
///
/// # Safety
/// `target`'s name and `mode` are C strings.
unsafe fn stream(
    target: &Target<'_>,
    mode: *const c_char,
    next: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    let failed = |number| {
        errno::write(number);
        core::ptr::null_mut()
    };
    if !matches!(target.kind, Kind::Node | Kind::Attribute) {
        return next();
    }
    // SAFETY: the caller's promise; the descriptor is fresh.
    unsafe {
        let Some(flags) = stdio_flags(mode) else { return failed(libc::EINVAL) };
        if target.kind == Kind::Attribute {
            return match uncreating(target, flags) {
                Ok(_) => next(),
                Err(number) => failed(number),
            };
        }
        let device = match node(target, flags) {
            Ok(device) => device,
            Err(number) => return failed(number),
        };
        let stream = libc::fdopen(device, mode).cast::<c_void>();
        if stream.is_null() {
            syscall::close(device);
        }
        stream
    }
}

macro_rules! streams {
    ($($symbol:literal $name:ident;)*) => { $(
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $name(name: *const c_char, mode: *const c_char) -> *mut c_void {
            let Some(next) = next!($symbol => fn(*const c_char, *const c_char) -> *mut c_void) else {
                errno::write(libc::ENOSYS);
                return core::ptr::null_mut();
            };
            // SAFETY: the program's promise to libc.
            unsafe {
                path::at(AT_FDCWD, name, |to| stream(&to, mode, || next(to.name, mode)))
            }
        }
    )* };
}

streams! {
    c"fopen" fopen;
    c"fopen64" fopen64;
}

macro_rules! restreams {
    ($($symbol:literal $name:ident;)*) => { $(
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $name(name: *const c_char, mode: *const c_char, stream: *mut c_void) -> *mut c_void {
            let Some(next) = next!($symbol => fn(*const c_char, *const c_char, *mut c_void) -> *mut c_void) else {
                errno::write(libc::ENOSYS);
                return core::ptr::null_mut();
            };
            // SAFETY: the program's promise to libc.
            unsafe { path::at(AT_FDCWD, name, |to| next(to.name, mode, stream)) }
        }
    )* };
}

restreams! {
    c"freopen" freopen;
    c"freopen64" freopen64;
}
