//! A descriptor of type 2 or 3, read into one form (sec §1).

use super::digest::Digest;
use super::mac::Mac;
use super::{Failure, MAX_LEN, Segments};
use crate::device::Hardware;
use crate::model::{address, word};
use crate::os::cipher::Direction;
use crate::os::client::ClientSpace;

/// Fields of a descriptor. Lengths and offsets are in bytes.
pub(super) struct Request {
    /// Complete without doing anything.
    pub(super) invalid: bool,
    pub(super) cipher: Option<Direction>,
    pub(super) auth: Auth,
    /// The MAC is of what goes in, not of what comes out.
    pub(super) auth_first: bool,
    pub(super) stream: bool,
    pub(super) cipher_mode: u32,
    pub(super) cipher_algorithm: u32,
    pub(super) cipher_key_code: u32,
    /// CTS variant.
    pub(super) cipher_width: u32,
    /// GCM and CCM.
    pub(super) tag_len: usize,
    pub(super) mac_len: usize,
    pub(super) auth_key_len: usize,
    pub(super) auth_algorithm: u32,
    /// The state comes from memory.
    pub(super) resumes: bool,
    /// The state goes to memory, unfinished.
    pub(super) pauses: bool,
    /// Of CTR: 2 counts in 128 bits; of SM4-XTS: 1 is the Chinese standard.
    pub(super) variant: u32,
    pub(super) auth_len: usize,
    pub(super) cipher_len: usize,
    pub(super) auth_offset: usize,
    pub(super) cipher_offset: usize,
    pub(super) total: u64,
    pub(super) auth_key_at: u64,
    pub(super) auth_iv_at: u64,
    pub(super) cipher_key_at: u64,
    pub(super) cipher_iv_at: u64,
    pub(super) mac_at: u64,
    source: Place,
    destination: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    Nothing,
    Compute,
    Verify,
}

/// What is to be computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Cipher,
    Gcm,
    GcmFirst,
    GcmMiddle,
    GcmEnd,
    Ccm,
    CipherAndMac,
    Digest(Digest),
    Mac(Mac),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    kind: u32,
    at: u64,
}

impl Request {
    pub(super) fn parse(descriptor: &[u8], hardware: Hardware) -> Result<Self, Failure> {
        match (word(descriptor, 0) & 0xF, hardware) {
            (2, _) => Self::type_2(descriptor),
            (3, Hardware::V3) => Self::type_3(descriptor),
            _ => Err(Failure::Type),
        }
    }

    fn type_2(descriptor: &[u8]) -> Result<Self, Failure> {
        let field = |index: usize, low: u32, width: u32| field(descriptor, index, low, width);
        Self {
            invalid: field(1, 31, 1) == 1,
            cipher: direction(field(0, 4, 2))?,
            auth: auth(field(0, 6, 2))?,
            auth_first: field(0, 8, 1) == 1,
            stream: field(0, 11, 4) == STREAM,
            cipher_mode: field(3, 12, 4),
            cipher_algorithm: field(3, 16, 4),
            cipher_key_code: field(3, 9, 3),
            cipher_width: field(3, 6, 3),
            tag_len: field(3, 0, 6) as usize,
            mac_len: field(2, 0, 5) as usize * 4,
            auth_key_len: field(2, 5, 6) as usize * 4,
            auth_algorithm: field(2, 11, 6),
            resumes: field(1, 8, 2) == 1,
            pauses: field(1, 10, 2) == 1,
            variant: 0,
            auth_len: field(4, 0, 24) as usize,
            cipher_len: field(5, 0, 24) as usize,
            auth_offset: field(6, 0, 16) as usize,
            cipher_offset: field(6, 16, 16) as usize,
            total: address(descriptor, 12),
            auth_key_at: address(descriptor, 16),
            auth_iv_at: address(descriptor, 14),
            cipher_key_at: address(descriptor, 22),
            cipher_iv_at: address(descriptor, 20),
            mac_at: address(descriptor, 18),
            source: Place { kind: field(0, 15, 3), at: address(descriptor, 24) },
            destination: Place { kind: field(0, 18, 3), at: address(descriptor, 26) },
        }
        .checked(field(0, 9, 2), field(0, 11, 4), field(0, 21, 3))
    }

