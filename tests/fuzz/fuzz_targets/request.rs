//! Any bytes as messages of a client: never a panic, and whatever it says, it is sent only what it may have.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meshlite_control_plane::fuzzing::requests(bytes));
