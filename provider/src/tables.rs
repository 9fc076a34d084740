//! The map of the room: which operations we offer, under which names, by which functions.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};

use crate::config::{Config, Operation};
use crate::exports::{asym_cipher, base, cipher, exchange, keymgmt, signature};
use crate::ffi::bindings::{
    Algorithm, Dispatch, asym_cipher as cipher_ids, cipher as symmetric_ids, keyexch as exchange_ids,
    keymgmt as key_ids, operation, provider, signature as sig_ids,
};
use crate::ffi::fallback::{
    AsymCipherType, CipherFunctions, CipherType, ExchangeFunctions, ExchangeType, Fallback, KeyFunctions,
    KeyType, SignatureFunctions, SignatureType,
};

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

/// The functions of a key type, in the running core's own shape: what its provider does not have, ours has not either.
/// No decoders, encoders or stores: keys come by import and leave by export.
fn keys_table(key_type: KeyType, functions: &KeyFunctions) -> Vec<Dispatch> {
    match key_type {
        KeyType::Rsa => keys_of::<keymgmt::Rsa>(functions),
        KeyType::RsaPss => keys_of::<keymgmt::RsaPss>(functions),
        KeyType::Dh => keys_of::<keymgmt::Dh>(functions),
        KeyType::Ec => keys_of::<keymgmt::Ec>(functions),
        KeyType::X25519 => keys_of::<keymgmt::X25519>(functions),
        KeyType::X448 => keys_of::<keymgmt::X448>(functions),
        KeyType::Sm2 => keys_of::<keymgmt::Sm2>(functions),
    }
}

fn keys_of<R: keymgmt::Row>(functions: &KeyFunctions) -> Vec<Dispatch> {
    let mut table = vec![
        Dispatch::new(key_ids::KEYMGMT_NEW, keymgmt::new::<R>),
        Dispatch::new(key_ids::KEYMGMT_FREE, keymgmt::free),
        Dispatch::new(key_ids::KEYMGMT_GEN_INIT, keymgmt::gen_init::<R>),
        Dispatch::new(key_ids::KEYMGMT_GEN_SET_PARAMS, keymgmt::gen_set_params),
        Dispatch::new(key_ids::KEYMGMT_GEN_SETTABLE_PARAMS, keymgmt::gen_settable_params::<R>),
        Dispatch::new(key_ids::KEYMGMT_GEN, keymgmt::generate),
        Dispatch::new(key_ids::KEYMGMT_GEN_CLEANUP, keymgmt::gen_cleanup),
        Dispatch::new(key_ids::KEYMGMT_GET_PARAMS, keymgmt::get_params),
        Dispatch::new(key_ids::KEYMGMT_GETTABLE_PARAMS, keymgmt::gettable_params::<R>),
        Dispatch::new(key_ids::KEYMGMT_QUERY_OPERATION_NAME, keymgmt::query_operation_name::<R>),
        Dispatch::new(key_ids::KEYMGMT_HAS, keymgmt::has),
        Dispatch::new(key_ids::KEYMGMT_VALIDATE, keymgmt::validate),
        Dispatch::new(key_ids::KEYMGMT_MATCH, keymgmt::matches),
        Dispatch::new(key_ids::KEYMGMT_IMPORT, keymgmt::import),
        Dispatch::new(key_ids::KEYMGMT_IMPORT_TYPES, keymgmt::types::<R>),
        Dispatch::new(key_ids::KEYMGMT_IMPORT_TYPES_EX, keymgmt::import_types_ex::<R>),
        Dispatch::new(key_ids::KEYMGMT_EXPORT, keymgmt::export),
        Dispatch::new(key_ids::KEYMGMT_EXPORT_TYPES, keymgmt::types::<R>),
        Dispatch::new(key_ids::KEYMGMT_EXPORT_TYPES_EX, keymgmt::export_types_ex::<R>),
        Dispatch::new(key_ids::KEYMGMT_DUP, keymgmt::dup),
    ];
    if functions.takes_template() {
        table.push(Dispatch::new(key_ids::KEYMGMT_GEN_SET_TEMPLATE, keymgmt::gen_set_template));
    }
    if functions.is_settable() {
        table.push(Dispatch::new(key_ids::KEYMGMT_SET_PARAMS, keymgmt::set_params));
        table.push(Dispatch::new(key_ids::KEYMGMT_SETTABLE_PARAMS, keymgmt::settable_params::<R>));
    }
    table.push(Dispatch::END);
    table
}

/// The functions of a key exchange, in the running core's own shape.
fn exchange_table(exchange_type: ExchangeType, functions: &ExchangeFunctions) -> Vec<Dispatch> {
    match exchange_type {
        ExchangeType::Dh => exchange_of::<exchange::Dh>(functions),
        ExchangeType::Ecdh => exchange_of::<exchange::Ecdh>(functions),
        ExchangeType::X25519 => exchange_of::<exchange::X25519>(functions),
        ExchangeType::X448 => exchange_of::<exchange::X448>(functions),
    }
}

