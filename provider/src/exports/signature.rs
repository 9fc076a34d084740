//! The functions of signature algorithms, as libcrypto calls them.
//!
//! # Safety
//! libcrypto calls these functions, as `provider-signature(7)` says: contexts are those that [`newctx`] or [`dupctx`] handed
//! out, used by one thread at a time; keys are those of `exports::keymgmt`; arrays end with their mark; buffers are as
//! long as said.
#![expect(unsafe_code, reason = "C calls these functions with C pointers")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

use crate::context::Context;
use crate::ffi::bindings::Param;
use crate::ffi::fallback::SignatureType;
use crate::ffi::guard::guard;
use crate::ffi::handle::{Input, Output, borrow, boxed, enter, enter_mut, free_boxed, share};
use crate::ffi::params::{Params, ParamsToFill};
use crate::ops::keymgmt::Key;
use crate::ops::signature::Signature;

/// A signature algorithm, as a parameter of the functions below.
pub(crate) trait Row {
    /// Which one.
    const TYPE: SignatureType;
}

macro_rules! rows {
    ($($name:ident)*) => { $(
        /// Stands for the signature algorithm of this name.
        pub(crate) struct $name;

        impl Row for $name {
            const TYPE: SignatureType = SignatureType::$name;
        }
    )* };
}

rows! { Rsa Ecdsa Sm2 }

/// # Safety
/// `text` is null or a string that lives for the length of the call.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

pub(crate) unsafe extern "C" fn newctx<R: Row>(
    instance: *mut c_void,
    properties: *const c_char,
) -> *mut c_void {
    // SAFETY: our instance and a string or null.
    unsafe {
        enter(instance, |_: &Context| {
            share(instance)
                .and_then(|context| Signature::new(context, R::TYPE, text(properties)))
                .map_or(std::ptr::null_mut(), boxed)
        })
    }
}

pub(crate) unsafe extern "C" fn freectx(context: *mut c_void) {
    // SAFETY: our context, for the last time.
    guard(|| (), || unsafe { free_boxed::<Signature>(context) });
}

pub(crate) unsafe extern "C" fn dupctx(context: *mut c_void) -> *mut c_void {
    // SAFETY: our context.
    unsafe {
        enter(context, |signature: &Signature| signature.duplicate().map_or(std::ptr::null_mut(), boxed))
    }
}

macro_rules! inits {
    ($($name:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(context: *mut c_void, key: *mut c_void, params: *const Param) -> c_int {
            // SAFETY: our context, our key or null, a terminated array.
            unsafe {
                enter_mut(context, |signature: &mut Signature| {
                    signature.$name(share::<Key>(key), Params::new(params))
                })
            }
        }
    )* };
}

inits! { sign_init verify_init verify_recover_init }

macro_rules! digest_inits {
    ($($name:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(
            context: *mut c_void,
            digest: *const c_char,
            key: *mut c_void,
            params: *const Param,
        ) -> c_int {
            // SAFETY: our context, a string or null, our key or null, a terminated array.
            unsafe {
                enter_mut(context, |signature: &mut Signature| {
                    let key: Option<Arc<Key>> = share(key);
                    signature.$name(text(digest), key, Params::new(params))
                })
            }
        }
    )* };
}

digest_inits! { digest_sign_init digest_verify_init }

macro_rules! updates {
    ($($name:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(context: *mut c_void, data: *const u8, len: usize) -> c_int {
            // SAFETY: our context and lent memory.
            unsafe { enter_mut(context, |signature: &mut Signature| signature.$name(Input::new(data, len))) }
        }
    )* };
}

updates! { digest_sign_update digest_verify_update digest_verify_final }

pub(crate) unsafe extern "C" fn sign(
    context: *mut c_void,
    output: *mut u8,
    output_len: *mut usize,
    output_size: usize,
    message: *const u8,
    message_len: usize,
) -> c_int {
    // SAFETY: our context and lent memory.
    unsafe {
        enter_mut(context, |signature: &mut Signature| {
            let mut output = Output::new(output, output_len, output_size);
            signature.sign(&mut output, Input::new(message, message_len))
        })
    }
}

pub(crate) unsafe extern "C" fn verify(
    context: *mut c_void,
    signed: *const u8,
    signed_len: usize,
    message: *const u8,
    message_len: usize,
) -> c_int {
    // SAFETY: our context and lent memory.
    unsafe {
        enter_mut(context, |signature: &mut Signature| {
            signature.verify(Input::new(signed, signed_len), Input::new(message, message_len))
        })
    }
}

pub(crate) unsafe extern "C" fn verify_recover(
    context: *mut c_void,
    output: *mut u8,
    output_len: *mut usize,
    output_size: usize,
    signed: *const u8,
    signed_len: usize,
) -> c_int {
    // SAFETY: our context and lent memory.
    unsafe {
        enter_mut(context, |signature: &mut Signature| {
            let output = Output::new(output, output_len, output_size);
            signature.verify_recover(&output, Input::new(signed, signed_len))
        })
    }
}

pub(crate) unsafe extern "C" fn digest_sign_final(
    context: *mut c_void,
    output: *mut u8,
    output_len: *mut usize,
    output_size: usize,
) -> c_int {
    // SAFETY: our context and lent memory.
    unsafe {
        enter_mut(context, |signature: &mut Signature| {
            signature.digest_sign_final(&mut Output::new(output, output_len, output_size))
        })
    }
}

macro_rules! getters {
    ($($name:ident as $method:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(context: *mut c_void, params: *mut Param) -> c_int {
            // SAFETY: our context and a terminated array.
            unsafe {
                enter_mut(context, |signature: &mut Signature| signature.$method(ParamsToFill::new(params)))
            }
        }
    )* };
}

getters! { get_ctx_params as get_params get_ctx_md_params as get_digest_params }

macro_rules! setters {
    ($($name:ident as $method:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(context: *mut c_void, params: *const Param) -> c_int {
            // SAFETY: our context and a terminated array.
            unsafe { enter_mut(context, |signature: &mut Signature| signature.$method(Params::new(params))) }
        }
    )* };
}

setters! { set_ctx_params as set_params set_ctx_md_params as set_digest_params }

macro_rules! lists {
    ($($name:ident as $method:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name<R: Row>(
            context: *mut c_void,
            instance: *mut c_void,
        ) -> *const Param {
            // SAFETY: our instance, and our context or null.
            unsafe {
                enter(instance, |instance: &Context| Signature::$method(borrow(context), R::TYPE, instance))
            }
        }
    )* };
}

lists! { gettable_ctx_params as gettable_params settable_ctx_params as settable_params }

macro_rules! digest_lists {
    ($($name:ident as $method:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(context: *mut c_void) -> *const Param {
            // SAFETY: our context.
            unsafe { enter(context, |signature: &Signature| signature.$method()) }
        }
    )* };
}

digest_lists! { gettable_ctx_md_params as gettable_digest_params settable_ctx_md_params as settable_digest_params }
