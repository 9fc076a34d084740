//! The daemon's directory, read from the environment once.
#![expect(unsafe_code, reason = "reads the environment block, fills a static once")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use uacce_sim_protocol::{ROOT_VARIABLE, SOCKET_NAME};

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

struct Root {
    state: AtomicU8,
    len: AtomicUsize,
    bytes: UnsafeCell<[u8; ROOT_BYTES]>,
}

const UNREAD: u8 = 0;
const READING: u8 = 1;
const ABSENT: u8 = 2;
const PRESENT: u8 = 3;

// SAFETY: `bytes` is written by the one thread that moved `state` from UNREAD to READING, and read only after PRESENT.
unsafe impl Sync for Root {}

static ROOT: Root =
    Root { state: AtomicU8::new(UNREAD), len: AtomicUsize::new(0), bytes: UnsafeCell::new([0; ROOT_BYTES]) };

/// The directory, absolute, without a trailing slash; `None` when nothing is simulated.
#[inline]
pub(crate) fn root() -> Option<&'static [u8]> {
    match ROOT.state.load(Ordering::Acquire) {
        ABSENT => None,
        PRESENT => present(),
        _ => first_time(),
    }
}

fn present() -> Option<&'static [u8]> {
    // SAFETY: state is PRESENT: the bytes are complete and never change again.
    let bytes: &'static [u8; ROOT_BYTES] = unsafe { &*ROOT.bytes.get() };
    bytes.get(..ROOT.len.load(Ordering::Relaxed))
}

#[cold]
#[inline(never)]
fn first_time() -> Option<&'static [u8]> {
    if ROOT.state.compare_exchange(UNREAD, READING, Ordering::Acquire, Ordering::Acquire).is_err() {
        // Another thread is copying a short string; a signal handler above that very thread must not wait for ever.
        for _ in 0..10_000 {
            match ROOT.state.load(Ordering::Acquire) {
                READING => core::hint::spin_loop(),
                PRESENT => return present(),
                _ => return None,
            }
        }
        return None;
    }
    let len = environment(ROOT_VARIABLE.as_bytes()).map_or(0, |value| {
        let end = value.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let trimmed = value.get(..end).unwrap_or_default();
        if trimmed.first() != Some(&b'/') || trimmed.len() >= ROOT_BYTES {
            return 0;
        }
        // SAFETY: this thread alone moved the state to READING; nobody reads before PRESENT.
        let bytes = unsafe { &mut *ROOT.bytes.get() };
        for (to, from) in bytes.iter_mut().zip(trimmed) {
            *to = *from;
        }
        trimmed.len()
    });
    ROOT.len.store(len, Ordering::Relaxed);
    ROOT.state.store(if len == 0 { ABSENT } else { PRESENT }, Ordering::Release);
    if len == 0 { None } else { present() }
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
    let root = root()?;
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
