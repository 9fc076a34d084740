//! The doorbell trap: a store into a read-only doorbell page becomes two mailbox words and a futex.
//!
//! The handler is installed with the first doorbell mapping, not at load. Everything it does is async-signal-safe: raw
//! system calls, no allocation, no lock, `errno` untouched. What is not a doorbell goes to the program's own handler.
#![expect(unsafe_code, reason = "is a signal handler")]

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod context;
mod mailbox;
mod ready;

use crate::decode::Effect;
use crate::disposition::{self, Action};
use crate::{ranges, syscall};
use context::Context;
use core::sync::atomic::{AtomicBool, Ordering};
#[cfg_attr(test, allow(unused_imports))]
pub(crate) use mailbox::inode_of;
#[cfg_attr(test, allow(unused_imports))]
pub(crate) use ready::Poll;

static EVER: AtomicBool = AtomicBool::new(false);
static COMPLAINED: AtomicBool = AtomicBool::new(false);

/// SEGV_ACCERR: the address is mapped, the access is not allowed.
const ACCESS_DENIED: i32 = 2;

/// The handler's address, as dispositions name it.
pub(crate) fn address() -> usize {
    handler as *const () as usize
}

/// Whether the kernel calls our handler for SIGSEGV in this process.
pub(crate) fn in_front() -> bool {
    EVER.load(Ordering::Acquire) && disposition::installed() == address()
}

/// Puts the trap in front of whatever disposition SIGSEGV has. `false`: refused.
pub(crate) fn install() -> bool {
    // A thread that blocks SIGSEGV would be killed by its first doorbell.
    syscall::signal_mask(libc::SIG_UNBLOCK, 1 << (libc::SIGSEGV - 1));
    if in_front() {
        return true;
    }
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
    let trap = Action { handler: address(), flags, mask: 0 }.to_libc();
    let mut before = Action::DEFAULT.to_libc();
    // SAFETY: both are whole structures; the handler lives as long as the process (the library is never unloaded).
    unsafe {
        if disposition::next_sigaction(libc::SIGSEGV, core::ptr::null(), &raw mut before) != 0 {
            return false;
        }
        let program = Action::read(&raw const before);
        if program.handler != address() {
            disposition::record(program);
        }
        EVER.store(true, Ordering::Release);
        disposition::next_sigaction(libc::SIGSEGV, &raw const trap, core::ptr::null_mut()) == 0
    }
}

/// A queue is being started: a handler set since by a raw system call would get the doorbells. Goes in front of it again.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn check() {
    if ranges::any_trapped() && !in_front() {
        complain(b"uacce-sim: a SIGSEGV handler was set by a raw system call; the doorbell trap goes in front of it\n");
        install();
    }
}

fn complain(message: &[u8]) {
    if !COMPLAINED.swap(true, Ordering::Relaxed) {
        syscall::complain(message);
    }
}

/// # Safety
/// Called by the kernel as a signal handler with `SA_SIGINFO`.
unsafe extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel's own structures, valid while the handler runs.
    unsafe {
        if !serve(info, context) {
            chain(signal, info, context);
        }
    }
}

/// Serves the fault if it is a doorbell (simulator.md §6.1).
///
/// # Safety
/// As [`handler`].
unsafe fn serve(info: *const libc::siginfo_t, context: *mut libc::c_void) -> bool {
    // SAFETY: as promised; for a fault the address field is filled.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code != ACCESS_DENIED {
        return false;
    }
    let Some(range) = ranges::find(address) else { return false };
    // SAFETY: as promised.
    let mut context = unsafe { Context::new(context) };
    if !range.trapped() || !context.is_write() {
        return false;
    }
    let Some(store) = context.decode() else {
        complain(b"uacce-sim: a store to a doorbell page was not understood\n");
        return false;
    };
    // SAFETY: the range was found in the table, so its control page is mapped.
    if unsafe { mailbox::is_removed(range) } {
        bus_error(address);
        return true;
    }
    let offset = range.offset(address);
    // SAFETY: the range was found in the table, so its alias is mapped.
    let Some(before) = (unsafe { mailbox::deliver(range, offset, &store) }) else { return false };
    match store.effect {
        Effect::None => {}
        Effect::Set { register, value } => context.set(register, value),
        Effect::Load { register, shift, zero_extend } => {
            context.merge(register, before, store.width, shift, zero_extend);
        }
    }
    context.advance(store.length);
    true
}

