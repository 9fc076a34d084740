//! `poll`, as the imitated kernel's driver answers it (uacce-qm §2.7).
//!
//! The socket behind a device is readable while its token lies there, and a real `poll` sees that, as `select` and `epoll`
//! do. The kernels' drivers take what they report: mainline passes over all completions it has seen, the vendors count
//! events. Here the same is done around the real call, for `poll` and `ppoll`.
#![expect(unsafe_code, reason = "replaces libc functions")]

use super::signals::Lighter;
use crate::real::next;
use crate::trap::Poll;
use crate::{errno, ranges};
use core::ffi::{c_int, c_void};
use libc::{nfds_t, pollfd, sigset_t, size_t, timespec};

const READABLE: i16 = libc::POLLIN | libc::POLLRDNORM;
const SECOND_NS: i64 = 1_000_000_000;

/// Waits by `go`, with the time that is left (`None`: for ever), and answers for simulated devices as their driver would.
///
/// # Safety
/// As `poll` demands.
unsafe fn wait(
    descriptors: *mut pollfd,
    count: nfds_t,
    limit: Option<timespec>,
    mut go: impl FnMut(*const timespec) -> c_int,
) -> c_int {
    let whole = limit.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let len = usize::try_from(count).unwrap_or(0);
    if ranges::never() || descriptors.is_null() || len == 0 {
        return go(whole);
    }
    let device = |descriptor: &pollfd| {
        if descriptor.events & READABLE == 0 { None } else { Poll::of(descriptor.fd) }
    };
    // Whether a device is among them, and whether one has something to report. Asked anew after each real call: the
    // program may have closed or mapped something meanwhile.
    let look = || {
        let mut found = None;
        for index in 0..len {
            // SAFETY: the caller's promise; only read here, and not kept over the real call.
            let Some(poll) = device(unsafe { &*descriptors.add(index) }) else { continue };
            if poll.is_ready() {
                return Some(true);
            }
            found = Some(false);
        }
        found
    };
    let Some(mut waiting) = look() else { return go(whole) };
    let end = limit.map(|limit| now().saturating_add(nanoseconds(limit)));
    loop {
        let left = end.map(|end| end.saturating_sub(now()).max(0));
        let left = if waiting { Some(0) } else { left };
        let left = left.map(|left| timespec { tv_sec: left / SECOND_NS, tv_nsec: left % SECOND_NS });
        let mut result = go(left.as_ref().map_or(core::ptr::null(), core::ptr::from_ref));
        if result < 0 {
            return result;
        }
        for index in 0..len {
            // SAFETY: as above.
            let descriptor = unsafe { &mut *descriptors.add(index) };
            // A daemon that is gone shows as a hang-up, whatever the kernel would say.
            if descriptor.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
                continue;
            }
            let Some(poll) = device(descriptor) else { continue };
            let before = descriptor.revents;
            descriptor.revents &= !READABLE;
            if poll.take() {
                descriptor.revents |= descriptor.events & READABLE;
            }
            result += c_int::from(descriptor.revents != 0) - c_int::from(before != 0);
        }
        let over = left.is_some_and(|left| left.tv_sec == 0 && left.tv_nsec == 0) && !waiting;
        if result > 0 || over || end.is_some_and(|end| now() >= end) {
            return result;
        }
        waiting = look().unwrap_or(false);
    }
}

fn now() -> i64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills one structure.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    nanoseconds(time)
}

fn nanoseconds(time: timespec) -> i64 {
    time.tv_sec.saturating_mul(SECOND_NS).saturating_add(time.tv_nsec)
}

type Real = unsafe extern "C" fn(*mut pollfd, nfds_t, *const timespec, *const sigset_t) -> c_int;

fn real() -> Option<Real> {
    next!(c"ppoll" => fn(*mut pollfd, nfds_t, *const timespec, *const sigset_t) -> c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn poll(descriptors: *mut pollfd, count: nfds_t, timeout_ms: c_int) -> c_int {
    if ranges::never() {
        if let Some(next) = next!(c"poll" => fn(*mut pollfd, nfds_t, c_int) -> c_int) {
            // SAFETY: the program's promise to libc.
            return unsafe { next(descriptors, count, timeout_ms) };
        }
    }
    let Some(real) = real() else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    let milliseconds = i64::from(timeout_ms);
    let limit = (timeout_ms >= 0)
        .then(|| timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 });
    // SAFETY: the program's promise to libc.
    unsafe { wait(descriptors, count, limit, |limit| real(descriptors, count, limit, core::ptr::null())) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __poll_chk(
    descriptors: *mut pollfd,
    count: nfds_t,
    timeout_ms: c_int,
    room: size_t,
) -> c_int {
    let too_small = room / size_of::<pollfd>() < usize::try_from(count).unwrap_or(usize::MAX);
    let Some(next) = next!(c"__poll_chk" => fn(*mut c_void, nfds_t, c_int, size_t) -> c_int) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: the program's promise to libc; a buffer too small is for libc to complain of.
    unsafe {
        if too_small {
            return next(descriptors.cast(), count, timeout_ms, room);
        }
        poll(descriptors, count, timeout_ms)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ppoll(
    descriptors: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let Some(real) = real() else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    let mut lighter = Lighter::new();
    // SAFETY: the program's promise to libc.
    unsafe {
        let mask = lighter.of(mask);
        // What the kernel refuses is for the kernel to refuse.
        if timeout.as_ref().is_some_and(|time| time.tv_sec < 0 || !(0..SECOND_NS).contains(&time.tv_nsec)) {
            return real(descriptors, count, timeout, mask);
        }
        let limit = timeout.as_ref().copied();
        wait(descriptors, count, limit, |limit| real(descriptors, count, limit, mask))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __ppoll_chk(
    descriptors: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    room: size_t,
) -> c_int {
    let too_small = room / size_of::<pollfd>() < usize::try_from(count).unwrap_or(usize::MAX);
    type Checked =
        unsafe extern "C" fn(*mut pollfd, nfds_t, *const timespec, *const sigset_t, size_t) -> c_int;
    let next: Option<Checked> =
        next!(c"__ppoll_chk" => fn(*mut pollfd, nfds_t, *const timespec, *const sigset_t, size_t) -> c_int);
    let Some(next) = next else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: the program's promise to libc; a buffer too small is for libc to complain of.
    unsafe {
        if too_small {
            return next(descriptors, count, timeout, mask, room);
        }
        ppoll(descriptors, count, timeout, mask)
    }
}
