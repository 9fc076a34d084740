//! The functions libcrypto handed us: configuration, errors, and the way to other providers of the same library context.
#![expect(unsafe_code, reason = "calls libcrypto's functions")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use super::bindings::{ChildCallback, CoreHandle, Dispatch, PropertiesCallback, core};
use super::params::{Own, to_fill};

/// The core's functions, for one loaded instance of this provider.
#[derive(Clone, Copy)]
pub(crate) struct Core {
    handle: *const CoreHandle,
    get_params: Option<core::CoreGetParams>,
    errors: Option<Errors>,
    marks: Option<Marks>,
    children: Option<Children>,
}

#[derive(Clone, Copy)]
struct Errors {
    new: core::CoreNewError,
    set_debug: core::CoreSetErrorDebug,
    vset: core::CoreVsetError,
}

#[derive(Clone, Copy)]
struct Marks {
    set: core::CoreSetErrorMark,
    clear: core::CoreClearLastErrorMark,
    pop: core::CorePopErrorToMark,
}

#[derive(Clone, Copy)]
struct Children {
    register: core::ProviderRegisterChildCb,
    deregister: core::ProviderDeregisterChildCb,
    name: core::ProviderName,
    context: core::ProviderGet0ProviderCtx,
    dispatch: core::ProviderGet0Dispatch,
    up_ref: core::ProviderUpRef,
    free: core::ProviderFree,
}

// SAFETY: libcrypto's functions may be called from any thread, and the handle lives until our teardown has returned.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

impl Core {
    /// Takes the functions we know out of the table given to `OSSL_provider_init`.
    ///
    /// # Safety
    /// `handle` and `table` are that call's arguments.
    pub(crate) unsafe fn new(handle: *const CoreHandle, table: *const Dispatch) -> Self {
        macro_rules! find {
            ($id:ident) => {{
                // SAFETY: the caller's promise.
                unsafe { Dispatch::find(table, core::$id) }
            }};
        }
        let errors = || {
            Some(Errors {
                new: find!(CORE_NEW_ERROR)?,
                set_debug: find!(CORE_SET_ERROR_DEBUG)?,
                vset: find!(CORE_VSET_ERROR)?,
            })
        };
        let marks = || {
            Some(Marks {
                set: find!(CORE_SET_ERROR_MARK)?,
                clear: find!(CORE_CLEAR_LAST_ERROR_MARK)?,
                pop: find!(CORE_POP_ERROR_TO_MARK)?,
            })
        };
        let children = || {
            Some(Children {
                register: find!(PROVIDER_REGISTER_CHILD_CB)?,
                deregister: find!(PROVIDER_DEREGISTER_CHILD_CB)?,
                name: find!(PROVIDER_NAME)?,
                context: find!(PROVIDER_GET0_PROVIDER_CTX)?,
                dispatch: find!(PROVIDER_GET0_DISPATCH)?,
                up_ref: find!(PROVIDER_UP_REF)?,
                free: find!(PROVIDER_FREE)?,
            })
        };
        Self {
            handle,
            get_params: find!(CORE_GET_PARAMS),
            errors: errors(),
            marks: marks(),
            children: children(),
        }
    }

    /// The value of `key` in our section of the configuration file.
    pub(crate) fn config(&self, key: &'static CStr) -> Option<CString> {
        let get_params = self.get_params?;
        let mut value: *const c_char = std::ptr::null();
        let mut array = [Own::pointer_room(key, &mut value), Own::END];
        // SAFETY: our handle, and a terminated array with room for one pointer.
        let answered = unsafe { get_params(self.handle, to_fill(&mut array).raw()) };
        if answered == 0 || value.is_null() {
            return None;
        }
        // SAFETY: the core keeps the configuration's strings while we are loaded.
        Some(unsafe { CStr::from_ptr(value) }.to_owned())
    }

    /// Puts one error on the calling thread's queue. `detail` must not hold secrets; it is shown as it is.
    pub(crate) fn raise(&self, reason: u32, function: &CStr, detail: &str) {
        let Some(errors) = self.errors else { return };
        // Without conversions the core never reads the argument list.
        let format = CString::new(detail.replace('\0', "").replace('%', "%%")).unwrap_or_default();
        let mut no_arguments = [0_u64; 8];
        // SAFETY: null-terminated strings that outlive the calls; the zeroed block stands for a `va_list` wherever that
        // type travels by reference (x86-64, aarch64 and all others that Linux runs on), and is not read.
        unsafe {
            (errors.new)(self.handle);
            (errors.set_debug)(self.handle, c"warpdrive".as_ptr(), 0, function.as_ptr());
            (errors.vset)(self.handle, reason, format.as_ptr(), no_arguments.as_mut_ptr().cast());
        }
    }

