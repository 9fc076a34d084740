//! Signatures: a context of the default provider keeps the parameters and does whatever stays in software; private
//! operations that may go to hardware are prepared here, by the room of their key type, and handed to the core.
//!
//! While a digest-sign may still go to hardware, the message is hashed beside that context (by the default provider's
//! digest functions) and the context is not fed. When hardware does not answer, a second context signs the finished digest.

mod curve;
mod rsa;

use std::ffi::{CStr, CString, c_int};
use std::sync::Arc;

use warpdrive::{Algorithm, Reason as Why};

use crate::context::Context;
use crate::encode;
use crate::error::Reason;
use crate::ffi::bindings::Param;
use crate::ffi::fallback::{
    CurveParameters, Digest, DigestContext, Parameters, SignatureContext, SignatureType,
};
use crate::ffi::handle::{Input, Output, Reports};
use crate::ffi::params::{Params, ParamsToFill};
use crate::ops::keymgmt::Key;
use crate::ops::keymgmt::rsa::DeviceKey;
use crate::ops::rsa::{MAX_LEN_BYTES, count};

/// What signature contexts themselves can be told (EVP_SIGNATURE-RSA(7), EVP_SIGNATURE-ECDSA(7), EVP_SIGNATURE-SM2(7)).
const SIGNATURE_PARAMETERS: [&CStr; 9] = [
    c"digest",
    c"properties",
    c"pad-mode",
    c"saltlen",
    c"mgf1-digest",
    c"mgf1-properties",
    c"digest-size",
    c"nonce-type",
    c"distid",
];

/// Which implementations were asked for: a second context must not differ.
#[derive(Clone, Default)]
struct Properties {
    /// The query string of the application's fetches.
    fetch: Option<CString>,
    digest: Option<CString>,
    mask: Option<CString>,
}

/// What a context of the default provider has been told, as it tells it itself.
enum Told {
    Rsa(Parameters),
    Curve(CurveParameters),
}

