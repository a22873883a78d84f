//! Routes and a request from any bytes: the index finds what reading all routes one after the other finds.

use std::collections::BTreeMap;

use http::Uri;
use meshlite_snapshot::{
    HostMatch, Name, ObjectRef, PathMatch, Route, RoutePath, RouteTimeouts, WeightedCluster,
};

use crate::{sanitise::normal, table::Lookup};

/// Host and path of a request, then routes of the form `E HOST PATH` or `P HOST PATH`, each on a line; in lower case they
/// also serve more specific hosts. They rank as they come, and hosts are as they are shown.
///
/// # Panics
///
/// Where the index finds another route.
pub fn router(lines: &str) {
    let mut lines = lines.lines();
    let (Some(host), Some(path)) = (lines.next(), lines.next()) else {
        return;
    };
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'.';
    if !host.bytes().all(is_name) || host.split('.').any(str::is_empty) || !path.starts_with('/') {
        return;
    }
    let Ok(path) = normal(path.replace('?', "")) else {
        return;
    };
    // Not everything that is normal can stand in a request.
    if !Uri::try_from(&*path).is_ok_and(|uri| uri.path() == path) {
        return;
    }
    let mut tables: BTreeMap<HostMatch, Vec<Route>> = BTreeMap::new();
    for (rank, line) in lines.enumerate().take(64) {
        let Some((host, route)) = parse(line, rank) else {
            return;
        };
        tables.entry(host).or_default().push(route);
    }
    let tables: Vec<_> = tables.into_iter().collect();
    let Some(lookup) = Lookup::new(&tables) else {
        return;
    };
    let found = lookup.find(host, &path);
    assert_eq!(
        found,
        search(&tables, host, &path),
        "{host} {path} {tables:?}"
    );
}

fn parse(line: &str, rank: usize) -> Option<(HostMatch, Route)> {
    let mut words = line.splitn(3, ' ');
    let (kind, host, path) = (words.next()?, words.next()?, words.next()?);
    let (kind, fallback) = match kind {
        "E" => (PathMatch::Exact, false),
        "e" => (PathMatch::Exact, true),
        "P" => (PathMatch::Prefix, false),
        "p" => (PathMatch::Prefix, true),
        _ => return None,
    };
    let host = match host.split_once('.') {
        None if host == "*" => HostMatch::Any,
        Some(("*", domain)) => HostMatch::OneLabel(domain.to_owned()),
        Some(("**", domain)) => HostMatch::Suffix(domain.to_owned()),
        Some(_) | None => HostMatch::Exact(host.to_owned()),
    };
    let cluster = Name::new(format!("default/{rank}/80")).ok()?;
    let route = Route {
        owner: ObjectRef::new("Ingress", "default", "fuzz"),
        rank: u32::try_from(rank).ok()?,
        fallback,
        path: RoutePath {
            kind,
            value: path.to_owned(),
        },
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
        filters: Vec::new(),
        backends: vec![WeightedCluster { cluster, weight: 1 }],
        timeouts: RouteTimeouts::default(),
        policy: None,
    };
    Some((host, route))
}

/// The cluster of the route that serves, read off the definitions of hosts and paths.
fn search(tables: &[(HostMatch, Vec<Route>)], host: &str, path: &str) -> Option<String> {
    let mut of_host: Vec<_> = tables
        .iter()
        .filter_map(|(of, routes)| Some((specificity(of, host)?, routes)))
        .collect();
    of_host.sort_by_key(|(specificity, _)| std::cmp::Reverse(*specificity));
    let mut of_host = of_host.into_iter().enumerate();
    of_host.find_map(|(place, (_, routes))| {
        let serves = |route: &&Route| (place == 0 || route.fallback) && holds(&route.path, path);
        let route = routes
            .iter()
            .filter(serves)
            .min_by_key(|route| route.rank)?;
        let backend = route.backends.first()?;
        Some(backend.cluster.to_string())
    })
}

/// How well a host fits; none if it does not.
fn specificity(of: &HostMatch, host: &str) -> Option<(u8, usize)> {
    let before = |domain: &str| host.strip_suffix(domain)?.strip_suffix('.');
    match of {
        HostMatch::Exact(name) => (name == host).then_some((3, 0)),
        HostMatch::OneLabel(domain) => {
            let label = before(domain)?;
            (!label.is_empty() && !label.contains('.')).then_some((2, 0))
        }
        HostMatch::Suffix(domain) => {
            let labels = before(domain)?;
            (!labels.is_empty()).then_some((1, domain.len()))
        }
        HostMatch::Any => Some((0, 0)),
    }
}

fn holds(wanted: &RoutePath, path: &str) -> bool {
    let value = wanted.value.as_str();
    match wanted.kind {
        PathMatch::Exact => path == value,
        PathMatch::Prefix => {
            let prefix = value.strip_suffix('/').unwrap_or(value);
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        PathMatch::Regex | PathMatch::RegexIgnoreCase => false,
    }
}
