//! A control plane in a few lines: a compacted log that answers one stream.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use meshlite_snapshot::{Name, Node, Resource, ResourceType, SetDigest, Snapshot, Topic, Version};

use crate::{
    decode, encode,
    v1::{self, discovery_request, discovery_response::Kind},
};

pub(crate) const NODES: Topic = Topic::all(ResourceType::Node);
pub(crate) const NAMESPACES: Topic = Topic::all(ResourceType::Namespace);

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) epoch: String,
    pub(crate) generation: u64,
    pub(crate) chunk_bytes: usize,
    log: BTreeMap<(Topic, Name), Logged>,
    stream: Stream,
}

#[derive(Debug)]
struct Logged {
    body: Option<Bytes>,
    at: u64,
}

#[derive(Debug, Default)]
struct Stream {
    nonce: u64,
    /// What the next commit starts from; none for a full one.
    from: Option<u64>,
    /// There is something to send even if nothing changed.
    due: bool,
    unacknowledged: bool,
}

pub(crate) fn mk_name(name: &str) -> Name {
    Name::new(name).unwrap()
}

pub(crate) fn mk_node(name: &str, zone: &str) -> Resource {
    Resource::Node(Arc::new(Node {
        name: name.into(),
        zone: Some(zone.into()),
        addresses: vec![],
        pod_cidrs: vec![],
        leaving: false,
    }))
}

// === impl Model ===

impl Model {
    pub(crate) fn new(epoch: &str) -> Self {
        Self {
            epoch: epoch.into(),
            generation: 1,
            chunk_bytes: 7,
            log: BTreeMap::new(),
            stream: Stream::default(),
        }
    }

    pub(crate) fn with_nodes(epoch: &str, nodes: &[(&str, &str)]) -> Self {
        let mut model = Self::new(epoch);
        for (name, zone) in nodes {
            model.put(NODES, name, &mk_node(name, zone));
        }
        model
    }

    pub(crate) fn put(&mut self, topic: Topic, name: &str, resource: &Resource) {
        self.set(topic, name, Some(encode::body(resource)));
    }

    pub(crate) fn set(&mut self, topic: Topic, name: &str, body: Option<Bytes>) {
        self.generation += 1;
        let at = self.generation;
        self.log.insert((topic, mk_name(name)), Logged { body, at });
    }

    /// The same state in a process that has just started.
    pub(crate) fn restart(&mut self, epoch: &str) {
        self.epoch = epoch.into();
        self.generation = 1;
        self.log.retain(|_, logged| logged.body.is_some());
        for logged in self.log.values_mut() {
            logged.at = 1;
        }
    }

    /// All that can be read of what it has.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for ((topic, name), logged) in &self.log {
            if let Some(Ok(resource)) = logged
                .body
                .as_ref()
                .map(|body| decode::body(topic.kind, body))
            {
                snapshot.insert(name.clone(), resource);
            }
        }
        snapshot
    }

    pub(crate) fn digests(&self) -> Vec<v1::TopicDigest> {
        [NODES, NAMESPACES].map(|topic| self.digest(topic)).to_vec()
    }

    fn digest(&self, topic: Topic) -> v1::TopicDigest {
        let (mut digest, mut count) = (SetDigest::default(), 0);
        for ((of, name), logged) in &self.log {
            if let (true, Some(body)) = (*of == topic, &logged.body) {
                digest.add(name, Version::of(body));
                count += 1;
            }
        }
        encode::topic_digest(topic, digest, count)
    }

    /// Takes what a client says.
    pub(crate) fn receive(&mut self, request: v1::DiscoveryRequest) {
        match request.kind {
            Some(discovery_request::Kind::Hello(hello)) => {
                self.stream = Stream {
                    from: self.resume_from(&hello),
                    due: true,
                    ..Stream::default()
                };
            }
            Some(discovery_request::Kind::Ack(ack)) => {
                self.stream.unacknowledged = false;
                if ack.digest_mismatch {
                    self.stream.from = None;
                    self.stream.due = true;
                }
            }
            Some(discovery_request::Kind::Heartbeat(_)) | None => {}
        }
    }

    fn resume_from(&self, hello: &v1::Hello) -> Option<u64> {
        let cursor = hello.cursor.as_ref()?;
        if cursor.epoch == self.epoch {
            return Some(cursor.generation);
        }
        let same = hello.subscriptions.iter().all(|subscription| {
            let topic = decode::topic(subscription.topic.as_ref().unwrap()).unwrap();
            subscription.set_digest == self.digest(topic).digest
        });
        same.then_some(cursor.generation)
    }

    /// What it sends next, if the client has acknowledged what was sent before.
    pub(crate) fn respond(&mut self) -> Vec<v1::DiscoveryResponse> {
        if self.stream.unacknowledged {
            return Vec::new();
        }
        let changed = self.stream.from != Some(self.generation);
        if !self.stream.due && !changed {
            return Vec::new();
        }
        let responses = self.commit(self.stream.nonce + 1, self.stream.from);
        self.stream = Stream {
            nonce: self.stream.nonce + 1,
            from: Some(self.generation),
            due: false,
            unacknowledged: true,
        };
        responses
    }

    /// A commit since a generation, or a full one.
    pub(crate) fn commit(&self, nonce: u64, from: Option<u64>) -> Vec<v1::DiscoveryResponse> {
        let mut stream = BytesMut::new();
        let mut frame_count = 0;
        for ((topic, name), logged) in &self.log {
            let wanted = match from {
                Some(from) => logged.at > from,
                None => logged.body.is_some(),
            };
            if wanted {
                let body = logged.body.as_ref();
                let version = Version::of(body.map_or(b"".as_slice(), |body| body));
                encode::frame(*topic, name, version, body, &mut stream);
                frame_count += 1;
            }
        }
        let begin = v1::CommitBegin {
            nonce,
            epoch: self.epoch.clone(),
            from_generation: from.unwrap_or(0),
            generation: self.generation,
            mode: from
                .map_or(v1::CommitMode::Full, |_| v1::CommitMode::Delta)
                .into(),
            frame_count,
            bytes: stream.len() as u64,
            ..v1::CommitBegin::default()
        };
        let end = v1::CommitEnd {
            nonce,
            generation: self.generation,
            expected: self.digests(),
            ..v1::CommitEnd::default()
        };
        let chunks = encode::chunks(stream.freeze(), self.chunk_bytes)
            .map(|data| Kind::Chunk(v1::ResourceChunk { data }));
        std::iter::once(Kind::Begin(begin))
            .chain(chunks)
            .chain([Kind::End(end)])
            .map(response)
            .collect()
    }
}

pub(crate) fn response(kind: Kind) -> v1::DiscoveryResponse {
    v1::DiscoveryResponse { kind: Some(kind) }
}
