//! Key bytes, erased when the last owner drops them.
//!
//! Not locked into RAM (`mlock`) and not hidden from core dumps: the host's own OpenSSL holds the same key in ordinary
//! memory, and `RLIMIT_MEMLOCK` is the host program's budget to spend, not ours.

use std::fmt;

use zeroize::Zeroize;

/// A fixed-length run of secret bytes. Zeroised on drop; never printed, never compared, never cloned, never grown (a
/// reallocation would leave a copy behind).
pub struct Secret(Box<[u8]>);

impl Secret {
    /// `len` zero bytes, to be filled in place.
    pub(crate) fn zeroed(len: usize) -> Self {
        Self(vec![0; len].into_boxed_slice())
    }

    /// The bytes. Their address is stable for the life of `self`.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to fill.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The bytes, for an owner that erases them itself.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).into_vec()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte() {
        let mut secret = Secret::zeroed(3);
        secret.bytes_mut().copy_from_slice(&[0xde, 0xad, 0xbe]);
        assert_eq!(format!("{secret:?}"), "Secret(3 bytes)");
        assert_eq!(secret.bytes(), [0xde, 0xad, 0xbe]);
    }
}
