//! Symmetric ciphers.

use std::fmt;
use std::sync::Arc;

use crate::Error;
use crate::secret::Secret;

/// Which way a cipher goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Plain text in, cipher text out.
    Encrypt,
    /// Cipher text in, plain text out.
    Decrypt,
}

/// An AES-256 key for CBC, held once, shared with requests in flight, zeroised when the last owner drops it. Cheap to clone.
#[derive(Clone)]
pub struct AesCbcKey(Arc<Secret>);

impl AesCbcKey {
    /// Bytes of a key.
    pub const LEN_BYTES: usize = 32;

    /// Takes a copy of the key.
    /// # Errors
    /// [`Error::Unsuitable`]: not 32 bytes long.
    pub fn new(key: &[u8]) -> Result<Self, Error> {
        if key.len() != Self::LEN_BYTES {
            return Err(Error::Unsuitable);
        }
        let mut material = Secret::zeroed(key.len());
        material.bytes_mut().copy_from_slice(key);
        Ok(Self(Arc::new(material)))
    }

    /// The key as the device reads it (sec §3.1): as it is.
    pub(crate) fn material(&self) -> &Arc<Secret> {
        &self.0
    }
}

impl fmt::Debug for AesCbcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesCbcKey")
    }
}

/// Bytes of a block, and of an initialisation vector.
pub const BLOCK_LEN_BYTES: usize = 16;

/// Most bytes of one request (sec §2.4).
pub const MAX_LEN_BYTES: usize = 0xff_fe00;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_length() {
        assert!(AesCbcKey::new(&[7; 32]).is_ok());
        for len in [0, 16, 24, 31, 33] {
            assert!(AesCbcKey::new(&vec![7; len]).is_err(), "{len}");
        }
        let key = AesCbcKey::new(&[7; 32]).unwrap();
        assert_eq!(key.material().bytes(), [7; 32]);
        assert_eq!(format!("{key:?}"), "AesCbcKey");
    }
}
