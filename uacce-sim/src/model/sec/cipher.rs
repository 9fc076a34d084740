//! Plain ciphers (sec §1.5, §2.5, §3.1).

use super::ghash::times_x;
use super::request::Request;
use super::{Answer, CIPHERED, Failure, fetch};
use crate::device::Hardware;
use crate::os::cipher::{Algorithm, Direction, Mode, apply};
use crate::os::client::ClientSpace;

/// A cipher with its key.
pub(super) struct Keyed {
    pub(super) algorithm: Algorithm,
    pub(super) key: Vec<u8>,
}

pub(super) fn run(request: &Request, hardware: Hardware, space: &dyn ClientSpace) -> Result<Answer, Failure> {
    let direction = request.cipher.ok_or(Failure::Algorithm)?;
    let algorithm = algorithm(request)?;
    let end = request.cipher_offset + request.cipher_len;
    check(request, algorithm, hardware)?;
    let keyed = Keyed::read(request, algorithm, space)?;
    let iv_len = if request.cipher_mode == ECB { 0 } else { algorithm.block_len() };
    let iv = fetch(space, request.cipher_iv_at, iv_len)?;
    let mut bytes = request.read(end, space)?;
    let data = bytes.get_mut(request.cipher_offset..).ok_or(Failure::Length)?;
    match request.cipher_mode {
        ECB => keyed.apply(Mode::Ecb, direction, &iv, data),
        CBC => keyed.apply(Mode::Cbc, direction, &iv, data),
        CFB => keyed.apply(Mode::Cfb, direction, &iv, data),
        OFB => keyed.apply(Mode::Ofb, direction, &iv, data),
        CTR => keyed.count(block(&iv)?, if request.variant == 2 { u128::MAX } else { 0xFFFF_FFFF }, data),
        XTS => xts(request, algorithm, direction, block(&iv)?, data, space),
        _ => keyed.steal(request.cipher_width, direction, &iv, data),
    }?;
    request.write(&bytes, space)?;
    Ok(Answer { flag: CIPHERED, mismatch: false })
}

/// Which combinations exist (sec §2.5, §8.4).
fn check(request: &Request, algorithm: Algorithm, hardware: Hardware) -> Result<(), Failure> {
    let len = request.cipher_len;
    let block_len = algorithm.block_len();
    let lengths_fit = match request.cipher_mode {
        ECB | CBC => len > 0 && len % block_len == 0,
        CFB | OFB if hardware == Hardware::V3 => len > 0,
        CTR => len > 0,
        XTS | CTS => len >= block_len,
        _ => return Err(Failure::Algorithm),
    };
    let feedback = !matches!(request.cipher_mode, ECB | CBC);
    let wrong_variant = request.cipher_mode == CTS && !(1..=3).contains(&request.cipher_width);
    let wrong_halves = request.cipher_mode == XTS && algorithm == Algorithm::Aes192;
    if feedback && algorithm == Algorithm::TripleDes || wrong_variant || wrong_halves {
        return Err(Failure::Algorithm);
    }
    if lengths_fit { Ok(()) } else { Err(Failure::Length) }
}

/// The cipher and the size of its key.
pub(super) fn algorithm(request: &Request) -> Result<Algorithm, Failure> {
    match (request.cipher_algorithm, request.cipher_key_code) {
        // One driver leaves out single DES's code (sec §10.1).
        (DES, 0 | 1) | (TRIPLE_DES, 1 | 3) => Ok(Algorithm::TripleDes),
        (2, 0) => Ok(Algorithm::Aes128),
        (2, 1) => Ok(Algorithm::Aes192),
        (2, 2) => Ok(Algorithm::Aes256),
        (3, 0) => Ok(Algorithm::Sm4),
        _ => Err(Failure::Algorithm),
    }
}

impl Keyed {
    /// With the key in client memory.
    pub(super) fn read(
        request: &Request,
        algorithm: Algorithm,
        space: &dyn ClientSpace,
    ) -> Result<Self, Failure> {
        let at = request.cipher_key_at;
        let key = match (request.cipher_algorithm, request.cipher_key_code) {
            // Single DES is triple DES with the same key three times.
            (DES, _) => fetch(space, at, 8)?.repeat(3),
            (TRIPLE_DES, 3) => {
                let two = fetch(space, at, 16)?;
                [two.as_slice(), two.get(..8).unwrap_or_default()].concat()
            }
            _ => fetch(space, at, algorithm.key_len())?,
        };
        Ok(Self { algorithm, key })
    }

    pub(super) fn apply(
        &self,
        mode: Mode,
        direction: Direction,
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), Failure> {
        apply(self.algorithm, mode, direction, &self.key, iv, data).ok_or(Failure::Algorithm)
    }

    /// One block, enciphered.
    pub(super) fn block(&self, mut block: [u8; 16]) -> Result<[u8; 16], Failure> {
        self.apply(Mode::Ecb, Direction::Encrypt, &[], &mut block)?;
        Ok(block)
    }

    /// Counter mode from `counter` on; `mask`: the bits that count, the others stay.
    pub(super) fn count(&self, counter: [u8; 16], mask: u128, data: &mut [u8]) -> Result<(), Failure> {
        let first = u128::from_be_bytes(counter);
        let mut step = 0u128;
        // In parts, so that the key stream needs little memory.
        for part in data.chunks_mut(COUNTED_PART) {
            let mut stream = Vec::with_capacity(part.len().next_multiple_of(16));
            for _ in 0..part.len().div_ceil(16) {
                let block = first & !mask | first.wrapping_add(step) & mask;
                stream.extend(block.to_be_bytes());
                step = step.wrapping_add(1);
            }
            self.apply(Mode::Ecb, Direction::Encrypt, &[], &mut stream)?;
            xor(part, &stream);
        }
        Ok(())
    }

