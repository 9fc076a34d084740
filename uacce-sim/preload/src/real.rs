//! The next definition of an interposed function: libc's, or that of another preloaded library.
#![expect(unsafe_code, reason = "asks the dynamic linker")]

use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// One interposed name; its successor is looked up at the first call, without a lock.
pub(crate) struct Next {
    name: &'static CStr,
    at: AtomicPtr<libc::c_void>,
}

impl Next {
    /// Nothing is looked up yet.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, at: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// The successor's address; null if there is none.
    #[inline]
    pub(crate) fn address(&self) -> *mut libc::c_void {
        let at = self.at.load(Ordering::Relaxed);
        if at.is_null() { self.look_up() } else { at }
    }

    #[cold]
    #[inline(never)]
    fn look_up(&self) -> *mut libc::c_void {
        let errno = crate::errno::read();
        // SAFETY: the name is NUL-terminated. RTLD_NEXT is this library's successor.
        let at = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        crate::errno::write(errno);
        self.at.store(at, Ordering::Relaxed);
        at
    }
}

/// `next!(c"creat" => fn(*const c_char, mode_t) -> c_int)`: the successor as an `Option` of that function.
macro_rules! next {
    ($name:literal => fn($($argument:ty),* $(,)?) -> $result:ty) => {{
        static NEXT: $crate::real::Next = $crate::real::Next::new($name);
        // SAFETY: a C function of this very signature, or null, which is `None`.
        unsafe {
            core::mem::transmute::<*mut libc::c_void, Option<unsafe extern "C" fn($($argument),*) -> $result>>(
                NEXT.address(),
            )
        }
    }};
}
#[cfg_attr(test, allow(unused_imports))]
pub(crate) use next;
