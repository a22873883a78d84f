//! What tests share: a server without a source, a client that speaks the protocol by hand, and small resources.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use meshlite_compile::{Compiled, Delta};
use meshlite_kubernetes::Leadership;
use meshlite_proto::{
    decode::FrameReader,
    encode,
    v1::{
        self, discovery_request, discovery_response,
        snapshot_discovery_client::SnapshotDiscoveryClient,
        snapshot_status_client::SnapshotStatusClient,
    },
};
use meshlite_snapshot::{
    Bucket, BucketDigests, Name, Namespace, PrivateKey, Resource, ResourceType, Scope, SetDigest,
    Snapshot, TlsSecret, Topic, Version,
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Channel};
use tonic_health::server::HealthReporter;

use crate::{
    RunError,
    assemble::{Gate, serve_grpc},
    findings::FindingBook,
    metrics::Metrics,
    peers::Peers,
    publish::{Publisher, Stamp, TOPICS, View, Views},
    status::StatusService,
    stream::{Clients, Discovery},
    watch::Sources,
};

/// Longer than anything a test waits for, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A gRPC server that publishes what a test compiled.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) publisher: Publisher,
    pub(crate) discovery: Discovery,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), RunError>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|own, _| Peers::none(own, "replica-a")).await
    }

    /// A server that knows other replicas.
    pub(crate) async fn start_with(peers: impl FnOnce(Clients, Views) -> Peers) -> Self {
        Self::start_behind(Gate::open(), peers).await
    }

    /// A server that does not let everybody in.
    pub(crate) async fn start_behind(
        gate: Gate,
        peers: impl FnOnce(Clients, Views) -> Peers,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::default());
        let (publisher, views) = Publisher::new(Arc::clone(&metrics));
        let (_, findings) = FindingBook::new(Arc::clone(&metrics));
        let stop = CancellationToken::new();
        let discovery = Discovery::new(
            views.clone(),
            Sources::default(),
            Clients::new("replica-1", views.clone(), Arc::clone(&metrics)),
            Arc::clone(&metrics),
            stop.clone(),
        );
        let status = StatusService {
            discovery: discovery.clone(),
            findings,
            peers: peers(discovery.clients.clone(), views),
            leadership: Leadership::none(),
        };
        let health = HealthReporter::new();
        let running = tokio::spawn(serve_grpc(listener, gate, status, health, stop.clone()));
        Self {
            addr,
            publisher,
            discovery,
            stop,
            running,
        }
    }

    /// A server that has published namespaces of these names.
    pub(crate) async fn with_namespaces(names: &[&str]) -> Self {
        let mut server = Self::start().await;
        server.publish(&mk_namespaces(names));
        server
    }

    pub(crate) fn publish(&mut self, compiled: &Compiled) {
        let stamp = Stamp {
            at: Instant::now(),
            changed: SystemTime::UNIX_EPOCH,
        };
        let view = self.discovery.views.borrow().clone();
        let delta = delta(view.as_deref(), compiled);
        let published = self.publisher.publish(&delta, stamp, Vec::new());
        assert_eq!(*published.too_large, []);
        self.publisher.announce();
    }

    pub(crate) async fn clients(&self) -> Vec<v1::Client> {
        let mut status = status_client(self.addr).await;
        let listed = status
            .list_clients(v1::ListClientsRequest::default())
            .await
            .unwrap();
        listed.into_inner().clients
    }
}

pub(crate) async fn discovery_client(addr: SocketAddr) -> SnapshotDiscoveryClient<Channel> {
    SnapshotDiscoveryClient::connect(format!("http://{addr}"))
        .await
        .unwrap()
}

pub(crate) async fn status_client(addr: SocketAddr) -> SnapshotStatusClient<Channel> {
    SnapshotStatusClient::connect(format!("http://{addr}"))
        .await
        .unwrap()
}

/// A client that speaks the protocol by hand.
pub(crate) struct Peer {
    pub(crate) requests: mpsc::Sender<v1::DiscoveryRequest>,
    responses: Streaming<v1::DiscoveryResponse>,
    /// What it holds, from the commits that it took.
    pub(crate) held: BTreeMap<(i32, String), Version>,
}

