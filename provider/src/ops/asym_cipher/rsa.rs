//! RSA decryption: the ciphertext is handed to the core raw, and the padding is taken off here.
//!
//! What a wrong padding gives is what the running OpenSSL gives: an error, a random premaster secret, or a message made up
//! from the key and the ciphertext ([`implicit`](super::implicit)). Errors come from the default provider itself, asked to open
//! something that is wrong in the same way with a key that is nobody's secret.

use std::ffi::c_int;
use std::sync::Arc;

use warpdrive::Reason as Why;
use zeroize::Zeroizing;

use super::Seed;
use crate::context::Context;
use crate::decode::{self, Opened, PREMASTER_LEN_BYTES};
use crate::error::Reason;
use crate::ffi::bindings::selection;
use crate::ffi::fallback::{
    self, AsymCipherContext, AsymCipherType, CipherParameters, Digest, Fallback, KeyType,
};
use crate::ffi::handle::{Input, Output};
use crate::ffi::params::{Own, Params, to_send};
use crate::ffi::random;
use crate::ops::keymgmt::Key;
use crate::ops::keymgmt::rsa::DeviceKey;
use crate::ops::rsa::{NONE, count, may_use_device, private};

/// Padding modes (`RSA_*_PADDING` in `openssl/rsa.h`; the last one is the provider interface's own).
const PKCS1: c_int = 1;
const OAEP: c_int = 4;
const TLS: c_int = 7;

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

/// Decrypts with `key`, which `software` has too.
pub(super) fn decrypt(
    context: &Arc<Context>,
    software: &mut AsymCipherContext,
    refusal: &mut Refusal,
    key: &Key,
    output: &mut Output<'_>,
    encrypted: Input<'_>,
) -> c_int {
    let prepared = may_use_device(context, key)
        .and_then(|()| software.parameters().ok_or(Why::Unsupported))
        .and_then(|parameters| plan(software.fallback(), key, &parameters, encrypted, output.size()));
    let plan = match prepared {
        Ok(plan) => plan,
        Err(reason) => {
            let opened = software.decrypt(output, encrypted);
            return count(key.rsa_algorithm(), reason, key.len_bytes(), opened);
        }
    };
    let mut encoded = None;
    let done = private(
        context,
        key,
        plan.device,
        &plan.encrypted,
        |answer| {
            encoded = Some(Zeroizing::new(answer.to_vec()));
            1
        },
        || software.decrypt(output, encrypted),
    );
    let Some(encoded) = encoded else { return done };
    open(context, software.fallback(), refusal, &plan, &encoded, output).unwrap_or_else(|| {
        Reason::Internal.raise(context.core(), c"decrypt", "");
        0
    })
}

/// Takes the padding off what the device gave. `None` when a function of the default provider fails that cannot.
fn open(
    context: &Context,
    fallback: &Arc<Fallback>,
    refusal: &mut Refusal,
    plan: &Plan<'_>,
    encoded: &[u8],
    output: &mut Output<'_>,
) -> Option<c_int> {
    match &plan.padding {
        Padding::None => Some(c_int::from(output.put(encoded))),
        Padding::Oaep { label, mask } => {
            let hash = |parts: &[&[u8]], out: &mut [u8]| mask.of(fallback, parts, out);
            let opened = decode::oaep(encoded, label, mask.kind().len_bytes(), hash)?;
            // That it is wrong is what the caller is about to learn; in which way it is, nobody knows.
            Some(if give(&opened, output)? { 1 } else { refusal.raise(fallback, OAEP) })
        }
        Padding::Premaster { client, negotiated, random } => {
            let secret = decode::premaster(encoded, *client, *negotiated, random)?;
            Some(c_int::from(output.put(&*secret)))
        }
        Padding::Pkcs1 => {
            let opened = decode::pkcs1(encoded)?;
            let mut good = None;
            // Careful programs hide what they got here: the same work in either case.
            context.core().without_errors_if(|| {
                refusal.raise(fallback, PKCS1);
                good = give(&opened, output);
                good == Some(true)
            });
            good.map(c_int::from)
        }
        Padding::Pkcs1Implicit(seed) => {
            let message = seed.open(fallback, &plan.encrypted, encoded)?;
            Some(c_int::from(output.put(&message)))
        }
    }
}

/// Raises the errors of a wrong padding; made at the first one.
#[derive(Default)]
pub(super) struct Refusal(Option<AsymCipherContext>);

impl Refusal {
    /// Puts the running core's errors for a wrong padding on the queue; gives what it returns with them.
    fn raise(&mut self, fallback: &Arc<Fallback>, padding: c_int) -> c_int {
        if self.0.is_none() {
            self.0 = refusing(fallback);
        }
        let Some(refusing) = &mut self.0 else { return 0 };
        let (mut padding, mut implicit) = (padding, 0);
        let array = [
            Own::int(c"pad-mode", &mut padding),
            Own::unsigned(c"implicit-rejection", &mut implicit),
            Own::END,
        ];
        refusing.set_params(to_send(&array));
        let (mut room, mut len) = ([0; MERSENNE_LEN_BYTES], 0);
        // One opens to one, which has no padding.
        refusing.decrypt(&Output::over(&mut room, &mut len), Input::from(&[1][..]))
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
fn refusing(fallback: &Arc<Fallback>) -> Option<AsymCipherContext> {
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
    let mut context = AsymCipherContext::new(fallback, AsymCipherType::Rsa)?;
    let ready = key.import(selection::KEYPAIR, to_send(&numbers)) == 1
        && context.decrypt_init(Some(&key), Params::NONE) == 1;
    ready.then_some(context)
}
