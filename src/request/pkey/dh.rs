//! Diffie-Hellman over prime fields.

use std::fmt;
use std::sync::Arc;

use super::number::{is_below, is_odd, is_one, is_zero, place, strip_public};
use crate::secret::Secret;
use crate::{Algorithm, Error};

/// A Diffie-Hellman private key with its modulus in device layout, held once per key, shared with requests in flight,
/// zeroised when the last owner drops it. Cheap to clone.
#[derive(Clone)]
pub struct DhPrivateKey {
    material: Arc<Secret>,
    /// Bytes of the modulus, the `W` of hpre §3.
    len_bytes: usize,
}

impl DhPrivateKey {
    /// Builds the device form `x ‖ p` (hpre §3.3) of the modulus `p` and the private value `x`, both big-endian with any
    /// number of leading zeros. The time this takes does not depend on `x`.
    /// # Errors
    /// [`Error::Unsuitable`]: p not of exactly 768, 1024, 1536, 2048, 3072 or 4096 bits (up to seven zero bits at its top
    /// allowed), or even; x zero or not below p.
    pub fn new(p: &[u8], x: &[u8]) -> Result<Self, Error> {
        let p = strip_public(p);
        let len_bytes = p.len();
        if !LENGTHS_BYTES.contains(&len_bytes) || !is_odd(p) {
            return Err(Error::Unsuitable);
        }
        let mut material = Secret::zeroed(len_bytes * 2);
        let (exponent, modulus) = material.bytes_mut().split_at_mut(len_bytes);
        modulus.copy_from_slice(p);
        if !(place(x, exponent) & is_below(exponent, modulus)) {
            return Err(Error::Unsuitable);
        }
        Ok(Self { material: Arc::new(material), len_bytes })
    }

    /// Bytes of the modulus, and of every value that comes out: 96, 128, 192, 256, 384 or 512.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Its row of counters and policy.
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::Dh(u16::try_from(self.len_bytes * 8).unwrap_or(0))
    }

    /// The key buffer as the device reads it (hpre §3.1): x ‖ p, each `len_bytes()` long.
    pub(crate) fn material(&self) -> &Arc<Secret> {
        &self.material
    }

    fn modulus(&self) -> &[u8] {
        self.material.bytes().get(self.len_bytes..).unwrap_or_default()
    }

    /// Places a generator or a peer's public value into a field of `len_bytes()`; `None` unless it is in 2..=p-2: what else
    /// there is has small order, or is no element, and nobody knows what the device makes of it (hpre §4.3).
    pub(crate) fn place_base(&self, base: &[u8], field: &mut [u8]) -> Option<()> {
        let good = field.len() == self.len_bytes && place(base, field) && self.is_element(field);
        good.then_some(())
    }

    /// Whether a value of `len_bytes()` is below p. Takes the same time for all values.
    pub(crate) fn is_residue(&self, value: &[u8]) -> bool {
        is_below(value, self.modulus())
    }

    /// Whether a value of `len_bytes()` is in 2..=p-2. Takes the same time for all values.
    pub(crate) fn is_element(&self, value: &[u8]) -> bool {
        let p = self.modulus();
        // p is odd: p-1 differs from it in the lowest bit alone.
        let difference = p.iter().zip(value).rev().enumerate();
        let from_minus_one = difference.fold(0, |all, (at, (p, v))| all | (p ^ v ^ u8::from(at == 0)));
        !is_zero(value) & !is_one(value) & is_below(value, p) & (from_minus_one != 0)
    }
}

impl fmt::Debug for DhPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DhPrivateKey").field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}

/// Modulus sizes the hardware serves, bytes (hpre §2.1).
const LENGTHS_BYTES: [usize; 6] = [96, 128, 192, 256, 384, 512];

#[cfg(test)]
mod tests {
    use super::*;

    /// An odd number of the given length; the device needs no prime, nor does this room.
    fn modulus(len_bytes: usize) -> Vec<u8> {
        let mut p = vec![0xab; len_bytes];
        p[len_bytes - 1] = 0xff;
        p
    }

    #[test]
    fn layout() {
        for len_bytes in LENGTHS_BYTES {
            let p = modulus(len_bytes);
            let key = DhPrivateKey::new(&[&[0, 0], &p[..]].concat(), &[0, 0, 5, 7]).unwrap();
            assert_eq!(key.len_bytes(), len_bytes);
            let expected = [&vec![0; len_bytes - 2][..], &[5, 7], &p].concat();
            assert_eq!(key.material().bytes(), expected);
            assert_eq!(key.algorithm().name(), format!("dh-{}", len_bytes * 8));
        }
    }

    #[test]
    fn unsuitable_keys() {
        let p = modulus(256);
        let refused = |p: &[u8], x: &[u8]| DhPrivateKey::new(p, x).is_err();
        assert!(!refused(&p, &[1]));
        assert!(refused(&p, &[0; 9]) && refused(&p, &[]) && refused(&p, &p) && refused(&p, &[0xff; 256]));
        assert!(refused(&p[1..], &[5]), "2040 bits");
        assert!(refused(&[1; 257], &[5]));
        assert!(refused(&[], &[5]));
        let mut even = p.clone();
        even[255] = 0xfe;
        assert!(refused(&even, &[5]), "even");
        let mut short = p;
        short[0] = 1;
        assert!(!refused(&short, &[5]), "2041 bits fill the field");
    }

    #[test]
    fn bases_and_results_are_elements() {
        let p = modulus(96);
        let key = DhPrivateKey::new(&p, &[3]).unwrap();
        let low = |value: u8| [vec![0; 95], vec![value]].concat();
        let near = |below: u8| {
            let mut value = p.clone();
            value[95] -= below;
            value
        };
        for (value, good) in [(low(0), false), (low(1), false), (low(2), true)] {
            assert_eq!(key.is_element(&value), good, "{}", value[95]);
        }
        for (value, good) in [(near(0), false), (near(1), false), (near(2), true), (near(3), true)] {
            assert_eq!(key.is_element(&value), good, "p - ..{:x}", value[95]);
        }
        let mut field = [0; 96];
        assert_eq!(key.place_base(&[0, 0, 2], &mut field), Some(()));
        assert_eq!(field, *low(2));
        assert_eq!(key.place_base(&[1; 97], &mut [0; 96]), None);
        assert_eq!(key.place_base(&[], &mut [0; 96]), None);
    }

    #[test]
    fn debug_shows_no_number() {
        let key = DhPrivateKey::new(&modulus(128), &[77]).unwrap();
        assert_eq!(format!("{key:?}"), "DhPrivateKey { len_bytes: 128, .. }");
    }
}
