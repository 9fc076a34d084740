//! The functions C calls. Each one is: guard, checked pointers, safe call, C value.

pub(crate) mod base;
pub(crate) mod keymgmt;
pub(crate) mod signature;
