//! Any bytes as messages of a client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meshlite_fuzz::request(bytes));
