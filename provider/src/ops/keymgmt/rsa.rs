//! RSA keys, of types RSA and RSA-PSS, in device layout.

use std::ffi::CStr;
use std::sync::Arc;

use once_cell::race::OnceBox;
use warpdrive::request::pkey::{RsaComponents, RsaPrivateKey};
use zeroize::Zeroizing;

use crate::ffi::bindings::selection;
use crate::ffi::fallback::{Key, KeyType};
use crate::ffi::params::{Own, to_send};
use crate::ops::asym_cipher::Seed;

/// A private key the device can use.
pub(crate) struct DeviceKey {
    pub(crate) private: RsaPrivateKey,
    /// Big-endian, exactly as long as inputs and outputs.
    pub(crate) modulus: Vec<u8>,
    /// With primes the key's numbers can be compared with each other.
    pub(super) has_primes: bool,
    /// The public half as a plain RSA key, when the key itself is of type RSA-PSS and refuses a public operation without
    /// padding.
    public: Option<Key>,
    /// What messages for wrong paddings are made from, once asked for.
    seed: OnceBox<Option<Arc<Seed>>>,
}

impl DeviceKey {
    /// The key of the default provider that answers public operations without padding; `own` is the one this was made
    /// from.
    pub(crate) fn opener<'a>(&'a self, own: &'a Key) -> &'a Key {
        self.public.as_ref().unwrap_or(own)
    }

    /// What implicit rejection makes its messages from; `None` when the key has no private exponent. `own` is the key this was
    /// made from.
    pub(crate) fn seed(&self, own: &Key) -> Option<Arc<Seed>> {
        self.seed.get_or_init(|| Box::new(Seed::of(own, self.modulus.len()).map(Arc::new))).clone()
    }

    pub(super) fn from_software(software: &Key) -> Option<Self> {
        // More than two primes: the device knows two.
        if software.number_len_bytes(c"rsa-factor3").is_some() {
            return None;
        }
        let part =
            |name: &'static CStr| -> Zeroizing<Vec<u8>> { software.big_number(name).unwrap_or_default() };
        let (n, e, d) = (part(c"n"), part(c"e"), part(c"d"));
        let (p, q) = (part(c"rsa-factor1"), part(c"rsa-factor2"));
        let (dp, dq) = (part(c"rsa-exponent1"), part(c"rsa-exponent2"));
        let qinv = part(c"rsa-coefficient1");
        // Without a public exponent no result could be checked.
        if e.iter().all(|byte| *byte == 0) {
            return None;
        }
        let components = RsaComponents { n: &n, e: &e, d: &d, p: &p, q: &q, dp: &dp, dq: &dq, qinv: &qinv };
        let private = RsaPrivateKey::new(&components).ok()?;
        let len = private.len_bytes();
        let leading = n.iter().take_while(|byte| **byte == 0).count();
        let modulus = n.get(leading..)?.to_vec();
        let has_primes = !p.is_empty() && !q.is_empty();
        let public = match software.key_type() {
            KeyType::Rsa => None,
            _ => Some(public_half(software, &n, &e)?),
        };
        (modulus.len() == len).then_some(Self { private, modulus, has_primes, public, seed: OnceBox::new() })
    }
}

/// A plain RSA key of the same provider with these numbers, big-endian.
fn public_half(software: &Key, n: &[u8], e: &[u8]) -> Option<Key> {
    let native = |number: &[u8]| {
        let mut number = number.to_vec();
        if cfg!(target_endian = "little") {
            number.reverse();
        }
        number
    };
    let (mut n, mut e) = (native(n), native(e));
    let key = Key::new(software.fallback(), KeyType::Rsa)?;
    let array = [Own::number(c"n", &mut n), Own::number(c"e", &mut e), Own::END];
    (key.import(selection::PUBLIC_KEY, to_send(&array)) == 1).then_some(key)
}
