#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uacce_sim::fuzzing::descriptors(data));
