//! Where everybody stands, as it is printed.

use std::{collections::BTreeMap, time::SystemTime};

use meshlite_proto::v1;
use serde::Serialize;

use super::client::{Client, TopicDigest};

/// Everything that `meshlite status` prints.
#[derive(Debug, Serialize)]
pub(super) struct View {
    /// Every data plane has converged, and no replica that may have more of them is unreachable.
    pub(super) converged: bool,
    pub(super) totals: Totals,
    /// By node, then role.
    pub(super) clients: Vec<Client>,
    pub(super) replicas: Vec<Replica>,
    pub(super) sources: Vec<Source>,
    pub(super) unreachable: Vec<Unreachable>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) nodes: usize,
    pub(super) ingresses: usize,
    pub(super) converged: usize,
    pub(super) rejections: usize,
    /// Findings about objects, as the first replica that answered has them.
    pub(super) errors: u64,
    pub(super) warnings: u64,
}

/// A control plane. One that was not asked itself is known by its clients only.
#[derive(Debug, Default, Serialize)]
pub(super) struct Replica {
    pub(super) name: String,
    pub(super) address: Option<String>,
    /// It writes status and Events.
    pub(super) leader: bool,
    pub(super) clients: usize,
    pub(super) build: Option<String>,
    pub(super) epoch: Option<String>,
    pub(super) generation: Option<u64>,
    pub(super) digests: Vec<TopicDigest>,
}

/// How far a replica has read one kind of object.
#[derive(Debug, Serialize)]
pub(super) struct Source {
    pub(super) replica: String,
    pub(super) resource: String,
    pub(super) version: String,
    /// How long the source has not said that this is current.
    pub(super) stale_seconds: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Unreachable {
    pub(super) address: String,
    pub(super) error: String,
}

/// What one of the control planes that were named answered.
pub(super) struct Asked {
    pub(super) address: String,
    pub(super) answer: Result<v1::ServerStatus, String>,
}

// === impl View ===

impl View {
    pub(super) fn new(
        clients: Vec<v1::Client>,
        unreachable: Vec<v1::UnreachableReplica>,
        asked: Vec<Asked>,
        now: SystemTime,
    ) -> Self {
        let mut clients: Vec<_> = clients
            .into_iter()
            .map(|client| Client::new(client, now))
            .collect();
        clients.sort_by(|a, b| (&a.node, &a.role, &a.id).cmp(&(&b.node, &b.role, &b.id)));
        let mut replicas: BTreeMap<String, Replica> = BTreeMap::new();
        for client in &clients {
            let replica = replicas.entry(client.replica.clone()).or_default();
            replica.name.clone_from(&client.replica);
            replica.clients += 1;
        }
        let mut view = Self {
            converged: false,
            totals: Totals::default(),
            clients,
            replicas: Vec::new(),
            sources: Vec::new(),
            unreachable: unreachable
                .into_iter()
                .map(|v1::UnreachableReplica { address, error }| Unreachable { address, error })
                .collect(),
        };
        for Asked { address, answer } in asked {
            match answer {
                Ok(status) => view.heard(&mut replicas, address, status),
                Err(error) => view.unreachable.push(Unreachable { address, error }),
            }
        }
        view.replicas = replicas.into_values().collect();
        view.total();
        view
    }

    /// Takes what a replica says of itself. Several addresses may lead to the same.
    fn heard(
        &mut self,
        replicas: &mut BTreeMap<String, Replica>,
        address: String,
        status: v1::ServerStatus,
    ) {
        if self.sources.is_empty() {
            self.totals.errors = status.errors;
            self.totals.warnings = status.warnings;
        }
        if !status.leader_name.is_empty() {
            let leader = replicas.entry(status.leader_name.clone()).or_default();
            leader.name.clone_from(&status.leader_name);
            leader.leader = true;
        }
        let replica = replicas.entry(status.replica.clone()).or_default();
        if replica.address.is_some() {
            return;
        }
        replica.name.clone_from(&status.replica);
        replica.address = Some(address);
        replica.leader |= status.leader;
        replica.build = Some(status.build);
        replica.epoch = Some(status.epoch);
        replica.generation = Some(status.generation);
        replica.digests = status.digests.into_iter().map(TopicDigest::new).collect();
        self.sources
            .extend(status.sources.into_iter().map(|source| {
                let staleness = source.staleness.unwrap_or_default();
                Source {
                    replica: status.replica.clone(),
                    resource: source.resource,
                    version: source.resource_version,
                    stale_seconds: std::time::Duration::try_from(staleness)
                        .map_or(0.0, |staleness| staleness.as_secs_f64()),
                }
            }));
    }

    fn total(&mut self) {
        let count = |role: &str| self.clients.iter().filter(|c| c.role == role).count();
        self.totals.nodes = count("node");
        self.totals.ingresses = count("ingress");
        self.totals.converged = self.clients.iter().filter(|c| c.converged).count();
        self.totals.rejections = self.clients.iter().map(|c| c.rejections.len()).sum();
        self.converged = self.totals.converged == self.clients.len() && self.unreachable.is_empty();
    }
}
