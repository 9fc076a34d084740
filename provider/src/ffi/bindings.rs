//! The C types and function numbers of OpenSSL's provider interface, as `openssl/core.h` and `openssl/core_dispatch.h`
//! publish them (stable from 3.0 on: numbers are only ever added).
//!
//! Every number is an [`Id`] that carries the type of its function, so a table entry with a wrong signature does not
//! compile, and a function copied out of a foreign table gets its right type. `provider/tests/abi.rs` compares sizes, offsets and
//! numbers with the installed headers.
#![expect(
    unsafe_code,
    reason = "function pointers change their type on the way into and out of dispatch tables"
)]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::mem::{size_of, transmute_copy};

/// `OSSL_CORE_HANDLE`: a provider as libcrypto knows it.
#[repr(C)]
pub struct CoreHandle {
    _opaque: [u8; 0],
}

/// `OSSL_DISPATCH`: one function of a table; id 0 ends the table.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Dispatch {
    id: c_int,
    function: Option<unsafe extern "C" fn()>,
}

/// The number of a function of type `F` in its table.
pub struct Id<F> {
    number: c_int,
    function: PhantomData<fn() -> F>,
}

impl<F: Copy> Id<F> {
    /// Private to this module: only function types stand beside numbers.
    const fn new(number: c_int) -> Self {
        assert!(size_of::<F>() == size_of::<unsafe extern "C" fn()>());
        Self { number, function: PhantomData }
    }
}

impl Dispatch {
    /// The end of a table.
    pub const END: Self = Self { id: 0, function: None };

    /// The entry for `function` under `id`.
    pub const fn new<F: Copy>(id: Id<F>, function: F) -> Self {
        // SAFETY: `Id::new` is private and used with function pointer types only, checked to be of pointer size; whoever
        // calls the entry turns it back into the type that the number stands for.
        let erased = unsafe { transmute_copy::<F, unsafe extern "C" fn()>(&function) };
        Self { id: id.number, function: Some(erased) }
    }

    /// The function that `table` has under `id`.
    ///
    /// # Safety
    /// `table` is null or an array of entries ending with id 0, made by libcrypto or a provider of the same interface.
    pub unsafe fn find<F: Copy>(table: *const Self, id: Id<F>) -> Option<F> {
        let mut entry = table;
        if entry.is_null() {
            return None;
        }
        loop {
            // SAFETY: the caller promises an array with an end mark, which has not been passed yet.
            let current = unsafe { *entry };
            if current.id == 0 {
                return None;
            }
            if current.id == id.number {
                // SAFETY: the interface fixes the type of each number; `Id` carries it, and it is a function pointer.
                return current.function.map(|function| unsafe { transmute_copy(&function) });
            }
            // SAFETY: not the end mark, so there is a next entry.
            entry = unsafe { entry.add(1) };
        }
    }
}

/// `OSSL_ALGORITHM`: one algorithm of an operation; null names end the array.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Algorithm {
    /// Names and OIDs, separated by colons.
    pub names: *const c_char,
    /// Property definition.
    pub properties: *const c_char,
    /// Functions.
    pub implementation: *const Dispatch,
    /// For people; may be null.
    pub description: *const c_char,
}

impl Algorithm {
    /// The end of an array.
    pub const END: Self = Self {
        names: std::ptr::null(),
        properties: std::ptr::null(),
        implementation: std::ptr::null(),
        description: std::ptr::null(),
    };
}

// SAFETY: plain pointers to data that both sides only read.
unsafe impl Send for Algorithm {}
// SAFETY: as above.
unsafe impl Sync for Algorithm {}

/// `OSSL_ITEM`: a number and its text; id 0 ends the array.
#[repr(C)]
pub struct Item {
    /// Number.
    pub id: c_uint,
    /// Text, null-terminated.
    pub text: *const c_char,
}

// SAFETY: points to constants.
unsafe impl Sync for Item {}

/// `OSSL_PARAM`: a named value to read or to fill; a null key ends the array.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Param {
    /// Name, null-terminated.
    pub key: *const c_char,
    /// One of [`Param::INTEGER`] and its neighbours.
    pub data_type: c_uint,
    /// The value, or where it goes; null asks for its size.
    pub data: *mut c_void,
    /// Bytes at `data`.
    pub data_size: usize,
    /// Bytes written, [`Param::UNMODIFIED`] before.
    pub return_size: usize,
}

