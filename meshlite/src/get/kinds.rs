//! The kinds of objects that `meshlite get` prints one of: which resources they are, and their tables.

use std::{collections::BTreeSet, fmt, sync::Arc};

use meshlite_proto::installed::{Filter, Item};
use meshlite_snapshot::{
    Endpoint, EndpointGroup, EndpointPort, Resource, ResourceType, Route, RouteTable, Service,
    TlsSecret, TrafficPolicy,
};

use super::{
    table::{NONE, backend, cluster_ip, endpoints, external, kind, or_none, path, ports, ready},
    view::View,
};
use crate::output::{Format, columns_for};

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Services,
    Endpoints,
    Routes,
    Certificates,
}

// === impl Kind ===

impl Kind {
    /// The types of resources that its table is made of; the first is what is listed.
    pub(super) const fn needs(self) -> &'static [ResourceType] {
        match self {
            Self::Services => &[ResourceType::Service, ResourceType::EndpointGroup],
            Self::Endpoints => &[ResourceType::EndpointGroup],
            Self::Routes => &[
                ResourceType::RouteTable,
                ResourceType::Cluster,
                ResourceType::EndpointGroup,
            ],
            Self::Certificates => &[ResourceType::TlsSecret],
        }
    }

    /// Leaves only what is listed. The snapshot keeps what the table also needs.
    pub(super) fn keep(self, view: &mut View, filter: &Filter) {
        let listed = self.needs().first().copied();
        view.resources.retain(|item| {
            let is_wanted = match &item.body {
                Resource::RouteTable(table) => table
                    .routes
                    .iter()
                    .any(|route| is_wanted(table, route, filter)),
                _ => filter.takes(&item.name),
            };
            Some(item.kind) == listed && is_wanted
        });
    }

    /// For people; none where nothing is listed.
    pub(super) fn table(self, view: &View, filter: &Filter, format: Format) -> Option<String> {
        let items = view.resources.as_slice();
        let table = match self {
            Self::Services => services(view, items, format),
            Self::Endpoints => all_endpoints(items, format),
            Self::Routes => routes(view, items, filter, format),
            Self::Certificates => certificates(items, format),
        };
        (!view.resources.is_empty()).then_some(table)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Services => "services",
            Self::Endpoints => "endpoints",
            Self::Routes => "routes",
            Self::Certificates => "certificates",
        })
    }
}

/// Whether a route is of the namespace, and its host or its owner has the name.
fn is_wanted(table: &RouteTable, route: &Route, filter: &Filter) -> bool {
    let Filter { namespace, name } = filter;
    let has_name =
        |wanted: &String| table.host.to_string() == *wanted || route.owner.name == *wanted;
    namespace
        .as_ref()
        .is_none_or(|wanted| route.owner.namespace == *wanted)
        && name.as_ref().is_none_or(has_name)
}

fn version(item: &Item) -> String {
    item.version
        .map_or_else(|| NONE.to_owned(), |version| version.to_string())
}

fn services(view: &View, items: &[Item], format: Format) -> String {
    let row = |item: &Item| {
        let Resource::Service(service) = &item.body else {
            return None;
        };
        Some([
            service.namespace.clone(),
            service.name.clone(),
            kind(service.kind).to_owned(),
            cluster_ip(service),
            external(service),
            ports(service),
            ready(view, service),
            endpoints(view, service),
            affinity(service),
            policies(service),
            if service.l4 { "yes" } else { "no" }.to_owned(),
            version(item),
        ])
    };
    let head = [
        "NAMESPACE",
        "NAME",
        "TYPE",
        "CLUSTER-IP",
        "EXTERNAL",
        "PORT(S)",
        "READY",
        "ENDPOINTS",
        "AFFINITY",
        "POLICY",
        "L4",
        "VERSION",
    ];
    columns_for(
        format,
        7,
        head,
        &items.iter().filter_map(row).collect::<Vec<_>>(),
    )
}

fn affinity(service: &Service) -> String {
    service
        .session_affinity_seconds
        .map_or_else(|| NONE.to_owned(), |seconds| format!("ClientIP/{seconds}s"))
}

/// The traffic policies, inside and outside.
fn policies(service: &Service) -> String {
    let word = |policy| match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    };
    let inside = word(service.internal_traffic_policy);
    format!("{inside}/{}", word(service.external_traffic_policy))
}

fn all_endpoints(items: &[Item], format: Format) -> String {
    let mut rows = Vec::new();
    for item in items {
        if let Resource::EndpointGroup(group) = &item.body {
            let row = |endpoint| endpoint_row(group, endpoint, version(item));
            rows.extend(group.endpoints.iter().map(row));
        }
    }
    rows.sort();
    let head = [
        "NAMESPACE",
        "SERVICE",
        "ADDRESS",
        "PORT(S)",
        "STATE",
        "NODE",
        "ZONE",
        "SLICE",
        "VERSION",
    ];
    columns_for(format, 7, head, &rows)
}

fn endpoint_row(group: &EndpointGroup, endpoint: &Endpoint, version: String) -> [String; 9] {
    let state = match (endpoint.ready, endpoint.serving, endpoint.terminating) {
        (true, _, _) => "Ready",
        (false, true, true) => "Draining",
        (false, false, true) => "Terminating",
        (false, _, false) => "NotReady",
    };
    let port = |port: &EndpointPort| {
        let number = port.port.map_or_else(|| "*".to_owned(), |n| n.to_string());
        format!("{number}/{}", port.protocol)
    };
    let shown = |text: &Option<Arc<str>>| text.as_deref().unwrap_or(NONE).to_owned();
    [
        group.namespace.clone(),
        group.service.clone(),
        endpoint.address.to_string(),
        or_none(group.ports.iter().map(port)),
        state.to_owned(),
        shown(&endpoint.node),
        shown(&endpoint.zone),
        group.slice.clone(),
        version,
    ]
}

fn routes(view: &View, items: &[Item], filter: &Filter, format: Format) -> String {
    let mut rows = Vec::new();
    for item in items {
        let Resource::RouteTable(table) = &item.body else {
            continue;
        };
        for route in &table.routes {
            if !is_wanted(table, route, filter) {
                continue;
            }
            let (backend, ready) = backend(view, route);
            rows.push([
                table.host.to_string(),
                path(&route.path),
                backend,
                ready,
                route.owner.to_string(),
                route.rank.to_string(),
                or_none(table.listeners.iter().map(ToString::to_string)),
                version(item),
            ]);
        }
    }
    let head = [
        "HOST",
        "PATH",
        "BACKEND",
        "READY",
        "OWNER",
        "RANK",
        "LISTENERS",
        "VERSION",
    ];
    columns_for(format, 5, head, &rows)
}

fn certificates(items: &[Item], format: Format) -> String {
    let row = |item: &Item| {
        let Resource::TlsSecret(secret) = &item.body else {
            return None;
        };
        let TlsSecret {
            certificate_chain,
            private_key: _,
            bindings,
        } = &**secret;
        let listeners: BTreeSet<_> = bindings.iter().map(|b| b.listener.to_string()).collect();
        Some([
            item.name.to_string(),
            super::table::hosts(secret),
            or_none(listeners),
            certificate_chain.len().to_string(),
            version(item),
        ])
    };
    let head = ["SECRET", "HOSTS", "LISTENERS", "CHAIN", "VERSION"];
    columns_for(
        format,
        2,
        head,
        &items.iter().filter_map(row).collect::<Vec<_>>(),
    )
}
