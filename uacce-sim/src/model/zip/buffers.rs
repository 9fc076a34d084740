//! Where a request's bytes are: one flat buffer, or a scatter-gather list (zip §1.5, uacce-qm §8).

use super::Failure;
use crate::model::segments::{SegmentError, Segments};
use crate::model::{address, word};
use crate::os::client::ClientSpace;

/// Source and destination of a request.
pub(super) struct Buffers {
    pub(super) source: Segments,
    pub(super) destination: Segments,
}

impl Buffers {
    pub(super) fn parse(descriptor: &[u8], space: &dyn ClientSpace) -> Result<Self, Failure> {
        let (source_at, destination_at) = (address(descriptor, 18), address(descriptor, 20));
        match word(descriptor, 9) >> 8 & 0xF {
            0 => Ok(Self {
                source: Segments::flat(source_at, word(descriptor, 4) as usize),
                destination: Segments::flat(destination_at, word(descriptor, 14) as usize),
            }),
            1 => Ok(Self {
                source: Segments::walk(
                    source_at,
                    word(descriptor, 7) as usize & 0xFF_FFFF,
                    usize::MAX,
                    space,
                )?,
                destination: Segments::walk(
                    destination_at,
                    word(descriptor, 8) as usize & 0xFF_FFFF,
                    usize::MAX,
                    space,
                )?,
            }),
            _ => Err(Failure::Unsupported),
        }
    }

    /// Where the literals of a request for sequences go.
    pub(super) fn literals(descriptor: &[u8], space: &dyn ClientSpace) -> Result<Segments, Failure> {
        let (at, room) = (address(descriptor, 24), word(descriptor, 13) as usize);
        match word(descriptor, 9) >> 8 & 0xF {
            0 => Ok(Segments::flat(at, room)),
            _ => Ok(Segments::walk(at, 0, room, space)?),
        }
    }
}

impl From<SegmentError> for Failure {
    fn from(error: SegmentError) -> Self {
        match error {
            // Results are written after their length was compared with the room: only input can be short.
            SegmentError::Broken | SegmentError::Short => Self::Unsupported,
            SegmentError::Fault => Self::Address,
        }
    }
}