impl Param {
    /// Signed integer, native byte order, any width.
    pub const INTEGER: c_uint = 1;
    /// Unsigned integer, native byte order, any width.
    pub const UNSIGNED_INTEGER: c_uint = 2;
    /// Text in a buffer.
    pub const UTF8_STRING: c_uint = 4;
    /// Bytes in a buffer.
    pub const OCTET_STRING: c_uint = 5;
    /// A pointer to text.
    pub const UTF8_PTR: c_uint = 6;
    /// A pointer to bytes.
    pub const OCTET_PTR: c_uint = 7;
    /// `return_size` of a parameter nobody answered.
    pub const UNMODIFIED: usize = usize::MAX;
    /// The end of an array.
    pub const END: Self = Self {
        key: std::ptr::null(),
        data_type: 0,
        data: std::ptr::null_mut(),
        data_size: 0,
        return_size: 0,
    };
}

/// `OSSL_CALLBACK`: receives an array of parameters.
pub type Callback = unsafe extern "C" fn(*const Param, *mut c_void) -> c_int;

/// Operation numbers.
pub mod operation {
    use std::ffi::c_int;

    /// `OSSL_OP_DIGEST`.
    pub const DIGEST: c_int = 1;
    /// `OSSL_OP_CIPHER`.
    pub const CIPHER: c_int = 2;
    /// `OSSL_OP_KEYMGMT`.
    pub const KEYMGMT: c_int = 10;
    /// `OSSL_OP_KEYEXCH`.
    pub const KEYEXCH: c_int = 11;
    /// `OSSL_OP_SIGNATURE`.
    pub const SIGNATURE: c_int = 12;
    /// `OSSL_OP_ASYM_CIPHER`.
    pub const ASYM_CIPHER: c_int = 13;
}

/// Parts of a key (`OSSL_KEYMGMT_SELECT_*`).
pub mod selection {
    use std::ffi::c_int;

    /// The private number.
    pub const PRIVATE_KEY: c_int = 0x01;
    /// The public number.
    pub const PUBLIC_KEY: c_int = 0x02;
    /// Private and public numbers.
    pub const KEYPAIR: c_int = 0x03;
    /// The group or curve.
    pub const DOMAIN_PARAMETERS: c_int = 0x04;
    /// What belongs to neither.
    pub const OTHER_PARAMETERS: c_int = 0x80;
}

