//! DH keys in device layout.

use warpdrive::request::pkey::DhPrivateKey;

use crate::ffi::fallback::Key;

/// The private key as the device takes it; `None` when it does not.
pub(super) fn private(software: &Key) -> Option<DhPrivateKey> {
    let (p, private) = software.big_number(c"p").zip(software.big_number(c"priv"))?;
    DhPrivateKey::new(&p, &private).ok()
}

/// The public value, big-endian, as long as the modulus; `None` without one.
pub(super) fn public(software: &Key, len_bytes: usize) -> Option<Vec<u8>> {
    let mut value = vec![0; len_bytes];
    software.number(c"pub", &mut value).then_some(value)
}
