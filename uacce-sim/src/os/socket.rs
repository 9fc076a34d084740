//! `SOCK_SEQPACKET` Unix sockets whose messages carry descriptors.
#![expect(unsafe_code, reason = "std has neither SOCK_SEQPACKET nor descriptor passing")]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::checked;

/// Descriptors one message may carry.
pub const MAX_DESCRIPTORS: usize = 2;

/// Who is at the other end, as of its `connect`.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Process id, in the daemon's pid namespace (0 when not visible there).
    pub pid: libc::pid_t,
    /// Effective user id.
    pub uid: libc::uid_t,
}

/// Opens a listening socket at `path` with the given mode bits.
/// # Errors
/// `InvalidInput` when the path does not fit a socket address (107 bytes); otherwise what the kernel reports.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let socket = new_socket()?;
    let (address, len) = address(path)?;
    // SAFETY: `address` is a valid `sockaddr_un` of `len` bytes for the length of the call.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
    // SAFETY: plain system call on our own descriptor.
    checked(unsafe { libc::listen(socket.as_raw_fd(), 1024) })?;
    Ok(socket)
}

/// Connects to the socket at `path`.
/// # Errors
/// As [`listen`].
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = new_socket()?;
    let (address, len) = address(path)?;
    // SAFETY: as in `listen`.
    checked(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
    Ok(socket)
}

/// Waits for the next connection.
/// # Errors
/// What `accept4` reports.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: null address pointers are allowed.
    let raw = checked(unsafe {
        libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC)
    })?;
    // SAFETY: `accept4` has just returned this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A connected pair.
/// # Errors
/// What `socketpair` reports.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut raw: [RawFd; 2] = [-1; 2];
    // SAFETY: `raw` has room for two descriptors.
    checked(unsafe {
        libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, raw.as_mut_ptr())
    })?;
    // SAFETY: `socketpair` has just returned both descriptors.
    Ok(unsafe { (OwnedFd::from_raw_fd(raw[0]), OwnedFd::from_raw_fd(raw[1])) })
}

/// Who connected.
/// # Errors
/// What `getsockopt` reports.
pub fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = socklen::<libc::ucred>();
    // SAFETY: `credentials` has `len` bytes of room.
    checked(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    })?;
    Ok(Peer { pid: credentials.pid, uid: credentials.uid })
}

/// Receives one message and its descriptors; 0 bytes mean the last reference to the other end is gone.
/// # Errors
/// What `recvmsg` reports.
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = ControlBuffer::default();
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of::<ControlBuffer>();
    // SAFETY: `message` points at live buffers of the stated sizes.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let mut descriptors = Vec::new();
    // SAFETY: `message` was filled by `recvmsg`, its control buffer is alive.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR/NXTHDR return headers that lie wholly inside the control buffer.
        let (level, kind, len) = unsafe { ((*header).cmsg_level, (*header).cmsg_type, (*header).cmsg_len) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            // SAFETY: `CMSG_LEN(0)` only computes a size.
            let data_len = len.saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            // SAFETY: `header` is valid, see above.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
            for index in 0..data_len / size_of::<RawFd>() {
                // SAFETY: `index` is inside the message's data; the kernel has just installed this descriptor for us.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(data.add(index).read_unaligned()) });
            }
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok((received, descriptors))
}

/// Sends one message with descriptors (at most [`MAX_DESCRIPTORS`]), without waiting for room.
/// # Errors
/// What `sendmsg` reports; `EAGAIN` when the other end does not read.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut control = ControlBuffer::default();
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    let descriptors = descriptors.get(..MAX_DESCRIPTORS.min(descriptors.len())).unwrap_or_default();
    if !descriptors.is_empty() {
        let data_len = socklen::<RawFd>() * libc::socklen_t::try_from(descriptors.len()).unwrap_or(0);
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE only computes a size; `ControlBuffer` has room for MAX_DESCRIPTORS.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(data_len) } as usize;
        // SAFETY: the control buffer is large enough for one header and `data_len` bytes.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(data_len) as usize;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            for (index, descriptor) in descriptors.iter().enumerate() {
                data.add(index).write_unaligned(descriptor.as_raw_fd());
            }
        }
    }
    // SAFETY: `message` points at live buffers of the stated sizes.
    let sent = unsafe {
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the other end has not yet read everything sent. (The count the kernel gives includes buffer overhead: only its
/// being zero means something.)
pub fn unread(socket: BorrowedFd<'_>) -> bool {
    let mut count: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) stores one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    result == 0 && count > 0
}

/// Whether something can be received within `limit`.
pub fn is_readable(socket: BorrowedFd<'_>, limit: Duration) -> bool {
    let mut entry = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = libc::c_int::try_from(limit.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: one live entry.
    let ready = unsafe { libc::poll(&raw mut entry, 1, limit) };
    ready == 1 && entry.revents & libc::POLLIN != 0
}

/// Room for [`MAX_DESCRIPTORS`] descriptors with their header, aligned as a `cmsghdr` must be.
#[derive(Default)]
struct ControlBuffer([u64; 8]);

fn new_socket() -> io::Result<OwnedFd> {
    // SAFETY: plain system call.
    let raw = checked(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: `socket` has just returned this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: all-zero is a valid `sockaddr_un`.
    let mut address: libc::sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap_or_default();
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() {
        let message = format!("{}: longer than a socket address allows (107 bytes)", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    Ok((address, socklen::<libc::sockaddr_un>()))
}

fn socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_travel() {
        let (left, right) = pair().unwrap();
        let (inner, other) = pair().unwrap();
        send(left.as_fd(), b"hello", &[inner.as_fd()]).unwrap();
        let mut bytes = [0; 16];
        let (len, descriptors) = receive(right.as_fd(), &mut bytes).unwrap();
        assert_eq!((&bytes[..len], descriptors.len()), (&b"hello"[..], 1));
        send(descriptors[0].as_fd(), b"x", &[]).unwrap();
        assert_eq!(receive(other.as_fd(), &mut bytes).unwrap().0, 1);
    }

    #[test]
    fn unread_bytes_show() {
        let (left, right) = pair().unwrap();
        assert!(!unread(left.as_fd()));
        send(left.as_fd(), b"x", &[]).unwrap();
        assert!(unread(left.as_fd()));
        receive(right.as_fd(), &mut [0; 4]).unwrap();
        assert!(!unread(left.as_fd()));
    }

    #[test]
    fn a_long_path_is_refused() {
        let path = format!("/{}", "x".repeat(120));
        assert_eq!(connect(Path::new(&path)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
