//! Calls that walk whole trees inside libc: the walk goes through the daemon's directory, what it shows does not name it.
#![expect(unsafe_code, reason = "replaces libc functions")]

use super::paths::hidden;
use crate::errno;
use crate::path::{self, Kind};
use crate::real::next;
use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_long, c_ushort, c_void};
use libc::AT_FDCWD;

type Callback = *const c_void;

/// `struct FTW`.
#[repr(C)]
struct Position {
    base: c_int,
    level: c_int,
}

std::thread_local! {
    /// The program's callback of the walk this thread is in: ftw(3) gives callbacks nothing of their caller's.
    static VISIT: Cell<Callback> = const { Cell::new(core::ptr::null()) };
}

/// Gives the program's callback a name without the daemon's directory.
unsafe extern "C" fn show(
    name: *const c_char,
    status: *const c_void,
    flag: c_int,
    at: *mut Position,
) -> c_int {
    // SAFETY: libc's arguments to a callback; the program's callback was given to ftw or nftw. One of ftw takes the first
    // three arguments, in the same registers.
    unsafe {
        let skip = hidden(CStr::from_ptr(name).to_bytes());
        let visit: unsafe extern "C" fn(*const c_char, *const c_void, c_int, *mut Position) -> c_int =
            core::mem::transmute(VISIT.get());
        if at.is_null() {
            return visit(name.add(skip), status, flag, at);
        }
        let base = (*at).base.saturating_sub_unsigned(u32::try_from(skip).unwrap_or(0));
        let mut shown = Position { base, level: (*at).level };
        visit(name.add(skip), status, flag, &raw mut shown)
    }
}

/// What ftw calls; libc's own passes four arguments here, others three.
unsafe extern "C" fn show_three(name: *const c_char, status: *const c_void, flag: c_int) -> c_int {
    // SAFETY: as in `show`.
    unsafe { show(name, status, flag, core::ptr::null_mut()) }
}

/// Walks with `visit` behind `with` if the tree is simulated.
fn walk(kind: Kind, visit: Callback, with: Callback, go: impl FnOnce(Callback) -> c_int) -> c_int {
    if kind == Kind::Foreign {
        return go(visit);
    }
    // A callback may itself walk.
    let before = VISIT.replace(visit);
    let result = go(with);
    VISIT.set(before);
    result
}

macro_rules! walks {
    ($($symbol:literal $name:ident($($flags:ident)?) $show:expr;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(name: *const c_char, visit: Callback, descriptors: c_int $(, $flags: c_int)?) -> c_int {
            let Some(next) =
                next!($symbol => fn(*const c_char, Callback, c_int $(, walks!(@ c_int $flags))?) -> c_int)
            else {
                errno::write(libc::ENOSYS);
                return -1;
            };
            // SAFETY: the program's promise to libc.
            unsafe {
                path::at(AT_FDCWD, name, |to| {
                    walk(to.kind, visit, $show, |visit| next(to.name, visit, descriptors $(, $flags)?))
                })
            }
        }
    )* };
    (@ c_int $flags:ident) => { c_int };
}

walks! {
    c"ftw" ftw() show_three as *const c_void;
    c"ftw64" ftw64() show_three as *const c_void;
    c"nftw" nftw(flags) show as *const c_void;
    c"nftw64" nftw64(flags) show as *const c_void;
}

/// The part of `FTS` that is looked at (fts.h).
#[repr(C)]
struct Walk {
    current: *mut Entry,
    child: *mut Entry,
    array: *mut *mut Entry,
    device: libc::dev_t,
    path: *mut c_char,
}

/// The part of `FTSENT` that is looked at (fts.h).
#[repr(C)]
struct Entry {
    cycle: *mut Self,
    parent: *mut Self,
    link: *mut Self,
    number: c_long,
    pointer: *mut c_void,
    access_path: *mut c_char,
    path: *mut c_char,
    errno: c_int,
    descriptor: c_int,
    path_len: c_ushort,
}

/// Most starting points that are led; more are taken as they are.
const STARTS: usize = 16;