/// A signature prepared for the device.
enum Prepared<'a> {
    /// The encoded message, as long as the modulus.
    Rsa(&'a DeviceKey, Vec<u8>),
    Curve(curve::Prepared<'a>),
}

/// A signature context as libcrypto holds it.
pub(crate) struct Signature {
    context: Arc<Context>,
    signature_type: SignatureType,
    properties: Properties,
    /// SM2: who signs; `None` when that is not known.
    identity: Option<Vec<u8>>,
    /// It was told something that only the default provider understands.
    is_theirs: bool,
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
    Ours(Running),
    /// Hashed here and signed. The default provider's context has not been told yet; see [`Signature::settle`].
    Ended,
}

/// A digest that runs here.
struct Running {
    context: DigestContext,
    /// SM2: what is still to be fed before the message, by this digest.
    identity: Option<Digest>,
}

impl Signature {
    pub(crate) fn new(
        context: Arc<Context>,
        signature_type: SignatureType,
        properties: Option<&CStr>,
    ) -> Option<Self> {
        let software = SignatureContext::new(context.fallback()?, signature_type, properties)?;
        Some(Self {
            context,
            signature_type,
            properties: Properties { fetch: properties.map(CStr::to_owned), ..Properties::default() },
            identity: Some(Vec::new()),
            is_theirs: false,
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
            signature_type: self.signature_type,
            properties: self.properties.clone(),
            identity: self.identity.clone(),
            is_theirs: self.is_theirs,
            software: self.software.duplicate()?,
            key: self.key.clone(),
            is_signing: self.is_signing,
            message: match &self.message {
                Message::Theirs => Message::Theirs,
                Message::Ours(running) => Message::Ours(Running {
                    context: running.context.duplicate()?,
                    identity: running.identity,
                }),
                Message::Ended => Message::Ended,
            },
        })
    }

    /// Notes what an init of the default provider's context, which returned `begun`, means here; gives `begun` back. A key
    /// that comes with it replaces the one before, without one that stays.
    fn begin(&mut self, begun: c_int, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        self.message = Message::Theirs;
        self.is_signing = false;
        (self.properties.digest, self.properties.mask) = (None, None);
        self.note(params, begun);
        if begun != 1 {
            // That context may hold the old key or the new one: it alone signs, until an init brings a key.
            self.key = None;
        } else if key.is_some() {
            self.key = key;
        }
        begun
    }

    /// Remembers of `params`, which the default provider's context took when `taken` is 1, what it does not tell again.
    fn note(&mut self, params: Params<'_>, taken: c_int) {
        let names = |wanted: &CStr| params.iter().any(|(name, _)| name == wanted);
        if names(c"distid") {
            // Of what it refuses as a whole it may have taken this.
            let identity = params.octets(c"distid").unwrap_or_default();
            self.identity = Some(identity).filter(|_| taken == 1);
        }
        if taken != 1 {
            return;
        }
        // A query string counts for the digest beside it; without one it is not looked at.
        if names(c"digest") {
            self.properties.digest = params.text(c"properties");
        }
        if names(c"mgf1-digest") {
            self.properties.mask = params.text(c"mgf1-properties");
        }
        // Nonces for known answers.
        self.is_theirs |= names(c"kat");
    }

    /// The row under which private operations with `key` are counted.
    fn algorithm(&self, key: &Key) -> Algorithm {
        match self.signature_type {
            SignatureType::Rsa => key.rsa_algorithm(),
            other => curve::algorithm(other, key),
        }
    }

    /// Whether a signature with `key` is worth preparing for hardware.
    fn may_use_device(&self, key: &Key) -> Result<(), Why> {
        match self.signature_type {
            _ if self.is_theirs => Err(Why::Unsupported),
            SignatureType::Rsa => crate::ops::rsa::may_use_device(&self.context, key),
            _ => crate::ops::curve::may_use_device(self.algorithm(key), key.len_bytes()),
        }
    }

    fn told(&mut self) -> Option<Told> {
        match self.signature_type {
            SignatureType::Rsa => self.software.parameters().map(Told::Rsa),
            _ => self.software.curve_parameters().map(Told::Curve),
        }
    }

    /// A signature of `value` for the device. An error for whatever the default provider must do, or refuse, itself.
    fn prepare<'a>(&self, key: &'a Key, told: &Told, value: &[u8], room: usize) -> Result<Prepared<'a>, Why> {
        match told {
            Told::Rsa(parameters) => rsa::prepare(self.software.fallback(), key, parameters, value, room)
                .map(|(device, encoded)| Prepared::Rsa(device, encoded)),
            Told::Curve(parameters) => {
                curve::prepare(self.signature_type, key, parameters, value, room).map(Prepared::Curve)
            }
        }
    }

    /// A context of the default provider that signs digests with `key` under the same parameters as this one.
    fn second(&self, key: &Key, told: &Told) -> Option<SignatureContext> {
        match told {
            Told::Rsa(parameters) => rsa::second(&self.context, &self.properties, key, parameters),
            Told::Curve(parameters) => curve::second(self.signature_type, &self.properties, key, parameters),
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
        let Some(key) = self.key.as_ref().filter(|_| self.is_signing) else {
            return self.software.sign(output, message);
        };
        let (algorithm, len_bytes) = (self.algorithm(key), key.len_bytes());
        if let Err(reason) = self.may_use_device(key) {
            let signed = self.software.sign(output, message);
            return count(algorithm, reason, len_bytes, signed);
        }
        let key = Arc::clone(key);
        let mut room = [0; MAX_LEN_BYTES];
        let len = message.copy_to(&mut room);
        let value = len.and_then(|len| room.get(..len)).ok_or(Why::Unsupported);
        let prepared = value.and_then(|value| {
            let told = self.told().ok_or(Why::Unsupported)?;
            self.prepare(&key, &told, value, output.size()).map(|prepared| (value, prepared))
        });
        match prepared {
            Ok((value, prepared)) => {
                let context = Arc::clone(&self.context);
                let (signature_type, software) = (self.signature_type, &mut self.software);
                prepared.deliver(&context, signature_type, &key, value, output, |output| {
                    software.sign(output, message)
                })
            }
            Err(reason) => {
                let signed = self.software.sign(output, message);
                count(algorithm, reason, len_bytes, signed)
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
        self.begin(begun, key, params);
        if digest.is_some() {
            // Fetched as the context's own query string says, whatever `params` say.
            self.properties.digest = None;
        }
        if begun == 1 && is_plain {
            if let Some(running) = self.own_digest() {
                self.message = Message::Ours(running);
            }
        }
        begun
    }

    /// The digest to run here, when the signature may go to hardware.
    fn own_digest(&mut self) -> Option<Running> {
        self.may_use_device(self.key.as_ref()?).ok()?;
        let key = self.key.clone()?;
        let told = self.told()?;
        let fallback = self.software.fallback();
        let digest = match &told {
            Told::Rsa(parameters) => {
                key.rsa()?;
                rsa::digest_of(fallback, parameters)
            }
            Told::Curve(parameters) => {
                key.ec_signer()?;
                curve::digest_of(self.signature_type, fallback, parameters)
            }
        };
        let digest = digest.ok()??;
        let identity = (self.signature_type == SignatureType::Sm2).then_some(digest);
        Some(Running { context: DigestContext::new(fallback, digest)?, identity })
    }

    pub(crate) fn digest_sign_update(&mut self, data: Input<'_>) -> c_int {
        self.settle();
        if let Err(refused) = self.begin_message() {
            return refused;
        }
        match &mut self.message {
            Message::Ours(running) => c_int::from(running.context.update(data)),
            _ => self.software.digest_sign_update(data),
        }
    }

    /// Before the first byte of a message: an SM2 signer's identity goes into the digest, and can be changed no more. When that
    /// cannot be done here, the default provider's context takes the message.
    /// # Errors
    /// What that context returned when it refused; it has raised why.
    fn begin_message(&mut self) -> Result<(), c_int> {
        let Message::Ours(running) = &mut self.message else { return Ok(()) };
        let Some(sm3) = running.identity.take() else { return Ok(()) };
        let fallback = self.software.fallback();
        let fed = self.key.as_ref().zip(self.identity.as_ref()).is_some_and(|(key, identity)| {
            curve::feed_identity(fallback, sm3, &mut running.context, key, identity)
        });
        if !fed {
            self.message = Message::Theirs;
            return Ok(());
        }
        // It hashes the identity now, and so refuses another one from here on.
        let hashed = self.software.digest_sign_update(Input::from(&[][..]));
        if hashed == 1 {
            return Ok(());
        }
        // The next call would be taken, and the identity left out: it is for the caller to make, or not.
        self.message = Message::Theirs;
        Err(hashed)
    }

    pub(crate) fn digest_sign_final(&mut self, output: &mut Output<'_>) -> c_int {
        self.settle();
        if output.is_size_query() {
            // Consumes nothing.
            return self.software.digest_sign_final(output);
        }
        if let Err(refused) = self.begin_message() {
            return refused;
        }
        match std::mem::replace(&mut self.message, Message::Ended) {
            Message::Theirs | Message::Ended => {
                self.message = Message::Theirs;
                let signed = self.software.digest_sign_final(output);
                let Some(key) = &self.key else { return signed };
                let reason = self.may_use_device(key).err().unwrap_or(Why::Unsupported);
                count(self.algorithm(key), reason, key.len_bytes(), signed)
            }
            Message::Ours(running) => self.sign_digest(running.context, output).unwrap_or_else(|| {
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
        let told = self.told()?;
        let software = |output: &mut Output<'_>| {
            self.second(&key, &told).map_or(0, |mut second| second.sign(output, Input::from(&*value)))
        };
        Some(match self.prepare(&key, &told, value, output.size()) {
            Ok(prepared) => {
                prepared.deliver(&self.context, self.signature_type, &key, value, output, software)
            }
            Err(reason) => count(self.algorithm(&key), reason, key.len_bytes(), software(output)),
        })
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
        self.note(params, set);
        self.follow_digest(params);
        set
    }

    /// Once a size was asked for, the default provider's context takes another digest, and drops the one that runs, even if
    /// it then refuses the rest of `params`. It says so itself when it is given nothing to hash; then it answers alone.
    fn follow_digest(&mut self, params: Params<'_>) {
        let is_running = matches!(self.message, Message::Ours(_));
        // The one digest of SM2 stays, and would be given the signer's identity now.
        if !is_running || self.signature_type == SignatureType::Sm2 {
            return;
        }
        let nothing = Input::from(&[][..]);
        let is_named = params.iter().any(|(name, _)| name == c"digest");
        let core = self.context.core();
        if is_named && core.without_errors(|| self.software.digest_sign_update(nothing) != 1) {
            self.message = Message::Theirs;
        }
    }

    pub(crate) fn get_digest_params(&mut self, params: ParamsToFill<'_>) -> c_int {
        self.software.get_digest_params(params)
    }

    pub(crate) fn set_digest_params(&mut self, params: Params<'_>) -> c_int {
        self.settle();
        let set = self.software.set_digest_params(params);
        match &mut self.message {
            // The digest that runs here must not miss what its twin was told.
            Message::Ours(running) if set == 1 => running.context.set_params(params),
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
    pub(crate) fn gettable_params(
        signature: Option<&Self>,
        signature_type: SignatureType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            let own = signature.map(|signature| &signature.software);
            fallback.signature_gettable_params(signature_type, own)
        })
    }

    /// What a context can be told; it may be absent.
    pub(crate) fn settable_params(
        signature: Option<&Self>,
        signature_type: SignatureType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            let own = signature.map(|signature| &signature.software);
            fallback.signature_settable_params(signature_type, own)
        })
    }
}

impl Reports for Signature {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"signature", "");
    }
}

impl Prepared<'_> {
    /// Has the core sign, and gives the caller whatever comes of it. `value` is what was prepared.
    fn deliver(
        &self,
        context: &Context,
        signature_type: SignatureType,
        key: &Key,
        value: &[u8],
        output: &mut Output<'_>,
        software: impl FnOnce(&mut Output<'_>) -> c_int,
    ) -> c_int {
        match self {
            Self::Rsa(device, encoded) => rsa::deliver(context, key, device, encoded, output, software),
            Self::Curve(prepared) => curve::deliver(signature_type, prepared, value, output, software),
        }
    }
}
