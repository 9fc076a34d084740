//! RSA encryption: a context of the default provider keeps the parameters, encrypts, and decrypts whatever stays in software;
//! other decryptions are handed to the core raw, and their padding is taken off here.
//!
//! What a wrong padding gives is what the running OpenSSL gives: an error, a random premaster secret, or a message made up
//! from the key and the ciphertext ([`implicit`]). Errors come from the default provider itself, asked to open
//! something that is wrong in the same way with a key that is nobody's secret.

mod implicit;

use std::ffi::c_int;
use std::sync::Arc;

use warpdrive::Reason as Why;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::decode::{self, Opened, PREMASTER_LEN_BYTES};
use crate::error::Reason;
use crate::ffi::bindings::{Param, selection};
use crate::ffi::fallback::{self, AsymCipherContext, CipherParameters, Digest, Fallback, KeyType};
use crate::ffi::handle::{Input, Output, Reports};
use crate::ffi::params::{Own, Params, ParamsToFill, to_send};
use crate::ffi::random;
use crate::ops::keymgmt::Key;
use crate::ops::keymgmt::rsa::DeviceKey;
use crate::ops::rsa::{NONE, count, may_use_device, private};

pub(crate) use implicit::Seed;

/// Padding modes (`RSA_*_PADDING` in `openssl/rsa.h`; the last one is the provider interface's own).
const PKCS1: c_int = 1;
const OAEP: c_int = 4;
const TLS: c_int = 7;

/// A cipher context as libcrypto holds it.
pub(crate) struct AsymCipher {
    context: Arc<Context>,
    /// Parameters, encryption, and every software operation.
    software: AsymCipherContext,
    /// The key that `software` decrypts with; `None` when it does not, or that is not known.
    key: Option<Arc<Key>>,
    /// Raises the errors of a wrong PKCS#1 v1.5 padding.
    refusal: Option<AsymCipherContext>,
}

/// A decryption prepared for the device.
struct Plan<'a> {
    device: &'a DeviceKey,
    /// As long as the modulus.
    encrypted: Vec<u8>,
    padding: Padding,
}

/// How a padding is taken off, with all that takes.
enum Padding {
    None,
    Oaep { label: Vec<u8>, mask: Digest },
    Premaster { client: u32, negotiated: u32, random: Zeroizing<[u8; PREMASTER_LEN_BYTES]> },
    Pkcs1,
    Pkcs1Implicit(Arc<Seed>),
}

impl AsymCipher {
    pub(crate) fn new(context: Arc<Context>) -> Option<Self> {
        let software = AsymCipherContext::new(context.fallback()?)?;
        Some(Self { context, software, key: None, refusal: None })
    }

    /// A second context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        Some(Self {
            context: Arc::clone(&self.context),
            software: self.software.duplicate()?,
            key: self.key.clone(),
            refusal: None,
        })
    }

    pub(crate) fn encrypt_init(&mut self, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        self.key = None;
        self.software.encrypt_init(key.as_deref().map(Key::software), params)
    }

    pub(crate) fn encrypt(&mut self, output: &mut Output<'_>, message: Input<'_>) -> c_int {
        self.software.encrypt(output, message)
    }

    pub(crate) fn decrypt_init(&mut self, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        let begun = self.software.decrypt_init(key.as_deref().map(Key::software), params);
        self.key = if begun == 1 { key } else { None };
        begun
    }

    pub(crate) fn decrypt(&mut self, output: &mut Output<'_>, encrypted: Input<'_>) -> c_int {
        let key = if output.is_size_query() { None } else { self.key.clone() };
        let Some(key) = key else { return self.software.decrypt(output, encrypted) };
        let prepared = may_use_device(&self.context, &key)
            .and_then(|()| self.software.parameters().ok_or(Why::Unsupported))
            .and_then(|parameters| {
                plan(self.software.fallback(), &key, &parameters, encrypted, output.size())
            });
        let plan = match prepared {
            Ok(plan) => plan,
            Err(reason) => {
                let opened = self.software.decrypt(output, encrypted);
                return count(key.rsa_algorithm(), reason, key.len_bytes(), opened);
            }
        };
        let context = Arc::clone(&self.context);
        let mut encoded = None;
        let software = &mut self.software;
        let done = private(
            &context,
            &key,
            plan.device,
            &plan.encrypted,
            |answer| {
                encoded = Some(Zeroizing::new(answer.to_vec()));
                1
            },
            || software.decrypt(output, encrypted),
        );
        let Some(encoded) = encoded else { return done };
        self.open(&plan, &encoded, output).unwrap_or_else(|| {
            Reason::Internal.raise(context.core(), c"decrypt", "");
            0
        })
    }

    /// Takes the padding off what the device gave. `None` when a function of the default provider fails that cannot.
    fn open(&mut self, plan: &Plan<'_>, encoded: &[u8], output: &mut Output<'_>) -> Option<c_int> {
        match &plan.padding {
            Padding::None => Some(c_int::from(output.put(encoded))),
            Padding::Oaep { label, mask } => {
                let fallback = Arc::clone(self.software.fallback());
                let hash = |parts: &[&[u8]], out: &mut [u8]| mask.of(&fallback, parts, out);
                let opened = decode::oaep(encoded, label, mask.kind().len_bytes(), hash)?;
                // That it is wrong is what the caller is about to learn; in which way it is, nobody knows.
                Some(if give(&opened, output)? { 1 } else { self.refuse(OAEP) })
            }
            Padding::Premaster { client, negotiated, random } => {
                let secret = decode::premaster(encoded, *client, *negotiated, random)?;
                Some(c_int::from(output.put(&*secret)))
            }
            Padding::Pkcs1 => {
                let opened = decode::pkcs1(encoded)?;
                let context = Arc::clone(&self.context);
                let mut good = None;
                // Careful programs hide what they got here: the same work in either case.
                context.core().without_errors_if(|| {
                    self.refuse(PKCS1);
                    good = give(&opened, output);
                    good == Some(true)
                });
                good.map(c_int::from)
            }
            Padding::Pkcs1Implicit(seed) => {
                let message = seed.open(self.software.fallback(), &plan.encrypted, encoded)?;
                Some(c_int::from(output.put(&message)))
            }
        }
    }

    /// Puts the running core's errors for a wrong padding on the queue; gives what it returns with them.
    fn refuse(&mut self, padding: c_int) -> c_int {
        if self.refusal.is_none() {
            self.refusal = refusal(self.software.fallback());
        }
        let Some(refusal) = &mut self.refusal else { return 0 };
        let (mut padding, mut implicit) = (padding, 0);
        let array = [
            Own::int(c"pad-mode", &mut padding),
            Own::unsigned(c"implicit-rejection", &mut implicit),
            Own::END,
        ];
        refusal.set_params(to_send(&array));
        let (mut room, mut len) = ([0; MERSENNE_LEN_BYTES], 0);
        // One opens to one, which has no padding.
        refusal.decrypt(&Output::over(&mut room, &mut len), Input::from(&[1][..]))
    }

    pub(crate) fn get_params(&mut self, params: ParamsToFill<'_>) -> c_int {
        self.software.get_params(params)
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        self.software.set_params(params)
    }

    /// What a context can tell; it may be absent.
    pub(crate) fn gettable_params(cipher: Option<&Self>, context: &Context) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.cipher_gettable_params(cipher.map(|cipher| &cipher.software))
        })
    }

    /// What a context can be told; it may be absent.
    pub(crate) fn settable_params(cipher: Option<&Self>, context: &Context) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.cipher_settable_params(cipher.map(|cipher| &cipher.software))
        })
    }
}

