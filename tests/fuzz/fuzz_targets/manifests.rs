//! Any bytes as a manifest file.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| meshlite_fuzz::manifests(text));
