//! Ciphers of libcrypto's default provider, in a library context of our own: no configuration, no other provider.
#![expect(unsafe_code, reason = "libcrypto's C interface")]

use std::ffi::CStr;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use openssl_sys::{EVP_CIPHER, EVP_CIPHER_CTX, OSSL_LIB_CTX, c_int};

/// A block cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// AES with a 16-byte key.
    Aes128,
    /// AES with a 24-byte key.
    Aes192,
    /// AES with a 32-byte key.
    Aes256,
    /// SM4, 16-byte key.
    Sm4,
    /// Triple DES, encrypt-decrypt-encrypt, 24-byte key.
    TripleDes,
}

/// How blocks follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Electronic code book.
    Ecb,
    /// Cipher block chaining.
    Cbc,
    /// Cipher feedback, whole blocks.
    Cfb,
    /// Output feedback.
    Ofb,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

impl Algorithm {
    /// Bytes of a key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128 | Self::Sm4 => 16,
            Self::Aes192 | Self::TripleDes => 24,
            Self::Aes256 => 32,
        }
    }

    /// Bytes of a block, and of an initial vector.
    pub fn block_len(self) -> usize {
        match self {
            Self::TripleDes => 8,
            _ => 16,
        }
    }

    fn name(self, mode: Mode) -> Option<&'static CStr> {
        Some(match (self, mode) {
            (Self::Aes128, Mode::Ecb) => c"AES-128-ECB",
            (Self::Aes128, Mode::Cbc) => c"AES-128-CBC",
            (Self::Aes128, Mode::Cfb) => c"AES-128-CFB",
            (Self::Aes128, Mode::Ofb) => c"AES-128-OFB",
            (Self::Aes192, Mode::Ecb) => c"AES-192-ECB",
            (Self::Aes192, Mode::Cbc) => c"AES-192-CBC",
            (Self::Aes192, Mode::Cfb) => c"AES-192-CFB",
            (Self::Aes192, Mode::Ofb) => c"AES-192-OFB",
            (Self::Aes256, Mode::Ecb) => c"AES-256-ECB",
            (Self::Aes256, Mode::Cbc) => c"AES-256-CBC",
            (Self::Aes256, Mode::Cfb) => c"AES-256-CFB",
            (Self::Aes256, Mode::Ofb) => c"AES-256-OFB",
            (Self::Sm4, Mode::Ecb) => c"SM4-ECB",
            (Self::Sm4, Mode::Cbc) => c"SM4-CBC",
            (Self::Sm4, Mode::Cfb) => c"SM4-CFB",
            (Self::Sm4, Mode::Ofb) => c"SM4-OFB",
            (Self::TripleDes, Mode::Ecb) => c"DES-EDE3-ECB",
            (Self::TripleDes, Mode::Cbc) => c"DES-EDE3-CBC",
            (Self::TripleDes, Mode::Cfb | Mode::Ofb) => return None,
        })
    }
}

/// Ciphers `data` in place, without padding.
///
/// `iv` is a block long; ECB ignores it. `None`: a key, vector or data of a wrong length, or a cipher this libcrypto lacks.
pub fn apply(
    algorithm: Algorithm,
    mode: Mode,
    direction: Direction,
    key: &[u8],
    iv: &[u8],
    data: &mut [u8],
) -> Option<()> {
    let whole_blocks = matches!(mode, Mode::Ecb | Mode::Cbc);
    if key.len() != algorithm.key_len()
        || mode != Mode::Ecb && iv.len() != algorithm.block_len()
        || whole_blocks && data.len() % algorithm.block_len() != 0
    {
        return None;
    }
    let cipher = Cipher::fetch(algorithm.name(mode)?)?;
    let context = Context::new()?;
    let len = c_int::try_from(data.len()).ok()?;
    let mut written: c_int = 0;
    // SAFETY: cipher and context are live; key and vector have the lengths this cipher reads, checked above (a null vector
    // is what ECB takes); without padding, and with whole blocks where the mode asks for them, `len` bytes are written over
    // the `len` bytes read, and nothing is held back.
    let done = unsafe {
        let iv = if mode == Mode::Ecb { ptr::null() } else { iv.as_ptr() };
        let encrypt = c_int::from(direction == Direction::Encrypt);
        openssl_sys::EVP_CipherInit_ex(
            context.0.as_ptr(),
            cipher.0.as_ptr(),
            ptr::null_mut(),
            key.as_ptr(),
            iv,
            encrypt,
        ) == 1
            && openssl_sys::EVP_CIPHER_CTX_set_padding(context.0.as_ptr(), 0) == 1
            && openssl_sys::EVP_CipherUpdate(
                context.0.as_ptr(),
                data.as_mut_ptr(),
                &raw mut written,
                data.as_ptr(),
                len,
            ) == 1
    };
    (done && written == len).then_some(())
}

