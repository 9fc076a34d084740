//! The operations, one file each.

pub(crate) mod asym_cipher;
pub(crate) mod cipher;
mod curve;
pub(crate) mod exchange;
pub(crate) mod keymgmt;
mod rsa;
pub(crate) mod signature;
