//! A control plane in a few lines: a compacted log that answers one stream.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use meshlite_snapshot::{
    Bucket, BucketDigests, Name, Node, Resource, ResourceType, SetDigest, Snapshot, Topic, Version,
};

use crate::{
    decode, encode,
    v1::{self, discovery_request, discovery_response::Kind},
};

pub(crate) const NODES: Topic = Topic::all(ResourceType::Node);
pub(crate) const NAMESPACES: Topic = Topic::all(ResourceType::Namespace);

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) epoch: String,
    pub(crate) generation: u64,
    pub(crate) chunk_bytes: usize,
    /// Commits are compressed.
    pub(crate) zstd: bool,
    /// How many changes of the cluster it has seen, and which cluster that is.
    pub(crate) clock: u64,
    pub(crate) origin: String,
    log: BTreeMap<(Topic, Name), Logged>,
    /// The digests of each generation.
    history: BTreeMap<u64, Vec<String>>,
    stream: Stream,
}

/// What a commit starts from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum From {
    #[default]
    Nothing,
    /// This generation of the same log.
    Generation(u64),
    /// This generation of another log, in which everything is the same.
    Same(u64),
    /// All but these buckets.
    Buckets(Vec<Bucket>),
}

#[derive(Clone, Debug)]
struct Logged {
    body: Option<Bytes>,
    at: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Asking {
    #[default]
    No,
    Due,
    Awaited,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    nonce: u64,
    from: From,
    /// There is something to send even if nothing changed.
    due: bool,
    /// Where it depends on what the client's buckets hold.
    asking: Asking,
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
            zstd: false,
            clock: 0,
            origin: "cluster".into(),
            log: BTreeMap::new(),
            history: BTreeMap::new(),
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
        self.clock += 1;
        let at = self.generation;
        self.log.insert((topic, mk_name(name)), Logged { body, at });
        self.history.insert(at, self.set_digests());
    }

