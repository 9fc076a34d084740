//! What a program says of SIGSEGV: its handler is kept behind the trap, and it cannot block the signal (the kernel kills
//! a process whose doorbell faults while SIGSEGV is blocked). simulator.md §9.
#![expect(unsafe_code, reason = "replaces libc functions")]

use crate::disposition::{self, Action};
use crate::real::next;
use crate::{errno, ranges, root, trap};
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use libc::{SIGSEGV, sigset_t};

type Handler = usize;
const FAILED: Handler = libc::SIG_ERR;
const SEGV_BIT: u64 = 1 << (SIGSEGV - 1);
/// The same in the masks of 4.2BSD.
const OLD_SEGV_BIT: c_int = 1 << (SIGSEGV - 1);

/// Whether a disposition of `signal` is kept here instead of in the kernel. A `vfork` child, which shares this memory,
/// changes only its own dispositions.
fn kept(signal: c_int) -> bool {
    signal == SIGSEGV && root::root().is_some() && trap::in_front() && !ranges::borrowed()
}

fn replace(action: Action) -> Action {
    let before = disposition::recorded();
    disposition::record(action);
    before
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: the program's promise to libc: null, or whole structures.
    unsafe {
        if kept(signal) {
            let before = disposition::recorded();
            if !new.is_null() {
                disposition::record(Action::read(new));
            }
            if !old.is_null() {
                old.write(before.to_libc());
            }
            return 0;
        }
        if new.is_null() || root::root().is_none() {
            return disposition::next_sigaction(signal, new, old);
        }
        let mut lighter = new.read();
        unblock(&raw mut lighter.sa_mask);
        disposition::next_sigaction(signal, &raw const lighter, old)
    }
}

macro_rules! simple {
    ($($symbol:literal $name:ident $flags:expr;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(signal: c_int, handler: Handler) -> Handler {
            if kept(signal) {
                return replace(Action { handler, flags: $flags, mask: 0 }).handler;
            }
            let Some(next) = next!($symbol => fn(c_int, Handler) -> Handler) else {
                errno::write(libc::ENOSYS);
                return FAILED;
            };
            // SAFETY: the program's promise to libc.
            unsafe { next(signal, handler) }
        }
    )* };
}

simple! {
    c"signal" signal libc::SA_RESTART;
    c"bsd_signal" bsd_signal libc::SA_RESTART;
    c"ssignal" ssignal libc::SA_RESTART;
    c"sysv_signal" sysv_signal libc::SA_RESETHAND | libc::SA_NODEFER;
    c"__sysv_signal" __sysv_signal libc::SA_RESETHAND | libc::SA_NODEFER;
}

/// `SIG_HOLD` of `sigset(3)`: block instead of handle. SIGSEGV stays unblocked.
const SIG_HOLD: Handler = 2;

