//! Key types.

pub(crate) mod rsa;
