//! The link to the daemon: opens a queue, and carries its ioctl and mmap calls.
//!
//! Each call is one message on the device's own socket together with one end of a fresh socket pair, on which the answer
//! comes. So nothing mixes, nothing is locked, and nothing but the kernel remembers which descriptors are ours. A
//! daemon that is gone shows as `ENODEV` (uacce's device removal), at `open` as `ENXIO`; never as a signal or a wait.
#![expect(unsafe_code, reason = "system calls with pointers")]
#![cfg_attr(test, allow(dead_code))]

use crate::ranges::{self, Mapped};
use crate::{root, syscall, trap};
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};
use uacce_sim_protocol::{
    IOCTL_BYTES, MAGIC, Mapping, PAYLOAD, REPLY_LEN, ReplyHead, Request, VERSION, control,
};

type Errno = i32;

#[expect(clippy::cast_possible_truncation, reason = "twelve bytes")]
const CREDENTIALS_LEN: libc::socklen_t = size_of::<libc::ucred>() as libc::socklen_t;

/// A descriptor closed at the end of its scope.
struct Owned(c_int);

impl Drop for Owned {
    fn drop(&mut self) {
        syscall::close(self.0);
    }
}

impl Owned {
    fn keep(self) -> c_int {
        let number = self.0;
        core::mem::forget(self);
        number
    }
}

fn number(result: usize) -> c_int {
    c_int::try_from(result).unwrap_or(-1)
}

/// Whether a descriptor is a simulated device: a socket connected to the daemon's.
pub(crate) fn is_ours(descriptor: c_int) -> bool {
    if root::root().is_none() {
        return false;
    }
    let mut peer = MaybeUninit::<libc::sockaddr_un>::zeroed();
    let mut len = root::SOCKET_ADDRESS_LEN;
    let arguments = [syscall::fd(descriptor), peer.as_mut_ptr() as usize, (&raw mut len) as usize, 0, 0, 0];
    // SAFETY: the kernel writes at most `len` bytes into a whole address; all zero is a value of it.
    let peer = unsafe {
        if syscall::call(libc::SYS_getpeername, arguments).is_err() {
            return false;
        }
        peer.assume_init()
    };
    // Only now: most descriptors asked about are no sockets at all.
    let Some((expected, expected_len)) = root::socket_address() else { return false };
    if peer.sun_family != expected.sun_family || len <= root::SOCKET_HEADER_LEN {
        return false;
    }
    if len <= expected_len && peer.sun_path == expected.sun_path {
        return true;
    }
    // The daemon was given another spelling of the same directory. Its address always ends with a NUL, and an abstract
    // one, which begins with a NUL, names no file.
    let terminated = peer.sun_path.contains(&0) && peer.sun_path.first() != Some(&0);
    // SAFETY: both are NUL-terminated.
    let identity =
        |address: &libc::sockaddr_un| unsafe { syscall::identity(address.sun_path.as_ptr().cast()) };
    terminated && identity(&peer).is_some_and(|theirs| identity(&expected) == Some(theirs))
}

/// One message part for the kernel.
fn part(at: *const u8, len: usize) -> libc::iovec {
    libc::iovec { iov_base: at.cast_mut().cast(), iov_len: len }
}

const HEADER: usize = size_of::<libc::cmsghdr>();

/// Control data of a message that carries descriptors, at most two.
#[repr(C, align(8))]
struct Attached([u8; HEADER + 8]);

/// Sends a message with descriptors on the device's socket.
///
/// # Safety
/// The parts are readable, or may be answered with `EFAULT`.
unsafe fn send(device: c_int, parts: &[libc::iovec], attached: &[c_int]) -> Result<(), Errno> {
    let mut control = Attached([0; HEADER + 8]);
    let len = HEADER + size_of_val(attached);
    let (level, kind) = (libc::SOL_SOCKET.to_ne_bytes(), libc::SCM_RIGHTS.to_ne_bytes());
    let bytes = len.to_ne_bytes().into_iter().chain(level).chain(kind);
    let descriptors = attached.iter().flat_map(|descriptor| descriptor.to_ne_bytes());
    for (to, from) in control.0.iter_mut().zip(bytes.chain(descriptors)) {
        *to = from;
    }
    // SAFETY: integers and pointers: all zero is a value.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut();
    message.msg_iovlen = parts.len();
    message.msg_control = (&raw mut control.0).cast();
    message.msg_controllen = len;
    loop {
        let flags = libc::MSG_NOSIGNAL as usize;
        let arguments = [syscall::fd(device), (&raw const message) as usize, flags, 0, 0, 0];
        // SAFETY: the message and what it points at live until the call returns; the parts are the caller's promise.
        match unsafe { syscall::call(libc::SYS_sendmsg, arguments) } {
            Ok(_) => return Ok(()),
            Err(libc::EINTR) => {}
            // The program made its descriptor non-blocking and the daemon is behind.
            Err(libc::EAGAIN) => {
                wait(&mut [libc::pollfd { fd: device, events: libc::POLLOUT, revents: 0 }])?;
            }
            Err(errno @ (libc::EFAULT | libc::EBADF | libc::ETOOMANYREFS | libc::ENOMEM)) => {
                return Err(errno);
            }
            Err(_) => return Err(libc::ENODEV),
        }
    }
}