#[unsafe(no_mangle)]
unsafe extern "C" fn sigset(signal: c_int, handler: Handler) -> Handler {
    if kept(signal) {
        if handler == SIG_HOLD {
            return disposition::recorded().handler;
        }
        return replace(Action { handler, flags: 0, mask: 0 }).handler;
    }
    let Some(next) = next!(c"sigset" => fn(c_int, Handler) -> Handler) else {
        errno::write(libc::ENOSYS);
        return FAILED;
    };
    // SAFETY: the program's promise to libc.
    unsafe { next(signal, handler) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sigignore(signal: c_int) -> c_int {
    if kept(signal) {
        replace(Action { handler: libc::SIG_IGN, flags: 0, mask: 0 });
        return 0;
    }
    let Some(next) = next!(c"sigignore" => fn(c_int) -> c_int) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: a number.
    unsafe { next(signal) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn siginterrupt(signal: c_int, interrupt: c_int) -> c_int {
    if kept(signal) {
        let action = disposition::recorded();
        let flags =
            if interrupt != 0 { action.flags & !libc::SA_RESTART } else { action.flags | libc::SA_RESTART };
        disposition::record(Action { flags, ..action });
        return 0;
    }
    let Some(next) = next!(c"siginterrupt" => fn(c_int, c_int) -> c_int) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: numbers.
    unsafe { next(signal, interrupt) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sighold(signal: c_int) -> c_int {
    if signal == SIGSEGV && root::root().is_some() {
        return 0;
    }
    let Some(next) = next!(c"sighold" => fn(c_int) -> c_int) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: a number.
    unsafe { next(signal) }
}

/// Takes SIGSEGV out of a set.
///
/// # Safety
/// `set` is a whole set; its first eight bytes are the kernel's.
unsafe fn unblock(set: *mut sigset_t) {
    // SAFETY: the caller's promise.
    unsafe {
        let word = set.cast::<u64>();
        word.write_unaligned(word.read_unaligned() & !SEGV_BIT);
    }
}

/// A set without SIGSEGV, kept while a call looks at it.
pub(super) struct Lighter(MaybeUninit<sigset_t>);

impl Lighter {
    pub(super) fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// `set`, or a copy without SIGSEGV if it holds it.
    ///
    /// # Safety
    /// `set` is null or a whole set.
    pub(super) unsafe fn of(&mut self, set: *const sigset_t) -> *const sigset_t {
        // SAFETY: the caller's promise.
        unsafe {
            if set.is_null() || root::root().is_none() || set.cast::<u64>().read_unaligned() & SEGV_BIT == 0 {
                return set;
            }
            self.0.write(set.read());
            unblock(self.0.as_mut_ptr());
            self.0.as_ptr()
        }
    }
}

macro_rules! masks {
    ($($symbol:literal $name:ident;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
            let Some(next) = next!($symbol => fn(c_int, *const sigset_t, *mut sigset_t) -> c_int) else {
                errno::write(libc::ENOSYS);
                return -1;
            };
            let mut lighter = Lighter::new();
            // SAFETY: the program's promise to libc.
            unsafe {
                let set = if how == libc::SIG_UNBLOCK { set } else { lighter.of(set) };
                next(how, set, old)
            }
        }
    )* };
}

masks! {
    c"pthread_sigmask" pthread_sigmask;
    c"sigprocmask" sigprocmask;
}

macro_rules! old_masks {
    ($($symbol:literal $name:ident;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(mask: c_int) -> c_int {
            let Some(next) = next!($symbol => fn(c_int) -> c_int) else {
                errno::write(libc::ENOSYS);
                return -1;
            };
            let mask = if root::root().is_some() { mask & !OLD_SEGV_BIT } else { mask };
            // SAFETY: a number.
            unsafe { next(mask) }
        }
    )* };
}

old_masks! {
    c"sigblock" sigblock;
    c"sigsetmask" sigsetmask;
    c"sigpause" sigpause;
}

/// `sigpause` under its inner name, which both of its forms use: of a mask, or of one signal that is let through.
#[unsafe(no_mangle)]
unsafe extern "C" fn __sigpause(mask_or_signal: c_int, is_signal: c_int) -> c_int {
    let Some(next) = next!(c"__sigpause" => fn(c_int, c_int) -> c_int) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    let lighter = if root::root().is_some() { mask_or_signal & !OLD_SEGV_BIT } else { mask_or_signal };
    // SAFETY: numbers.
    unsafe { next(if is_signal == 0 { lighter } else { mask_or_signal }, is_signal) }
}

/// The mask a thread begins with.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_attr_setsigmask_np(attributes: *mut c_void, mask: *const sigset_t) -> c_int {
    let Some(next) = next!(c"pthread_attr_setsigmask_np" => fn(*mut c_void, *const sigset_t) -> c_int) else {
        return libc::ENOSYS;
    };
    let mut lighter = Lighter::new();
    // SAFETY: the program's promise to libc.
    unsafe { next(attributes, lighter.of(mask)) }
}

/// Calls that wait with another mask: name, arguments before the mask, arguments behind it.
macro_rules! waits {
    ($($symbol:literal $name:ident($($before:ident: $before_type:ty),*; mask $(; $after:ident: $after_type:ty)?);)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($before: $before_type,)* mask: *const sigset_t $(, $after: $after_type)?) -> c_int {
            let Some(next) =
                next!($symbol => fn($($before_type,)* *const sigset_t $(, $after_type)?) -> c_int)
            else {
                errno::write(libc::ENOSYS);
                return -1;
            };
            let mut lighter = Lighter::new();
            // SAFETY: the program's promise to libc.
            unsafe { next($($before,)* lighter.of(mask) $(, $after)?) }
        }
    )* };
}

waits! {
    c"pselect" pselect(count: c_int, read: *mut c_void, write: *mut c_void, except: *mut c_void, timeout: *const c_void; mask);
    c"epoll_pwait" epoll_pwait(waiter: c_int, events: *mut c_void, room: c_int, timeout: c_int; mask);
    c"epoll_pwait2" epoll_pwait2(waiter: c_int, events: *mut c_void, room: c_int, timeout: *const c_void; mask);
    c"sigsuspend" sigsuspend(; mask);
}
