//! RSA private operations.

use std::fmt;
use std::sync::Arc;

use super::number::{is_odd, is_product, place, strip_public};
use crate::secret::Secret;
use crate::{Algorithm, Error};

/// The numbers of an RSA private key, unsigned big-endian, leading zeros allowed.
#[derive(Clone, Copy)]
pub struct RsaComponents<'a> {
    /// Modulus.
    pub n: &'a [u8],
    /// Public exponent.
    pub e: &'a [u8],
    /// Private exponent; may be empty when the CRT numbers are all there.
    pub d: &'a [u8],
    /// First prime (prime1, `p`).
    pub p: &'a [u8],
    /// Second prime (prime2, `q`).
    pub q: &'a [u8],
    /// d mod (p-1).
    pub dp: &'a [u8],
    /// d mod (q-1).
    pub dq: &'a [u8],
    /// q^-1 mod p.
    pub qinv: &'a [u8],
}

/// An RSA private key in device layout, held once per key, shared with requests in flight, zeroised when the last
/// owner drops it. Cheap to clone.
#[derive(Clone)]
pub struct RsaPrivateKey {
    material: Arc<Secret>,
    /// Bytes of the modulus, the `W` of hpre §3.
    len_bytes: usize,
    crt: bool,
}

impl RsaPrivateKey {
    /// Builds the device form: CRT when `p q dp dq qinv` are all non-empty, else `d ‖ n`.
    ///
    /// How long each secret number is, and where it differs from another, is not visible in the time this takes; whether
    /// the key is suitable is.
    /// # Errors
    /// [`Error::Unsuitable`]: modulus not of exactly 1024, 2048, 3072 or 4096 bits (hpre §2.1: other sizes never went to
    /// hardware), even, or not the product of `p` and `q` (a multi-prime or damaged key); a number missing, zero, of impossible
    /// parity, or too long for its field.
    pub fn new(components: &RsaComponents<'_>) -> Result<Self, Error> {
        let &RsaComponents { n, e, d, p, q, dp, dq, qinv } = components;
        let n = strip_public(n);
        let len_bytes = n.len();
        let full = n.first().is_some_and(|first| first & 0x80 != 0);
        if !full || !LENGTHS_BYTES.contains(&len_bytes) {
            return Err(Error::Unsuitable);
        }
        let e = strip_public(e);
        // Without e the answer cannot be checked; with e >= n the device's behaviour is unknown (hpre §4.3).
        if !is_odd(n) || !is_odd(e) || e == [1] || e.len() >= len_bytes {
            return Err(Error::Unsuitable);
        }

        let crt = [p, q, dp, dq, qinv].iter().all(|number| !number.is_empty());
        let material = if crt {
            // hpre §3.2: dq, dp, q, p, qinv, each half as wide as the modulus.
            let mut material = Secret::zeroed(len_bytes / 2 * 5);
            let fields = material.bytes_mut().chunks_exact_mut(len_bytes / 2);
            let mut fits = true;
            for (field, (number, odd)) in
                fields.zip([(dq, true), (dp, true), (q, true), (p, true), (qinv, false)])
            {
                fits &= place(number, field) && (!odd || is_odd(field));
            }
            if !fits || !is_product(n, p, q) {
                return Err(Error::Unsuitable);
            }
            material
        } else {
            let mut material = Secret::zeroed(len_bytes * 2);
            let (exponent, modulus) = material.bytes_mut().split_at_mut(len_bytes);
            if !place(d, exponent) || !is_odd(exponent) || !place(n, modulus) {
                return Err(Error::Unsuitable);
            }
            material
        };
        Ok(Self { material: Arc::new(material), len_bytes, crt })
    }

    /// Bytes of the modulus, and of input and output of a private operation: 128, 256, 384 or 512.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// True: [`Self::material`] is `dq ‖ dp ‖ q ‖ p ‖ qinv`; false: `d ‖ n`.
    pub fn crt(&self) -> bool {
        self.crt
    }

    /// Its row of counters and policy.
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::RsaPrivate(u16::try_from(self.len_bytes * 8).unwrap_or(0))
    }

    /// The key buffer as the device reads it (hpre §3.1): big-endian numbers, left-padded with zeros, back to back. CRT:
    /// five of `len_bytes() / 2`; else two of `len_bytes()`.
    pub fn material(&self) -> &Arc<Secret> {
        &self.material
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPrivateKey")
            .field("len_bytes", &self.len_bytes)
            .field("crt", &self.crt)
            .finish_non_exhaustive()
    }
}

/// Modulus sizes the hardware serves, bytes (hpre §2.1).
const LENGTHS_BYTES: [usize; 4] = [128, 256, 384, 512];

#[cfg(test)]
mod tests {
    use super::*;

    /// p = q = 2^k - 1, so n = 2^2k - 2^(k+1) + 1: every carry runs, and every size is easy to write down.
    struct Numbers {
        n: Vec<u8>,
        half: Vec<u8>,
        dp: Vec<u8>,
        dq: Vec<u8>,
        qinv: Vec<u8>,
    }

    impl Numbers {
        fn new(len_bytes: usize) -> Self {
            let k = len_bytes / 2;
            let mut n = vec![0xff; k - 1];
            n.push(0xfe);
            n.extend(vec![0; k - 1]);
            n.push(1);
            Self { n, half: vec![0xff; k], dp: vec![0x11; k - 3], dq: vec![0x33; k], qinv: vec![0x44; 1] }
        }

