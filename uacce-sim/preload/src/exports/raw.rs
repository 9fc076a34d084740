//! `syscall(2)`: programs that enter the kernel by number meet the same devices as those that call by name.
//!
//! Only what concerns names and mappings is led; signals set by number stay the program's own affair (`trap::check`).
#![expect(unsafe_code, reason = "replaces libc functions")]

use super::{memory, open, paths};
use crate::{errno, root, syscall};
use core::ffi::c_long;

#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    if is_led(number) && root::root().is_some() {
        // SAFETY: the program's promise to the kernel.
        if let Some(result) = unsafe { lead(number, [a, b, c, d, e, f]) } {
            return result;
        }
    }
    // SAFETY: the program's promise to the kernel.
    match unsafe { syscall::call(number, [a, b, c, d, e, f]) } {
        Ok(result) => result as c_long,
        Err(number) => {
            errno::write(number);
            -1
        }
    }
}

fn is_led(number: c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    if matches!(
        number,
        libc::SYS_open | libc::SYS_stat | libc::SYS_lstat | libc::SYS_access | libc::SYS_readlink
    ) {
        return true;
    }
    matches!(
        number,
        libc::SYS_openat
            | libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_faccessat
            | libc::SYS_readlinkat
            | libc::SYS_ioctl
            | libc::SYS_mmap
            | libc::SYS_munmap
            | libc::SYS_mremap
            | libc::SYS_mprotect
    )
}

/// Calls the function of that name here.
///
/// # Safety
/// As the kernel demands of the arguments.
#[expect(clippy::cast_possible_truncation, reason = "as the kernel does: int arguments are the low half")]
unsafe fn lead(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Option<c_long> {
    // SAFETY: the caller's promise.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        match number {
            libc::SYS_open => return Some(open::open(a as _, b as _, c as _).into()),
            libc::SYS_stat => return Some(paths::stat(a as _, b as _).into()),
            libc::SYS_lstat => return Some(paths::lstat(a as _, b as _).into()),
            libc::SYS_access => return Some(paths::access(a as _, b as _).into()),
            libc::SYS_readlink => return Some(paths::readlink(a as _, b as _, c) as c_long),
            _ => {}
        }
        Some(match number {
            libc::SYS_openat => open::openat(a as _, b as _, c as _, d as _).into(),
            libc::SYS_newfstatat => paths::fstatat(a as _, b as _, c as _, d as _).into(),
            libc::SYS_statx => paths::statx(a as _, b as _, c as _, d as _, e as _).into(),
            libc::SYS_faccessat => paths::faccessat(a as _, b as _, c as _, 0).into(),
            libc::SYS_readlinkat => paths::readlinkat(a as _, b as _, c as _, d) as c_long,
            libc::SYS_ioctl => memory::ioctl(a as _, b as _, c).into(),
            libc::SYS_mmap => memory::mmap(a, b, c as _, d as _, e as _, f as _) as c_long,
            libc::SYS_munmap => memory::munmap(a, b).into(),
            libc::SYS_mremap => memory::mremap(a, b, c, d as _, e) as c_long,
            libc::SYS_mprotect => memory::mprotect(a, b, c as _).into(),
            _ => return None,
        })
    }
}
