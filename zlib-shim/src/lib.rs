//! zlib ABI.
