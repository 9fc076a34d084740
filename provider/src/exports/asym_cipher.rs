//! The functions of asymmetric ciphers, as libcrypto calls them.
//!
//! # Safety
//! libcrypto calls these functions, as `provider-asym_cipher(7)` says: contexts are those that [`newctx`] or [`dupctx`] handed
//! out, used by one thread at a time; keys are those of `exports::keymgmt`; arrays end with their mark; buffers are as
//! long as said.
#![expect(unsafe_code, reason = "C calls these functions with C pointers")]

use std::ffi::{c_int, c_void};

use crate::context::Context;
use crate::ffi::bindings::Param;
use crate::ffi::fallback::AsymCipherType;
use crate::ffi::guard::guard;
use crate::ffi::handle::{Input, Output, borrow, boxed, enter, enter_mut, free_boxed, share};
use crate::ffi::params::{Params, ParamsToFill};
use crate::ops::asym_cipher::AsymCipher;
use crate::ops::keymgmt::Key;

/// An asymmetric cipher, as a parameter of the functions below.
pub(crate) trait Row {
    /// Which one.
    const TYPE: AsymCipherType;
}

macro_rules! rows {
    ($($name:ident)*) => { $(
        /// Stands for the cipher of this name.
        pub(crate) struct $name;

        impl Row for $name {
            const TYPE: AsymCipherType = AsymCipherType::$name;
        }
    )* };
}

rows! { Rsa Sm2 }

pub(crate) unsafe extern "C" fn newctx<R: Row>(instance: *mut c_void) -> *mut c_void {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |_: &Context| {
            share(instance)
                .and_then(|context| AsymCipher::new(context, R::TYPE))
                .map_or(std::ptr::null_mut(), boxed)
        })
    }
}

pub(crate) unsafe extern "C" fn freectx(context: *mut c_void) {
    // SAFETY: our context, for the last time.
    guard(|| (), || unsafe { free_boxed::<AsymCipher>(context) });
}

pub(crate) unsafe extern "C" fn dupctx(context: *mut c_void) -> *mut c_void {
    // SAFETY: our context.
    unsafe { enter(context, |cipher: &AsymCipher| cipher.duplicate().map_or(std::ptr::null_mut(), boxed)) }
}

macro_rules! inits {
    ($($name:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(context: *mut c_void, key: *mut c_void, params: *const Param) -> c_int {
            // SAFETY: our context, our key or null, a terminated array.
            unsafe {
                enter_mut(context, |cipher: &mut AsymCipher| cipher.$name(share::<Key>(key), Params::new(params)))
            }
        }
    )* };
}

inits! { encrypt_init decrypt_init }

macro_rules! crypts {
    ($($name:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(
            context: *mut c_void,
            output: *mut u8,
            output_len: *mut usize,
            output_size: usize,
            input: *const u8,
            input_len: usize,
        ) -> c_int {
            // SAFETY: our context and lent memory.
            unsafe {
                enter_mut(context, |cipher: &mut AsymCipher| {
                    let mut output = Output::new(output, output_len, output_size);
                    cipher.$name(&mut output, Input::new(input, input_len))
                })
            }
        }
    )* };
}

crypts! { encrypt decrypt }

pub(crate) unsafe extern "C" fn get_ctx_params(context: *mut c_void, params: *mut Param) -> c_int {
    // SAFETY: our context and a terminated array.
    unsafe { enter_mut(context, |cipher: &mut AsymCipher| cipher.get_params(ParamsToFill::new(params))) }
}

pub(crate) unsafe extern "C" fn set_ctx_params(context: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: our context and a terminated array.
    unsafe { enter_mut(context, |cipher: &mut AsymCipher| cipher.set_params(Params::new(params))) }
}

macro_rules! lists {
    ($($name:ident as $method:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name<R: Row>(
            context: *mut c_void,
            instance: *mut c_void,
        ) -> *const Param {
            // SAFETY: our instance, and our context or null.
            unsafe {
                enter(instance, |instance: &Context| AsymCipher::$method(borrow(context), R::TYPE, instance))
            }
        }
    )* };
}

lists! { gettable_ctx_params as gettable_params settable_ctx_params as settable_params }
