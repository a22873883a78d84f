//! Clusters.

use meshlite_snapshot::{Cluster, LoadBalancing, UpstreamProtocol};

use super::{port, text};
use crate::v1;

pub(super) fn cluster(cluster: &Cluster) -> v1::Cluster {
    use v1::cluster::{LoadBalancing as Balancing, UpstreamProtocol as Upstream};
    let protocol = match cluster.protocol {
        UpstreamProtocol::Http1 => Upstream::Http1,
        UpstreamProtocol::H2c => Upstream::H2c,
        UpstreamProtocol::Https => Upstream::Https,
    };
    let load_balancing = match cluster.load_balancing {
        LoadBalancing::RoundRobin => Balancing::RoundRobin,
        LoadBalancing::LeastRequest => Balancing::LeastRequest,
        LoadBalancing::PeakEwma => Balancing::PeakEwma,
        LoadBalancing::Ketama => Balancing::Ketama,
    };
    v1::Cluster {
        namespace: cluster.namespace.clone(),
        service: cluster.service.clone(),
        port: port(cluster.port),
        port_name: cluster.port_name.clone(),
        protocol: protocol.into(),
        load_balancing: load_balancing.into(),
        external_name: text(cluster.external_name.as_deref()),
    }
}
