//! Any bytes as a commit that nothing proves, compressed or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (bool, u16, u16, u8, &[u8])| {
    let (zstd, raw_bytes, frame_count, cut, bytes) = input;
    meshlite_fuzz::session(meshlite_fuzz::Unproved { zstd, raw_bytes, frame_count, cut, bytes });
});
