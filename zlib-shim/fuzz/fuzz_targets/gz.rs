//! Files written and read in any way, hostile ones too: what stock zlib's `gz*` say.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warpdrive_z::fuzz_gz(data));
