//! Values with bounds: the bounds stand at the field, the sentence about them here.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

/// Whole milliseconds.
pub(super) fn ms<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    bounded::<D, MIN, MAX>(deserializer, " milliseconds").map(Duration::from_millis)
}

/// Whole microseconds.
pub(super) fn us<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    bounded::<D, MIN, MAX>(deserializer, " microseconds").map(Duration::from_micros)
}

/// A number of bytes.
pub(super) fn bytes<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<usize, D::Error> {
    let value = bounded::<D, MIN, MAX>(deserializer, " bytes")?;
    usize::try_from(value).map_err(D::Error::custom)
}

/// A number of things.
pub(super) fn count<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<u32, D::Error> {
    let value = bounded::<D, MIN, MAX>(deserializer, "")?;
    u32::try_from(value).map_err(D::Error::custom)
}

/// An absolute path; empty stands for none.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "" => Ok(None),
        path if path.starts_with('/') && !path.contains('\0') => Ok(Some(text.into())),
        other => Err(D::Error::invalid_value(Unexpected::Str(other), &"an absolute path, or \"\" for none")),
    }
}

fn bounded<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
    unit: &str,
) -> Result<u64, D::Error> {
    let value = i64::deserialize(deserializer)?;
    match u64::try_from(value) {
        Ok(value) if (MIN..=MAX).contains(&value) => Ok(value),
        _ => Err(D::Error::custom(format_args!("{value} is out of bounds: {MIN} to {MAX}{unit}"))),
    }
}