fn wait(descriptors: &mut [libc::pollfd]) -> Result<(), Errno> {
    loop {
        let arguments = [descriptors.as_mut_ptr() as usize, descriptors.len(), 0, 0, 0, 0];
        // SAFETY: the kernel writes inside the slice.
        match unsafe { syscall::call(libc::SYS_ppoll, arguments) } {
            Ok(_) => return Ok(()),
            Err(libc::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Sends a request and waits for the answer to be there. Returns the end it can be read from.
///
/// # Safety
/// As [`send`].
unsafe fn ask(device: c_int, parts: &[libc::iovec], extra: Option<c_int>) -> Result<Owned, Errno> {
    let mut pair = [-1 as c_int; 2];
    let kind = (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC) as usize;
    let arguments = [libc::AF_UNIX as usize, kind, 0, pair.as_mut_ptr() as usize, 0, 0];
    // SAFETY: the kernel writes two numbers.
    unsafe { syscall::call(libc::SYS_socketpair, arguments) }?;
    let [mine, theirs] = pair.map(Owned);
    match extra {
        // SAFETY: the caller's promise.
        Some(extra) => unsafe { send(device, parts, &[theirs.0, extra]) }?,
        // SAFETY: the caller's promise.
        None => unsafe { send(device, parts, &[theirs.0]) }?,
    }
    drop(theirs);
    // Watching the device too: a child forked meanwhile may hold the other end, so its end of file alone is no proof.
    let mut watched = [
        libc::pollfd { fd: mine.0, events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: device, events: 0, revents: 0 },
    ];
    loop {
        wait(&mut watched)?;
        let [answer, link] = &watched;
        // An answer sent just before the daemon went still counts: end of file without one is told by the read.
        if answer.revents != 0 || link.revents != 0 {
            return Ok(mine);
        }
    }
}

/// Reads an answer into `parts`. Returns the descriptor that came with it.
///
/// # Safety
/// The parts are writable, or may be answered with `EFAULT`.
unsafe fn receive(answer: &Owned, parts: &[libc::iovec], peek: bool) -> Result<Option<Owned>, Errno> {
    let mut control = Attached([0; HEADER + 8]);
    // SAFETY: integers and pointers: all zero is a value.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut();
    message.msg_iovlen = parts.len();
    message.msg_control = (&raw mut control.0).cast();
    message.msg_controllen = if peek { 0 } else { control.0.len() };
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | if peek { libc::MSG_PEEK } else { 0 };
    let arguments = [syscall::fd(answer.0), (&raw mut message) as usize, flags as usize, 0, 0, 0];
    let len = loop {
        // SAFETY: the message and what it points at live until the call returns; the parts are the caller's promise.
        match unsafe { syscall::call(libc::SYS_recvmsg, arguments) } {
            Ok(len) => break len,
            Err(libc::EINTR) => {}
            Err(libc::EFAULT) => return Err(libc::EFAULT),
            Err(_) => return Err(libc::ENODEV),
        }
    };
    let mut first = None;
    if message.msg_controllen >= HEADER + size_of::<c_int>() {
        // The header's own length: `msg_controllen` is rounded up, and what it pads with would read as descriptor 0.
        let len = control.0.first_chunk().map_or(0, |bytes| usize::from_ne_bytes(*bytes));
        let numbers = control.0.get(HEADER..len).unwrap_or_default().chunks_exact(4);
        for bytes in numbers.filter_map(|bytes| bytes.try_into().ok()) {
            // Any but the first is closed as it is dropped.
            let received = Owned(c_int::from_ne_bytes(bytes));
            if first.is_none() {
                first = Some(received);
            }
        }
    }
    if len == REPLY_LEN { Ok(first) } else { Err(libc::ENODEV) }
}

/// Reads a whole answer.
fn answer(end: &Owned) -> Result<(ReplyHead, Option<Owned>), Errno> {
    let mut wire = [0u8; REPLY_LEN];
    // SAFETY: a buffer of our own.
    let memory = unsafe { receive(end, &[part(wire.as_mut_ptr(), REPLY_LEN)], false) }?;
    let head = ReplyHead::decode(&wire).ok_or(libc::ENODEV)?;
    if head.errno == 0 { Ok((head, memory)) } else { Err(head.errno) }
}

/// Opens the queue that `open("/dev/<node>", flags)` asks for.
///
/// # Errors
/// The errno of the `open`: the daemon's (uacce-qm §2.4), `ENXIO` when it is gone.
pub(crate) fn open(node: &[u8], flags: c_int) -> Result<c_int, Errno> {
    let (address, len) = root::socket_address().ok_or(libc::ENXIO)?;
    let kind = libc::SOCK_SEQPACKET | if flags & libc::O_CLOEXEC != 0 { libc::SOCK_CLOEXEC } else { 0 };
    let arguments = [libc::AF_UNIX as usize, kind as usize, 0, 0, 0, 0];
    // SAFETY: numbers only.
    let device = Owned(number(unsafe { syscall::call(libc::SYS_socket, arguments) }?));
    loop {
        let arguments = [syscall::fd(device.0), (&raw const address) as usize, len as usize, 0, 0, 0];
        // SAFETY: a whole address of `len` bytes.
        match unsafe { syscall::call(libc::SYS_connect, arguments) } {
            Ok(_) => break,
            Err(libc::EINTR) => {}
            Err(errno @ (libc::EACCES | libc::EPERM)) => return Err(errno),
            Err(_) => return Err(libc::ENXIO),
        }
    }
    allow_tracing(device.0);
    let memory = own_memory();
    let shown = u32::try_from(root::page_size().unwrap_or_else(page_size)).unwrap_or(4096);
    let wire = Request::open_message(node, flags as u32, shown);
    let gone = |errno| if errno == libc::ENODEV { libc::ENXIO } else { errno };
    // SAFETY: a message of our own.
    let end =
        unsafe { ask(device.0, &[part(wire.as_ptr(), wire.len())], memory.as_ref().map(|memory| memory.0)) }
            .map_err(gone)?;
    let mut reply = [0u8; REPLY_LEN];
    // SAFETY: a buffer of our own.
    unsafe { receive(&end, &[part(reply.as_mut_ptr(), REPLY_LEN)], false) }.map_err(gone)?;
    match ReplyHead::decode(&reply) {
        Some(head) if head.errno == 0 => {}
        Some(head) => return Err(head.errno),
        None => return Err(libc::ENXIO),
    }
    if flags & libc::O_NONBLOCK != 0 {
        let arguments = [syscall::fd(device.0), libc::F_SETFL as usize, libc::O_NONBLOCK as usize, 0, 0, 0];
        // SAFETY: numbers only.
        let _ = unsafe { syscall::call(libc::SYS_fcntl, arguments) };
    }
    Ok(device.keep())
}

/// This process's memory as a file, for the daemon: its way into the program where `process_vm_readv` is refused, and its
/// proof that the program still lives (simulator.md §8).
fn own_memory() -> Option<Owned> {
    // `self` would name the main thread, which may have ended.
    let path = c"/proc/thread-self/mem";
    let flags = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
    let open = || {
        let arguments = [syscall::fd(libc::AT_FDCWD), path.as_ptr() as usize, flags, 0, 0, 0];
        // SAFETY: a NUL-terminated literal.
        unsafe { syscall::call(libc::SYS_openat, arguments) }.ok().map(|fd| Owned(number(fd)))
    };
    let prctl = |option: c_int, value: usize| {
        // SAFETY: numbers only.
        unsafe { syscall::call(libc::SYS_prctl, [option as usize, value, 0, 0, 0, 0]) }
    };
    open().or_else(|| {
        // A program that changed its user id is not "dumpable", and its own memory belongs to root then.
        let before = prctl(libc::PR_GET_DUMPABLE, 0).ok().filter(|before| *before != 1)?;
        prctl(libc::PR_SET_DUMPABLE, 1).ok()?;
        let memory = open();
        // 2 cannot be set by a program; 0 is as strict.
        let _ = prctl(libc::PR_SET_DUMPABLE, if before == 2 { 0 } else { before });
        memory
    })
}

/// Where Yama restricts tracing: lets the daemon, and nobody else, read and write this process.
fn allow_tracing(device: c_int) {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = CREDENTIALS_LEN;
    let (at, len_at) = ((&raw mut peer) as usize, (&raw mut len) as usize);
    let arguments =
        [syscall::fd(device), libc::SOL_SOCKET as usize, libc::SO_PEERCRED as usize, at, len_at, 0];
    // SAFETY: the kernel fills at most one structure.
    let known = unsafe { syscall::call(libc::SYS_getsockopt, arguments) }.is_ok();
    if let (true, Ok(daemon @ 1..)) = (known, usize::try_from(peer.pid)) {
        // SAFETY: numbers only.
        let _ =
            unsafe { syscall::call(libc::SYS_prctl, [libc::PR_SET_PTRACER as usize, daemon, 0, 0, 0, 0]) };
    }
}

/// This machine's page size, whatever `sysconf` tells the program.
pub(crate) fn page_size() -> usize {
    // SAFETY: takes a number; reads what the kernel told at start.
    match unsafe { libc::getauxval(libc::AT_PAGESZ) } {
        0 => 4096,
        size => usize::try_from(size).unwrap_or(4096),
    }
}

/// Carries an ioctl. The argument's bytes travel by the size in the command, and back where its direction says so.
///
/// # Errors
/// The errno of the ioctl (uacce-qm §2.5); `EFAULT` for a bad pointer; `ENODEV` when the daemon is gone.
///
/// # Safety
/// `argument` is what the program passed: any number, checked by the kernel.
pub(crate) unsafe fn ioctl(device: c_int, command: u32, argument: usize) -> Result<c_int, Errno> {
    let size = (command >> 16 & 0x3fff) as usize;
    let reads = command >> 31 & 1 == 1;
    let len = if size <= IOCTL_BYTES { size } else { 0 };
    let wire = Request::ioctl_message(command, argument as u64, len);
    let tail = PAYLOAD + len;
    let parts = [
        part(wire.as_ptr(), PAYLOAD),
        part(argument as *const u8, len),
        part(wire.as_ptr().wrapping_add(tail), wire.len() - tail),
    ];
    // SAFETY: the program's bytes may be answered with EFAULT; the rest is ours.
    let (end, readable) = match unsafe { ask(device, &parts, None) } {
        Err(libc::EFAULT) => {
            // The daemon decides what comes first, as in the kernel: a wrong state, an unknown command, or the fault.
            let wire = Request::ioctl_message(command, argument as u64, 0);
            // SAFETY: a message of our own.
            (unsafe { ask(device, &[part(wire.as_ptr(), wire.len())], None) }?, false)
        }
        end => (end?, true),
    };
    let mut reply = [0u8; REPLY_LEN];
    // SAFETY: a buffer of our own.
    unsafe { receive(&end, &[part(reply.as_mut_ptr(), REPLY_LEN)], true) }?;
    let head = ReplyHead::decode(&reply).ok_or(libc::ENODEV)?;
    if head.errno != 0 {
        return Err(head.errno);
    }
    if !readable {
        return Err(libc::EFAULT);
    }
    let back = if reads { head.len.min(size) } else { 0 };
    if back != 0 {
        let tail = PAYLOAD + back;
        let parts = [
            part(reply.as_ptr(), PAYLOAD),
            part(argument as *const u8, back),
            part(reply.as_mut_ptr().wrapping_add(tail), REPLY_LEN - tail),
        ];
        // SAFETY: the program's bytes may be answered with EFAULT; the rest is ours.
        unsafe { receive(&end, &parts, false) }?;
    }
    c_int::try_from(head.value).map_err(|_| libc::EINVAL)
}

/// Carries an mmap that the kernel refused because the descriptor is a socket.
///
/// # Errors
/// The errno of the mmap (uacce-qm §2.5); `ENODEV` when the daemon is gone.
///
/// # Safety
/// As `mmap(2)`: with `MAP_FIXED` the program gives up what lies there.
pub(crate) unsafe fn map(
    at: usize,
    len: usize,
    prot: c_int,
    flags: c_int,
    device: c_int,
    offset: i64,
) -> Result<usize, Errno> {
    let offset = u64::try_from(offset).map_err(|_| libc::EINVAL)?;
    let wire = Request::map_message(offset, len as u64, prot as u32);
    // SAFETY: a message of our own.
    let end = unsafe { ask(device, &[part(wire.as_ptr(), wire.len())], None) }?;
    let (head, memory) = answer(&end)?;
    let memory = memory.ok_or(libc::ENODEV)?;
    // SAFETY: the caller's promise.
    unsafe {
        match head.mapping {
            Mapping::None => Err(libc::ENODEV),
            Mapping::Plain => {
                let start = map_shared(at, len, prot, flags, &memory)?;
                keep_from_children(start, len);
                if flags & libc::MAP_FIXED != 0 {
                    ranges::forget(start, whole_pages(len));
                }
                Ok(start)
            }
            Mapping::Doorbell => {
                let visible = usize::try_from(head.mapping_len).map_err(|_| libc::ENOMEM)?;
                doorbell(at, len, prot, flags, device, &memory, visible)
            }
        }
    }
}

/// A mapping's length as the kernel rounds it.
fn whole_pages(len: usize) -> usize {
    len.checked_next_multiple_of(page_size()).unwrap_or(usize::MAX)
}

/// # Safety
/// As `mmap(2)`.
unsafe fn map_shared(
    at: usize,
    len: usize,
    prot: c_int,
    flags: c_int,
    memory: &Owned,
) -> Result<usize, Errno> {
    let arguments = [at, len, syscall::fd(prot), syscall::fd(flags), syscall::fd(memory.0), 0];
    // SAFETY: the caller's promise.
    unsafe { syscall::call(libc::SYS_mmap, arguments) }
}

/// The kernel's mappings do not reach a forked child (uacce-qm §6); neither do these.
fn keep_from_children(at: usize, len: usize) {
    // SAFETY: advice about mappings just made.
    let _ = unsafe { syscall::call(libc::SYS_madvise, [at, len, libc::MADV_DONTFORK as usize, 0, 0, 0]) };
}

/// Maps a doorbell region: read-only for the program, with a writable alias for the trap.
///
/// # Safety
/// As `mmap(2)`.
unsafe fn doorbell(
    at: usize,
    len: usize,
    prot: c_int,
    flags: c_int,
    device: c_int,
    memory: &Owned,
    visible: usize,
) -> Result<usize, Errno> {
    let page = page_size();
    let behind = visible.checked_next_multiple_of(page).ok_or(libc::ENOMEM)?;
    let alias_len = behind.checked_add(page).ok_or(libc::ENOMEM)?;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: at an address the kernel chooses.
    let alias = unsafe { map_shared(0, alias_len, both, libc::MAP_SHARED, memory) }?;
    keep_from_children(alias, alias_len);
    let page_at = (alias + behind) as *const u8;
    // SAFETY: the control page is mapped until `forget` or `give_up`; the offsets lie in it, aligned.
    let word = |offset| unsafe { &*page_at.add(offset).cast::<AtomicU32>() };
    let give_up = |errno| {
        word(control::MAPPED).store(0, Ordering::Release);
        ranges::unmap(alias, alias_len);
        errno
    };
    if word(control::MAGIC).load(Ordering::Acquire) != MAGIC
        || word(control::VERSION).load(Ordering::Relaxed) != u32::from(VERSION)
    {
        ranges::unmap(alias, alias_len);
        return Err(libc::EPROTO);
    }
    let polled = word(control::POLLED).load(Ordering::Relaxed) != 0;
    let trapped = !polled && prot & libc::PROT_WRITE != 0;
    if trapped && !trap::install() {
        return Err(give_up(libc::ENOMEM));
    }
    word(control::MAPPED).store(1, Ordering::Release);
    let shown = if polled { prot } else { prot & !libc::PROT_WRITE };
    // SAFETY: the caller's promise.
    let start = unsafe { map_shared(at, len, shown, flags, memory) }.map_err(give_up)?;
    keep_from_children(start, len);
    if flags & libc::MAP_FIXED != 0 {
        ranges::forget(start, whole_pages(len));
    }
    let mapped = Mapped {
        start,
        len: whole_pages(len),
        alias,
        alias_len,
        control: alias + behind,
        descriptor: device,
        inode: trap::inode_of(device).unwrap_or(0),
        trapped,
        polled,
    };
    if !ranges::enter(&mapped) {
        ranges::unmap(start, len);
        return Err(give_up(libc::ENOMEM));
    }
    Ok(start)
}
