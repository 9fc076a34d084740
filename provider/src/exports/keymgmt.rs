//! Keys as libcrypto calls them (`provider-keymgmt(7)`): one set of functions, stamped out per key type, because some of
//! them are given nothing that tells the type.
//!
//! # Safety
//! libcrypto calls these functions: provider contexts are our instances, keys and generations are ours and alive, arrays end
//! with their mark, callbacks accept their argument.
#![expect(unsafe_code, reason = "C calls these functions with C pointers")]

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use crate::context::Context;
use crate::exports::key_parts;
use crate::ffi::bindings::{Callback, Param, operation};
use crate::ffi::fallback::KeyType;
use crate::ffi::guard::guard;
use crate::ffi::handle::{borrow, boxed, enter, enter_mut, free_boxed, free_shared, share, shared};
use crate::ffi::params::{Params, ParamsToFill};
use crate::ops::keymgmt::{Generation, Key};

/// A key type, as a parameter of the functions below.
pub(crate) trait Row {
    /// The type.
    const TYPE: KeyType;
}

macro_rules! rows {
    ($($name:ident)*) => { $(
        /// Stands for the key type of this name.
        pub(crate) struct $name;

        impl Row for $name {
            const TYPE: KeyType = KeyType::$name;
        }
    )* };
}

rows! { Rsa RsaPss Dh Ec X25519 X448 Sm2 }

pub(crate) unsafe extern "C" fn new<R: Row>(instance: *mut c_void) -> *mut c_void {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |_: &Context| {
            share(instance)
                .and_then(|context| Key::new(context, R::TYPE))
                .map_or(std::ptr::null_mut(), |key| shared(Arc::new(key)))
        })
    }
}

pub(crate) unsafe extern "C" fn free(key: *mut c_void) {
    // SAFETY: our key; one share of it ends.
    guard(|| (), || unsafe { free_shared::<Key>(key) });
}

pub(crate) unsafe extern "C" fn gen_init<R: Row>(
    instance: *mut c_void,
    selection: c_int,
    params: *const Param,
) -> *mut c_void {
    // SAFETY: our instance and a terminated array.
    unsafe {
        enter(instance, |_: &Context| {
            share(instance)
                .and_then(|context| Generation::new(context, R::TYPE, selection, Params::new(params)))
                .map_or(std::ptr::null_mut(), boxed)
        })
    }
}

pub(crate) unsafe extern "C" fn gen_set_template(generation: *mut c_void, template: *mut c_void) -> c_int {
    // SAFETY: our generation, and our key or null.
    unsafe {
        enter_mut(generation, |generation: &mut Generation| {
            borrow(template).map_or(0, |template: &Key| generation.set_template(template))
        })
    }
}

pub(crate) unsafe extern "C" fn gen_set_params(generation: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: our generation and a terminated array.
    unsafe { enter_mut(generation, |generation: &mut Generation| generation.set_params(Params::new(params))) }
}

pub(crate) unsafe extern "C" fn gen_settable_params<R: Row>(
    generation: *mut c_void,
    instance: *mut c_void,
) -> *const Param {
    // SAFETY: our instance, and our generation or null.
    unsafe {
        enter(instance, |context: &Context| Generation::settable_params(borrow(generation), R::TYPE, context))
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

pub(crate) unsafe extern "C" fn gettable_params<R: Row>(instance: *mut c_void) -> *const Param {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |context: &Context| {
            context.fallback().map_or(std::ptr::null(), |fallback| fallback.key_gettable_params(R::TYPE))
        })
    }
}

pub(crate) unsafe extern "C" fn set_params(key: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: our key and a terminated array.
    unsafe { enter(key, |key: &Key| key.set_params(Params::new(params))) }
}

pub(crate) unsafe extern "C" fn settable_params<R: Row>(instance: *mut c_void) -> *const Param {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |context: &Context| {
            context.fallback().map_or(std::ptr::null(), |fallback| fallback.key_settable_params(R::TYPE))
        })
    }
}

/// The name under which an operation with such a key is fetched; null where that is the key type's own name.
pub(crate) unsafe extern "C" fn query_operation_name<R: Row>(asked: c_int) -> *const c_char {
    match (R::TYPE, asked) {
        (KeyType::Rsa | KeyType::RsaPss, _) => c"RSA".as_ptr(),
        (KeyType::Ec, operation::KEYEXCH) => c"ECDH".as_ptr(),
        (KeyType::Ec, operation::SIGNATURE) => c"ECDSA".as_ptr(),
        _ => std::ptr::null(),
    }
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
    unsafe {
        enter(key, |key: &Key| {
            if !key.is_exportable(selection) {
                return 0;
            }
            key.software().export(selection, callback, argument)
        })
    }
}

pub(crate) unsafe extern "C" fn dup(key: *mut c_void, selection: c_int) -> *mut c_void {
    // SAFETY: our key.
    unsafe {
        enter(key, |key: &Key| {
            key.duplicate(selection).map_or(std::ptr::null_mut(), |copy| shared(Arc::new(copy)))
        })
    }
}

/// What import takes and export gives. This call names no instance, so the answer is our own; newer cores ask through
/// the two functions below.
pub(crate) unsafe extern "C" fn types<R: Row>(selection: c_int) -> *const Param {
    key_parts::of(R::TYPE, selection)
}

pub(crate) unsafe extern "C" fn import_types_ex<R: Row>(
    instance: *mut c_void,
    selection: c_int,
) -> *const Param {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |context: &Context| {
            context
                .fallback()
                .map_or(std::ptr::null(), |fallback| fallback.key_parts(R::TYPE, selection, true))
        })
    }
}

pub(crate) unsafe extern "C" fn export_types_ex<R: Row>(
    instance: *mut c_void,
    selection: c_int,
) -> *const Param {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |context: &Context| {
            context
                .fallback()
                .map_or(std::ptr::null(), |fallback| fallback.key_parts(R::TYPE, selection, false))
        })
    }
}
