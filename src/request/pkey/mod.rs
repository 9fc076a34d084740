//! Public-key requests: numbers checked and laid out as the device reads them, once per key.
//!
//! Every number a caller gives is unsigned big-endian with leading zeros allowed (X25519 and X448 apart, which follow
//! RFC 7748). Whatever the device's behaviour is unknown for, or known to be wrong (`hpre §4.3`, `§4.4`), stops here as
//! [`crate::Error::Unsuitable`]: the front door's software decides what such input deserves.

mod curve;
mod dh;
mod ecc;
mod ecx;
mod field;
mod number;
mod rsa;

pub use curve::{Curve, CurveName, CurveParameters};
pub use dh::DhPrivateKey;
pub use ecc::{EcPrivateKey, EcPublicKey};
pub use ecx::{EcxKind, EcxPrivateKey};
pub use rsa::{RsaComponents, RsaPrivateKey};

#[cfg(test)]
pub(crate) use number::less;
pub(crate) use number::{is_below, is_zero};
