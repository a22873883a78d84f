//! The doors for bytes from outside, each with what must hold whatever comes: tried by fuzz targets, and with a few bytes
//! by the tests of the mesh, so that they stay right.

use std::time::Duration;

use meshlite_ipvs::{
    Change, Family, ServiceKey,
    codec::{Answer, Body, Header, Messages, decode_family},
};
use meshlite_nft::{Expression, Transaction, codec::Object};
use meshlite_proto::{
    cache::{pack, unpack},
    decode, encode,
    frame::FrameReader,
    session::{Action, Installed, Session},
    v1::{self, discovery_response::Kind},
};
use meshlite_snapshot::{ResourceType, Topic};
use prost::Message as _;
use tokio::time::Instant;

/// What a client that terminates TLS is sent as one full commit: nothing is handed over without proof.
#[derive(Clone, Copy, Debug)]
pub struct Unproved<'a> {
    pub zstd: bool,
    pub raw_bytes: u16,
    pub frame_count: u16,
    /// Bytes of a chunk.
    pub cut: u8,
    pub bytes: &'a [u8],
}

/// A manifest file: every finding names it.
pub fn manifests(text: &[u8]) {
    let file = meshlite_manifests::parse("fuzz.yaml", text);
    for finding in &file.findings {
        let source = finding.source.as_ref();
        assert!(source.is_some_and(|source| source.file == "fuzz.yaml"));
    }
}

/// A cache file: what is read is written and read to the same.
pub fn cache(file: &[u8]) {
    if let Ok(kept) = unpack(file) {
        let again = pack(&kept).expect("memory does not fail");
        assert_eq!(unpack(&again), Ok(kept));
    }
}

/// The stream of a commit, cut anywhere: what decodes encodes and decodes to the same.
pub fn commit(cut: u8, bytes: &[u8]) {
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
}

/// A commit between a beginning and an end that fit it, without the digests that would prove it.
pub fn session(unproved: Unproved<'_>) {
    let begin = Kind::Begin(v1::CommitBegin {
        nonce: 1,
        generation: 1,
        mode: v1::CommitMode::Full.into(),
        encoding: i32::from(unproved.zstd),
        frame_count: unproved.frame_count.into(),
        bytes: unproved.bytes.len() as u64,
        raw_bytes: unproved.raw_bytes.into(),
        ..v1::CommitBegin::default()
    });
    let chunks = unproved.bytes.chunks(usize::from(unproved.cut).max(1));
    let chunks = chunks.map(|data| {
        Kind::Chunk(v1::ResourceChunk {
            data: data.to_vec().into(),
        })
    });
    let end = Kind::End(v1::CommitEnd {
        nonce: 1,
        generation: 1,
        ..v1::CommitEnd::default()
    });
    let now = Instant::now();
    let mut session = mk_session(now);
    for kind in [begin].into_iter().chain(chunks).chain([end]) {
        for action in session.received(now, v1::DiscoveryResponse { kind: Some(kind) }) {
            assert!(!matches!(action, Action::Deliver(_)), "no digest proves it");
        }
    }
    session.tick(now + Duration::from_mins(1));
}

/// Messages of a server, each after its length as a varint and a second after the one before. A commit without resources
/// can be proved; whatever is handed over is installed, and counted as it says.
pub fn responses(mut bytes: &[u8]) {
    let mut now = Instant::now();
    let mut session = mk_session(now);
    while let Ok(response) = v1::DiscoveryResponse::decode_length_delimited(&mut bytes) {
        now += Duration::from_secs(1);
        let mut actions = session.received(now, response);
        while let Some(action) = actions.pop() {
            if let Action::Deliver(delivery) = action {
                let snapshot = delivery.snapshot;
                actions = session.installed(
                    now,
                    Installed {
                        snapshot,
                        rejected: Vec::new(),
                    },
                );
                assert_eq!(session.status().generation, delivery.generation);
            }
        }
        if session.next_deadline().is_none() {
            session.connected(now, "https://127.0.0.1:18000");
        }
        session.tick(now);
    }
}

/// Messages of a client: whatever it says, it is sent only what it may have.
pub fn request(bytes: &[u8]) {
    meshlite_control_plane::fuzzing::requests(bytes);
}

/// The head of a request: what passes the ingress's sanitiser has one reading.
pub fn head(lines: &[u8]) {
    meshlite_ingress::fuzzing::head(lines);
}

/// What an endpoint sends: one answer however it is cut, of one length.
pub fn response(cut: u8, bytes: &[u8]) {
    meshlite_ingress::fuzzing::response(cut, bytes);
}

