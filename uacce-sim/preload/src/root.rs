//! The daemon's directory, read from the environment once.
#![expect(unsafe_code, reason = "reads the environment block, fills a static once")]

use crate::syscall;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use uacce_sim_protocol::{PAGE_SIZE_NAME, ROOT_VARIABLE, SOCKET_NAME};

/// Longest directory name served, bytes. (A socket's name ends at 107, so real ones are shorter.)
pub(crate) const ROOT_BYTES: usize = 256;

unsafe extern "C" {
    /// secure_getenv(3); the libc crate leaves it out.
    fn secure_getenv(name: *const libc::c_char) -> *mut libc::c_char;
}

/// Bytes of a Unix socket address, and of its part before the path.
#[expect(clippy::cast_possible_truncation, reason = "110 bytes")]
pub(crate) const SOCKET_ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_un>() as libc::socklen_t;
#[expect(clippy::cast_possible_truncation, reason = "two bytes")]
pub(crate) const SOCKET_HEADER_LEN: libc::socklen_t =
    core::mem::offset_of!(libc::sockaddr_un, sun_path) as libc::socklen_t;
#[expect(clippy::cast_possible_truncation, reason = "the number is 1")]
const FAMILY: libc::sa_family_t = libc::AF_UNIX as libc::sa_family_t;

/// A name that is written once.
struct Name {
    len: AtomicUsize,
    bytes: UnsafeCell<[u8; ROOT_BYTES]>,
}

impl Name {
    const fn empty() -> Self {
        Self { len: AtomicUsize::new(0), bytes: UnsafeCell::new([0; ROOT_BYTES]) }
    }

    /// # Safety
    /// Only by the thread that moved the state from UNREAD to READING, before it moves it on.
    unsafe fn write(&self, name: &[u8]) {
        // SAFETY: the caller's promise; nobody reads before PRESENT.
        let bytes = unsafe { &mut *self.bytes.get() };
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
        }
        self.len.store(name.len().min(ROOT_BYTES), Ordering::Relaxed);
    }

    /// # Safety
    /// The state is PRESENT.
    unsafe fn read(&self) -> &[u8] {
        // SAFETY: the caller's promise: the bytes are complete and never change again.
        let bytes: &[u8; ROOT_BYTES] = unsafe { &*self.bytes.get() };
        bytes.get(..self.len.load(Ordering::Relaxed)).unwrap_or_default()
    }
}

struct Root {
    state: AtomicU8,
    /// As the environment spells it: short enough for a socket address where the other is not.
    given: Name,
    /// As the kernel spells it, and so every answer that names what lies below.
    canonical: Name,
}

const UNREAD: u8 = 0;
const READING: u8 = 1;
const ABSENT: u8 = 2;
const PRESENT: u8 = 3;

// SAFETY: the names are written by the one thread that moved `state` from UNREAD to READING, and read only after PRESENT.
unsafe impl Sync for Root {}

static ROOT: Root = Root { state: AtomicU8::new(UNREAD), given: Name::empty(), canonical: Name::empty() };

/// The directory as the kernel spells it: absolute, without links, without a trailing slash. `None` when nothing is
/// simulated.
#[inline]
pub(crate) fn root() -> Option<&'static [u8]> {
    // SAFETY: read after PRESENT.
    is_present().then(|| unsafe { ROOT.canonical.read() })
}

#[inline]
fn is_present() -> bool {
    match ROOT.state.load(Ordering::Acquire) {
        ABSENT => false,
        PRESENT => true,
        _ => first_time(),
    }
}

/// At load, before the program has threads or changes its environment: the directory is read. Where something is
/// simulated, a mask inherited over `exec` must not hold SIGSEGV back, or the first doorbell kills the thread.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        if is_present() {
            syscall::signal_mask(libc::SIG_UNBLOCK, 1 << (libc::SIGSEGV - 1));
        }
    }
    at_load
};

