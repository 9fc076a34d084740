//! ECDSA and SM2 signatures for the device: the nonce is made here, and the device's answer leaves in DER.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::Arc;

use warpdrive::request::pkey::{CurveName, EcPrivateKey};
use warpdrive::{Algorithm, Outcome, Reason as Why, ecdsa_sign, sm2_sign};
use zeroize::Zeroizing;

use super::Properties;
use crate::encode::{self, DigestKind};
use crate::ffi::fallback::{
    CurveParameters, Digest, DigestContext, Fallback, SignatureContext, SignatureType,
};
use crate::ffi::handle::{Input, Output};
use crate::ffi::params::{Own, to_send};
use crate::ops::curve::nonce;
use crate::ops::keymgmt::Key;

/// The row under which signatures with `key` are counted.
pub(super) fn algorithm(signature_type: SignatureType, key: &Key) -> Algorithm {
    match signature_type {
        SignatureType::Sm2 => Algorithm::Sm2Sign,
        _ => Algorithm::EcdsaSign(key.curve_name()),
    }
}

/// The digest of the signature, if it has one; for [`SignatureType::Sm2`], SM3.
/// # Errors
/// [`Why::Unsupported`]: a digest or a nonce of the default provider's own.
pub(super) fn digest_of(
    signature_type: SignatureType,
    fallback: &Fallback,
    parameters: &CurveParameters,
) -> Result<Option<Digest>, Why> {
    if parameters.nonce_type != 0 {
        return Err(Why::Unsupported);
    }
    if parameters.digest.is_empty() {
        return Ok(None);
    }
    let digest = fallback.digest(&parameters.digest).ok_or(Why::Unsupported)?;
    if signature_type == SignatureType::Sm2 && digest.kind() != DigestKind::Sm3 {
        return Err(Why::Unsupported);
    }
    Ok(Some(digest))
}

/// A signature prepared for the device.
pub(super) struct Prepared<'a> {
    key: &'a EcPrivateKey,
    nonce: Zeroizing<Vec<u8>>,
}

/// Prepares a signature of `value`, a digest. An error for whatever the default provider must do, or refuse, itself.
/// # Errors
/// [`Why::Unsupported`].
pub(super) fn prepare<'a>(
    signature_type: SignatureType,
    key: &'a Key,
    parameters: &CurveParameters,
    value: &[u8],
    room: usize,
) -> Result<Prepared<'a>, Why> {
    let signer = key.ec_signer().ok_or(Why::Unsupported)?;
    let order_len = signer.curve().order_len_bytes();
    // A byte more for a number whose highest bit is set, as the order's is.
    let number_len = order_len + usize::from(key.bits() % 8 == 0);
    let wanted = match signature_type {
        SignatureType::Sm2 => DigestKind::Sm3.len_bytes(),
        _ if parameters.digest_len_bytes == 0 => value.len(),
        _ => parameters.digest_len_bytes,
    };
    if parameters.nonce_type != 0 || value.len() != wanted || room < encode::ecdsa_max_len_bytes(number_len) {
        return Err(Why::Unsupported);
    }
    let nonce = nonce(signer.curve(), key.bits()).ok_or(Why::Unsupported)?;
    Ok(Prepared { key: signer, nonce })
}