/// What a client sends: the same requests however it is cut, each of one length.
pub fn pipeline(cut: u8, bytes: &[u8]) {
    meshlite_ingress::fuzzing::pipeline(cut, bytes);
}

/// A path: what passes the ingress's normaliser has no dot segments in any reading.
pub fn path(text: &str) {
    meshlite_ingress::fuzzing::path(text);
}

/// Routes and a request: the ingress's index finds what reading all routes finds.
pub fn router(lines: &str) {
    meshlite_ingress::fuzzing::router(lines);
}

fn mk_session(now: Instant) -> Session {
    let identity = v1::ClientIdentity::default();
    let mut session = Session::new(identity, v1::Role::Ingress, &Topic::INGRESS, 1);
    session.connected(now, "https://127.0.0.1:18000");
    session
}

/// A datagram of the kernel about IPVS: what is read is written and read to the same.
pub fn ipvs(datagram: &[u8]) {
    let answers = Messages::of(datagram)
        .flatten()
        .filter_map(|message| match message.body {
            Body::Data(payload) => {
                let _family = decode_family(payload).ok();
                Answer::decode(payload).ok()
            }
            _ => None,
        });
    for answer in answers.chain(Answer::decode(datagram).ok()) {
        match answer {
            Answer::Service(entry) => {
                let Answer::Service(again) = echo(Change::AddService(entry.service)) else {
                    panic!("a service is written as a service")
                };
                assert_eq!(again.service, entry.service);
            }
            Answer::Destination(entry) => {
                let service = ServiceKey::Mark {
                    family: Family::V4,
                    mark: std::num::NonZeroU32::MIN,
                };
                let change = Change::AddDestination(service, entry.destination);
                let Answer::Destination(again) = echo(change) else {
                    panic!("a destination is written as a destination")
                };
                assert_eq!(again.destination, entry.destination);
            }
            Answer::Timeouts(timeouts) => {
                assert_eq!(
                    echo(Change::SetTimeouts(timeouts)),
                    Answer::Timeouts(timeouts)
                );
            }
            Answer::Info(_) => {}
        }
    }
}

/// What a change says, read as an answer: the kernel answers in the form in which it is asked.
fn echo(change: Change) -> Answer {
    let mut bytes = Vec::new();
    let header = Header {
        family: 0x1c,
        sequence: 1,
        acknowledge: false,
    };
    change.encode(header, &mut bytes);
    let mut messages = Messages::of(&bytes);
    let Some(Ok(message)) = messages.next() else {
        panic!("one message is written")
    };
    let Body::Data(payload) = message.body else {
        panic!("of the family")
    };
    Answer::decode(payload).expect("what is written is read")
}

/// A datagram of the kernel about nftables: what is read is written and read to the same, but for what is only read.
pub fn nft(datagram: &[u8]) {
    for message in Messages::of(datagram).flatten() {
        let Body::Data(payload) = message.body else {
            continue;
        };
        if let Ok(Some(object)) = Object::decode(message.kind, payload) {
            rewrite(&object);
        }
    }
}

fn rewrite(object: &Object) {
    let mut transaction = Transaction::new();
    match object {
        Object::Table(entry) => transaction.add_table(&entry.table),
        Object::Chain(entry) => transaction.add_chain(&entry.chain),
        Object::Rule(entry) => {
            let is_other = |expression: &Expression| matches!(expression, Expression::Other(_));
            if entry.rule.expressions.iter().any(is_other) {
                return;
            }
            transaction.add_rule(&entry.rule);
        }
        Object::Set(entry) => transaction.add_set(&entry.set),
        // Of which set they are is not said here.
        Object::Elements(_) => return,
    }
    let Ok(Some(bytes)) = transaction.bytes() else {
        return;
    };
    let again = Messages::of(bytes).flatten().filter_map(|message| {
        let Body::Data(payload) = message.body else {
            return None;
        };
        Object::decode(message.kind, payload).ok().flatten()
    });
    let again: Vec<_> = again.collect();
    let is_same = match (object, &again[..]) {
        (Object::Table(a), [Object::Table(b)]) => a.table == b.table,
        (Object::Chain(a), [Object::Chain(b)]) => a.chain == b.chain,
        (Object::Rule(a), [Object::Rule(b)]) => a.rule == b.rule,
        (Object::Set(a), [Object::Set(b)]) => a.set == b.set,
        _ => false,
    };
    assert!(is_same, "{object:?} is written as {again:?}");
}
