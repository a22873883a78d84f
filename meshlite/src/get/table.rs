//! A snapshot as tables for people, in kubectl's manner.

use std::{collections::BTreeSet, fmt::Write, net::IpAddr};

use meshlite_snapshot::{
    Filter, PathMatch, Route, RoutePath, Service, ServicePort, ServiceType, TlsSecret,
    WeightedCluster,
};

use super::view::View;
use crate::output::{self, columns};

pub(super) const NONE: &str = "<none>";

/// The whole view. The same view always prints the same.
pub(super) fn print(view: &View) -> String {
    let mut text = String::new();
    if let (Some(build), Some(epoch), Some(generation)) =
        (&view.build, &view.epoch, view.generation)
    {
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "control plane {build}, epoch {epoch}, generation {generation}\n"
        );
    }
    text += &section("SERVICES", services(view));
    text += &section("ROUTES", routes(view));
    text += &section("LISTENERS", listeners(view));
    text += &section("CERTIFICATES", certificates(view));
    text += &section("DIGESTS", digests(view));
    text += &findings(view);
    if let Some(skipped) = &view.skipped
        && !skipped.is_empty()
    {
        let kinds: Vec<_> = skipped
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let _infallible = writeln!(
            text,
            "SKIPPED\nkinds that are not served: {}",
            kinds.join(", ")
        );
    }
    text
}

fn section(title: &str, rows: Option<String>) -> String {
    format!("{title}\n{}\n", rows.unwrap_or_else(|| format!("{NONE}\n")))
}

fn services(view: &View) -> Option<String> {
    let rows: Vec<_> = view
        .snapshot
        .services
        .values()
        .map(|service| {
            [
                service.namespace.clone(),
                service.name.clone(),
                kind(service.kind).to_owned(),
                cluster_ip(service),
                external(service),
                ports(service),
                ready(view, service),
                endpoints(view, service),
            ]
        })
        .collect();
    let head = [
        "NAMESPACE",
        "NAME",
        "TYPE",
        "CLUSTER-IP",
        "EXTERNAL",
        "PORT(S)",
        "READY",
        "ENDPOINTS",
    ];
    (!rows.is_empty()).then(|| columns(head, &rows))
}

/// The type of a Service as it is written.
pub(crate) const fn kind(kind: ServiceType) -> &'static str {
    match kind {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
        ServiceType::ExternalName => "ExternalName",
    }
}

pub(super) fn cluster_ip(service: &Service) -> String {
    if service.headless {
        return "None".to_owned();
    }
    or_none(service.cluster_ips.iter().map(IpAddr::to_string))
}

pub(super) fn external(service: &Service) -> String {
    let load_balancer = service.load_balancer.iter().map(|address| address.ip);
    let addresses: BTreeSet<IpAddr> = service
        .external_ips
        .iter()
        .copied()
        .chain(load_balancer)
        .collect();
    let names = service.external_name.iter().cloned();
    or_none(addresses.iter().map(IpAddr::to_string).chain(names))
}

/// The ports of a Service.
pub(crate) fn ports(service: &Service) -> String {
    or_none(service.ports.iter().map(port))
}

/// How many endpoints of a Service may get traffic, of how many.
pub(crate) fn ready(view: &View, service: &Service) -> String {
    match service.kind {
        ServiceType::ExternalName => NONE.to_owned(),
        _ => view
            .endpoints_of_service(&service.namespace, &service.name)
            .to_string(),
    }
}

/// As kubectl prints them: three, and how many more.
pub(super) fn endpoints(view: &View, service: &Service) -> String {
    let all = view.ready_addresses(&service.namespace, &service.name);
    let shown = or_none(all.iter().take(3).map(ToString::to_string));
    match all.len() {
        0..=3 => shown,
        many => format!("{shown} + {} more...", many - 3),
    }
}

/// As kubectl prints it: `80:30080/TCP`.
fn port(port: &ServicePort) -> String {
    match port.node_port {
        Some(node_port) => format!("{}:{node_port}/{}", port.port, port.protocol),
        None => format!("{}/{}", port.port, port.protocol),
    }
}

