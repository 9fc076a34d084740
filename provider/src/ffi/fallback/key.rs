//! The default provider's keys.
#![expect(unsafe_code, reason = "calls the default provider's functions")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Fallback, copied_functions};
use crate::ffi::bindings::{Callback, Param};
use crate::ffi::params::{Own, Params, ParamsToFill, to_fill};

/// A key type that we know. `DHX` and the rest stay with the default provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    Rsa,
    RsaPss,
    Dh,
    Ec,
    X25519,
    X448,
    Sm2,
}

impl KeyType {
    /// Every one.
    pub(crate) const ALL: [Self; 7] =
        [Self::Rsa, Self::RsaPss, Self::Dh, Self::Ec, Self::X25519, Self::X448, Self::Sm2];

    /// The name under which every OpenSSL 3 knows it.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::Rsa => c"RSA",
            Self::RsaPss => c"RSA-PSS",
            Self::Dh => c"DH",
            Self::Ec => c"EC",
            Self::X25519 => c"X25519",
            Self::X448 => c"X448",
            Self::Sm2 => c"SM2",
        }
    }
}

copied_functions! {
    /// The functions of a key type.
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
    or nothing {
        gen_set_template: KEYMGMT_GEN_SET_TEMPLATE as GenSetTemplate,
        set_params: KEYMGMT_SET_PARAMS as SetParams,
        settable_params: KEYMGMT_SETTABLE_PARAMS as SettableParams,
    }
}

impl KeyFunctions {
    /// Whether key generation can start from another key's parameters.
    pub(crate) fn takes_template(&self) -> bool {
        self.gen_set_template.is_some()
    }

    /// Whether something can be changed in a key.
    pub(crate) fn is_settable(&self) -> bool {
        self.set_params.is_some() && self.settable_params.is_some()
    }
}

/// Functions of a key type that need no key. Null when the running core's provider lacks the type.
impl Fallback {
    /// What a key can tell.
    pub(crate) fn key_gettable_params(&self, key_type: KeyType) -> *const Param {
        self.keys(key_type).map_or(std::ptr::null(), |keys| {
            // SAFETY: the provider's function with the provider's context.
            unsafe { (keys.functions.gettable_params)(self.context) }
        })
    }

    /// What can be changed in a key.
    pub(crate) fn key_settable_params(&self, key_type: KeyType) -> *const Param {
        let settable_params = self.keys(key_type).and_then(|keys| keys.functions.settable_params);
        settable_params.map_or(std::ptr::null(), |settable_params| {
            // SAFETY: the provider's function with the provider's context.
            unsafe { settable_params(self.context) }
        })
    }

    /// What `import` accepts or `export` gives for a selection.
    pub(crate) fn key_parts(&self, key_type: KeyType, selection: c_int, import: bool) -> *const Param {
        self.keys(key_type).map_or(std::ptr::null(), |keys| {
            let functions = &keys.functions;
            let function = if import { functions.import_types } else { functions.export_types };
            // SAFETY: the provider's functions; they take nothing of ours.
            unsafe { function(selection) }
        })
    }

    /// What key generation can be told; `generation` may be absent.
    pub(crate) fn generation_settable_params(
        &self,
        key_type: KeyType,
        generation: Option<&Generation>,
    ) -> *const Param {
        let raw = generation.map_or(std::ptr::null_mut(), |generation| generation.raw.as_ptr());
        self.keys(key_type).map_or(std::ptr::null(), |keys| {
            // SAFETY: the provider's own context and generation.
            unsafe { (keys.functions.gen_settable_params)(raw, self.context) }
        })
    }
}

/// A key of the default provider.
pub(crate) struct Key {
    raw: NonNull<c_void>,
    key_type: KeyType,
    functions: KeyFunctions,
    fallback: Arc<Fallback>,
}

// SAFETY: the provider's key objects are counted and locked by it; our calls on one key follow the keymgmt rules.
unsafe impl Send for Key {}
// SAFETY: as above.
unsafe impl Sync for Key {}

impl Key {
    /// An empty key; `None` when the provider lacks the type or refuses.
    pub(crate) fn new(fallback: &Arc<Fallback>, key_type: KeyType) -> Option<Self> {
        let functions = fallback.keys(key_type)?.functions;
        // SAFETY: the provider's function with the provider's context.
        let raw = NonNull::new(unsafe { (functions.new)(fallback.context) })?;
        Some(Self { raw, key_type, functions, fallback: Arc::clone(fallback) })
    }

    /// Its type.
    pub(crate) fn key_type(&self) -> KeyType {
        self.key_type
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
        unsafe { (self.functions.get_params)(self.raw(), params.raw()) }
    }

    /// Changes something; 0 when nothing can be changed in keys of this type.
    pub(crate) fn set_params(&self, params: Params<'_>) -> c_int {
        // SAFETY: our key, and a terminated array.
        self.functions.set_params.map_or(0, |set_params| unsafe { set_params(self.raw(), params.raw()) })
    }

    pub(crate) fn has(&self, selection: c_int) -> c_int {
        // SAFETY: our key.
        unsafe { (self.functions.has)(self.raw(), selection) }
    }

    pub(crate) fn validate(&self, selection: c_int, check: c_int) -> c_int {
        // SAFETY: our key.
        unsafe { (self.functions.validate)(self.raw(), selection, check) }
    }

