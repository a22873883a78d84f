//! Listeners and routes.

use meshlite_snapshot::{
    HostMatch, Listener, ListenerProtocol, PathMatch, Route, RoutePath, RouteTable, RouteTimeouts,
    TlsPolicy, TlsVersion, ValueMatch, WeightedCluster,
};

use super::{DecodeError, field, filter, object, policy};
use crate::v1;

pub(super) fn listener(from: &v1::Listener) -> Result<Listener, DecodeError> {
    use v1::listener::ListenerProtocol as Spoken;
    let protocol = match field::known("protocol", from.protocol)? {
        Spoken::Http => ListenerProtocol::Http,
        Spoken::Https => ListenerProtocol::Https,
        Spoken::Unspecified => return Err(field::unspecified("protocol")),
    };
    if protocol == ListenerProtocol::Http && from.tls.is_some() {
        return Err(DecodeError::invalid("tls", "the protocol is HTTP"));
    }
    Ok(Listener {
        addresses: field::addresses("addresses", &from.addresses)?,
        port: field::port("port", from.port)?,
        proxy_port: field::number("proxy_port", from.proxy_port, &(0..=u16::MAX))?,
        protocol,
        tls: from.tls.as_ref().map(tls).transpose()?,
    })
}

pub(super) fn table(from: v1::RouteTable) -> Result<RouteTable, DecodeError> {
    let routes = field::each("routes", from.routes, route)?;
    if !routes.is_sorted_by(|a, b| a.rank < b.rank) {
        return Err(DecodeError::invalid("routes", "ranks do not rise"));
    }
    Ok(RouteTable {
        listeners: field::each("listeners", from.listeners, |name| {
            field::name("name", &name)
        })?,
        host: host(field::required("host", from.host)?)?,
        routes,
        client_auth: from.client_auth.map(policy::client_auth).transpose()?,
    })
}

pub(super) fn host(from: v1::HostMatch) -> Result<HostMatch, DecodeError> {
    use v1::host_match::Kind;
    fn checked(field: &str, host: String) -> Result<String, DecodeError> {
        let bad = |c: char| c.is_ascii_uppercase() || c.is_whitespace() || c == '/';
        if host.is_empty() || host.ends_with('.') || host.contains(bad) {
            return Err(DecodeError::invalid(
                field,
                format_args!("{host:?} is not a host name in lower case without a trailing dot"),
            ));
        }
        Ok(host)
    }
    match from.kind {
        Some(Kind::Exact(host)) => checked("host.exact", host).map(HostMatch::Exact),
        Some(Kind::OneLabel(host)) => checked("host.one_label", host).map(HostMatch::OneLabel),
        Some(Kind::Suffix(host)) => checked("host.suffix", host).map(HostMatch::Suffix),
        Some(Kind::Any(true)) => Ok(HostMatch::Any),
        Some(Kind::Any(false)) | None => Err(DecodeError::unsupported("host", "its kind")),
    }
}

pub(super) fn weighted(from: &v1::WeightedCluster) -> Result<WeightedCluster, DecodeError> {
    Ok(WeightedCluster {
        cluster: field::name("cluster", &from.cluster)?,
        weight: from.weight,
    })
}

fn tls(from: &v1::TlsPolicy) -> Result<TlsPolicy, DecodeError> {
    use v1::tls_policy::TlsVersion as Oldest;
    let min_version = match field::known("tls.min_version", from.min_version)? {
        Oldest::Tls12 => TlsVersion::Tls12,
        Oldest::Tls13 => TlsVersion::Tls13,
        Oldest::Unspecified => return Err(field::unspecified("tls.min_version")),
    };
    let default_certificate =
        field::optional_name("tls.default_certificate", &from.default_certificate)?;
    Ok(TlsPolicy {
        min_version,
        default_certificate,
    })
}

fn route(from: v1::Route) -> Result<Route, DecodeError> {
    Ok(Route {
        owner: object(from.owner.unwrap_or_default()),
        rank: from.rank,
        fallback: from.fallback,
        path: path(field::required("path", from.path)?)?,
        method: field::optional(from.method),
        headers: field::each("headers", from.headers, value)?,
        query: field::each("query", from.query, value)?,
        filters: field::each("filters", from.filters, filter::filter)?,
        backends: field::each("backends", &from.backends, weighted)?,
        timeouts: RouteTimeouts {
            connect_ms: field::optional_number(from.connect_timeout_ms),
            response_ms: field::optional_number(from.response_timeout_ms),
            idle_ms: field::optional_number(from.idle_timeout_ms),
            request_ms: field::optional_number(from.request_timeout_ms),
        },
        policy: from
            .policy
            .map(|from| policy::policy(from).map(Into::into))
            .transpose()?,
    })
}

fn path(from: v1::PathMatch) -> Result<RoutePath, DecodeError> {
    use v1::path_match::Kind;
    let kind = match field::known("path.kind", from.kind)? {
        Kind::Exact => PathMatch::Exact,
        Kind::Prefix => PathMatch::Prefix,
        Kind::Regex => PathMatch::Regex,
        Kind::RegexIgnoreCase => PathMatch::RegexIgnoreCase,
        Kind::Unspecified => return Err(field::unspecified("path.kind")),
    };
    let literal = matches!(kind, PathMatch::Exact | PathMatch::Prefix);
    if literal && !from.value.starts_with('/') {
        let value = from.value;
        return Err(DecodeError::invalid(
            "path.value",
            format_args!("{value:?} does not start with a slash"),
        ));
    }
    Ok(RoutePath {
        kind,
        value: from.value,
    })
}

fn value(from: v1::ValueMatch) -> Result<ValueMatch, DecodeError> {
    Ok(ValueMatch {
        name: field::not_empty("name", from.name)?,
        value: from.value,
        regex: from.regex,
    })
}
