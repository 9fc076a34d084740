//! The default provider's RSA keys.
#![expect(unsafe_code, reason = "calls the default provider's functions")]

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Fallback, copied_functions};
use crate::ffi::bindings::{Callback, Param};
use crate::ffi::params::{Own, Params, ParamsToFill, to_fill};

copied_functions! {
    /// The functions of the RSA key type.
    KeyFunctions from keymgmt {
        new: KEYMGMT_NEW as New,
        gen_init: KEYMGMT_GEN_INIT as GenInit,
        gen_set_params: KEYMGMT_GEN_SET_PARAMS as GenSetParams,
        gen_settable_params: KEYMGMT_GEN_SETTABLE_PARAMS as GenSettableParams,
        generate: KEYMGMT_GEN as Gen,
        gen_cleanup: KEYMGMT_GEN_CLEANUP as GenCleanup,
        free: KEYMGMT_FREE as Free,
        get_params: KEYMGMT_GET_PARAMS as GetParams,
        gettable_params: KEYMGMT_GETTABLE_PARAMS as GettableParams,
        has: KEYMGMT_HAS as Has,
        validate: KEYMGMT_VALIDATE as Validate,
        matches: KEYMGMT_MATCH as Match,
        import: KEYMGMT_IMPORT as Import,
        import_types: KEYMGMT_IMPORT_TYPES as ImportTypes,
        export: KEYMGMT_EXPORT as Export,
        export_types: KEYMGMT_EXPORT_TYPES as ExportTypes,
        dup: KEYMGMT_DUP as Dup,
    }
}

/// Functions of the key type that need no key.
impl Fallback {
    /// What a key can tell.
    pub(crate) fn key_gettable_params(&self) -> *const Param {
        // SAFETY: the provider's function with the provider's context.
        unsafe { (self.keys.gettable_params)(self.context) }
    }
}

/// An RSA key of the default provider.
pub(crate) struct Key {
    raw: NonNull<c_void>,
    fallback: Arc<Fallback>,
}

// SAFETY: the provider's key objects are counted and locked by it; our calls on one key follow the keymgmt rules.
unsafe impl Send for Key {}
// SAFETY: as above.
unsafe impl Sync for Key {}

impl Key {
    fn own(fallback: &Arc<Fallback>, raw: *mut c_void) -> Option<Self> {
        Some(Self { raw: NonNull::new(raw)?, fallback: Arc::clone(fallback) })
    }

    /// An empty key.
    pub(crate) fn new(fallback: &Arc<Fallback>) -> Option<Self> {
        // SAFETY: the provider's function with the provider's context.
        Self::own(fallback, unsafe { (fallback.keys.new)(fallback.context) })
    }

    /// The provider it lives in.
    pub(crate) fn fallback(&self) -> &Arc<Fallback> {
        &self.fallback
    }

    /// As the provider gets it.
    pub(super) fn raw(&self) -> *mut c_void {
        self.raw.as_ptr()
    }

    pub(crate) fn get_params(&self, mut params: ParamsToFill<'_>) -> c_int {
        // SAFETY: our key, and a terminated array.
        unsafe { (self.fallback.keys.get_params)(self.raw(), params.raw()) }
    }

    pub(crate) fn has(&self, selection: c_int) -> c_int {
        // SAFETY: our key.
        unsafe { (self.fallback.keys.has)(self.raw(), selection) }
    }

    pub(crate) fn validate(&self, selection: c_int, check: c_int) -> c_int {
        // SAFETY: our key.
        unsafe { (self.fallback.keys.validate)(self.raw(), selection, check) }
    }

    pub(crate) fn matches(&self, other: &Self, selection: c_int) -> c_int {
        // SAFETY: two keys of the same provider type; both come from instances of one libcrypto.
        unsafe { (self.fallback.keys.matches)(self.raw(), other.raw(), selection) }
    }

    pub(crate) fn import(&self, selection: c_int, params: Params<'_>) -> c_int {
        // SAFETY: our key, and a terminated array.
        unsafe { (self.fallback.keys.import)(self.raw(), selection, params.raw()) }
    }

