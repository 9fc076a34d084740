//! Whether what a device made of a segment may leave: by its checksum, or by inflating it again.

use warpdrive::config::Verify;
use warpdrive::memory;
use warpdrive::request::compress::{Checksum, DeflatedSegment, Wrapper};

use crate::abi::Z_BLOCK;
use crate::abi::io::Io;
use crate::abi::next::Inflater;
use crate::wrapper;

/// Plain text that is inflated before it is compared: it stays in the cache, and the engine's window is copied seldom.
const PIECE_BYTES: usize = 128 << 10;
/// `data_type` of an engine that `Z_BLOCK` stopped between two blocks with no bit left over (zlib.h, inflate).
const AT_BOUNDARY: i32 = 128;

/// What the plain text of a segment is known to be.
#[derive(Clone, Copy)]
pub(super) struct Proof {
    verify: Verify,
    /// The checksum that the device was asked for.
    checksum: u32,
}

impl Proof {
    /// `checksum`: of the segment's plain text alone, of the kind that [`asked`] says.
    pub(super) fn new(verify: Verify, checksum: u32) -> Self {
        Self { verify, checksum }
    }

    /// The same, by every means.
    pub(super) fn strict(self) -> Self {
        Self { verify: Verify::Full, ..self }
    }

    /// Whether `made` is what it must be. The checksum shows that the device read the right plain text, all of it; what it
    /// wrote shows only when it is inflated.
    pub(super) fn holds(self, made: &DeflatedSegment, plain: &[u8]) -> bool {
        match self.verify {
            Verify::Off => true,
            Verify::Crc => made.checksum.is_none_or(|checksum| checksum == self.checksum),
            // The text itself is compared, so its checksum says nothing more.
            Verify::Full => inflates_to(&made.bytes, plain),
        }
    }
}

/// The checksum a device is asked for: the one that the stream keeps anyway.
pub(super) fn asked(verify: Verify, wrapper: Wrapper) -> Option<Checksum> {
    match (verify, wrapper) {
        (Verify::Crc, Wrapper::Gzip) => Some(Checksum::Crc32),
        (Verify::Crc, Wrapper::Raw | Wrapper::Zlib) => Some(Checksum::Adler32),
        (Verify::Off | Verify::Full, _) => None,
    }
}

/// The checksum of `plain`, of the kind that [`asked`] says, when the stream's own went from `before` to `after` over it.
pub(super) fn part(wrapper: Wrapper, before: u32, after: u32, plain: &[u8]) -> u32 {
    match wrapper {
        Wrapper::Raw => wrapper::checksum(Wrapper::Zlib, 1, plain),
        Wrapper::Zlib | Wrapper::Gzip => wrapper::part(wrapper, before, after, plain.len()),
    }
}

/// Whether `bytes`, deflate data without history, are `plain` and end between two blocks on a byte boundary.
fn inflates_to(bytes: &[u8], plain: &[u8]) -> bool {
    // Without memory to look, nothing is known to be right.
    let Ok(mut engine) = Inflater::new(-15) else { return false };
    let mut text = memory::take(PIECE_BYTES);
    if text.len() < PIECE_BYTES {
        text.resize(PIECE_BYTES, 0);
    }
    let (mut input, mut expected) = (bytes, plain);
    let right = loop {
        let (_, consumed, produced) = engine.run(&mut Io::from_slices(input, &mut text), Z_BLOCK);
        input = input.get(consumed..).unwrap_or_default();
        let Some((head, rest)) = expected.split_at_checked(produced) else { break false };
        if text.get(..produced) != Some(head) {
            break false;
        }
        expected = rest;
        if input.is_empty() && expected.is_empty() {
            break engine.data_type() == AT_BOUNDARY;
        }
        if consumed == 0 && produced == 0 {
            break false;
        }
    };
    memory::give(text);
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::next::{Deflater, Settings};
    use crate::abi::{Z_FINISH, Z_SYNC_FLUSH};

    fn compressed(plain: &[u8], flush: i32) -> Vec<u8> {
        let settings = Settings { level: 6, window_bits: 15, mem_level: 8, strategy: 0 };
        let mut bytes = Vec::new();
        Deflater::new(settings).unwrap().run_to_vec(plain, flush, &mut bytes).unwrap();
        bytes
    }

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|at| b"three words again, "[at % 19] ^ u8::from(at % 1009 == 0)).collect()
    }

    #[test]
    fn every_wrong_bit_and_every_wrong_end_is_seen() {
        let plain = text(3000);
        let good = compressed(&plain, Z_SYNC_FLUSH);
        assert!(inflates_to(&good, &plain));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!inflates_to(&bad, &plain) || same_meaning(&bad, &plain), "bit {bit}");
        }
        assert!(!inflates_to(&good[..good.len() - 1], &plain), "cut off");
        assert!(!inflates_to(&good, &plain[..2999]), "says more");
        assert!(!inflates_to(&good, &text(3001)), "says less");
        assert!(!inflates_to(&compressed(&plain, Z_FINISH), &plain), "nothing could follow");
        assert!(!inflates_to(&[&good[..], b"\x07"].concat(), &plain), "damage behind it");
    }

    /// Some bits carry nothing: those that fill a byte up in front of a stored block.
    fn same_meaning(bytes: &[u8], plain: &[u8]) -> bool {
        let mut whole = bytes.to_vec();
        whole.extend_from_slice(&wrapper::FINAL_BLOCK);
        let mut room = vec![0; plain.len() + 1];
        let mut engine = Inflater::new(-15).unwrap();
        let (code, _, produced) = engine.run(&mut Io::from_slices(&whole, &mut room), Z_FINISH);
        code == 1 && room[..produced] == *plain
    }

    #[test]
    fn text_longer_than_a_piece_is_compared_to_its_end() {
        let mut plain = text(3 * PIECE_BYTES + 17);
        let good = compressed(&plain, Z_SYNC_FLUSH);
        assert!(inflates_to(&good, &plain));
        *plain.last_mut().unwrap() ^= 1;
        assert!(!inflates_to(&good, &plain));
    }

    #[test]
    fn a_part_has_the_checksum_that_it_has_alone() {
        let plain = text(100_000);
        for wrapper in [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip] {
            for (start, end) in [(0, 0), (0, 5), (7, 70_000), (65_519, 65_523), (1000, 100_000)] {
                let initial = wrapper::initial_checksum(wrapper);
                let before = wrapper::checksum(wrapper, initial, &plain[..start]);
                let after = wrapper::checksum(wrapper, initial, &plain[..end]);
                let kind = if wrapper == Wrapper::Gzip { Wrapper::Gzip } else { Wrapper::Zlib };
                let alone = wrapper::checksum(kind, wrapper::initial_checksum(kind), &plain[start..end]);
                assert_eq!(
                    part(wrapper, before, after, &plain[start..end]),
                    alone,
                    "{wrapper:?} {start}..{end}"
                );
            }
        }
    }
}
