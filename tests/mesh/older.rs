//! A client built from an older .proto, against the real server.

use std::collections::BTreeMap;

use meshlite_proto::{
    encode,
    frame::FrameReader,
    v1::{
        self, discovery_request, discovery_response::Kind,
        snapshot_discovery_client::SnapshotDiscoveryClient,
        snapshot_status_client::SnapshotStatusClient,
    },
};
use meshlite_snapshot::{Name, ResourceType, SetDigest, Topic, Version};
use prost::Message as _;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{
    PROCESS,
    manifests::Manifests,
    world::{PATIENCE, World},
};

/// A Service as it may have been in a first version.
#[derive(Clone, PartialEq, prost::Message)]
struct OldService {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    name: String,
}

/// Knows two fields of a Service; its digests are of the bytes as they came.
struct OldClient {
    requests: mpsc::Sender<v1::DiscoveryRequest>,
    responses: Streaming<v1::DiscoveryResponse>,
    held: BTreeMap<Name, (Version, OldService)>,
}

impl OldClient {
    async fn connect(world: &World) -> Self {
        let client = SnapshotDiscoveryClient::connect(format!("http://{}", world.address)).await;
        let mut client = client.expect("the server accepts connections");
        let (requests, outgoing) = mpsc::channel(4);
        let hello = discovery_request::Kind::Hello(v1::Hello {
            client: Some(v1::ClientIdentity {
                id: "old".to_owned(),
                ..v1::ClientIdentity::default()
            }),
            role: v1::Role::L4Node.into(),
            subscriptions: vec![v1::Subscription {
                topic: Some(encode::topic(Topic::all(ResourceType::Service))),
                ..v1::Subscription::default()
            }],
            ..v1::Hello::default()
        });
        say(&requests, hello).await;
        let opened = client.stream_snapshots(ReceiverStream::new(outgoing)).await;
        Self {
            requests,
            responses: opened.expect("the stream is opened").into_inner(),
            held: BTreeMap::new(),
        }
    }

    /// Takes in one commit, and says what it holds then.
    async fn install_next(&mut self) {
        let mut frames = FrameReader::default();
        let (mut nonce, mut generation) = (0, 0);
        loop {
            let message = self.responses.message().await.expect("the stream is open");
            match message.and_then(|message| message.kind) {
                Some(Kind::Begin(begin)) => (nonce, generation) = (begin.nonce, begin.generation),
                Some(Kind::Chunk(chunk)) => frames.push(&chunk.data),
                Some(Kind::End(_)) => break,
                Some(Kind::Heartbeat(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        while let Some(frame) = frames.next_frame().expect("it is a frame") {
            let name = Name::new(&frame.name).expect("it is a name");
            if frame.removed {
                self.held.remove(&name);
                continue;
            }
            let known = OldService::decode(&*frame.body).expect("unknown fields are passed over");
            assert_ne!(
                known.encode_to_vec(),
                frame.body,
                "it is of a newer version"
            );
            self.held.insert(name, (Version::of(&frame.body), known));
        }
        let mut digest = SetDigest::default();
        for (name, (version, _)) in &self.held {
            digest.add(name, *version);
        }
        let topic = Topic::all(ResourceType::Service);
        let installed = vec![encode::topic_digest(topic, digest, self.held.len() as u64)];
        let ack = discovery_request::Kind::Ack(v1::Ack {
            nonce,
            generation,
            installed,
            ..v1::Ack::default()
        });
        say(&self.requests, ack).await;
    }
}

async fn say(requests: &mpsc::Sender<v1::DiscoveryRequest>, kind: discovery_request::Kind) {
    let request = v1::DiscoveryRequest { kind: Some(kind) };
    requests.send(request).await.expect("the stream is open");
}

/// Waits until the server lists the client as converged at a generation after `after`, and says which.
async fn converged(world: &World, after: u64) -> u64 {
    let status = SnapshotStatusClient::connect(format!("http://{}", world.address)).await;
    let mut status = status.expect("the server accepts connections");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = status.list_clients(v1::ListClientsRequest::default()).await;
        let clients = listed.expect("clients are listed").into_inner().clients;
        if let [client] = &*clients
            && client.converged
            && client.installed_generation > after
        {
            return client.installed_generation;
        }
        assert!(Instant::now() < deadline, "{clients:#?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_an_older_proto_stays_converged() {
    let _beside = PROCESS.read().await;
    let mut manifests = Manifests::new(3);
    let world = World::control_plane(&manifests).await;
    world.converged(&manifests).await;
    let mut client = OldClient::connect(&world).await;
    client.install_next().await;
    let mut generation = converged(&world, 0).await;
    for service in [0, 1] {
        manifests.put(service);
        client.install_next().await;
        generation = converged(&world, generation).await;
    }
    manifests.delete(2);
    client.install_next().await;
    converged(&world, generation).await;
    let names: Vec<_> = client.held.values().map(|(_, known)| &known.name).collect();
    assert_eq!(names, ["s0", "s1"]);
}
