//! The map of the room: which operations we offer, under which names, by which functions.

use std::ffi::{CStr, CString, c_int};

use crate::exports::{base, keymgmt, signature};
use crate::ffi::bindings::{
    Algorithm, Dispatch, keymgmt as key_ids, operation, provider, signature as sig_ids,
};
use crate::ffi::fallback::Fallback;

/// The provider's own functions.
pub(crate) static PROVIDER: [Dispatch; 8] = [
    Dispatch::new(provider::PROVIDER_TEARDOWN, base::teardown),
    Dispatch::new(provider::PROVIDER_GETTABLE_PARAMS, base::gettable_params),
    Dispatch::new(provider::PROVIDER_GET_PARAMS, base::get_params),
    Dispatch::new(provider::PROVIDER_QUERY_OPERATION, base::query_operation),
    Dispatch::new(provider::PROVIDER_GET_REASON_STRINGS, base::reason_strings),
    Dispatch::new(provider::PROVIDER_GET_CAPABILITIES, base::get_capabilities),
    Dispatch::new(provider::PROVIDER_SELF_TEST, base::self_test),
    Dispatch::END,
];

/// RSA keys. No decoders, encoders or stores: keys come by import and leave by export.
static RSA_KEYS: [Dispatch; 21] = [
    Dispatch::new(key_ids::KEYMGMT_NEW, keymgmt::new),
    Dispatch::new(key_ids::KEYMGMT_FREE, keymgmt::free),
    Dispatch::new(key_ids::KEYMGMT_GEN_INIT, keymgmt::gen_init),
    Dispatch::new(key_ids::KEYMGMT_GEN_SET_PARAMS, keymgmt::gen_set_params),
    Dispatch::new(key_ids::KEYMGMT_GEN_SETTABLE_PARAMS, keymgmt::gen_settable_params),
    Dispatch::new(key_ids::KEYMGMT_GEN, keymgmt::generate),
    Dispatch::new(key_ids::KEYMGMT_GEN_CLEANUP, keymgmt::gen_cleanup),
    Dispatch::new(key_ids::KEYMGMT_GET_PARAMS, keymgmt::get_params),
    Dispatch::new(key_ids::KEYMGMT_GETTABLE_PARAMS, keymgmt::gettable_params),
    Dispatch::new(key_ids::KEYMGMT_QUERY_OPERATION_NAME, keymgmt::query_operation_name),
    Dispatch::new(key_ids::KEYMGMT_HAS, keymgmt::has),
    Dispatch::new(key_ids::KEYMGMT_VALIDATE, keymgmt::validate),
    Dispatch::new(key_ids::KEYMGMT_MATCH, keymgmt::matches),
    Dispatch::new(key_ids::KEYMGMT_IMPORT, keymgmt::import),
    Dispatch::new(key_ids::KEYMGMT_IMPORT_TYPES, keymgmt::key_types),
    Dispatch::new(key_ids::KEYMGMT_IMPORT_TYPES_EX, keymgmt::import_types_ex),
    Dispatch::new(key_ids::KEYMGMT_EXPORT, keymgmt::export),
    Dispatch::new(key_ids::KEYMGMT_EXPORT_TYPES, keymgmt::key_types),
    Dispatch::new(key_ids::KEYMGMT_EXPORT_TYPES_EX, keymgmt::export_types_ex),
    Dispatch::new(key_ids::KEYMGMT_DUP, keymgmt::dup),
    Dispatch::END,
];

