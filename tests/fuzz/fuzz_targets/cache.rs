//! Any bytes as a cache file.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| meshlite_fuzz::cache(file));