/// A SIGBUS for this thread, as the kernel sends for a page that is gone. The program's handler runs before this returns;
/// when it returns itself, the store is tried again, and so is this.
fn bus_error(address: usize) {
    let bit = 1u64 << (libc::SIGBUS - 1);
    if syscall::signal_mask(libc::SIG_BLOCK, 0) & bit != 0 {
        // A fault cannot be blocked: the kernel resets the disposition and lets it through.
        let default = [0usize; 4];
        let arguments = [libc::SIGBUS as usize, default.as_ptr() as usize, 0, size_of::<u64>(), 0, 0];
        // SAFETY: the kernel reads one `struct sigaction` of zeros: the default, nothing blocked.
        let _ = unsafe { syscall::call(libc::SYS_rt_sigaction, arguments) };
        syscall::signal_mask(libc::SIG_UNBLOCK, bit);
    }
    // siginfo_t: number, errno, code in three words of 32 bits; from byte 16 on the address.
    let mut info = [0usize; 16];
    info[0] = libc::SIGBUS as usize;
    info[1] = ADDRESS_GONE;
    info[2] = address;
    // SAFETY: numbers, and a whole siginfo_t that lives through the call.
    unsafe {
        let thread = syscall::call(libc::SYS_gettid, [0; 6]).unwrap_or(0);
        let process = syscall::process_id() as usize;
        let arguments = [process, thread, libc::SIGBUS as usize, info.as_ptr() as usize, 0, 0];
        let _ = syscall::call(libc::SYS_rt_tgsigqueueinfo, arguments);
    }
}

/// BUS_ADRERR.
const ADDRESS_GONE: usize = 2;

/// Hands a fault that is not ours to the program, as the kernel would have done (simulator.md §9).
///
/// # Safety
/// As [`handler`].
unsafe fn chain(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let action = disposition::recorded();
    // SAFETY: as promised.
    let sent = unsafe { (*info).si_code } <= 0;
    let fatal = action.handler == libc::SIG_DFL || action.handler == address();
    if fatal || action.handler == libc::SIG_IGN {
        if sent && !fatal {
            return;
        }
        // A fault repeats when we return and then meets the default, so the core shows the true place. A signal
        // somebody sent does not repeat: send it on.
        disposition::restore_default();
        if sent {
            // SAFETY: numbers only.
            unsafe {
                let thread = syscall::call(libc::SYS_gettid, [0; 6]).unwrap_or(0);
                let process = syscall::process_id() as usize;
                let _ = syscall::call(libc::SYS_tgkill, [process, thread, libc::SIGSEGV as usize, 0, 0, 0]);
            }
        }
        return;
    }
    if action.flags & libc::SA_RESETHAND != 0 {
        disposition::record(Action::DEFAULT);
    }
    let own = if action.flags & libc::SA_NODEFER == 0 { 1 << (signal - 1) } else { 0 };
    let before = syscall::signal_mask(libc::SIG_BLOCK, action.mask | own);
    // SAFETY: the program registered this address as a handler of the kind its flags say.
    unsafe {
        if action.flags & libc::SA_SIGINFO != 0 {
            let call: unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                core::mem::transmute(action.handler);
            call(signal, info, context);
        } else {
            let call: unsafe extern "C" fn(i32) = core::mem::transmute(action.handler);
            call(signal);
        }
    }
    // The kernel restores the mask of the interrupted code from the context (which the handler may have changed).
    syscall::signal_mask(libc::SIG_SETMASK, before);
}
