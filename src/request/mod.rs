//! What is asked. A request is checked once, when it is built: nothing invalid reaches a ring.

pub mod compress;
pub mod pkey;

/// A row of the counters and of the policy: one kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSA private operation by modulus size: 1024, 2048, 3072, 4096 bits; 0 stands for every other size.
    RsaPrivate(u16),
    /// Compression, all wrappers.
    Deflate,
    /// Decompression, all wrappers.
    Inflate,
}

impl Algorithm {
    /// Every row, in the order of the counters.
    pub const ALL: [Self; 7] = [
        Self::RsaPrivate(1024),
        Self::RsaPrivate(2048),
        Self::RsaPrivate(3072),
        Self::RsaPrivate(4096),
        Self::RsaPrivate(0),
        Self::Deflate,
        Self::Inflate,
    ];

    /// Position in [`Algorithm::ALL`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::RsaPrivate(1024) => 0,
            Self::RsaPrivate(2048) => 1,
            Self::RsaPrivate(3072) => 2,
            Self::RsaPrivate(4096) => 3,
            Self::RsaPrivate(_) => 4,
            Self::Deflate => 5,
            Self::Inflate => 6,
        }
    }

    /// The name in every report and in the configuration, e.g. `rsa-2048-private`, `deflate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RsaPrivate(1024) => "rsa-1024-private",
            Self::RsaPrivate(2048) => "rsa-2048-private",
            Self::RsaPrivate(3072) => "rsa-3072-private",
            Self::RsaPrivate(4096) => "rsa-4096-private",
            Self::RsaPrivate(_) => "rsa-other-private",
            Self::Deflate => "deflate",
            Self::Inflate => "inflate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_position_in_all() {
        for (position, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            assert_eq!(algorithm.index(), position, "{algorithm:?}");
        }
    }

    #[test]
    fn every_other_size_is_one_row() {
        assert_eq!(Algorithm::RsaPrivate(1536).index(), Algorithm::RsaPrivate(0).index());
        assert_eq!(Algorithm::RsaPrivate(1536).name(), "rsa-other-private");
    }
}