    fn type_3(descriptor: &[u8]) -> Result<Self, Failure> {
        let field = |index: usize, low: u32, width: u32| field(descriptor, index, low, width);
        // The scene's area means something in streams only (sec §8.1).
        let stream = field(0, 5, 4) == STREAM;
        Self {
            invalid: field(0, 4, 1) == 1,
            cipher: direction(field(1, 0, 2))?,
            auth: auth(field(14, 0, 2))?,
            auth_first: field(1, 30, 1) == 1,
            stream,
            cipher_mode: field(1, 16, 4),
            cipher_algorithm: field(1, 20, 4),
            cipher_key_code: field(1, 13, 3),
            cipher_width: field(1, 10, 3),
            tag_len: field(1, 4, 6) as usize,
            mac_len: field(14, 4, 5) as usize * 4,
            auth_key_len: field(14, 9, 6) as usize * 4,
            auth_algorithm: field(14, 15, 6),
            resumes: field(14, 2, 2) == 1,
            pauses: stream && field(27, 0, 2) == 1,
            variant: field(14, 25, 2),
            auth_len: field(17, 0, 24) as usize,
            cipher_len: field(18, 0, 24) as usize,
            auth_offset: field(16, 0, 16) as usize,
            cipher_offset: field(16, 16, 16) as usize,
            total: if stream { address(descriptor, 25) } else { 0 },
            auth_key_at: address(descriptor, 6),
            auth_iv_at: address(descriptor, 8),
            cipher_key_at: address(descriptor, 12),
            cipher_iv_at: address(descriptor, 23),
            mac_at: address(descriptor, 21),
            source: Place { kind: field(0, 11, 3), at: address(descriptor, 4) },
            destination: Place { kind: field(0, 14, 3), at: address(descriptor, 19) },
        }
        .checked(field(0, 9, 2), field(0, 5, 4), field(0, 17, 3))
    }

    fn checked(mut self, destination: u32, scene: u32, mac_kind: u32) -> Result<Self, Failure> {
        if self.invalid {
            return Ok(self);
        }
        if !matches!(scene, 0 | 1 | STREAM) || destination > 1 || mac_kind != FLAT {
            return Err(Failure::Algorithm);
        }
        if destination == 0 {
            self.destination = self.source;
        }
        if self.auth_len > MAX_LEN || self.cipher_len > MAX_LEN {
            return Err(Failure::Length);
        }
        Ok(self)
    }

    /// Sec §8.1, by cipher and authentication first: other fields carry remains.
    pub(super) fn step(&self) -> Result<Step, Failure> {
        if self.cipher.is_some() {
            return match self.cipher_mode {
                GCM => Ok(match (self.stream, self.pauses) {
                    (false, _) => Step::Gcm,
                    (true, true) => Step::GcmMiddle,
                    (true, false) => Step::GcmEnd,
                }),
                CCM => Ok(Step::Ccm),
                _ if self.auth != Auth::Nothing => Ok(Step::CipherAndMac),
                _ => Ok(Step::Cipher),
            };
        }
        if self.auth != Auth::Compute {
            return Err(Failure::Algorithm);
        }
        match Mac::from_code(self.auth_algorithm) {
            Some(Mac::Gmac(_)) if self.stream => {
                if self.pauses && !self.resumes {
                    Ok(Step::GcmFirst)
                } else {
                    Err(Failure::Algorithm)
                }
            }
            Some(mac) => Ok(Step::Mac(mac)),
            None => Digest::from_code(self.auth_algorithm).map(Step::Digest).ok_or(Failure::Algorithm),
        }
    }

    /// The first `len` bytes of the source; without any, the address is not touched.
    pub(super) fn read(&self, len: usize, space: &dyn ClientSpace) -> Result<Vec<u8>, Failure> {
        if len == 0 {
            return Ok(Vec::new());
        }
        Ok(self.source.segments(len, space)?.gather(len, space)?)
    }

    /// Writes the destination from its beginning.
    pub(super) fn write(&self, bytes: &[u8], space: &dyn ClientSpace) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let segments = self.destination.segments(bytes.len(), space)?;
        if segments.len() < bytes.len() {
            return Err(Failure::List);
        }
        Ok(segments.scatter(bytes, space)?)
    }
}

impl Place {
    fn segments(self, len: usize, space: &dyn ClientSpace) -> Result<Segments, Failure> {
        match self.kind {
            FLAT => Ok(Segments::flat(self.at, len)),
            LIST => Ok(Segments::walk(self.at, 0, len, space)?),
            _ => Err(Failure::Algorithm),
        }
    }
}

/// `width` bits of word `index`, from bit `low` up.
fn field(descriptor: &[u8], index: usize, low: u32, width: u32) -> u32 {
    word(descriptor, index) >> low & ((1 << width) - 1)
}

fn direction(code: u32) -> Result<Option<Direction>, Failure> {
    match code {
        0 => Ok(None),
        1 => Ok(Some(Direction::Encrypt)),
        2 => Ok(Some(Direction::Decrypt)),
        _ => Err(Failure::Algorithm),
    }
}

fn auth(code: u32) -> Result<Auth, Failure> {
    match code {
        0 => Ok(Auth::Nothing),
        1 => Ok(Auth::Compute),
        2 => Ok(Auth::Verify),
        _ => Err(Failure::Algorithm),
    }
}

/// Cipher modes that authenticate too.
const CCM: u32 = 5;
const GCM: u32 = 6;
const STREAM: u32 = 7;
/// Kinds of addresses.
const FLAT: u32 = 0;
const LIST: u32 = 1;
