//! The default provider's asymmetric ciphers.
#![expect(unsafe_code, reason = "calls the default provider's functions")]

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Fallback, Key, copied_functions};
use crate::ffi::bindings::Param;
use crate::ffi::handle::{Input, Output};
use crate::ffi::params::{Own, Params, ParamsToFill, to_fill};

/// An asymmetric cipher that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsymCipherType {
    Rsa,
    Sm2,
}

impl AsymCipherType {
    /// Every one.
    pub(crate) const ALL: [Self; 2] = [Self::Rsa, Self::Sm2];

    /// The name under which every OpenSSL 3 knows it.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::Rsa => c"RSA",
            Self::Sm2 => c"SM2",
        }
    }
}

copied_functions! {
    /// The functions of an asymmetric cipher.
    AsymCipherFunctions from asym_cipher {
        newctx: ASYM_CIPHER_NEWCTX as Newctx,
        encrypt_init: ASYM_CIPHER_ENCRYPT_INIT as EncryptInit,
        encrypt: ASYM_CIPHER_ENCRYPT as Encrypt,
        decrypt_init: ASYM_CIPHER_DECRYPT_INIT as DecryptInit,
        decrypt: ASYM_CIPHER_DECRYPT as Decrypt,
        freectx: ASYM_CIPHER_FREECTX as Freectx,
        dupctx: ASYM_CIPHER_DUPCTX as Dupctx,
        get_ctx_params: ASYM_CIPHER_GET_CTX_PARAMS as GetCtxParams,
        gettable_ctx_params: ASYM_CIPHER_GETTABLE_CTX_PARAMS as GettableCtxParams,
        set_ctx_params: ASYM_CIPHER_SET_CTX_PARAMS as SetCtxParams,
        settable_ctx_params: ASYM_CIPHER_SETTABLE_CTX_PARAMS as SettableCtxParams,
    }
}

/// A cipher context of the default provider. Results are the provider's own: 1 is success.
pub(crate) struct AsymCipherContext {
    raw: NonNull<c_void>,
    functions: AsymCipherFunctions,
    fallback: Arc<Fallback>,
}

// SAFETY: the provider's contexts are bound to no thread; `&mut` keeps users apart.
unsafe impl Send for AsymCipherContext {}

/// What an RSA cipher context has been told, as it tells it itself (EVP_ASYM_CIPHER-RSA(7)).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CipherParameters {
    /// 1 PKCS#1 v1.5, 3 none, 4 OAEP, 7 PKCS#1 v1.5 for TLS.
    pub(crate) padding: c_int,
    /// Name of the OAEP digest; empty before one was set.
    pub(crate) digest: CString,
    /// Name of the mask digest, the OAEP digest when none was set.
    pub(crate) mask_digest: CString,
    /// The OAEP label.
    pub(crate) label: Vec<u8>,
    /// Version that a TLS client offered first; 0 when not set.
    pub(crate) client_version: u32,
    /// Version that client and server agreed on, if it is to be taken as well; else 0.
    pub(crate) negotiated_version: u32,
    /// Whether wrong PKCS#1 v1.5 paddings give a made-up message; false too where the running core knows no such thing.
    pub(crate) rejects_implicitly: bool,
}