/// A library context of our own: no configuration, no other provider.
pub(super) struct Library(NonNull<OSSL_LIB_CTX>);

// SAFETY: a library context may be used by any thread at any time; it is never freed.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// `None` when memory is out, or libcrypto has no default provider.
    pub(super) fn open() -> Option<&'static Self> {
        static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
        LIBRARY
            .get_or_init(|| {
                // SAFETY: the option only keeps the configuration file from being read; null settings are allowed.
                unsafe { OPENSSL_init_crypto(INIT_NO_LOAD_CONFIG, ptr::null()) };
                // SAFETY: allocates or returns null.
                let context = NonNull::new(unsafe { openssl_sys::OSSL_LIB_CTX_new() })?;
                // SAFETY: the context is live, the name a C string.
                let provider =
                    unsafe { openssl_sys::OSSL_PROVIDER_load(context.as_ptr(), c"default".as_ptr()) };
                (!provider.is_null()).then_some(Self(context))
            })
            .as_ref()
    }

    /// The context itself; it lives as long as the process.
    pub(super) fn as_ptr(&self) -> *mut OSSL_LIB_CTX {
        self.0.as_ptr()
    }
}

struct Cipher(NonNull<EVP_CIPHER>);

impl Cipher {
    fn fetch(name: &CStr) -> Option<Self> {
        let library = Library::open()?;
        // SAFETY: the context is live, the name a C string, no properties are asked for.
        let cipher = unsafe { openssl_sys::EVP_CIPHER_fetch(library.0.as_ptr(), name.as_ptr(), ptr::null()) };
        NonNull::new(cipher).map(Self)
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { openssl_sys::EVP_CIPHER_free(self.0.as_ptr()) };
    }
}

struct Context(NonNull<EVP_CIPHER_CTX>);

impl Context {
    fn new() -> Option<Self> {
        // SAFETY: allocates or returns null.
        NonNull::new(unsafe { openssl_sys::EVP_CIPHER_CTX_new() }).map(Self)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { openssl_sys::EVP_CIPHER_CTX_free(self.0.as_ptr()) };
    }
}

/// `OPENSSL_INIT_NO_LOAD_CONFIG`
const INIT_NO_LOAD_CONFIG: u64 = 0x80;

// Not declared by openssl-sys with this signature; from OPENSSL_init_crypto(3).
unsafe extern "C" {
    fn OPENSSL_init_crypto(options: u64, settings: *const std::ffi::c_void) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_is_there_and_goes_both_ways() {
        use Algorithm::{Aes128, Aes192, Aes256, Sm4, TripleDes};
        for algorithm in [Aes128, Aes192, Aes256, Sm4, TripleDes] {
            for mode in [Mode::Ecb, Mode::Cbc, Mode::Cfb, Mode::Ofb] {
                if algorithm.name(mode).is_none() {
                    continue;
                }
                let (key, iv) = (vec![7; algorithm.key_len()], vec![9; algorithm.block_len()]);
                let mut data = vec![3; 64];
                apply(algorithm, mode, Direction::Encrypt, &key, &iv, &mut data).unwrap();
                assert_ne!(data, [3; 64]);
                apply(algorithm, mode, Direction::Decrypt, &key, &iv, &mut data).unwrap();
                assert_eq!(data, [3; 64], "{algorithm:?} {mode:?}");
                assert_eq!(apply(algorithm, mode, Direction::Encrypt, &key[1..], &iv, &mut data), None);
            }
        }
    }

    #[test]
    fn partial_blocks_only_in_stream_modes() {
        let run = |mode, len| {
            apply(Algorithm::Aes128, mode, Direction::Encrypt, &[1; 16], &[2; 16], &mut vec![0; len])
        };
        assert_eq!([run(Mode::Ecb, 17), run(Mode::Cbc, 15)], [None, None]);
        assert_eq!([run(Mode::Cfb, 17), run(Mode::Ofb, 1)], [Some(()), Some(())]);
    }
}