/// A commit as it came.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) begin: v1::CommitBegin,
    pub(crate) frames: Vec<v1::ResourceFrame>,
    pub(crate) largest_chunk: usize,
    pub(crate) end: v1::CommitEnd,
}

impl Peer {
    pub(crate) async fn connect(addr: SocketAddr, hello: v1::Hello) -> Self {
        Self::open(addr, discovery_request::Kind::Hello(hello)).await
    }

    /// Opens a stream with any first message.
    pub(crate) async fn open(addr: SocketAddr, first: discovery_request::Kind) -> Self {
        let (requests, outgoing) = mpsc::channel(16);
        let mut client = discovery_client(addr).await;
        requests.send(request(first)).await.unwrap();
        let opened = client.stream_snapshots(ReceiverStream::new(outgoing)).await;
        Self {
            requests,
            responses: opened.unwrap().into_inner(),
            held: BTreeMap::new(),
        }
    }

    pub(crate) async fn say(&self, kind: discovery_request::Kind) {
        self.requests.send(request(kind)).await.unwrap();
    }

    /// The next message that is not a heartbeat.
    pub(crate) async fn hear(&mut self) -> Result<discovery_response::Kind, Status> {
        loop {
            let message = timeout(PATIENCE, self.responses.message()).await;
            let message = message.expect("the server says something")?;
            let ended = Status::aborted("the stream ended");
            match message
                .ok_or(ended)?
                .kind
                .expect("a message says something")
            {
                discovery_response::Kind::Heartbeat(_) => {}
                kind => return Ok(kind),
            }
        }
    }

    /// The next commit, applied to what is held.
    pub(crate) async fn commit(&mut self) -> Commit {
        use discovery_response::Kind;
        let Kind::Begin(begin) = self.hear().await.unwrap() else {
            panic!("a commit begins with CommitBegin");
        };
        let mut data = Vec::new();
        let mut largest_chunk = 0;
        let end = loop {
            match self.hear().await.unwrap() {
                Kind::Chunk(chunk) => {
                    largest_chunk = largest_chunk.max(chunk.data.len());
                    data.extend_from_slice(&chunk.data);
                }
                Kind::End(end) => break end,
                other => panic!("{other:?} within a commit"),
            }
        };
        assert_eq!(data.len() as u64, begin.bytes);
        let raw = match begin.encoding() {
            v1::Encoding::Identity => data,
            v1::Encoding::Zstd => zstd::decode_all(&data[..]).unwrap(),
        };
        assert_eq!(raw.len() as u64, begin.raw_bytes);
        let mut reader = FrameReader::default();
        reader.push(&raw);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            frames.push(frame);
        }
        assert!(reader.is_empty());
        assert_eq!(frames.len() as u64, begin.frame_count);
        self.apply(&begin, &frames);
        Commit {
            begin,
            frames,
            largest_chunk,
            end,
        }
    }

    /// Says that a commit is installed as it came.
    pub(crate) async fn acknowledge(&self, commit: &Commit) {
        self.say(discovery_request::Kind::Ack(ack(commit))).await;
    }

    /// What it answers when it is asked what its buckets hold; it follows no narrower scope than all.
    pub(crate) fn bucket_digests(&self) -> BucketDigests {
        let mut together = BucketDigests::default();
        for kind in ResourceType::ALL {
            let wire = i32::from(encode::resource_type(kind));
            let mut digests = BucketDigests::default();
            for ((_, name), version) in self.held.iter().filter(|((k, _), _)| *k == wire) {
                digests.add(&Name::new(name).unwrap(), *version);
            }
            for bucket in Bucket::all() {
                together.add_topic(kind, bucket, digests.get(bucket));
            }
        }
        together
    }

    fn apply(&mut self, begin: &v1::CommitBegin, frames: &[v1::ResourceFrame]) {
        match begin.mode() {
            v1::CommitMode::Full => self.held.clear(),
            v1::CommitMode::Buckets => self.held.retain(|(_, name), _| {
                let bucket = Bucket::of(&Name::new(name).unwrap()).number();
                !begin.replaced_buckets.contains(&bucket.into())
            }),
            v1::CommitMode::Delta | v1::CommitMode::Unspecified => {}
        }
        for frame in frames {
            let key = (frame.r#type, frame.name.clone());
            if frame.removed {
                self.held.remove(&key);
            } else {
                assert_eq!(Version::of(&frame.body), Version(frame.version));
                self.held.insert(key, Version(frame.version));
            }
        }
    }
}

