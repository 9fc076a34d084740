//! X25519 and X448 keys in device layout.

use warpdrive::request::pkey::{EcxKind, EcxPrivateKey};
use zeroize::Zeroizing;

use crate::ffi::fallback::{Key, KeyType};

/// The function that keys of this type are for.
pub(super) fn kind(key_type: KeyType) -> Option<EcxKind> {
    match key_type {
        KeyType::X25519 => Some(EcxKind::X25519),
        KeyType::X448 => Some(EcxKind::X448),
        _ => None,
    }
}

/// The private key as the device takes it; `None` when it does not.
pub(super) fn private(software: &Key) -> Option<EcxPrivateKey> {
    let kind = kind(software.key_type())?;
    let mut scalar = Zeroizing::new(vec![0; kind.len_bytes()]);
    software.octets(c"priv", &mut scalar).then(|| EcxPrivateKey::new(kind, &scalar).ok())?
}

/// The public key as RFC 7748 writes it; `None` without one.
pub(super) fn public(software: &Key) -> Option<Vec<u8>> {
    let mut value = vec![0; kind(software.key_type())?.len_bytes()];
    software.octets(c"pub", &mut value).then_some(value)
}
