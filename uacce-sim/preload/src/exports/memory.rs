//! ioctl and mappings: calls on a simulated device go to the daemon, and the table of doorbell ranges is kept right.
//!
//! Mappings enter the kernel directly: allocators map memory before the dynamic linker can name a next definition.
#![expect(unsafe_code, reason = "replaces libc functions")]

use super::returned;
use crate::real::next;
use crate::{client, errno, ranges, syscall, trap};
use core::ffi::{c_int, c_uint, c_ulong, c_void};
use libc::{off_t, size_t};

/// ioctl types of uacce and of the queue manager (uacce-qm §2.1).
const UACCE: c_uint = b'W' as c_uint;
const QUEUE: c_uint = b'H' as c_uint;
/// START (uacce-qm §2.1).
const START: c_uint = 0x5700;

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn ioctl(descriptor: c_int, request: c_ulong, argument: usize) -> c_int {
    // The kernel's command is 32 bits wide, whatever the program's library makes of it.
    #[expect(clippy::cast_possible_truncation, reason = "as the kernel does")]
    let command = request as c_uint;
    if matches!(command >> 8 & 0xff, UACCE | QUEUE) && client::is_ours(descriptor) {
        if command == START {
            trap::check();
        }
        // SAFETY: the argument is as the program passed it.
        return returned(unsafe { client::ioctl(descriptor, command, argument) });
    }
    let Some(next) = next!(c"ioctl" => fn(c_int, c_ulong, usize) -> c_int) else {
        return returned(Err(libc::ENOSYS));
    };
    // SAFETY: the program's promise to libc.
    let result = unsafe { next(descriptor, request, argument) };
    // uacce-qm §2.5: a command the driver does not know is EINVAL; a socket would say ENOTTY.
    if result < 0 && errno::read() == libc::ENOTTY && client::is_ours(descriptor) {
        errno::write(libc::EINVAL);
    }
    result
}

fn page() -> usize {
    client::page_size()
}

fn whole_pages(len: usize) -> usize {
    len.checked_next_multiple_of(page()).unwrap_or(usize::MAX)
}

fn mapped(result: Result<usize, i32>) -> *mut c_void {
    match result {
        Ok(address) => address as *mut c_void,
        Err(number) => {
            errno::write(number);
            libc::MAP_FAILED
        }
    }
}

unsafe fn map(
    at: usize,
    len: usize,
    prot: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> *mut c_void {
    // A bit pattern to the kernel: what it makes of a negative one is its answer to give.
    let place = isize::try_from(offset).unwrap_or(-1) as usize;
    let arguments = [at, len, syscall::fd(prot), syscall::fd(flags), syscall::fd(descriptor), place];
    // SAFETY: the program's promise to libc.
    let result = unsafe { syscall::call(libc::SYS_mmap, arguments) };
    match result {
        Ok(address) => {
            if flags & libc::MAP_FIXED != 0 && ranges::touches(address, whole_pages(len)) {
                ranges::forget(address, whole_pages(len));
            }
            mapped(result)
        }
        // A socket cannot be mapped; ours stands for a device that can.
        Err(libc::ENODEV)
            if flags & libc::MAP_ANONYMOUS == 0
                && matches!(flags & libc::MAP_TYPE, libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE)
                && client::is_ours(descriptor) =>
        {
            // SAFETY: the program's promise to libc.
            mapped(unsafe { client::map(at, len, prot, flags, descriptor, offset) })
        }
        Err(_) => mapped(result),
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mmap(
    at: usize,
    len: size_t,
    prot: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: off_t,
) -> *mut c_void {
    // SAFETY: the program's promise to libc.
    unsafe { map(at, len, prot, flags, descriptor, offset) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mmap64(
    at: usize,
    len: size_t,
    prot: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: the program's promise to libc.
    unsafe { map(at, len, prot, flags, descriptor, offset) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn munmap(at: usize, len: size_t) -> c_int {
    if !ranges::never() && len != 0 && at % page() == 0 && ranges::touches(at, whole_pages(len)) {
        // Out of the table first: a store after this is a plain fault.
        ranges::forget(at, whole_pages(len));
    }
    // SAFETY: the program's promise to libc.
    returned(unsafe { syscall::call(libc::SYS_munmap, [at, len, 0, 0, 0, 0]) }.map(|_| 0))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mremap(
    at: usize,
    len: size_t,
    new_len: size_t,
    flags: c_int,
    new_at: usize,
) -> *mut c_void {
    if !ranges::never() && ranges::touches(at, whole_pages(len.max(1))) {
        // uacce-qm §2.5: mremap of a region is refused.
        return mapped(Err(libc::EPERM));
    }
    if flags & libc::MREMAP_FIXED != 0 && ranges::touches(new_at, whole_pages(new_len)) {
        ranges::forget(new_at, whole_pages(new_len));
    }
    let arguments = [at, len, new_len, syscall::fd(flags), new_at, 0];
    // SAFETY: the program's promise to libc.
    mapped(unsafe { syscall::call(libc::SYS_mremap, arguments) })
}

fn protect(at: usize, end: usize, prot: c_int) -> Result<c_int, i32> {
    if at >= end {
        return Ok(0);
    }
    // SAFETY: the program's promise to libc, of a part of what it named.
    unsafe { syscall::call(libc::SYS_mprotect, [at, end - at, syscall::fd(prot), 0, 0, 0]) }.map(|_| 0)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mprotect(at: usize, len: size_t, prot: c_int) -> c_int {
    if ranges::never() || at % page() != 0 || !ranges::touches(at, whole_pages(len)) {
        // SAFETY: the program's promise to libc.
        let result = unsafe { syscall::call(libc::SYS_mprotect, [at, len, syscall::fd(prot), 0, 0, 0]) };
        return returned(result.map(|_| 0));
    }
    let end = at.saturating_add(whole_pages(len));
    // A doorbell page stays read-only for the trap; whether stores there are served is what the program decides.
    let (mut done, writes) = (at, prot & libc::PROT_WRITE != 0);
    while let Some((from, to)) = ranges::first_within(done, end) {
        let polled = !ranges::set_trapped(from, to - from, writes);
        // A region mapped for reading alone has set no trap.
        if writes && !polled && !trap::install() {
            return returned(Err(libc::ENOMEM));
        }
        let shown = if polled { prot } else { prot & !libc::PROT_WRITE };
        if let Err(number) = protect(done, from, prot).and_then(|_| protect(from, to, shown)) {
            return returned(Err(number));
        }
        done = to;
    }
    returned(protect(done, end, prot))
}
