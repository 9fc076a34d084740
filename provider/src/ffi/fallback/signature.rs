//! The default provider's signatures.
#![expect(unsafe_code, reason = "calls the default provider's functions")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Fallback, Key, copied_functions};
use crate::ffi::bindings::Param;
use crate::ffi::handle::{Input, Output};
use crate::ffi::params::{Own, Params, ParamsToFill, to_fill};

/// A signature algorithm that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureType {
    Rsa,
    Ecdsa,
    Sm2,
}

impl SignatureType {
    /// Every one.
    pub(crate) const ALL: [Self; 3] = [Self::Rsa, Self::Ecdsa, Self::Sm2];

    /// The name under which every OpenSSL 3 knows it.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::Rsa => c"RSA",
            Self::Ecdsa => c"ECDSA",
            Self::Sm2 => c"SM2",
        }
    }
}

copied_functions! {
    /// The functions of a signature algorithm.
    SignatureFunctions from signature {
        newctx: SIGNATURE_NEWCTX as Newctx,
        sign_init: SIGNATURE_SIGN_INIT as SignInit,
        sign: SIGNATURE_SIGN as Sign,
        verify_init: SIGNATURE_VERIFY_INIT as VerifyInit,
        verify: SIGNATURE_VERIFY as Verify,
        digest_sign_init: SIGNATURE_DIGEST_SIGN_INIT as DigestSignInit,
        digest_sign_update: SIGNATURE_DIGEST_SIGN_UPDATE as DigestSignUpdate,
        digest_sign_final: SIGNATURE_DIGEST_SIGN_FINAL as DigestSignFinal,
        digest_verify_init: SIGNATURE_DIGEST_VERIFY_INIT as DigestVerifyInit,
        digest_verify_update: SIGNATURE_DIGEST_VERIFY_UPDATE as DigestVerifyUpdate,
        digest_verify_final: SIGNATURE_DIGEST_VERIFY_FINAL as DigestVerifyFinal,
        freectx: SIGNATURE_FREECTX as Freectx,
        dupctx: SIGNATURE_DUPCTX as Dupctx,
        get_ctx_params: SIGNATURE_GET_CTX_PARAMS as GetCtxParams,
        gettable_ctx_params: SIGNATURE_GETTABLE_CTX_PARAMS as GettableCtxParams,
        set_ctx_params: SIGNATURE_SET_CTX_PARAMS as SetCtxParams,
        settable_ctx_params: SIGNATURE_SETTABLE_CTX_PARAMS as SettableCtxParams,
        get_ctx_md_params: SIGNATURE_GET_CTX_MD_PARAMS as GetCtxMdParams,
        gettable_ctx_md_params: SIGNATURE_GETTABLE_CTX_MD_PARAMS as GettableCtxMdParams,
        set_ctx_md_params: SIGNATURE_SET_CTX_MD_PARAMS as SetCtxMdParams,
        settable_ctx_md_params: SIGNATURE_SETTABLE_CTX_MD_PARAMS as SettableCtxMdParams,
    }
    or nothing {
        verify_recover_init: SIGNATURE_VERIFY_RECOVER_INIT as VerifyRecoverInit,
        verify_recover: SIGNATURE_VERIFY_RECOVER as VerifyRecover,
    }
}

impl SignatureFunctions {
    /// Whether signatures can be opened again.
    pub(crate) fn recovers(&self) -> bool {
        self.verify_recover_init.is_some() && self.verify_recover.is_some()
    }
}

/// A signature context of the default provider. Results are the provider's own: 1 is success.
pub(crate) struct SignatureContext {
    raw: NonNull<c_void>,
    functions: SignatureFunctions,
    fallback: Arc<Fallback>,
}

// SAFETY: the provider's contexts are bound to no thread; `&mut` keeps users apart.
unsafe impl Send for SignatureContext {}

/// What an RSA signature context has been told, as it tells it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// 1 PKCS#1 v1.5, 3 none, 5 X9.31, 6 PSS.
    pub(crate) padding: c_int,
    /// Name of the digest; empty without one.
    pub(crate) digest: CString,
    /// Name of the mask digest; empty when it was not set and there is no digest.
    pub(crate) mask_digest: CString,
    /// PSS salt length in bytes, or a negative word (RSA_PSS_SALTLEN_* in `openssl/rsa.h`).
    pub(crate) salt_len: c_int,
}

/// What a signature context for keys on curves has been told, as it tells it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurveParameters {
    /// Name of the digest; empty without one.
    pub(crate) digest: CString,
    /// Bytes of the digest; 0 for any.
    pub(crate) digest_len_bytes: usize,
    /// 0: nonces are drawn; 1: they are made from key and message (RFC 6979).
    pub(crate) nonce_type: u32,
}

