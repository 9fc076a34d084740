//! The running checksum and length of a stream, as registers and as trailer (zip §2.6).

use zlib_rs::{adler32::adler32, crc32::crc32};

/// What surrounds the deflate payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Nothing.
    Raw,
    /// Adler-32.
    Zlib,
    /// CRC-32 and length.
    Gzip,
}

/// Checksum and length of the uncompressed bytes so far.
#[derive(Clone, Copy)]
pub(super) struct Running {
    format: Format,
    sum: u32,
    len: u32,
}

impl Running {
    pub(super) fn new(format: Format) -> Self {
        let sum = if format == Format::Zlib { 1 } else { 0 };
        Self { format, sum, len: 0 }
    }

    /// From words 30 and 31 of a descriptor.
    pub(super) fn resume(format: Format, [len, register]: [u32; 2]) -> Self {
        let sum = match format {
            Format::Raw => 0,
            Format::Zlib => register,
            Format::Gzip => (!register).reverse_bits(),
        };
        Self { format, sum, len }
    }

    /// Words 30 and 31: the length modulo 2³², and the checksum as the hardware's register shows it.
    pub(super) fn registers(&self) -> [u32; 2] {
        let register = match self.format {
            Format::Raw => 0,
            Format::Zlib => self.sum,
            // The shift register most significant bit first, without the final inversion.
            Format::Gzip => !self.sum.reverse_bits(),
        };
        [self.len, register]
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sum = match self.format {
            Format::Raw => 0,
            Format::Zlib => adler32(self.sum, bytes),
            Format::Gzip => crc32(self.sum, bytes),
        };
        self.len = self.len.wrapping_add(super::index(bytes.len()));
    }

    /// What follows the payload: nothing, 4 or 8 bytes.
    pub(super) fn trailer(&self) -> Vec<u8> {
        match self.format {
            Format::Raw => Vec::new(),
            Format::Zlib => self.sum.to_be_bytes().to_vec(),
            Format::Gzip => [self.sum.to_le_bytes(), self.len.to_le_bytes()].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vector: "123456789" gives Adler-32 0x091E01DE, CRC-32 0xCBF43926, register 0x9B63D02C.
    #[test]
    fn registers_as_published() {
        for (format, start, end) in
            [(Format::Zlib, 1, 0x091E_01DE), (Format::Gzip, 0xFFFF_FFFF, 0x9B63_D02C), (Format::Raw, 0, 0)]
        {
            let mut running = Running::new(format);
            assert_eq!(running.registers(), [0, start]);
            running.update(b"1234");
            running = Running::resume(format, running.registers());
            running.update(b"56789");
            assert_eq!(running.registers(), [9, end]);
        }
    }

    #[test]
    fn trailers_as_published() {
        let mut running = Running::new(Format::Gzip);
        running.update(b"123456789");
        assert_eq!(running.trailer(), [0x26, 0x39, 0xF4, 0xCB, 9, 0, 0, 0]);
        let mut running = Running::new(Format::Zlib);
        running.update(b"123456789");
        assert_eq!(running.trailer(), [0x09, 0x1E, 0x01, 0xDE]);
    }
}
