//! Public-key requests.

use crate::Error;

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
    _private: (),
}

impl RsaPrivateKey {
    /// Builds the device form: CRT when `p q dp dq qinv` are all non-empty, else `d ‖ n`.
    /// # Errors
    /// [`Error::Unsuitable`]: modulus not 1024, 2048, 3072 or 4096 bits, even, or a number does not fit its field.
    pub fn new(components: &RsaComponents<'_>) -> Result<Self, Error> {
        let _ = components;
        Err(Error::Unsuitable)
    }

    /// Bytes of the modulus, and of input and output of a private operation: 128, 256, 384 or 512.
    pub fn len_bytes(&self) -> usize {
        0
    }
}
