//! The default provider's digests.
#![expect(unsafe_code, reason = "calls the default provider's functions")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Fallback, copied_functions, is_named};
use crate::encode::DigestKind;
use crate::ffi::bindings::{Dispatch, digest};
use crate::ffi::handle::Input;
use crate::ffi::params::Params;

copied_functions! {
    /// A digest's functions.
    DigestFunctions from digest {
        newctx: DIGEST_NEWCTX as Newctx,
        init: DIGEST_INIT as Init,
        update: DIGEST_UPDATE as Update,
        finish: DIGEST_FINAL as Final,
        freectx: DIGEST_FREECTX as Freectx,
        dupctx: DIGEST_DUPCTX as Dupctx,
    }
}

/// A digest that an RSA signature can name.
#[derive(Clone, Copy)]
pub(crate) struct Digest {
    kind: DigestKind,
    /// The held provider's own string.
    names: &'static CStr,
    functions: DigestFunctions,
    /// Only few digests can be told anything.
    set_params: Option<digest::SetCtxParams>,
}

impl Digest {
    /// The digest that the provider lists under `names`, if it is one we know.
    ///
    /// # Safety
    /// `names` and `table` are those of a digest of a provider that is held while the result lives.
    pub(super) unsafe fn recognise(names: &CStr, table: *const Dispatch) -> Option<Self> {
        let kind = DigestKind::ALL.iter().copied().find(|kind| is_named(names, kind.name()))?;
        // SAFETY: the caller's promise; provider tables and their names are constants of the module.
        unsafe {
            Some(Self {
                kind,
                names: CStr::from_ptr(names.as_ptr()),
                functions: DigestFunctions::copy(table)?,
                set_params: Dispatch::find(table, digest::DIGEST_SET_CTX_PARAMS),
            })
        }
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        is_named(self.names, name)
    }

    /// Which one it is.
    pub(crate) fn kind(&self) -> DigestKind {
        self.kind
    }

    /// Writes the digest of `parts` one after the other; `value` is exactly as long as the digest. False when the provider fails.
    pub(crate) fn of(&self, fallback: &Arc<Fallback>, parts: &[&[u8]], value: &mut [u8]) -> bool {
        let Some(mut context) = DigestContext::new(fallback, *self) else { return false };
        parts.iter().all(|part| context.update(Input::from(*part))) && context.finish(value)
    }
}

/// A running digest.
pub(crate) struct DigestContext {
    functions: DigestFunctions,
    set_params: Option<digest::SetCtxParams>,
    kind: DigestKind,
    raw: NonNull<c_void>,
    _fallback: Arc<Fallback>,
}

// SAFETY: the provider's contexts are bound to no thread; `&mut` keeps users apart.
unsafe impl Send for DigestContext {}

impl DigestContext {
    /// A fresh digest; `None` when the provider refuses.
    pub(crate) fn new(fallback: &Arc<Fallback>, digest: Digest) -> Option<Self> {
        let functions = digest.functions;
        // SAFETY: the provider's function with the provider's context.
        let raw = NonNull::new(unsafe { (functions.newctx)(fallback.context) })?;
        let (set_params, kind) = (digest.set_params, digest.kind);
        let context = Self { functions, set_params, kind, raw, _fallback: Arc::clone(fallback) };
        // SAFETY: a context of the same provider, no parameters.
        (unsafe { (functions.init)(raw.as_ptr(), std::ptr::null()) } == 1).then_some(context)
    }

    /// Which digest runs.
    pub(crate) fn kind(&self) -> DigestKind {
        self.kind
    }

    /// Adds `data`; false when the provider fails.
    pub(crate) fn update(&mut self, data: Input<'_>) -> bool {
        let (pointer, len) = data.raw();
        if len == 0 {
            return true;
        }
        // SAFETY: our context, and memory lent for this call.
        unsafe { (self.functions.update)(self.raw.as_ptr(), pointer, len) == 1 }
    }

    /// Tells the digest something; 1 when it accepted.
    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: our context and a terminated array.
        self.set_params.map_or(0, |set_params| unsafe { set_params(self.raw.as_ptr(), params.raw()) })
    }

    /// Ends the digest. `value` is exactly as long as the digest.
    pub(crate) fn finish(self, value: &mut [u8]) -> bool {
        let mut len = 0;
        // SAFETY: our context, and memory of the given size.
        let ended = unsafe {
            (self.functions.finish)(self.raw.as_ptr(), value.as_mut_ptr(), &raw mut len, value.len())
        };
        ended == 1 && len == value.len()
    }

    /// A second digest in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        // SAFETY: our context.
        let raw = NonNull::new(unsafe { (self.functions.dupctx)(self.raw.as_ptr()) })?;
        let (functions, set_params, kind) = (self.functions, self.set_params, self.kind);
        Some(Self { functions, set_params, kind, raw, _fallback: Arc::clone(&self._fallback) })
    }
}

impl Drop for DigestContext {
    fn drop(&mut self) {
        // SAFETY: our context, freed once.
        unsafe { (self.functions.freectx)(self.raw.as_ptr()) }
    }
}
