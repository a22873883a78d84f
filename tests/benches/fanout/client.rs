//! An honest client: it keeps what it was sent as name-hash and member hash, and computes its digests from the bytes alone.

#![expect(
    clippy::disallowed_types,
    reason = "thousands of clients with a map each; none of them is printed"
)]

use std::{collections::HashMap, io::Read as _, time::SystemTime};

use anyhow::{Context as _, bail, ensure};
use meshlite_proto::{
    frame::FrameReader,
    v1::{self, discovery_response::Kind},
};
use twox_hash::{XxHash3_64, XxHash3_128};

/// What a node subscribes to.
const TOPICS: [v1::ResourceType; 5] = [
    v1::ResourceType::Namespace,
    v1::ResourceType::Node,
    v1::ResourceType::Service,
    v1::ResourceType::EndpointGroup,
    v1::ResourceType::Weights,
];
const BUCKETS: u64 = 1024;

/// What one client holds.
#[derive(Default)]
pub(crate) struct Client {
    sets: [Set; 5],
    cursor: Option<v1::Cursor>,
    begin: Option<v1::CommitBegin>,
    data: Vec<u8>,
    /// Resources and removals that it was sent since it was made.
    pub(crate) frames: u64,
    /// Whether it checks the server's digests against its own.
    pub(crate) proves: bool,
}

/// The members of a topic by the hash of their names, and their sum.
#[derive(Default)]
struct Set {
    members: HashMap<u64, u128>,
    digest: u128,
}

/// A commit that was proved.
pub(crate) struct Proved {
    pub(crate) ack: v1::DiscoveryRequest,
    /// When the oldest change in it happened.
    pub(crate) oldest_change: Option<SystemTime>,
}

// === impl Client ===

impl Client {
    /// What opens a stream: who it is, and what it holds already.
    pub(crate) fn hello(&self, node: &str) -> v1::DiscoveryRequest {
        let digests = self.digests();
        let subscription = |held: v1::TopicDigest| v1::Subscription {
            topic: held.topic,
            set_digest: if self.cursor.is_some() {
                held.digest
            } else {
                String::new()
            },
            ..v1::Subscription::default()
        };
        request(v1::discovery_request::Kind::Hello(v1::Hello {
            client: Some(v1::ClientIdentity {
                id: format!("bench-{node}"),
                node_name: node.to_owned(),
                build: "bench".to_owned(),
                ..v1::ClientIdentity::default()
            }),
            role: v1::Role::L4Node.into(),
            subscriptions: digests.into_iter().map(subscription).collect(),
            accept: vec![v1::Encoding::Zstd.into(), v1::Encoding::Identity.into()],
            cursor: self.cursor.clone(),
            ..v1::Hello::default()
        }))
    }

    /// Takes a message; a commit that is complete and right gives its acknowledgement.
    pub(crate) fn receive(
        &mut self,
        message: v1::DiscoveryResponse,
    ) -> anyhow::Result<Option<Proved>> {
        match message.kind {
            Some(Kind::Begin(begin)) => {
                self.begin = Some(begin);
                self.data.clear();
            }
            Some(Kind::Chunk(chunk)) => self.data.extend_from_slice(&chunk.data),
            Some(Kind::End(end)) => return self.end(&end).map(Some),
            Some(Kind::Drain(drain)) => bail!("told to leave: {}", drain.reason),
            _ => {}
        }
        Ok(None)
    }

    /// Says that it is there, and what it holds.
    pub(crate) fn heartbeat(&self) -> v1::DiscoveryRequest {
        request(v1::discovery_request::Kind::Heartbeat(v1::Heartbeat {
            generation: self.cursor.as_ref().map_or(0, |cursor| cursor.generation),
            digests: self.digests(),
            ..v1::Heartbeat::default()
        }))
    }