    /// Hands the key's numbers to a C callback.
    ///
    /// # Safety
    /// `callback` accepts a parameter array and `argument`.
    pub(crate) unsafe fn export(
        &self,
        selection: c_int,
        callback: Option<Callback>,
        argument: *mut c_void,
    ) -> c_int {
        // SAFETY: our key; the caller's promise.
        unsafe { (self.fallback.keys.export)(self.raw(), selection, callback, argument) }
    }

    /// Hands the key's numbers to `visit`; they are gone when it returns.
    pub(crate) fn export_to(&self, selection: c_int, visit: &mut dyn FnMut(Params<'_>)) -> bool {
        unsafe extern "C" fn deliver(params: *const Param, argument: *mut c_void) -> c_int {
            crate::ffi::guard::guard(
                || (),
                || {
                    // SAFETY: `argument` is the visitor below, alive for the length of the export call.
                    let visit = unsafe { &mut *argument.cast::<&mut dyn FnMut(Params<'_>)>() };
                    // SAFETY: the provider sends a terminated array, valid for this call.
                    visit(unsafe { Params::new(params) });
                    1
                },
            )
        }
        let mut visit = visit;
        // SAFETY: `deliver` accepts exactly this argument.
        unsafe { self.export(selection, Some(deliver), (&raw mut visit).cast()) == 1 }
    }

    /// A copy of the selected parts.
    pub(crate) fn duplicate(&self, selection: c_int) -> Option<Self> {
        // SAFETY: our key.
        Self::own(&self.fallback, unsafe { (self.fallback.keys.dup)(self.raw(), selection) })
    }

    /// Size of the modulus in bits, 0 when there is none.
    pub(crate) fn bits(&self) -> u32 {
        let mut bits: c_int = 0;
        let mut array = [Own::int(c"bits", &mut bits), Own::END];
        if self.get_params(to_fill(&mut array)) != 1 {
            return 0;
        }
        u32::try_from(bits).unwrap_or(0)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: our key, freed once.
        unsafe { (self.fallback.keys.free)(self.raw()) }
    }
}

/// What `import` accepts or `export` gives for a selection.
pub(crate) fn types_of(fallback: &Fallback, selection: c_int, import: bool) -> *const Param {
    let function = if import { fallback.keys.import_types } else { fallback.keys.export_types };
    // SAFETY: the provider's functions; they take nothing of ours.
    unsafe { function(selection) }
}

/// A key being generated by the default provider.
pub(crate) struct Generation {
    raw: NonNull<c_void>,
    fallback: Arc<Fallback>,
}

// SAFETY: the provider's contexts are bound to no thread; `&mut` keeps users apart.
unsafe impl Send for Generation {}

impl Generation {
    pub(crate) fn new(fallback: &Arc<Fallback>, selection: c_int, params: Params<'_>) -> Option<Self> {
        // SAFETY: the provider's function with the provider's context, and a terminated array.
        let raw = unsafe { (fallback.keys.gen_init)(fallback.context, selection, params.raw()) };
        Some(Self { raw: NonNull::new(raw)?, fallback: Arc::clone(fallback) })
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.fallback.keys.gen_set_params)(self.raw.as_ptr(), params.raw()) }
    }

    /// # Safety
    /// `progress` accepts a parameter array and `argument`.
    pub(crate) unsafe fn run(&mut self, progress: Option<Callback>, argument: *mut c_void) -> Option<Key> {
        // SAFETY: our context; the caller's promise.
        let raw = unsafe { (self.fallback.keys.generate)(self.raw.as_ptr(), progress, argument) };
        Key::own(&self.fallback, raw)
    }
}

impl Fallback {
    /// What key generation can be told.
    pub(crate) fn generation_settable_params(&self, generation: Option<&Generation>) -> *const Param {
        let raw = generation.map_or(std::ptr::null_mut(), |generation| generation.raw.as_ptr());
        // SAFETY: the provider's own context and generation.
        unsafe { (self.keys.gen_settable_params)(raw, self.context) }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        // SAFETY: our context, freed once.
        unsafe { (self.fallback.keys.gen_cleanup)(self.raw.as_ptr()) }
    }
}