/// RSA signatures.
static RSA_SIGNATURES: [Dispatch; 24] = [
    Dispatch::new(sig_ids::SIGNATURE_NEWCTX, signature::newctx),
    Dispatch::new(sig_ids::SIGNATURE_FREECTX, signature::freectx),
    Dispatch::new(sig_ids::SIGNATURE_DUPCTX, signature::dupctx),
    Dispatch::new(sig_ids::SIGNATURE_SIGN_INIT, signature::sign_init),
    Dispatch::new(sig_ids::SIGNATURE_SIGN, signature::sign),
    Dispatch::new(sig_ids::SIGNATURE_VERIFY_INIT, signature::verify_init),
    Dispatch::new(sig_ids::SIGNATURE_VERIFY, signature::verify),
    Dispatch::new(sig_ids::SIGNATURE_VERIFY_RECOVER_INIT, signature::verify_recover_init),
    Dispatch::new(sig_ids::SIGNATURE_VERIFY_RECOVER, signature::verify_recover),
    Dispatch::new(sig_ids::SIGNATURE_DIGEST_SIGN_INIT, signature::digest_sign_init),
    Dispatch::new(sig_ids::SIGNATURE_DIGEST_SIGN_UPDATE, signature::digest_sign_update),
    Dispatch::new(sig_ids::SIGNATURE_DIGEST_SIGN_FINAL, signature::digest_sign_final),
    Dispatch::new(sig_ids::SIGNATURE_DIGEST_VERIFY_INIT, signature::digest_verify_init),
    Dispatch::new(sig_ids::SIGNATURE_DIGEST_VERIFY_UPDATE, signature::digest_verify_update),
    Dispatch::new(sig_ids::SIGNATURE_DIGEST_VERIFY_FINAL, signature::digest_verify_final),
    Dispatch::new(sig_ids::SIGNATURE_GET_CTX_PARAMS, signature::get_ctx_params),
    Dispatch::new(sig_ids::SIGNATURE_GETTABLE_CTX_PARAMS, signature::gettable_ctx_params),
    Dispatch::new(sig_ids::SIGNATURE_SET_CTX_PARAMS, signature::set_ctx_params),
    Dispatch::new(sig_ids::SIGNATURE_SETTABLE_CTX_PARAMS, signature::settable_ctx_params),
    Dispatch::new(sig_ids::SIGNATURE_GET_CTX_MD_PARAMS, signature::get_ctx_md_params),
    Dispatch::new(sig_ids::SIGNATURE_GETTABLE_CTX_MD_PARAMS, signature::gettable_ctx_md_params),
    Dispatch::new(sig_ids::SIGNATURE_SET_CTX_MD_PARAMS, signature::set_ctx_md_params),
    Dispatch::new(sig_ids::SIGNATURE_SETTABLE_CTX_MD_PARAMS, signature::settable_ctx_md_params),
    Dispatch::END,
];

/// `provider=warpdrive` is what `?provider=warpdrive` in default properties prefers.
const PROPERTIES: &CStr = c"provider=warpdrive";

/// What we offer, with the names that the running core's own provider uses. Lives as long as the instance: the core keeps
/// pointers into it.
pub(crate) struct Tables {
    keys: Box<[Algorithm; 2]>,
    signatures: Box<[Algorithm; 2]>,
    _names: [CString; 2],
}

impl Tables {
    pub(crate) fn new(fallback: &Fallback) -> Self {
        let names = [fallback.key_names().to_owned(), fallback.signature_names().to_owned()];
        let offer = |names: &CStr, implementation: &'static [Dispatch], description: &'static CStr| {
            let algorithm = Algorithm {
                names: names.as_ptr(),
                properties: PROPERTIES.as_ptr(),
                implementation: implementation.as_ptr(),
                description: description.as_ptr(),
            };
            Box::new([algorithm, Algorithm::END])
        };
        Self {
            keys: offer(&names[0], &RSA_KEYS, c"warpdrive RSA keys"),
            signatures: offer(&names[1], &RSA_SIGNATURES, c"warpdrive RSA signatures"),
            _names: names,
        }
    }

    /// The algorithms of `asked`; null when there are none.
    pub(crate) fn of(&self, asked: c_int) -> *const Algorithm {
        match asked {
            operation::KEYMGMT => self.keys.as_ptr(),
            operation::SIGNATURE => self.signatures.as_ptr(),
            _ => std::ptr::null(),
        }
    }
}
