//! RSA signatures: a context of the default provider keeps the parameters and does whatever stays in software; private
//! operations that may go to hardware are encoded here and handed to the core.
//!
//! While a digest-sign may still go to hardware, the message is hashed beside that context (by the default provider's
//! digest functions) and the context is not fed. When hardware does not answer, a second context signs the finished digest.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_int};
use std::sync::Arc;

use warpdrive::Reason as Why;

use crate::context::Context;
use crate::encode;
use crate::error::Reason;
use crate::ffi::bindings::Param;
use crate::ffi::fallback::{Digest, DigestContext, Fallback, Parameters, SignatureContext};
use crate::ffi::handle::{Input, Output, Reports};
use crate::ffi::params::{Own, Params, ParamsToFill, to_send};
use crate::ffi::random;
use crate::ops::keymgmt::Key;
use crate::ops::keymgmt::rsa::DeviceKey;
use crate::ops::rsa::{MAX_LEN_BYTES, NONE, count, may_use_device, private};

/// Padding modes (`RSA_*_PADDING` in `openssl/rsa.h`).
const PKCS1: c_int = 1;
const PSS: c_int = 6;

/// What a signature context itself can be told (EVP_SIGNATURE-RSA(7)).
const SIGNATURE_PARAMETERS: [&CStr; 6] =
    [c"digest", c"properties", c"pad-mode", c"saltlen", c"mgf1-digest", c"mgf1-properties"];

/// A signature context as libcrypto holds it.
pub(crate) struct Signature {
    context: Arc<Context>,
    properties: Option<CString>,
    digest_properties: Option<CString>,
    mask_properties: Option<CString>,
    /// Parameters, verification, and every software operation.
    software: SignatureContext,
    /// The key that `software` uses; `None` when that is not known.
    key: Option<Arc<Key>>,
    /// The last init was for [`Signature::sign`].
    is_signing: bool,
    message: Message,
}

/// Where the message of a digest-sign goes.
enum Message {
    /// No digest-sign is running, or the default provider's context is fed.
    Theirs,
    /// Hashed here.
    Ours(DigestContext),
    /// Hashed here and signed. The default provider's context has not been told yet; see [`Signature::settle`].
    Ended,
}

impl Signature {
    pub(crate) fn new(context: Arc<Context>, properties: Option<&CStr>) -> Option<Self> {
        let software = SignatureContext::new(context.fallback()?, properties)?;
        let properties = properties.map(CStr::to_owned);
        Some(Self {
            context,
            properties,
            digest_properties: None,
            mask_properties: None,
            software,
            key: None,
            is_signing: false,
            message: Message::Theirs,
        })
    }

