//! MACs made of a block cipher, whole messages only (sec §3.8).

use super::cipher::{Keyed, block, xor};
use super::ghash::Ghash;
use super::request::Request;
use super::{AUTHENTICATED, Answer, Failure, fetch};
use crate::device::Hardware;
use crate::os::cipher::{Algorithm, Direction, Mode};
use crate::os::client::ClientSpace;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mac {
    /// RFC 3566 and RFC 4434.
    Xcbc,
    /// SP 800-38B, RFC 4493.
    Cmac,
    /// SP 800-38D, with AES or SM4; also how a GCM stream begins.
    Gmac(Family),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Aes,
    Sm4,
}

impl Mac {
    pub(super) fn from_code(code: u32) -> Option<Self> {
        match code {
            0x20 => Some(Self::Xcbc),
            0x21 => Some(Self::Cmac),
            0x22 => Some(Self::Gmac(Family::Aes)),
            0x31 => Some(Self::Gmac(Family::Sm4)),
            _ => None,
        }
    }

    /// The cipher under the authentication key.
    pub(super) fn keyed(self, request: &Request, space: &dyn ClientSpace) -> Result<Keyed, Failure> {
        let algorithm = match (self, request.auth_key_len) {
            (Self::Gmac(Family::Sm4), 16) => Algorithm::Sm4,
            (Self::Gmac(Family::Sm4), _) => return Err(Failure::Algorithm),
            (_, 16) => Algorithm::Aes128,
            (Self::Xcbc, _) => return Err(Failure::Algorithm),
            (_, 24) => Algorithm::Aes192,
            (_, 32) => Algorithm::Aes256,
            _ => return Err(Failure::Algorithm),
        };
        Ok(Keyed { algorithm, key: fetch(space, request.auth_key_at, request.auth_key_len)? })
    }
}

pub(super) fn run(
    request: &Request,
    mac: Mac,
    hardware: Hardware,
    space: &dyn ClientSpace,
) -> Result<Answer, Failure> {
    let gmac = matches!(mac, Mac::Gmac(_));
    if hardware != Hardware::V3 || request.pauses || request.resumes != gmac {
        return Err(Failure::Algorithm);
    }
    if !(4..=16).contains(&request.mac_len) || request.auth_len == 0 && !gmac {
        return Err(Failure::Length);
    }
    let keyed = mac.keyed(request, space)?;
    let end = if request.auth_len == 0 { 0 } else { request.auth_offset + request.auth_len };
    let bytes = request.read(end, space)?;
    let message = bytes.get(request.auth_offset.min(end)..).unwrap_or_default();
    let output = match mac {
        Mac::Xcbc => xcbc(&keyed, message)?,
        Mac::Cmac => cmac(&keyed, message)?,
        Mac::Gmac(_) => {
            // Twelve bytes of the buffer count (sec §3.8).
            let nonce = fetch(space, request.auth_iv_at, 12)?;
            let mut hash = Ghash::new(keyed.block([0; 16])?, [0; 16]);
            hash.update(message);
            hash.update_lengths(message.len() as u64, 0);
            let mut tag = hash.state();
            xor(&mut tag, &keyed.block(first_counter(&nonce)?)?);
            tag
        }
    };
    space.write(request.mac_at, output.get(..request.mac_len).ok_or(Failure::Length)?)?;
    Ok(Answer { flag: AUTHENTICATED, mismatch: false })
}

/// J0 of a 12-byte nonce.
pub(super) fn first_counter(nonce: &[u8]) -> Result<[u8; 16], Failure> {
    block(&[nonce, &[0, 0, 0, 1]].concat())
}

fn cmac(keyed: &Keyed, message: &[u8]) -> Result<[u8; 16], Failure> {
    let first = doubled(keyed.block([0; 16])?);
    chained(keyed, message, first, doubled(first))
}

fn xcbc(keyed: &Keyed, message: &[u8]) -> Result<[u8; 16], Failure> {
    let key = |byte| keyed.block([byte; 16]);
    let (second, third) = (key(2)?, key(3)?);
    let keyed = Keyed { algorithm: keyed.algorithm, key: key(1)?.to_vec() };
    chained(&keyed, message, second, third)
}

/// The last block of CBC over the message, its last block mixed with `whole`, or padded and mixed with `cut`.
fn chained(keyed: &Keyed, message: &[u8], whole: [u8; 16], cut: [u8; 16]) -> Result<[u8; 16], Failure> {
    let mut padded = message.to_vec();
    let mask = if message.is_empty() || message.len() % 16 != 0 {
        padded.push(0x80);
        padded.resize(padded.len().next_multiple_of(16), 0);
        cut
    } else {
        whole
    };
    let last_at = padded.len() - 16;
    xor(padded.get_mut(last_at..).ok_or(Failure::Length)?, &mask);
    keyed.apply(Mode::Cbc, Direction::Encrypt, &[0; 16], &mut padded)?;
    block(padded.get(last_at..).ok_or(Failure::Length)?)
}

/// Times x, the first byte being the highest.
fn doubled(value: [u8; 16]) -> [u8; 16] {
    let value = u128::from_be_bytes(value);
    let reduction = if value >> 127 == 1 { 0x87 } else { 0 };
    (value << 1 ^ reduction).to_be_bytes()
}
