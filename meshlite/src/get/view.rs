//! A snapshot with its findings, as it is printed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use meshlite_proto::installed::Item;
use meshlite_snapshot::{Cluster, Finding, Snapshot};
use serde::{Deserialize, Serialize};

/// Everything that `meshlite get snapshot` prints. Private keys are left out.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    /// The build of the control plane; none where no server was asked, like the next two.
    pub(crate) build: Option<String>,
    pub(crate) epoch: Option<String>,
    pub(crate) generation: Option<u64>,
    pub(crate) digests: Vec<TopicDigest>,
    pub(crate) resources: Vec<Item>,
    pub(crate) findings: Vec<Finding>,
    /// How many there are: a server's answer does not hold any number of them.
    pub(crate) findings_total: u64,
    /// Documents of kinds that are not served, by kind; none where a server was asked, as it does not say.
    pub(crate) skipped: Option<BTreeMap<String, u32>>,
    #[serde(skip)]
    pub(crate) snapshot: Snapshot,
}

/// What is served of one kind, for tools: what an admin server answers, and the same.
#[derive(Debug, Serialize)]
pub(super) struct List<'a> {
    resources: &'a [Item],
}

/// What the set of one type's resources is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TopicDigest {
    pub(crate) topic: String,
    pub(crate) count: u64,
    /// In hexadecimal.
    pub(crate) digest: String,
}

/// How many endpoints may get traffic, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) ready: usize,
    pub(crate) all: usize,
}

// === impl View ===

impl View {
    /// For tools.
    pub(super) fn list(&self) -> List<'_> {
        List {
            resources: &self.resources,
        }
    }

    /// These resources, of which nothing else is known.
    pub(super) fn of(resources: Vec<Item>) -> Self {
        let mut snapshot = Snapshot::default();
        for Item { name, body, .. } in &resources {
            snapshot.insert(name.clone(), body.clone());
        }
        Self {
            build: None,
            epoch: None,
            generation: None,
            digests: Vec::new(),
            resources,
            findings: Vec::new(),
            findings_total: 0,
            skipped: None,
            snapshot,
        }
    }

    /// The endpoints of a Service; an address in several slices counts once.
    pub(crate) fn endpoints_of_service(&self, namespace: &str, service: &str) -> Endpoints {
        self.count(namespace, service, |_port| true)
    }

    /// Where the ready endpoints of a Service are.
    pub(crate) fn ready_addresses(&self, namespace: &str, service: &str) -> BTreeSet<SocketAddr> {
        let groups = self.snapshot.endpoint_groups_of(namespace, service);
        groups
            .flat_map(|(_, group)| {
                let ready = group.endpoints.iter().filter(|endpoint| endpoint.ready);
                ready.flat_map(|endpoint| {
                    let ports = group.ports.iter().filter_map(|port| port.port);
                    ports.map(|port| SocketAddr::new(endpoint.address, port))
                })
            })
            .collect()
    }

    /// The endpoints behind one port of a Service.
    pub(crate) fn endpoints_of_cluster(&self, cluster: &Cluster) -> Endpoints {
        self.count(&cluster.namespace, &cluster.service, |port| {
            port == cluster.port_name
        })
    }

    fn count(&self, namespace: &str, service: &str, has_port: impl Fn(&str) -> bool) -> Endpoints {
        let mut addresses = BTreeMap::new();
        for (_, group) in self.snapshot.endpoint_groups_of(namespace, service) {
            if !group.ports.is_empty() && !group.ports.iter().any(|port| has_port(&port.name)) {
                continue;
            }
            for endpoint in &group.endpoints {
                *addresses.entry(endpoint.address).or_insert(false) |= endpoint.ready;
            }
        }
        Endpoints {
            ready: addresses.values().filter(|ready| **ready).count(),
            all: addresses.len(),
        }
    }
}

impl std::fmt::Display for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ready, self.all)
    }
}