    /// A second context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        Some(Self {
            context: Arc::clone(&self.context),
            properties: self.properties.clone(),
            digest_properties: self.digest_properties.clone(),
            mask_properties: self.mask_properties.clone(),
            software: self.software.duplicate()?,
            key: self.key.clone(),
            is_signing: self.is_signing,
            message: match &self.message {
                Message::Theirs => Message::Theirs,
                Message::Ours(digest) => Message::Ours(digest.duplicate()?),
                Message::Ended => Message::Ended,
            },
        })
    }

    /// Notes what an init of the default provider's context, which returned `begun`, means here; gives `begun` back. A key
    /// that comes with it replaces the one before, without one that stays.
    fn begin(&mut self, begun: c_int, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        self.message = Message::Theirs;
        self.is_signing = false;
        if begun != 1 {
            // That context may hold the old key or the new one: it alone signs, until an init brings a key.
            self.key = None;
            return begun;
        }
        if key.is_some() {
            self.key = key;
        }
        self.note_properties(params);
        begun
    }

    /// Remembers which implementations of digests were asked for: a second context must not differ.
    fn note_properties(&mut self, params: Params<'_>) {
        for (name, _) in params.iter() {
            if name == c"properties" {
                self.digest_properties = params.text(name);
            } else if name == c"mgf1-properties" {
                self.mask_properties = params.text(name);
            }
        }
    }

    /// After a message was hashed and signed here, brings the default provider's context into the state that it would be
    /// in, so that it answers whatever comes next: updates and finals out of order are refused by some versions, taken by
    /// others. Few programs ask for more after the end, so this waits until one does.
    fn settle(&mut self) {
        if matches!(self.message, Message::Ended) {
            self.message = Message::Theirs;
            // Ends its digest and goes no further: there is no room for a signature.
            let (mut room, mut len) = ([0], 0);
            let core = self.context.core();
            core.without_errors(|| self.software.digest_sign_final(&Output::over(&mut room, &mut len)));
        }
    }

    pub(crate) fn sign_init(&mut self, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        self.settle();
        let begun = self.software.sign_init(key.as_deref().map(Key::software), params);
        self.begin(begun, key, params);
        self.is_signing = begun == 1;
        begun
    }

    /// Signs a digest value, or the bare message when no digest was named.
    pub(crate) fn sign(&mut self, output: &mut Output<'_>, message: Input<'_>) -> c_int {
        if output.is_size_query() {
            return self.software.sign(output, message);
        }
        let key = if self.is_signing { self.key.clone() } else { None };
        let Some(key) = key else { return self.software.sign(output, message) };
        let algorithm = key.rsa_algorithm();
        let prepared = may_use_device(&self.context, &key)
            .and_then(|()| self.software.parameters().ok_or(Why::Unsupported))
            .and_then(|parameters| {
                let mut value = [0; MAX_LEN_BYTES];
                let len = message.copy_to(&mut value).ok_or(Why::Unsupported)?;
                self.encode(&key, &parameters, value.get(..len).unwrap_or_default(), output.size())
            });
        match prepared {
            Ok((device, encoded)) => {
                let context = Arc::clone(&self.context);
                let software = &mut self.software;
                deliver(&context, &key, device, &encoded, output, |output| software.sign(output, message))
            }
            Err(reason) => {
                let signed = self.software.sign(output, message);
                count(algorithm, reason, key.len_bytes(), signed)
            }
        }
    }

    pub(crate) fn verify_init(&mut self, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        self.settle();
        let begun = self.software.verify_init(key.as_deref().map(Key::software), params);
        self.begin(begun, key, params)
    }

    pub(crate) fn verify(&mut self, signature: Input<'_>, message: Input<'_>) -> c_int {
        self.software.verify(signature, message)
    }

    pub(crate) fn verify_recover_init(&mut self, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        self.settle();
        let begun = self.software.verify_recover_init(key.as_deref().map(Key::software), params);
        self.begin(begun, key, params)
    }

    pub(crate) fn verify_recover(&mut self, message: &Output<'_>, signature: Input<'_>) -> c_int {
        self.software.verify_recover(message, signature)
    }

    pub(crate) fn digest_sign_init(
        &mut self,
        digest: Option<&CStr>,
        key: Option<Arc<Key>>,
        params: Params<'_>,
    ) -> c_int {
        self.settle();
        let begun = self.software.digest_sign_init(digest, key.as_deref().map(Key::software), params);
        // A parameter of the digest itself: its owner runs it.
        let is_plain = params.iter().all(|(name, _)| SIGNATURE_PARAMETERS.contains(&name));
        if self.begin(begun, key, params) == 1 && is_plain {
            if let Some(digest) = self.own_digest() {
                self.message = Message::Ours(digest);
            }
        }
        begun
    }

    /// The digest to run here, when the signature may go to hardware.
    fn own_digest(&mut self) -> Option<DigestContext> {
        let key = self.key.clone()?;
        may_use_device(&self.context, &key).ok()?;
        let parameters = self.software.parameters()?;
        let digest = signable(self.software.fallback(), &parameters).ok()??;
        key.rsa()?;
        DigestContext::new(self.software.fallback(), digest)
    }

    pub(crate) fn digest_sign_update(&mut self, data: Input<'_>) -> c_int {
        self.settle();
        match &mut self.message {
            Message::Ours(digest) => c_int::from(digest.update(data)),
            _ => self.software.digest_sign_update(data),
        }
    }

    pub(crate) fn digest_sign_final(&mut self, output: &mut Output<'_>) -> c_int {
        self.settle();
        if output.is_size_query() {
            // Consumes nothing.
            return self.software.digest_sign_final(output);
        }
        match std::mem::replace(&mut self.message, Message::Ended) {
            Message::Theirs | Message::Ended => {
                self.message = Message::Theirs;
                let signed = self.software.digest_sign_final(output);
                let Some(key) = &self.key else { return signed };
                let reason = may_use_device(&self.context, key).err().unwrap_or(Why::Unsupported);
                count(key.rsa_algorithm(), reason, key.len_bytes(), signed)
            }
            Message::Ours(digest) => self.sign_digest(digest, output).unwrap_or_else(|| {
                Reason::Internal.raise(self.context.core(), c"digest_sign_final", "");
                0
            }),
        }
    }

    /// Ends `digest` and signs its value; `None` when the default provider's functions fail without saying why.
    fn sign_digest(&mut self, digest: DigestContext, output: &mut Output<'_>) -> Option<c_int> {
        let key = self.key.clone()?;
        let mut value = [0; encode::MAX_DIGEST_LEN_BYTES];
        let value = value.get_mut(..digest.kind().len_bytes())?;
        if !digest.finish(value) {
            return None;
        }
        let parameters = self.software.parameters()?;
        let context = Arc::clone(&self.context);
        let prepared = self.encode(&key, &parameters, value, output.size());
        let software = |output: &mut Output<'_>| {
            self.second(&key, &parameters).map_or(0, |mut second| second.sign(output, Input::from(&*value)))
        };
        Some(match prepared {
            Ok((device, encoded)) => deliver(&context, &key, device, &encoded, output, software),
            Err(reason) => count(key.rsa_algorithm(), reason, key.len_bytes(), software(output)),
        })
    }

    /// A context of the default provider that signs digests with `key` under the same parameters as this one.
    fn second(&self, key: &Key, parameters: &Parameters) -> Option<SignatureContext> {
        let mut second = SignatureContext::new(self.software.fallback(), self.properties.as_deref())?;
        let (mut padding, mut salt_len) = (parameters.padding, parameters.salt_len);
        // One after the other, as the application told them: together, or the other way round, some are refused.
        let mut digest = vec![Own::text(c"digest", &parameters.digest)];
        digest.extend(self.digest_properties.as_deref().map(|text| Own::text(c"properties", text)));
        digest.push(Own::END);
        if second.sign_init(Some(key.software()), to_send(&digest)) != 1 {
            return None;
        }
        let padding = Own::int(c"pad-mode", &mut padding);
        let told = match parameters.padding {
            // As every context begins.
            PKCS1 => 1,
            PSS => {
                let mask = Own::text(c"mgf1-digest", &parameters.mask_digest);
                let mut params = vec![padding, Own::int(c"saltlen", &mut salt_len), mask];
                params
                    .extend(self.mask_properties.as_deref().map(|text| Own::text(c"mgf1-properties", text)));
                params.push(Own::END);
                second.set_params(to_send(&params))
            }
            // Refused with some digests, and in force nevertheless: so it is in the context that the application told.
            _ => {
                let core = self.context.core();
                core.without_errors(|| second.set_params(to_send(&[padding, Own::END])));
                1
            }
        };
        (told == 1).then_some(second)
    }

    /// The bytes the device is to sign. An error for whatever the default provider must do, or refuse, itself.
    fn encode<'a>(
        &self,
        key: &'a Key,
        parameters: &Parameters,
        value: &[u8],
        room: usize,
    ) -> Result<(&'a DeviceKey, Vec<u8>), Why> {
        let fallback = self.software.fallback();
        let digest = signable(fallback, parameters)?;
        let device = key.rsa().ok_or(Why::Unsupported)?;
        let len = device.modulus.len();
        if room < len {
            return Err(Why::Unsupported);
        }
        let mut encoded = vec![0; len];
        let done = match (parameters.padding, digest) {
            (PKCS1, Some(digest)) => encode::pkcs1_digest(&mut encoded, digest.kind(), value),
            (PKCS1, None) => encode::pkcs1(&mut encoded, value),
            (NONE, None) if value.len() == len && *value < *device.modulus => {
                encoded.copy_from_slice(value);
                Some(())
            }
            (PSS, Some(digest)) => pss(fallback, digest, parameters.salt_len, &mut encoded, value),
            _ => None,
        };
        done.map(|()| (device, encoded)).ok_or(Why::Unsupported)
    }

    pub(crate) fn digest_verify_init(
        &mut self,
        digest: Option<&CStr>,
        key: Option<Arc<Key>>,
        params: Params<'_>,
    ) -> c_int {
        self.settle();
        let begun = self.software.digest_verify_init(digest, key.as_deref().map(Key::software), params);
        self.begin(begun, key, params)
    }

    pub(crate) fn digest_verify_update(&mut self, data: Input<'_>) -> c_int {
        self.software.digest_verify_update(data)
    }

    pub(crate) fn digest_verify_final(&mut self, signature: Input<'_>) -> c_int {
        self.software.digest_verify_final(signature)
    }

    pub(crate) fn get_params(&mut self, params: ParamsToFill<'_>) -> c_int {
        self.software.get_params(params)
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        self.settle();
        let set = self.software.set_params(params);
        if set == 1 {
            self.note_properties(params);
        }
        set
    }

    pub(crate) fn get_digest_params(&mut self, params: ParamsToFill<'_>) -> c_int {
        self.software.get_digest_params(params)
    }

    pub(crate) fn set_digest_params(&mut self, params: Params<'_>) -> c_int {
        self.settle();
        let set = self.software.set_digest_params(params);
        match &mut self.message {
            // The digest that runs here must not miss what its twin was told.
            Message::Ours(digest) if set == 1 => digest.set_params(params),
            _ => set,
        }
    }

    pub(crate) fn gettable_digest_params(&self) -> *const Param {
        self.software.gettable_digest_params()
    }

    pub(crate) fn settable_digest_params(&self) -> *const Param {
        self.software.settable_digest_params()
    }

    /// What a context can tell; it may be absent.
    pub(crate) fn gettable_params(signature: Option<&Self>, context: &Context) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.signature_gettable_params(signature.map(|signature| &signature.software))
        })
    }

    /// What a context can be told; it may be absent.
    pub(crate) fn settable_params(signature: Option<&Self>, context: &Context) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.signature_settable_params(signature.map(|signature| &signature.software))
        })
    }
}