    /// Runs `attempt` and removes whatever errors it left on the calling thread's queue.
    pub(crate) fn without_errors<T>(&self, attempt: impl FnOnce() -> T) -> T {
        let Some(marks) = self.marks else { return attempt() };
        // SAFETY: our handle.
        unsafe { (marks.set)(self.handle) };
        let value = attempt();
        // SAFETY: our handle; the mark was just set.
        unsafe { (marks.pop)(self.handle) };
        value
    }

    /// Runs `attempt` and removes whatever errors it left on the calling thread's queue, if it says so.
    pub(crate) fn without_errors_if(&self, attempt: impl FnOnce() -> bool) {
        let Some(marks) = self.marks else {
            attempt();
            return;
        };
        // SAFETY: our handle.
        unsafe { (marks.set)(self.handle) };
        let end = if attempt() { marks.pop } else { marks.clear };
        // SAFETY: our handle; the mark was just set.
        unsafe { end(self.handle) };
    }

    /// True when `other` is this provider itself.
    pub(crate) fn is_own(&self, other: *const CoreHandle) -> bool {
        std::ptr::eq(self.handle, other)
    }

    /// Has the core call back with every provider of this library context, now and later. False when it cannot.
    ///
    /// # Safety
    /// The callbacks accept `argument` until [`Core::stop_watching`] has returned.
    pub(crate) unsafe fn watch_providers(
        &self,
        arrived: ChildCallback,
        leaving: ChildCallback,
        properties: PropertiesCallback,
        argument: *mut c_void,
    ) -> bool {
        let Some(children) = self.children else { return false };
        // SAFETY: our handle; the caller's promise.
        unsafe { (children.register)(self.handle, arrived, leaving, properties, argument) != 0 }
    }

    /// Ends [`Core::watch_providers`].
    pub(crate) fn stop_watching(&self) {
        if let Some(children) = self.children {
            // SAFETY: our handle.
            unsafe { (children.deregister)(self.handle) }
        }
    }

    /// The name of a provider that a child callback is being told about.
    ///
    /// # Safety
    /// `provider` is the handle of a running child callback, or one we hold a reference on.
    pub(crate) unsafe fn provider_is_named(&self, provider: *const CoreHandle, name: &CStr) -> bool {
        let Some(children) = self.children else { return false };
        // SAFETY: the caller's promise; a plain getter, safe under the core's locks.
        let found = unsafe { (children.name)(provider) };
        // SAFETY: provider names live as long as the provider.
        !found.is_null() && unsafe { CStr::from_ptr(found) } == name
    }

    /// Takes hold of `provider`, the one last reported by a child callback: its object stays, and stays active, until
    /// the result is dropped. `None` when it is going.
    pub(crate) fn hold_reported(&self, provider: *const CoreHandle) -> Option<Held> {
        let children = self.children?;
        // Two references: the activating one alone leaves the object to be freed while still in use at exit (measured).
        // SAFETY: reported and not reported as leaving; an application that unloads a provider while its library context
        // is fetching for the first time is excluded by OSSL_PROVIDER(3), which leaves that order to the application.
        if unsafe { (children.up_ref)(provider, 0) } == 0 {
            return None;
        }
        // SAFETY: the object is held.
        if unsafe { (children.up_ref)(provider, 1) } == 0 {
            // SAFETY: gives back the reference just taken.
            unsafe { (children.free)(provider, 0) };
            return None;
        }
        Some(Held { children, provider })
    }
}

/// Another provider, kept alive and active.
pub(crate) struct Held {
    children: Children,
    provider: *const CoreHandle,
}

// SAFETY: references on providers may be given back from any thread.
unsafe impl Send for Held {}
// SAFETY: the getters only read.
unsafe impl Sync for Held {}

impl Held {
    /// The provider's own context.
    pub(crate) fn context(&self) -> *mut c_void {
        // SAFETY: the provider is held.
        unsafe { (self.children.context)(self.provider) }
    }

    /// The provider's own table.
    pub(crate) fn dispatch(&self) -> *const Dispatch {
        // SAFETY: the provider is held.
        unsafe { (self.children.dispatch)(self.provider) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        const DEACTIVATE: c_int = 1;
        // SAFETY: gives back the two references of `Core::hold`, last taken first.
        unsafe {
            (self.children.free)(self.provider, DEACTIVATE);
            (self.children.free)(self.provider, 0);
        }
    }
}
