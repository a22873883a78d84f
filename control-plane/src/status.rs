//! Answers people and tools: who is connected, what is served, what is wrong.

use std::sync::Arc;

use meshlite_proto::{encode, v1, v1::snapshot_status_server::SnapshotStatus};
use meshlite_snapshot::{ResourceType, Severity, Topic};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    findings::Findings,
    publish::{Change, TOPICS},
    stream::{Discovery, digest, readable, select, topics},
};

/// The service `SnapshotStatus`.
#[derive(Clone, Debug)]
pub(crate) struct StatusService {
    pub(crate) discovery: Discovery,
    pub(crate) findings: Findings,
}

#[tonic::async_trait]
impl SnapshotStatus for StatusService {
    type DumpResourcesStream = ReceiverStream<Result<v1::Resource, Status>>;

    async fn list_clients(
        &self,
        _: Request<v1::ListClientsRequest>,
    ) -> Result<Response<v1::ListClientsResponse>, Status> {
        let clients = self.discovery.clients.list();
        Ok(Response::new(v1::ListClientsResponse {
            clients,
            ..v1::ListClientsResponse::default()
        }))
    }

    async fn dump_resources(
        &self,
        request: Request<v1::DumpResourcesRequest>,
    ) -> Result<Response<Self::DumpResourcesStream>, Status> {
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
        let view = self.discovery.view()?;
        let wanted = request.into_inner().client;
        let client = named(self.discovery.clients.list(), &wanted)?;
        let topics = topics(&client.topics, &TOPICS)?;
        let installed = client.installed_generation;
        let from = (!client.installed.is_empty() && view.reaches(installed)).then_some(installed);
        let pending = view.changes(&topics, from);
        Ok(Response::new(v1::DiffClientResponse {
            pending: pending.iter().map(resource_change).collect(),
            client: Some(client),
        }))
    }

    async fn get_server_status(
        &self,
        _: Request<v1::GetServerStatusRequest>,
    ) -> Result<Response<v1::ServerStatus>, Status> {
        let view = self.discovery.view()?;
        let findings = Arc::clone(&self.findings.borrow());
        let count = |severity| {
            let of_severity = findings.iter().filter(|f| f.severity == severity);
            of_severity.count() as u64
        };
        Ok(Response::new(v1::ServerStatus {
            build: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: view.epoch().to_owned(),
            generation: view.generation(),
            digests: TOPICS.iter().map(|topic| digest(&view, *topic)).collect(),
            sources: self.discovery.sources.watermarks(),
            // Nothing is written that a second replica would write too.
            leader: true,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            ..v1::ServerStatus::default()
        }))
    }

    async fn list_findings(
        &self,
        _: Request<v1::ListFindingsRequest>,
    ) -> Result<Response<v1::ListFindingsResponse>, Status> {
        self.discovery.view()?;
        let findings = Arc::clone(&self.findings.borrow());
        Ok(Response::new(v1::ListFindingsResponse {
            findings: findings.iter().map(encode::finding).collect(),
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