#[cold]
#[inline(never)]
fn first_time() -> bool {
    if ROOT.state.compare_exchange(UNREAD, READING, Ordering::Acquire, Ordering::Acquire).is_err() {
        // Another thread is reading a short string; a signal handler above that very thread must not wait for ever.
        for _ in 0..100_000 {
            match ROOT.state.load(Ordering::Acquire) {
                READING => core::hint::spin_loop(),
                state => return state == PRESENT,
            }
        }
        return false;
    }
    let given = environment(ROOT_VARIABLE.as_bytes()).and_then(|value| {
        let end = value.iter().rposition(|byte| *byte != b'/')? + 1;
        value.get(..end).filter(|name| name.first() == Some(&b'/') && name.len() < ROOT_BYTES)
    });
    if let Some(given) = given {
        let mut buffer = [0u8; ROOT_BYTES];
        let canonical = kernels_spelling(given, &mut buffer).unwrap_or(given);
        // SAFETY: this thread alone moved the state to READING.
        unsafe {
            ROOT.given.write(given);
            ROOT.canonical.write(canonical);
        }
    }
    ROOT.state.store(if given.is_some() { PRESENT } else { ABSENT }, Ordering::Release);
    given.is_some()
}

/// The page size of the machine that is imitated, bytes; `None` where it is this machine's own.
pub(crate) fn page_size() -> Option<usize> {
    /// 0: not looked at; 1: this machine's.
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    let known = SIZE.load(Ordering::Relaxed);
    if known != 0 {
        return (known > 1).then_some(known);
    }
    let mut name = [0; ROOT_BYTES + 16];
    let mut digits = [0; 8];
    let root = root()?;
    name.get_mut(..root.len())?.copy_from_slice(root);
    for (to, from) in name.iter_mut().skip(root.len()).zip(b"/".iter().chain(PAGE_SIZE_NAME.as_bytes())) {
        *to = *from;
    }
    let arguments = [
        syscall::fd(libc::AT_FDCWD),
        name.as_ptr() as usize,
        digits.as_mut_ptr() as usize,
        digits.len(),
        0,
        0,
    ];
    // SAFETY: a NUL-terminated name; the kernel writes at most `digits.len()` bytes.
    let len = unsafe { syscall::call(libc::SYS_readlinkat, arguments) }.unwrap_or(0);
    let digits = digits.get(..len).unwrap_or_default();
    let size =
        digits.iter().fold(0, |size, digit: &u8| size * 10 + usize::from(digit.wrapping_sub(b'0') % 10));
    SIZE.store(size.max(1), Ordering::Relaxed);
    (size > 1).then_some(size)
}

/// The directory's name as the kernel knows it. `None` when there is none, or a longer one than is served.
fn kernels_spelling<'a>(given: &[u8], buffer: &'a mut [u8; ROOT_BYTES]) -> Option<&'a [u8]> {
    buffer.get_mut(..given.len())?.copy_from_slice(given);
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let arguments = [syscall::fd(libc::AT_FDCWD), buffer.as_ptr() as usize, flags as usize, 0, 0, 0];
    // SAFETY: a NUL-terminated name: the buffer was zero, the name is shorter.
    let opened = unsafe { syscall::call(libc::SYS_openat, arguments) }.ok()?;
    let directory = libc::c_int::try_from(opened).ok()?;
    let len = syscall::descriptor_path(directory, buffer);
    syscall::close(directory);
    buffer.get(..len?).filter(|name| name.len() < ROOT_BYTES && name.first() == Some(&b'/') && name.len() > 1)
}

/// The value of an environment variable; `None` in a program that runs with more rights than its caller (`AT_SECURE`).
fn environment(name: &[u8]) -> Option<&'static [u8]> {
    let mut terminated = [0u8; 64];
    terminated.get_mut(..name.len())?.copy_from_slice(name);
    // SAFETY: a NUL-terminated name; called before the program can change its environment, or with its own locking rules.
    let value = unsafe { secure_getenv(terminated.as_ptr().cast()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a string of the environment block, copied before anyone can move it.
    Some(unsafe { core::ffi::CStr::from_ptr(value) }.to_bytes())
}

/// The daemon's socket as the kernel wants it: address and its length; `None` without a root or with one too long.
pub(crate) fn socket_address() -> Option<(libc::sockaddr_un, libc::socklen_t)> {
    if !is_present() {
        return None;
    }
    // SAFETY: PRESENT.
    let root = unsafe { ROOT.given.read() };
    let mut address = libc::sockaddr_un { sun_family: FAMILY, sun_path: [0; 108] };
    let name = root.iter().chain(b"/").chain(SOCKET_NAME.as_bytes());
    let len = root.len() + 1 + SOCKET_NAME.len();
    if len >= address.sun_path.len() {
        return None;
    }
    for (to, from) in address.sun_path.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    let header = core::mem::offset_of!(libc::sockaddr_un, sun_path);
    Some((address, libc::socklen_t::try_from(header + len + 1).ok()?))
}
