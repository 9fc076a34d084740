//! What a private operation opens: the paddings of RSA encryption (RFC 8017 §7), taken off exactly as OpenSSL does, in time
//! and memory accesses that do not depend on the bytes.
//!
//! Whoever can tell a good padding from a bad one, or one bad one from another, decrypts messages by asking often enough
//! (Bleichenbacher, Manger). So everything here computes to the end, keeps a [`Choice`] instead of a branch, and only lengths
//! that are public (the modulus, a digest) decide how many steps are taken.

use std::cell::Cell;

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _, ConstantTimeGreater as _};
use zeroize::Zeroizing;

use crate::encode::{MAX_DIGEST_LEN_BYTES, mgf1};

/// Bytes of a PKCS#1 v1.5 encoding that are no message: `00 02`, eight of padding, `00`.
pub const PKCS1_OVERHEAD_BYTES: usize = 11;

/// Bytes of a TLS premaster secret (RFC 5246 §8.1.1).
pub const PREMASTER_LEN_BYTES: usize = 48;

/// A message, or not: nothing about it is public before the caller is answered.
pub struct Opened {
    /// The message, and behind it whatever was there.
    pub room: Zeroizing<Vec<u8>>,
    /// Bytes of the message, at most those of `room` when `good`.
    pub len_bytes: u32,
    /// Whether the padding was right.
    pub good: Choice,
}

/// Where the message begins in `00 02 PS 00 M`, and whether there is one. Without any zero byte the place is 1 and not good.
fn pkcs1_message(encoded: &[u8]) -> (u32, Choice) {
    let byte = |index: usize| encoded.get(index).copied().unwrap_or(0xff);
    let mut good = byte(0).ct_eq(&0) & byte(1).ct_eq(&2);
    let (mut found, mut separator) = (Choice::from(0), 0_u32);
    for (index, byte) in (0_u32..).zip(encoded).skip(2) {
        let is_zero = byte.ct_eq(&0);
        separator.conditional_assign(&index, is_zero & !found);
        found |= is_zero;
    }
    good &= separator.ct_gt(&9);
    (separator + 1, good)
}

/// Moves `room` down by `distance` bytes, whatever that is below its length; the same accesses for every distance.
fn shift_down(room: &mut [u8], distance: u32) {
    let cells = Cell::from_mut(room).as_slice_of_cells();
    let mut step = 1_usize;
    let mut bit = 0;
    while let Some(above) = cells.get(step..).filter(|above| !above.is_empty()) {
        let take = Choice::from(u8::from((distance >> bit) & 1 == 1));
        for (to, from) in cells.iter().zip(above) {
            to.set(u8::conditional_select(&to.get(), &from.get(), take));
        }
        step <<= 1;
        bit += 1;
    }
}

/// Takes PKCS#1 v1.5 off (RFC 8017 §7.2.2). `None`: shorter than any such encoding.
pub fn pkcs1(encoded: &[u8]) -> Option<Opened> {
    let mut room = Zeroizing::new(encoded.get(PKCS1_OVERHEAD_BYTES..)?.to_vec());
    let len = u32::try_from(encoded.len()).ok()?;
    let overhead = u32::try_from(PKCS1_OVERHEAD_BYTES).ok()?;
    let (start, good) = pkcs1_message(encoded);
    shift_down(&mut room, start.wrapping_sub(overhead));
    Some(Opened { room, len_bytes: len.wrapping_sub(start), good })
}

/// As [`pkcs1`], but never failing: a wrong padding gives the end of `synthetic`, as many bytes as [`synthetic_len_bytes`] said.
/// That length and the answer's are no secrets: without the private key nobody can tell which case it was. `synthetic` is as
/// long as `encoded`. `None`: it is not.
pub fn pkcs1_or(encoded: &[u8], synthetic: &[u8], synthetic_len_bytes: u32) -> Option<Zeroizing<Vec<u8>>> {
    if encoded.len() != synthetic.len() {
        return None;
    }
    let (start, good) = pkcs1_message(encoded);
    let len = u32::try_from(encoded.len()).ok()?;
    let start = u32::conditional_select(&len.checked_sub(synthetic_len_bytes)?, &start, good);
    let pairs = synthetic.iter().zip(encoded);
    let chosen: Zeroizing<Vec<u8>> =
        pairs.map(|(wrong, right)| u8::conditional_select(wrong, right, good)).collect::<Vec<_>>().into();
    Some(Zeroizing::new(chosen.get(start as usize..)?.to_vec()))
}

