//! Commits of a control plane, recorded and sent again: who installs them then has no control plane at work beside it.

use std::{sync::Mutex, time::Duration};

use anyhow::{Context as _, ensure};
use meshlite_proto::{
    encode,
    v1::{
        self,
        discovery_response::Kind,
        snapshot_discovery_client::SnapshotDiscoveryClient,
        snapshot_discovery_server::{SnapshotDiscovery, SnapshotDiscoveryServer},
    },
};
use meshlite_snapshot::Topic;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

/// How long a control plane may take for one commit.
const PATIENCE: Duration = Duration::from_secs(30);

type Commit = Vec<v1::DiscoveryResponse>;
type Responses = ReceiverStream<Result<v1::DiscoveryResponse, Status>>;

/// What an ingress was sent: the whole first, then what changed.
#[derive(Debug)]
pub(crate) struct Recording(Vec<Commit>);

impl Recording {
    /// Follows a control plane as an ingress does, until it has sent the whole and so many changes; `change` makes the next one each
    /// `pace`.
    pub(crate) async fn of(
        control_plane: u16,
        changes: usize,
        pace: Duration,
        mut change: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let at = format!("http://127.0.0.1:{control_plane}");
        let mut client = SnapshotDiscoveryClient::connect(at).await?;
        let (requests, sent) = mpsc::channel(4);
        requests.send(hello()).await?;
        let mut responses = client
            .stream_snapshots(ReceiverStream::new(sent))
            .await?
            .into_inner();
        let mut commits = vec![next_commit(&mut responses, &requests).await?];
        let mut ticks = interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while commits.len() <= changes {
            tokio::select! {
                commit = next_commit(&mut responses, &requests) => commits.push(commit?),
                stopped = go_on(&mut ticks, &mut change) => stopped?,
            }
        }
        Ok(Self(commits))
    }

    /// Serves it to the one who asks, at a port of the system's: the whole at once, and each change when it is told to.
    pub(crate) async fn play(self) -> anyhow::Result<Replay> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mut commits = self.0.into_iter();
        let whole = commits.next().context("nothing was recorded")?;
        let (next, told) = mpsc::channel(1);
        next.send(whole).await?;
        let service = SnapshotDiscoveryServer::new(Player(Mutex::new(Some(told))));
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::spawn(serving);
        Ok(Replay {
            port,
            next,
            commits,
        })
    }
}

async fn go_on(
    ticks: &mut tokio::time::Interval,
    change: &mut impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    loop {
        ticks.tick().await;
        change()?;
    }
}

/// The messages of one commit, which is acknowledged.
async fn next_commit(
    responses: &mut Streaming<v1::DiscoveryResponse>,
    requests: &mpsc::Sender<v1::DiscoveryRequest>,
) -> anyhow::Result<Commit> {
    let mut commit = Commit::new();
    loop {
        let message = timeout(PATIENCE, responses.message()).await;
        let message = message.context("the control plane sends nothing")??;
        let message = message.context("the control plane has ended the stream")?;
        let end = match &message.kind {
            Some(Kind::End(end)) => Some(end.clone()),
            Some(Kind::Begin(_) | Kind::Chunk(_)) => None,
            _ => continue,
        };
        commit.push(message);
        if let Some(end) = end {
            let ack = v1::Ack {
                nonce: end.nonce,
                generation: end.generation,
                installed: end.expected,
                ..v1::Ack::default()
            };
            requests
                .send(request(v1::discovery_request::Kind::Ack(ack)))
                .await?;
            return Ok(commit);
        }
    }
}

fn hello() -> v1::DiscoveryRequest {
    let subscription = |topic: Topic| v1::Subscription {
        topic: Some(encode::topic(topic)),
        ..v1::Subscription::default()
    };
    request(v1::discovery_request::Kind::Hello(v1::Hello {
        client: Some(v1::ClientIdentity {
            id: "recorder".to_owned(),
            node_name: "recorder".to_owned(),
            build: "bench".to_owned(),
            ..v1::ClientIdentity::default()
        }),
        role: v1::Role::Ingress.into(),
        subscriptions: Topic::INGRESS.into_iter().map(subscription).collect(),
        accept: vec![v1::Encoding::Zstd.into(), v1::Encoding::Identity.into()],
        ..v1::Hello::default()
    }))
}

fn request(kind: v1::discovery_request::Kind) -> v1::DiscoveryRequest {
    v1::DiscoveryRequest { kind: Some(kind) }
}

/// A recording that is being played.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) port: u16,
    next: mpsc::Sender<Commit>,
    commits: std::vec::IntoIter<Commit>,
}

impl Replay {
    /// Sends one change after the other, until it is dropped.
    pub(crate) async fn go_on(&mut self, pace: Duration) -> anyhow::Result<()> {
        let mut ticks = interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let commit = self.commits.next().context("the recording is over")?;
            ensure!(
                self.next.send(commit).await.is_ok(),
                "the ingress has left the recording"
            );
        }
    }
}

/// The server of one client.
struct Player(Mutex<Option<mpsc::Receiver<Commit>>>);

#[tonic::async_trait]
impl SnapshotDiscovery for Player {
    type StreamSnapshotsStream = Responses;
    type FetchSnapshotStream = ReceiverStream<Result<v1::FetchSnapshotResponse, Status>>;

    async fn stream_snapshots(
        &self,
        request: Request<Streaming<v1::DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let commits = self.0.lock().ok().and_then(|mut commits| commits.take());
        let mut commits =
            commits.ok_or_else(|| Status::failed_precondition("it is played to another one"))?;
        let mut inbound = request.into_inner();
        let (outbound, messages) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Some(commit) = commits.recv().await {
                for message in commit {
                    if outbound.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
                loop {
                    match inbound
                        .message()
                        .await
                        .ok()
                        .flatten()
                        .and_then(|said| said.kind)
                    {
                        Some(v1::discovery_request::Kind::Ack(_)) => break,
                        Some(_) => {}
                        None => return,
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn fetch_snapshot(
        &self,
        _: Request<v1::FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        Err(Status::unimplemented("a recording only streams"))
    }
}