impl Reports for AsymCipher {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"asym_cipher", "");
    }
}

/// Answers the caller with the message, if there is one; whether there is one. `None`: no room, which was checked before.
fn give(opened: &Opened, output: &mut Output<'_>) -> Option<bool> {
    output.put_secretly(&opened.room, opened.len_bytes, opened.good).then(|| bool::from(opened.good))
}

/// A decryption for the device.
/// # Errors
/// [`Why::Unsupported`]: something that the default provider must do, or refuse, itself.
fn plan<'a>(
    fallback: &Arc<Fallback>,
    key: &'a Key,
    parameters: &CipherParameters,
    encrypted: Input<'_>,
    room: usize,
) -> Result<Plan<'a>, Why> {
    let device = key.rsa().ok_or(Why::Unsupported)?;
    let len = device.modulus.len();
    let prepared = || {
        let (padding, needed) = match parameters.padding {
            NONE => (Padding::None, len),
            OAEP => (oaep(fallback, parameters, len)?, len),
            TLS => (premaster(parameters)?, PREMASTER_LEN_BYTES),
            PKCS1 if parameters.rejects_implicitly => {
                (Padding::Pkcs1Implicit(device.seed(key.software())?), len)
            }
            PKCS1 => (Padding::Pkcs1, len),
            _ => return None,
        };
        if room < needed {
            return None;
        }
        // Leading zeros may be left out.
        let mut padded = vec![0; len];
        let place = padded.get_mut(len.checked_sub(encrypted.raw().1)?..)?;
        encrypted.copy_to(place)?;
        // 0 and 1 are their own roots: anybody may send them, and what a device says to them is not known.
        let (last, above) = padded.split_last()?;
        let is_small = *last < 2 && above.iter().all(|byte| *byte == 0);
        (!is_small && *padded < *device.modulus).then_some(Plan { device, encrypted: padded, padding })
    };
    prepared().ok_or(Why::Unsupported)
}

fn oaep(fallback: &Arc<Fallback>, parameters: &CipherParameters, len: usize) -> Option<Padding> {
    let digest = fallback.digest(&parameters.digest)?;
    let mask = fallback.digest(&parameters.mask_digest)?;
    let mut label = vec![0; digest.kind().len_bytes()];
    let fits = len >= 2 * label.len() + 2;
    (fits && digest.of(fallback, &[&parameters.label], &mut label)).then_some(Padding::Oaep { label, mask })
}

fn premaster(parameters: &CipherParameters) -> Option<Padding> {
    let mut random = Zeroizing::new([0; PREMASTER_LEN_BYTES]);
    let (client, negotiated) = (parameters.client_version, parameters.negotiated_version);
    (client != 0 && random::fill(&mut *random)).then_some(Padding::Premaster { client, negotiated, random })
}

/// Bytes of the modulus below.
const MERSENNE_LEN_BYTES: usize = 66;

/// A context whose key is 2^521 - 1 with both exponents 1: what it decrypts is what it was given.
fn refusal(fallback: &Arc<Fallback>) -> Option<AsymCipherContext> {
    let mut modulus = [0xff; MERSENNE_LEN_BYTES];
    let top = if cfg!(target_endian = "little") { modulus.last_mut() } else { modulus.first_mut() };
    *top? = 1;
    let (mut public, mut private) = (1, 1);
    let numbers = [
        Own::number(c"n", &mut modulus),
        Own::unsigned(c"e", &mut public),
        Own::unsigned(c"d", &mut private),
        Own::END,
    ];
    let key = fallback::Key::new(fallback, KeyType::Rsa)?;
    let mut context = AsymCipherContext::new(fallback)?;
    let ready = key.import(selection::KEYPAIR, to_send(&numbers)) == 1
        && context.decrypt_init(Some(&key), Params::NONE) == 1;
    ready.then_some(context)
}
