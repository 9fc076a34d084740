//! The default provider's symmetric ciphers.
#![expect(unsafe_code, reason = "calls the default provider's functions")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Fallback, copied_functions};
use crate::ffi::bindings::Param;
use crate::ffi::bindings::cipher::GetParams;
use crate::ffi::handle::{Input, Output};
use crate::ffi::params::{Own, Params, ParamsToFill, to_fill};

/// A symmetric cipher that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CipherType {
    Aes256Cbc,
}

impl CipherType {
    /// Every one.
    pub(crate) const ALL: [Self; 1] = [Self::Aes256Cbc];

    /// The name under which every OpenSSL 3 knows it.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::Aes256Cbc => c"AES-256-CBC",
        }
    }
}

copied_functions! {
    /// The functions of a symmetric cipher.
    CipherFunctions from cipher {
        newctx: CIPHER_NEWCTX as Newctx,
        encrypt_init: CIPHER_ENCRYPT_INIT as EncryptInit,
        decrypt_init: CIPHER_DECRYPT_INIT as DecryptInit,
        update: CIPHER_UPDATE as Update,
        finish: CIPHER_FINAL as Final,
        once: CIPHER_CIPHER as Cipher,
        freectx: CIPHER_FREECTX as Freectx,
        dupctx: CIPHER_DUPCTX as Dupctx,
        get_params: CIPHER_GET_PARAMS as GetParams,
        get_ctx_params: CIPHER_GET_CTX_PARAMS as GetCtxParams,
        set_ctx_params: CIPHER_SET_CTX_PARAMS as SetCtxParams,
        gettable_params: CIPHER_GETTABLE_PARAMS as GettableParams,
        gettable_ctx_params: CIPHER_GETTABLE_CTX_PARAMS as GettableCtxParams,
        settable_ctx_params: CIPHER_SETTABLE_CTX_PARAMS as SettableCtxParams,
    }
}

impl CipherFunctions {
    /// What tells the cipher's constants. It takes no context, so it serves in a table of ours as it is.
    pub(crate) fn constants(&self) -> GetParams {
        self.get_params
    }
}

/// A cipher context of the default provider. Results are the provider's own: 1 is success.
pub(crate) struct CipherContext {
    raw: NonNull<c_void>,
    functions: CipherFunctions,
    fallback: Arc<Fallback>,
}

// SAFETY: the provider's contexts are bound to no thread; `&mut` keeps users apart.
unsafe impl Send for CipherContext {}

/// Where a context in CBC mode stands, as it tells it itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What the next block is chained to.
    pub(crate) chain: [u8; 16],
    /// Whether the last block is padded.
    pub(crate) is_padded: bool,
}

impl CipherContext {
    /// A fresh context; `None` when the provider lacks the cipher or refuses.
    pub(crate) fn new(fallback: &Arc<Fallback>, cipher_type: CipherType) -> Option<Self> {
        let functions = *fallback.symmetric(cipher_type)?.functions();
        // SAFETY: the provider's function with the provider's context.
        let raw = NonNull::new(unsafe { (functions.newctx)(fallback.context) })?;
        Some(Self { raw, functions, fallback: Arc::clone(fallback) })
    }

    /// The provider it lives in.
    pub(crate) fn fallback(&self) -> &Arc<Fallback> {
        &self.fallback
    }