fn exchange_of<R: exchange::Row>(functions: &ExchangeFunctions) -> Vec<Dispatch> {
    let mut table = vec![
        Dispatch::new(exchange_ids::KEYEXCH_NEWCTX, exchange::newctx::<R>),
        Dispatch::new(exchange_ids::KEYEXCH_FREECTX, exchange::freectx),
        Dispatch::new(exchange_ids::KEYEXCH_DUPCTX, exchange::dupctx),
        Dispatch::new(exchange_ids::KEYEXCH_INIT, exchange::init),
        Dispatch::new(exchange_ids::KEYEXCH_SET_PEER, exchange::set_peer),
        Dispatch::new(exchange_ids::KEYEXCH_DERIVE, exchange::derive),
    ];
    if functions.is_settable() {
        table.push(Dispatch::new(exchange_ids::KEYEXCH_SET_CTX_PARAMS, exchange::set_ctx_params));
        table.push(Dispatch::new(
            exchange_ids::KEYEXCH_SETTABLE_CTX_PARAMS,
            exchange::settable_ctx_params::<R>,
        ));
    }
    if functions.is_gettable() {
        table.push(Dispatch::new(exchange_ids::KEYEXCH_GET_CTX_PARAMS, exchange::get_ctx_params));
        table.push(Dispatch::new(
            exchange_ids::KEYEXCH_GETTABLE_CTX_PARAMS,
            exchange::gettable_ctx_params::<R>,
        ));
    }
    table.push(Dispatch::END);
    table
}

/// The functions of a signature algorithm, in the running core's own shape.
fn signature_table(signature_type: SignatureType, functions: &SignatureFunctions) -> Vec<Dispatch> {
    match signature_type {
        SignatureType::Rsa => signature_of::<signature::Rsa>(functions),
        SignatureType::Ecdsa => signature_of::<signature::Ecdsa>(functions),
        SignatureType::Sm2 => signature_of::<signature::Sm2>(functions),
    }
}

fn signature_of<R: signature::Row>(functions: &SignatureFunctions) -> Vec<Dispatch> {
    let mut table = vec![
        Dispatch::new(sig_ids::SIGNATURE_NEWCTX, signature::newctx::<R>),
        Dispatch::new(sig_ids::SIGNATURE_FREECTX, signature::freectx),
        Dispatch::new(sig_ids::SIGNATURE_DUPCTX, signature::dupctx),
        Dispatch::new(sig_ids::SIGNATURE_SIGN_INIT, signature::sign_init),
        Dispatch::new(sig_ids::SIGNATURE_SIGN, signature::sign),
        Dispatch::new(sig_ids::SIGNATURE_VERIFY_INIT, signature::verify_init),
        Dispatch::new(sig_ids::SIGNATURE_VERIFY, signature::verify),
        Dispatch::new(sig_ids::SIGNATURE_DIGEST_SIGN_INIT, signature::digest_sign_init),
        Dispatch::new(sig_ids::SIGNATURE_DIGEST_SIGN_UPDATE, signature::digest_sign_update),
        Dispatch::new(sig_ids::SIGNATURE_DIGEST_SIGN_FINAL, signature::digest_sign_final),
        Dispatch::new(sig_ids::SIGNATURE_DIGEST_VERIFY_INIT, signature::digest_verify_init),
        Dispatch::new(sig_ids::SIGNATURE_DIGEST_VERIFY_UPDATE, signature::digest_verify_update),
        Dispatch::new(sig_ids::SIGNATURE_DIGEST_VERIFY_FINAL, signature::digest_verify_final),
        Dispatch::new(sig_ids::SIGNATURE_GET_CTX_PARAMS, signature::get_ctx_params),
        Dispatch::new(sig_ids::SIGNATURE_GETTABLE_CTX_PARAMS, signature::gettable_ctx_params::<R>),
        Dispatch::new(sig_ids::SIGNATURE_SET_CTX_PARAMS, signature::set_ctx_params),
        Dispatch::new(sig_ids::SIGNATURE_SETTABLE_CTX_PARAMS, signature::settable_ctx_params::<R>),
        Dispatch::new(sig_ids::SIGNATURE_GET_CTX_MD_PARAMS, signature::get_ctx_md_params),
        Dispatch::new(sig_ids::SIGNATURE_GETTABLE_CTX_MD_PARAMS, signature::gettable_ctx_md_params),
        Dispatch::new(sig_ids::SIGNATURE_SET_CTX_MD_PARAMS, signature::set_ctx_md_params),
        Dispatch::new(sig_ids::SIGNATURE_SETTABLE_CTX_MD_PARAMS, signature::settable_ctx_md_params),
    ];
    if functions.recovers() {
        table.push(Dispatch::new(sig_ids::SIGNATURE_VERIFY_RECOVER_INIT, signature::verify_recover_init));
        table.push(Dispatch::new(sig_ids::SIGNATURE_VERIFY_RECOVER, signature::verify_recover));
    }
    table.push(Dispatch::END);
    table
}

