//! Commits of a control plane, recorded and sent again: who installs them then has no control plane at work beside it.

use std::{net::TcpListener, process::Command, sync::Mutex, thread, time::Duration, vec};

use anyhow::{Context as _, bail, ensure};
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
use nix::unistd::gettid;
use tokio::{
    sync::{mpsc, oneshot, watch},
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

    /// Serves it to the one who asks, at a port of the system's: the whole at once, and each change when it is told to, one each
    /// `pace`. That is done by a thread that runs when nobody else wants its core: no client waits for it.
    pub(crate) async fn play(self, pace: Duration) -> anyhow::Result<Replay> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let (goes_on, told) = watch::channel(false);
        let player = Player(Mutex::new(Some(Played {
            commits: self.0.into_iter(),
            pace,
            goes_on: told,
        })));
        let (started, starts) = oneshot::channel();
        thread::spawn(move || {
            let is_idle = give_way();
            let gives_way = is_idle.is_ok();
            // Who waits for it is still there.
            drop(started.send(is_idle));
            if gives_way {
                serve(listener, player)
            } else {
                Ok(())
            }
        });
        starts.await??;
        Ok(Replay { port, goes_on })
    }
}

/// Makes this thread run only when nobody else wants its processor.
fn give_way() -> anyhow::Result<()> {
    let thread = gettid().to_string();
    let mut chrt = Command::new("chrt");
    let set = chrt.args(["--idle", "--pid", "0", &thread]).status()?;
    ensure!(set.success(), "chrt ended with {set}");
    Ok(())
}

fn serve(listener: TcpListener, player: Player) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
        Server::builder()
            .add_service(SnapshotDiscoveryServer::new(player))
            .serve_with_incoming(incoming.with_nodelay(Some(true)))
            .await?;
        Ok(())
    })
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
    goes_on: watch::Sender<bool>,
}

impl Replay {
    /// Sends one change after the other, until it is told to pause.
    pub(crate) async fn go_on(&self) -> anyhow::Result<()> {
        self.goes_on.send_replace(true);
        self.goes_on.closed().await;
        bail!("the recording is over, or the ingress has left it")
    }

    pub(crate) fn pause(&self) {
        self.goes_on.send_replace(false);
    }
}

/// The server of one client.
struct Player(Mutex<Option<Played>>);

/// What the client is sent.
struct Played {
    commits: vec::IntoIter<Commit>,
    pace: Duration,
    goes_on: watch::Receiver<bool>,
}

impl Played {
    /// Until the recording is over or the client has gone.
    async fn play(
        mut self,
        mut inbound: Streaming<v1::DiscoveryRequest>,
        outbound: mpsc::Sender<Result<v1::DiscoveryResponse, Status>>,
    ) {
        let mut ticks = interval(self.pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_whole = true;
        for commit in self.commits {
            ticks.tick().await;
            if !is_whole && self.goes_on.wait_for(|goes_on| *goes_on).await.is_err() {
                return;
            }
            is_whole = false;
            for message in commit {
                if outbound.send(Ok(message)).await.is_err() {
                    return;
                }
            }
            if acknowledged(&mut inbound).await.is_none() {
                return;
            }
        }
    }
}

/// Waits until what was sent is acknowledged; none if the client has gone.
async fn acknowledged(inbound: &mut Streaming<v1::DiscoveryRequest>) -> Option<()> {
    loop {
        let said = inbound.message().await.ok()??;
        if let Some(v1::discovery_request::Kind::Ack(_)) = said.kind {
            return Some(());
        }
    }
}

#[tonic::async_trait]
impl SnapshotDiscovery for Player {
    type StreamSnapshotsStream = Responses;
    type FetchSnapshotStream = ReceiverStream<Result<v1::FetchSnapshotResponse, Status>>;

    async fn stream_snapshots(
        &self,
        request: Request<Streaming<v1::DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let played = self.0.lock().ok().and_then(|mut played| played.take());
        let played =
            played.ok_or_else(|| Status::failed_precondition("it is played to another one"))?;
        let (outbound, messages) = mpsc::channel(8);
        tokio::spawn(played.play(request.into_inner(), outbound));
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn fetch_snapshot(
        &self,
        _: Request<v1::FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        Err(Status::unimplemented("a recording only streams"))
    }
}