    pub(crate) fn matches(&self, other: &Self, selection: c_int) -> c_int {
        if self.key_type != other.key_type {
            return 0;
        }
        // SAFETY: two keys of the same provider type; both come from instances of one libcrypto.
        unsafe { (self.functions.matches)(self.raw(), other.raw(), selection) }
    }

    pub(crate) fn import(&self, selection: c_int, params: Params<'_>) -> c_int {
        // SAFETY: our key, and a terminated array.
        unsafe { (self.functions.import)(self.raw(), selection, params.raw()) }
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
        unsafe { (self.functions.export)(self.raw(), selection, callback, argument) }
    }

    /// A copy of the selected parts.
    pub(crate) fn duplicate(&self, selection: c_int) -> Option<Self> {
        // SAFETY: our key.
        let raw = NonNull::new(unsafe { (self.functions.dup)(self.raw(), selection) })?;
        let (key_type, functions) = (self.key_type, self.functions);
        Some(Self { raw, key_type, functions, fallback: Arc::clone(&self.fallback) })
    }

    /// Fills `value` with the number under `name`, big-endian, left-padded; false when the key has none or it does not fit.
    /// What that leaves in `value` is for the caller to erase if it is secret.
    pub(crate) fn number(&self, name: &'static CStr, value: &mut [u8]) -> bool {
        let len = value.len();
        let mut array = [Own::number(name, value), Own::END];
        let answered = self.get_params(to_fill(&mut array)) == 1;
        let Some(written) = array[0].answer_len().filter(|written| answered && *written <= len) else {
            return false;
        };
        if cfg!(target_endian = "little") {
            value.reverse();
        } else {
            value.rotate_right(len - written);
        }
        // Some write as many bytes as the number has, some as many as there is room for.
        let padding = len - written;
        value.iter_mut().take(padding).for_each(|byte| *byte = 0);
        true
    }

    /// How many bytes the number under `name` has; `None` when the key has none.
    pub(crate) fn number_len_bytes(&self, name: &'static CStr) -> Option<usize> {
        let mut array = [Own::number_asking(name), Own::END];
        let answered = self.get_params(to_fill(&mut array)) == 1;
        array[0].answer_len().filter(|_| answered)
    }

    /// The number under `name`, big-endian, as wide as it is; `None` when the key has none. Not by the provider's export, whose
    /// memory it frees with the numbers in it.
    pub(crate) fn big_number(&self, name: &'static CStr) -> Option<Zeroizing<Vec<u8>>> {
        let mut value = Zeroizing::new(vec![0; self.number_len_bytes(name)?]);
        self.number(name, &mut value).then_some(value)
    }

    /// Fills `value` with the bytes under `name`; false when the key has none or they are not exactly as many.
    pub(crate) fn octets(&self, name: &'static CStr, value: &mut [u8]) -> bool {
        let len = value.len();
        let mut array = [Own::octets(name, value), Own::END];
        self.get_params(to_fill(&mut array)) == 1 && array[0].answer_len() == Some(len)
    }

    /// Fills `room` with the text under `name`, null-terminated; false when the key has none or it does not fit.
    pub(crate) fn text(&self, name: &'static CStr, room: &mut [u8]) -> bool {
        let mut array = [Own::text_room(name, room), Own::END];
        self.get_params(to_fill(&mut array)) == 1 && array[0].answer_len().is_some()
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
        unsafe { (self.functions.free)(self.raw()) }
    }
}

/// A key being generated by the default provider.
pub(crate) struct Generation {
    raw: NonNull<c_void>,
    key_type: KeyType,
    functions: KeyFunctions,
    fallback: Arc<Fallback>,
}

// SAFETY: the provider's contexts are bound to no thread; `&mut` keeps users apart.
unsafe impl Send for Generation {}

impl Generation {
    pub(crate) fn new(
        fallback: &Arc<Fallback>,
        key_type: KeyType,
        selection: c_int,
        params: Params<'_>,
    ) -> Option<Self> {
        let functions = fallback.keys(key_type)?.functions;
        // SAFETY: the provider's function with the provider's context, and a terminated array.
        let raw = NonNull::new(unsafe { (functions.gen_init)(fallback.context, selection, params.raw()) })?;
        Some(Self { raw, key_type, functions, fallback: Arc::clone(fallback) })
    }

    /// Starts from the parameters of `template`; 0 when keys of this type have none.
    pub(crate) fn set_template(&mut self, template: &Key) -> c_int {
        if template.key_type != self.key_type {
            return 0;
        }
        self.functions.gen_set_template.map_or(0, |set_template| {
            // SAFETY: our context, and a key of the same type of the same provider.
            unsafe { set_template(self.raw.as_ptr(), template.raw()) }
        })
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: our context, and a terminated array.
        unsafe { (self.functions.gen_set_params)(self.raw.as_ptr(), params.raw()) }
    }

    /// # Safety
    /// `progress` accepts a parameter array and `argument`.
    pub(crate) unsafe fn run(&mut self, progress: Option<Callback>, argument: *mut c_void) -> Option<Key> {
        // SAFETY: our context; the caller's promise.
        let raw = NonNull::new(unsafe { (self.functions.generate)(self.raw.as_ptr(), progress, argument) })?;
        let (key_type, functions) = (self.key_type, self.functions);
        Some(Key { raw, key_type, functions, fallback: Arc::clone(&self.fallback) })
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        // SAFETY: our context, freed once.
        unsafe { (self.functions.gen_cleanup)(self.raw.as_ptr()) }
    }
}
