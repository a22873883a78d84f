//! Answers people and tools: who is connected, what is served, what is wrong.

mod page;

use std::sync::Arc;

use meshlite_kubernetes::Leadership;
use meshlite_proto::{encode, v1, v1::snapshot_status_server::SnapshotStatus};
use meshlite_snapshot::{ResourceType, Severity, Topic};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    balance::Loads,
    findings::Findings,
    peers::{Everybody, FORWARDED, Peers},
    publish::{Change, TOPICS},
    stream::{Discovery, digest, readable, select, topics},
};

/// The most changes that `DiffClient` tells of.
const MOST_CHANGES: usize = 10_000;

/// The service `SnapshotStatus`: for whoever may read, and for the other replicas.
#[derive(Clone, Debug)]
pub(crate) struct StatusService {
    pub(crate) discovery: Discovery,
    pub(crate) findings: Findings,
    pub(crate) peers: Peers,
    pub(crate) leadership: Leadership,
}

impl StatusService {
    fn may_read<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let caller = Caller::of(request)?;
        if caller.rights.read || caller.rights.replica {
            return Ok(());
        }
        self.discovery.metrics.refused("role");
        Err(Status::permission_denied(format!(
            "{} may not read status: it is neither a reader nor a replica of the control plane",
            caller.name
        )))
    }

    /// What a client of this replica lacks.
    fn diff(&self, client: v1::Client) -> Result<v1::DiffClientResponse, Status> {
        let view = self.discovery.view()?;
        let topics = topics(&client.topics, &TOPICS)?;
        let installed = client.installed_generation;
        let from = (!client.installed.is_empty() && view.reaches(installed)).then_some(installed);
        let pending = view.changes(&topics, from);
        let told = pending.iter().take(MOST_CHANGES).map(resource_change);
        Ok(v1::DiffClientResponse {
            client: Some(page::cut(client)),
            pending: page::fitting(told),
            pending_total: pending.len() as u64,
        })
    }
}

#[tonic::async_trait]
impl SnapshotStatus for StatusService {
    type DumpResourcesStream = ReceiverStream<Result<v1::Resource, Status>>;

    async fn list_clients(
        &self,
        request: Request<v1::ListClientsRequest>,
    ) -> Result<Response<v1::ListClientsResponse>, Status> {
        self.may_read(&request)?;
        let request = request.into_inner();
        let everybody = if request.local_only {
            Everybody {
                clients: self.peers.own(),
                unreachable: Vec::new(),
            }
        } else {
            self.peers.everybody().await
        };
        Ok(Response::new(page::clients(everybody, &request)?))
    }

    async fn dump_resources(
        &self,
        request: Request<v1::DumpResourcesRequest>,
    ) -> Result<Response<Self::DumpResourcesStream>, Status> {
        self.may_read(&request)?;
        let view = self.discovery.view()?;
        let request = request.into_inner();
        let topics = topics(&request.topics, &ResourceType::ALL.map(Topic::all))?;
        let resources = select(&view, &topics, &request.name_prefix)
            .into_iter()
            .map(|(topic, name, content)| readable(topic, &name, &content));
        Ok(Response::new(self.discovery.send_all(resources)?))
    }

    async fn diff_client(
        &self,
        request: Request<v1::DiffClientRequest>,
    ) -> Result<Response<v1::DiffClientResponse>, Status> {
        self.may_read(&request)?;
        self.discovery.view()?;
        let is_forwarded = request.metadata().contains_key(FORWARDED);
        let wanted = request.into_inner().client;
        let clients = if is_forwarded {
            self.peers.own()
        } else {
            self.peers.everybody().await.clients
        };
        let client = named(clients, &wanted)?;
        let diff = if client.replica == self.peers.replica() {
            self.diff(client)?
        } else {
            let id = client.identity.unwrap_or_default().id;
            self.peers.diff(&client.replica, &id).await?
        };
        Ok(Response::new(diff))
    }

    async fn get_server_status(
        &self,
        request: Request<v1::GetServerStatusRequest>,
    ) -> Result<Response<v1::ServerStatus>, Status> {
        self.may_read(&request)?;
        let view = self.discovery.view()?;
        let findings = Arc::clone(&self.findings.borrow());
        let count = |severity| {
            let of_severity = findings.iter().filter(|f| f.severity == severity);
            of_severity.count() as u64
        };
        let leader = self.leadership.holder();
        Ok(Response::new(v1::ServerStatus {
            build: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: view.epoch().to_owned(),
            generation: view.generation(),
            digests: TOPICS.iter().map(|topic| digest(&view, *topic)).collect(),
            sources: self.discovery.sources.watermarks(),
            leader: self.leadership.holds(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            replica: self.peers.replica().to_owned(),
            leader_name: leader.map_or_else(String::new, |leader| leader.to_string()),
            clients: self.peers.own().len() as u64,
        }))
    }

    async fn list_findings(
        &self,
        request: Request<v1::ListFindingsRequest>,
    ) -> Result<Response<v1::ListFindingsResponse>, Status> {
        self.may_read(&request)?;
        self.discovery.view()?;
        let findings = Arc::clone(&self.findings.borrow());
        Ok(Response::new(v1::ListFindingsResponse {
            findings: page::fitting(findings.iter().map(encode::finding)),
            total: findings.len() as u64,
        }))
    }

    async fn list_loads(
        &self,
        request: Request<v1::ListLoadsRequest>,
    ) -> Result<Response<v1::ListLoadsResponse>, Status> {
        self.may_read(&request)?;
        self.discovery.view()?;
        let reports = &self.discovery.reports;
        let mut loads = reports.sum();
        let mut unreachable = Vec::new();
        if !request.into_inner().local_only {
            let said = self.peers.loads_of_others().await;
            let balanced = reports.expected();
            for (_, told) in said.answers {
                loads.add(&Loads::read(&told, &balanced).0);
            }
            unreachable = said.unreachable;
        }
        Ok(Response::new(v1::ListLoadsResponse {
            loads: loads.told().collect(),
            unreachable,
        }))
    }
}

/// The client with this id, or the only one on the node of this name.
fn named(clients: Vec<v1::Client>, wanted: &str) -> Result<v1::Client, Status> {
    let identity = |client: &v1::Client| client.identity.clone().unwrap_or_default();
    let (mut by_id, others): (Vec<_>, Vec<_>) = clients
        .into_iter()
        .partition(|client| identity(client).id == wanted);
    // One that lost its connection may still be listed beside itself.
    if let Some(newest) = by_id.pop() {
        return Ok(newest);
    }
    let is_there = |client: &v1::Client| !wanted.is_empty() && identity(client).node_name == wanted;
    let on_node: Vec<_> = others.into_iter().filter(is_there).collect();
    <[_; 1]>::try_from(on_node)
        .map(|[client]| client)
        .map_err(|on_node| {
            let ids: Vec<_> = on_node.iter().map(|client| identity(client).id).collect();
            if ids.is_empty() {
                Status::not_found(format!(
                    "no client with the id or on the node {wanted:?} is connected; ListClients shows all"
                ))
            } else {
                let ids = ids.join(", ");
                Status::failed_precondition(format!(
                    "several clients are on the node {wanted:?}, ask for one by its id: {ids}"
                ))
            }
        })
}

fn resource_change(change: &Change<'_>) -> v1::ResourceChange {
    v1::ResourceChange {
        topic: Some(encode::topic(change.topic)),
        name: change.name.to_string(),
        version: change
            .content
            .map_or_else(String::new, |content| content.version.to_string()),
        generation: change.generation,
    }
}

#[cfg(test)]
mod tests;
