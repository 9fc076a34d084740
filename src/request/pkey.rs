//! Public-key requests.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::Error;
use crate::secret::Secret;

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

/// Without leading zeros. Public numbers only: takes time by content.
fn strip_public(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte & 1 == 1)
}

/// Copies a big-endian number right-aligned into a zeroed field. True when it fits and is not zero. Looks at every byte
/// whatever their values.
fn place(number: &[u8], field: &mut [u8]) -> bool {
    let excess = number.len().saturating_sub(field.len());
    let (above, kept) = number.split_at(excess);
    let start = field.len() - kept.len();
    field[start..].copy_from_slice(kept);
    let overflow = above.iter().fold(0, |all, byte| all | byte);
    let value = kept.iter().fold(0, |all, byte| all | byte);
    overflow == 0 && value != 0
}

/// True when n = p · q. Schoolbook on 64-bit limbs, the same steps for all values of one length: p and q are secret. About a
/// microsecond, once per key; without it a damaged or multi-prime key would look like a broken device.
fn is_product(n: &[u8], p: &[u8], q: &[u8]) -> bool {
    let half = n.len() / 2 / 8;
    let (p, q, n) = (limbs(p, half), limbs(q, half), limbs(n, half * 2));
    let mut product = Zeroizing::new(vec![0_u64; half * 2]);
    for (shift, &a) in p.iter().enumerate() {
        let mut carry = 0_u64;
        for (slot, &b) in product.iter_mut().skip(shift).zip(q.iter().chain(std::iter::once(&0))) {
            // At most (2^64-1)^2 + 2·(2^64-1) = 2^128-1: cannot overflow.
            let sum = u128::from(a) * u128::from(b) + u128::from(*slot) + u128::from(carry);
            (*slot, carry) = split(sum);
        }
    }
    product.iter().zip(n.iter()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Low and high half.
#[expect(clippy::cast_possible_truncation, reason = "the halves are what is asked for")]
fn split(wide: u128) -> (u64, u64) {
    (wide as u64, (wide >> 64) as u64)
}

/// Little-endian limbs of the last `count · 8` bytes of a big-endian number, zero-extended.
fn limbs(number: &[u8], count: usize) -> Zeroizing<Vec<u64>> {
    let mut limbs = Zeroizing::new(vec![0_u64; count]);
    for (limb, bytes) in limbs.iter_mut().zip(number.rchunks(8)) {
        *limb = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    }
    limbs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn products(p: u64, q: u64, other: u128) {
            let product = u128::from(p) * u128::from(q);
            prop_assert!(is_product(&product.to_be_bytes(), &p.to_be_bytes(), &q.to_be_bytes()));
            prop_assert_eq!(is_product(&other.to_be_bytes(), &p.to_be_bytes(), &q.to_be_bytes()), other == product);
        }

        #[test]
        fn products_of_two_limbs(p: u128, q: u128) {
            let (p, q) = (p.to_be_bytes(), q.to_be_bytes());
            let mut n = [0_u8; 32];
            let (low, high) = (u128::from_be_bytes(p), u128::from_be_bytes(q));
            let limbs = |value: u128| [split(value).0, split(value).1];
            let (a, b) = (limbs(low), limbs(high));
            // Column sums, the other way round than the code under test.
            let mut columns = [0_u128; 5];
            for (i, x) in a.iter().enumerate() {
                for (j, y) in b.iter().enumerate() {
                    let (l, h) = split(u128::from(*x) * u128::from(*y));
                    columns[i + j] += u128::from(l);
                    columns[i + j + 1] += u128::from(h);
                }
            }
            let mut carry = 0;
            for (index, column) in columns.iter().take(4).enumerate() {
                let (digit, above) = split(column + carry);
                carry = u128::from(above);
                n[24 - index * 8..32 - index * 8].copy_from_slice(&digit.to_be_bytes());
            }
            prop_assert!(is_product(&n, &p, &q));
            prop_assert!(is_product(&n, &q, &p));
            n[7] ^= 1;
            prop_assert!(!is_product(&n, &p, &q));
        }
    }
}