/// How long the message is that stands in for a wrong padding: the last of `candidates` (big-endian pairs of bytes) that,
/// cut to the bits of the longest message, is shorter than it; 0 when there is none (draft-irtf-cfrg-rsa-guidance).
pub fn synthetic_len_bytes(candidates: &[u8], modulus_len_bytes: usize) -> u32 {
    let longest = u32::try_from(modulus_len_bytes.saturating_sub(2 + 8)).unwrap_or(0);
    let mask = u32::MAX.checked_shr(longest.leading_zeros()).unwrap_or(0);
    candidates.chunks_exact(2).fold(0, |len, pair| {
        let candidate = pair.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)) & mask;
        u32::conditional_select(&len, &candidate, longest.ct_gt(&candidate))
    })
}

/// Opens EME-OAEP (RFC 8017 §7.1.2). `label` is the digest of the label; `hash` writes the mask digest, of `mask_len_bytes`, of
/// its concatenated inputs to its last argument. `None`: the modulus is too short for that digest, or `hash` failed.
pub fn oaep(
    encoded: &[u8],
    label: &[u8],
    mask_len_bytes: usize,
    mut hash: impl FnMut(&[&[u8]], &mut [u8]) -> bool,
) -> Option<Opened> {
    let (first, masked) = encoded.split_first()?;
    let mut masked = Zeroizing::new(masked.to_vec());
    let (seed, block) = masked.split_at_mut_checked(label.len())?;
    if block.len() < label.len() + 1 {
        return None;
    }
    let mut mask = Zeroizing::new([0; MAX_DIGEST_LEN_BYTES]);
    let mask = mask.get_mut(..mask_len_bytes)?;
    mgf1(block, seed, mask, &mut hash)?;
    mgf1(seed, block, mask, &mut hash)?;

    let (label_found, rest) = block.split_at_checked(label.len())?;
    let mut good = first.ct_eq(&0) & label_found.ct_eq(label);
    let (mut found, mut separator) = (Choice::from(0), 0_u32);
    for (index, byte) in (0_u32..).zip(rest) {
        let is_one = byte.ct_eq(&1);
        separator.conditional_assign(&index, is_one & !found);
        found |= is_one;
        good &= found | byte.ct_eq(&0);
    }
    good &= found;
    let mut room = Zeroizing::new(rest.get(1..)?.to_vec());
    let len = u32::try_from(room.len()).ok()?;
    shift_down(&mut room, separator);
    Some(Opened { room, len_bytes: len.wrapping_sub(separator), good })
}

