//! ZIP.
use super::Model;
use crate::device::Hardware;
use crate::os::client::ClientSpace;

/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 128;

/// The engine of one queue.
pub struct Zip;

impl Zip {
    /// New.
    pub fn new(_class: u16, _hardware: Hardware, _memo: bool) -> Self {
        Self
    }
}

impl Model for Zip {
    fn execute(&mut self, descriptor: &mut [u8], _space: &dyn ClientSpace) {
        super::set_word(descriptor, 3, 0x22);
    }
}
