//! Any bytes as the stream of a commit, cut anywhere: never a panic, and what decodes encodes and decodes to the same.
#![no_main]

use meshlite_proto::{decode, encode, frame::FrameReader};
use meshlite_snapshot::ResourceType;

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let mut reader = FrameReader::default();
    for chunk in bytes.chunks(usize::from(cut).max(1)) {
        reader.push(chunk);
        while let Ok(Some(frame)) = reader.next_frame() {
            for kind in ResourceType::ALL {
                if let Ok(resource) = decode::body(kind, &frame.body) {
                    let again = decode::body(kind, &encode::body(&resource));
                    assert_eq!(again.as_ref(), Ok(&resource));
                }
            }
        }
    }
});