/// Leads the starting points from `index` on to where they lie, then acts on all.
///
/// # Safety
/// `starts` points at strings, then a null.
unsafe fn lead(
    starts: *const *mut c_char,
    led: &mut [*mut c_char; STARTS + 1],
    index: usize,
    act: &mut dyn FnMut(*const *mut c_char) -> *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller's promise; every earlier one was not null.
    unsafe {
        let start = *starts.add(index);
        if start.is_null() {
            return act(led.as_ptr());
        }
        path::at(AT_FDCWD, start, |to| match led.get_mut(index) {
            Some(place) if index < STARTS => {
                *place = to.name.cast_mut();
                lead(starts, led, index + 1, act)
            }
            _ => act(starts),
        })
    }
}

/// Takes the daemon's directory off the entry a walk shows now.
///
/// # Safety
/// `walk` is one of fts's.
unsafe fn cover(walk: *mut Walk) {
    // SAFETY: the caller's promise; an entry's path is a string in the walk's buffer.
    unsafe {
        let entry = (*walk).current;
        if entry.is_null() || (*entry).path.is_null() || (*entry).path != (*walk).path {
            return;
        }
        let skip = hidden(CStr::from_ptr((*entry).path).to_bytes());
        let Ok(short) = c_ushort::try_from(skip) else { return };
        if (*entry).access_path == (*entry).path {
            (*entry).access_path = (*entry).access_path.add(skip);
        }
        (*entry).path = (*entry).path.add(skip);
        (*entry).path_len = (*entry).path_len.saturating_sub(short);
    }
}

/// Undoes [`cover`], so that libc finds its walk as it left it.
///
/// # Safety
/// `walk` is one of fts's.
unsafe fn uncover(walk: *mut Walk) {
    // SAFETY: the caller's promise; libc keeps every entry's path at the start of the walk's buffer.
    unsafe {
        let entry = (*walk).current;
        if entry.is_null() || (*entry).path.is_null() || (*entry).path == (*walk).path {
            return;
        }
        let skip = ((*entry).path as usize).wrapping_sub((*walk).path as usize);
        let Ok(short) = c_ushort::try_from(skip) else { return };
        if (*entry).access_path == (*entry).path {
            (*entry).access_path = (*walk).path;
        }
        (*entry).path = (*walk).path;
        (*entry).path_len = (*entry).path_len.saturating_add(short);
    }
}

macro_rules! hierarchy {
    ($($open_symbol:literal $open:ident, $read_symbol:literal $read:ident, $children_symbol:literal $children:ident;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $open(starts: *const *mut c_char, options: c_int, order: Callback) -> *mut c_void {
            let Some(next) = next!($open_symbol => fn(*const *mut c_char, c_int, Callback) -> *mut c_void) else {
                errno::write(libc::ENOSYS);
                return core::ptr::null_mut();
            };
            // SAFETY: the program's promise to libc: strings, then a null. fts copies them.
            unsafe {
                if starts.is_null() {
                    return next(starts, options, order);
                }
                let mut led = [core::ptr::null_mut(); STARTS + 1];
                lead(starts, &mut led, 0, &mut |starts| next(starts, options, order))
            }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $read(walk: *mut c_void) -> *mut c_void {
            let Some(next) = next!($read_symbol => fn(*mut c_void) -> *mut c_void) else {
                errno::write(libc::ENOSYS);
                return core::ptr::null_mut();
            };
            // SAFETY: the program's promise to libc.
            unsafe {
                uncover(walk.cast());
                let entry = next(walk);
                cover(walk.cast());
                entry
            }
        }

        /// The children's paths stay as the daemon spells them; their names are what programs look at.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $children(walk: *mut c_void, options: c_int) -> *mut c_void {
            let Some(next) = next!($children_symbol => fn(*mut c_void, c_int) -> *mut c_void) else {
                errno::write(libc::ENOSYS);
                return core::ptr::null_mut();
            };
            // SAFETY: the program's promise to libc.
            unsafe {
                uncover(walk.cast());
                let first = next(walk, options);
                cover(walk.cast());
                first
            }
        }
    )* };
}

hierarchy! {
    c"fts_open" fts_open, c"fts_read" fts_read, c"fts_children" fts_children;
    c"fts64_open" fts64_open, c"fts64_read" fts64_read, c"fts64_children" fts64_children;
}