impl Commit {
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .frames
            .iter()
            .map(|frame| frame.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }
}

fn request(kind: discovery_request::Kind) -> v1::DiscoveryRequest {
    v1::DiscoveryRequest { kind: Some(kind) }
}

pub(crate) fn ack(commit: &Commit) -> v1::Ack {
    v1::Ack {
        nonce: commit.begin.nonce,
        generation: commit.begin.generation,
        installed: commit.end.expected.clone(),
        ..v1::Ack::default()
    }
}

pub(crate) fn mk_hello(role: v1::Role, topics: &[Topic]) -> v1::Hello {
    let subscription = |topic: &Topic| v1::Subscription {
        topic: Some(encode::topic(*topic)),
        ..v1::Subscription::default()
    };
    v1::Hello {
        client: Some(v1::ClientIdentity {
            id: "peer-1".into(),
            node_name: "node-a".into(),
            ..v1::ClientIdentity::default()
        }),
        role: role.into(),
        subscriptions: topics.iter().map(subscription).collect(),
        ..v1::Hello::default()
    }
}

/// A Hello that resumes after this commit, with what it says is held.
pub(crate) fn mk_resume(commit: &Commit, role: v1::Role, topics: &[Topic]) -> v1::Hello {
    let mut hello = mk_hello(role, topics);
    for subscription in &mut hello.subscriptions {
        let held = commit
            .end
            .expected
            .iter()
            .find(|said| said.topic == subscription.topic);
        subscription.set_digest = held.unwrap().digest.clone();
    }
    hello.cursor = Some(v1::Cursor {
        epoch: commit.begin.epoch.clone(),
        generation: commit.begin.generation,
    });
    hello
}

/// What makes of what is published exactly this.
pub(crate) fn delta(view: Option<&View>, compiled: &Compiled) -> Delta {
    let mut delta = Delta::default();
    for topic in view.into_iter().flat_map(|_| TOPICS) {
        for (name, _) in view.into_iter().flat_map(|view| view.entries(topic)) {
            if topic.scope == Scope::Ingress {
                delta.ingress_endpoint_groups.insert(name.clone(), false);
            } else {
                delta.resources.insert((topic.kind, name.clone()), None);
            }
        }
    }
    for (name, resource) in compiled.snapshot.iter() {
        let key = (resource.kind(), name.clone());
        delta.resources.insert(key, Some(resource));
    }
    let routed = compiled.ingress_endpoint_groups.iter();
    delta
        .ingress_endpoint_groups
        .extend(routed.map(|name| (name.clone(), true)));
    delta
}

pub(crate) fn mk_namespaces(names: &[&str]) -> Compiled {
    let mut snapshot = Snapshot::default();
    for name in names {
        let namespace = Namespace {
            name: (*name).to_owned(),
        };
        let resource = Resource::Namespace(Arc::new(namespace));
        snapshot.insert(Name::new(name).unwrap(), resource);
    }
    Compiled {
        snapshot,
        ..Compiled::default()
    }
}

pub(crate) const PRIVATE_KEY: &[u8] = b"nobody may read this";

pub(crate) fn with_secret(mut compiled: Compiled) -> Compiled {
    let secret = TlsSecret {
        certificate_chain: vec![Bytes::from_static(b"certificate")],
        private_key: PrivateKey(Bytes::from_static(PRIVATE_KEY)),
        bindings: vec![],
    };
    let name = Name::new("default/tls").unwrap();
    let resource = Resource::TlsSecret(Arc::new(secret));
    compiled.snapshot.insert(name, resource);
    compiled
}

/// The digest of namespaces that a peer holds.
pub(crate) fn namespace_digest(peer: &Peer) -> SetDigest {
    let mut digest = SetDigest::default();
    let kind = i32::from(encode::resource_type(ResourceType::Namespace));
    for ((_, name), version) in peer.held.iter().filter(|((k, _), _)| *k == kind) {
        digest.add(&Name::new(name).unwrap(), *version);
    }
    digest
}

/// Asks until the answer is as wanted; the panic shows the last one.
pub(crate) async fn eventually<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> T,
    is_right: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if is_right(&answer) {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: the last answer was {answer:#?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
