//! Clusters.

use meshlite_snapshot::{
    Cluster, HashPart, LoadBalancing, ProxyProtocol, SameSite, StickyCookie, UpstreamProtocol,
    UpstreamTls,
};

use super::{port, shown, text};
use crate::v1;

pub(super) fn cluster(cluster: &Cluster) -> v1::Cluster {
    use v1::cluster::{
        LoadBalancing as Balancing, ProxyProtocol as Proxy, UpstreamProtocol as Upstream,
    };
    let protocol = match cluster.protocol {
        UpstreamProtocol::Http1 => Upstream::Http1,
        UpstreamProtocol::H2c => Upstream::H2c,
        UpstreamProtocol::Https => Upstream::Https,
        UpstreamProtocol::Https2 => Upstream::Https2,
    };
    let load_balancing = match cluster.load_balancing {
        LoadBalancing::RoundRobin => Balancing::RoundRobin,
        LoadBalancing::LeastRequest => Balancing::LeastRequest,
        LoadBalancing::PeakEwma => Balancing::PeakEwma,
        LoadBalancing::Ketama => Balancing::Ketama,
    };
    let send_proxy_protocol = match cluster.send_proxy_protocol {
        None => Proxy::Unspecified,
        Some(ProxyProtocol::V1) => Proxy::V1,
        Some(ProxyProtocol::V2) => Proxy::V2,
    };
    v1::Cluster {
        namespace: cluster.namespace.clone(),
        service: cluster.service.clone(),
        port: port(cluster.port),
        port_name: cluster.port_name.clone(),
        protocol: protocol.into(),
        load_balancing: load_balancing.into(),
        external_name: text(cluster.external_name.as_deref()),
        hash_by: cluster.hash_by.iter().map(hash_part).collect(),
        sticky: cluster.sticky.as_ref().map(sticky),
        tls: cluster.tls.as_ref().map(tls),
        connect_timeout_ms: cluster.connect_timeout_ms.unwrap_or(0),
        virtual_ips: shown(&cluster.virtual_ips),
        send_proxy_protocol: send_proxy_protocol.into(),
    }
}

fn hash_part(part: &HashPart) -> v1::HashPart {
    use v1::hash_part::{Kind, Plain};
    let kind = match part {
        HashPart::ClientAddress => Kind::Plain(Plain::ClientAddress.into()),
        HashPart::RequestUri => Kind::Plain(Plain::RequestUri.into()),
        HashPart::Path => Kind::Plain(Plain::Path.into()),
        HashPart::Host => Kind::Plain(Plain::Host.into()),
        HashPart::Header(name) => Kind::Header(name.clone()),
        HashPart::Cookie(name) => Kind::Cookie(name.clone()),
        HashPart::Query(name) => Kind::Query(name.clone()),
        HashPart::Text(text) => Kind::Text(text.clone()),
    };
    v1::HashPart { kind: Some(kind) }
}

fn sticky(cookie: &StickyCookie) -> v1::StickyCookie {
    use v1::sticky_cookie::SameSite as Site;
    let same_site = match cookie.same_site {
        None => Site::Unspecified,
        Some(SameSite::Strict) => Site::Strict,
        Some(SameSite::Lax) => Site::Lax,
        Some(SameSite::None) => Site::None,
    };
    v1::StickyCookie {
        name: cookie.name.clone(),
        path: text(cookie.path.as_deref()),
        domain: text(cookie.domain.as_deref()),
        max_age_seconds: cookie.max_age_seconds,
        secure: cookie.secure,
        http_only: cookie.http_only,
        same_site: same_site.into(),
        balanced: cookie.balanced,
        change_on_failure: cookie.change_on_failure,
        canary: cookie.canary,
    }
}

fn tls(tls: &UpstreamTls) -> v1::UpstreamTls {
    v1::UpstreamTls {
        verify: tls.verify,
        authorities: text(tls.authorities.as_ref().map(AsRef::as_ref)),
        server_name: text(tls.server_name.as_deref()),
        identity: text(tls.identity.as_ref().map(AsRef::as_ref)),
    }
}
