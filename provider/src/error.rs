//! What we ourselves put on OpenSSL's error queue. Errors of the default provider pass through untouched.

use std::ffi::CStr;

use crate::ffi::bindings::Item;
use crate::ffi::upcalls::Core;

/// A reason, as applications see it. Numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Reason {
    /// Our own mistake, caught. *Report.*
    Internal = 1,
    /// No provider to do the software side is active in this library context. *Fix the configuration.*
    NoFallback = 2,
    /// A value in the configuration file was not understood and its default is in force. *Fix the configuration.*
    BadConfig = 3,
}

/// Every reason with its text.
pub(crate) static REASONS: [Item; 4] = [
    Item { id: Reason::Internal as u32, text: c"internal error".as_ptr() },
    Item { id: Reason::NoFallback as u32, text: c"no default provider is active".as_ptr() },
    Item { id: Reason::BadConfig as u32, text: c"bad value in the configuration".as_ptr() },
    Item { id: 0, text: std::ptr::null() },
];

impl Reason {
    /// Puts this reason on the calling thread's queue.
    pub(crate) fn raise(self, core: &Core, function: &CStr, detail: &str) {
        core.raise(self as u32, function, detail);
    }
}
