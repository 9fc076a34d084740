//! Authenticated ciphers: GCM whole and as a stream, CCM, and a cipher beside an HMAC (sec §3.2 to §3.5).

use super::cipher::{CBC, Keyed, algorithm, block, xor};
use super::digest::{Digest, Hash};
use super::ghash::Ghash;
use super::mac::{Mac, first_counter};
use super::request::{Auth, Request};
use super::{AUTHENTICATED, Answer, CIPHERED, Failure, MAX_LEN, fetch};
use crate::device::Hardware;
use crate::os::cipher::{Algorithm, Direction, Mode};
use crate::os::client::ClientSpace;

/// The whole source: what is authenticated only, and the text.
struct Input {
    bytes: Vec<u8>,
    additional: Vec<u8>,
    text_at: usize,
}

impl Input {
    fn read(request: &Request, space: &dyn ClientSpace) -> Result<Self, Failure> {
        let text_at = request.cipher_offset;
        let auth_end = request.auth_offset + request.auth_len;
        let text_end = text_at + request.cipher_len;
        if request.auth_len + request.cipher_len > MAX_LEN {
            return Err(Failure::Length);
        }
        let mut bytes = request.read(auth_end.max(text_end), space)?;
        let additional = bytes.get(request.auth_offset..auth_end).unwrap_or_default().to_vec();
        bytes.truncate(text_end);
        Ok(Self { bytes, additional, text_at })
    }

    fn text(&mut self) -> Result<&mut [u8], Failure> {
        self.bytes.get_mut(self.text_at..).ok_or(Failure::Length)
    }

    /// Writes the text. Beside another destination, what is before it is copied too (sec §8.4).
    fn write(&self, request: &Request, space: &dyn ClientSpace) -> Result<(), Failure> {
        if self.text_at >= self.bytes.len() {
            return Ok(());
        }
        // In place the same bytes would be written over themselves.
        request.write(&self.bytes, space)
    }
}

/// The whole message in one request.
pub(super) fn gcm(request: &Request, hardware: Hardware, space: &dyn ClientSpace) -> Result<Answer, Failure> {
    let direction = request.cipher.ok_or(Failure::Algorithm)?;
    let keyed = keyed(request, hardware, space)?;
    check_empty(request, hardware)?;
    let mut input = Input::read(request, space)?;
    // Not a byte more: the buffer may end there (sec §8.4).
    let counter = first_counter(&fetch(space, request.cipher_iv_at, 12)?)?;
    let mut hash = Ghash::new(keyed.block([0; 16])?, [0; 16]);
    hash.update(&input.additional);
    let text = input.text()?;
    text_and_hash(&keyed, direction, counter, text, &mut hash)?;
    hash.update_lengths(request.auth_len as u64, request.cipher_len as u64);
    let mut tag = hash.state();
    xor(&mut tag, &keyed.block(counter)?);
    let mismatch = settle(request, direction, &tag, space, || input.write(request, space))?;
    Ok(Answer { flag: CIPHERED | AUTHENTICATED, mismatch })
}

/// The beginning of a stream: what is authenticated only.
pub(super) fn gcm_first(request: &Request, space: &dyn ClientSpace) -> Result<Answer, Failure> {
    if request.auth_len == 0 {
        return Err(Failure::Length);
    }
    let mac = Mac::from_code(request.auth_algorithm).ok_or(Failure::Algorithm)?;
    let keyed = mac.keyed(request, space)?;
    let bytes = request.read(request.auth_offset + request.auth_len, space)?;
    let mut hash = Ghash::new(keyed.block([0; 16])?, [0; 16]);
    hash.update(bytes.get(request.auth_offset..).unwrap_or_default());
    space.write(request.mac_at, &hash.state())?;
    Ok(Answer { flag: AUTHENTICATED, mismatch: false })
}

/// Whole blocks in the middle of a stream. The counter is that of the block before.
pub(super) fn gcm_middle(request: &Request, space: &dyn ClientSpace) -> Result<Answer, Failure> {
    let direction = request.cipher.ok_or(Failure::Algorithm)?;
    if request.cipher_len == 0 || request.cipher_len % 16 != 0 {
        return Err(Failure::Length);
    }
    let keyed = Keyed::read(request, block_of_16(request)?, space)?;
    let counter = block(&fetch(space, request.cipher_iv_at, 16)?)?;
    let state = block(&fetch(space, request.auth_iv_at, 16)?)?;
    let mut hash = Ghash::new(keyed.block([0; 16])?, state);
    let mut bytes = request.read(request.cipher_len, space)?;
    text_and_hash(&keyed, direction, counter, &mut bytes, &mut hash)?;
    request.write(&bytes, space)?;
    space.write(request.mac_at, &hash.state())?;
    Ok(Answer { flag: CIPHERED | AUTHENTICATED, mismatch: false })
}