impl AsymCipherContext {
    /// A fresh context; `None` when the provider has no such cipher.
    pub(crate) fn new(fallback: &Arc<Fallback>, cipher_type: AsymCipherType) -> Option<Self> {
        let functions = fallback.ciphers(cipher_type)?.functions;
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

    pub(crate) fn encrypt_init(&mut self, key: Option<&Key>, params: Params<'_>) -> c_int {
        let key = key.map_or(std::ptr::null_mut(), Key::raw);
        // SAFETY: our context, a key of the same provider, a terminated array.
        unsafe { (self.functions.encrypt_init)(self.raw.as_ptr(), key, params.raw()) }
    }

    pub(crate) fn decrypt_init(&mut self, key: Option<&Key>, params: Params<'_>) -> c_int {
        let key = key.map_or(std::ptr::null_mut(), Key::raw);
        // SAFETY: our context, a key of the same provider, a terminated array.
        unsafe { (self.functions.decrypt_init)(self.raw.as_ptr(), key, params.raw()) }
    }

    pub(crate) fn encrypt(&mut self, output: &Output<'_>, message: Input<'_>) -> c_int {
        let (out, out_len, out_size) = output.raw();
        let (input, input_len) = message.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions.encrypt)(self.raw.as_ptr(), out, out_len, out_size, input, input_len) }
    }

    pub(crate) fn decrypt(&mut self, output: &Output<'_>, encrypted: Input<'_>) -> c_int {
        let (out, out_len, out_size) = output.raw();
        let (input, input_len) = encrypted.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions.decrypt)(self.raw.as_ptr(), out, out_len, out_size, input, input_len) }
    }

    pub(crate) fn get_params(&mut self, mut params: ParamsToFill<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions.get_ctx_params)(self.raw.as_ptr(), params.raw()) }
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions.set_ctx_params)(self.raw.as_ptr(), params.raw()) }
    }

    /// Name of the digest; empty before one was needed or set. `None` when the context does not tell.
    pub(crate) fn digest_name(&mut self) -> Option<CString> {
        let mut digest = [0_u8; NAME_LEN_BYTES];
        let mut array = [Own::text_room(c"digest", &mut digest), Own::END];
        let told = self.get_params(to_fill(&mut array)) == 1;
        CStr::from_bytes_until_nul(&digest).ok().filter(|_| told).map(CStr::to_owned)
    }

    /// What an RSA context has been told; `None` when it does not tell.
    pub(crate) fn parameters(&mut self) -> Option<CipherParameters> {
        let (mut digest, mut mask_digest) = ([0_u8; NAME_LEN_BYTES], [0_u8; NAME_LEN_BYTES]);
        let (mut padding, mut label) = (0, std::ptr::null());
        // Where nothing is known of implicit rejection, this stays.
        let (mut client_version, mut negotiated_version, mut rejection) = (0, 0, 0);
        let mut array = [
            Own::int(c"pad-mode", &mut padding),
            Own::text_room(c"digest", &mut digest),
            Own::text_room(c"mgf1-digest", &mut mask_digest),
            Own::unsigned(c"tls-client-version", &mut client_version),
            Own::unsigned(c"tls-negotiated-version", &mut negotiated_version),
            Own::unsigned(c"implicit-rejection", &mut rejection),
            Own::bytes_room(c"oaep-label", &mut label),
            Own::END,
        ];
        if self.get_params(to_fill(&mut array)) != 1 {
            return None;
        }
        let [.., label, _] = &array;
        let label = label.bytes_answered().unwrap_or_default();
        let text = |room: &[u8]| CStr::from_bytes_until_nul(room).map(CStr::to_owned).ok();
        Some(CipherParameters {
            padding,
            digest: text(&digest)?,
            mask_digest: text(&mask_digest)?,
            label,
            client_version,
            negotiated_version,
            rejects_implicitly: rejection != 0,
        })
    }
}

/// Room for a digest's name: OSSL_MAX_NAME_SIZE is 50.
const NAME_LEN_BYTES: usize = 64;

/// Functions that need no context.
impl Fallback {
    /// What a cipher context can tell; `context` may be absent.
    pub(crate) fn cipher_gettable_params(
        &self,
        cipher_type: AsymCipherType,
        context: Option<&AsymCipherContext>,
    ) -> *const Param {
        let raw = context.map_or(std::ptr::null_mut(), |context| context.raw.as_ptr());
        self.ciphers(cipher_type).map_or(std::ptr::null(), |ciphers| {
            // SAFETY: the provider's own context and cipher context.
            unsafe { (ciphers.functions.gettable_ctx_params)(raw, self.context) }
        })
    }

    /// What a cipher context can be told; `context` may be absent.
    pub(crate) fn cipher_settable_params(
        &self,
        cipher_type: AsymCipherType,
        context: Option<&AsymCipherContext>,
    ) -> *const Param {
        let raw = context.map_or(std::ptr::null_mut(), |context| context.raw.as_ptr());
        self.ciphers(cipher_type).map_or(std::ptr::null(), |ciphers| {
            // SAFETY: the provider's own context and cipher context.
            unsafe { (ciphers.functions.settable_ctx_params)(raw, self.context) }
        })
    }
}

impl Drop for AsymCipherContext {
    fn drop(&mut self) {
        // SAFETY: our context, freed once.
        unsafe { (self.functions.freectx)(self.raw.as_ptr()) }
    }
}
