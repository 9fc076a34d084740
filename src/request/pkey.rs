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
