//! Arbitrary clusters.

use meshlite_snapshot::{
    Cluster, HashPart, LoadBalancing, ProxyProtocol, SameSite, StickyCookie, UpstreamProtocol,
    UpstreamTls,
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};

use super::{address, name, port, positive, text, word};

pub(super) fn cluster() -> BoxedStrategy<Cluster> {
    let protocols = vec![
        UpstreamProtocol::Http1,
        UpstreamProtocol::H2c,
        UpstreamProtocol::Https,
        UpstreamProtocol::Https2,
    ];
    let balancing = vec![
        LoadBalancing::RoundRobin,
        LoadBalancing::LeastRequest,
        LoadBalancing::PeakEwma,
        LoadBalancing::Ketama,
    ];
    let proxy = of(select(vec![ProxyProtocol::V1, ProxyProtocol::V2]));
    let choice = (select(balancing), vec(hash_part(), 0..3), of(sticky()));
    let connection = (
        select(protocols),
        of(tls()),
        positive(),
        vec(address(), 0..3),
        proxy,
    );
    let identity = (word(), word(), of(port()), text(), of(word()));
    (identity, choice, connection)
        .prop_map(|(identity, choice, connection)| {
            let (namespace, service, port, port_name, external_name) = identity;
            let (load_balancing, hash_by, sticky) = choice;
            let (protocol, tls, connect_timeout_ms, virtual_ips, send_proxy_protocol) = connection;
            Cluster {
                namespace,
                service,
                port,
                port_name,
                protocol,
                load_balancing,
                external_name,
                hash_by,
                sticky,
                tls,
                connect_timeout_ms,
                virtual_ips,
                send_proxy_protocol,
            }
        })
        .boxed()
}

fn hash_part() -> BoxedStrategy<HashPart> {
    prop_oneof![
        Just(HashPart::ClientAddress),
        Just(HashPart::RequestUri),
        Just(HashPart::Path),
        Just(HashPart::Host),
        word().prop_map(HashPart::Header),
        word().prop_map(HashPart::Cookie),
        word().prop_map(HashPart::Query),
        text().prop_map(HashPart::Text),
    ]
    .boxed()
}

fn sticky() -> BoxedStrategy<StickyCookie> {
    let sites = vec![SameSite::Strict, SameSite::Lax, SameSite::None];
    let attributes = (of(word()), of(word()), of(any::<u32>()), of(any::<bool>()));
    (word(), attributes, of(select(sites)), any::<[bool; 4]>())
        .prop_map(
            |(name, (path, domain, max_age_seconds, secure), same_site, flags)| StickyCookie {
                name,
                path,
                domain,
                max_age_seconds,
                secure,
                http_only: flags[0],
                same_site,
                balanced: flags[1],
                change_on_failure: flags[2],
                canary: flags[3],
            },
        )
        .boxed()
}

fn tls() -> BoxedStrategy<UpstreamTls> {
    (any::<bool>(), of(name()), of(word()), of(name()))
        .prop_map(|(verify, authorities, server_name, identity)| UpstreamTls {
            verify,
            authorities,
            server_name,
            identity,
        })
        .boxed()
}
