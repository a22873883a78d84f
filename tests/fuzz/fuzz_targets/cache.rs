//! Any bytes as a cache file: never a panic, and what is read is written and read to the same.
#![no_main]

use meshlite_proto::cache::{pack, unpack};

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    if let Ok(kept) = unpack(file) {
        let again = pack(&kept).expect("memory does not fail");
        assert_eq!(unpack(&again), Ok(kept));
    }
});
