//! The floor: a bare tonic server that sends the same bytes to everybody who is connected, whenever it is told to.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use meshlite_proto::v1::{
    self,
    snapshot_discovery_server::{SnapshotDiscovery, SnapshotDiscoveryServer},
};
use prost::Message as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    sync::{broadcast, mpsc},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

type Commit = Arc<[v1::DiscoveryResponse]>;

#[derive(Debug)]
struct Floor {
    commit: Commit,
    go: broadcast::Sender<()>,
}

/// Serves until its input ends. A folder holds the certificate and the messages.
pub(crate) async fn run(folder: &Path) -> anyhow::Result<()> {
    let commit = read(&folder.join("commit"))?;
    let identity = Identity::from_pem(
        fs::read(folder.join("tls.crt"))?,
        fs::read(folder.join("tls.key"))?,
    );
    let (go, _) = broadcast::channel(16);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    print(&listener.local_addr()?.to_string())?;
    let service = SnapshotDiscoveryServer::new(Floor {
        commit,
        go: go.clone(),
    });
    let serving = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))?
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    let told = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(_)) = lines.next_line().await {
            // Nobody may be connected yet.
            drop(go.send(()));
        }
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = told => Ok(()),
    }
}

/// The messages of a commit, each with its length before it.
pub(crate) fn write(path: &Path, messages: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend_from_slice(&u32::try_from(message.len())?.to_be_bytes());
        bytes.extend_from_slice(message);
    }
    Ok(fs::write(path, bytes)?)
}

fn read(path: &Path) -> anyhow::Result<Commit> {
    let bytes = fs::read(path)?;
    let mut rest = bytes.as_slice();
    let mut messages = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length))?;
        let (message, after) = after
            .split_at_checked(length)
            .context("the commit is cut off")?;
        messages.push(v1::DiscoveryResponse::decode(message)?);
        rest = after;
    }
    Ok(messages.into())
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn print(line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    println!("{line}");
    std::io::stdout().flush()
}

#[tonic::async_trait]
impl SnapshotDiscovery for Floor {
    type StreamSnapshotsStream = ReceiverStream<Result<v1::DiscoveryResponse, Status>>;
    type FetchSnapshotStream = ReceiverStream<Result<v1::FetchSnapshotResponse, Status>>;

    async fn stream_snapshots(
        &self,
        request: Request<Streaming<v1::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSnapshotsStream>, Status> {
        let mut inbound = request.into_inner();
        let (outbound, messages) = mpsc::channel(8);
        let (commit, mut go) = (Arc::clone(&self.commit), self.go.subscribe());
        tokio::spawn(async move {
            loop {
                for message in commit.iter() {
                    if outbound.send(Ok(message.clone())).await.is_err() {
                        return;
                    }
                }
                loop {
                    tokio::select! {
                        told = go.recv() => if told.is_ok() { break } else { return },
                        heard = inbound.message() => if !matches!(heard, Ok(Some(_))) { return },
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
        Err(Status::unimplemented("the floor only fans out"))
    }
}
