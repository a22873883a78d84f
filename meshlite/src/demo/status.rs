//! What the planes say of themselves: whether all of them hold the same snapshot.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use meshlite_proto::v1::{
    GetServerStatusRequest, ListClientsRequest, snapshot_status_client::SnapshotStatusClient,
};
use tokio::time::Instant;
use tonic::transport::Endpoint;

use super::{client, layout::Layout};

/// How long a condition is waited for.
const DEADLINE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Waits until a condition holds; what was nearest to it is the error.
pub(crate) async fn eventually<T, F>(mut condition: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        match condition().await {
            Ok(value) => return Ok(value),
            Err(nearest) if Instant::now() >= deadline => {
                return Err(nearest.context(format!("not within {} s", DEADLINE.as_secs())));
            }
            Err(_not_yet) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

/// Waits until the control plane has a snapshot to serve.
pub(crate) async fn serving(layout: &Layout) -> anyhow::Result<()> {
    eventually(async || {
        let ready = client::get(layout.control_plane_admin, "localhost", "/readyz").await?;
        ensure!(
            ready.status.is_success(),
            "the control plane is {}",
            ready.body.trim()
        );
        Ok(())
    })
    .await
}

/// Waits until both data planes have installed what the control plane serves.
pub(crate) async fn converged(layout: &Layout) -> anyhow::Result<()> {
    eventually(|| is_converged(layout.grpc)).await
}

async fn is_converged(grpc: SocketAddr) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(format!("http://{grpc}"))?
        .connect()
        .await?;
    let mut status = SnapshotStatusClient::new(channel);
    let server = status
        .get_server_status(GetServerStatusRequest {})
        .await?
        .into_inner();
    let clients = status
        .list_clients(ListClientsRequest::default())
        .await?
        .into_inner()
        .clients;
    ensure!(
        clients.len() == 2,
        "{} of 2 data planes are connected",
        clients.len()
    );
    for client in clients {
        let role = client.role().as_str_name();
        ensure!(
            client.converged && client.installed_generation == server.generation,
            "{role} has installed generation {} of {}",
            client.installed_generation,
            server.generation
        );
    }
    Ok(())
}

/// A JSON document of an admin server.
pub(crate) async fn json(addr: SocketAddr, path: &str) -> anyhow::Result<serde_json::Value> {
    let answer = client::get(addr, "localhost", path).await?;
    ensure!(
        answer.status.is_success(),
        "{path} at {addr}: status {}",
        answer.status
    );
    serde_json::from_str(&answer.body).with_context(|| format!("{path} at {addr}"))
}

/// The digest of each topic that a data plane says it has installed.
pub(crate) async fn installed(addr: SocketAddr) -> anyhow::Result<BTreeMap<String, String>> {
    let snapshot = json(addr, "/snapshot").await?;
    let digests = snapshot["digests"]
        .as_array()
        .context("/snapshot has no digests")?;
    let digest = |row: &serde_json::Value| {
        Some((
            row["topic"].as_str()?.to_owned(),
            row["digest"].as_str()?.to_owned(),
        ))
    };
    digests
        .iter()
        .map(|row| digest(row).with_context(|| format!("not a digest: {row}")))
        .collect()
}

/// A virtual server of the node, as far as the demo is interested in it.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct VirtualServer {
    pub(crate) namespace: String,
    pub(crate) service: String,
    pub(crate) protocol: String,
    /// Where clients should connect.
    pub(crate) address: SocketAddr,
    /// Where it really listens.
    pub(crate) bound: Option<SocketAddr>,
}

/// What a node has programmed.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeTable {
    pub(crate) virtual_servers: Vec<VirtualServer>,
    pub(crate) findings: Vec<serde_json::Value>,
}

/// The node's table.
pub(crate) async fn node_table(metrics: SocketAddr) -> anyhow::Result<NodeTable> {
    let table = json(metrics, "/virtualservers").await?;
    serde_json::from_value(table).context("/virtualservers cannot be read")
}

/// Where the node's virtual servers really listen, by the address that clients should connect to.
pub(crate) async fn bound(metrics: SocketAddr) -> anyhow::Result<BTreeMap<SocketAddr, SocketAddr>> {
    let table = node_table(metrics).await?;
    let bound = |server: &VirtualServer| Some((server.address, server.bound?));
    Ok(table.virtual_servers.iter().filter_map(bound).collect())
}