    /// A second context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        // SAFETY: our context.
        let raw = NonNull::new(unsafe { (self.functions.dupctx)(self.raw.as_ptr()) })?;
        Some(Self { raw, functions: self.functions, fallback: Arc::clone(&self.fallback) })
    }

    pub(crate) fn encrypt_init(&mut self, key: Input<'_>, iv: Input<'_>, params: Params<'_>) -> c_int {
        let ((key, key_len), (iv, iv_len)) = (key.raw(), iv.raw());
        let init = self.functions.encrypt_init;
        // SAFETY: our context, memory lent for this call, a terminated array.
        unsafe { init(self.raw.as_ptr(), key, key_len, iv, iv_len, params.raw()) }
    }

    pub(crate) fn decrypt_init(&mut self, key: Input<'_>, iv: Input<'_>, params: Params<'_>) -> c_int {
        let ((key, key_len), (iv, iv_len)) = (key.raw(), iv.raw());
        let init = self.functions.decrypt_init;
        // SAFETY: our context, memory lent for this call, a terminated array.
        unsafe { init(self.raw.as_ptr(), key, key_len, iv, iv_len, params.raw()) }
    }

    pub(crate) fn update(&mut self, output: &Output<'_>, input: Input<'_>) -> c_int {
        let ((out, out_len, out_size), (bytes, len)) = (output.raw(), input.raw());
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions.update)(self.raw.as_ptr(), out, out_len, out_size, bytes, len) }
    }

    pub(crate) fn finish(&mut self, output: &Output<'_>) -> c_int {
        let (out, out_len, out_size) = output.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions.finish)(self.raw.as_ptr(), out, out_len, out_size) }
    }

    /// All of `input` at once: nothing is padded, kept or taken from what [`Self::update`] keeps.
    pub(crate) fn once(&mut self, output: &Output<'_>, input: Input<'_>) -> c_int {
        let ((out, out_len, out_size), (bytes, len)) = (output.raw(), input.raw());
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions.once)(self.raw.as_ptr(), out, out_len, out_size, bytes, len) }
    }

    pub(crate) fn get_params(&mut self, mut params: ParamsToFill<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions.get_ctx_params)(self.raw.as_ptr(), params.raw()) }
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions.set_ctx_params)(self.raw.as_ptr(), params.raw()) }
    }

    /// Where the context stands; `None` when it does not tell.
    pub(crate) fn standing(&mut self) -> Option<Standing> {
        let (mut chain, mut padding) = ([0; 16], u32::MAX);
        let mut array =
            [Own::octets(c"updated-iv", &mut chain), Own::unsigned(c"padding", &mut padding), Own::END];
        let told = self.get_params(to_fill(&mut array)) == 1;
        let all = array.first().and_then(Own::answer_len) == Some(16);
        (told && all && padding != u32::MAX).then_some(Standing { chain, is_padded: padding != 0 })
    }
}

impl Fallback {
    /// What a cipher can tell without a context.
    pub(crate) fn symmetric_constants(&self, cipher_type: CipherType) -> *const Param {
        self.symmetric(cipher_type).map_or(std::ptr::null(), |cipher| {
            // SAFETY: the provider's own context.
            unsafe { (cipher.functions.gettable_params)(self.context) }
        })
    }

    /// What a cipher context can tell; `context` may be absent.
    pub(crate) fn symmetric_gettable_params(
        &self,
        cipher_type: CipherType,
        context: Option<&CipherContext>,
    ) -> *const Param {
        let raw = context.map_or(std::ptr::null_mut(), |context| context.raw.as_ptr());
        self.symmetric(cipher_type).map_or(std::ptr::null(), |cipher| {
            // SAFETY: the provider's own context and cipher context.
            unsafe { (cipher.functions.gettable_ctx_params)(raw, self.context) }
        })
    }

    /// What a cipher context can be told; `context` may be absent.
    pub(crate) fn symmetric_settable_params(
        &self,
        cipher_type: CipherType,
        context: Option<&CipherContext>,
    ) -> *const Param {
        let raw = context.map_or(std::ptr::null_mut(), |context| context.raw.as_ptr());
        self.symmetric(cipher_type).map_or(std::ptr::null(), |cipher| {
            // SAFETY: the provider's own context and cipher context.
            unsafe { (cipher.functions.settable_ctx_params)(raw, self.context) }
        })
    }
}

impl Drop for CipherContext {
    fn drop(&mut self) {
        // SAFETY: our context, freed once.
        unsafe { (self.functions.freectx)(self.raw.as_ptr()) }
    }
}
