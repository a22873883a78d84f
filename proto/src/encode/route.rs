//! Listeners and routes.

use meshlite_snapshot::{
    Filter, HeaderChange, HostMatch, Listener, ListenerProtocol, PathMatch, Redirect, Rewrite,
    Route, RoutePath, RouteTable, Substitution, TlsPolicy, TlsVersion, ValueMatch, WeightedCluster,
};

use super::{object, policy, port, shown, text};
use crate::v1;

pub(super) fn listener(listener: &Listener) -> v1::Listener {
    use v1::listener::ListenerProtocol as Spoken;
    let protocol = match listener.protocol {
        ListenerProtocol::Http => Spoken::Http,
        ListenerProtocol::Https => Spoken::Https,
    };
    v1::Listener {
        addresses: shown(&listener.addresses),
        port: listener.port.into(),
        proxy_port: listener.proxy_port.into(),
        protocol: protocol.into(),
        tls: listener.tls.as_ref().map(tls),
    }
}

pub(super) fn table(table: &RouteTable) -> v1::RouteTable {
    v1::RouteTable {
        listeners: shown(&table.listeners),
        host: Some(host(&table.host)),
        routes: table.routes.iter().map(route).collect(),
        client_auth: table.client_auth.as_ref().map(policy::client_auth),
    }
}

pub(super) fn host(host: &HostMatch) -> v1::HostMatch {
    use v1::host_match::Kind;
    let kind = match host {
        HostMatch::Exact(host) => Kind::Exact(host.clone()),
        HostMatch::OneLabel(domain) => Kind::OneLabel(domain.clone()),
        HostMatch::Suffix(domain) => Kind::Suffix(domain.clone()),
        HostMatch::Any => Kind::Any(true),
    };
    v1::HostMatch { kind: Some(kind) }
}

fn tls(policy: &TlsPolicy) -> v1::TlsPolicy {
    use v1::tls_policy::TlsVersion as Oldest;
    let min_version = match policy.min_version {
        TlsVersion::Tls12 => Oldest::Tls12,
        TlsVersion::Tls13 => Oldest::Tls13,
    };
    v1::TlsPolicy {
        min_version: min_version.into(),
        default_certificate: text(policy.default_certificate.as_ref().map(AsRef::as_ref)),
    }
}

fn route(route: &Route) -> v1::Route {
    v1::Route {
        owner: Some(object(&route.owner)),
        rank: route.rank,
        fallback: route.fallback,
        path: Some(path(&route.path)),
        method: text(route.method.as_deref()),
        headers: route.headers.iter().map(value).collect(),
        query: route.query.iter().map(value).collect(),
        filters: route.filters.iter().map(filter).collect(),
        backends: route.backends.iter().map(weighted).collect(),
        response_timeout_ms: route.timeouts.response_ms.unwrap_or(0),
        idle_timeout_ms: route.timeouts.idle_ms.unwrap_or(0),
        connect_timeout_ms: route.timeouts.connect_ms.unwrap_or(0),
        request_timeout_ms: route.timeouts.request_ms.unwrap_or(0),
        policy: route.policy.as_deref().map(policy::policy),
    }
}

fn path(path: &RoutePath) -> v1::PathMatch {
    use v1::path_match::Kind;
    let kind = match path.kind {
        PathMatch::Exact => Kind::Exact,
        PathMatch::Prefix => Kind::Prefix,
        PathMatch::Regex => Kind::Regex,
        PathMatch::RegexIgnoreCase => Kind::RegexIgnoreCase,
    };
    v1::PathMatch {
        kind: kind.into(),
        value: path.value.clone(),
    }
}

fn value(value: &ValueMatch) -> v1::ValueMatch {
    v1::ValueMatch {
        name: value.name.clone(),
        value: value.value.clone(),
        regex: value.regex,
    }
}

fn filter(filter: &Filter) -> v1::Filter {
    use v1::filter::Kind;
    let kind = match filter {
        Filter::RequestHeaders(change) => Kind::RequestHeaders(headers(change)),
        Filter::ResponseHeaders(change) => Kind::ResponseHeaders(headers(change)),
        Filter::Redirect(to) => Kind::Redirect(redirect(to)),
        Filter::Rewrite(to) => Kind::Rewrite(rewrite(to)),
        Filter::Mirror(to) => Kind::Mirror(weighted(to)),
        Filter::Respond(status) => Kind::Respond((*status).into()),
    };
    v1::Filter { kind: Some(kind) }
}

pub(super) fn header((name, value): &(String, String)) -> v1::Header {
    v1::Header {
        name: name.clone(),
        value: value.clone(),
    }
}

fn headers(change: &HeaderChange) -> v1::HeaderChange {
    v1::HeaderChange {
        set: change.set.iter().map(header).collect(),
        add: change.add.iter().map(header).collect(),
        remove: change.remove.clone(),
    }
}

fn redirect(to: &Redirect) -> v1::Redirect {
    v1::Redirect {
        scheme: text(to.scheme.as_deref()),
        host: text(to.host.as_deref()),
        port: port(to.port),
        path: to.path.as_ref().map(rewrite),
        status: to.status.into(),
        location: text(to.location.as_deref()),
    }
}

fn rewrite(to: &Rewrite) -> v1::Rewrite {
    v1::Rewrite {
        host: to.host.clone(),
        full_path: to.full_path.clone(),
        prefix: to.prefix.clone(),
        regex: to.regex.as_ref().map(substitution),
    }
}

fn substitution(by: &Substitution) -> v1::Substitution {
    v1::Substitution {
        pattern: by.pattern.clone(),
        with: by.with.clone(),
        ignore_case: by.ignore_case,
    }
}

pub(super) fn weighted(cluster: &WeightedCluster) -> v1::WeightedCluster {
    v1::WeightedCluster {
        cluster: cluster.cluster.to_string(),
        weight: cluster.weight,
    }
}
