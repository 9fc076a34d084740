//! The doorbell word: where it lies and what its bits say (uacce-qm §3.1, §3.3).

/// Where the doorbell lies in its region, and how a word reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Queue manager v1: at 0x340; 16 bits of queue number, no random field.
    First,
    /// v2 and later: at 0x1000; 12 bits of queue number, 4 of command, a random field that is 0.
    Later,
}

/// A doorbell word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Queue number.
    pub queue: u16,
    /// What is told: [`SUBMISSION`], [`COMPLETION`], or something of the kernel's.
    pub command: u16,
    /// Whether the hardware heeds it: the random field is right.
    pub valid: bool,
    /// New tail or head.
    pub index: u16,
    /// For completions, bit 0: an event is wanted.
    pub priority: u16,
}

impl Layout {
    /// Byte offset of the doorbell in its region.
    pub fn offset(self) -> usize {
        match self {
            Self::First => 0x340,
            Self::Later => 0x1000,
        }
    }

    /// Takes a word apart.
    pub fn read(self, word: u64) -> Rung {
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        let [low, second, index, priority] = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_le_bytes);
        match self {
            Self::First => Rung { queue: low, command: second, valid: true, index, priority },
            Self::Later => {
                Rung { queue: low & 0xFFF, command: low >> 12, valid: second == 0, index, priority }
            }
        }
    }
}

/// Descriptors were written up to this tail.
pub const SUBMISSION: u16 = 0;
/// Completions were consumed up to this head.
pub const COMPLETION: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_read() {
        let expected = Rung { queue: 7, command: COMPLETION, valid: true, index: 0x3FF, priority: 1 };
        assert_eq!(Layout::First.read(7 | 1 << 16 | 0x3FF << 32 | 1 << 48), expected);
        assert_eq!(Layout::Later.read(7 | 1 << 12 | 0x3FF << 32 | 1 << 48), expected);
        assert!(!Layout::Later.read(7 | 1 << 12 | 5 << 16).valid);
        assert_eq!(Layout::First.read(0x1234).queue, 0x1234);
    }
}