/// The end of a stream, with the tag. J0 and the hash so far are in a 64-byte record.
pub(super) fn gcm_end(
    request: &Request,
    hardware: Hardware,
    space: &dyn ClientSpace,
) -> Result<Answer, Failure> {
    let direction = request.cipher.ok_or(Failure::Algorithm)?;
    if hardware != Hardware::V3 || !(4..=16).contains(&request.tag_len) {
        return Err(Failure::Algorithm);
    }
    if request.cipher_len == 0 {
        return Err(Failure::Length);
    }
    let keyed = Keyed::read(request, block_of_16(request)?, space)?;
    let counter = block(&fetch(space, request.cipher_iv_at, 16)?)?;
    let record = fetch(space, request.auth_iv_at, 64)?;
    let part = |range| record.get(range).ok_or(Failure::Length).and_then(block);
    let (first, state) = (part(0..16)?, part(32..48)?);
    let mut hash = Ghash::new(keyed.block([0; 16])?, state);
    let mut bytes = request.read(request.cipher_len, space)?;
    text_and_hash(&keyed, direction, counter, &mut bytes, &mut hash)?;
    // Bytes here, not bits as for digests (sec §1.6).
    hash.update_lengths(request.total & 0xFF_FFFF, request.total >> 24);
    let mut tag = hash.state();
    xor(&mut tag, &keyed.block(first)?);
    let mismatch = settle(request, direction, &tag, space, || request.write(&bytes, space))?;
    Ok(Answer { flag: CIPHERED | AUTHENTICATED, mismatch })
}

/// B0 and the first counter block come from software, as they are (sec §3.3).
pub(super) fn ccm(request: &Request, hardware: Hardware, space: &dyn ClientSpace) -> Result<Answer, Failure> {
    let direction = request.cipher.ok_or(Failure::Algorithm)?;
    let keyed = keyed(request, hardware, space)?;
    check_empty(request, hardware)?;
    // The two-byte form of the length is all there is.
    let additional_len =
        u16::try_from(request.auth_len).ok().filter(|len| *len <= 0xFEFF).ok_or(Failure::Length)?;
    let mut input = Input::read(request, space)?;
    let counter = block(&fetch(space, request.cipher_iv_at, 16)?)?;
    let mut authenticated = fetch(space, request.auth_iv_at, 16)?;
    if additional_len > 0 {
        authenticated.extend(additional_len.to_be_bytes());
        authenticated.extend(&input.additional);
        authenticated.resize(authenticated.len().next_multiple_of(16), 0);
    }
    let text = input.text()?;
    if direction == Direction::Decrypt {
        keyed.count(counter, u128::MAX, text)?;
    }
    authenticated.extend(&*text);
    if direction == Direction::Encrypt {
        keyed.count(counter, u128::MAX, text)?;
    }
    authenticated.resize(authenticated.len().next_multiple_of(16), 0);
    keyed.apply(Mode::Cbc, Direction::Encrypt, &[0; 16], &mut authenticated)?;
    let last_at = authenticated.len() - 16;
    let mut tag = block(authenticated.get(last_at..).ok_or(Failure::Length)?)?;
    // The counter's bytes, told by the flags, are zero for the tag.
    let mut zeroed = counter;
    let counter_len = usize::from(counter[0] & 7) + 1;
    zeroed[16 - counter_len..].fill(0);
    xor(&mut tag, &keyed.block(zeroed)?);
    let mismatch = settle(request, direction, &tag, space, || input.write(request, space))?;
    Ok(Answer { flag: CIPHERED | AUTHENTICATED, mismatch })
}

