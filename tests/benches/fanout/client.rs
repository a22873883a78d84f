//! An honest client: it keeps the hash of each name with the version, and computes its digests from the bytes alone.

use std::{cell::RefCell, collections::VecDeque, mem, time::SystemTime};

use anyhow::{Context as _, bail, ensure};
use meshlite_proto::v1::{self, discovery_response::Kind};
use prost::{Message as _, bytes::Bytes};
use twox_hash::{XxHash3_64, XxHash3_128};

/// What a node subscribes to.
const TOPICS: [v1::ResourceType; 5] = [
    v1::ResourceType::Namespace,
    v1::ResourceType::Node,
    v1::ResourceType::Service,
    v1::ResourceType::EndpointGroup,
    v1::ResourceType::Weights,
];

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

/// The versions of a topic by the hash of their names, ascending, and the sum of its members. Thousands of clients hold
/// tens of thousands of versions each: a sorted list is half the size of a map.
#[derive(Default)]
struct Set {
    versions: Vec<(u64, u64)>,
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
        let mut data = Bytes::from(mem::take(&mut self.data));
        if begin.encoding() == v1::Encoding::Zstd && !data.is_empty() {
            data = unpacked(data, usize::try_from(begin.raw_bytes)?)?;
        }
        let is_full = begin.mode() == v1::CommitMode::Full;
        ensure!(
            is_full || begin.mode() == v1::CommitMode::Delta,
            "buckets, which nobody asked for"
        );
        if is_full {
            self.sets = Default::default();
        }
        while !data.is_empty() {
            let frame = v1::ResourceFrame::decode_length_delimited(&mut data)?;
            self.frames += 1;
            let index = TOPICS.iter().position(|topic| *topic == frame.r#type());
            let set = index
                .and_then(|index| self.sets.get_mut(index))
                .context("a topic that nobody asked for")?;
            set.apply(&frame, is_full)?;
        }
        if is_full {
            for set in &mut self.sets {
                set.versions.sort_unstable();
                set.versions.shrink_to_fit();
            }
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
        Ok((set.versions.len(), format!("{:032x}", set.digest)))
    }

    fn digests(&self) -> Vec<v1::TopicDigest> {
        let digest = |(kind, set): (&v1::ResourceType, &Set)| v1::TopicDigest {
            topic: Some(v1::Topic {
                r#type: (*kind).into(),
                scope: String::new(),
            }),
            digest: format!("{:032x}", set.digest),
            count: set.versions.len() as u64,
        };
        TOPICS.iter().zip(&self.sets).map(digest).collect()
    }
}

// === impl Set ===

impl Set {
    /// Takes a frame. What comes first of a whole set is sorted later.
    fn apply(&mut self, frame: &v1::ResourceFrame, is_first: bool) -> anyhow::Result<()> {
        let key = XxHash3_64::oneshot(frame.name.as_bytes());
        let version = XxHash3_64::oneshot(&frame.body);
        ensure!(
            frame.removed || version == frame.version,
            "{}: the version is not that of the bytes",
            frame.name
        );
        let place = if is_first {
            Err(self.versions.len())
        } else {
            self.place(key)
        };
        let before = match place {
            Ok(place) if frame.removed => Some(self.versions.remove(place).1),
            Ok(place) => {
                let held = self.versions.get_mut(place).map(|(_, held)| held);
                held.map(|held| mem::replace(held, version))
            }
            Err(_) if frame.removed => None,
            Err(place) => {
                self.versions.insert(place, (key, version));
                None
            }
        };
        if let Some(before) = before {
            self.digest = self.digest.wrapping_sub(member(&frame.name, before));
        }
        if !frame.removed {
            self.digest = self.digest.wrapping_add(member(&frame.name, version));
        }
        Ok(())
    }

    /// Where the name with this hash stands, or would. Hashes are spread evenly, so it is near its share of the list: a
    /// search of all of it would wait for memory once a step, in each of thousands of lists that are in no cache.
    fn place(&self, key: u64) -> Result<usize, usize> {
        let versions = self.versions.as_slice();
        let name = |place: usize| versions.get(place).map(|(name, _)| *name);
        let share = (u128::from(key) * versions.len() as u128) >> 64;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        let mut reach = 128;
        loop {
            let low = share.saturating_sub(reach);
            let high = share.saturating_add(reach).min(versions.len());
            let is_above = low == 0 || name(low).is_some_and(|name| name <= key);
            let is_below = high == versions.len() || name(high).is_some_and(|name| key < name);
            if is_above && is_below {
                let near = versions.get(low..high).unwrap_or_default();
                let place = near.binary_search_by_key(&key, |(name, _)| *name);
                return place.map(|n| low + n).map_err(|n| low + n);
            }
            reach *= 4;
        }
    }
}

/// How many commits are kept unpacked: as many as there are on the way at a time.
const UNPACKED: usize = 8;

/// What clients were sent last, as it came and unpacked.
#[derive(Default)]
struct Unpacked(VecDeque<(Bytes, Bytes)>);

thread_local! {
    static UNPACKER: RefCell<Unpacked> = RefCell::default();
}

/// Unpacks what was not unpacked before. Data planes do that on thousands of machines, clients here on the server's: what
/// is the same to the last byte is unpacked once for all clients of a thread. Each reads and hashes all of it.
fn unpacked(data: Bytes, raw_bytes: usize) -> anyhow::Result<Bytes> {
    UNPACKER.with_borrow_mut(|Unpacked(known)| {
        if let Some((_, unpacked)) = known.iter().find(|(packed, _)| *packed == data) {
            return Ok(unpacked.clone());
        }
        let unpacked = Bytes::from(zstd::bulk::decompress(&data, raw_bytes)?);
        known.truncate(UNPACKED - 1);
        known.push_front((data, unpacked.clone()));
        Ok(unpacked)
    })
}

/// What a resource adds to the digest of its set.
fn member(name: &str, version: u64) -> u128 {
    XxHash3_128::oneshot(&[name.as_bytes(), &[0], &version.to_be_bytes()].concat())
}

pub(crate) fn request(kind: v1::discovery_request::Kind) -> v1::DiscoveryRequest {
    v1::DiscoveryRequest { kind: Some(kind) }
}
