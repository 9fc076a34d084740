//! What the hardware would compute, in plain software.

pub mod hpre;
pub mod sec;
pub(crate) mod segments;
mod sm3;
pub mod zip;

use crate::os::client::ClientSpace;

/// One queue's engine.
pub trait Model: Send {
    /// Executes one descriptor: reads what it points at, writes results where it says, and changes exactly the fields the
    /// hardware writes. Never fails: what goes wrong becomes a status in the descriptor.
    fn execute(&mut self, descriptor: &mut [u8], space: &dyn ClientSpace);
}

/// The 32-bit little-endian word `index` of a descriptor.
fn word(descriptor: &[u8], index: usize) -> u32 {
    let bytes = descriptor.get(index * 4..index * 4 + 4);
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// The address in words `index` (low half) and `index + 1`.
fn address(descriptor: &[u8], index: usize) -> u64 {
    u64::from(word(descriptor, index)) | u64::from(word(descriptor, index + 1)) << 32
}

fn set_word(descriptor: &mut [u8], index: usize, value: u32) {
    if let Some(bytes) = descriptor.get_mut(index * 4..index * 4 + 4) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::cell::RefCell;

    use crate::os::client::{ClientSpace, MemoryError};

    /// The bytes that hexadecimal digits stand for; blanks between them do not matter.
    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|character| !character.is_whitespace())
            .map(|character| u8::try_from(character.to_digit(16).unwrap()).unwrap())
            .collect();
        digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// A flat client memory starting at [`FlatMemory::BASE`].
    pub(crate) struct FlatMemory(pub(crate) RefCell<Vec<u8>>);

    impl FlatMemory {
        pub(crate) const BASE: u64 = 0x10_0000;

        pub(crate) fn new(len: usize) -> Self {
            Self(RefCell::new(vec![0; len]))
        }

        pub(crate) fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
            let mut bytes = vec![0; len];
            self.read(address, &mut bytes).unwrap();
            bytes
        }
    }

    impl ClientSpace for FlatMemory {
        fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
            let memory = self.0.borrow();
            let at = usize::try_from(address.checked_sub(Self::BASE).ok_or(MemoryError::Fault)?).unwrap();
            let end = at.checked_add(bytes.len()).ok_or(MemoryError::Fault)?;
            bytes.copy_from_slice(memory.get(at..end).ok_or(MemoryError::Fault)?);
            Ok(())
        }

        fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
            let mut memory = self.0.borrow_mut();
            let at = usize::try_from(address.checked_sub(Self::BASE).ok_or(MemoryError::Fault)?).unwrap();
            let end = at.checked_add(bytes.len()).ok_or(MemoryError::Fault)?;
            memory.get_mut(at..end).ok_or(MemoryError::Fault)?.copy_from_slice(bytes);
            Ok(())
        }
    }
}
