//! Digests and HMAC, whole or in pieces (sec §1.4, §3.6, §3.7).

use super::request::Request;
use super::{AUTHENTICATED, Answer, Failure, fetch};
use crate::device::Hardware;
use crate::model::sm3;
use crate::os::client::ClientSpace;
use crate::os::digest::{Family, absorb};

/// A digest, or the HMAC over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) hash: Hash,
    pub(super) keyed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
    Sm3,
}

impl Digest {
    pub(super) fn from_code(code: u32) -> Option<Self> {
        let hash = match code & 0xF {
            _ if code == 0x25 || code == 0x26 => Hash::Sm3,
            _ if code >= 0x20 => return None,
            0 => Hash::Sha1,
            1 => Hash::Sha256,
            2 => Hash::Md5,
            3 => Hash::Sha224,
            4 => Hash::Sha384,
            5 => Hash::Sha512,
            6 => Hash::Sha512_224,
            7 => Hash::Sha512_256,
            _ => return None,
        };
        Some(Self { hash, keyed: matches!(code, 0x10..=0x17 | 0x26) })
    }

    /// The key of an HMAC, filled up to a block; `None` for a plain digest.
    pub(super) fn key(self, request: &Request, space: &dyn ClientSpace) -> Result<Option<Vec<u8>>, Failure> {
        if !self.keyed {
            return Ok(None);
        }
        if request.auth_key_len > self.hash.block_len() {
            return Err(Failure::Algorithm);
        }
        let mut key = fetch(space, request.auth_key_at, request.auth_key_len)?;
        key.resize(self.hash.block_len(), 0);
        Ok(Some(key))
    }
}

impl Hash {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha512_224 => 28,
            Self::Sha256 | Self::Sha512_256 | Self::Sm3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(super) fn block_len(self) -> usize {
        match self {
            Self::Sha384 | Self::Sha512 | Self::Sha512_224 | Self::Sha512_256 => 128,
            _ => 64,
        }
    }

    /// Bytes of the chaining value, which is what an unfinished digest leaves.
    fn state_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha256 | Self::Sm3 => 32,
            _ => 64,
        }
    }

    fn initial(self) -> Result<Vec<u8>, Failure> {
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let long_bytes = |words: &[u64]| words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Ok(match self {
            Self::Md5 => [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476].map(u32::to_le_bytes).concat(),
            Self::Sha1 => bytes(&[0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]),
            Self::Sha224 => bytes(&SHA224),
            Self::Sha256 => bytes(&SHA256),
            Self::Sm3 => bytes(&sm3::INITIAL),
            Self::Sha384 => long_bytes(&SHA384),
            Self::Sha512 => long_bytes(&SHA512),
            Self::Sha512_224 => truncated_initial(b"SHA-512/224")?,
            Self::Sha512_256 => truncated_initial(b"SHA-512/256")?,
        })
    }

    fn absorb(self, state: &mut [u8], blocks: &[u8]) -> Result<(), Failure> {
        let family = match self {
            Self::Md5 => Family::Md5,
            Self::Sha1 => Family::Sha1,
            Self::Sha224 | Self::Sha256 => Family::Sha256,
            Self::Sha384 | Self::Sha512 | Self::Sha512_224 | Self::Sha512_256 => Family::Sha512,
            Self::Sm3 => {
                sm3::absorb_bytes(state, blocks);
                return Ok(());
            }
        };
        absorb(family, state, blocks).ok_or(Failure::Length)
    }

    /// Absorbs the last part of a message of `bits` bits altogether, and gives the digest.
    fn finish(self, mut state: Vec<u8>, data: &[u8], bits: u64) -> Result<Vec<u8>, Failure> {
        let block_len = self.block_len();
        let (whole, rest) = data.split_at(data.len() - data.len() % block_len);
        self.absorb(&mut state, whole)?;
        let mut tail = rest.to_vec();
        tail.push(0x80);
        let length_len = block_len / 8;
        let padded_len = (tail.len() + length_len).next_multiple_of(block_len);
        tail.resize(padded_len - 8, 0);
        tail.extend(if self == Self::Md5 { bits.to_le_bytes() } else { bits.to_be_bytes() });
        self.absorb(&mut state, &tail)?;
        state.truncate(self.len());
        Ok(state)
    }

    /// HMAC of a whole message; `key` is a block long.
    pub(super) fn hmac(self, key: &[u8], message: &[u8]) -> Result<Vec<u8>, Failure> {
        let state = self.keyed_state(key, 0x36)?;
        let inner = self.finish(state, message, self.bits_with_key(message.len() as u64 * 8))?;
        self.outer(key, &inner)
    }

    fn outer(self, key: &[u8], inner: &[u8]) -> Result<Vec<u8>, Failure> {
        let state = self.keyed_state(key, 0x5C)?;
        self.finish(state, inner, self.bits_with_key(inner.len() as u64 * 8))
    }

    fn keyed_state(self, key: &[u8], pad: u8) -> Result<Vec<u8>, Failure> {
        let mut state = self.initial()?;
        let block: Vec<u8> = key.iter().map(|byte| byte ^ pad).collect();
        self.absorb(&mut state, &block)?;
        Ok(state)
    }

    fn bits_with_key(self, bits: u64) -> u64 {
        bits.wrapping_add(self.block_len() as u64 * 8)
    }
}