/// The functions of a symmetric cipher. Its constants are told by the running core's own function, which takes no context.
fn symmetric_table(cipher_type: CipherType, functions: &CipherFunctions) -> Vec<Dispatch> {
    match cipher_type {
        CipherType::Aes256Cbc => symmetric_of::<cipher::Aes256Cbc>(functions),
    }
}

fn symmetric_of<R: cipher::Row>(functions: &CipherFunctions) -> Vec<Dispatch> {
    vec![
        Dispatch::new(symmetric_ids::CIPHER_NEWCTX, cipher::newctx::<R>),
        Dispatch::new(symmetric_ids::CIPHER_FREECTX, cipher::freectx),
        Dispatch::new(symmetric_ids::CIPHER_DUPCTX, cipher::dupctx),
        Dispatch::new(symmetric_ids::CIPHER_ENCRYPT_INIT, cipher::encrypt_init),
        Dispatch::new(symmetric_ids::CIPHER_DECRYPT_INIT, cipher::decrypt_init),
        Dispatch::new(symmetric_ids::CIPHER_UPDATE, cipher::update),
        Dispatch::new(symmetric_ids::CIPHER_FINAL, cipher::finish),
        Dispatch::new(symmetric_ids::CIPHER_CIPHER, cipher::once),
        Dispatch::new(symmetric_ids::CIPHER_GET_PARAMS, functions.constants()),
        Dispatch::new(symmetric_ids::CIPHER_GETTABLE_PARAMS, cipher::gettable_params::<R>),
        Dispatch::new(symmetric_ids::CIPHER_GET_CTX_PARAMS, cipher::get_ctx_params),
        Dispatch::new(symmetric_ids::CIPHER_GETTABLE_CTX_PARAMS, cipher::gettable_ctx_params::<R>),
        Dispatch::new(symmetric_ids::CIPHER_SET_CTX_PARAMS, cipher::set_ctx_params),
        Dispatch::new(symmetric_ids::CIPHER_SETTABLE_CTX_PARAMS, cipher::settable_ctx_params::<R>),
        Dispatch::END,
    ]
}

/// The functions of an asymmetric cipher.
fn cipher_table(cipher_type: AsymCipherType) -> Vec<Dispatch> {
    match cipher_type {
        AsymCipherType::Rsa => cipher_of::<asym_cipher::Rsa>(),
        AsymCipherType::Sm2 => cipher_of::<asym_cipher::Sm2>(),
    }
}

fn cipher_of<R: asym_cipher::Row>() -> Vec<Dispatch> {
    vec![
        Dispatch::new(cipher_ids::ASYM_CIPHER_NEWCTX, asym_cipher::newctx::<R>),
        Dispatch::new(cipher_ids::ASYM_CIPHER_ENCRYPT_INIT, asym_cipher::encrypt_init),
        Dispatch::new(cipher_ids::ASYM_CIPHER_ENCRYPT, asym_cipher::encrypt),
        Dispatch::new(cipher_ids::ASYM_CIPHER_DECRYPT_INIT, asym_cipher::decrypt_init),
        Dispatch::new(cipher_ids::ASYM_CIPHER_DECRYPT, asym_cipher::decrypt),
        Dispatch::new(cipher_ids::ASYM_CIPHER_FREECTX, asym_cipher::freectx),
        Dispatch::new(cipher_ids::ASYM_CIPHER_DUPCTX, asym_cipher::dupctx),
        Dispatch::new(cipher_ids::ASYM_CIPHER_GET_CTX_PARAMS, asym_cipher::get_ctx_params),
        Dispatch::new(cipher_ids::ASYM_CIPHER_GETTABLE_CTX_PARAMS, asym_cipher::gettable_ctx_params::<R>),
        Dispatch::new(cipher_ids::ASYM_CIPHER_SET_CTX_PARAMS, asym_cipher::set_ctx_params),
        Dispatch::new(cipher_ids::ASYM_CIPHER_SETTABLE_CTX_PARAMS, asym_cipher::settable_ctx_params::<R>),
        Dispatch::END,
    ]
}

/// `provider=warpdrive` is what `?provider=warpdrive` in default properties prefers.
const PROPERTIES: &CStr = c"provider=warpdrive";

