//! Any bytes as what a server sends, compressed or not: never a panic, and nothing is handed over without proof.
#![no_main]

use std::time::Duration;

use meshlite_proto::{
    session::{Action, Session},
    v1::{self, discovery_response::Kind},
};
use meshlite_snapshot::Topic;
use tokio::time::Instant;

libfuzzer_sys::fuzz_target!(|input: (bool, u16, u16, u8, &[u8])| {
    let (zstd, raw_bytes, frame_count, cut, bytes) = input;
    let begin = Kind::Begin(v1::CommitBegin {
        nonce: 1,
        generation: 1,
        mode: v1::CommitMode::Full.into(),
        encoding: i32::from(zstd),
        frame_count: frame_count.into(),
        bytes: bytes.len() as u64,
        raw_bytes: raw_bytes.into(),
        ..v1::CommitBegin::default()
    });
    let chunks = bytes.chunks(usize::from(cut).max(1)).map(|data| {
        Kind::Chunk(v1::ResourceChunk { data: data.to_vec().into() })
    });
    let end = Kind::End(v1::CommitEnd { nonce: 1, generation: 1, ..v1::CommitEnd::default() });
    let mut session =
        Session::new(v1::ClientIdentity::default(), v1::Role::Ingress, &Topic::INGRESS, 1);
    let now = Instant::now();
    session.connected(now, "https://127.0.0.1:18000");
    for kind in [begin].into_iter().chain(chunks).chain([end]) {
        let response = v1::DiscoveryResponse { kind: Some(kind) };
        for action in session.received(now, response) {
            assert!(!matches!(action, Action::Deliver(_)), "no digest proves it");
        }
    }
    session.tick(now + Duration::from_secs(60));
});