/// Declares the functions of one table: number, type.
macro_rules! functions {
    ($(#[$doc:meta])* $module:ident { $($name:ident = $number:literal, $function:ident($($argument:ty),*) $(-> $result:ty)?;)* }) => {
        $(#[$doc])*
        #[expect(missing_docs, reason = "each name is the header's own")]
        pub mod $module {
            use super::*;
            $(
                pub type $function = unsafe extern "C" fn($($argument),*) $(-> $result)?;
                pub const $name: Id<$function> = Id::new($number);
            )*
            /// Every name with its number, for comparison with the headers.
            pub const NUMBERS: &[(&str, c_int)] = &[$((stringify!($name), $number)),*];
        }
    };
}

type Raw = *mut c_void;
type Key = *mut c_void;
type Ctx = *mut c_void;
type Handle = *const CoreHandle;
type ParamsIn = *const Param;
type ParamsOut = *mut Param;
type BytesIn = *const u8;
type BytesOut = *mut u8;
type Name = *const c_char;
/// A child callback: a provider comes or goes.
pub type ChildCallback = unsafe extern "C" fn(Handle, Raw) -> c_int;
/// A child callback: the default properties changed.
pub type PropertiesCallback = unsafe extern "C" fn(Name, Raw) -> c_int;

functions! {
    /// Upcalls that the core hands to `OSSL_provider_init`. `va_list` arguments are never read by the core when the
    /// format has no conversions, and travel as a pointer.
    core {
        CORE_GET_PARAMS = 2, CoreGetParams(Handle, ParamsOut) -> c_int;
        CORE_NEW_ERROR = 5, CoreNewError(Handle);
        CORE_SET_ERROR_DEBUG = 6, CoreSetErrorDebug(Handle, Name, c_int, Name);
        CORE_VSET_ERROR = 7, CoreVsetError(Handle, u32, Name, Raw);
        CORE_SET_ERROR_MARK = 8, CoreSetErrorMark(Handle) -> c_int;
        CORE_CLEAR_LAST_ERROR_MARK = 9, CoreClearLastErrorMark(Handle) -> c_int;
        CORE_POP_ERROR_TO_MARK = 10, CorePopErrorToMark(Handle) -> c_int;
        PROVIDER_REGISTER_CHILD_CB = 105, ProviderRegisterChildCb(Handle, ChildCallback, ChildCallback, PropertiesCallback, Raw) -> c_int;
        PROVIDER_DEREGISTER_CHILD_CB = 106, ProviderDeregisterChildCb(Handle);
        PROVIDER_NAME = 107, ProviderName(Handle) -> Name;
        PROVIDER_GET0_PROVIDER_CTX = 108, ProviderGet0ProviderCtx(Handle) -> Raw;
        PROVIDER_GET0_DISPATCH = 109, ProviderGet0Dispatch(Handle) -> *const Dispatch;
        PROVIDER_UP_REF = 110, ProviderUpRef(Handle, c_int) -> c_int;
        PROVIDER_FREE = 111, ProviderFree(Handle, c_int) -> c_int;
    }
}

functions! {
    /// Functions of a provider itself.
    provider {
        PROVIDER_TEARDOWN = 1024, Teardown(Raw);
        PROVIDER_GETTABLE_PARAMS = 1025, GettableParams(Raw) -> ParamsIn;
        PROVIDER_GET_PARAMS = 1026, GetParams(Raw, ParamsOut) -> c_int;
        PROVIDER_QUERY_OPERATION = 1027, QueryOperation(Raw, c_int, *mut c_int) -> *const Algorithm;
        PROVIDER_UNQUERY_OPERATION = 1028, UnqueryOperation(Raw, c_int, *const Algorithm);
        PROVIDER_GET_REASON_STRINGS = 1029, GetReasonStrings(Raw) -> *const Item;
        PROVIDER_GET_CAPABILITIES = 1030, GetCapabilities(Raw, Name, Option<Callback>, Raw) -> c_int;
        PROVIDER_SELF_TEST = 1031, SelfTest(Raw) -> c_int;
    }
}

functions! {
    /// Functions of a digest.
    digest {
        DIGEST_NEWCTX = 1, Newctx(Raw) -> Ctx;
        DIGEST_INIT = 2, Init(Ctx, ParamsIn) -> c_int;
        DIGEST_UPDATE = 3, Update(Ctx, BytesIn, usize) -> c_int;
        DIGEST_FINAL = 4, Final(Ctx, BytesOut, *mut usize, usize) -> c_int;
        DIGEST_FREECTX = 6, Freectx(Ctx);
        DIGEST_DUPCTX = 7, Dupctx(Ctx) -> Ctx;
        DIGEST_SET_CTX_PARAMS = 9, SetCtxParams(Ctx, ParamsIn) -> c_int;
    }
}

functions! {
    /// Functions of a symmetric cipher. Where bytes and their length come twice they are the key, then the initialisation
    /// vector.
    cipher {
        CIPHER_NEWCTX = 1, Newctx(Raw) -> Ctx;
        CIPHER_ENCRYPT_INIT = 2, EncryptInit(Ctx, BytesIn, usize, BytesIn, usize, ParamsIn) -> c_int;
        CIPHER_DECRYPT_INIT = 3, DecryptInit(Ctx, BytesIn, usize, BytesIn, usize, ParamsIn) -> c_int;
        CIPHER_UPDATE = 4, Update(Ctx, BytesOut, *mut usize, usize, BytesIn, usize) -> c_int;
        CIPHER_FINAL = 5, Final(Ctx, BytesOut, *mut usize, usize) -> c_int;
        CIPHER_CIPHER = 6, Cipher(Ctx, BytesOut, *mut usize, usize, BytesIn, usize) -> c_int;
        CIPHER_FREECTX = 7, Freectx(Ctx);
        CIPHER_DUPCTX = 8, Dupctx(Ctx) -> Ctx;
        CIPHER_GET_PARAMS = 9, GetParams(ParamsOut) -> c_int;
        CIPHER_GET_CTX_PARAMS = 10, GetCtxParams(Ctx, ParamsOut) -> c_int;
        CIPHER_SET_CTX_PARAMS = 11, SetCtxParams(Ctx, ParamsIn) -> c_int;
        CIPHER_GETTABLE_PARAMS = 12, GettableParams(Raw) -> ParamsIn;
        CIPHER_GETTABLE_CTX_PARAMS = 13, GettableCtxParams(Ctx, Raw) -> ParamsIn;
        CIPHER_SETTABLE_CTX_PARAMS = 14, SettableCtxParams(Ctx, Raw) -> ParamsIn;
    }
}

functions! {
    /// Functions of a key type.
    keymgmt {
        KEYMGMT_NEW = 1, New(Raw) -> Key;
        KEYMGMT_GEN_INIT = 2, GenInit(Raw, c_int, ParamsIn) -> Ctx;
        KEYMGMT_GEN_SET_TEMPLATE = 3, GenSetTemplate(Ctx, Key) -> c_int;
        KEYMGMT_GEN_SET_PARAMS = 4, GenSetParams(Ctx, ParamsIn) -> c_int;
        KEYMGMT_GEN_SETTABLE_PARAMS = 5, GenSettableParams(Ctx, Raw) -> ParamsIn;
        KEYMGMT_GEN = 6, Gen(Ctx, Option<Callback>, Raw) -> Key;
        KEYMGMT_GEN_CLEANUP = 7, GenCleanup(Ctx);
        KEYMGMT_FREE = 10, Free(Key);
        KEYMGMT_GET_PARAMS = 11, GetParams(Key, ParamsOut) -> c_int;
        KEYMGMT_GETTABLE_PARAMS = 12, GettableParams(Raw) -> ParamsIn;
        KEYMGMT_SET_PARAMS = 13, SetParams(Key, ParamsIn) -> c_int;
        KEYMGMT_SETTABLE_PARAMS = 14, SettableParams(Raw) -> ParamsIn;
        KEYMGMT_QUERY_OPERATION_NAME = 20, QueryOperationName(c_int) -> Name;
        KEYMGMT_HAS = 21, Has(Key, c_int) -> c_int;
        KEYMGMT_VALIDATE = 22, Validate(Key, c_int, c_int) -> c_int;
        KEYMGMT_MATCH = 23, Match(Key, Key, c_int) -> c_int;
        KEYMGMT_IMPORT = 40, Import(Key, c_int, ParamsIn) -> c_int;
        KEYMGMT_IMPORT_TYPES = 41, ImportTypes(c_int) -> ParamsIn;
        KEYMGMT_EXPORT = 42, Export(Key, c_int, Option<Callback>, Raw) -> c_int;
        KEYMGMT_EXPORT_TYPES = 43, ExportTypes(c_int) -> ParamsIn;
        KEYMGMT_DUP = 44, Dup(Key, c_int) -> Key;
        KEYMGMT_IMPORT_TYPES_EX = 45, ImportTypesEx(Raw, c_int) -> ParamsIn;
        KEYMGMT_EXPORT_TYPES_EX = 46, ExportTypesEx(Raw, c_int) -> ParamsIn;
    }
}

functions! {
    /// Functions of a key exchange.
    keyexch {
        KEYEXCH_NEWCTX = 1, Newctx(Raw) -> Ctx;
        KEYEXCH_INIT = 2, Init(Ctx, Key, ParamsIn) -> c_int;
        KEYEXCH_DERIVE = 3, Derive(Ctx, BytesOut, *mut usize, usize) -> c_int;
        KEYEXCH_SET_PEER = 4, SetPeer(Ctx, Key) -> c_int;
        KEYEXCH_FREECTX = 5, Freectx(Ctx);
        KEYEXCH_DUPCTX = 6, Dupctx(Ctx) -> Ctx;
        KEYEXCH_SET_CTX_PARAMS = 7, SetCtxParams(Ctx, ParamsIn) -> c_int;
        KEYEXCH_SETTABLE_CTX_PARAMS = 8, SettableCtxParams(Ctx, Raw) -> ParamsIn;
        KEYEXCH_GET_CTX_PARAMS = 9, GetCtxParams(Ctx, ParamsOut) -> c_int;
        KEYEXCH_GETTABLE_CTX_PARAMS = 10, GettableCtxParams(Ctx, Raw) -> ParamsIn;
    }
}

functions! {
    /// Functions of a signature algorithm.
    signature {
        SIGNATURE_NEWCTX = 1, Newctx(Raw, Name) -> Ctx;
        SIGNATURE_SIGN_INIT = 2, SignInit(Ctx, Key, ParamsIn) -> c_int;
        SIGNATURE_SIGN = 3, Sign(Ctx, BytesOut, *mut usize, usize, BytesIn, usize) -> c_int;
        SIGNATURE_VERIFY_INIT = 4, VerifyInit(Ctx, Key, ParamsIn) -> c_int;
        SIGNATURE_VERIFY = 5, Verify(Ctx, BytesIn, usize, BytesIn, usize) -> c_int;
        SIGNATURE_VERIFY_RECOVER_INIT = 6, VerifyRecoverInit(Ctx, Key, ParamsIn) -> c_int;
        SIGNATURE_VERIFY_RECOVER = 7, VerifyRecover(Ctx, BytesOut, *mut usize, usize, BytesIn, usize) -> c_int;
        SIGNATURE_DIGEST_SIGN_INIT = 8, DigestSignInit(Ctx, Name, Key, ParamsIn) -> c_int;
        SIGNATURE_DIGEST_SIGN_UPDATE = 9, DigestSignUpdate(Ctx, BytesIn, usize) -> c_int;
        SIGNATURE_DIGEST_SIGN_FINAL = 10, DigestSignFinal(Ctx, BytesOut, *mut usize, usize) -> c_int;
        SIGNATURE_DIGEST_VERIFY_INIT = 12, DigestVerifyInit(Ctx, Name, Key, ParamsIn) -> c_int;
        SIGNATURE_DIGEST_VERIFY_UPDATE = 13, DigestVerifyUpdate(Ctx, BytesIn, usize) -> c_int;
        SIGNATURE_DIGEST_VERIFY_FINAL = 14, DigestVerifyFinal(Ctx, BytesIn, usize) -> c_int;
        SIGNATURE_FREECTX = 16, Freectx(Ctx);
        SIGNATURE_DUPCTX = 17, Dupctx(Ctx) -> Ctx;
        SIGNATURE_GET_CTX_PARAMS = 18, GetCtxParams(Ctx, ParamsOut) -> c_int;
        SIGNATURE_GETTABLE_CTX_PARAMS = 19, GettableCtxParams(Ctx, Raw) -> ParamsIn;
        SIGNATURE_SET_CTX_PARAMS = 20, SetCtxParams(Ctx, ParamsIn) -> c_int;
        SIGNATURE_SETTABLE_CTX_PARAMS = 21, SettableCtxParams(Ctx, Raw) -> ParamsIn;
        SIGNATURE_GET_CTX_MD_PARAMS = 22, GetCtxMdParams(Ctx, ParamsOut) -> c_int;
        SIGNATURE_GETTABLE_CTX_MD_PARAMS = 23, GettableCtxMdParams(Ctx) -> ParamsIn;
        SIGNATURE_SET_CTX_MD_PARAMS = 24, SetCtxMdParams(Ctx, ParamsIn) -> c_int;
        SIGNATURE_SETTABLE_CTX_MD_PARAMS = 25, SettableCtxMdParams(Ctx) -> ParamsIn;
    }
}

functions! {
    /// Functions of an asymmetric cipher.
    asym_cipher {
        ASYM_CIPHER_NEWCTX = 1, Newctx(Raw) -> Ctx;
        ASYM_CIPHER_ENCRYPT_INIT = 2, EncryptInit(Ctx, Key, ParamsIn) -> c_int;
        ASYM_CIPHER_ENCRYPT = 3, Encrypt(Ctx, BytesOut, *mut usize, usize, BytesIn, usize) -> c_int;
        ASYM_CIPHER_DECRYPT_INIT = 4, DecryptInit(Ctx, Key, ParamsIn) -> c_int;
        ASYM_CIPHER_DECRYPT = 5, Decrypt(Ctx, BytesOut, *mut usize, usize, BytesIn, usize) -> c_int;
        ASYM_CIPHER_FREECTX = 6, Freectx(Ctx);
        ASYM_CIPHER_DUPCTX = 7, Dupctx(Ctx) -> Ctx;
        ASYM_CIPHER_GET_CTX_PARAMS = 8, GetCtxParams(Ctx, ParamsOut) -> c_int;
        ASYM_CIPHER_GETTABLE_CTX_PARAMS = 9, GettableCtxParams(Ctx, Raw) -> ParamsIn;
        ASYM_CIPHER_SET_CTX_PARAMS = 10, SetCtxParams(Ctx, ParamsIn) -> c_int;
        ASYM_CIPHER_SETTABLE_CTX_PARAMS = 11, SettableCtxParams(Ctx, Raw) -> ParamsIn;
    }
}
