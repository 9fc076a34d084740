//! Compressed bytes that the caller's buffer had no room for yet.

use crate::abi::io::Io;
use crate::abi::next::OutOfMemory;
use crate::abi::own::copied;
use warpdrive::memory;

/// A queue of bytes: filled at the back, delivered from the front.
#[derive(Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    delivered: usize,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.delivered == self.bytes.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.delivered
    }

    /// Makes sure that `len_bytes` more can be appended without asking for memory.
    pub(crate) fn reserve(&mut self, len_bytes: usize) -> Result<(), OutOfMemory> {
        self.bytes.try_reserve(len_bytes).map_err(|_| OutOfMemory)
    }

    pub(crate) fn copy(&self) -> Result<Self, OutOfMemory> {
        let waiting = self.bytes.get(self.delivered..).unwrap_or_default();
        Ok(Self { bytes: copied(waiting)?, delivered: 0 })
    }

    /// Where new bytes are appended.
    pub(crate) fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends `bytes`, without a copy when nothing waits in front of them.
    pub(crate) fn append(&mut self, bytes: Vec<u8>) {
        if self.is_empty() {
            self.bytes = bytes;
            self.delivered = 0;
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// Delivers what fits.
    pub(crate) fn drain(&mut self, io: &mut Io<'_>) {
        if self.is_empty() {
            return;
        }
        self.delivered += io.put(self.bytes.get(self.delivered..).unwrap_or_default());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything; a large buffer is given back.
    pub(crate) fn clear(&mut self) {
        self.delivered = 0;
        if self.bytes.capacity() > 4096 {
            memory::give(std::mem::take(&mut self.bytes));
        } else {
            self.bytes.clear();
        }
    }
}
