//! RSA signatures for the device: encoded here, signed raw.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::Arc;

use warpdrive::Reason as Why;

use super::Properties;
use crate::context::Context;
use crate::encode;
use crate::ffi::fallback::{Digest, Fallback, Parameters, SignatureContext, SignatureType};
use crate::ffi::handle::Output;
use crate::ffi::params::{Own, to_send};
use crate::ffi::random;
use crate::ops::keymgmt::Key;
use crate::ops::keymgmt::rsa::DeviceKey;
use crate::ops::rsa::{MAX_LEN_BYTES, NONE, private};

/// Padding modes (`RSA_*_PADDING` in `openssl/rsa.h`).
const PKCS1: c_int = 1;
const PSS: c_int = 6;

/// The bytes the device is to sign. An error for whatever the default provider must do, or refuse, itself.
pub(super) fn prepare<'a>(
    fallback: &Arc<Fallback>,
    key: &'a Key,
    parameters: &Parameters,
    value: &[u8],
    room: usize,
) -> Result<(&'a DeviceKey, Vec<u8>), Why> {
    let digest = digest_of(fallback, parameters)?;
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

/// A context of the default provider that signs digests with `key` under the same parameters as the one that told them.
pub(super) fn second(
    context: &Context,
    properties: &Properties,
    key: &Key,
    parameters: &Parameters,
) -> Option<SignatureContext> {
    let fallback = key.software().fallback();
    let mut second = SignatureContext::new(fallback, SignatureType::Rsa, properties.fetch.as_deref())?;
    let (mut padding, mut salt_len) = (parameters.padding, parameters.salt_len);
    // One after the other, as the application told them: together, or the other way round, some are refused.
    let mut digest = vec![Own::text(c"digest", &parameters.digest)];
    digest.extend(properties.digest.as_deref().map(|text| Own::text(c"properties", text)));
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
            params.extend(properties.mask.as_deref().map(|text| Own::text(c"mgf1-properties", text)));
            params.push(Own::END);
            second.set_params(to_send(&params))
        }
        // Refused with some digests, and in force nevertheless: so it is in the context that the application told.
        _ => {
            let core = context.core();
            core.without_errors(|| second.set_params(to_send(&[padding, Own::END])));
            1
        }
    };
    (told == 1).then_some(second)
}

/// The digest of a signature that we can encode, if it has one.
/// # Errors
/// [`Why::Unsupported`]: a padding, digest or mask of the default provider's own.
pub(super) fn digest_of(fallback: &Fallback, parameters: &Parameters) -> Result<Option<Digest>, Why> {
    let digest = if parameters.digest.is_empty() {
        None
    } else {
        let digest = fallback.digest(&parameters.digest);
        Some(digest.filter(|digest| digest.kind().is_in_rsa()).ok_or(Why::Unsupported)?)
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
pub(super) fn deliver(
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
