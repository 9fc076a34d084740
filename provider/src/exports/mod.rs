//! The functions C calls. Each one is: guard, checked pointers, safe call, C value.

pub(crate) mod asym_cipher;
pub(crate) mod base;
pub(crate) mod cipher;
pub(crate) mod exchange;
mod key_parts;
pub(crate) mod keymgmt;
pub(crate) mod signature;