pub(super) fn run(
    request: &Request,
    digest: Digest,
    hardware: Hardware,
    space: &dyn ClientSpace,
) -> Result<Answer, Failure> {
    let hash = digest.hash;
    let len = request.auth_len;
    // Only the last piece of a stream may be empty, and on v3 a message that is whole (sec §2.5).
    let empty_allowed = !request.pauses && (request.resumes || hardware == Hardware::V3);
    if len == 0 && !empty_allowed || request.pauses && len % hash.block_len() != 0 {
        return Err(Failure::Length);
    }
    let out_len = match (request.pauses, request.mac_len) {
        // What the field says then differs from driver to driver (sec §3.6).
        (true, _) => hash.state_len(),
        (false, 0) if !digest.keyed && hash != Hash::Sm3 => hash.len(),
        (false, 0) => return Err(Failure::Length),
        (false, mac_len) if mac_len > hash.len() => return Err(Failure::Length),
        (false, mac_len) => mac_len,
    };
    let key = digest.key(request, space)?;
    let end = if len == 0 { 0 } else { request.auth_offset + len };
    let bytes = request.read(end, space)?;
    let data = bytes.get(request.auth_offset.min(end)..).unwrap_or_default();
    let mut state = match (&key, request.resumes) {
        (_, true) => fetch(space, request.auth_iv_at, hash.state_len())?,
        (Some(key), false) => hash.keyed_state(key, 0x36)?,
        (None, false) => hash.initial()?,
    };
    let mut output = if request.pauses {
        hash.absorb(&mut state, data)?;
        state
    } else {
        let bits = if request.resumes { request.total } else { len as u64 * 8 };
        match &key {
            Some(key) => {
                let inner = hash.finish(state, data, hash.bits_with_key(bits))?;
                hash.outer(key, &inner)?
            }
            None => hash.finish(state, data, bits)?,
        }
    };
    output.truncate(out_len);
    space.write(request.mac_at, &output)?;
    Ok(Answer { flag: AUTHENTICATED, mismatch: false })
}

/// FIPS 180-4 §5.3.6: SHA-512 of the name, from another initial value.
fn truncated_initial(name: &[u8]) -> Result<Vec<u8>, Failure> {
    let state = SHA512.iter().flat_map(|word| (word ^ 0xA5A5_A5A5_A5A5_A5A5).to_be_bytes()).collect();
    Hash::Sha512.finish(state, name, name.len() as u64 * 8)
}

const SHA224: [u32; 8] =
    [0xC105_9ED8, 0x367C_D507, 0x3070_DD17, 0xF70E_5939, 0xFFC0_0B31, 0x6858_1511, 0x64F9_8FA7, 0xBEFA_4FA4];
const SHA256: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
const SHA384: [u64; 8] = [
    0xCBBB_9D5D_C105_9ED8,
    0x629A_292A_367C_D507,
    0x9159_015A_3070_DD17,
    0x152F_ECD8_F70E_5939,
    0x6733_2667_FFC0_0B31,
    0x8EB4_4A87_6858_1511,
    0xDB0C_2E0D_64F9_8FA7,
    0x47B5_481D_BEFA_4FA4,
];
const SHA512: [u64; 8] = [
    0x6A09_E667_F3BC_C908,
    0xBB67_AE85_84CA_A73B,
    0x3C6E_F372_FE94_F82B,
    0xA54F_F53A_5F1D_36F1,
    0x510E_527F_ADE6_82D1,
    0x9B05_688C_2B3E_6C1F,
    0x1F83_D9AB_FB41_BD6B,
    0x5BE0_CD19_137E_2179,
];
