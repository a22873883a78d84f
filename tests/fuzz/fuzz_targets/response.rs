//! Any bytes, cut anywhere, as what an endpoint sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| meshlite_fuzz::response(input.0, input.1));
