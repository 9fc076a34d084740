//! Simulated uacce devices: the daemon behind `uacce-sim`.
//!
//! A client's preload library turns `open("/dev/hisi_…")` into a connection to this daemon, its ioctls and mmaps into
//! messages, and its doorbell stores into words of shared memory (`uacce-sim-protocol`). From there:
//!
//! ```text
//! serve ─ one thread per connection = one open = one queue
//!   └► queue      state machine and errno of open, ioctl, mmap, close      (uacce-qm §2)
//!        └► worker  one thread per started queue: doorbells, rings, phases  (uacce-qm §4)
//!             └► model  what the hardware would compute, descriptor in, descriptor out (hpre §8, zip §7)
//!                  └► os::client  the client's memory: a bad pointer is an error status, never a crash
//! ```
//! `account` counts and `trace` records what the workers do; `watch` tells `top` and `trace --root`. `pace` says how long things
//! take. `run` starts that daemon for one command; `sysfs` keeps the attribute files. Nothing depends on this crate.

pub mod account;
pub mod cli;
pub mod describe;
pub mod device;
pub mod doorbell;
pub mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod isolation;
pub mod log;
pub mod memo;
pub mod model;
pub mod os;
pub mod pace;
pub mod queue;
pub mod reserved;
pub mod run;
pub mod serve;
pub mod spin;
pub mod sysfs;
pub mod top;
pub mod trace;
pub mod trouble;
pub mod usage;
pub mod watch;
pub mod worker;
