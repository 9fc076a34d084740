//! What a store instruction wants to store: pure functions from its bytes and the registers.
//!
//! Written by hand because they run inside a signal handler: no allocation, no table built at run time, no panic. Both
//! architectures are compiled and tested everywhere; the handler uses its own.

#[cfg_attr(not(any(test, target_arch = "aarch64")), allow(dead_code))]
pub(crate) mod aarch64;
#[cfg_attr(not(any(test, target_arch = "x86_64")), allow(dead_code))]
pub(crate) mod x86_64;

/// The registers a store can take its value from.
pub(crate) trait Registers {
    /// A general register by its encoded number; on aarch64 31 is the stack pointer.
    fn general(&self, number: u8) -> u64;
    /// The low 128 bits of a vector register; `None` when the state does not hold it.
    fn vector(&self, number: u8) -> Option<u128>;
}

/// A decoded store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    /// The bytes stored, little-endian, zero beyond `width`.
    pub(crate) value: u128,
    /// Bytes stored: 1, 2, 4, 8 or 16.
    pub(crate) width: u8,
    /// Bytes of the instruction.
    pub(crate) length: u8,
    /// What happens to a register besides.
    pub(crate) effect: Effect,
}

/// A register's change that comes with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// None.
    None,
    /// The register receives `width` bytes that were in memory before (an exchange).
    Load {
        /// General register.
        register: u8,
        /// Lowest bit written: 8 for the x86 registers AH, CH, DH, BH.
        shift: u8,
        /// Whether higher bits are zeroed.
        zero_extend: bool,
    },
    /// The register receives this value (base write-back, exclusive status).
    Set {
        /// General register.
        register: u8,
        /// Its new value.
        value: u64,
    },
}

/// `value` cut to `width` bytes.
fn cut(value: u128, width: u8) -> u128 {
    match u32::from(width) * 8 {
        bits @ 0..=127 => value & ((1u128 << bits) - 1),
        _ => value,
    }
}
