//! HPRE: the 64-byte descriptor of the public-key accelerator (`hpre §1`). One frame for every operation.

mod operation;
#[cfg(test)]
mod tests;

use super::{Descriptor, Fault, dword, set_address, set_dword};
pub(crate) use operation::Operation;

/// Bytes of one descriptor.
pub(crate) const LEN_BYTES: usize = 64;

/// Bits 31:30 of dword 0: software writes 1, the device returns 3.
const DONE_INIT: u32 = 1;
const DONE_BY_DEVICE: u32 = 3;

/// One operation with its buffers: big-endian numbers padded to full width, back to back (`hpre §3`). Lengths follow from
/// operation and width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) operation: Operation,
    /// Operand width in bytes, a multiple of 8, at most 512 (`hpre §1.3`).
    pub(crate) width_bytes: usize,
    /// Addresses of the buffers; 0 where the operation has none (`hpre §3.6`: a verification's must be).
    pub(crate) key: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// What a good completion says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The output was written.
    Written,
    /// The signature is good.
    Valid,
    /// The signature is not good.
    Invalid,
}

impl Descriptor for Task {
    type Answer = Answer;

    fn encode(&self, tag: u32, bytes: &mut [u8]) {
        bytes.fill(0);
        set_dword(bytes, 0, self.operation.code() | DONE_INIT << 30);
        // task_len1 = width / 8 − 1 (`hpre §1.3`).
        let task_len = u32::try_from(self.width_bytes / 8).unwrap_or(0).saturating_sub(1);
        set_dword(bytes, 1, task_len | self.operation.selectors());
        set_address(bytes, 2, self.key);
        set_address(bytes, 4, self.input);
        set_address(bytes, 6, self.output);
        // 64 bits come back, 32 are enough for us.
        set_dword(bytes, 8, tag);
        set_dword(bytes, 10, self.operation.message_field());
    }

    fn decode(&self, completed: &[u8]) -> Result<Answer, Fault> {
        let status = dword(completed, 0).ok_or(Fault::Impossible)?;
        if status & 0x1f != self.operation.code() || status >> 30 != DONE_BY_DEVICE {
            return Err(Fault::Impossible);
        }
        // etype (bits 15:5) and etype1 (bits 29:16): any bit is an error (`hpre §4.1`).
        match status >> 5 & 0x01ff_ffff {
            0 => {}
            errors => return Err(Fault::Status(errors)),
        }
        match self.operation {
            // Bit 1 of dword 6, where 0 was submitted (`hpre §3.6`); what other bits mean nobody says.
            Operation::EcdsaVerify | Operation::Sm2Verify => match dword(completed, 6) {
                Some(verdict) if verdict & 2 != 0 => Ok(Answer::Valid),
                _ => Ok(Answer::Invalid),
            },
            _ => Ok(Answer::Written),
        }
    }
}
