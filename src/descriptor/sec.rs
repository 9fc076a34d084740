//! SEC: the 128-byte descriptor of the cipher and digest accelerator, in its two types (`sec §1.1`, `§1.2`).

use super::{Descriptor, Fault, TagPlace, dword, set_address, set_dword};
use crate::request::cipher::Direction;

/// Bytes of one descriptor.
pub(crate) const LEN_BYTES: usize = 128;

/// Descriptor types. A device of the second generation knows type 2 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Type2,
    Type3,
}

impl Form {
    pub(crate) fn tag_place(self) -> TagPlace {
        match self {
            Self::Type2 => TagPlace::SecType2,
            Self::Type3 => TagPlace::SecType3,
        }
    }
}

/// AES-256 in CBC mode over flat buffers (`sec §9.1`). The key is 32 bytes, the initialisation vector 16; the device does not
/// write the next one back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aes256Cbc {
    pub(crate) form: Form,
    pub(crate) direction: Direction,
    /// Addresses of key, initialisation vector, input and output.
    pub(crate) key: u64,
    pub(crate) iv: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Bytes of input and of output: a multiple of 16, at most 0xFFFE00 (`sec §2.4`).
    pub(crate) len: u32,
}

/// Scene 1, as UADK sends every cipher (`sec §1.3`), and `de` 1: the output has an address of its own.
const TYPE2_FRAME: u32 = 1 << 11 | 1 << 9;
const TYPE3_FRAME: u32 = 1 << 5 | 1 << 9;
/// Dword 3 of type 2: c_key_len 2 (256 bits), c_mode 1 (CBC), c_alg 2 (AES) (`sec §1.5`).
const TYPE2_AES_256_CBC: u32 = 0x0002_1400;
/// The same in dword 1 of type 3.
const TYPE3_AES_256_CBC: u32 = 0x0021_4000;
/// Dword 14 of type 3, bit 27: translate addresses ahead; for flat buffers of at most 24 KiB (`sec §2.4`).
const PREFETCH: u32 = 1 << 27;
const PREFETCH_LIMIT_BYTES: u32 = 0x6000;

impl Aes256Cbc {
    fn cipher(&self) -> u32 {
        match self.direction {
            Direction::Encrypt => 1,
            Direction::Decrypt => 2,
        }
    }

    fn type_bits(&self) -> u32 {
        match self.form {
            Form::Type2 => 2,
            Form::Type3 => 3,
        }
    }
}

impl Descriptor for Aes256Cbc {
    type Answer = ();

    fn encode(&self, tag: u32, bytes: &mut [u8]) {
        bytes.fill(0);
        match self.form {
            Form::Type2 => {
                set_dword(bytes, 0, 2 | self.cipher() << 4 | TYPE2_FRAME);
                set_dword(bytes, 3, TYPE2_AES_256_CBC);
                set_dword(bytes, 5, self.len);
                set_dword(bytes, 10, folded(tag));
                set_address(bytes, 20, self.iv);
                set_address(bytes, 22, self.key);
                set_address(bytes, 24, self.input);
                set_address(bytes, 26, self.output);
            }
            Form::Type3 => {
                set_dword(bytes, 0, 3 | TYPE3_FRAME);
                set_dword(bytes, 1, self.cipher() | TYPE3_AES_256_CBC);
                set_dword(bytes, 2, tag);
                set_address(bytes, 4, self.input);
                set_address(bytes, 12, self.key);
                set_dword(bytes, 14, if self.len <= PREFETCH_LIMIT_BYTES { PREFETCH } else { 0 });
                set_dword(bytes, 18, self.len);
                set_address(bytes, 19, self.output);
                set_address(bytes, 23, self.iv);
            }
        }
    }

    fn decode(&self, completed: &[u8]) -> Result<(), Fault> {
        let first = dword(completed, 0).ok_or(Fault::Impossible)?;
        let status = dword(completed, 28).ok_or(Fault::Impossible)?;
        // Bit 0 is `done`.
        if first & 0xf != self.type_bits() || status & 1 == 0 {
            return Err(Fault::Impossible);
        }
        // error_type, byte 114: no code is published (`sec §4`).
        match status >> 16 & 0xff {
            // flag, bits 10:7, is 2 for a cipher: the kernel's driver accepts nothing else.
            0 if status >> 7 & 0xf == 2 => Ok(()),
            0 => Err(Fault::Impossible),
            error => Err(Fault::Status(error)),
        }
    }
}

