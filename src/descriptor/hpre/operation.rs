//! What HPRE can be asked to do: the code of each operation and the lengths of its buffers (`hpre §1.2`, `§3.1`).

/// One operation. `W` is the operand width in bytes that stands beside it in a [`Task`](super::Task).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Key d ‖ n (2W), input W, output W.
    RsaNonCrt,
    /// Key dq ‖ dp ‖ q ‖ p ‖ qinv (5W/2), input W, output W.
    RsaCrt,
    /// 2^x mod p: key x ‖ p (2W), no input, output W.
    DhOfTwo,
    /// input^x mod p: key x ‖ p (2W), input W, output W.
    Dh,
    /// Key p ‖ a ‖ k ‖ b (4W, more may follow), input x ‖ y (2W), output x ‖ y (2W).
    Multiply {
        /// Ask for a high-performance core first (`hpre §1.4`); changes neither buffers nor results.
        fast: bool,
    },
    /// Key p ‖ a ‖ d ‖ b ‖ n ‖ Gx ‖ Gy (7W), input e ‖ k (2W), output r ‖ s (2W).
    EcdsaSign,
    /// Key p ‖ a ‖ b ‖ n ‖ Gx ‖ Gy ‖ Qx ‖ Qy (8W), input e ‖ s ‖ r (3W), no output.
    EcdsaVerify,
    /// X25519 and X448: key p ‖ a24 ‖ k (3W), input u (W), output u (W).
    Ladder,
    /// As [`Self::EcdsaSign`].
    Sm2Sign,
    /// As [`Self::EcdsaVerify`].
    Sm2Verify,
    /// Key as [`Self::EcdsaVerify`], input k ‖ message (W + m), output C1x ‖ C1y ‖ C2 ‖ C3 (2W + m + 32).
    Sm2Encrypt {
        /// m, 1 to 512.
        message_len: u16,
    },
    /// Key as [`Self::EcdsaSign`], input C1x ‖ C1y ‖ C2 ‖ C3 (2W + m + 32), output the message (m).
    Sm2Decrypt {
        /// m, 1 to 512.
        message_len: u16,
    },
}

/// Bytes of SM3's output.
const SM3_LEN_BYTES: usize = 32;

impl Operation {
    /// `alg`, bits 4:0 of dword 0 (`hpre §1.2`).
    pub(super) fn code(self) -> u32 {
        match self {
            Self::RsaNonCrt => 0x00,
            Self::RsaCrt => 0x01,
            Self::DhOfTwo => 0x04,
            Self::Dh => 0x05,
            Self::Multiply { .. } => 0x0d,
            Self::EcdsaSign => 0x0e,
            Self::EcdsaVerify => 0x0f,
            Self::Ladder => 0x10,
            Self::Sm2Sign => 0x12,
            Self::Sm2Verify => 0x13,
            Self::Sm2Encrypt { .. } => 0x14,
            Self::Sm2Decrypt { .. } => 0x15,
        }
    }

    /// Bytes the device reads of the key buffer.
    pub(crate) fn key_len(self, width_bytes: usize) -> usize {
        match self {
            Self::RsaNonCrt | Self::DhOfTwo | Self::Dh => width_bytes * 2,
            Self::RsaCrt => width_bytes / 2 * 5,
            Self::Ladder => width_bytes * 3,
            Self::Multiply { .. } => width_bytes * 4,
            Self::EcdsaSign | Self::Sm2Sign | Self::Sm2Decrypt { .. } => width_bytes * 7,
            Self::EcdsaVerify | Self::Sm2Verify | Self::Sm2Encrypt { .. } => width_bytes * 8,
        }
    }

    /// Bytes of the input; 0: none is read.
    pub(crate) fn input_len(self, width_bytes: usize) -> usize {
        match self {
            Self::DhOfTwo => 0,
            Self::RsaNonCrt | Self::RsaCrt | Self::Dh | Self::Ladder => width_bytes,
            Self::Multiply { .. } | Self::EcdsaSign | Self::Sm2Sign => width_bytes * 2,
            Self::EcdsaVerify | Self::Sm2Verify => width_bytes * 3,
            Self::Sm2Encrypt { message_len } => width_bytes + usize::from(message_len),
            Self::Sm2Decrypt { message_len } => width_bytes * 2 + usize::from(message_len) + SM3_LEN_BYTES,
        }
    }

    /// Bytes of the output; 0: the answer stands in the descriptor.
    pub(crate) fn output_len(self, width_bytes: usize) -> usize {
        match self {
            Self::RsaNonCrt | Self::RsaCrt | Self::DhOfTwo | Self::Dh | Self::Ladder => width_bytes,
            Self::Multiply { .. } | Self::EcdsaSign | Self::Sm2Sign => width_bytes * 2,
            Self::EcdsaVerify | Self::Sm2Verify => 0,
            Self::Sm2Encrypt { message_len } => width_bytes * 2 + usize::from(message_len) + SM3_LEN_BYTES,
            Self::Sm2Decrypt { message_len } => usize::from(message_len),
        }
    }

    /// What stands in dword 1 beside the width: bit 31 asks for a high-performance core. `sm2_ksel` (bit 25) stays 0: every
    /// random number comes from the caller.
    pub(super) fn selectors(self) -> u32 {
        u32::from(matches!(self, Self::Multiply { fast: true })) << 31
    }

    /// Dword 10: `sm2_mlen`, the message's bytes less one.
    pub(super) fn message_field(self) -> u32 {
        match self {
            Self::Sm2Encrypt { message_len } | Self::Sm2Decrypt { message_len } => {
                u32::from(message_len).saturating_sub(1) & 0x1ff
            }
            _ => 0,
        }
    }
}