    /// The same state in a process that has just started.
    pub(crate) fn restart(&mut self, epoch: &str) {
        self.epoch = epoch.into();
        self.generation = 1;
        self.log.retain(|_, logged| logged.body.is_some());
        for logged in self.log.values_mut() {
            logged.at = 1;
        }
        self.history = BTreeMap::from([(1, self.set_digests())]);
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
                let from = self.resume_from(&hello);
                self.stream = Stream {
                    asking: from.as_ref().map_or(Asking::Due, |_| Asking::No),
                    from: from.unwrap_or_default(),
                    due: true,
                    ..Stream::default()
                };
            }
            Some(discovery_request::Kind::Ack(ack)) => {
                self.stream.unacknowledged = false;
                if ack.digest_mismatch {
                    self.stream.from = From::Nothing;
                    self.stream.due = true;
                }
            }
            Some(discovery_request::Kind::Held(held)) => {
                assert_eq!(self.stream.asking, Asking::Awaited);
                let held = BucketDigests::from_bytes(&held.bucket_digests).unwrap();
                let differing = self.bucket_digests().differing(&held).collect();
                self.stream.from = From::Buckets(differing);
                self.stream.asking = Asking::No;
            }
            Some(discovery_request::Kind::Heartbeat(_)) | None => {}
        }
    }

    /// None: what the client's buckets hold decides.
    fn resume_from(&self, hello: &v1::Hello) -> Option<From> {
        let Some(cursor) = &hello.cursor else {
            return Some(From::Nothing);
        };
        let held: Vec<_> = hello
            .subscriptions
            .iter()
            .map(|subscription| subscription.set_digest.clone())
            .collect();
        let was = self.history.get(&cursor.generation);
        if cursor.epoch == self.epoch && was == Some(&held) {
            return Some(From::Generation(cursor.generation));
        }
        (held == self.set_digests()).then_some(From::Same(cursor.generation))
    }

    /// What it sends next, if the client has acknowledged what was sent before.
    pub(crate) fn respond(&mut self) -> Vec<v1::DiscoveryResponse> {
        match self.stream.asking {
            Asking::Due => {
                self.stream.asking = Asking::Awaited;
                return vec![response(Kind::DigestsWanted(v1::DigestsWanted {}))];
            }
            Asking::No if !self.stream.unacknowledged => {}
            Asking::No | Asking::Awaited => return Vec::new(),
        }
        let changed = self.stream.from != From::Generation(self.generation);
        if !self.stream.due && !changed {
            return Vec::new();
        }
        let nonce = self.stream.nonce + 1;
        let responses = self.commit_from(nonce, &self.stream.from);
        self.stream = Stream {
            nonce,
            from: From::Generation(self.generation),
            unacknowledged: true,
            ..Stream::default()
        };
        responses
    }

    /// A commit since a generation, or a full one.
    pub(crate) fn commit(&self, nonce: u64, from: Option<u64>) -> Vec<v1::DiscoveryResponse> {
        self.commit_from(nonce, &from.map_or(From::Nothing, From::Generation))
    }

    /// What it says at intervals.
    pub(crate) fn heartbeat(&self) -> v1::DiscoveryResponse {
        response(Kind::Heartbeat(v1::Heartbeat {
            generation: self.generation,
            digests: self.digests(),
            sources: self.sources(),
            ..v1::Heartbeat::default()
        }))
    }

    pub(crate) fn commit_from(&self, nonce: u64, from: &From) -> Vec<v1::DiscoveryResponse> {
        let mut stream = BytesMut::new();
        let mut frame_count = 0;
        for ((topic, name), logged) in &self.log {
            let wanted = match from {
                From::Nothing => logged.body.is_some(),
                From::Same(_) => false,
                From::Generation(from) => logged.at > *from,
                From::Buckets(buckets) => {
                    logged.body.is_some() && buckets.contains(&Bucket::of(name))
                }
            };
            if wanted {
                let body = logged.body.as_ref();
                let version = Version::of(body.map_or(b"".as_slice(), |body| body));
                encode::frame(*topic, name, version, body, &mut stream);
                frame_count += 1;
            }
        }
        let (mode, from_generation, buckets) = match from {
            From::Nothing => (v1::CommitMode::Full, 0, &[][..]),
            From::Same(from) | From::Generation(from) => (v1::CommitMode::Delta, *from, &[][..]),
            From::Buckets(buckets) => (v1::CommitMode::Buckets, 0, buckets.as_slice()),
        };
        let raw_bytes = stream.len() as u64;
        let (encoding, stream) = if self.zstd {
            let packed = zstd::encode_all(stream.as_ref(), 3).unwrap();
            (v1::Encoding::Zstd, packed.into())
        } else {
            (v1::Encoding::Identity, stream.freeze())
        };
        let begin = v1::CommitBegin {
            nonce,
            epoch: self.epoch.clone(),
            from_generation,
            generation: self.generation,
            mode: mode.into(),
            encoding: encoding.into(),
            replaced_buckets: buckets.iter().map(|b| b.number().into()).collect(),
            frame_count,
            bytes: stream.len() as u64,
            raw_bytes,
            ..v1::CommitBegin::default()
        };
        let end = v1::CommitEnd {
            nonce,
            generation: self.generation,
            expected: self.digests(),
            sources: self.sources(),
            ..v1::CommitEnd::default()
        };
        let chunks = encode::chunks(stream, self.chunk_bytes)
            .map(|data| Kind::Chunk(v1::ResourceChunk { data }));
        std::iter::once(Kind::Begin(begin))
            .chain(chunks)
            .chain([Kind::End(end)])
            .map(response)
            .collect()
    }

    /// How far it has read the cluster.
    fn sources(&self) -> Vec<v1::Watermark> {
        ["nodes", "namespaces"]
            .map(|resource| v1::Watermark {
                resource: resource.into(),
                resource_version: self.clock.to_string(),
                origin: self.origin.clone(),
                staleness: None,
            })
            .to_vec()
    }

    fn bucket_digests(&self) -> BucketDigests {
        let mut all = BucketDigests::default();
        for topic in [NODES, NAMESPACES] {
            let mut digests = BucketDigests::default();
            for ((of, name), logged) in &self.log {
                if let (true, Some(body)) = (*of == topic, &logged.body) {
                    digests.add(name, Version::of(body));
                }
            }
            for bucket in Bucket::all() {
                all.add_topic(topic.kind, bucket, digests.get(bucket));
            }
        }
        all
    }

    fn set_digests(&self) -> Vec<String> {
        // A client says its topics in their own order.
        let mut digests = [NODES, NAMESPACES].map(|topic| (topic, self.digest(topic).digest));
        digests.sort();
        digests.map(|(_, digest)| digest).to_vec()
    }
}

pub(crate) fn response(kind: Kind) -> v1::DiscoveryResponse {
    v1::DiscoveryResponse { kind: Some(kind) }
}
