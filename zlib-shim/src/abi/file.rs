//! Files by descriptor, for gz*: opened with exactly the flags that zlib uses, closed with the answer kept.
#![expect(unsafe_code, reason = "open, fcntl, close and strerror of the C library")]

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};

/// Opens `path`; `flags` as for open(2). New files get mode 0666 less the umask.
///
/// # Errors
/// What open(2) says.
pub(crate) fn open(path: &CStr, flags: c_int) -> io::Result<File> {
    let mode: libc::c_uint = 0o666;
    // SAFETY: a C string, and the third argument that O_CREAT wants.
    let fd = unsafe { libc::open(path.as_ptr(), flags, mode) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open has just returned it; nobody else has it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Takes over a descriptor of the caller's; of `flags`, `O_CLOEXEC` and `O_NONBLOCK` are switched on.
///
/// # Safety
/// The caller gives `fd`, not negative, away: it is closed with the file (zlib.h, gzdopen).
pub(crate) unsafe fn adopt(fd: c_int, flags: c_int) -> File {
    // SAFETY: fcntl takes any descriptor; of one that is not open it says so, and nothing changes.
    unsafe {
        if flags & libc::O_NONBLOCK != 0 {
            libc::fcntl(fd, libc::F_SETFL, libc::fcntl(fd, libc::F_GETFL) | libc::O_NONBLOCK);
        }
        if flags & libc::O_CLOEXEC != 0 {
            libc::fcntl(fd, libc::F_SETFD, libc::fcntl(fd, libc::F_GETFD) | libc::FD_CLOEXEC);
        }
    }
    // SAFETY: not negative and given away, promised by the caller.
    unsafe { File::from_raw_fd(fd) }
}

/// Closes a file.
///
/// # Errors
/// What close(2) says: on some file systems the only word of a failed write.
pub(crate) fn close(file: File) -> io::Result<()> {
    // SAFETY: owned until this moment, and not used again.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The C library's text for an `errno` value, in the program's language.
pub(crate) fn error_text(errno: c_int, room: &mut [u8]) -> &CStr {
    // SAFETY: writable for its length.
    let _ = unsafe { libc::strerror_r(errno, room.as_mut_ptr().cast(), room.len()) };
    CStr::from_bytes_until_nul(room).unwrap_or_default()
}
