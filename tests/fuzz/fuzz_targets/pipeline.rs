//! Any bytes, cut anywhere, as what a client sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| meshlite_fuzz::pipeline(input.0, input.1));
