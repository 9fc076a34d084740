//! Key exchange as libcrypto calls it (`provider-keyexch(7)`).
//!
//! # Safety
//! libcrypto calls these functions: contexts are those that [`newctx`] or [`dupctx`] handed out, used by one thread at a time;
//! keys are those of `exports::keymgmt`; arrays end with their mark; buffers are as long as said.
#![expect(unsafe_code, reason = "C calls these functions with C pointers")]

use std::ffi::{c_int, c_void};

use crate::context::Context;
use crate::ffi::bindings::Param;
use crate::ffi::fallback::ExchangeType;
use crate::ffi::guard::guard;
use crate::ffi::handle::{Output, borrow, boxed, enter, enter_mut, free_boxed, share};
use crate::ffi::params::{Params, ParamsToFill};
use crate::ops::exchange::Exchange;
use crate::ops::keymgmt::Key;

/// A key exchange, as a parameter of the functions below.
pub(crate) trait Row {
    /// Which one.
    const TYPE: ExchangeType;
}

macro_rules! rows {
    ($($name:ident)*) => { $(
        /// Stands for the key exchange of this name.
        pub(crate) struct $name;

        impl Row for $name {
            const TYPE: ExchangeType = ExchangeType::$name;
        }
    )* };
}

rows! { Dh Ecdh X25519 X448 }

pub(crate) unsafe extern "C" fn newctx<R: Row>(instance: *mut c_void) -> *mut c_void {
    // SAFETY: our instance.
    unsafe {
        enter(instance, |_: &Context| {
            share(instance)
                .and_then(|context| Exchange::new(context, R::TYPE))
                .map_or(std::ptr::null_mut(), boxed)
        })
    }
}

pub(crate) unsafe extern "C" fn freectx(context: *mut c_void) {
    // SAFETY: our context, for the last time.
    guard(|| (), || unsafe { free_boxed::<Exchange>(context) });
}

pub(crate) unsafe extern "C" fn dupctx(context: *mut c_void) -> *mut c_void {
    // SAFETY: our context.
    unsafe { enter(context, |exchange: &Exchange| exchange.duplicate().map_or(std::ptr::null_mut(), boxed)) }
}

pub(crate) unsafe extern "C" fn init(context: *mut c_void, key: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: our context, our key or null, a terminated array.
    unsafe {
        enter_mut(context, |exchange: &mut Exchange| exchange.init(share::<Key>(key), Params::new(params)))
    }
}

pub(crate) unsafe extern "C" fn set_peer(context: *mut c_void, peer: *mut c_void) -> c_int {
    // SAFETY: our context, our key or null.
    unsafe { enter_mut(context, |exchange: &mut Exchange| exchange.set_peer(share::<Key>(peer))) }
}

pub(crate) unsafe extern "C" fn derive(
    context: *mut c_void,
    output: *mut u8,
    output_len: *mut usize,
    output_size: usize,
) -> c_int {
    // SAFETY: our context and lent memory.
    unsafe {
        enter_mut(context, |exchange: &mut Exchange| {
            exchange.derive(&mut Output::new(output, output_len, output_size))
        })
    }
}

pub(crate) unsafe extern "C" fn set_ctx_params(context: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: our context and a terminated array.
    unsafe { enter_mut(context, |exchange: &mut Exchange| exchange.set_params(Params::new(params))) }
}

pub(crate) unsafe extern "C" fn get_ctx_params(context: *mut c_void, params: *mut Param) -> c_int {
    // SAFETY: our context and a terminated array.
    unsafe { enter_mut(context, |exchange: &mut Exchange| exchange.get_params(ParamsToFill::new(params))) }
}

pub(crate) unsafe extern "C" fn settable_ctx_params<R: Row>(
    context: *mut c_void,
    instance: *mut c_void,
) -> *const Param {
    // SAFETY: our instance, and our context or null.
    unsafe {
        enter(instance, |instance: &Context| Exchange::settable_params(borrow(context), R::TYPE, instance))
    }
}

pub(crate) unsafe extern "C" fn gettable_ctx_params<R: Row>(
    context: *mut c_void,
    instance: *mut c_void,
) -> *const Param {
    // SAFETY: our instance, and our context or null.
    unsafe {
        enter(instance, |instance: &Context| Exchange::gettable_params(borrow(context), R::TYPE, instance))
    }
}
