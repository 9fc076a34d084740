//! SEC: ciphers, authenticated ciphers, digests and MACs, by descriptors of both generations (sec §1, §2, §3, §8).

mod aead;
mod cipher;
mod digest;
mod ghash;
mod mac;
mod request;

use self::request::{Request, Step};
use super::segments::{SegmentError, Segments};
use super::{Model, set_word, word};
use crate::device::Hardware;
use crate::os::client::{ClientSpace, MemoryError};

/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 128;

/// The engine of one queue. Descriptors of any kind may follow each other: nothing is kept between them.
pub struct Sec {
    hardware: Hardware,
}

/// Why a request was refused. No table of `error_type` is public: these are "any nonzero value", chosen here (sec §8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Failure {
    /// A descriptor type this hardware has not.
    Type = 1,
    /// An algorithm, mode, key length or combination this hardware has not.
    Algorithm = 2,
    /// A length the algorithm or this hardware has no answer for.
    Length = 3,
    /// An address that does not translate.
    Address = 4,
    /// A broken scatter-gather list, or one with too few bytes.
    List = 5,
}

/// What a finished request says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    /// Bit 1: ciphered; bit 0: authenticated (sec §4).
    flag: u32,
    /// The MAC or tag is not the expected one.
    mismatch: bool,
}

impl Sec {
    /// An engine of this generation.
    pub fn new(hardware: Hardware) -> Self {
        Self { hardware }
    }

    fn run(&self, descriptor: &[u8], space: &dyn ClientSpace) -> Result<Answer, Failure> {
        let request = Request::parse(descriptor, self.hardware)?;
        if request.invalid {
            // Its addresses are live: nothing may be touched (sec §8.1).
            return Ok(Answer { flag: 0, mismatch: false });
        }
        match request.step()? {
            Step::Cipher => cipher::run(&request, self.hardware, space),
            Step::Gcm => aead::gcm(&request, self.hardware, space),
            Step::GcmFirst => aead::gcm_first(&request, space),
            Step::GcmMiddle => aead::gcm_middle(&request, space),
            Step::GcmEnd => aead::gcm_end(&request, self.hardware, space),
            Step::Ccm => aead::ccm(&request, self.hardware, space),
            Step::CipherAndMac => aead::cipher_and_mac(&request, self.hardware, space),
            Step::Digest(algorithm) => digest::run(&request, algorithm, self.hardware, space),
            Step::Mac(algorithm) => mac::run(&request, algorithm, self.hardware, space),
        }
    }
}

impl Model for Sec {
    fn execute(&mut self, descriptor: &mut [u8], space: &dyn ClientSpace) {
        let status = match self.run(descriptor, space) {
            Ok(Answer { flag, mismatch }) => DONE | (u32::from(mismatch) * MISMATCH) | flag << 7,
            Err(failure) => {
                if failure == Failure::Address && word(descriptor, 0) & 0xF == 3 {
                    let translation = word(descriptor, 30) & !0xFF00 | 1 << 8;
                    set_word(descriptor, 30, translation);
                }
                DONE | (failure as u32) << 16
            }
        };
        set_word(descriptor, 28, status);
    }
}

impl From<MemoryError> for Failure {
    fn from(_: MemoryError) -> Self {
        Self::Address
    }
}

impl From<SegmentError> for Failure {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Broken | SegmentError::Short => Self::List,
            SegmentError::Fault => Self::Address,
        }
    }
}

/// `len` bytes of flat memory; an address that carries nothing is not touched.
fn fetch(space: &dyn ClientSpace, at: u64, len: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; len];
    if len > 0 {
        space.read(at, &mut bytes)?;
    }
    Ok(bytes)
}

const DONE: u32 = 1;
/// 2 in the field for comparisons.
const MISMATCH: u32 = 2 << 1;
/// `Answer::flag`
const CIPHERED: u32 = 2;
const AUTHENTICATED: u32 = 1;
/// Most bytes of one descriptor (sec §2.4).
const MAX_LEN: usize = 0xFF_FE00;

#[cfg(test)]
mod tests;
