//! The core's one error type. Device trouble is never an error: it is a reason for software.

use std::fmt;

/// Why a request could not even be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The numbers do not form a request the device could serve (size, range, missing part). *Fall back.*
    Unsuitable,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsuitable => f.write_str("not a request the hardware can serve"),
        }
    }
}

impl std::error::Error for Error {}