/// What we offer, with the names that the running core's own provider uses. Lives as long as the instance: the core keeps
/// pointers into it.
pub(crate) struct Tables {
    keys: Vec<Algorithm>,
    exchanges: Vec<Algorithm>,
    signatures: Vec<Algorithm>,
    ciphers: Vec<Algorithm>,
    symmetric: Vec<Algorithm>,
    key_types: Vec<KeyType>,
    _names: Vec<CString>,
    _functions: Vec<Cow<'static, [Dispatch]>>,
}

impl Tables {
    pub(crate) fn new(fallback: &Fallback, config: &Config) -> Self {
        let mut offer = Offer::default();
        let mut key_types = Vec::new();
        let mut keys = Vec::new();
        for key_type in KeyType::ALL {
            let Some(listed) = fallback.keys(key_type).filter(|_| config.offers_keys(key_type)) else {
                continue;
            };
            let table = keys_table(key_type, listed.functions());
            keys.push(offer.row(&listed.names, table, c"warpdrive keys"));
            key_types.push(key_type);
        }
        let mut exchanges = Vec::new();
        for exchange_type in ExchangeType::ALL {
            let operation = match exchange_type {
                ExchangeType::Dh => Operation::Dh,
                ExchangeType::Ecdh => Operation::Ecdh,
                ExchangeType::X25519 => Operation::X25519,
                ExchangeType::X448 => Operation::X448,
            };
            let listed = fallback.exchanges(exchange_type).filter(|_| config.offers(operation));
            let Some(listed) = listed else { continue };
            let table = exchange_table(exchange_type, listed.functions());
            exchanges.push(offer.row(&listed.names, table, c"warpdrive key exchange"));
        }
        let mut signatures = Vec::new();
        for signature_type in SignatureType::ALL {
            let operation = match signature_type {
                SignatureType::Rsa => Operation::RsaSignature,
                SignatureType::Ecdsa => Operation::Ecdsa,
                SignatureType::Sm2 => Operation::Sm2Signature,
            };
            let listed = fallback.signatures(signature_type).filter(|_| config.offers(operation));
            let Some(listed) = listed else { continue };
            let table = signature_table(signature_type, listed.functions());
            signatures.push(offer.row(&listed.names, table, c"warpdrive signatures"));
        }
        let mut ciphers = Vec::new();
        for cipher_type in AsymCipherType::ALL {
            let operation = match cipher_type {
                AsymCipherType::Rsa => Operation::RsaEncryption,
                AsymCipherType::Sm2 => Operation::Sm2Encryption,
            };
            let listed = fallback.ciphers(cipher_type).filter(|_| config.offers(operation));
            let Some(listed) = listed else { continue };
            ciphers.push(offer.row(&listed.names, cipher_table(cipher_type), c"warpdrive encryption"));
        }
        let mut symmetric = Vec::new();
        for cipher_type in CipherType::ALL {
            let Some(listed) = fallback.symmetric(cipher_type).filter(|_| config.ciphers) else { continue };
            let table = symmetric_table(cipher_type, listed.functions());
            symmetric.push(offer.row(&listed.names, table, c"warpdrive ciphers"));
        }
        for list in [&mut keys, &mut exchanges, &mut signatures, &mut ciphers, &mut symmetric] {
            list.push(Algorithm::END);
        }
        Self {
            keys,
            exchanges,
            signatures,
            ciphers,
            symmetric,
            key_types,
            _names: offer.names,
            _functions: offer.functions,
        }
    }

    /// The algorithms of `asked`; null when there are none.
    pub(crate) fn of(&self, asked: c_int) -> *const Algorithm {
        let list = match asked {
            operation::KEYMGMT => &self.keys,
            operation::KEYEXCH => &self.exchanges,
            operation::SIGNATURE => &self.signatures,
            operation::ASYM_CIPHER => &self.ciphers,
            operation::CIPHER => &self.symmetric,
            _ => return std::ptr::null(),
        };
        if list.len() > 1 { list.as_ptr() } else { std::ptr::null() }
    }

    /// Whether keys of the type with this name are offered.
    pub(crate) fn has_keys(&self, name: &CStr) -> bool {
        self.key_types.iter().any(|key_type| key_type.name() == name)
    }
}

/// Rows being gathered, with what they point to.
#[derive(Default)]
struct Offer {
    names: Vec<CString>,
    functions: Vec<Cow<'static, [Dispatch]>>,
}

impl Offer {
    /// A row; its names and functions stay where they are while this grows, and move with it.
    fn row(
        &mut self,
        names: &CStr,
        functions: impl Into<Cow<'static, [Dispatch]>>,
        description: &'static CStr,
    ) -> Algorithm {
        let (names, functions) = (names.to_owned(), functions.into());
        let algorithm = Algorithm {
            names: names.as_ptr(),
            properties: PROPERTIES.as_ptr(),
            implementation: functions.as_ptr(),
            description: description.as_ptr(),
        };
        self.names.push(names);
        self.functions.push(functions);
        algorithm
    }
}
