//! Whether a device's answer is right: cipher text is decrypted by the default provider and compared with plain text, whichever
//! of the two the device made. For an answer in cipher text that costs a fraction of encrypting: blocks are
//! decrypted independently of each other, and processors do several at a time.

use std::sync::Arc;

use warpdrive::config::CipherVerify;
use warpdrive::configuration;
use warpdrive::request::cipher::{BLOCK_LEN_BYTES, Direction};
use zeroize::Zeroizing;

use super::{Block, KeyBytes};
use crate::ffi::fallback::{CipherContext, CipherType, Fallback};
use crate::ffi::handle::{Input, Output};
use crate::ffi::params::Params;
use crate::ffi::random;

/// Bytes that are decrypted at a time, and of which one block is in a sample.
const STRIDE: usize = 4096;

/// A context that decrypts with the key in question.
pub(super) struct Check {
    decrypter: CipherContext,
    /// Pairs of blocks, then room for as much plain text.
    room: Zeroizing<Vec<u8>>,
    /// State of the sampler; 0 before the first sample.
    random: u64,
}

impl Check {
    pub(super) fn new(fallback: &Arc<Fallback>, cipher_type: CipherType, key: &KeyBytes) -> Option<Self> {
        let mut decrypter = CipherContext::new(fallback, cipher_type)?;
        let iv: Block = [0; BLOCK_LEN_BYTES];
        let begun = decrypter.decrypt_init(Input::from(&key[..]), Input::from(&iv[..]), Params::NONE);
        let room = Zeroizing::new(vec![0; 2 * STRIDE]);
        (begun == 1).then_some(Self { decrypter, room, random: 0 })
    }

    /// Whether `answer` is what becomes of `text`, as far as the configuration wants that looked at. `None`: the default
    /// provider did not do what it was asked.
    pub(super) fn agrees(
        &mut self,
        direction: Direction,
        chain: &Block,
        text: &[u8],
        answer: &[u8],
    ) -> Option<bool> {
        let (plain, cipher) = match direction {
            Direction::Encrypt => (text, answer),
            Direction::Decrypt => (answer, text),
        };
        match configuration().cipher.verify {
            CipherVerify::Full => self.all(chain, cipher, plain),
            CipherVerify::Sample => self.sample(chain, cipher, plain),
        }
    }

    fn all(&mut self, chain: &Block, cipher: &[u8], plain: &[u8]) -> Option<bool> {
        let (_, room) = self.room.split_at_mut_checked(STRIDE)?;
        // What the first block is chained to.
        decrypt(&mut self.decrypter, chain, room)?;
        for (cipher, plain) in cipher.chunks(STRIDE).zip(plain.chunks(STRIDE)) {
            if decrypt(&mut self.decrypter, cipher, room)? != plain {
                return Some(false);
            }
        }
        Some(cipher.len() == plain.len())
    }

    /// One block of each stride, and the first and the last block: decrypted in pairs with what they are chained to.
    fn sample(&mut self, chain: &Block, cipher: &[u8], plain: &[u8]) -> Option<bool> {
        if self.random == 0 {
            let mut seed = [0; 8];
            // Without randomness the same places are looked at every time.
            random::fill(&mut seed);
            self.random = u64::from_ne_bytes(seed) | 1;
        }
        let blocks = cipher.len() / BLOCK_LEN_BYTES;
        let strides = (0..blocks).step_by(STRIDE / BLOCK_LEN_BYTES).map(|first| {
            let len = (STRIDE / BLOCK_LEN_BYTES).min(blocks - first);
            first + below(&mut self.random, len)
        });
        let places: Vec<usize> = [0, blocks.checked_sub(1)?].into_iter().chain(strides).collect();
        let (pairs, room) = self.room.split_at_mut_checked(STRIDE)?;
        for places in places.chunks(STRIDE / (2 * BLOCK_LEN_BYTES)) {
            for (pair, block) in pairs.chunks_exact_mut(2 * BLOCK_LEN_BYTES).zip(places) {
                let at = block * BLOCK_LEN_BYTES;
                let (before, this) = pair.split_at_mut_checked(BLOCK_LEN_BYTES)?;
                before.copy_from_slice(match at.checked_sub(BLOCK_LEN_BYTES) {
                    Some(before) => cipher.get(before..at)?,
                    None => chain,
                });
                this.copy_from_slice(cipher.get(at..at + BLOCK_LEN_BYTES)?);
            }
            let pairs = pairs.get(..places.len() * 2 * BLOCK_LEN_BYTES)?;
            let opened = decrypt(&mut self.decrypter, pairs, room)?;
            for (pair, block) in opened.chunks_exact(2 * BLOCK_LEN_BYTES).zip(places) {
                let at = block * BLOCK_LEN_BYTES;
                if pair.get(BLOCK_LEN_BYTES..)? != plain.get(at..at + BLOCK_LEN_BYTES)? {
                    return Some(false);
                }
            }
        }
        Some(cipher.len() == plain.len())
    }
}

/// Decrypts whole blocks, chained to what was decrypted last.
fn decrypt<'a>(decrypter: &mut CipherContext, cipher: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut told = 0;
    let done = decrypter.once(&Output::over(room, &mut told), Input::from(cipher));
    (done == 1 && told == cipher.len()).then_some(())?;
    room.get(..told)
}

/// A number below `limit`, which is not 0 (Steele, Lea, Flood: SplitMix, 2014). Faults are no adversary: any spread will do.
fn below(state: &mut u64, limit: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ z >> 31) % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
}