/// CBC and an HMAC over the source, or over what became of it.
pub(super) fn cipher_and_mac(
    request: &Request,
    hardware: Hardware,
    space: &dyn ClientSpace,
) -> Result<Answer, Failure> {
    let direction = request.cipher.ok_or(Failure::Algorithm)?;
    let algorithm = algorithm(request)?;
    let digest = Digest::from_code(request.auth_algorithm).ok_or(Failure::Algorithm)?;
    let hash = digest.hash;
    let v3 = hardware == Hardware::V3;
    let known_cipher = match algorithm {
        Algorithm::TripleDes => false,
        Algorithm::Sm4 => v3,
        _ => true,
    };
    let known_hash = match hash {
        Hash::Sha1 | Hash::Sha256 | Hash::Sha512 => true,
        Hash::Sm3 => v3,
        _ => false,
    };
    if request.cipher_mode != CBC || !digest.keyed || !known_cipher || !known_hash {
        return Err(Failure::Algorithm);
    }
    let len = request.cipher_len;
    if request.mac_len == 0 || request.mac_len > hash.len() || len == 0 || len % 16 != 0 {
        return Err(Failure::Length);
    }
    let auth_end = request.auth_offset + request.auth_len;
    let text_end = request.cipher_offset + len;
    if auth_end.max(text_end) > MAX_LEN {
        return Err(Failure::Length);
    }
    let key = digest.key(request, space)?.ok_or(Failure::Algorithm)?;
    let keyed = Keyed::read(request, algorithm, space)?;
    let iv = fetch(space, request.cipher_iv_at, 16)?;
    let source = request.read(auth_end.max(text_end), space)?;
    let mut result = source.clone();
    let text = result.get_mut(request.cipher_offset..text_end).ok_or(Failure::Length)?;
    keyed.apply(Mode::Cbc, direction, &iv, text)?;
    let authenticated = if request.auth_first { &source } else { &result };
    let mac = hash.hmac(&key, authenticated.get(request.auth_offset..auth_end).unwrap_or_default())?;
    let mac = mac.get(..request.mac_len).ok_or(Failure::Length)?;
    let mismatch = match request.auth {
        Auth::Verify => fetch(space, request.mac_at, mac.len())? != mac,
        _ => false,
    };
    request.write(result.get(..text_end).unwrap_or_default(), space)?;
    if request.auth == Auth::Compute {
        space.write(request.mac_at, mac)?;
    }
    Ok(Answer { flag: CIPHERED | AUTHENTICATED, mismatch })
}

/// The cipher of GCM and CCM: SM4's are v3's.
fn keyed(request: &Request, hardware: Hardware, space: &dyn ClientSpace) -> Result<Keyed, Failure> {
    let algorithm = block_of_16(request)?;
    let known = algorithm != Algorithm::Sm4 || hardware == Hardware::V3;
    if !known || !(4..=16).contains(&request.tag_len) {
        return Err(Failure::Algorithm);
    }
    Keyed::read(request, algorithm, space)
}

fn block_of_16(request: &Request) -> Result<Algorithm, Failure> {
    let algorithm = algorithm(request)?;
    if algorithm.block_len() == 16 { Ok(algorithm) } else { Err(Failure::Algorithm) }
}

/// v2 needs text; v3 something (sec §2.5).
fn check_empty(request: &Request, hardware: Hardware) -> Result<(), Failure> {
    let nothing = request.cipher_len == 0 && (request.auth_len == 0 || hardware == Hardware::V2);
    if nothing { Err(Failure::Length) } else { Ok(()) }
}

/// Counter mode from the block after `counter`, and the hash of the ciphertext.
fn text_and_hash(
    keyed: &Keyed,
    direction: Direction,
    counter: [u8; 16],
    text: &mut [u8],
    hash: &mut Ghash,
) -> Result<(), Failure> {
    if direction == Direction::Decrypt {
        hash.update(text);
    }
    let counter = u128::from_be_bytes(counter);
    let low = u128::from(u32::MAX);
    let next = counter & !low | counter.wrapping_add(1) & low;
    keyed.count(next.to_be_bytes(), low, text)?;
    if direction == Direction::Encrypt {
        hash.update(text);
    }
    Ok(())
}

/// Writes the text by `write` and the tag, or compares the tag with the one expected. `true`: it is another.
fn settle(
    request: &Request,
    direction: Direction,
    tag: &[u8],
    space: &dyn ClientSpace,
    write: impl FnOnce() -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let tag = tag.get(..request.tag_len).ok_or(Failure::Algorithm)?;
    match direction {
        Direction::Encrypt => {
            write()?;
            space.write(request.mac_at, tag)?;
            Ok(false)
        }
        Direction::Decrypt => {
            // The expected tag may lie where the text goes.
            let expected = fetch(space, request.mac_at, tag.len())?;
            write()?;
            Ok(expected != tag)
        }
    }
}
