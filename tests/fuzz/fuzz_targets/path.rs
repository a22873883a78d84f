//! Any text as a path.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| meshlite_fuzz::path(text));
