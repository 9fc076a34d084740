//! The provider itself: loading, parameters, what is offered, the end.
//!
//! # Safety
//! libcrypto calls these functions, as `provider(7)` says: every context is the one that [`OSSL_provider_init`] handed out
//! and is alive, arrays end with their mark, and teardown comes last.
#![expect(unsafe_code, reason = "C calls these functions with C pointers")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

use crate::context::Context;
use crate::error::REASONS;
use crate::ffi::bindings::{Algorithm, Callback, CoreHandle, Dispatch, Item, Param};
use crate::ffi::guard::{guard, silence_panics};
use crate::ffi::handle::{enter, free_shared, shared};
use crate::ffi::params::{Described, Params, ParamsToFill, describe};
use crate::ffi::upcalls::Core;
use crate::tables::Tables;
use crate::{status, tables};

/// Loads one instance of the provider: the module's only exported symbol (`provider-base(7)`). Returns 1, or 0 when it
/// cannot be used. Opens nothing, starts nothing.
///
/// # Safety
/// As libcrypto calls it: `handle` and `upcalls` are its own, `functions` and `context` are writable.
#[cfg_attr(test, expect(non_snake_case, reason = "the name libcrypto looks for"))]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn OSSL_provider_init(
    handle: *const CoreHandle,
    upcalls: *const Dispatch,
    functions: *mut *const Dispatch,
    context: *mut *mut c_void,
) -> c_int {
    guard(
        || (),
        || {
            if handle.is_null() || upcalls.is_null() || functions.is_null() || context.is_null() {
                return 0;
            }
            silence_panics();
            // SAFETY: the caller's promise.
            let core = unsafe { Core::new(handle, upcalls) };
            let instance = shared(Arc::new(Context::new(core)));
            // SAFETY: the callbacks take an instance, which lives until teardown, which ends the watch. Without the
            // watch no other provider is ever found and nothing is offered; the provider still loads.
            let _ = unsafe { core.watch_providers(arrived, leaving, properties_changed, instance) };
            // SAFETY: checked above, and the caller's promise.
            unsafe {
                *functions = tables::PROVIDER.as_ptr();
                *context = instance;
            }
            1
        },
    )
}

/// A provider became active. Runs under the core's locks: look at the name, keep the pointer, nothing else.
unsafe extern "C" fn arrived(provider: *const CoreHandle, instance: *mut c_void) -> c_int {
    // SAFETY: the instance we registered.
    unsafe {
        enter(instance, |context: &Context| {
            let core = context.core();
            if !core.is_own(provider) && core.provider_is_named(provider, &context.config().fallback) {
                context.fallback_arrived(provider);
            }
            1
        })
    }
}

/// A provider is going.
unsafe extern "C" fn leaving(provider: *const CoreHandle, instance: *mut c_void) -> c_int {
    // SAFETY: the instance we registered.
    unsafe {
        enter(instance, |context: &Context| {
            context.provider_leaves(provider);
            1
        })
    }
}

/// The default properties changed: nothing of ours depends on them.
unsafe extern "C" fn properties_changed(_properties: *const c_char, _instance: *mut c_void) -> c_int {
    1
}

pub(crate) unsafe extern "C" fn teardown(instance: *mut c_void) {
    // SAFETY: our instance, for the last time.
    unsafe {
        enter(instance, |context: &Context| context.core().stop_watching());
        guard(|| (), || free_shared::<Context>(instance));
    }
}

static DESCRIPTIONS: Described<7> = Described::new([
    describe(c"name", Param::UTF8_PTR),
    describe(c"version", Param::UTF8_PTR),
    describe(c"buildinfo", Param::UTF8_PTR),
    describe(c"status", Param::INTEGER),
    describe(c"warpdrive.fallback", Param::INTEGER),
    describe(c"warpdrive.rsa-2048-private", Param::UTF8_PTR),
    Param::END,
]);

pub(crate) unsafe extern "C" fn gettable_params(_instance: *mut c_void) -> *const Param {
    DESCRIPTIONS.raw()
}

pub(crate) unsafe extern "C" fn get_params(instance: *mut c_void, params: *mut Param) -> c_int {
    // SAFETY: our instance and a terminated array.
    unsafe {
        enter(instance, |context: &Context| {
            c_int::from(status::answer(context, &mut ParamsToFill::new(params)))
        })
    }
}

pub(crate) unsafe extern "C" fn query_operation(
    instance: *mut c_void,
    operation: c_int,
    no_store: *mut c_int,
) -> *const Algorithm {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |context: &Context| {
            let (algorithms, may_change) = context.query(operation);
            if let Some(no_store) = no_store.as_mut() {
                *no_store = c_int::from(may_change);
            }
            algorithms
        })
    }
}

pub(crate) unsafe extern "C" fn reason_strings(_instance: *mut c_void) -> *const Item {
    REASONS.as_ptr()
}

/// The groups of TLS whose keys we have, as the default provider describes them: libssl 3.0 drops a group when the key type
/// comes from a provider that does not announce it. We add no groups and no signature schemes of our own.
pub(crate) unsafe extern "C" fn get_capabilities(
    instance: *mut c_void,
    capability: *const c_char,
    callback: Option<Callback>,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: our instance, a string, and a callback that accepts its argument.
    unsafe {
        enter(instance, |context: &Context| {
            let Some(callback) = callback else { return 0 };
            if capability.is_null()
                || !CStr::from_ptr(capability).to_bytes().eq_ignore_ascii_case(b"TLS-GROUP")
            {
                return 1;
            }
            let Some((fallback, tables)) = context.offered() else { return 1 };
            let mut filter = GroupFilter { tables, callback, argument };
            fallback.capabilities(c"TLS-GROUP", pass_group, (&raw mut filter).cast())
        })
    }
}

/// Whom to tell about which groups.
struct GroupFilter<'a> {
    tables: &'a Tables,
    callback: Callback,
    argument: *mut c_void,
}

/// Passes a group on when its keys are ours.
unsafe extern "C" fn pass_group(group: *const Param, filter: *mut c_void) -> c_int {
    guard(
        || (),
        || {
            // SAFETY: the filter of the running `get_capabilities`, and a terminated array.
            let (filter, params) = unsafe { (&*filter.cast::<GroupFilter<'_>>(), Params::new(group)) };
            let key_type = params.text(c"tls-group-alg");
            if !key_type.is_some_and(|key_type| filter.tables.has_keys(&key_type)) {
                return 1;
            }
            // SAFETY: libcrypto's callback with its own argument.
            unsafe { (filter.callback)(group, filter.argument) }
        },
    )
}

/// Works without a device, so there is nothing that could fail here; every hardware result is checked when it arrives.
pub(crate) unsafe extern "C" fn self_test(_instance: *mut c_void) -> c_int {
    1
}