impl Reports for Signature {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"signature", "");
    }
}

/// The digest of a signature that we can encode, if it has one.
/// # Errors
/// [`Why::Unsupported`]: a padding, digest or mask of the default provider's own.
fn signable(fallback: &Fallback, parameters: &Parameters) -> Result<Option<Digest>, Why> {
    let digest = if parameters.digest.is_empty() {
        None
    } else {
        Some(fallback.digest(&parameters.digest).ok_or(Why::Unsupported)?)
    };
    let same_mask = || {
        parameters.mask_digest.is_empty()
            || fallback.digest(&parameters.mask_digest).map(|mask| mask.kind())
                == digest.map(|digest| digest.kind())
    };
    match (parameters.padding, digest) {
        (PKCS1, _) | (NONE, None) => Ok(digest),
        (PSS, Some(_)) if same_mask() => Ok(digest),
        _ => Err(Why::Unsupported),
    }
}

fn pss(
    fallback: &Arc<Fallback>,
    digest: Digest,
    salt_len: c_int,
    encoded: &mut [u8],
    value: &[u8],
) -> Option<()> {
    let len = encode::pss_salt_len_bytes(salt_len, digest.kind(), encoded.len())?;
    let mut salt = [0; MAX_LEN_BYTES];
    let salt = salt.get_mut(..len)?;
    if !random::fill(salt) {
        return None;
    }
    encode::pss(encoded, digest.kind(), value, salt, |parts, out| digest.of(fallback, parts, out))
}

/// Signs `encoded` and gives the caller whatever comes of it.
fn deliver(
    context: &Context,
    key: &Key,
    device: &DeviceKey,
    encoded: &[u8],
    output: &mut Output<'_>,
    software: impl FnOnce(&mut Output<'_>) -> c_int,
) -> c_int {
    let output = Cell::new(Some(output));
    let put = |answer: &[u8]| output.take().map_or(0, |output| c_int::from(output.put(answer)));
    private(context, key, device, encoded, put, || output.take().map_or(0, software))
}
