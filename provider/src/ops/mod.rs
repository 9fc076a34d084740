//! The operations, one file each.

pub(crate) mod exchange;
pub(crate) mod keymgmt;
pub(crate) mod signature;