fn raw_key(key: Option<&Key>) -> *mut c_void {
    key.map_or(std::ptr::null_mut(), Key::raw)
}

fn raw_text(text: Option<&CStr>) -> *const c_char {
    text.map_or(std::ptr::null(), CStr::as_ptr)
}

impl SignatureContext {
    /// A fresh context; `properties` are the query string of the application's fetches.
    pub(crate) fn new(
        fallback: &Arc<Fallback>,
        signature_type: SignatureType,
        properties: Option<&CStr>,
    ) -> Option<Self> {
        let functions = *fallback.signatures(signature_type)?.functions();
        // SAFETY: the provider's function with the provider's context.
        let raw = NonNull::new(unsafe { (functions.newctx)(fallback.context, raw_text(properties)) })?;
        Some(Self { raw, functions, fallback: Arc::clone(fallback) })
    }

    /// The provider it lives in.
    pub(crate) fn fallback(&self) -> &Arc<Fallback> {
        &self.fallback
    }

    /// A second context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        // SAFETY: our context.
        let raw = NonNull::new(unsafe { (self.functions().dupctx)(self.raw.as_ptr()) })?;
        Some(Self { raw, functions: self.functions, fallback: Arc::clone(&self.fallback) })
    }

    fn functions(&self) -> &SignatureFunctions {
        &self.functions
    }

    pub(crate) fn sign_init(&mut self, key: Option<&Key>, params: Params<'_>) -> c_int {
        // SAFETY: our context, a key of the same provider, a terminated array.
        unsafe { (self.functions().sign_init)(self.raw.as_ptr(), raw_key(key), params.raw()) }
    }

    pub(crate) fn sign(&mut self, signature: &Output<'_>, message: Input<'_>) -> c_int {
        let (out, out_len, out_size) = signature.raw();
        let (input, input_len) = message.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions().sign)(self.raw.as_ptr(), out, out_len, out_size, input, input_len) }
    }

    pub(crate) fn verify_init(&mut self, key: Option<&Key>, params: Params<'_>) -> c_int {
        // SAFETY: our context, a key of the same provider, a terminated array.
        unsafe { (self.functions().verify_init)(self.raw.as_ptr(), raw_key(key), params.raw()) }
    }

    pub(crate) fn verify(&mut self, signature: Input<'_>, message: Input<'_>) -> c_int {
        let (signature, signature_len) = signature.raw();
        let (input, input_len) = message.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions().verify)(self.raw.as_ptr(), signature, signature_len, input, input_len) }
    }

    pub(crate) fn verify_recover_init(&mut self, key: Option<&Key>, params: Params<'_>) -> c_int {
        self.functions().verify_recover_init.map_or(0, |init| {
            // SAFETY: our context, a key of the same provider, a terminated array.
            unsafe { init(self.raw.as_ptr(), raw_key(key), params.raw()) }
        })
    }

    pub(crate) fn verify_recover(&mut self, message: &Output<'_>, signature: Input<'_>) -> c_int {
        let (out, out_len, out_size) = message.raw();
        let (signature, signature_len) = signature.raw();
        self.functions().verify_recover.map_or(0, |recover| {
            // SAFETY: our context, and memory lent for this call.
            unsafe { recover(self.raw.as_ptr(), out, out_len, out_size, signature, signature_len) }
        })
    }

    pub(crate) fn digest_sign_init(
        &mut self,
        digest: Option<&CStr>,
        key: Option<&Key>,
        params: Params<'_>,
    ) -> c_int {
        let init = self.functions().digest_sign_init;
        // SAFETY: our context, a key of the same provider, a terminated array.
        unsafe { init(self.raw.as_ptr(), raw_text(digest), raw_key(key), params.raw()) }
    }

    pub(crate) fn digest_sign_update(&mut self, data: Input<'_>) -> c_int {
        let (data, len) = data.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions().digest_sign_update)(self.raw.as_ptr(), data, len) }
    }

    pub(crate) fn digest_sign_final(&mut self, signature: &Output<'_>) -> c_int {
        let (out, out_len, out_size) = signature.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions().digest_sign_final)(self.raw.as_ptr(), out, out_len, out_size) }
    }

    pub(crate) fn digest_verify_init(
        &mut self,
        digest: Option<&CStr>,
        key: Option<&Key>,
        params: Params<'_>,
    ) -> c_int {
        let init = self.functions().digest_verify_init;
        // SAFETY: our context, a key of the same provider, a terminated array.
        unsafe { init(self.raw.as_ptr(), raw_text(digest), raw_key(key), params.raw()) }
    }

    pub(crate) fn digest_verify_update(&mut self, data: Input<'_>) -> c_int {
        let (data, len) = data.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions().digest_verify_update)(self.raw.as_ptr(), data, len) }
    }

    pub(crate) fn digest_verify_final(&mut self, signature: Input<'_>) -> c_int {
        let (signature, len) = signature.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions().digest_verify_final)(self.raw.as_ptr(), signature, len) }
    }

    pub(crate) fn get_params(&mut self, mut params: ParamsToFill<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions().get_ctx_params)(self.raw.as_ptr(), params.raw()) }
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions().set_ctx_params)(self.raw.as_ptr(), params.raw()) }
    }

    pub(crate) fn get_digest_params(&mut self, mut params: ParamsToFill<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions().get_ctx_md_params)(self.raw.as_ptr(), params.raw()) }
    }

    pub(crate) fn set_digest_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions().set_ctx_md_params)(self.raw.as_ptr(), params.raw()) }
    }

    pub(crate) fn gettable_digest_params(&self) -> *const Param {
        // SAFETY: our context.
        unsafe { (self.functions().gettable_ctx_md_params)(self.raw.as_ptr()) }
    }

    pub(crate) fn settable_digest_params(&self) -> *const Param {
        // SAFETY: our context.
        unsafe { (self.functions().settable_ctx_md_params)(self.raw.as_ptr()) }
    }

    /// What the context has been told; `None` when it does not tell.
    pub(crate) fn parameters(&mut self) -> Option<Parameters> {
        // OSSL_MAX_NAME_SIZE is 50.
        let (mut digest, mut mask_digest) = ([0_u8; 64], [0_u8; 64]);
        let (mut padding, mut salt_len) = (0, 0);
        let mut array = [
            Own::int(c"pad-mode", &mut padding),
            Own::text_room(c"digest", &mut digest),
            Own::text_room(c"mgf1-digest", &mut mask_digest),
            Own::int(c"saltlen", &mut salt_len),
            Own::END,
        ];
        if self.get_params(to_fill(&mut array)) != 1 {
            return None;
        }
        let text = |room: &[u8]| CStr::from_bytes_until_nul(room).map(CStr::to_owned).ok();
        Some(Parameters { padding, digest: text(&digest)?, mask_digest: text(&mask_digest)?, salt_len })
    }

    /// What the context of a key on a curve has been told; `None` when it does not tell.
    pub(crate) fn curve_parameters(&mut self) -> Option<CurveParameters> {
        let mut digest = [0_u8; 64];
        // Where nothing is known of deterministic nonces, this stays.
        let (mut nonce_type, mut len_bytes) = (0, [0; size_of::<usize>()]);
        let mut array = [
            Own::text_room(c"digest", &mut digest),
            Own::unsigned(c"nonce-type", &mut nonce_type),
            Own::number(c"digest-size", &mut len_bytes),
            Own::END,
        ];
        if self.get_params(to_fill(&mut array)) != 1 {
            return None;
        }
        Some(CurveParameters {
            digest: CStr::from_bytes_until_nul(&digest).ok()?.to_owned(),
            digest_len_bytes: usize::from_ne_bytes(len_bytes),
            nonce_type,
        })
    }
}

