//! Which endpoints traffic may use: what kube-proxy's `CategorizeEndpoints` decides, decided alike.

use std::{net::SocketAddr, sync::Arc};

use meshlite_snapshot::{AddressFamily, Endpoint, EndpointGroup, ServicePort};

/// Where traffic comes from, as far as the choice of endpoints goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// This node.
    pub(super) node: &'a str,
    /// Its zone, where it is known.
    pub(super) zone: Option<&'a str>,
}

/// The endpoints of one Service port, by traffic policy; sorted if the candidates are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Categorized {
    /// For the policy Cluster.
    pub(super) cluster: Vec<SocketAddr>,
    /// For the policy Local.
    pub(super) local: Vec<SocketAddr>,
    /// Some endpoint could be used somewhere: tells traffic that is dropped here from traffic that is rejected.
    pub(super) has_any: bool,
    /// Ready endpoints on this node: what `healthCheckNodePort` counts.
    pub(super) local_ready: Vec<SocketAddr>,
    /// Endpoints on this node, whatever their state.
    pub(super) here: Vec<SocketAddr>,
}

/// An endpoint with its port.
pub(super) type Candidate<'a> = (SocketAddr, &'a Endpoint);

/// Which hints are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topology {
    None,
    SameNode,
    SameZone,
}

/// The endpoints of one Service port and family, from all its groups, each address and port once, sorted.
///
/// While a Pod moves between slices it is in two of them: then the copy that is here wins, else the one that is ready.
pub(super) fn candidates<'a>(
    groups: impl IntoIterator<Item = &'a Arc<EndpointGroup>>,
    port: &ServicePort,
    family: AddressFamily,
    node: &str,
) -> Vec<Candidate<'a>> {
    let merit = |endpoint: &Endpoint| {
        (
            is_local(endpoint, node),
            endpoint.ready,
            endpoint.serving,
            !endpoint.terminating,
        )
    };
    let mut found = Vec::new();
    for group in groups {
        if group.address_family != family {
            continue;
        }
        let numbers = group
            .ports
            .iter()
            .filter(|p| p.name == port.name && p.protocol == port.protocol)
            .filter_map(|p| p.port);
        for number in numbers {
            let endpoints = group.endpoints.iter();
            found.extend(endpoints.map(|it| (SocketAddr::new(it.address, number), it)));
        }
    }
    // Mostly there is one group, which is sorted.
    if !found.is_sorted_by(|(a, _), (b, _)| a < b) {
        found.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| merit(other).cmp(&merit(one))));
        found.dedup_by_key(|(address, _)| *address);
    }
    found
}

/// Sorts endpoints by what the policies Cluster and Local may use. Each is decided by itself: ready endpoints, and if
/// there are none, those that still serve while they terminate. Hints narrow only the choice of Cluster.
pub(super) fn categorize(candidates: &[Candidate<'_>], place: Place<'_>) -> Categorized {
    let topology = topology(candidates, place);
    let mut found = Categorized {
        // Mostly traffic may use them all.
        cluster: Vec::with_capacity(candidates.len()),
        ..Categorized::default()
    };
    for &(address, endpoint) in candidates {
        let is_here = is_local(endpoint, place.node);
        found.has_any |= endpoint.ready || is_last_resort(endpoint);
        if is_here {
            found.here.push(address);
        }
        if endpoint.ready && is_here {
            found.local_ready.push(address);
        }
        if endpoint.ready && is_hinted(endpoint, topology, place) {
            found.cluster.push(address);
        }
    }
    found.local.clone_from(&found.local_ready);
    let last_resort = candidates.iter().filter(|(_, e)| is_last_resort(e));
    if found.cluster.is_empty() {
        found.cluster = last_resort.clone().map(|(address, _)| *address).collect();
    }
    if found.local.is_empty() {
        let here = last_resort.filter(|(_, e)| is_local(e, place.node));
        found.local = here.map(|(address, _)| *address).collect();
    }
    found
}

/// Hints count only if every ready endpoint has them and at least one is meant for this place.
fn topology(candidates: &[Candidate<'_>], place: Place<'_>) -> Topology {
    let ready = || candidates.iter().map(|(_, e)| *e).filter(|e| e.ready);
    let usable = |mode| {
        let has_hints = |e: &Endpoint| match mode {
            Topology::SameNode => !e.hint_nodes.is_empty(),
            Topology::SameZone => !e.hint_zones.is_empty(),
            Topology::None => false,
        };
        ready().all(has_hints) && ready().any(|e| is_hinted(e, mode, place))
    };
    [Topology::SameNode, Topology::SameZone]
        .into_iter()
        .find(|mode| usable(*mode))
        .unwrap_or(Topology::None)
}

fn is_hinted(endpoint: &Endpoint, topology: Topology, place: Place<'_>) -> bool {
    match topology {
        Topology::None => true,
        Topology::SameNode => endpoint.hint_nodes.iter().any(|n| **n == *place.node),
        Topology::SameZone => place
            .zone
            .is_some_and(|zone| endpoint.hint_zones.iter().any(|z| **z == *zone)),
    }
}

/// Whether it may be used where none is ready.
const fn is_last_resort(endpoint: &Endpoint) -> bool {
    endpoint.serving && endpoint.terminating
}

fn is_local(endpoint: &Endpoint, node: &str) -> bool {
    endpoint.node.as_deref() == Some(node)
}

#[cfg(test)]
mod tests;
