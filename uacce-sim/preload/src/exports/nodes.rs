//! `/dev` with the simulated nodes in it: whoever lists the directory finds them behind what is really there, and whoever
//! asks for their status is told of character devices.
//!
//! A stream over `/dev` gets a second one over the daemon's `dev`, read when the first is at its end. That is all that is
//! remembered about streams, in a small table without a lock: a stream belongs to one thread at a time, as readdir demands.
#![expect(unsafe_code, reason = "replaces libc functions")]

use crate::path::{self, Kind, Place, Target};
use crate::real::next;
use crate::{errno, root, syscall};
use core::ffi::{c_char, c_int, c_long, c_void};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use libc::{AT_FDCWD, dirent};

type Callback = *const c_void;

/// A stream over `/dev`, and what continues it.
struct Stream {
    real: AtomicPtr<c_void>,
    simulated: AtomicPtr<c_void>,
    /// The real one is at its end.
    continued: AtomicBool,
}

/// Listings of `/dev` at one time; more show only what is really there.
const STREAMS: usize = 32;
#[expect(clippy::declare_interior_mutable_const, reason = "the initial value of each")]
const FREE: Stream = Stream {
    real: AtomicPtr::new(core::ptr::null_mut()),
    simulated: AtomicPtr::new(core::ptr::null_mut()),
    continued: AtomicBool::new(false),
};
static OPEN: [Stream; STREAMS] = [FREE; STREAMS];
/// How many are open: the quick way out of every `readdir`.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Takes the slot while its owner is filled in.
const CLAIMED: *mut c_void = core::ptr::without_provenance_mut(1);

fn find(stream: *mut c_void) -> Option<&'static Stream> {
    if COUNT.load(Ordering::Relaxed) == 0 || stream.is_null() {
        return None;
    }
    OPEN.iter().find(|open| open.real.load(Ordering::Acquire) == stream)
}

/// Whether `directory` is the real `/dev`.
fn is_dev(directory: c_int) -> bool {
    // SAFETY: the literals are NUL-terminated; the kernel checks the descriptor.
    unsafe {
        let here = syscall::identity_at(directory, c"".as_ptr().cast(), libc::AT_EMPTY_PATH);
        here.is_some() && here == syscall::identity_at(AT_FDCWD, c"/dev".as_ptr().cast(), 0)
    }
}

/// The daemon's `dev` under its real name, NUL-terminated.
fn simulated_nodes() -> Option<[u8; root::ROOT_BYTES + 8]> {
    let root = root::root()?;
    let mut name = [0; root::ROOT_BYTES + 8];
    name.get_mut(..root.len())?.copy_from_slice(root);
    name.get_mut(root.len()..root.len() + 4)?.copy_from_slice(b"/dev");
    Some(name)
}

