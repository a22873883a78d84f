//! One table for each host, from all Ingresses that speak of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
};

use meshlite_snapshot::{
    Cluster, HostMatch, Name, ObjectRef, PathMatch, Route, RoutePath, RouteTable, WeightedCluster,
};

use super::{
    Listeners,
    backend::Backend,
    read::{PathRule, Request},
};
use crate::report::Findings;

type Clusters = BTreeMap<Name, Cluster>;

/// The tables, and the clusters that their routes name. Requests come oldest first.
pub(super) fn tables(
    requests: &[Request<'_>],
    listeners: &Listeners,
    class: &str,
    findings: &mut Findings,
) -> (BTreeMap<Name, RouteTable>, Clusters) {
    let mut by_host: BTreeMap<&HostMatch, Vec<&Request<'_>>> = BTreeMap::new();
    for request in requests {
        for host in request.hosts.keys() {
            by_host.entry(host).or_default().push(request);
        }
    }
    let mut tables = BTreeMap::new();
    let mut clusters = Clusters::new();
    for (host, requests) in by_host {
        let routes = routes(host, &requests, &mut clusters, findings);
        let oldest = requests.first().map(|request| request.key);
        let Some(name) = oldest.and_then(|key| {
            findings
                .about("Ingress", key)
                .resource_name(&[class, &host.to_string()])
        }) else {
            continue;
        };
        let table = RouteTable {
            listeners: vec![listeners.http.clone(), listeners.https.clone()],
            host: host.clone(),
            routes,
        };
        tables.insert(name, table);
    }
    (tables, clusters)
}

/// The routes of one host. Exact paths come before prefixes, then longer paths before shorter ones.
fn routes(
    host: &HostMatch,
    requests: &[&Request<'_>],
    clusters: &mut Clusters,
    findings: &mut Findings,
) -> Vec<Route> {
    let mut winners = winners(host, requests, findings);
    winners.sort_by_key(|(_, rule)| {
        let RoutePath { kind, value } = &rule.path;
        (*kind != PathMatch::Exact, Reverse(value.len()), value)
    });
    let mut routes = Vec::with_capacity(winners.len() + 1);
    for (request, rule) in &winners {
        let backends = backends(&rule.backend, clusters);
        routes.push(route(request, rule.path.clone(), backends));
    }
    let root = RoutePath {
        kind: PathMatch::Prefix,
        value: "/".to_owned(),
    };
    // A rule for every path leaves nothing to the default, save requests that fall back from another host.
    let any = *host == HostMatch::Any;
    let has_root = winners.iter().any(|(_, rule)| rule.path == root);
    if let Some((request, backend)) = default_backend(host, requests, findings)
        && (any || !has_root)
    {
        let mut route = route(request, root, backends(backend, clusters));
        route.fallback = any;
        routes.push(route);
    }
    for (rank, route) in (0..).zip(&mut routes) {
        route.rank = rank;
    }
    routes
}

/// Each path once: of two rules with the same one, the older Ingress's, or the first within an Ingress.
fn winners<'a>(
    host: &HostMatch,
    requests: &[&'a Request<'a>],
    findings: &mut Findings,
) -> Vec<(&'a Request<'a>, &'a PathRule)> {
    let mut winners: BTreeMap<(PathMatch, &str), (&Request<'_>, &PathRule)> = BTreeMap::new();
    for &request in requests {
        for rule in request.hosts.get(host).into_iter().flatten() {
            let RoutePath { kind, value } = &rule.path;
            match winners.entry((*kind, value)) {
                Entry::Vacant(entry) => {
                    entry.insert((request, rule));
                }
                Entry::Occupied(entry) => {
                    let (winner, first) = entry.get();
                    let message = if winner.key == request.key {
                        let first = first.field();
                        format!("{first} has the same path {value:?} of {}", shown(host))
                    } else {
                        format!(
                            "Ingress {} comes first, by age or else by name, and has the same path {value:?} of {}",
                            winner.key,
                            shown(host)
                        )
                    };
                    findings
                        .about("Ingress", request.key)
                        .error(rule.field(), "Conflict", message);
                }
            }
        }
    }
    winners.into_values().collect()
}

/// The default backend of this host: the oldest Ingress's that has one.
fn default_backend<'a>(
    host: &HostMatch,
    requests: &[&'a Request<'a>],
    findings: &mut Findings,
) -> Option<(&'a Request<'a>, &'a Backend)> {
    let mut having = requests.iter().filter_map(|&request| {
        let backend = request.default_backend.as_ref()?;
        Some((request, backend))
    });
    let (winner, chosen) = having.next()?;
    for (request, _) in having.filter(|(_, backend)| *backend != chosen) {
        findings.about("Ingress", request.key).error(
            "spec.defaultBackend",
            "Conflict",
            format!(
                "Ingress {} comes first, by age or else by name, and has the default backend of {}",
                winner.key,
                shown(host)
            ),
        );
    }
    Some((winner, chosen))
}

fn route(request: &Request<'_>, path: RoutePath, backends: Vec<WeightedCluster>) -> Route {
    Route {
        owner: ObjectRef::new("Ingress", &*request.key.namespace, &*request.key.name),
        rank: 0,
        fallback: false,
        path,
        method: None,
        headers: vec![],
        query: vec![],
        filters: vec![],
        backends,
        timeouts: request.timeouts,
    }
}

fn backends(backend: &Backend, clusters: &mut Clusters) -> Vec<WeightedCluster> {
    let Some((name, cluster)) = backend else {
        return vec![];
    };
    clusters
        .entry(name.clone())
        .or_insert_with(|| cluster.clone());
    vec![WeightedCluster {
        cluster: name.clone(),
        weight: 1,
    }]
}

/// A host as a sentence names it.
pub(super) fn shown(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "all hosts".to_owned(),
        named => named.to_string(),
    }
}
