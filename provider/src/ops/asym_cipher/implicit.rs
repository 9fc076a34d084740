//! Implicit rejection (draft-irtf-cfrg-rsa-guidance), as OpenSSL 3.2 and later do it: a wrong PKCS#1 v1.5 padding gives a message
//! made up from the private exponent and the ciphertext. The same ciphertext always gives the same message, also from
//! software, or comparing two answers would tell which messages are made up.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::decode;
use crate::ffi::fallback::{self, Digest, DigestContext, Fallback};
use crate::ffi::handle::Input;

/// Bytes of SHA-256: its value, and the block that HMAC fills (RFC 2104).
const HASH_LEN_BYTES: usize = 32;
const BLOCK_LEN_BYTES: usize = 64;

/// How many lengths are tried for a message that is made up, two bytes each.
const CANDIDATES_LEN_BYTES: usize = 2 * 128;

/// The digest of a private exponent.
pub(crate) struct Seed(Zeroizing<[u8; HASH_LEN_BYTES]>);

impl Seed {
    /// `None` when the key has no private exponent, or the provider no SHA-256.
    pub(crate) fn of(key: &fallback::Key, modulus_len_bytes: usize) -> Option<Self> {
        let exponent = key.big_number(c"d")?;
        // Exactly as long as the modulus, however wide it came.
        let zeros = vec![0; modulus_len_bytes.saturating_sub(exponent.len())];
        let kept = exponent.get(exponent.len().saturating_sub(modulus_len_bytes)..)?;
        let mut seed = Zeroizing::new([0; HASH_LEN_BYTES]);
        let digest = sha256(key.fallback())?;
        digest.of(key.fallback(), &[&zeros, kept], &mut *seed).then_some(Self(seed))
    }

    /// The message in `encoded`, or the one that is made up when its padding is wrong. `None` when a digest fails.
    pub(super) fn open(
        &self,
        fallback: &Arc<Fallback>,
        encrypted: &[u8],
        encoded: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let digest = sha256(fallback)?;
        let key = Mac::new(fallback, digest, &self.0)?.of(&[encrypted])?;
        let mac = Mac::new(fallback, digest, &key)?;
        let mut synthetic = Zeroizing::new(vec![0; encoded.len()]);
        expand(&mac, b"message", &mut synthetic)?;
        let mut candidates = Zeroizing::new([0; CANDIDATES_LEN_BYTES]);
        expand(&mac, b"length", &mut *candidates)?;
        let len_bytes = decode::synthetic_len_bytes(&*candidates, encoded.len());
        decode::pkcs1_or(encoded, &synthetic, len_bytes)
    }
}

fn sha256(fallback: &Fallback) -> Option<Digest> {
    fallback.digest(c"SHA256")
}

/// Fills `out`: HMAC of counter, label and length in bits, as often as it takes.
fn expand(mac: &Mac, label: &[u8], out: &mut [u8]) -> Option<()> {
    let bits = u16::try_from(out.len() * 8).ok()?.to_be_bytes();
    for (counter, piece) in (0_u16..).zip(out.chunks_mut(HASH_LEN_BYTES)) {
        let value = mac.of(&[&counter.to_be_bytes(), label, &bits])?;
        piece.copy_from_slice(value.get(..piece.len())?);
    }
    Some(())
}

/// HMAC-SHA-256 with one key, which has been hashed in.
struct Mac {
    inner: DigestContext,
    outer: DigestContext,
}

impl Mac {
    fn new(fallback: &Arc<Fallback>, digest: Digest, key: &[u8; HASH_LEN_BYTES]) -> Option<Self> {
        let begun = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK_LEN_BYTES]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut context = DigestContext::new(fallback, digest)?;
            context.update(Input::from(&block[..])).then_some(context)
        };
        Some(Self { inner: begun(0x36)?, outer: begun(0x5c)? })
    }

    fn of(&self, parts: &[&[u8]]) -> Option<Zeroizing<[u8; HASH_LEN_BYTES]>> {
        let mut value = Zeroizing::new([0; HASH_LEN_BYTES]);
        let mut inner = self.inner.duplicate()?;
        let fed = parts.iter().all(|part| inner.update(Input::from(*part)));
        if !fed || !inner.finish(&mut *value) {
            return None;
        }
        let mut outer = self.outer.duplicate()?;
        (outer.update(Input::from(&value[..])) && outer.finish(&mut *value)).then_some(value)
    }
}
