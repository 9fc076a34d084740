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
