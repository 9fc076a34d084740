//! Descriptors as bytes: a checked request in, bytes for the submission ring out, and back. Pure; no address is ever
//! followed here.
//!
//! Every number is little-endian (`hpre §1`, `sec §1`, `zip §1`). The addresses are plain user addresses (SVA).

pub(crate) mod hpre;
pub(crate) mod sec;
pub(crate) mod zip;

/// Bytes of the longest descriptor, ZIP's and SEC's.
pub(crate) const MAX_LEN_BYTES: usize = zip::LEN_BYTES;

/// A request in the device's language.
pub(crate) trait Descriptor {
    /// What a good completion tells beyond "done".
    type Answer;

    /// Fills `bytes` (exactly the family's descriptor length) with the request; `tag` comes back with the completion.
    fn encode(&self, tag: u32, bytes: &mut [u8]);

    /// Reads a completed descriptor and checks every number it reports against the request.
    /// # Errors
    /// [`Fault`], and what it means.
    fn decode(&self, completed: &[u8]) -> Result<Self::Answer, Fault>;
}

/// Why a completion brought no answer. Software serves the request in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device refused or failed this one request: its own status code.
    Status(u32),
    /// A completion no working device writes: a length beyond the buffer, a changed operation, "never processed".
    Impossible,
}

/// Where a family keeps the tag in a completed descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagPlace {
    /// HPRE: 64 bits at byte 32 (`hpre §1`).
    Hpre,
    /// SEC, descriptor type 2: 16 bits at byte 40, folded (`sec §1.1`).
    SecType2,
    /// SEC, descriptor type 3: 64 bits at byte 8 (`sec §1.2`).
    SecType3,
    /// ZIP, descriptor type 0: dword 13 (`zip §1.2`).
    ZipType0,
    /// ZIP, descriptor type 3: dword 26 (`zip §1.2`).
    ZipType3,
}

impl TagPlace {
    /// Bytes of the family's descriptor.
    pub(crate) fn descriptor_len(self) -> usize {
        match self {
            Self::Hpre => hpre::LEN_BYTES,
            Self::SecType2 | Self::SecType3 => sec::LEN_BYTES,
            Self::ZipType0 | Self::ZipType3 => zip::LEN_BYTES,
        }
    }

    /// Generations of one slot that its tags tell apart, less one, and the most slots they can name.
    pub(crate) fn capacity(self) -> (u16, u16) {
        match self {
            Self::SecType2 => (0x3f, 1 << 10),
            _ => (u16::MAX, u16::MAX),
        }
    }

    /// Whether the device has written into this descriptor since it was submitted. A completion that names one which it has
    /// not must be believed in nothing: the request's memory is still the device's.
    pub(crate) fn is_processed(self, completed: &[u8]) -> bool {
        let field = |index| dword(completed, index).unwrap_or(0);
        match self {
            // `done` in bits 31:30, submitted as 1 (`hpre §1`).
            Self::Hpre => field(0) >> 30 != 1,
            // `done`, bit 0 of the 16 bits at byte 112 (`sec §4`).
            Self::SecType2 | Self::SecType3 => field(28) & 1 != 0,
            // Every answer has consumed, produced or a status; but for a request without input, which may have found nothing
            // to do (`zip §2.7`), and then looks as it was submitted.
            Self::ZipType0 | Self::ZipType3 => {
                [0, 1, 3].into_iter().any(|index| field(index) != 0) || field(4) == 0
            }
        }
    }

    /// The tag of a completed descriptor; `None` when it cannot be one of ours.
    pub(crate) fn read(self, completed: &[u8]) -> Option<u32> {
        match self {
            Self::Hpre => {
                let high = dword(completed, 9)?;
                dword(completed, 8).filter(|_| high == 0)
            }
            Self::SecType2 => dword(completed, 10).filter(|word| word >> 16 == 0).map(sec::unfolded),
            Self::SecType3 => {
                let high = dword(completed, 3)?;
                dword(completed, 2).filter(|_| high == 0)
            }
            Self::ZipType0 => dword(completed, 13),
            Self::ZipType3 => dword(completed, 26),
        }
    }
}

/// Dword `index` of a descriptor; `None` beyond its end.
fn dword(bytes: &[u8], index: usize) -> Option<u32> {
    let start = index.checked_mul(4)?;
    let field = bytes.get(start..start.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

/// Stores dword `index`; beyond the end nothing happens (a descriptor is always given at its full length).
fn set_dword(bytes: &mut [u8], index: usize, value: u32) {
    if let Some(field) = bytes.get_mut(index * 4..index * 4 + 4) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

/// Stores a 64-bit address at dwords `index` (low) and `index + 1` (high).
fn set_address(bytes: &mut [u8], index: usize, address: u64) {
    if let Some(field) = bytes.get_mut(index * 4..index * 4 + 8) {
        field.copy_from_slice(&address.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_high_half_is_no_tag_of_ours() {
        let mut bytes = [0u8; hpre::LEN_BYTES];
        set_dword(&mut bytes, 8, 7);
        assert_eq!(TagPlace::Hpre.read(&bytes), Some(7));
        set_dword(&mut bytes, 9, 1);
        assert_eq!(TagPlace::Hpre.read(&bytes), None);
    }

    #[test]
    fn a_descriptor_as_it_was_submitted_is_not_processed() {
        let mut bytes = [0; MAX_LEN_BYTES];
        set_dword(&mut bytes, 0, 0x4000_0001);
        assert!(!TagPlace::Hpre.is_processed(&bytes));
        set_dword(&mut bytes, 0, 0xc000_0001);
        assert!(TagPlace::Hpre.is_processed(&bytes));

        for place in [TagPlace::SecType2, TagPlace::SecType3] {
            assert!(!place.is_processed(&[0; MAX_LEN_BYTES]));
            let mut bytes = [0; MAX_LEN_BYTES];
            set_dword(&mut bytes, 28, 0x0101);
            assert!(place.is_processed(&bytes));
        }

        for place in [TagPlace::ZipType0, TagPlace::ZipType3] {
            let mut submitted = [0; MAX_LEN_BYTES];
            assert!(place.is_processed(&submitted), "without input there may be nothing to do");
            set_dword(&mut submitted, 4, 1000);
            assert!(!place.is_processed(&submitted));
            for index in [0, 1, 3] {
                let mut bytes = submitted;
                set_dword(&mut bytes, index, 1);
                assert!(place.is_processed(&bytes), "dword {index}");
            }
        }
    }

    #[test]
    fn short_bytes_have_no_tag() {
        assert_eq!(TagPlace::ZipType3.read(&[0; 64]), None);
        assert_eq!(TagPlace::ZipType0.read(&[]), None);
    }
}
