//! What the machine tells of itself: its page size, where another machine's is imitated.
#![expect(unsafe_code, reason = "replaces libc functions")]

use crate::real::next;
use crate::{client, errno, root};
use core::ffi::{c_int, c_long};

#[unsafe(no_mangle)]
unsafe extern "C" fn sysconf(name: c_int) -> c_long {
    if name == libc::_SC_PAGESIZE {
        if let Some(size) = root::page_size() {
            return c_long::try_from(size).unwrap_or(-1);
        }
    }
    let Some(next) = next!(c"sysconf" => fn(c_int) -> c_long) else {
        errno::write(libc::ENOSYS);
        return -1;
    };
    // SAFETY: a number.
    unsafe { next(name) }
}

fn page_size() -> c_int {
    c_int::try_from(root::page_size().unwrap_or_else(client::page_size)).unwrap_or(4096)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getpagesize() -> c_int {
    page_size()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __getpagesize() -> c_int {
    page_size()
}