/// Signs `value` and gives the caller whatever comes of it.
pub(super) fn deliver(
    signature_type: SignatureType,
    prepared: &Prepared<'_>,
    value: &[u8],
    output: &mut Output<'_>,
    software: impl FnOnce(&mut Output<'_>) -> c_int,
) -> c_int {
    let Prepared { key, nonce } = prepared;
    let order_len = key.curve().order_len_bytes();
    let mut halves = vec![0; order_len * 2];
    let output = Cell::new(Some(output));
    let software = || output.take().map_or(0, software);
    // The core has checked the answer against nonce, key and digest, and had the device verify it.
    let check = |_: &[u8]| true;
    let outcome = match signature_type {
        SignatureType::Sm2 => sm2_sign(key, value, nonce, &mut halves, check, software),
        _ => ecdsa_sign(key, value, nonce, &mut halves, check, software),
    };
    match outcome {
        Outcome::Hardware(()) => {
            let (r, s) = halves.split_at(order_len);
            output.take().map_or(0, |output| {
                encode::ecdsa(r, s).map_or(0, |encoded| c_int::from(output.put(&encoded)))
            })
        }
        Outcome::Software(signed) => signed,
    }
}

/// A context of the default provider that signs digests with `key` under the same parameters as the one that told them.
pub(super) fn second(
    signature_type: SignatureType,
    properties: &Properties,
    key: &Key,
    parameters: &CurveParameters,
) -> Option<SignatureContext> {
    let fallback = key.software().fallback();
    let mut second = SignatureContext::new(fallback, signature_type, properties.fetch.as_deref())?;
    let (mut size, mut nonce_type) = (parameters.digest_len_bytes.to_ne_bytes(), parameters.nonce_type);
    let mut array = vec![Own::text(c"digest", &parameters.digest)];
    array.extend(properties.digest.as_deref().map(|text| Own::text(c"properties", text)));
    // SM2 has no choice of either, and refuses a size before it has its digest.
    if signature_type == SignatureType::Ecdsa {
        // Told last, it may be another one than the digest's: then nothing that long is signed.
        array.push(Own::number(c"digest-size", &mut size));
        if nonce_type != 0 {
            array.push(Own::unsigned(c"nonce-type", &mut nonce_type));
        }
    }
    array.push(Own::END);
    (second.sign_init(Some(key.software()), to_send(&array)) == 1).then_some(second)
}

/// Feeds `digest`, which is SM3, with Z (GB/T 32918.2 §5.5): the digest of the signer's identity, the curve and the public key. It
/// comes before the message. False when that cannot be done here, or is for the default provider to refuse.
pub(super) fn feed_identity(
    fallback: &Arc<Fallback>,
    sm3: Digest,
    digest: &mut DigestContext,
    key: &Key,
    identity: &[u8],
) -> bool {
    let software = key.software();
    let (mut x, mut y) = ([0; 32], [0; 32]);
    // OpenSSL refuses the longest one that its bits could be counted of.
    let counted = identity.len().checked_mul(8).and_then(|bits| u16::try_from(bits).ok());
    let Some(bits) = counted.filter(|bits| *bits < u16::MAX / 8 * 8) else { return false };
    if key.curve_name() != CurveName::Sm2
        || !software.number(c"qx", &mut x)
        || !software.number(c"qy", &mut y)
    {
        return false;
    }
    let mut z = [0; 32];
    let parts: [&[u8]; 5] = [&bits.to_be_bytes(), identity, &SM2_CURVE, &x, &y];
    sm3.of(fallback, &parts, &mut z) && digest.update(Input::from(&z[..]))
}

/// a, b and the generator of the SM2 curve (GB/T 32918.5).
#[rustfmt::skip]
const SM2_CURVE: [u8; 128] = [
    0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc,
    0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65, 0x09, 0xa7,
    0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94, 0x0e, 0x93,
    0x32, 0xc4, 0xae, 0x2c, 0x1f, 0x19, 0x81, 0x19, 0x5f, 0x99, 0x04, 0x46, 0x6a, 0x39, 0xc9, 0x94,
    0x8f, 0xe3, 0x0b, 0xbf, 0xf2, 0x66, 0x0b, 0xe1, 0x71, 0x5a, 0x45, 0x89, 0x33, 0x4c, 0x74, 0xc7,
    0xbc, 0x37, 0x36, 0xa2, 0xf4, 0xf6, 0x77, 0x9c, 0x59, 0xbd, 0xce, 0xe3, 0x6b, 0x69, 0x21, 0x53,
    0xd0, 0xa9, 0x87, 0x7c, 0xc6, 0x2a, 0x47, 0x40, 0x02, 0xdf, 0x32, 0xe5, 0x21, 0x39, 0xf0, 0xa0,
];