        fn crt(&self) -> RsaComponents<'_> {
            let Self { n, half, dp, dq, qinv } = self;
            RsaComponents { n, e: &[1, 0, 1], d: &[], p: half, q: half, dp, dq, qinv }
        }

        fn plain<'a>(&'a self, d: &'a [u8]) -> RsaComponents<'a> {
            RsaComponents { d, p: &[], q: &[], dp: &[], dq: &[], qinv: &[], ..self.crt() }
        }
    }

    fn refused(components: &RsaComponents<'_>) -> bool {
        matches!(RsaPrivateKey::new(components), Err(Error::Unsuitable))
    }

    #[test]
    fn crt_layout() {
        for len_bytes in LENGTHS_BYTES {
            let numbers = Numbers::new(len_bytes);
            let key = RsaPrivateKey::new(&numbers.crt()).unwrap();
            assert!(key.crt());
            assert_eq!(key.len_bytes(), len_bytes);
            let k = len_bytes / 2;
            let mut expected = vec![0x33; k];
            expected.extend([0; 3]);
            expected.extend(vec![0x11; k - 3]);
            expected.extend(vec![0xff; 2 * k]);
            expected.extend(vec![0; k - 1]);
            expected.push(0x44);
            assert_eq!(key.material().bytes(), expected);
            assert_eq!(key.material().bytes().len(), len_bytes * 5 / 2);
        }
    }

    #[test]
    fn plain_layout() {
        for len_bytes in LENGTHS_BYTES {
            let numbers = Numbers::new(len_bytes);
            let key = RsaPrivateKey::new(&numbers.plain(&[5, 7])).unwrap();
            assert!(!key.crt());
            let mut expected = vec![0; len_bytes - 2];
            expected.extend([5, 7]);
            expected.extend(&numbers.n);
            assert_eq!(key.material().bytes(), expected);
        }
    }

    #[test]
    fn leading_zeros_change_nothing() {
        let numbers = Numbers::new(256);
        let padded = |number: &[u8]| [&[0; 9], number].concat();
        let (n, half, dq) = (padded(&numbers.n), padded(&numbers.half), padded(&numbers.dq));
        let components = RsaComponents { n: &n, e: &[0, 0, 3], p: &half, q: &half, dq: &dq, ..numbers.crt() };
        let key = RsaPrivateKey::new(&components).unwrap();
        assert_eq!(key.material().bytes(), RsaPrivateKey::new(&numbers.crt()).unwrap().material().bytes());
    }

    #[test]
    fn unsuitable_moduli() {
        let numbers = Numbers::new(256);
        let with = |n: &[u8]| refused(&RsaComponents { n, ..numbers.plain(&[3]) });
        assert!(!with(&numbers.n));
        assert!(with(&[]));
        assert!(with(&[0; 256]));
        let mut even = numbers.n.clone();
        even[255] = 2;
        assert!(with(&even), "even");
        let mut short = numbers.n.clone();
        short[0] = 0x7f;
        assert!(with(&short), "2047 bits");
        assert!(with(&numbers.n[1..]), "2040 bits");
        for bits in [512, 768, 1536, 2056, 8192] {
            assert!(with(&vec![0xff; bits / 8]), "{bits}");
        }
    }

    #[test]
    fn unsuitable_numbers() {
        let numbers = Numbers::new(256);
        let good = numbers.crt();
        let long = [1; 129];
        let mut off_by_one = numbers.half.clone();
        off_by_one[64] ^= 1;
        #[rustfmt::skip]
        let rows = [
            ("e even", RsaComponents { e: &[4], ..good }),
            ("e missing", RsaComponents { e: &[], ..good }),
            ("e one", RsaComponents { e: &[0, 1], ..good }),
            ("e as long as n", RsaComponents { e: &[0x7f; 256], ..good }),
            ("p long", RsaComponents { p: &long, ..good }),
            ("q long", RsaComponents { q: &long, ..good }),
            ("dp long", RsaComponents { dp: &long, ..good }),
            ("dq long", RsaComponents { dq: &long, ..good }),
            ("qinv long", RsaComponents { qinv: &long, ..good }),
            ("p zero", RsaComponents { p: &[0], ..good }),
            ("dp zero", RsaComponents { dp: &[0; 128], ..good }),
            ("qinv zero", RsaComponents { qinv: &[0], ..good }),
            ("dp even", RsaComponents { dp: &[2], ..good }),
            ("dq even", RsaComponents { dq: &[2], ..good }),
            ("p not a factor", RsaComponents { p: &off_by_one, ..good }),
            ("q missing and no d", RsaComponents { q: &[], ..good }),
            ("d zero", RsaComponents { q: &[], d: &[0], ..good }),
            ("d even", RsaComponents { q: &[], d: &[2], ..good }),
            ("d long", RsaComponents { q: &[], d: &[1; 257], ..good }),
        ];
        for (what, components) in rows {
            assert!(refused(&components), "{what}");
        }
        let one_missing = RsaComponents { qinv: &[], d: &[3], ..good };
        assert!(!RsaPrivateKey::new(&one_missing).unwrap().crt(), "d serves when a CRT number is missing");
    }

    #[test]
    fn debug_shows_no_number() {
        let key = RsaPrivateKey::new(&Numbers::new(128).crt()).unwrap();
        assert_eq!(format!("{key:?}"), "RsaPrivateKey { len_bytes: 128, crt: true, .. }");
    }
}
