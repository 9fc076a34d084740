//! The compression functions behind libcrypto's digests: a device also gives out the state in the middle of a message, which
//! the EVP interface keeps to itself.
#![expect(unsafe_code, reason = "libcrypto's C interface")]

use std::ffi::{c_int, c_uint};
use std::mem::MaybeUninit;

use openssl_sys::{SHA_CTX, SHA256_CTX, SHA512_CTX};

/// Digests with a common compression function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 16 bytes of state.
    Md5,
    /// 20 bytes of state.
    Sha1,
    /// 32 bytes of state: SHA-224, SHA-256.
    Sha256,
    /// 64 bytes of state, blocks of 128: SHA-384, SHA-512 and what is cut from it.
    Sha512,
}

/// Absorbs whole blocks into `state`, which holds the chaining words in the byte order of the digest.
///
/// `None`: the state or the data has a wrong length.
pub fn absorb(family: Family, state: &mut [u8], blocks: &[u8]) -> Option<()> {
    let block_len = if family == Family::Sha512 { 128 } else { 64 };
    if blocks.len() % block_len != 0 {
        return None;
    }
    let (data, len) = (blocks.as_ptr().cast(), blocks.len());
    match family {
        Family::Md5 => {
            let words: [u32; 4] = words(state, u32::from_le_bytes)?;
            let [a, b, c, d] = words;
            let mut context = Md5Context { a, b, c, d, low: 0, high: 0, data: [0; 16], num: 0 };
            // SAFETY: the context is valid with an empty buffer, `data` is `len` readable bytes.
            (unsafe { MD5_Update(&raw mut context, data, len) } == 1).then_some(())?;
            fill(state, &[context.a, context.b, context.c, context.d].map(u32::to_le_bytes));
        }
        Family::Sha1 => {
            let words: [u32; 5] = words(state, u32::from_be_bytes)?;
            // SAFETY: integers only; all zero is an empty context.
            let mut context: SHA_CTX = unsafe { MaybeUninit::zeroed().assume_init() };
            [context.h0, context.h1, context.h2, context.h3, context.h4] = words;
            // SAFETY: as for MD5.
            (unsafe { openssl_sys::SHA1_Update(&raw mut context, data, len) } == 1).then_some(())?;
            let words = [context.h0, context.h1, context.h2, context.h3, context.h4];
            fill(state, &words.map(u32::to_be_bytes));
        }
        Family::Sha256 => {
            // SAFETY: integers only; all zero is an empty context.
            let mut context: SHA256_CTX = unsafe { MaybeUninit::zeroed().assume_init() };
            context.h = words(state, u32::from_be_bytes)?;
            // SAFETY: as for MD5.
            (unsafe { openssl_sys::SHA256_Update(&raw mut context, data, len) } == 1).then_some(())?;
            fill(state, &context.h.map(u32::to_be_bytes));
        }
        Family::Sha512 => {
            // SAFETY: integers only; all zero is an empty context.
            let mut context: SHA512_CTX = unsafe { MaybeUninit::zeroed().assume_init() };
            context.h = words(state, u64::from_be_bytes)?;
            // SAFETY: as for MD5.
            (unsafe { openssl_sys::SHA512_Update(&raw mut context, data, len) } == 1).then_some(())?;
            fill(state, &context.h.map(u64::to_be_bytes));
        }
    }
    Some(())
}

fn words<W: Copy + Default, const BYTES: usize, const COUNT: usize>(
    state: &[u8],
    decode: fn([u8; BYTES]) -> W,
) -> Option<[W; COUNT]> {
    let mut words = [W::default(); COUNT];
    if state.len() != BYTES * COUNT {
        return None;
    }
    for (word, bytes) in words.iter_mut().zip(state.chunks_exact(BYTES)) {
        *word = decode(bytes.try_into().ok()?);
    }
    Some(words)
}

fn fill<const BYTES: usize>(state: &mut [u8], words: &[[u8; BYTES]]) {
    for (bytes, word) in state.chunks_exact_mut(BYTES).zip(words) {
        bytes.copy_from_slice(word);
    }
}

/// `MD5_CTX`
#[repr(C)]
struct Md5Context {
    a: c_uint,
    b: c_uint,
    c: c_uint,
    d: c_uint,
    low: c_uint,
    high: c_uint,
    data: [c_uint; 16],
    num: c_uint,
}

// Not declared by openssl-sys; from MD5_Update(3) and <openssl/md5.h>.
unsafe extern "C" {
    fn MD5_Update(context: *mut Md5Context, data: *const std::ffi::c_void, len: usize) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked() {
        let families = [(Family::Md5, 16), (Family::Sha1, 20), (Family::Sha256, 32), (Family::Sha512, 64)];
        for (family, len) in families {
            let mut state = vec![1; len];
            assert_eq!(absorb(family, &mut state, &[]), Some(()));
            assert_eq!(state, vec![1; len]);
            assert_eq!(absorb(family, &mut state, &[0; 128]), Some(()));
            assert_ne!(state, vec![1; len]);
            assert_eq!(absorb(family, &mut state, &[0; 100]), None);
            assert_eq!(absorb(family, &mut state[1..], &[0; 128]), None);
        }
    }
}