    fn end(&mut self, end: &v1::CommitEnd) -> anyhow::Result<Proved> {
        let begin = self
            .begin
            .take()
            .context("a commit ends that did not begin")?;
        let mut data = std::mem::take(&mut self.data);
        if begin.encoding() == v1::Encoding::Zstd && !data.is_empty() {
            let mut raw = Vec::with_capacity(usize::try_from(begin.raw_bytes)?);
            zstd::Decoder::new(data.as_slice())?
                .take(begin.raw_bytes)
                .read_to_end(&mut raw)?;
            data = raw;
        }
        self.make_room(&begin);
        let mut frames = FrameReader::default();
        frames.push(&data);
        while let Some(frame) = frames.next_frame()? {
            self.apply(&frame)?;
        }
        for expected in &end.expected {
            let (set, digest) = self.held(expected)?;
            ensure!(
                !self.proves || digest == expected.digest,
                "a digest of {set} members is wrong: {digest}, not {}",
                expected.digest
            );
        }
        self.cursor = Some(v1::Cursor {
            epoch: begin.epoch,
            generation: begin.generation,
        });
        let ack = request(v1::discovery_request::Kind::Ack(v1::Ack {
            nonce: begin.nonce,
            generation: begin.generation,
            installed: self.digests(),
            ..v1::Ack::default()
        }));
        let oldest_change = end.oldest_change.and_then(|at| at.try_into().ok());
        Ok(Proved { ack, oldest_change })
    }

    /// Forgets what the commit holds whole.
    fn make_room(&mut self, begin: &v1::CommitBegin) {
        match begin.mode() {
            v1::CommitMode::Full => self.sets = Default::default(),
            v1::CommitMode::Buckets => {
                let replaced = |name: u64| {
                    let bucket = u32::try_from(name % BUCKETS).unwrap_or(0);
                    begin.replaced_buckets.binary_search(&bucket).is_ok()
                };
                for set in &mut self.sets {
                    let gone: Vec<_> = set.members.extract_if(|name, _| replaced(*name)).collect();
                    for (_, member) in gone {
                        set.digest = set.digest.wrapping_sub(member);
                    }
                }
            }
            v1::CommitMode::Delta | v1::CommitMode::Unspecified => {}
        }
    }

    fn apply(&mut self, frame: &v1::ResourceFrame) -> anyhow::Result<()> {
        self.frames += 1;
        let index = TOPICS.iter().position(|topic| *topic == frame.r#type());
        let set = index
            .and_then(|index| self.sets.get_mut(index))
            .context("a topic that nobody asked for")?;
        let name = XxHash3_64::oneshot(frame.name.as_bytes());
        let before = if frame.removed {
            set.members.remove(&name)
        } else {
            let version = XxHash3_64::oneshot(&frame.body);
            ensure!(
                version == frame.version,
                "{}: the version is not that of the bytes",
                frame.name
            );
            let member = [frame.name.as_bytes(), &[0], &version.to_be_bytes()].concat();
            let member = XxHash3_128::oneshot(&member);
            set.digest = set.digest.wrapping_add(member);
            set.members.insert(name, member)
        };
        set.digest = set.digest.wrapping_sub(before.unwrap_or(0));
        Ok(())
    }

    fn held(&self, expected: &v1::TopicDigest) -> anyhow::Result<(usize, String)> {
        let kind = expected
            .topic
            .as_ref()
            .context("a digest without a topic")?
            .r#type();
        let index = TOPICS.iter().position(|topic| *topic == kind);
        let set = index
            .and_then(|index| self.sets.get(index))
            .context("a topic that nobody asked for")?;
        Ok((set.members.len(), format!("{:032x}", set.digest)))
    }

    fn digests(&self) -> Vec<v1::TopicDigest> {
        let digest = |(kind, set): (&v1::ResourceType, &Set)| v1::TopicDigest {
            topic: Some(v1::Topic {
                r#type: (*kind).into(),
                scope: String::new(),
            }),
            digest: format!("{:032x}", set.digest),
            count: set.members.len() as u64,
        };
        TOPICS.iter().zip(&self.sets).map(digest).collect()
    }
}

pub(crate) fn request(kind: v1::discovery_request::Kind) -> v1::DiscoveryRequest {
    v1::DiscoveryRequest { kind: Some(kind) }
}