/// A tag in the 16 bits of type 2: ten of the slot's index, six of its generation.
fn folded(tag: u32) -> u32 {
    tag & 0x3ff | (tag >> 16 & 0x3f) << 10
}

/// The tag that [`folded`] folded.
pub(super) fn unfolded(folded: u32) -> u32 {
    folded & 0x3ff | (folded >> 10 & 0x3f) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 0x0000_0010_2000_3000;
    const IV: u64 = 0x0000_0010_2000_3100;
    const INPUT: u64 = 0x0000_0010_2000_4000;
    const OUTPUT: u64 = 0x0000_0010_2000_5000;

    fn request(form: Form, direction: Direction) -> Aes256Cbc {
        Aes256Cbc { form, direction, key: KEY, iv: IV, input: INPUT, output: OUTPUT, len: 4096 }
    }

    /// `sec §9.1`: all dwords it does not list are zero.
    fn golden(dwords: &[(usize, u32)], addresses: &[(usize, u64)]) -> [u8; LEN_BYTES] {
        let mut bytes = [0; LEN_BYTES];
        for (index, value) in dwords {
            bytes[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
        }
        for (index, value) in addresses {
            bytes[index * 4..][..8].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn both_types_equal_the_worked_example() {
        use Direction::{Decrypt, Encrypt};
        for (direction, dw0) in [(Encrypt, 0x0a12), (Decrypt, 0x0a22)] {
            let mut bytes = [0xff; LEN_BYTES];
            request(Form::Type2, direction).encode(0x0005_0123, &mut bytes);
            let dwords = [(0, dw0), (3, 0x0002_1400), (5, 0x1000), (10, 0x1523)];
            assert_eq!(bytes, golden(&dwords, &[(20, IV), (22, KEY), (24, INPUT), (26, OUTPUT)]));
            assert_eq!(TagPlace::SecType2.read(&bytes), Some(0x0005_0123));
        }
        for (direction, dw1) in [(Encrypt, 0x0021_4001), (Decrypt, 0x0021_4002)] {
            let mut bytes = [0xff; LEN_BYTES];
            request(Form::Type3, direction).encode(0x1234_5678, &mut bytes);
            let dwords = [(0, 0x0223), (1, dw1), (2, 0x1234_5678), (14, 0x0800_0000), (18, 0x1000)];
            assert_eq!(bytes, golden(&dwords, &[(4, INPUT), (12, KEY), (19, OUTPUT), (23, IV)]));
            assert_eq!(TagPlace::SecType3.read(&bytes), Some(0x1234_5678));
        }
        let mut bytes = [0; LEN_BYTES];
        Aes256Cbc { len: 0x6010, ..request(Form::Type3, Encrypt) }.encode(1, &mut bytes);
        assert_eq!(dword(&bytes, 14), Some(0), "no prefetch beyond 24 KiB");
    }

    #[test]
    fn short_tags_hold_every_index_and_six_bits_of_generation() {
        for index in [0, 1, 1022, 1023] {
            for generation in [0, 1, 0x3f] {
                let tag = generation << 16 | index;
                assert_eq!(unfolded(folded(tag)), tag);
                assert!(folded(tag) <= 0xffff);
            }
        }
    }

    #[test]
    fn completions_are_judged_by_done_flag_and_error() {
        for form in [Form::Type2, Form::Type3] {
            let request = request(form, Direction::Encrypt);
            let mut bytes = [0; LEN_BYTES];
            request.encode(1, &mut bytes);
            assert_eq!(request.decode(&bytes), Err(Fault::Impossible), "never processed");
            bytes[112..116].copy_from_slice(&[0x01, 0x01, 0, 0]);
            assert_eq!(request.decode(&bytes), Ok(()), "sec §9.1: 0x0101");
            bytes[114] = 3;
            assert_eq!(request.decode(&bytes), Err(Fault::Status(3)));
            bytes[112..116].copy_from_slice(&[0x81, 0, 0, 0]);
            assert_eq!(request.decode(&bytes), Err(Fault::Impossible), "a digest's flag");
            bytes[112..116].copy_from_slice(&[0x01, 0x01, 0, 0]);
            bytes[0] ^= 1;
            assert_eq!(request.decode(&bytes), Err(Fault::Impossible), "another type");
            assert_eq!(request.decode(&[]), Err(Fault::Impossible));
        }
    }
}
