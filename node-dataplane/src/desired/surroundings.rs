//! What a table depends on besides Services: this node, and who is inside. Pure.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use meshlite_snapshot::{Node, Snapshot};

use crate::{
    DetectLocal,
    facts::{self, Facts, LOOPBACK},
    table::LocalDetector,
};

/// What a table depends on besides Services.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    pub(super) zone: Option<String>,
    /// Load balancers should leave this node alone: it is being taken away.
    pub(super) leaving: bool,
    pub(super) pods: LocalDetector,
    pub(super) inside: Arc<BTreeSet<IpNet>>,
    pub(super) local_addresses: BTreeSet<IpAddr>,
    /// The addresses that this node is known by.
    pub(super) primary_addresses: Vec<IpNet>,
    pub(super) node_port_ranges: Vec<IpNet>,
}

// === impl Surroundings ===

impl Surroundings {
    pub(super) fn new(snapshot: &Snapshot, facts: &Facts) -> Self {
        let node = snapshot.nodes.get(facts.node_name.as_str());
        let pods = pods(snapshot, node.map(AsRef::as_ref), facts);
        Self {
            zone: node.and_then(|node| node.zone.clone()),
            leaving: node.is_some_and(|node| node.leaving),
            inside: inside(&pods, facts),
            pods,
            local_addresses: facts.local_addresses.clone(),
            primary_addresses: node.map_or_else(Vec::new, |node| facts::primary_addresses(node)),
            node_port_ranges: facts.node_port_ranges.clone(),
        }
    }

    /// Whether a Service may have to be served otherwise than with `other`, apart from where its node ports are and
    /// from which of its endpoints are addresses of this host.
    pub(super) fn moves_services(&self, other: &Self) -> bool {
        let is_none = |pods: &LocalDetector| *pods == LocalDetector::None;
        self.zone != other.zone
            || self.primary_addresses != other.primary_addresses
            || is_none(&self.pods) != is_none(&other.pods)
    }
}

/// Who counts as a Pod.
fn pods(snapshot: &Snapshot, node: Option<&Node>, facts: &Facts) -> LocalDetector {
    let networks = match &facts.detect_local {
        DetectLocal::Snapshot => {
            let nodes = snapshot.nodes.values();
            canonical(nodes.flat_map(|node| &node.pod_cidrs).copied())
        }
        DetectLocal::ClusterCidr(networks) => canonical(networks.iter().copied()),
        DetectLocal::NodeCidr => {
            let networks = node.map(|node| &node.pod_cidrs[..]);
            canonical(networks.unwrap_or_default().iter().copied())
        }
        DetectLocal::Bridge(name) => return LocalDetector::Interface(name.as_str().into()),
        DetectLocal::InterfacePrefix(prefix) => {
            return LocalDetector::InterfacePrefix(prefix.as_str().into());
        }
    };
    if networks.is_empty() {
        LocalDetector::None
    } else {
        LocalDetector::Cidrs(networks)
    }
}

/// Pods as far as networks tell, and this node itself.
fn inside(pods: &LocalDetector, facts: &Facts) -> Arc<BTreeSet<IpNet>> {
    let pods = match pods {
        LocalDetector::Cidrs(networks) => Some(networks),
        LocalDetector::None | LocalDetector::Interface(_) | LocalDetector::InterfacePrefix(_) => {
            None
        }
    };
    let pods = pods.into_iter().flat_map(|networks| networks.iter());
    let local = facts.local_addresses.iter().copied().map(IpNet::from);
    canonical(LOOPBACK.into_iter().chain(pods.copied()).chain(local))
}

/// Just as many addresses in as few networks as can be: a kernel that keeps ranges reads back the same.
pub(super) fn canonical(networks: impl Iterator<Item = IpNet>) -> Arc<BTreeSet<IpNet>> {
    let networks: Vec<_> = networks.collect();
    Arc::new(IpNet::aggregate(&networks).into_iter().collect())
}
