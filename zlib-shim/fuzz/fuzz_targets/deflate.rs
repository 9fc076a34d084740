//! Sequences of deflate calls, with device faults: what stock zlib decodes, and its rules.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warpdrive_z::fuzz_deflate(data));
