//! Any text as routes and a request.
#![no_main]

libfuzzer_sys::fuzz_target!(|lines: &str| meshlite_fuzz::router(lines));
