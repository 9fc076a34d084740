//! The default provider's key exchanges.
#![expect(unsafe_code, reason = "calls the default provider's functions")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Fallback, Key, copied_functions};
use crate::ffi::bindings::Param;
use crate::ffi::handle::Output;
use crate::ffi::params::{Own, Params, ParamsToFill, to_fill};

/// A key exchange that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeType {
    Dh,
    Ecdh,
    X25519,
    X448,
}

impl ExchangeType {
    /// Every one.
    pub(crate) const ALL: [Self; 4] = [Self::Dh, Self::Ecdh, Self::X25519, Self::X448];

    /// The name under which every OpenSSL 3 knows it.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::Dh => c"DH",
            Self::Ecdh => c"ECDH",
            Self::X25519 => c"X25519",
            Self::X448 => c"X448",
        }
    }
}

copied_functions! {
    /// The functions of a key exchange.
    ExchangeFunctions from keyexch {
        newctx: KEYEXCH_NEWCTX as Newctx,
        init: KEYEXCH_INIT as Init,
        derive: KEYEXCH_DERIVE as Derive,
        set_peer: KEYEXCH_SET_PEER as SetPeer,
        freectx: KEYEXCH_FREECTX as Freectx,
        dupctx: KEYEXCH_DUPCTX as Dupctx,
    }
    or nothing {
        set_ctx_params: KEYEXCH_SET_CTX_PARAMS as SetCtxParams,
        settable_ctx_params: KEYEXCH_SETTABLE_CTX_PARAMS as SettableCtxParams,
        get_ctx_params: KEYEXCH_GET_CTX_PARAMS as GetCtxParams,
        gettable_ctx_params: KEYEXCH_GETTABLE_CTX_PARAMS as GettableCtxParams,
    }
}

impl ExchangeFunctions {
    /// Whether a context can be told something.
    pub(crate) fn is_settable(&self) -> bool {
        self.set_ctx_params.is_some() && self.settable_ctx_params.is_some()
    }

    /// Whether a context can tell something.
    pub(crate) fn is_gettable(&self) -> bool {
        self.get_ctx_params.is_some() && self.gettable_ctx_params.is_some()
    }
}

/// A key exchange of the default provider. Results are the provider's own: 1 is success.
pub(crate) struct ExchangeContext {
    raw: NonNull<c_void>,
    functions: ExchangeFunctions,
    _fallback: Arc<Fallback>,
}

// SAFETY: the provider's contexts are bound to no thread; `&mut` keeps users apart.
unsafe impl Send for ExchangeContext {}

impl ExchangeContext {
    /// A fresh context; `None` when the provider lacks the exchange or refuses.
    pub(crate) fn new(fallback: &Arc<Fallback>, exchange_type: ExchangeType) -> Option<Self> {
        let functions = *fallback.exchanges(exchange_type)?.functions();
        // SAFETY: the provider's function with the provider's context.
        let raw = NonNull::new(unsafe { (functions.newctx)(fallback.context) })?;
        Some(Self { raw, functions, _fallback: Arc::clone(fallback) })
    }

    /// A second context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        // SAFETY: our context.
        let raw = NonNull::new(unsafe { (self.functions.dupctx)(self.raw.as_ptr()) })?;
        Some(Self { raw, functions: self.functions, _fallback: Arc::clone(&self._fallback) })
    }

    pub(crate) fn init(&mut self, key: Option<&Key>, params: Params<'_>) -> c_int {
        let key = key.map_or(std::ptr::null_mut(), Key::raw);
        // SAFETY: our context, a key of the same provider or null, a terminated array.
        unsafe { (self.functions.init)(self.raw.as_ptr(), key, params.raw()) }
    }

    pub(crate) fn set_peer(&mut self, peer: Option<&Key>) -> c_int {
        let peer = peer.map_or(std::ptr::null_mut(), Key::raw);
        // SAFETY: our context, a key of the same provider or null.
        unsafe { (self.functions.set_peer)(self.raw.as_ptr(), peer) }
    }

    pub(crate) fn derive(&mut self, secret: &Output<'_>) -> c_int {
        let (out, out_len, out_size) = secret.raw();
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions.derive)(self.raw.as_ptr(), out, out_len, out_size) }
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        self.functions.set_ctx_params.map_or(0, |set| unsafe { set(self.raw.as_ptr(), params.raw()) })
    }

    pub(crate) fn get_params(&mut self, mut params: ParamsToFill<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        self.functions.get_ctx_params.map_or(0, |get| unsafe { get(self.raw.as_ptr(), params.raw()) })
    }

    /// Whether the secret is what the private operation gives; false when it goes through a key derivation function first,
    /// or when the context does not say.
    pub(crate) fn is_plain(&mut self) -> bool {
        let mut name = [0; 64];
        let mut array = [Own::text_room(c"kdf-type", &mut name), Own::END];
        self.get_params(to_fill(&mut array)) == 1 && name[0] == 0
    }
}

impl Fallback {
    /// What an exchange can be told; `context` may be absent.
    pub(crate) fn exchange_settable_params(
        &self,
        exchange_type: ExchangeType,
        context: Option<&ExchangeContext>,
    ) -> *const Param {
        let raw = context.map_or(std::ptr::null_mut(), |context| context.raw.as_ptr());
        let list = self.exchanges(exchange_type).and_then(|listed| listed.functions().settable_ctx_params);
        // SAFETY: the provider's own context and exchange context.
        list.map_or(std::ptr::null(), |list| unsafe { list(raw, self.context) })
    }

    /// What an exchange can tell; `context` may be absent.
    pub(crate) fn exchange_gettable_params(
        &self,
        exchange_type: ExchangeType,
        context: Option<&ExchangeContext>,
    ) -> *const Param {
        let raw = context.map_or(std::ptr::null_mut(), |context| context.raw.as_ptr());
        let list = self.exchanges(exchange_type).and_then(|listed| listed.functions().gettable_ctx_params);
        // SAFETY: the provider's own context and exchange context.
        list.map_or(std::ptr::null(), |list| unsafe { list(raw, self.context) })
    }
}

impl Drop for ExchangeContext {
    fn drop(&mut self) {
        // SAFETY: our context, freed once.
        unsafe { (self.functions.freectx)(self.raw.as_ptr()) }
    }
}
