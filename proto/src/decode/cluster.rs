//! Clusters.

use meshlite_snapshot::{
    Cluster, HashPart, LoadBalancing, ProxyProtocol, SameSite, StickyCookie, UpstreamProtocol,
    UpstreamTls,
};

use super::{DecodeError, field};
use crate::v1;

pub(super) fn cluster(from: v1::Cluster) -> Result<Cluster, DecodeError> {
    use v1::cluster::{
        LoadBalancing as Balancing, ProxyProtocol as Proxy, UpstreamProtocol as Upstream,
    };
    let protocol = match field::known("protocol", from.protocol)? {
        Upstream::Http1 => UpstreamProtocol::Http1,
        Upstream::H2c => UpstreamProtocol::H2c,
        Upstream::Https => UpstreamProtocol::Https,
        Upstream::Https2 => UpstreamProtocol::Https2,
        Upstream::Unspecified => return Err(field::unspecified("protocol")),
    };
    let load_balancing = match field::known("load_balancing", from.load_balancing)? {
        Balancing::RoundRobin => LoadBalancing::RoundRobin,
        Balancing::LeastRequest => LoadBalancing::LeastRequest,
        Balancing::PeakEwma => LoadBalancing::PeakEwma,
        Balancing::Ketama => LoadBalancing::Ketama,
        Balancing::Unspecified => return Err(field::unspecified("load_balancing")),
    };
    let send_proxy_protocol = match field::known("send_proxy_protocol", from.send_proxy_protocol)? {
        Proxy::V1 => Some(ProxyProtocol::V1),
        Proxy::V2 => Some(ProxyProtocol::V2),
        Proxy::Unspecified => None,
    };
    Ok(Cluster {
        namespace: field::object_name("namespace", from.namespace)?,
        service: field::object_name("service", from.service)?,
        port: field::optional_port("port", from.port)?,
        port_name: from.port_name,
        protocol,
        load_balancing,
        external_name: field::optional(from.external_name),
        hash_by: field::each("hash_by", from.hash_by, hash_part)?,
        sticky: from.sticky.map(sticky).transpose()?,
        tls: from.tls.map(tls).transpose()?,
        connect_timeout_ms: field::optional_number(from.connect_timeout_ms),
        virtual_ips: field::addresses("virtual_ips", &from.virtual_ips)?,
        send_proxy_protocol,
    })
}

fn hash_part(from: v1::HashPart) -> Result<HashPart, DecodeError> {
    use v1::hash_part::{Kind, Plain};
    Ok(match from.kind {
        Some(Kind::Plain(plain)) => match field::known("plain", plain)? {
            Plain::ClientAddress => HashPart::ClientAddress,
            Plain::RequestUri => HashPart::RequestUri,
            Plain::Path => HashPart::Path,
            Plain::Host => HashPart::Host,
            Plain::Unspecified => return Err(field::unspecified("plain")),
        },
        Some(Kind::Header(name)) => HashPart::Header(name),
        Some(Kind::Cookie(name)) => HashPart::Cookie(name),
        Some(Kind::Query(name)) => HashPart::Query(name),
        Some(Kind::Text(text)) => HashPart::Text(text),
        None => return Err(DecodeError::unsupported("kind", "what is hashed")),
    })
}

fn sticky(from: v1::StickyCookie) -> Result<StickyCookie, DecodeError> {
    use v1::sticky_cookie::SameSite as Site;
    let same_site = match field::known("sticky.same_site", from.same_site)? {
        Site::Strict => Some(SameSite::Strict),
        Site::Lax => Some(SameSite::Lax),
        Site::None => Some(SameSite::None),
        Site::Unspecified => None,
    };
    Ok(StickyCookie {
        name: field::not_empty("sticky.name", from.name)?,
        path: field::optional(from.path),
        domain: field::optional(from.domain),
        max_age_seconds: from.max_age_seconds,
        secure: from.secure,
        http_only: from.http_only,
        same_site,
        balanced: from.balanced,
        change_on_failure: from.change_on_failure,
        canary: from.canary,
    })
}

fn tls(from: v1::UpstreamTls) -> Result<UpstreamTls, DecodeError> {
    Ok(UpstreamTls {
        verify: from.verify,
        authorities: field::optional_name("tls.authorities", &from.authorities)?,
        server_name: field::optional(from.server_name),
        identity: field::optional_name("tls.identity", &from.identity)?,
    })
}
