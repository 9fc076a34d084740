//! Keys on prime curves, of types EC and SM2, in device layout.

use std::ffi::CStr;

use warpdrive::request::pkey::{Curve, CurveName, EcPrivateKey, EcPublicKey};
use zeroize::Zeroizing;

use crate::ffi::fallback::Key;

/// The curve of a key, by OpenSSL's name for it; [`CurveName::Other`] also for curves given by numbers.
pub(super) fn curve_name(software: &Key) -> CurveName {
    let mut name = [0; 64];
    if !software.text(c"group", &mut name) {
        return CurveName::Other;
    }
    let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
    NAMES.iter().find(|(known, _)| *known == name).map_or(CurveName::Other, |(_, curve)| *curve)
}

/// Curves that devices work on, by the short names of `openssl ecparam -list_curves`.
const NAMES: [(&CStr, CurveName); 11] = [
    (c"prime192v1", CurveName::P192),
    (c"secp224r1", CurveName::P224),
    (c"prime256v1", CurveName::P256),
    (c"secp384r1", CurveName::P384),
    (c"secp521r1", CurveName::P521),
    (c"secp256k1", CurveName::Secp256k1),
    (c"brainpoolP256r1", CurveName::BrainpoolP256),
    (c"brainpoolP320r1", CurveName::BrainpoolP320),
    (c"brainpoolP384r1", CurveName::BrainpoolP384),
    (c"brainpoolP512r1", CurveName::BrainpoolP512),
    (c"SM2", CurveName::Sm2),
];

/// The private key as the device takes it, with its public point where that is needed: reading it costs time. `None` when the
/// device does not take the key.
pub(super) fn private(software: &Key, curve: &Curve, public: Option<&EcPublicKey>) -> Option<EcPrivateKey> {
    let mut scalar = Zeroizing::new(vec![0; curve.order_len_bytes()]);
    if !software.number(c"priv", &mut scalar) {
        return None;
    }
    EcPrivateKey::new(curve, &scalar, public).ok()
}

/// The public point, which must be on `curve`; `None` without one.
pub(super) fn public(software: &Key, curve: &Curve) -> Option<EcPublicKey> {
    let (mut x, mut y) = (vec![0; curve.len_bytes()], vec![0; curve.len_bytes()]);
    let read = software.number(c"qx", &mut x) && software.number(c"qy", &mut y);
    read.then(|| EcPublicKey::new(curve, &x, &y).ok())?
}