pub(super) fn or_none(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<_> = parts.into_iter().collect();
    if parts.is_empty() {
        NONE.to_owned()
    } else {
        parts.join(",")
    }
}

/// The table of routes, or nothing where there are none.
pub(crate) fn routes(view: &View) -> Option<String> {
    let mut rows = Vec::new();
    for table in view.snapshot.route_tables.values() {
        for route in &table.routes {
            let (backend, ready) = backend(view, route);
            rows.push([
                table.host.to_string(),
                path(&route.path),
                backend,
                ready,
                route.owner.to_string(),
            ]);
        }
    }
    let head = ["HOST", "PATH", "BACKEND", "READY", "OWNER"];
    (!rows.is_empty()).then(|| columns(head, &rows))
}

pub(super) fn path(path: &RoutePath) -> String {
    match path.kind {
        PathMatch::Exact => format!("= {}", path.value),
        PathMatch::Prefix => path.value.clone(),
        PathMatch::Regex => format!("~ {}", path.value),
        PathMatch::RegexIgnoreCase => format!("~* {}", path.value),
    }
}

pub(super) fn backend(view: &View, route: &Route) -> (String, String) {
    let answers = route.filters.iter().find_map(|filter| match filter {
        Filter::Redirect(redirect) => Some(format!("redirect {}", redirect.status)),
        Filter::Respond(status) => Some(format!("respond {status}")),
        _ => None,
    });
    if let Some(answer) = answers {
        return (answer, NONE.to_owned());
    }
    if route.backends.is_empty() {
        return ("respond 503".to_owned(), NONE.to_owned());
    }
    let total: u32 = route.backends.iter().map(|backend| backend.weight).sum();
    let name = |backend: &WeightedCluster| match route.backends.len() {
        1 => backend.cluster.to_string(),
        _ => format!("{} ({}/{total})", backend.cluster, backend.weight),
    };
    let ready = |backend: &WeightedCluster| {
        let Some(cluster) = view.snapshot.clusters.get(&backend.cluster) else {
            return "0/0".to_owned();
        };
        match &cluster.external_name {
            Some(name) => name.clone(),
            None => view.endpoints_of_cluster(cluster).to_string(),
        }
    };
    (
        route
            .backends
            .iter()
            .map(name)
            .collect::<Vec<_>>()
            .join(","),
        route
            .backends
            .iter()
            .map(ready)
            .collect::<Vec<_>>()
            .join(","),
    )
}

fn listeners(view: &View) -> Option<String> {
    let rows: Vec<_> = view
        .snapshot
        .listeners
        .iter()
        .map(|(name, listener)| {
            [
                name.to_string(),
                format!("{:?}", listener.protocol).to_uppercase(),
                listener.port.to_string(),
                listener.proxy_port.to_string(),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| columns(["NAME", "PROTOCOL", "PORT", "BOUND-PORT"], &rows))
}

fn certificates(view: &View) -> Option<String> {
    let rows: Vec<_> = view
        .snapshot
        .tls_secrets
        .iter()
        .map(|(name, secret)| [name.to_string(), hosts(secret)])
        .collect();
    (!rows.is_empty()).then(|| columns(["SECRET", "HOSTS"], &rows))
}

/// The server names that a certificate is used for.
pub(super) fn hosts(secret: &TlsSecret) -> String {
    let hosts: BTreeSet<_> = secret
        .bindings
        .iter()
        .map(|binding| binding.host.to_string())
        .collect();
    or_none(hosts)
}

fn digests(view: &View) -> Option<String> {
    let rows: Vec<_> = view
        .digests
        .iter()
        .map(|row| [row.topic.clone(), row.count.to_string(), row.digest.clone()])
        .collect();
    (!rows.is_empty()).then(|| columns(["TOPIC", "COUNT", "DIGEST"], &rows))
}

fn findings(view: &View) -> String {
    let lines = view.findings.iter().map(|finding| format!("{finding}\n"));
    let cut = output::cut(view.findings.len(), view.findings_total);
    section(
        "FINDINGS",
        (!view.findings.is_empty()).then(|| lines.chain([cut]).collect()),
    )
}

#[cfg(test)]
mod tests;
