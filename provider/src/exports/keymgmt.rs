//! RSA keys as libcrypto calls them (`provider-keymgmt(7)`).
//!
//! # Safety
//! libcrypto calls these functions: provider contexts are our instances, keys and generations are ours and alive, arrays end
//! with their mark, callbacks accept their argument.
#![expect(unsafe_code, reason = "C calls these functions with C pointers")]

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use crate::context::Context;
use crate::ffi::bindings::{Callback, Param, selection};
use crate::ffi::fallback::types_of;
use crate::ffi::guard::guard;
use crate::ffi::handle::{boxed, enter, enter_mut, free_boxed, free_shared, share, shared};
use crate::ffi::params::{Described, Params, ParamsToFill, describe};
use crate::ops::keymgmt::rsa::{Generation, Key};

pub(crate) unsafe extern "C" fn new(instance: *mut c_void) -> *mut c_void {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |_: &Context| {
            share(instance).and_then(Key::new).map_or(std::ptr::null_mut(), |key| shared(Arc::new(key)))
        })
    }
}

pub(crate) unsafe extern "C" fn free(key: *mut c_void) {
    // SAFETY: our key; one share of it ends.
    guard(|| (), || unsafe { free_shared::<Key>(key) });
}

pub(crate) unsafe extern "C" fn gen_init(
    instance: *mut c_void,
    selection: c_int,
    params: *const Param,
) -> *mut c_void {
    // SAFETY: our instance and a terminated array.
    unsafe {
        enter(instance, |_: &Context| {
            share(instance)
                .and_then(|context| Generation::new(context, selection, Params::new(params)))
                .map_or(std::ptr::null_mut(), boxed)
        })
    }
}

pub(crate) unsafe extern "C" fn gen_set_params(generation: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: our generation and a terminated array.
    unsafe { enter_mut(generation, |generation: &mut Generation| generation.set_params(Params::new(params))) }
}

pub(crate) unsafe extern "C" fn gen_settable_params(
    generation: *mut c_void,
    instance: *mut c_void,
) -> *const Param {
    // SAFETY: our instance, and our generation or null.
    unsafe {
        enter(instance, |context: &Context| {
            let generation = crate::ffi::handle::borrow::<Generation>(generation);
            Generation::settable_params(generation, context)
        })
    }
}

pub(crate) unsafe extern "C" fn generate(
    generation: *mut c_void,
    progress: Option<Callback>,
    argument: *mut c_void,
) -> *mut c_void {
    // SAFETY: our generation; the callback accepts its argument.
    unsafe {
        enter_mut(generation, |generation: &mut Generation| {
            let key = generation.run(|software| software.run(progress, argument));
            key.map_or(std::ptr::null_mut(), |key| shared(Arc::new(key)))
        })
    }
}

pub(crate) unsafe extern "C" fn gen_cleanup(generation: *mut c_void) {
    // SAFETY: our generation, for the last time.
    guard(|| (), || unsafe { free_boxed::<Generation>(generation) });
}

pub(crate) unsafe extern "C" fn get_params(key: *mut c_void, params: *mut Param) -> c_int {
    // SAFETY: our key and a terminated array.
    unsafe { enter(key, |key: &Key| key.software().get_params(ParamsToFill::new(params))) }
}

pub(crate) unsafe extern "C" fn gettable_params(instance: *mut c_void) -> *const Param {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |context: &Context| {
            context.fallback().map_or(std::ptr::null(), |fallback| fallback.key_gettable_params())
        })
    }
}

pub(crate) unsafe extern "C" fn query_operation_name(_operation: c_int) -> *const c_char {
    c"RSA".as_ptr()
}

pub(crate) unsafe extern "C" fn has(key: *mut c_void, selection: c_int) -> c_int {
    // SAFETY: our key or null.
    unsafe { enter(key, |key: &Key| key.software().has(selection)) }
}

pub(crate) unsafe extern "C" fn validate(key: *mut c_void, selection: c_int, check: c_int) -> c_int {
    // SAFETY: our key.
    unsafe { enter(key, |key: &Key| key.software().validate(selection, check)) }
}

pub(crate) unsafe extern "C" fn matches(one: *mut c_void, other: *mut c_void, selection: c_int) -> c_int {
    // SAFETY: two of our keys.
    unsafe {
        enter(one, |one: &Key| {
            enter(other, |other: &Key| one.software().matches(other.software(), selection))
        })
    }
}

pub(crate) unsafe extern "C" fn import(key: *mut c_void, selection: c_int, params: *const Param) -> c_int {
    // SAFETY: our key and a terminated array.
    unsafe { enter(key, |key: &Key| key.import(selection, Params::new(params))) }
}

pub(crate) unsafe extern "C" fn export(
    key: *mut c_void,
    selection: c_int,
    callback: Option<Callback>,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: our key; the callback accepts its argument.
    unsafe { enter(key, |key: &Key| key.software().export(selection, callback, argument)) }
}

pub(crate) unsafe extern "C" fn dup(key: *mut c_void, selection: c_int) -> *mut c_void {
    // SAFETY: our key.
    unsafe {
        enter(key, |key: &Key| {
            key.duplicate(selection).map_or(std::ptr::null_mut(), |copy| shared(Arc::new(copy)))
        })
    }
}

/// The numbers of an RSA key (`EVP_PKEY-RSA(7)`): up to ten primes.
static KEY_TYPES: Described<33> = Described::new([
    describe(c"n", Param::UNSIGNED_INTEGER),
    describe(c"e", Param::UNSIGNED_INTEGER),
    describe(c"d", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor1", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor2", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor3", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor4", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor5", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor6", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor7", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor8", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor9", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor10", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent1", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent2", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent3", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent4", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent5", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent6", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent7", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent8", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent9", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent10", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient1", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient2", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient3", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient4", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient5", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient6", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient7", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient8", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient9", Param::UNSIGNED_INTEGER),
    Param::END,
]);

/// What import takes and export gives. This call names no instance, so the answer is our own; newer cores ask through
/// the two functions below.
pub(crate) unsafe extern "C" fn key_types(asked: c_int) -> *const Param {
    if asked & selection::KEYPAIR == 0 { std::ptr::null() } else { KEY_TYPES.raw() }
}

pub(crate) unsafe extern "C" fn import_types_ex(instance: *mut c_void, selection: c_int) -> *const Param {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |context: &Context| {
            context.fallback().map_or(std::ptr::null(), |fallback| types_of(fallback, selection, true))
        })
    }
}

pub(crate) unsafe extern "C" fn export_types_ex(instance: *mut c_void, selection: c_int) -> *const Param {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |context: &Context| {
            context.fallback().map_or(std::ptr::null(), |fallback| types_of(fallback, selection, false))
        })
    }
}
