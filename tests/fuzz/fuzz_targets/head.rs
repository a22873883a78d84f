//! Any bytes as the head of a request.
#![no_main]

libfuzzer_sys::fuzz_target!(|lines: &[u8]| meshlite_fuzz::head(lines));