/// The premaster secret of a TLS client, or `random` when the padding, its length or the version in it is wrong
/// (RFC 5246 §7.4.7.1): nobody can tell. `client` is the version that the client offered first; `negotiated`, if positive, is
/// taken as well. `None`: too short for any.
pub fn premaster(
    encoded: &[u8],
    client: u32,
    negotiated: u32,
    random: &[u8; PREMASTER_LEN_BYTES],
) -> Option<Zeroizing<[u8; PREMASTER_LEN_BYTES]>> {
    if encoded.len() < PKCS1_OVERHEAD_BYTES + PREMASTER_LEN_BYTES {
        return None;
    }
    let (head, secret) = encoded.split_at_checked(encoded.len() - PREMASTER_LEN_BYTES)?;
    let secret: &[u8; PREMASTER_LEN_BYTES] = secret.try_into().ok()?;
    let (separator, padding) = head.split_last()?;
    let (kind, padding) = padding.split_at_checked(2)?;
    let mut good = kind.ct_eq(&[0, 2]) & separator.ct_eq(&0);
    for byte in padding {
        good &= !byte.ct_eq(&0);
    }
    let has_version = |version: u32| {
        let [_, _, major, minor] = version.to_be_bytes();
        let [first, second, ..] = secret;
        first.ct_eq(&major) & second.ct_eq(&minor)
    };
    // OpenSSL takes it for a signed number.
    let tolerated = Choice::from(u8::from((1..=0x7fff_ffff).contains(&negotiated)));
    good &= has_version(client) | (tolerated & has_version(negotiated));
    let mut answer = Zeroizing::new([0; PREMASTER_LEN_BYTES]);
    for (byte, (wrong, right)) in answer.iter_mut().zip(random.iter().zip(secret)) {
        *byte = u8::conditional_select(wrong, right, good);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, the same in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, sides: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            usize::try_from(self.0 >> 33).unwrap() % sides
        }

        fn bytes(&mut self, len: usize, lowest: u8) -> Vec<u8> {
            let sides = 256 - usize::from(lowest);
            (0..len).map(|_| lowest + u8::try_from(self.below(sides)).unwrap()).collect()
        }

        /// Something like `00 02 PS 00 M`, now and then with a mistake.
        fn pkcs1(&mut self, len: usize) -> Vec<u8> {
            let mut encoded = self.bytes(len, 1);
            encoded[..2].copy_from_slice(&[0, 2]);
            for _ in 0..self.below(4) {
                let place = self.below(len);
                encoded[place] = 0;
            }
            if self.below(4) == 0 {
                let place = self.below(3);
                encoded[place] = u8::try_from(self.below(4)).unwrap();
            }
            encoded
        }
    }

    /// As the standard says it, with branches.
    fn naive(encoded: &[u8]) -> Option<&[u8]> {
        let rest = encoded.strip_prefix(&[0, 2])?;
        let separator = rest.iter().position(|byte| *byte == 0)?;
        (separator >= 8).then(|| &rest[separator + 1..])
    }

    fn message(opened: &Opened) -> Option<&[u8]> {
        bool::from(opened.good).then(|| &opened.room[..opened.len_bytes as usize])
    }

    #[test]
    fn miri_pkcs1_opens_what_the_standard_opens() {
        let mut dice = Dice(1);
        let mut opened_some = 0;
        for _ in 0..if cfg!(miri) { 50 } else { 50_000 } {
            let len = 11 + dice.below(40);
            let encoded = dice.pkcs1(len);
            let opened = pkcs1(&encoded).unwrap();
            assert_eq!(message(&opened), naive(&encoded), "{encoded:?}");
            opened_some += usize::from(bool::from(opened.good));
            let synthetic = dice.bytes(len, 0);
            let synthetic_len = dice.below(len - 10);
            let expected = naive(&encoded).unwrap_or(&synthetic[len - synthetic_len..]);
            let got = pkcs1_or(&encoded, &synthetic, u32::try_from(synthetic_len).unwrap()).unwrap();
            assert_eq!(got.as_slice(), expected, "{encoded:?}");
        }
        assert!(opened_some > if cfg!(miri) { 3 } else { 5_000 }, "{opened_some}");
    }

    #[test]
    fn miri_pkcs1_of_no_length() {
        for len in 0..11 {
            assert!(pkcs1(&vec![0; len]).is_none());
        }
        assert!(pkcs1_or(&[0; 20], &[0; 19], 0).is_none());
        assert!(pkcs1_or(&[0; 20], &[0; 20], 21).is_none());
    }

    /// The lengths of draft-irtf-cfrg-rsa-guidance: cut to the bits of the longest message, and short enough.
    #[test]
    fn miri_synthetic_lengths() {
        // 2048 bits: at most 246, eight bits kept.
        assert_eq!(synthetic_len_bytes(&[0x12, 245], 256), 245);
        assert_eq!(synthetic_len_bytes(&[0x12, 246], 256), 0);
        assert_eq!(synthetic_len_bytes(&[0, 7, 0, 255], 256), 7, "the last that fits");
        assert_eq!(synthetic_len_bytes(&[0, 7, 3, 9], 256), 9);
        assert_eq!(synthetic_len_bytes(&[], 256), 0);
        // 118 for 1024 bits, 502 for 4096.
        assert_eq!(synthetic_len_bytes(&[0xff, 0x75], 128), 117);
        assert_eq!(synthetic_len_bytes(&[0xff, 0xf5], 512), 501);
        // A longest message that is a power of two keeps its own bit.
        assert_eq!(synthetic_len_bytes(&[0, 128], 128 + 10), 0);
        assert_eq!(synthetic_len_bytes(&[0, 127], 128 + 10), 127);
    }

    /// A digest of four bytes that depends on all it is given.
    fn toy(parts: &[&[u8]], out: &mut [u8]) -> bool {
        let mut state = 0x811c_9dc5_u32;
        for byte in parts.iter().copied().flatten() {
            state = (state ^ u32::from(*byte)).wrapping_mul(16_777_619);
        }
        out.copy_from_slice(&state.to_be_bytes());
        true
    }

    fn oaep_encoded(first: u8, seed: [u8; 4], block: &[u8]) -> Vec<u8> {
        let (mut seed, mut block, mut mask) = (seed, block.to_vec(), [0; 4]);
        mgf1(&seed, &mut block, &mut mask, &mut toy).unwrap();
        mgf1(&block, &mut seed, &mut mask, &mut toy).unwrap();
        [&[first], &seed[..], &block].concat()
    }

    fn naive_block<'a>(first: u8, block: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
        let rest = block.strip_prefix(label)?;
        let separator = rest.iter().position(|byte| *byte != 0)?;
        (first == 0 && rest[separator] == 1).then(|| &rest[separator + 1..])
    }

    #[test]
    fn miri_oaep_opens_what_the_standard_opens() {
        let mut dice = Dice(2);
        let label = [1, 0, 1, 9];
        let mut opened_some = 0;
        for _ in 0..if cfg!(miri) { 30 } else { 30_000 } {
            let mut block = label.to_vec();
            block.extend((0..1 + dice.below(30)).map(|_| [0, 0, 0, 1, 2][dice.below(5)]));
            if dice.below(6) == 0 {
                let place = dice.below(4);
                block[place] ^= 1;
            }
            let first = if dice.below(6) == 0 { 1 } else { 0 };
            let seed: [u8; 4] = dice.bytes(4, 0).try_into().unwrap();
            let encoded = oaep_encoded(first, seed, &block);
            let opened = oaep(&encoded, &label, 4, toy).unwrap();
            assert_eq!(message(&opened), naive_block(first, &block, &label), "{first} {block:?}");
            opened_some += usize::from(bool::from(opened.good));
        }
        assert!(opened_some > if cfg!(miri) { 3 } else { 5_000 }, "{opened_some}");
    }

    #[test]
    fn miri_oaep_of_no_length_or_without_a_digest() {
        for len in 0..10 {
            assert!(oaep(&vec![0; len], &[0; 4], 4, toy).is_none(), "{len}");
        }
        assert!(oaep(&[0; 10], &[0; 4], 4, toy).is_some());
        assert!(oaep(&[0; 40], &[0; 4], 4, |_, _| false).is_none());
        assert!(oaep(&[0; 40], &[0; 4], 65, toy).is_none());
    }

    #[test]
    fn miri_premasters() {
        let random = [7; PREMASTER_LEN_BYTES];
        let mut good = vec![0, 2];
        good.extend([9; 77]);
        good.push(0);
        good.extend([3, 3]);
        good.extend([5; 46]);
        let ask = |encoded: &[u8], client, negotiated| {
            let answer = premaster(encoded, client, negotiated, &random).unwrap();
            answer[..] == encoded[encoded.len() - PREMASTER_LEN_BYTES..]
        };
        assert!(ask(&good, 0x0303, 0));
        assert!(ask(&good, 0x0304, 0x0303));
        assert!(!ask(&good, 0x0304, 0x8000_0303), "a negative version is none");
        assert!(!ask(&good, 0x0304, 0x0302));
        assert!(!ask(&good, 0x0203, 0) && !ask(&good, 0x0302, 0));
        for place in 0..80 {
            let mut bad = good.clone();
            bad[place] = if place == 0 || place == 79 { 1 } else { 0 };
            assert!(!ask(&bad, 0x0303, 0), "{place}");
            assert_eq!(*premaster(&bad, 0x0303, 0, &random).unwrap(), random);
        }
        assert!(premaster(&good[good.len() - 58..], 0x0303, 0, &random).is_none());
    }
}
