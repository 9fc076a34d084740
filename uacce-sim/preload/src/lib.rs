//! Preload library of the simulator: makes the daemon's devices appear to any program that opens `/dev/hisi_*` and reads
//! `/sys/class/uacce`, without a change to that program.
//!
//! ```text
//! open, stat, realpath …  ─► path      sysfs names ─► ordinary files below $UACCE_SIM_ROOT
//! open /dev/hisi_*        ─► client    one SEQPACKET connection = one open queue; dup, fork, exec, close behave natively
//! ioctl, mmap             ─► client    one message each, answered on a socket pair of its own
//! a doorbell store        ─► trap      decode ─► ranges ─► mailbox words in shared memory, futex ─► the daemon
//! sigaction, masks        ─► disposition   the trap stays in front, the program's own handler behind it
//! ```
//!
//! Nothing is remembered about descriptors: whether one is ours is asked of the kernel (`getpeername`). Without
//! `UACCE_SIM_ROOT` every call passes straight through. Interposed calls allocate nothing, keep `errno`, and enter the
//! kernel by raw system calls where a libc call would come back here.

#[cfg(not(target_os = "linux"))]
compile_error!("the preload library is for Linux");

mod client;
mod decode;
mod disposition;
mod errno;
#[cfg(not(test))]
mod exports;
mod path;
mod ranges;
mod real;
mod root;
mod syscall;
mod trap;
