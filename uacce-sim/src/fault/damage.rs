//! Damage to single requests: to what is written into the client's memory, and to the completed descriptor.

use super::Kind;
use crate::device::Engine;
use crate::os::client::{ClientSpace, MemoryError};

/// What one request suffers, sorted by where it happens.
#[derive(Debug, Default)]
pub struct Damage {
    /// Results with wrong bits.
    pub bytes: bool,
    /// Results cut half way.
    pub short: bool,
    /// Reported instead of computing.
    pub status: Option<u32>,
    /// Bits of the tag to invert.
    pub tag: u32,
}

impl Damage {
    /// The part of `kinds` that concerns descriptor and memory.
    pub fn of(kinds: &[Kind]) -> Self {
        let mut damage = Self::default();
        for kind in kinds {
            match kind {
                Kind::Bytes => damage.bytes = true,
                Kind::Short => damage.short = true,
                Kind::Status(code) => damage.status = Some(*code),
                Kind::Tag(bits) => damage.tag ^= bits,
                _ => {}
            }
        }
        damage
    }

    /// Puts the damage into a descriptor.
    pub fn deface(&self, engine: Engine, descriptor: &mut [u8]) {
        if let Some(code) = self.status {
            match engine {
                // done 3 and eleven error bits (hpre §1.1).
                Engine::Hpre => change(descriptor, 0, |word| word & 0x1F | (code & 0x7FF) << 5 | 3 << 30),
                // done and an error type (sec §4).
                Engine::Sec => change(descriptor, 28, |_| (code & 0xFF) << 16 | 1),
                // Nothing consumed, nothing produced, eight bits of status (zip §1.7).
                Engine::Zip => {
                    change(descriptor, 0, |_| 0);
                    change(descriptor, 1, |_| 0);
                    change(descriptor, 3, |_| code & 0xFF);
                }
            }
        }
        if self.short && engine == Engine::Zip {
            change(descriptor, 1, |produced| produced / 2);
        }
        if self.tag != 0 {
            let at = match engine {
                Engine::Hpre => 8,
                Engine::Sec if descriptor.first().is_some_and(|first| first & 0xF == 3) => 2,
                Engine::Sec => 10,
                Engine::Zip if is_type_three(descriptor) => 26,
                Engine::Zip => 13,
            };
            change(descriptor, at, |tag| tag ^ self.tag);
        }
    }
}

/// Client memory that gets damaged results.
pub struct Damaging<'a> {
    /// The real one.
    pub space: &'a dyn ClientSpace,
    /// How.
    pub damage: &'a Damage,
}

impl ClientSpace for Damaging<'_> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        self.space.read(address, bytes)
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let mut bytes = bytes.to_vec();
        if self.damage.bytes {
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0x10;
            }
        }
        if self.damage.short {
            bytes.truncate(bytes.len() / 2);
        }
        self.space.write(address, &bytes)
    }
}

fn change(descriptor: &mut [u8], index: usize, change: impl FnOnce(u32) -> u32) {
    if let Some(word) = descriptor.get_mut(index * 4..).and_then(|rest| rest.first_chunk_mut()) {
        *word = change(u32::from_le_bytes(*word)).to_le_bytes();
    }
}

/// Bits 31:28 of dword 7 (zip §1.2).
fn is_type_three(descriptor: &[u8]) -> bool {
    descriptor.get(31).is_some_and(|high| high >> 4 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::FlatMemory;

    #[test]
    fn the_right_words_are_hit() {
        let mut hpre = vec![0; 64];
        let damage = Damage::of(&[Kind::Tag(1), Kind::Status(2), Kind::Lost]);
        damage.deface(Engine::Hpre, &mut hpre);
        assert_eq!((&hpre[..4], hpre[32]), (&[0x40, 0, 0, 0xC0][..], 1));
        for (form, tag) in [(2, 10), (3, 2)] {
            let mut sec = vec![0; 128];
            sec[0] = form;
            damage.deface(Engine::Sec, &mut sec);
            assert_eq!((&sec[112..116], sec[tag * 4]), (&[1, 0, 2, 0][..], 1));
        }
        for (form, tag) in [(0, 13), (0x30, 26)] {
            let mut zip = vec![0; 128];
            zip[31] = form;
            zip[4] = 9;
            damage.deface(Engine::Zip, &mut zip);
            assert_eq!((zip[4], zip[12], zip[tag * 4]), (0, 2, 1));
        }
    }

    #[test]
    fn results_are_hit_inputs_are_not() {
        let memory = FlatMemory::new(8);
        let damage = Damage::of(&[Kind::Bytes]);
        Damaging { space: &memory, damage: &damage }.write(FlatMemory::BASE, &[0; 8]).unwrap();
        assert_eq!(memory.bytes(FlatMemory::BASE, 8), [0, 0, 0, 0, 0x10, 0, 0, 0]);
        let damage = Damage::of(&[Kind::Short]);
        let damaging = Damaging { space: &memory, damage: &damage };
        damaging.write(FlatMemory::BASE, &[7; 8]).unwrap();
        let mut read = [0; 8];
        damaging.read(FlatMemory::BASE, &mut read).unwrap();
        assert_eq!(read, [7, 7, 7, 7, 0x10, 0, 0, 0]);
    }
}
