//! Signals, limits and descendants: what `run` and `serve` ask of the kernel about processes.
#![expect(unsafe_code, reason = "signal masks and process control have no safe interface in std")]

use std::io;
use std::mem::zeroed;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::null_mut;

use super::checked;

/// As many of the allocator's arenas as there are processors, not eight times as many: threads here come and go with queues,
/// and what they leave behind in each arena adds up. Call it before there are others.
pub fn limit_arenas() {
    #[cfg(target_env = "gnu")]
    {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // SAFETY: numbers only.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, i32::try_from(processors).unwrap_or(1)) };
    }
}

/// Returns freed memory to the system, from all arenas.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; locks each arena while it looks through it.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// A set of signals, blocked in every thread started after [`SignalSet::block`].
pub struct SignalSet {
    signals: libc::sigset_t,
    previous: libc::sigset_t,
}

/// A signal taken from a [`SignalSet`].
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its number.
    pub signal: libc::c_int,
    /// Whether a process sent it (`kill`), rather than the terminal or the kernel.
    pub sent_by_process: bool,
}

impl SignalSet {
    /// Blocks `signals` in the calling thread: call it before starting others.
    pub fn block(signals: &[libc::c_int]) -> Self {
        // SAFETY: all-zero is a valid start for `sigemptyset`, which initialises it.
        let mut set: libc::sigset_t = unsafe { zeroed() };
        // SAFETY: `set` is a live sigset.
        unsafe { libc::sigemptyset(&raw mut set) };
        for signal in signals {
            // SAFETY: `set` is initialised.
            unsafe { libc::sigaddset(&raw mut set, *signal) };
        }
        let mut previous = set;
        // SAFETY: `set` is initialised, `previous` receives the old mask.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut previous) };
        Self { signals: set, previous }
    }

    /// Lets `command` start with the mask from before [`SignalSet::block`].
    pub fn release_in(&self, command: &mut Command) {
        let previous = self.previous;
        let release = move || {
            // SAFETY: `previous` is an initialised sigset.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const previous, null_mut()) };
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes one async-signal-safe call and touches only its own copy.
        unsafe { command.pre_exec(release) };
    }

    /// Waits for one of the signals.
    pub fn wait(&self) -> Taken {
        loop {
            // SAFETY: all-zero is a valid `siginfo_t`.
            let mut info: libc::siginfo_t = unsafe { zeroed() };
            // SAFETY: both pointers are to live values.
            let signal = unsafe { libc::sigwaitinfo(&raw const self.signals, &raw mut info) };
            if signal > 0 {
                let sent_by_process = matches!(info.si_code, libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE);
                return Taken { signal, sent_by_process };
            }
        }
    }
}

/// Sends `signal` to process `pid`.
/// # Errors
/// What `kill` reports.
pub fn send_signal(pid: u32, signal: libc::c_int) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: plain system call.
    checked(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Becomes the parent of descendants whose own parent ended, so that they can be waited for.
/// # Errors
/// What `prctl` reports.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: plain system call.
    checked(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Collects a child that ended, without waiting. `pid` names one child.
pub fn reap(pid: u32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: a null status pointer is allowed.
    unsafe { libc::waitpid(pid, null_mut(), libc::WNOHANG) };
}

/// Lets sleeps end when they should: the default slack of 50 µs is longer than what `--latency` imitates.
pub fn precise_sleeps() {
    // SAFETY: plain system call; failure only leaves sleeps coarse.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}

/// Raises the limit of open descriptors as far as allowed: each queue takes five.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit; failure leaves the limit as it was.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Processor time this process used.
pub fn processor_time() -> std::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec; on failure it stays zero.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    std::time::Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Hour, minute and second of the day, in the local time zone, of a time in seconds since 1970.
pub fn local_time(seconds: u64) -> [u64; 3] {
    let seconds = libc::time_t::try_from(seconds).unwrap_or(0);
    // SAFETY: all-zero is a valid `tm`.
    let mut broken_down: libc::tm = unsafe { zeroed() };
    // SAFETY: both pointers are to live values.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut broken_down) };
    [broken_down.tm_hour, broken_down.tm_min, broken_down.tm_sec].map(|part| u64::try_from(part).unwrap_or(0))
}

/// The page size, bytes.
pub fn page_size() -> u32 {
    // SAFETY: plain library call.
    u32::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The effective user.
pub fn user() -> libc::uid_t {
    // SAFETY: plain system call that cannot fail.
    unsafe { libc::geteuid() }
}

/// Makes a fresh private directory (mode 0700) named `<parent>/uacce-sim-XXXXXX`.
/// # Errors
/// What `mkdtemp` reports.
pub fn private_directory(parent: &std::path::Path) -> io::Result<std::path::PathBuf> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut template = parent.join("uacce-sim-XXXXXX").as_os_str().as_bytes().to_vec();
    template.push(0);
    // SAFETY: `template` is a writable NUL-terminated string.
    let made = unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) };
    if made.is_null() {
        return Err(io::Error::last_os_error());
    }
    template.pop();
    Ok(std::ffi::OsString::from_vec(template).into())
}