    /// CBC with ciphertext stealing (SP 800-38A addendum): variant 1 keeps the order of the last two blocks, 3 swaps them, 2
    /// swaps them unless they are whole.
    fn steal(&self, variant: u32, direction: Direction, iv: &[u8], data: &mut [u8]) -> Result<(), Failure> {
        let len = data.len();
        let tail = match len % 16 {
            0 => 16,
            tail => tail,
        };
        if len <= 16 {
            return self.apply(Mode::Cbc, direction, iv, data);
        }
        let swaps = variant == 3 || variant == 2 && tail < 16;
        // Everything before the last whole block and the tail.
        let head_len = len - 16 - tail;
        match direction {
            Direction::Encrypt => {
                let mut padded = data.to_vec();
                padded.resize(head_len + 32, 0);
                self.apply(Mode::Cbc, direction, iv, &mut padded)?;
                let (head, last_two) = padded.split_at(head_len);
                let (cut, last) = last_two.split_at(16);
                let cut = cut.get(..tail).unwrap_or_default();
                let joined = if swaps { [head, last, cut] } else { [head, cut, last] }.concat();
                data.copy_from_slice(&joined);
            }
            Direction::Decrypt => {
                let (head, last_two) = data.split_at(head_len);
                let (cut, last) = if swaps {
                    let (last, cut) = last_two.split_at(16);
                    (cut, last)
                } else {
                    last_two.split_at(tail)
                };
                // The last block holds, under CBC, what was stolen from the one before.
                let mut opened = last.to_vec();
                self.apply(Mode::Ecb, direction, &[], &mut opened)?;
                let stolen = opened.get(tail..).unwrap_or_default();
                let mut whole = [head, cut, stolen, last].concat();
                self.apply(Mode::Cbc, direction, iv, &mut whole)?;
                data.copy_from_slice(whole.get(..len).ok_or(Failure::Length)?);
            }
        }
        Ok(())
    }
}

/// XTS with ciphertext stealing (IEEE 1619), and the variant of GB/T 17964 for SM4. The key is the data's, then the tweak's.
fn xts(
    request: &Request,
    algorithm: Algorithm,
    direction: Direction,
    iv: [u8; 16],
    data: &mut [u8],
    space: &dyn ClientSpace,
) -> Result<(), Failure> {
    let half = algorithm.key_len();
    let mut key = fetch(space, request.cipher_key_at, half * 2)?;
    let tweak_key = key.split_off(half);
    let (keyed, tweaking) = (Keyed { algorithm, key }, Keyed { algorithm, key: tweak_key });
    let next: fn([u8; 16]) -> [u8; 16] =
        if algorithm == Algorithm::Sm4 && request.variant == 1 { next_tweak_gb } else { next_tweak };
    let mut tweaks = vec![tweaking.block(iv)?];
    for _ in 0..data.len().div_ceil(16) {
        tweaks.extend(tweaks.last().map(|tweak| next(*tweak)));
    }
    let tail_len = data.len() % 16;
    let whole_len = data.len() - tail_len;
    let (whole, tail) = data.split_at_mut(whole_len);
    let blocks = whole_len / 16;
    if tail_len > 0 && direction == Direction::Decrypt {
        // The last whole block was made with the tweak after its own.
        tweaks.swap(blocks - 1, blocks);
    }
    let mask = tweaks.concat();
    xor(whole, &mask);
    keyed.apply(Mode::Ecb, direction, &[], whole)?;
    xor(whole, &mask);
    if tail_len > 0 {
        let last_at = whole_len - 16;
        let (_, last) = whole.split_at_mut(last_at);
        tail.swap_with_slice(last.get_mut(..tail_len).ok_or(Failure::Length)?);
        let tweak = tweaks.get(blocks).ok_or(Failure::Length)?;
        xor(last, tweak);
        keyed.apply(Mode::Ecb, direction, &[], last)?;
        xor(last, tweak);
    }
    Ok(())
}

/// Times x, the first byte being the lowest.
fn next_tweak(tweak: [u8; 16]) -> [u8; 16] {
    let value = u128::from_le_bytes(tweak);
    let reduction = if value >> 127 == 1 { 0x87 } else { 0 };
    (value << 1 ^ reduction).to_le_bytes()
}

/// Times x, in GHASH's order of bits.
fn next_tweak_gb(tweak: [u8; 16]) -> [u8; 16] {
    times_x(u128::from_be_bytes(tweak)).to_be_bytes()
}

/// Exclusive or, as far as both reach.
pub(super) fn xor(target: &mut [u8], mask: &[u8]) {
    for (target, mask) in target.iter_mut().zip(mask) {
        *target ^= mask;
    }
}

/// Sixteen bytes as an array.
pub(super) fn block(bytes: &[u8]) -> Result<[u8; 16], Failure> {
    bytes.try_into().map_err(|_| Failure::Length)
}

const ECB: u32 = 0;
pub(super) const CBC: u32 = 1;
const CFB: u32 = 2;
const OFB: u32 = 3;
const CTR: u32 = 4;
const XTS: u32 = 7;
const CTS: u32 = 9;
const DES: u32 = 0;
const TRIPLE_DES: u32 = 1;
const COUNTED_PART: usize = 1 << 16;
