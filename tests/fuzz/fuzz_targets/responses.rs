//! Any bytes as messages of a server.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meshlite_fuzz::responses(bytes));
