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
    pub(crate) has_primes: bool,
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
        // Nor with one that the default provider's public operation refuses for a modulus of that length.
        if n.len() > SMALL_MODULUS_LEN_BYTES && e.len() > MAX_PUBLIC_EXPONENT_LEN_BYTES {
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
            _ => Some(plain(software, &n, &e, None)?),
        };
        (modulus.len() == len).then_some(Self { private, modulus, has_primes, public, seed: OnceBox::new() })
    }
}

/// `OPENSSL_RSA_SMALL_MODULUS_BITS` and `OPENSSL_RSA_MAX_PUBEXP_BITS` of `openssl/rsa.h`, in bytes.
const SMALL_MODULUS_LEN_BYTES: usize = 384;
const MAX_PUBLIC_EXPONENT_LEN_BYTES: usize = 8;

/// The key without its primes as a plain RSA key, which no padding is prescribed for; `None` when a number is missing.
pub(crate) fn without_primes(software: &Key) -> Option<Key> {
    let part = |name: &'static CStr| software.big_number(name);
    plain(software, &part(c"n")?, &part(c"e")?, Some(&part(c"d")?))
}

/// A plain RSA key of the same provider with these numbers, big-endian.
fn plain(software: &Key, n: &[u8], e: &[u8], d: Option<&[u8]>) -> Option<Key> {
    let native = |number: &[u8]| {
        let mut number = Zeroizing::new(number.to_vec());
        if cfg!(target_endian = "little") {
            number.reverse();
        }
        number
    };
    let (mut n, mut e, mut d) = (native(n), native(e), d.map(native));
    let key = Key::new(software.fallback(), KeyType::Rsa)?;
    let mut array = vec![Own::number(c"n", &mut n), Own::number(c"e", &mut e)];
    array.extend(d.as_mut().map(|d| Own::number(c"d", d)));
    let selected = if array.len() > 2 { selection::KEYPAIR } else { selection::PUBLIC_KEY };
    array.push(Own::END);
    (key.import(selected, to_send(&array)) == 1).then_some(key)
}
