//! Hostile streams in hostile pieces, with device faults: what stock zlib says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warpdrive_z::fuzz_inflate(data));