/// Remembers a fresh stream if it lists `/dev`.
///
/// # Safety
/// `stream` is null or a stream just opened.
unsafe fn note_stream(stream: *mut c_void) -> *mut c_void {
    if stream.is_null() || root::root().is_none() {
        return stream;
    }
    let before = errno::read();
    // SAFETY: the caller's promise.
    if unsafe { is_dev(libc::dirfd(stream.cast())) } {
        let opened = next!(c"opendir" => fn(*const c_char) -> *mut c_void)
            .zip(simulated_nodes())
            // SAFETY: a NUL-terminated name.
            .map(|(open, name)| unsafe { open(name.as_ptr().cast()) })
            .filter(|opened| !opened.is_null());
        if let Some(opened) = opened {
            let null = core::ptr::null_mut();
            let free = OPEN.iter().find(|slot| {
                slot.real.compare_exchange(null, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            });
            match free {
                Some(slot) => {
                    slot.simulated.store(opened, Ordering::Relaxed);
                    slot.continued.store(false, Ordering::Relaxed);
                    slot.real.store(stream, Ordering::Release);
                    COUNT.fetch_add(1, Ordering::Release);
                }
                // SAFETY: opened above, known to nobody.
                None => unsafe {
                    close_real(opened);
                },
            }
        }
    }
    errno::write(before);
    stream
}

unsafe fn close_real(stream: *mut c_void) -> c_int {
    let Some(next) = next!(c"closedir" => fn(*mut c_void) -> c_int) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: the caller gives up an open stream.
    unsafe { next(stream) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn opendir(name: *const c_char) -> *mut c_void {
    let Some(next) = next!(c"opendir" => fn(*const c_char) -> *mut c_void) else {
        errno::write(libc::ENOSYS);
        return core::ptr::null_mut();
    };
    // SAFETY: the program's promise to libc.
    unsafe {
        path::at(AT_FDCWD, name, |to| {
            let stream = next(to.name);
            if to.kind == Kind::Foreign { note_stream(stream) } else { stream }
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdopendir(directory: c_int) -> *mut c_void {
    let Some(next) = next!(c"fdopendir" => fn(c_int) -> *mut c_void) else {
        errno::write(libc::ENOSYS);
        return core::ptr::null_mut();
    };
    // SAFETY: the program's promise to libc.
    unsafe { note_stream(next(directory)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn closedir(stream: *mut c_void) -> c_int {
    if let Some(open) = find(stream) {
        let simulated = open.simulated.swap(core::ptr::null_mut(), Ordering::Relaxed);
        open.real.store(core::ptr::null_mut(), Ordering::Release);
        COUNT.fetch_sub(1, Ordering::Release);
        // SAFETY: opened with the stream, closed with it.
        unsafe { close_real(simulated) };
    }
    // SAFETY: the program's promise to libc.
    unsafe { close_real(stream) }
}

/// Reads on: the real stream, then the simulated one.
///
/// # Safety
/// `stream` is open and nobody else reads it.
unsafe fn read_on(
    next: unsafe extern "C" fn(*mut c_void) -> *mut dirent,
    stream: *mut c_void,
) -> *mut dirent {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(open) = find(stream) else { return next(stream) };
        if !open.continued.load(Ordering::Relaxed) {
            let before = errno::read();
            errno::write(0);
            let entry = next(stream);
            if !entry.is_null() || errno::read() != 0 {
                if errno::read() == 0 {
                    errno::write(before);
                }
                return entry;
            }
            errno::write(before);
            open.continued.store(true, Ordering::Relaxed);
        }
        loop {
            let entry = next(open.simulated.load(Ordering::Relaxed));
            if entry.is_null() || (*entry).d_name.first() != Some(&(b'.' as c_char)) {
                if !entry.is_null() {
                    (*entry).d_type = libc::DT_CHR;
                }
                return entry;
            }
        }
    }
}

macro_rules! reading {
    ($($symbol:literal $name:ident;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(stream: *mut c_void) -> *mut dirent {
            let Some(next) = next!($symbol => fn(*mut c_void) -> *mut dirent) else {
                errno::write(libc::ENOSYS);
                return core::ptr::null_mut();
            };
            // SAFETY: the program's promise to libc. Both names mean one structure on 64-bit machines.
            unsafe { read_on(next, stream) }
        }
    )* };
}

reading! {
    c"readdir" readdir;
    c"readdir64" readdir64;
}

/// Goes back to the beginning of what continues the stream.
///
/// # Safety
/// As [`read_on`].
unsafe fn begin_again(stream: *mut c_void) {
    if let Some(open) = find(stream) {
        open.continued.store(false, Ordering::Relaxed);
        if let Some(next) = next!(c"rewinddir" => fn(*mut c_void) -> ()) {
            // SAFETY: opened with the stream.
            unsafe { next(open.simulated.load(Ordering::Relaxed)) };
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rewinddir(stream: *mut c_void) {
    let next = next!(c"rewinddir" => fn(*mut c_void) -> ());
    // SAFETY: the program's promise to libc.
    unsafe {
        begin_again(stream);
        if let Some(next) = next {
            next(stream);
        }
    }
}

/// A place among the simulated nodes is not told apart from the end of the real ones: from there all nodes come again.
#[unsafe(no_mangle)]
unsafe extern "C" fn seekdir(stream: *mut c_void, place: c_long) {
    let next = next!(c"seekdir" => fn(*mut c_void, c_long) -> ());
    // SAFETY: the program's promise to libc.
    unsafe {
        begin_again(stream);
        if let Some(next) = next {
            next(stream, place);
        }
    }
}

/// Lists `/dev` as scandir does, through [`read_on`]: libc's own walk would not see the nodes. `None`: another directory.
///
/// # Safety
/// As scandir demands.
pub(super) unsafe fn scan(
    directory: c_int,
    name: *const c_char,
    list: *mut c_void,
    filter: Callback,
    order: Callback,
) -> Option<c_int> {
    root::root()?;
    let read = next!(c"readdir" => fn(*mut c_void) -> *mut dirent)?;
    type Filter = unsafe extern "C" fn(*const dirent) -> c_int;
    type Order = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;
    // SAFETY: the program's promise to libc; null callbacks are `None`.
    unsafe {
        let here = syscall::identity_at(directory, name.cast(), 0)?;
        if Some(here) != syscall::identity_at(AT_FDCWD, c"/dev".as_ptr().cast(), 0) {
            return None;
        }
        let filter: Option<Filter> = core::mem::transmute(filter);
        let order: Option<Order> = core::mem::transmute(order);
        let stream = opendir(c"/dev".as_ptr());
        if stream.is_null() {
            return Some(-1);
        }
        let (mut entries, mut count, mut room) = (core::ptr::null_mut::<*mut dirent>(), 0usize, 0usize);
        loop {
            let entry = read_on(read, stream);
            if entry.is_null() {
                break;
            }
            if filter.is_some_and(|filter| filter(entry) == 0) {
                continue;
            }
            if count == room {
                room = (room * 2).max(64);
                let larger = libc::realloc(entries.cast(), room * size_of::<*mut dirent>());
                if larger.is_null() {
                    break;
                }
                entries = larger.cast();
            }
            let len = usize::from((*entry).d_reclen);
            let copy = libc::malloc(len.max(size_of::<dirent>()));
            if copy.is_null() {
                break;
            }
            core::ptr::copy_nonoverlapping(entry.cast::<u8>(), copy.cast(), len);
            entries.add(count).write(copy.cast());
            count += 1;
        }
        closedir(stream);
        if let Some(order) = order {
            libc::qsort(entries.cast(), count, size_of::<*mut dirent>(), Some(order));
        }
        list.cast::<*mut *mut dirent>().write(entries);
        Some(c_int::try_from(count).unwrap_or(c_int::MAX))
    }
}

/// The part of `glob_t` behind the names: flags, and the functions that list directories for it.
#[repr(C)]
struct Directories {
    flags: c_int,
    close: Callback,
    read: Callback,
    open: Callback,
    lstat: Callback,
    stat: Callback,
}

/// Where that part begins.
const DIRECTORIES: usize = 24;
/// `GLOB_ALTDIRFUNC`.
const OWN_DIRECTORIES: c_int = 1 << 9;

/// Lets glob list `/dev` through the functions of this library, if the pattern leads there.
///
/// # Safety
/// `pattern` is a C string, `found` a `glob_t`.
pub(super) unsafe fn glob_nodes(
    pattern: *const c_char,
    flags: c_int,
    found: *mut c_void,
    go: impl FnOnce(c_int) -> c_int,
) -> c_int {
    // SAFETY: the caller's promise; the structure is the program's to lend.
    unsafe {
        let led = root::root().is_some() && libc::strncmp(pattern, c"/dev/".as_ptr(), 5) == 0;
        if !led || flags & OWN_DIRECTORIES != 0 {
            return go(flags);
        }
        let directories = found.cast::<u8>().add(DIRECTORIES).cast::<Directories>();
        let before = directories.read();
        (*directories).close = closedir as *const c_void;
        (*directories).read = readdir as *const c_void;
        (*directories).open = opendir as *const c_void;
        (*directories).lstat = super::paths::lstat as *const c_void;
        (*directories).stat = super::paths::stat as *const c_void;
        let result = go(flags | OWN_DIRECTORIES);
        let flags = (*directories).flags & !OWN_DIRECTORIES;
        directories.write(Directories { flags, ..before });
        result
    }
}

/// The number behind a node's name; the device's minor number.
fn minor(target: &Target<'_>) -> u32 {
    let name = target.place.map(Place::node).unwrap_or_default();
    let digits = name.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0') % 10))
}

/// A status that `stat` filled: a node's tells of a character device.
///
/// # Safety
/// With a `result` of 0, `status` is a whole `struct stat`.
pub(super) unsafe fn status(target: &Target<'_>, result: c_int, status: *mut c_void) -> c_int {
    if result == 0 && target.kind == Kind::Node {
        // SAFETY: the caller's promise.
        let status = unsafe { &mut *status.cast::<libc::stat>() };
        status.st_mode = libc::S_IFCHR | status.st_mode & 0o7777 & !0o111;
        status.st_rdev = libc::makedev(MAJOR, minor(target));
        status.st_size = 0;
        status.st_blocks = 0;
    }
    result
}

/// As [`status`], for `statx`.
///
/// # Safety
/// With a `result` of 0, `status` is a whole `struct statx`.
pub(super) unsafe fn extended_status(target: &Target<'_>, result: c_int, status: *mut c_void) -> c_int {
    if result == 0 && target.kind == Kind::Node {
        // SAFETY: the caller's promise.
        let status = unsafe { &mut *status.cast::<libc::statx>() };
        #[expect(clippy::cast_possible_truncation, reason = "file types fit")]
        let kind = libc::S_IFCHR as u16;
        status.stx_mode = kind | status.stx_mode & 0o7777 & !0o111;
        status.stx_rdev_major = MAJOR;
        status.stx_rdev_minor = minor(target);
        status.stx_size = 0;
        status.stx_blocks = 0;
    }
    result
}

/// What the `dev` attribute shows.
const MAJOR: u32 = 240;