impl Fallback {
    /// What a signature context can tell; `context` may be absent.
    pub(crate) fn signature_gettable_params(
        &self,
        signature_type: SignatureType,
        context: Option<&SignatureContext>,
    ) -> *const Param {
        let raw = context.map_or(std::ptr::null_mut(), |context| context.raw.as_ptr());
        self.signatures(signature_type).map_or(std::ptr::null(), |signature| {
            // SAFETY: the provider's own context and signature context.
            unsafe { (signature.functions.gettable_ctx_params)(raw, self.context) }
        })
    }

    /// What a signature context can be told; `context` may be absent.
    pub(crate) fn signature_settable_params(
        &self,
        signature_type: SignatureType,
        context: Option<&SignatureContext>,
    ) -> *const Param {
        let raw = context.map_or(std::ptr::null_mut(), |context| context.raw.as_ptr());
        self.signatures(signature_type).map_or(std::ptr::null(), |signature| {
            // SAFETY: the provider's own context and signature context.
            unsafe { (signature.functions.settable_ctx_params)(raw, self.context) }
        })
    }
}

impl Drop for SignatureContext {
    fn drop(&mut self) {
        // SAFETY: our context, freed once.
        unsafe { (self.functions().freectx)(self.raw.as_ptr()) }
    }
}
