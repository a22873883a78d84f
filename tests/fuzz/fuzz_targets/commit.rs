//! Any bytes as the stream of a commit.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| meshlite_fuzz::commit(input.0, input.1));
