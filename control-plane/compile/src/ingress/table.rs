//! The routes of one host, from all Ingresses that speak of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use meshlite_snapshot::{HostMatch, ObjectRef, PathMatch, Route, RoutePath, WeightedCluster};

use super::{
    backend::{Backend, Target},
    read::{PathRule, Request},
};
use crate::report::Findings;

/// The routes of one host, and what they send to. Requests come oldest first.
///
/// Exact paths come before prefixes, then longer paths before shorter ones.
pub(super) fn routes(
    host: &HostMatch,
    requests: &[&Request],
    findings: &mut Findings,
) -> (Vec<Route>, BTreeSet<Target>) {
    let mut targets = BTreeSet::new();
    let mut winners = winners(host, requests, findings);
    winners.sort_by_key(|(_, rule)| {
        let RoutePath { kind, value } = &rule.path;
        (*kind != PathMatch::Exact, Reverse(value.len()), value)
    });
    let mut routes = Vec::with_capacity(winners.len() + 1);
    for (request, rule) in &winners {
        let backends = backends(&rule.backend, &mut targets);
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
        let mut route = route(request, root, backends(backend, &mut targets));
        route.fallback = any;
        routes.push(route);
    }
    for (rank, route) in (0..).zip(&mut routes) {
        route.rank = rank;
    }
    (routes, targets)
}

/// Each path once: of two rules with the same one, the older Ingress's, or the first within an Ingress.
fn winners<'a>(
    host: &HostMatch,
    requests: &[&'a Request],
    findings: &mut Findings,
) -> Vec<(&'a Request, &'a PathRule)> {
    let mut winners: BTreeMap<(PathMatch, &str), (&Request, &PathRule)> = BTreeMap::new();
    for &request in requests {
        for rule in request.hosts.get(host).into_iter().flatten() {
            let RoutePath { kind, value } = &rule.path;
            match winners.entry((*kind, value)) {
                Entry::Vacant(entry) => {
                    entry.insert((request, rule));
                }
                Entry::Occupied(entry) => {
                    let (winner, first) = entry.get();
                    let message = if winner.key() == request.key() {
                        let first = first.field();
                        format!("{first} has the same path {value:?} of {}", shown(host))
                    } else {
                        format!(
                            "Ingress {} comes first, by age or else by name, and has the same path {value:?} of {}",
                            winner.key(),
                            shown(host)
                        )
                    };
                    findings.about("Ingress", request.key()).error(
                        rule.field(),
                        "Conflict",
                        message,
                    );
                }
            }
        }
    }
    winners.into_values().collect()
}

/// The default backend of this host: the oldest Ingress's that has one.
fn default_backend<'a>(
    host: &HostMatch,
    requests: &[&'a Request],
    findings: &mut Findings,
) -> Option<(&'a Request, &'a Backend)> {
    let mut having = requests.iter().filter_map(|&request| {
        let backend = request.default_backend.as_ref()?;
        Some((request, backend))
    });
    let (winner, chosen) = having.next()?;
    for (request, _) in having.filter(|(_, backend)| *backend != chosen) {
        findings.about("Ingress", request.key()).error(
            "spec.defaultBackend",
            "Conflict",
            format!(
                "Ingress {} comes first, by age or else by name, and has the default backend of {}",
                winner.key(),
                shown(host)
            ),
        );
    }
    Some((winner, chosen))
}

fn route(request: &Request, path: RoutePath, backends: Vec<WeightedCluster>) -> Route {
    Route {
        owner: ObjectRef::new("Ingress", &*request.key().namespace, &*request.key().name),
        rank: 0,
        fallback: false,
        path,
        method: None,
        headers: vec![],
        query: vec![],
        filters: vec![],
        backends,
        timeouts: request.timeouts,
        policy: None,
    }
}

fn backends(backend: &Backend, targets: &mut BTreeSet<Target>) -> Vec<WeightedCluster> {
    let Some(target) = backend else {
        return vec![];
    };
    targets.insert(target.clone());
    vec![WeightedCluster {
        cluster: target.name.clone(),
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
