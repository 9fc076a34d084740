//! SM3's compression function (GB/T 32905-2016). libcrypto exports the whole digest only, but a device also gives out the
//! state in between.

/// The initial state.
pub(super) const INITIAL: [u32; 8] =
    [0x7380_166F, 0x4914_B2B9, 0x1724_42D7, 0xDA8A_0600, 0xA96F_30BC, 0x1631_38AA, 0xE38D_EE4D, 0xB0FB_0E4E];

/// Bytes of a digest.
pub(super) const DIGEST_LEN: usize = 32;

/// Absorbs whole 64-byte blocks; what is left over is ignored.
fn absorb(state: &mut [u32; 8], blocks: &[u8]) {
    for block in blocks.chunks_exact(64) {
        compress(state, block);
    }
}

/// The same with the state as in memory: big-endian words.
pub(super) fn absorb_bytes(state: &mut [u8], blocks: &[u8]) {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(state.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    absorb(&mut words, blocks);
    for (bytes, word) in state.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

/// The digest of the concatenation of `parts`.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; DIGEST_LEN] {
    let mut message = parts.concat();
    let bits = (message.len() as u64).wrapping_mul(8);
    message.push(0x80);
    message.resize(message.len() + (120 - message.len() % 64) % 64, 0);
    message.extend(bits.to_be_bytes());
    let mut digest = [0; DIGEST_LEN];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(INITIAL) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    absorb_bytes(&mut digest, &message);
    digest
}

fn compress(state: &mut [u32; 8], block: &[u8]) {
    let mut words = [0u32; 68];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for index in 16..68 {
        let mixed = words[index - 16] ^ words[index - 9] ^ words[index - 3].rotate_left(15);
        let mixed = mixed ^ mixed.rotate_left(15) ^ mixed.rotate_left(23);
        words[index] = mixed ^ words[index - 13].rotate_left(7) ^ words[index - 6];
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (round, rotation) in (0..64).zip((0u32..32).cycle()) {
        let constant: u32 = if round < 16 { 0x79CC_4519 } else { 0x7A87_9D8A };
        let rotated = a.rotate_left(12);
        let ss1 = rotated.wrapping_add(e).wrapping_add(constant.rotate_left(rotation)).rotate_left(7);
        let ss2 = ss1 ^ rotated;
        let (ff, gg) =
            if round < 16 { (a ^ b ^ c, e ^ f ^ g) } else { (a & b | a & c | b & c, e & f | !e & g) };
        let tt1 = ff.wrapping_add(d).wrapping_add(ss2).wrapping_add(words[round] ^ words[round + 4]);
        let tt2 = gg.wrapping_add(h).wrapping_add(ss1).wrapping_add(words[round]);
        (d, c, b, a) = (c, b.rotate_left(9), a, tt1);
        (h, g, f, e) = (g, f.rotate_left(19), e, tt2 ^ tt2.rotate_left(9) ^ tt2.rotate_left(17));
    }
    for (word, mixed) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word ^= mixed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libcrypto's whole digest, at lengths around the padding's limits.
    #[test]
    fn agrees_with_libcrypto() {
        for len in [0, 3, 55, 56, 63, 64, 119, 120, 1000] {
            let message: Vec<u8> = (0..=255).cycle().take(len).collect();
            let expected = openssl::hash::hash(openssl::hash::MessageDigest::sm3(), &message).unwrap();
            let (left, right) = message.split_at(len / 3);
            assert_eq!(digest(&[left, right]), *expected, "{len}");
        }
    }
}
