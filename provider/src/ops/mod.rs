//! The operations, one file each.

pub(crate) mod keymgmt;
pub(crate) mod signature;
