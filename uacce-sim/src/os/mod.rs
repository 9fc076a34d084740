//! Foreign code, behind safe types: the kernel (shared regions, sockets that carry descriptors, other processes' memory,
//! signals, random numbers) and libcrypto's big numbers, curves,
//! ciphers and digests. The only folder of this crate with `unsafe` in it.

mod bus;
pub mod cipher;
pub mod client;
pub mod digest;
pub mod group;
pub mod modular;
pub mod process;
pub mod random;
pub mod region;
pub mod socket;
pub mod watch;

use std::io;

/// Turns libc's −1 into the error it stands for.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
