//! The application's own default provider: its functions, copied one by one out of its tables and called directly.
//!
//! Only numbers listed here are ever taken. Copying a table wholesale breaks with the first core that knows a function
//! taking a provider context which we do not know (OpenSSL 4.0's `KEYMGMT_NEW_EX`).
#![expect(unsafe_code, reason = "calls the default provider's functions")]

mod asym_cipher;
mod cipher;
mod digest;
mod exchange;
mod key;
mod signature;

use std::ffi::{CStr, CString, c_int, c_void};
use std::sync::Arc;

use once_cell::race::OnceBox;

pub(crate) use asym_cipher::{AsymCipherContext, AsymCipherFunctions, AsymCipherType, CipherParameters};
pub(crate) use cipher::{CipherContext, CipherFunctions, CipherType};
pub(crate) use digest::{Digest, DigestContext};
pub(crate) use exchange::{ExchangeContext, ExchangeFunctions, ExchangeType};
pub(crate) use key::{Generation, Key, KeyFunctions, KeyType};
pub(crate) use signature::{
    CurveParameters, Parameters, SignatureContext, SignatureFunctions, SignatureType,
};

use super::bindings::{Algorithm, Callback, Dispatch, operation, provider};
use super::upcalls::Held;

/// Declares a struct of functions and how to copy them: all of the first block or nothing, and of the second what is there.
macro_rules! copied_functions {
    (
        $(#[$doc:meta])* $name:ident from $module:ident { $($field:ident: $id:ident as $function:ident,)* }
        $(or nothing { $($extra:ident: $extra_id:ident as $extra_function:ident,)* })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name {
            $($field: $crate::ffi::bindings::$module::$function,)*
            $($($extra: Option<$crate::ffi::bindings::$module::$extra_function>,)*)?
        }

        impl $name {
            /// `None` when one is missing: then the algorithm is left to its provider altogether.
            ///
            /// # Safety
            /// `table` is a provider's table for this kind of algorithm.
            pub(super) unsafe fn copy(table: *const $crate::ffi::bindings::Dispatch) -> Option<Self> {
                Some(Self {
                    // SAFETY: the caller's promise.
                    $($field: unsafe { $crate::ffi::bindings::Dispatch::find(table, $crate::ffi::bindings::$module::$id) }?,)*
                    // SAFETY: as above.
                    $($($extra: unsafe { $crate::ffi::bindings::Dispatch::find(table, $crate::ffi::bindings::$module::$extra_id) },)*)?
                })
            }
        }
    };
}
use copied_functions;

/// An algorithm of the default provider.
pub(crate) struct Listed<F> {
    /// Names and OIDs, as the running core knows them.
    pub(crate) names: CString,
    functions: F,
}

impl<F> Listed<F> {
    /// What the provider's own functions can do.
    pub(crate) fn functions(&self) -> &F {
        &self.functions
    }
}

/// The default provider, held, with the functions we use. An algorithm that the running core's provider lacks, or whose
/// functions are not all there, is absent: nobody misses it.
pub(crate) struct Fallback {
    context: *mut c_void,
    keys: Vec<(KeyType, Listed<KeyFunctions>)>,
    exchanges: Vec<(ExchangeType, Listed<ExchangeFunctions>)>,
    signatures: Vec<(SignatureType, Listed<SignatureFunctions>)>,
    digests: OnceBox<Vec<Digest>>,
    symmetric: Vec<(CipherType, Listed<CipherFunctions>)>,
    ciphers: Vec<(AsymCipherType, Listed<AsymCipherFunctions>)>,
    query: provider::QueryOperation,
    unquery: Option<provider::UnqueryOperation>,
    capabilities: Option<provider::GetCapabilities>,
    /// Last: the functions above live in its module.
    _held: Held,
}

// SAFETY: the context is the held provider's, whose functions may be called from any thread.
unsafe impl Send for Fallback {}
// SAFETY: as above.
unsafe impl Sync for Fallback {}

impl Fallback {
    /// Finds the functions of the held provider; `None` when it cannot be asked.
    pub(crate) fn new(held: Held) -> Option<Arc<Self>> {
        let context = held.context();
        // SAFETY: the held provider's own table.
        let query = unsafe { Dispatch::find(held.dispatch(), provider::PROVIDER_QUERY_OPERATION) }?;
        // SAFETY: as above.
        let unquery = unsafe { Dispatch::find(held.dispatch(), provider::PROVIDER_UNQUERY_OPERATION) };
        // SAFETY: as above.
        let capabilities = unsafe { Dispatch::find(held.dispatch(), provider::PROVIDER_GET_CAPABILITIES) };
        let mut keys: Vec<(KeyType, Listed<KeyFunctions>)> = Vec::new();
        let mut exchanges: Vec<(ExchangeType, Listed<ExchangeFunctions>)> = Vec::new();
        let mut signatures: Vec<(SignatureType, Listed<SignatureFunctions>)> = Vec::new();
        let each = |operation, visit: &mut dyn FnMut(&CStr, *const Dispatch)| {
            // SAFETY: the provider's functions with the provider's context.
            unsafe { for_each(query, unquery, context, operation, visit) }
        };
        each(operation::KEYMGMT, &mut |names, table| {
            for key_type in KeyType::ALL {
                if lists(names, key_type.name()) && keys.iter().all(|(known, _)| *known != key_type) {
                    // SAFETY: the provider's table for a key type.
                    let functions = unsafe { KeyFunctions::copy(table) };
                    let names = names.to_owned();
                    keys.extend(functions.map(|functions| (key_type, Listed { names, functions })));
                }
            }
        });
        each(operation::KEYEXCH, &mut |names, table| {
            for exchange_type in ExchangeType::ALL {
                let is_new = exchanges.iter().all(|(known, _)| *known != exchange_type);
                if lists(names, exchange_type.name()) && is_new {
                    // SAFETY: the provider's table for a key exchange.
                    let functions = unsafe { ExchangeFunctions::copy(table) };
                    let names = names.to_owned();
                    exchanges.extend(functions.map(|functions| (exchange_type, Listed { names, functions })));
                }
            }
        });
        each(operation::SIGNATURE, &mut |names, table| {
            for signature_type in SignatureType::ALL {
                let is_new = signatures.iter().all(|(known, _)| *known != signature_type);
                if lists(names, signature_type.name()) && is_new {
                    // SAFETY: the provider's table for a signature algorithm.
                    let functions = unsafe { SignatureFunctions::copy(table) };
                    let names = names.to_owned();
                    signatures
                        .extend(functions.map(|functions| (signature_type, Listed { names, functions })));
                }
            }
        });
        let mut ciphers: Vec<(AsymCipherType, Listed<AsymCipherFunctions>)> = Vec::new();
        each(operation::ASYM_CIPHER, &mut |names, table| {
            for cipher_type in AsymCipherType::ALL {
                if lists(names, cipher_type.name()) && ciphers.iter().all(|(known, _)| *known != cipher_type)
                {
                    // SAFETY: the provider's table for an asymmetric cipher.
                    let functions = unsafe { AsymCipherFunctions::copy(table) };
                    let names = names.to_owned();
                    ciphers.extend(functions.map(|functions| (cipher_type, Listed { names, functions })));
                }
            }
        });
        let mut symmetric: Vec<(CipherType, Listed<CipherFunctions>)> = Vec::new();
        each(operation::CIPHER, &mut |names, table| {
            for cipher_type in CipherType::ALL {
                let is_new = symmetric.iter().all(|(known, _)| *known != cipher_type);
                if lists(names, cipher_type.name()) && is_new {
                    // SAFETY: the provider's table for a symmetric cipher.
                    let functions = unsafe { CipherFunctions::copy(table) };
                    let names = names.to_owned();
                    symmetric.extend(functions.map(|functions| (cipher_type, Listed { names, functions })));
                }
            }
        });
        Some(Arc::new(Self {
            context,
            keys,
            exchanges,
            signatures,
            symmetric,
            ciphers,
            digests: OnceBox::new(),
            query,
            unquery,
            capabilities,
            _held: held,
        }))
    }

    /// Names and functions of a key type.
    pub(crate) fn keys(&self, key_type: KeyType) -> Option<&Listed<KeyFunctions>> {
        self.keys.iter().find(|(known, _)| *known == key_type).map(|(_, keys)| keys)
    }

    /// Names and functions of a key exchange.
    pub(crate) fn exchanges(&self, exchange_type: ExchangeType) -> Option<&Listed<ExchangeFunctions>> {
        self.exchanges.iter().find(|(known, _)| *known == exchange_type).map(|(_, exchange)| exchange)
    }

    /// Names and functions of a signature algorithm.
    pub(crate) fn signatures(&self, signature_type: SignatureType) -> Option<&Listed<SignatureFunctions>> {
        self.signatures.iter().find(|(known, _)| *known == signature_type).map(|(_, signature)| signature)
    }

    /// Asks the provider for its capabilities; each comes to `callback`. 1 when there are none.
    ///
    /// # Safety
    /// `callback` accepts a parameter array and `argument`.
    pub(crate) unsafe fn capabilities(
        &self,
        capability: &CStr,
        callback: Callback,
        argument: *mut c_void,
    ) -> c_int {
        self.capabilities.map_or(1, |capabilities| {
            // SAFETY: the provider's function with the provider's context; the caller's promise.
            unsafe { capabilities(self.context, capability.as_ptr(), Some(callback), argument) }
        })
    }

    /// Names and functions of a symmetric cipher.
    pub(crate) fn symmetric(&self, cipher_type: CipherType) -> Option<&Listed<CipherFunctions>> {
        self.symmetric.iter().find(|(known, _)| *known == cipher_type).map(|(_, cipher)| cipher)
    }

    /// Names and functions of an asymmetric cipher.
    pub(crate) fn ciphers(&self, cipher_type: AsymCipherType) -> Option<&Listed<AsymCipherFunctions>> {
        self.ciphers.iter().find(|(known, _)| *known == cipher_type).map(|(_, cipher)| cipher)
    }

    /// The digest called `name`, if the provider has it and an RSA signature can name it.
    pub(crate) fn digest(&self, name: &CStr) -> Option<Digest> {
        let name = name.to_str().ok()?;
        let digests = self.digests.get_or_init(|| {
            let mut digests = Vec::new();
            // SAFETY: the provider's functions with the provider's context.
            unsafe {
                for_each(self.query, self.unquery, self.context, operation::DIGEST, |names, table| {
                    digests.extend(Digest::recognise(names, table));
                });
            }
            Box::new(digests)
        });
        digests.iter().find(|digest| digest.is_named(name)).copied()
    }
}

/// True when the colon-separated `names` hold `name`, in any case.
fn lists(names: &CStr, name: &CStr) -> bool {
    name.to_str().is_ok_and(|name| is_named(names, name))
}

/// True when the colon-separated `names` hold `name`, in any case.
fn is_named(names: &CStr, name: &str) -> bool {
    names.to_bytes().split(|byte| *byte == b':').any(|one| one.eq_ignore_ascii_case(name.as_bytes()))
}

/// Shows `visit` every algorithm of an operation.
///
/// # Safety
/// `query`, `unquery` and `context` belong to one provider, which is held.
unsafe fn for_each(
    query: provider::QueryOperation,
    unquery: Option<provider::UnqueryOperation>,
    context: *mut c_void,
    operation: c_int,
    mut visit: impl FnMut(&CStr, *const Dispatch),
) {
    let mut no_store = 0;
    // SAFETY: the caller's promise.
    let first = unsafe { query(context, operation, &raw mut no_store) };
    let mut next = first;
    // SAFETY: null, or an array ending with null names, which has not been passed.
    while let Some(Algorithm { names, implementation, .. }) = unsafe { next.as_ref() } {
        if names.is_null() {
            break;
        }
        // SAFETY: names are null-terminated strings.
        visit(unsafe { CStr::from_ptr(*names) }, *implementation);
        next = next.wrapping_add(1);
    }
    if let (Some(unquery), false) = (unquery, first.is_null()) {
        // SAFETY: ends the query just made.
        unsafe { unquery(context, operation, first) };
    }
}

#[cfg(test)]
mod tests {
    use super::is_named;

    #[test]
    fn names_are_whole_and_caseless() {
        let names = c"RSA:rsaEncryption:1.2.840.113549.1.1.1";
        assert!(is_named(names, "rsa"));
        assert!(is_named(names, "1.2.840.113549.1.1.1"));
        assert!(!is_named(names, "RS"));
        assert!(!is_named(c"RSA-PSS:RSASSA-PSS", "RSA"));
    }
}
