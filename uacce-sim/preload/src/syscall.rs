//! System calls without libc: usable inside a signal handler, before the dynamic linker is ready, and never coming back
//! into the functions this library interposes. `errno` is untouched.
#![expect(unsafe_code, reason = "enters the kernel")]

use core::arch::asm;

/// Enters the kernel. Returns the result, or the errno as a positive number.
///
/// # Safety
/// As the system call `number` demands of its `arguments`.
#[inline]
pub(crate) unsafe fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, i32> {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel's calling convention: number and result in rax, rcx and r11 clobbered; the rest is the caller's.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number_word(number) => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the kernel's calling convention: number in x8, result in x0; the rest is the caller's.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number_word(number),
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    if (-4095..0).contains(&result) {
        #[expect(clippy::cast_possible_truncation, reason = "an errno is below 4096")]
        return Err(-result as i32);
    }
    Ok(result as usize)
}

/// A system call's number as a register's word.
fn number_word(number: libc::c_long) -> isize {
    isize::try_from(number).unwrap_or(-1)
}

/// A descriptor as a system call argument.
pub(crate) fn fd(fd: libc::c_int) -> usize {
    isize::try_from(fd).unwrap_or(-1) as usize
}

/// Closes a descriptor this library made itself.
pub(crate) fn close(number: libc::c_int) {
    // SAFETY: close takes no pointer; the caller owns the number.
    let _ = unsafe { call(libc::SYS_close, [fd(number), 0, 0, 0, 0, 0]) };
}

/// This process's id.
pub(crate) fn process_id() -> u32 {
    // SAFETY: getpid takes nothing and cannot fail.
    unsafe { call(libc::SYS_getpid, [0; 6]) }.ok().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0)
}

/// Whether `path` (NUL-terminated) names anything, a dangling link included.
///
/// # Safety
/// `path` points at a NUL-terminated string.
pub(crate) unsafe fn exists(path: *const u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe { identity(path) }.is_some()
}

/// Device and inode of what `path` (NUL-terminated) names, of a link itself.
///
/// # Safety
/// `path` points at a NUL-terminated string.
pub(crate) unsafe fn identity(path: *const u8) -> Option<(u64, u64)> {
    // SAFETY: the caller's promise.
    unsafe { identity_at(libc::AT_FDCWD, path, libc::AT_SYMLINK_NOFOLLOW) }
}

/// Device and inode of what `path` (NUL-terminated) names from `directory`, by `AT_` flags.
///
/// # Safety
/// `path` points at a NUL-terminated string.
pub(crate) unsafe fn identity_at(
    directory: libc::c_int,
    path: *const u8,
    flags: libc::c_int,
) -> Option<(u64, u64)> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::uninit();
    let arguments = [fd(directory), path as usize, status.as_mut_ptr() as usize, fd(flags), 0, 0];
    // SAFETY: the path is the caller's promise; the buffer is a whole `struct stat`, read only on success.
    unsafe {
        call(libc::SYS_newfstatat, arguments).ok()?;
        let status = status.assume_init();
        Some((status.st_dev, status.st_ino))
    }
}

/// The name of what a descriptor is open on, as the kernel knows it. Returns its length; `None` where there is none to tell.
pub(crate) fn descriptor_path(descriptor: libc::c_int, name: &mut [u8]) -> Option<usize> {
    let mut link = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut number = u32::try_from(descriptor).ok()?;
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    for digit in link.iter_mut().skip(14).take(digits).rev() {
        *digit = b'0' + u8::try_from(number % 10).ok()?;
        number /= 10;
    }
    let arguments =
        [fd(libc::AT_FDCWD), link.as_ptr() as usize, name.as_mut_ptr() as usize, name.len(), 0, 0];
    // SAFETY: the link's name is NUL-terminated; the kernel writes at most `name.len()` bytes.
    unsafe { call(libc::SYS_readlinkat, arguments) }.ok()
}

/// Signal mask of the calling thread: replaces (`SIG_SETMASK`), adds (`SIG_BLOCK`) or takes away (`SIG_UNBLOCK`), and
/// returns the mask before.
pub(crate) fn signal_mask(how: libc::c_int, mask: u64) -> u64 {
    let mut before = 0u64;
    let arguments = [fd(how), (&raw const mask) as usize, (&raw mut before) as usize, size_of::<u64>(), 0, 0];
    // SAFETY: both masks are eight bytes, the kernel's own size.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    before
}

/// Writes a message to standard error and forgets the outcome.
pub(crate) fn complain(message: &[u8]) {
    // SAFETY: the kernel reads exactly `message`.
    let _ = unsafe { call(libc::SYS_write, [2, message.as_ptr() as usize, message.len(), 0, 0, 0]) };
}
