//! HPRE: the 64-byte descriptor of the public-key accelerator (`hpre §1`).

use super::{Descriptor, Fault, dword, set_address, set_dword};

/// Bytes of one descriptor.
pub(crate) const LEN_BYTES: usize = 64;

/// `alg` of a modular exponentiation with (d, n) (`hpre §1.2`).
const ALG_NON_CRT: u32 = 0x00;
/// `alg` of an RSA private operation with a CRT key (`hpre §1.2`).
const ALG_CRT: u32 = 0x01;
/// Bits 31:30 of dword 0: software writes 1, the device returns 3.
const DONE_INIT: u32 = 1;
const DONE_BY_DEVICE: u32 = 3;

/// One RSA private operation. Buffers, big-endian numbers padded to full width (`hpre §3.1`): key `5/2 width` bytes
/// (`dq dp q p qinv`) with CRT or `2 width` (`d n`) without; input and output `width` each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RsaPrivate {
    /// The key is in CRT form.
    pub(crate) crt: bool,
    /// Operand width in bytes: 128, 256, 384 or 512.
    pub(crate) width_bytes: usize,
    /// Addresses of the three buffers.
    pub(crate) key: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl RsaPrivate {
    fn alg(&self) -> u32 {
        if self.crt { ALG_CRT } else { ALG_NON_CRT }
    }
}

impl Descriptor for RsaPrivate {
    type Answer = ();

    fn encode(&self, tag: u32, bytes: &mut [u8]) {
        bytes.fill(0);
        set_dword(bytes, 0, self.alg() | DONE_INIT << 30);
        // task_len1 = width / 8 − 1 (`hpre §1.3`); the width is at most 512.
        set_dword(bytes, 1, u32::try_from(self.width_bytes / 8).unwrap_or(0).saturating_sub(1));
        set_address(bytes, 2, self.key);
        set_address(bytes, 4, self.input);
        set_address(bytes, 6, self.output);
        // 64 bits come back, 32 are enough for us.
        set_dword(bytes, 8, tag);
    }

    fn decode(&self, completed: &[u8]) -> Result<(), Fault> {
        let status = dword(completed, 0).ok_or(Fault::Impossible)?;
        if status & 0x1f != self.alg() || status >> 30 != DONE_BY_DEVICE {
            return Err(Fault::Impossible);
        }
        // etype (bits 15:5) and etype1 (bits 29:16): any bit is an error (`hpre §4.1`).
        match status >> 5 & 0x01ff_ffff {
            0 => Ok(()),
            errors => Err(Fault::Status(errors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::TagPlace;

    const KEY: u64 = 0x0000_0010_2000_3000;
    const INPUT: u64 = 0x0000_0010_2000_4000;
    const OUTPUT: u64 = 0x0000_0010_2000_5000;

    fn request(crt: bool) -> RsaPrivate {
        RsaPrivate { crt, width_bytes: 256, key: KEY, input: INPUT, output: OUTPUT }
    }

    /// `hpre §9.1` and `§9.2`: the bytes as they lie in memory, the tag's high half apart (ours is 32 bits).
    fn golden(first: u8) -> [u8; LEN_BYTES] {
        let mut bytes = [0; LEN_BYTES];
        bytes[..40].copy_from_slice(&[
            first, 0, 0, 0x40, 0x1f, 0, 0, 0, 0, 0x30, 0, 0x20, 0x10, 0, 0, 0, //
            0, 0x40, 0, 0x20, 0x10, 0, 0, 0, 0, 0x50, 0, 0x20, 0x10, 0, 0, 0, //
            0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0,
        ]);
        bytes
    }

    #[test]
    fn crt_equals_the_worked_example() {
        let mut bytes = [0xff; LEN_BYTES];
        request(true).encode(0x1234_5678, &mut bytes);
        assert_eq!(bytes, golden(1));
        assert_eq!(TagPlace::Hpre.read(&bytes), Some(0x1234_5678));
    }

    #[test]
    fn non_crt_equals_the_worked_example() {
        let mut bytes = [0xff; LEN_BYTES];
        request(false).encode(0x1234_5678, &mut bytes);
        assert_eq!(bytes, golden(0));
    }

    #[test]
    fn task_len_follows_the_width() {
        for (width_bytes, task_len) in [(128, 0x0f), (256, 0x1f), (384, 0x2f), (512, 0x3f)] {
            let mut bytes = [0; LEN_BYTES];
            RsaPrivate { width_bytes, ..request(true) }.encode(0, &mut bytes);
            assert_eq!(bytes[4], task_len);
        }
    }

    #[test]
    fn completions_are_judged_by_done_and_error_bits() {
        let mut bytes = golden(1);
        let decode = |bytes: &[u8]| request(true).decode(bytes);
        assert_eq!(decode(&bytes), Err(Fault::Impossible), "never processed");
        bytes[3] = 0xc0;
        assert_eq!(decode(&bytes), Ok(()));
        bytes[0] = 0x21; // etype 1
        assert_eq!(decode(&bytes), Err(Fault::Status(1)));
        bytes[0] = 1;
        bytes[2] = 0x20; // etype1 bit 5
        assert_eq!(decode(&bytes), Err(Fault::Status(0x20 << 11)));
        bytes[2] = 0;
        bytes[0] = 0; // another operation
        assert_eq!(decode(&bytes), Err(Fault::Impossible));
        bytes[0] = 1;
        bytes[3] = 0x80; // done 2
        assert_eq!(decode(&bytes), Err(Fault::Impossible));
        assert_eq!(decode(&[]), Err(Fault::Impossible));
    }
}
