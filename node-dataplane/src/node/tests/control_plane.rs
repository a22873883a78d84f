//! A control plane with just enough behaviour: every commit is a full one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use meshlite_proto::{
    encode, frame,
    v1::{
        self, CommitBegin, CommitEnd, CommitMode, DiscoveryRequest, DiscoveryResponse,
        FetchSnapshotRequest, FetchSnapshotResponse, ResourceChunk, discovery_request,
        discovery_response::Kind,
        snapshot_discovery_server::{SnapshotDiscovery, SnapshotDiscoveryServer},
    },
};
use meshlite_snapshot::{SetDigest, Snapshot, Topic, Version};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::clock;

/// When the change of the second commit happened. Later ones tell of what happens as they are made.
const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

type Responses = ReceiverStream<Result<DiscoveryResponse, Status>>;

/// Serves what is published to every client.
pub(super) struct ControlPlane {
    address: SocketAddr,
    service: Fake,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Fake {
    published: watch::Sender<(u64, Snapshot)>,
    acknowledged: Arc<Mutex<Option<u64>>>,
    stop: CancellationToken,
}

impl ControlPlane {
    pub(super) async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    pub(super) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Fake {
            published: watch::Sender::new((0, Snapshot::default())),
            acknowledged: Arc::default(),
            stop: CancellationToken::new(),
        };
        let server = Server::builder()
            .add_service(SnapshotDiscoveryServer::new(service.clone()))
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                service.stop.clone().cancelled_owned(),
            );
        let task = tokio::spawn(async { server.await.unwrap() });
        Self {
            address,
            service,
            task,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn publish(&self, snapshot: Snapshot) {
        self.service
            .published
            .send_modify(|published| *published = (published.0 + 1, snapshot));
    }

    /// How many streams are open.
    pub(super) fn followers(&self) -> usize {
        self.service.published.receiver_count()
    }

    /// The generation that was last acknowledged with the right digests and without a rejection.
    pub(super) fn acknowledged(&self) -> Option<u64> {
        *self.service.acknowledged.lock().unwrap()
    }

    /// Ends every stream and frees the address.
    pub(super) async fn stop(self) -> SocketAddr {
        self.service.stop.cancel();
        self.task.await.unwrap();
        self.address
    }
}

impl Fake {
    async fn talk(
        self,
        mut requests: Streaming<DiscoveryRequest>,
        responses: mpsc::Sender<Result<DiscoveryResponse, Status>>,
    ) {
        let mut published = self.published.subscribe();
        let (mut nonce, mut sent, mut is_waiting) = (0, 0, false);
        loop {
            let (generation, snapshot) = published.borrow_and_update().clone();
            if generation > sent && !is_waiting {
                nonce += 1;
                for message in commit(nonce, generation, &snapshot) {
                    if responses.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
                (sent, is_waiting) = (generation, true);
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = published.changed() => changed.unwrap(),
                request = requests.message() => match request {
                    Ok(Some(DiscoveryRequest { kind: Some(discovery_request::Kind::Ack(ack)) })) => {
                        is_waiting = false;
                        let is_right = digests(&snapshot)
                            .iter()
                            .all(|digest| ack.installed.contains(digest));
                        if ack.rejections.is_empty() && is_right {
                            *self.acknowledged.lock().unwrap() = Some(ack.generation);
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return,
                },
            }
        }
    }
}

fn bodies(snapshot: &Snapshot, topic: Topic) -> Vec<(meshlite_snapshot::Name, bytes::Bytes)> {
    let resources = snapshot.of_type(topic.kind);
    resources
        .map(|(name, resource)| (name.clone(), encode::body(&resource)))
        .collect()
}

fn digests(snapshot: &Snapshot) -> Vec<v1::TopicDigest> {
    Topic::NODE
        .into_iter()
        .map(|topic| {
            let (mut digest, mut count) = (SetDigest::default(), 0);
            for (name, body) in bodies(snapshot, topic) {
                digest.add(&name, Version::of(&body));
                count += 1;
            }
            encode::topic_digest(topic, digest, count)
        })
        .collect()
}

fn commit(nonce: u64, generation: u64, snapshot: &Snapshot) -> Vec<DiscoveryResponse> {
    let (mut stream, mut frame_count) = (bytes::BytesMut::new(), 0);
    for topic in Topic::NODE {
        for (name, body) in bodies(snapshot, topic) {
            frame::frame(topic, &name, Version::of(&body), Some(&body), &mut stream);
            frame_count += 1;
        }
    }
    let begin = CommitBegin {
        nonce,
        epoch: "test".into(),
        generation,
        mode: CommitMode::Full.into(),
        frame_count,
        bytes: stream.len().try_into().unwrap(),
        topics: Topic::NODE.into_iter().map(encode::topic).collect(),
        ..CommitBegin::default()
    };
    let end = CommitEnd {
        nonce,
        generation,
        expected: digests(snapshot),
        oldest_change: match nonce {
            1 => None,
            2 => Some(LONG_AGO.into()),
            _ => Some(clock::now().into()),
        },
        ..CommitEnd::default()
    };
    let chunk = ResourceChunk {
        data: stream.freeze(),
    };
    [Kind::Begin(begin), Kind::Chunk(chunk), Kind::End(end)]
        .map(|kind| DiscoveryResponse { kind: Some(kind) })
        .into()
}

#[tonic::async_trait]
impl SnapshotDiscovery for Fake {
    type StreamSnapshotsStream = Responses;
    type FetchSnapshotStream = ReceiverStream<Result<FetchSnapshotResponse, Status>>;

    async fn stream_snapshots(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let (responses, outgoing) = mpsc::channel(4);
        tokio::spawn(self.clone().talk(request.into_inner(), responses));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn fetch_snapshot(
        &self,
        _: Request<FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}
