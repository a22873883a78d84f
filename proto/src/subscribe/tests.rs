//! A subscription against a real gRPC server on loopback.

mod restart;
mod secure;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use meshlite_snapshot::ResourceType;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, ServerTlsConfig},
};

use super::*;
use crate::{
    model::{Model, NAMESPACES, NODES, mk_name, mk_node, response},
    v1::{
        discovery_response::Kind,
        snapshot_discovery_server::{SnapshotDiscovery, SnapshotDiscoveryServer},
    },
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane that serves a model to one client at a time.
#[derive(Clone, Debug)]
struct Fake {
    model: Arc<Mutex<Model>>,
    changed: Arc<Notify>,
    stop: CancellationToken,
    /// The id of the last client that said Hello.
    greeted: Arc<Mutex<String>>,
    /// Sent on every stream instead of what the model says.
    script: Option<Vec<v1::DiscoveryResponse>>,
    /// The certificate that it shows, and the token that it accepts.
    secured: Option<(ServerTlsConfig, String)>,
    /// Its client is told to go elsewhere, that long from now.
    draining: Arc<Notify>,
}

/// How long a client that is told to go elsewhere is to stay.
const STAY: Duration = Duration::from_millis(300);

#[derive(Debug)]
struct Running {
    fake: Fake,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Fake {
    fn new(model: Model) -> Self {
        Self {
            model: Arc::new(Mutex::new(model)),
            changed: Arc::default(),
            greeted: Arc::default(),
            stop: CancellationToken::new(),
            script: None,
            secured: None,
            draining: Arc::default(),
        }
    }

    async fn serve(self) -> Running {
        self.serve_on(([127, 0, 0, 1], 0).into()).await
    }

    async fn serve_on(self, address: SocketAddr) -> Running {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fake, stop) = (self.clone(), self.stop.clone());
        let builder = match &self.secured {
            Some((tls, _)) => Server::builder().tls_config(tls.clone()).unwrap(),
            None => Server::builder(),
        };
        let task = tokio::spawn(async move {
            { builder }
                .add_service(SnapshotDiscoveryServer::new(fake))
                .serve_with_incoming_shutdown(
                    TcpListenerStream::new(listener),
                    stop.cancelled_owned(),
                )
                .await
                .unwrap();
        });
        Running {
            fake: self,
            address,
            task,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Model)) {
        change(&mut self.model.lock().unwrap());
        self.changed.notify_one();
    }

    fn receive(&self, request: v1::DiscoveryRequest) {
        if let Some(v1::discovery_request::Kind::Hello(hello)) = &request.kind {
            let id = hello.client.as_ref().map(|client| client.id.clone());
            *self.greeted.lock().unwrap() = id.unwrap_or_default();
        }
        self.model.lock().unwrap().receive(request);
    }

    async fn talk(
        self,
        mut requests: Streaming<v1::DiscoveryRequest>,
        responses: mpsc::Sender<Result<v1::DiscoveryResponse, Status>>,
    ) {
        for message in self.script.iter().flatten() {
            drop(responses.send(Ok(message.clone())).await);
        }
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = self.draining.notified() => {
                    let drain = v1::Drain {
                        reconnect_after: STAY.try_into().ok(),
                        reason: "there are too many here".into(),
                    };
                    drop(responses.send(Ok(response(Kind::Drain(drain)))).await);
                    continue;
                }
                request = requests.message() => match request {
                    Ok(Some(request)) => self.receive(request),
                    Ok(None) | Err(_) => return,
                },
            }
            if self.script.is_some() {
                continue;
            }
            let commit = self.model.lock().unwrap().respond();
            for message in commit {
                if responses.send(Ok(message)).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tonic::async_trait]
impl SnapshotDiscovery for Fake {
    type StreamSnapshotsStream = ReceiverStream<Result<v1::DiscoveryResponse, Status>>;
    type FetchSnapshotStream = ReceiverStream<Result<v1::FetchSnapshotResponse, Status>>;

    async fn stream_snapshots(
        &self,
        request: Request<Streaming<v1::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSnapshotsStream>, Status> {
        if let Some((_, token)) = &self.secured {
            let bearer = request.metadata().get("authorization");
            if bearer.map(|bearer| bearer.to_str().unwrap()) != Some(&format!("Bearer {token}")) {
                return Err(Status::unauthenticated("the token is not known"));
            }
        }
        let (responses, outgoing) = mpsc::channel(4);
        tokio::spawn(self.clone().talk(request.into_inner(), responses));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn fetch_snapshot(
        &self,
        _: Request<v1::FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }
}

impl Running {
    fn url(&self) -> String {
        let scheme = match self.fake.secured {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.address)
    }

    /// Stops the server; its port is free when this returns.
    async fn stop(self) -> SocketAddr {
        self.fake.stop.cancel();
        self.task.await.unwrap();
        self.address
    }
}

fn follow(endpoints: Vec<String>) -> (Subscription, CancellationToken) {
    follow_with(mk_config(endpoints))
}

fn follow_with(config: ClientConfig) -> (Subscription, CancellationToken) {
    let stop = CancellationToken::new();
    (subscribe(config, stop.clone()), stop)
}

fn mk_config(endpoints: Vec<String>) -> ClientConfig {
    ClientConfig {
        endpoints,
        identity: v1::ClientIdentity::default(),
        role: v1::Role::L4Node,
        topics: vec![NODES, NAMESPACES],
        security: Security::Plaintext,
        cache: None,
    }
}

async fn next(subscription: &mut Subscription) -> Commit {
    let status = subscription.status();
    match timeout(PATIENCE, subscription.next()).await {
        Ok(commit) => commit.expect("the subscription goes on"),
        Err(elapsed) => panic!("no commit, {elapsed}; {:?}", *status.borrow()),
    }
}

/// Waits until the status is as wanted.
async fn reaches(
    status: &mut watch::Receiver<SessionStatus>,
    what: &str,
    wanted: impl Fn(&SessionStatus) -> bool,
) -> SessionStatus {
    let reached = timeout(PATIENCE, status.wait_for(|status| wanted(status)))
        .await
        .map(|status| status.unwrap().clone());
    reached.unwrap_or_else(|_| panic!("never {what}; last {:?}", *status.borrow()))
}

#[tokio::test]
async fn a_subscription_gets_everything_and_then_every_change() {
    let model = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let server = Fake::new(model).serve().await;
    let (mut subscription, _stop) = follow(vec![server.url()]);

    let first = next(&mut subscription).await;
    assert_eq!(first.changes().len(), 2);
    assert_eq!(first.snapshot().nodes.len(), 2);
    first.acknowledge();
    assert!(
        !server.fake.greeted.lock().unwrap().is_empty(),
        "an identity"
    );

    server.fake.change(|model| model.set(NODES, "two", None));
    let second = next(&mut subscription).await;
    assert_eq!(second.changes().len(), 1);
    assert!(second.changes()[0].removed);
    let generation = second.generation();
    second.acknowledge();

    let mut status = subscription.status();
    let status = reaches(&mut status, "installed", |s| s.generation == generation).await;
    assert!(status.connected);
    assert_eq!(status.server, Some(server.url()));
    assert_eq!(status.last_error, None);
    let published = server.fake.model.lock().unwrap().digests();
    assert_eq!(status.digests[0].digest.to_string(), published[0].digest);
}

#[tokio::test]
async fn what_is_rejected_goes_back_to_its_last_good_version() {
    let model = Model::with_nodes("a", &[("one", "z")]);
    let server = Fake::new(model).serve().await;
    let (mut subscription, _stop) = follow(vec![server.url()]);
    next(&mut subscription).await.acknowledge();
    server.fake.change(|model| {
        model.put(NODES, "one", &mk_node("one", "bad"));
        model.put(NODES, "two", &mk_node("two", "bad"));
    });
    let mut commit = next(&mut subscription).await;
    for name in ["one", "two"] {
        let message = "no room".to_owned();
        commit.reject(NODES, &mk_name(name), RejectReason::NotProgrammed, message);
    }
    let get = |name| commit.snapshot().get(ResourceType::Node, &mk_name(name));
    assert_eq!(get("one"), Some(mk_node("one", "z")));
    assert_eq!(get("two"), None);
    commit.acknowledge();
    let mut status = subscription.status();
    let status = reaches(&mut status, "rejected", |s| s.rejections.len() == 2).await;
    assert_eq!(status.rejections[0].message, "no room");
    assert_eq!(status.digests[0].count, 1);

    subscription.retry();
    let again = next(&mut subscription).await;
    assert_eq!(again.changes().len(), 2);
    again.acknowledge();
    let mut status = subscription.status();
    let status = reaches(&mut status, "taken", |s| s.rejections.is_empty()).await;
    assert_eq!(status.digests[0].count, 2);
}

#[tokio::test]
async fn a_stopped_server_changes_nothing_and_a_started_one_is_followed_again() {
    let server = Fake::new(Model::with_nodes("a", &[("one", "z")]))
        .serve()
        .await;
    let (mut subscription, _stop) = follow(vec![server.url()]);
    let first = next(&mut subscription).await;
    let installed = first.snapshot().clone();
    first.acknowledge();
    let mut status = subscription.status();
    let before = reaches(&mut status, "installed", |s| s.generation > 0).await;

    let address = server.stop().await;
    let lost = reaches(&mut status, "lost", |s| {
        !s.connected && s.last_error.is_some()
    })
    .await;
    assert_eq!(lost.digests, before.digests);
    assert_eq!(lost.generation, before.generation);

    let mut model = Model::with_nodes("b", &[("one", "z")]);
    model.put(NODES, "two", &mk_node("two", "z"));
    let _server = Fake::new(model).serve_on(address).await;
    let commit = next(&mut subscription).await;
    assert_ne!(commit.snapshot(), &installed);
    assert_eq!(
        commit.changes().len(),
        1,
        "what is held is not delivered again"
    );
    commit.acknowledge();
    let status = reaches(&mut status, "followed again", |s| s.epoch == "b").await;
    assert!(status.connected);
    assert_eq!(status.last_error, None);
}

#[tokio::test]
async fn a_dropped_commit_comes_again() {
    let server = Fake::new(Model::with_nodes("a", &[("one", "z")]))
        .serve()
        .await;
    let (mut subscription, _stop) = follow(vec![server.url()]);
    drop(next(&mut subscription).await);
    let again = next(&mut subscription).await;
    assert_eq!(again.changes().len(), 1);
    again.acknowledge();
    let mut status = subscription.status();
    reaches(&mut status, "installed", |s| s.generation > 0).await;
}

#[tokio::test]
async fn another_endpoint_is_tried_when_one_fails() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = format!("http://{}", dead.local_addr().unwrap());
    drop(dead);
    let server = Fake::new(Model::with_nodes("a", &[("one", "z")]))
        .serve()
        .await;
    let endpoints = vec![refused, "not a url".to_owned(), server.url()];
    let (mut subscription, _stop) = follow(endpoints);
    next(&mut subscription).await.acknowledge();
    let mut status = subscription.status();
    let status = reaches(&mut status, "connected", |s| s.connected).await;
    assert_eq!(status.server, Some(server.url()));
}

#[tokio::test]
async fn a_server_that_talks_nonsense_is_reported_and_tried_again() {
    let chunk = response(Kind::Chunk(v1::ResourceChunk::default()));
    let mut fake = Fake::new(Model::new("a"));
    fake.script = Some(vec![v1::DiscoveryResponse::default(), chunk]);
    let server = fake.serve().await;
    let (mut subscription, _stop) = follow(vec![server.url()]);
    let mut status = subscription.status();
    let broken = |s: &SessionStatus| {
        let error = s.last_error.as_deref();
        error == Some("the control plane broke the protocol: a chunk outside a commit")
    };
    reaches(&mut status, "reported", broken).await;
    let address = server.stop().await;
    let _server = Fake::new(Model::with_nodes("b", &[("one", "z")]))
        .serve_on(address)
        .await;
    next(&mut subscription).await.acknowledge();
    reaches(&mut status, "well again", |s| s.last_error.is_none()).await;
}

#[tokio::test]
async fn the_stop_token_ends_it_at_once_whatever_it_is_doing() {
    // A server that accepts and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    let (mut subscription, stop) = follow(vec![url]);
    let (_accepted, _): (TcpStream, _) = mute.accept().await.unwrap();
    stop.cancel();
    let ended = timeout(Duration::from_secs(2), subscription.next()).await;
    assert!(ended.expect("it ends soon").is_none());

    let server = Fake::new(Model::with_nodes("a", &[("one", "z")]))
        .serve()
        .await;
    let (mut subscription, stop) = follow(vec![server.url()]);
    let held = next(&mut subscription).await;
    stop.cancel();
    let ended = timeout(Duration::from_secs(2), subscription.next()).await;
    assert!(ended.expect("it ends soon").is_none());
    held.acknowledge();

    let (mut subscription, stop) = follow(Vec::new());
    let mut status = subscription.status();
    reaches(&mut status, "reported", |s| s.last_error.is_some()).await;
    stop.cancel();
    assert!(subscription.next().await.is_none());
}
