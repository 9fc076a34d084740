//! zlib's ABI over Kunpeng accelerator queues: `libwarpdrive_z.so`, for `LD_PRELOAD`; with the feature `gz` and linked by
//! `scripts/link-libz`, `libz.so.1`.
//!
//! In come zlib calls; out go zlib's codes, bytes and fields. In between a deflate stream sends its plain text in
//! independent segments to the core, which answers from the device or says to do it in software; whole buffers given to
//! `uncompress` go there too. Everything else is the software engine's. Next room: the core (`warpdrive`).
//!
//! ```text
//! exports/  C functions: guard, checked pointers ─► deflate/  inflate  oneshot   streams and whole buffers
//!                                                    └─ gz/ ─┘                   files over both (feature gz)
//! abi/      z_stream, buffers of a call,             │          │
//!           the block behind `state`, the engine ◄───┴──────────┘──► accelerator ─► core
//! ```
//! `unsafe` stands in `abi/` and `exports/` only.

mod abi;
mod accelerator;
mod bound;
mod deflate;
mod engines;
pub mod exports;
#[cfg(feature = "gz")]
mod gz;
mod inflate;
mod oneshot;
mod pending;
mod small;
mod tally;
#[cfg(any(test, fuzzing))]
mod testing;
mod wrapper;

/// The fuzz target `inflate`: hostile data, chunks, functions in between and device faults against stock zlib.
#[cfg(fuzzing)]
pub fn fuzz_inflate(data: &[u8]) {
    inflate::tests::fuzzed(data);
}
