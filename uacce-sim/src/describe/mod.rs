//! Descriptors in words: every named field, what is asked for, what came of it, which memory is meant.
//!
//! Nothing here decides anything: the models read descriptors themselves. This is for people (`trace`, `top`) and for what
//! is named on the command line (`--latency`, `--bandwidth`).

mod hpre;
mod sec;
mod zip;

use crate::device::Engine;

/// A named part of a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As in the reference.
    pub name: &'static str,
    /// The 32-bit word it begins in.
    pub word: usize,
    /// Its lowest bit there.
    pub low: u32,
    /// Bits; beyond those of the first word, the second follows.
    pub width: u32,
    /// Who writes it.
    pub way: Way,
    /// What its values are called.
    pub values: &'static [(u64, &'static str)],
}

/// Who writes a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The host; comes back unchanged.
    In,
    /// The device.
    Out,
    /// The host, then the device; or what tells one request from another.
    Both,
}

/// A piece of client memory that a descriptor names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// As in the reference.
    pub name: &'static str,
    /// Address in the client; of a list's head if `list`.
    pub at: u64,
    /// Bytes.
    pub len: usize,
    /// Bytes of a list left out at its beginning.
    pub skip: usize,
    /// A scatter-gather list.
    pub list: bool,
    /// Written by the device.
    pub output: bool,
}

/// What a request amounts to: the host's view of how much was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// From the general to the special, words joined by `-`: `rsa-2048-private`, `deflate-zlib`, `aes-256-gcm-encrypt`.
    pub name: String,
    /// Bytes of plain data: what was compressed, or decompressed into, ciphered, or digested. 0 for public keys.
    pub bytes: u64,
}

impl Field {
    const fn new(name: &'static str, word: usize, low: u32, width: u32, way: Way) -> Self {
        Self { name, word, low, width, way, values: &[] }
    }

    const fn called(mut self, values: &'static [(u64, &'static str)]) -> Self {
        self.values = values;
        self
    }

    /// Its value in `descriptor`.
    pub fn value(&self, descriptor: &[u8]) -> u64 {
        let wide = u64::from(word(descriptor, self.word)) | u64::from(word(descriptor, self.word + 1)) << 32;
        let mask = if self.width >= 64 { u64::MAX } else { (1 << self.width) - 1 };
        wide >> self.low & mask
    }

    /// What its value is called, where it has a name.
    pub fn meaning(&self, value: u64) -> Option<&'static str> {
        self.values.iter().find(|(named, _)| *named == value).map(|(_, meaning)| *meaning)
    }
}

/// The fields of a descriptor of this shape, in their order.
pub fn fields(engine: Engine, descriptor: &[u8]) -> &'static [Field] {
    match engine {
        Engine::Hpre => &hpre::FIELDS,
        Engine::Sec if word(descriptor, 0) & 0xF == 3 => &sec::TYPE_3,
        Engine::Sec => &sec::TYPE_2,
        Engine::Zip if word(descriptor, 7) >> 28 == 3 => &zip::TYPE_3,
        Engine::Zip => &zip::TYPE_0,
    }
}

/// What a descriptor, submitted or completed, asks for. `class` is its queue's.
///
/// An RSA exponentiation may be a public or a private one: only the exponent tells, which is the client's memory.
/// `is_small` is asked for the exponent at an address; answering `None` leaves the name without that word.
pub fn work(
    engine: Engine,
    class: u16,
    descriptor: &[u8],
    is_small: impl FnOnce(u64, usize) -> Option<bool>,
) -> Work {
    match engine {
        Engine::Hpre => hpre::work(descriptor, is_small),
        Engine::Sec => sec::work(descriptor),
        Engine::Zip => zip::work(class, descriptor),
    }
}

/// The bytes of [`work`], for whoever needs nothing else.
pub fn bytes(engine: Engine, class: u16, descriptor: &[u8]) -> u64 {
    match engine {
        Engine::Hpre => 0,
        Engine::Sec => sec::bytes(descriptor),
        Engine::Zip => zip::bytes(class, descriptor),
    }
}

/// What a completed descriptor says went wrong; `None` if nothing did.
pub fn failure(engine: Engine, descriptor: &[u8]) -> Option<String> {
    match engine {
        Engine::Hpre => hpre::failure(descriptor),
        Engine::Sec => sec::failure(descriptor),
        Engine::Zip => zip::failure(descriptor),
    }
}

/// The client memory a descriptor names, inputs and keys before outputs.
pub fn buffers(engine: Engine, descriptor: &[u8]) -> Vec<Buffer> {
    let mut buffers = match engine {
        Engine::Hpre => hpre::buffers(descriptor),
        Engine::Sec => sec::buffers(descriptor),
        Engine::Zip => zip::buffers(descriptor),
    };
    buffers.retain(|buffer| buffer.len > 0 && buffer.at != 0);
    buffers
}

/// The first words that names begin with: what `--latency` and `--bandwidth` may be given for.
pub const FAMILIES: &[&str] = &[
    "hpre", "sec", "zip", "rsa", "dh", "ecdh", "ecdsa", "sm2", "x25519", "x448", "deflate", "inflate", "lz4",
    "lz77", "aes", "sm4", "sm3", "des", "3des", "md5", "sha1", "sha224", "sha256", "sha384", "sha512",
    "hmac",
];

fn word(descriptor: &[u8], index: usize) -> u32 {
    let bytes = descriptor.get(index * 4..index * 4 + 4);
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn bits(descriptor: &[u8], index: usize, low: u32, width: u32) -> u32 {
    word(descriptor, index) >> low & ((1 << width) - 1)
}

fn address(descriptor: &[u8], index: usize) -> u64 {
    u64::from(word(descriptor, index)) | u64::from(word(descriptor, index + 1)) << 32
}

#[cfg(test)]
mod tests;
