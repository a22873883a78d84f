//! Which endpoints traffic may use: what kube-proxy's `CategorizeEndpoints` decides, decided alike.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use meshlite_snapshot::{AddressFamily, Endpoint, EndpointGroup, ServicePort};

/// Where traffic comes from, as far as the choice of endpoints goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// This node.
    pub(super) node: &'a str,
    /// Its zone, where it is known.
    pub(super) zone: Option<&'a str>,
}

/// The endpoints of one Service port, by traffic policy.
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
    pub(super) here: BTreeSet<SocketAddr>,
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

/// The endpoints of one Service port and family, from all its groups, each address and port once.
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
    found.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| merit(other).cmp(&merit(one))));
    found.dedup_by_key(|(address, _)| *address);
    found
}

/// Sorts endpoints by what the policies Cluster and Local may use. Each is decided by itself: ready endpoints, and if
/// there are none, those that still serve while they terminate. Hints narrow only the choice of Cluster.
pub(super) fn categorize(candidates: &[Candidate<'_>], place: Place<'_>) -> Categorized {
    let topology = topology(candidates, place);
    let pick = |accept: &dyn Fn(&Endpoint) -> bool| -> Vec<SocketAddr> {
        candidates
            .iter()
            .filter(|(_, endpoint)| accept(endpoint))
            .map(|(address, _)| *address)
            .collect()
    };
    let is_local = |endpoint: &Endpoint| is_local(endpoint, place.node);
    let or_terminating = |ready: Vec<SocketAddr>, here: &dyn Fn(&Endpoint) -> bool| {
        if ready.is_empty() {
            pick(&|e| e.serving && e.terminating && here(e))
        } else {
            ready
        }
    };
    let local_ready = pick(&|e| e.ready && is_local(e));
    Categorized {
        cluster: or_terminating(pick(&|e| e.ready && is_hinted(e, topology, place)), &|_| {
            true
        }),
        local: or_terminating(local_ready.clone(), &is_local),
        has_any: candidates
            .iter()
            .any(|(_, e)| e.ready || (e.serving && e.terminating)),
        local_ready,
        here: pick(&is_local).into_iter().collect(),
    }
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

fn is_local(endpoint: &Endpoint, node: &str) -> bool {
    endpoint.node.as_deref() == Some(node)
}

#[cfg(test)]
mod tests;
