//! Encryption with public keys: a context of the default provider keeps the parameters and does whatever stays in software; what
//! may go to hardware is prepared here, by the room of its key type, and handed to the core.

mod implicit;
mod rsa;
mod sm2;

use std::ffi::c_int;
use std::sync::Arc;

use crate::context::Context;
use crate::error::Reason;
use crate::ffi::bindings::Param;
use crate::ffi::fallback::{AsymCipherContext, AsymCipherType};
use crate::ffi::handle::{Input, Output, Reports};
use crate::ffi::params::{Params, ParamsToFill};
use crate::ops::keymgmt::Key;

pub(crate) use implicit::Seed;

/// A cipher context as libcrypto holds it.
pub(crate) struct AsymCipher {
    context: Arc<Context>,
    cipher_type: AsymCipherType,
    /// Parameters, and every software operation.
    software: AsymCipherContext,
    /// The key that `software` uses in operations that may go to hardware; `None` when it does not, or that is not known.
    key: Option<Arc<Key>>,
    refusal: rsa::Refusal,
}

impl AsymCipher {
    pub(crate) fn new(context: Arc<Context>, cipher_type: AsymCipherType) -> Option<Self> {
        let software = AsymCipherContext::new(context.fallback()?, cipher_type)?;
        Some(Self { context, cipher_type, software, key: None, refusal: rsa::Refusal::default() })
    }

    /// A second context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        Some(Self {
            context: Arc::clone(&self.context),
            cipher_type: self.cipher_type,
            software: self.software.duplicate()?,
            key: self.key.clone(),
            refusal: rsa::Refusal::default(),
        })
    }

    pub(crate) fn encrypt_init(&mut self, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        let begun = self.software.encrypt_init(key.as_deref().map(Key::software), params);
        self.key = key.filter(|_| begun == 1 && self.cipher_type == AsymCipherType::Sm2);
        begun
    }

    pub(crate) fn encrypt(&mut self, output: &mut Output<'_>, message: Input<'_>) -> c_int {
        let key = if output.is_size_query() { None } else { self.key.clone() };
        match (self.cipher_type, key) {
            (AsymCipherType::Sm2, Some(key)) => {
                sm2::encrypt(&self.context, &mut self.software, &key, output, message)
            }
            _ => self.software.encrypt(output, message),
        }
    }

    pub(crate) fn decrypt_init(&mut self, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        let begun = self.software.decrypt_init(key.as_deref().map(Key::software), params);
        self.key = key.filter(|_| begun == 1);
        begun
    }

    pub(crate) fn decrypt(&mut self, output: &mut Output<'_>, encrypted: Input<'_>) -> c_int {
        let key = if output.is_size_query() { None } else { self.key.clone() };
        let Some(key) = key else { return self.software.decrypt(output, encrypted) };
        match self.cipher_type {
            AsymCipherType::Rsa => {
                let (software, refusal) = (&mut self.software, &mut self.refusal);
                rsa::decrypt(&self.context, software, refusal, &key, output, encrypted)
            }
            AsymCipherType::Sm2 => sm2::decrypt(&self.context, &mut self.software, &key, output, encrypted),
        }
    }

    pub(crate) fn get_params(&mut self, params: ParamsToFill<'_>) -> c_int {
        self.software.get_params(params)
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        self.software.set_params(params)
    }

    /// What a context can tell; it may be absent.
    pub(crate) fn gettable_params(
        cipher: Option<&Self>,
        cipher_type: AsymCipherType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.cipher_gettable_params(cipher_type, cipher.map(|cipher| &cipher.software))
        })
    }

    /// What a context can be told; it may be absent.
    pub(crate) fn settable_params(
        cipher: Option<&Self>,
        cipher_type: AsymCipherType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.cipher_settable_params(cipher_type, cipher.map(|cipher| &cipher.software))
        })
    }
}

impl Reports for AsymCipher {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"asym_cipher", "");
    }
}
