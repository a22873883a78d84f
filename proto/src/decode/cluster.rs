//! Clusters.

use meshlite_snapshot::{Cluster, LoadBalancing, UpstreamProtocol};

use super::{DecodeError, field};
use crate::v1;

pub(super) fn cluster(from: v1::Cluster) -> Result<Cluster, DecodeError> {
    use v1::cluster::{LoadBalancing as Balancing, UpstreamProtocol as Upstream};
    let protocol = match field::known("protocol", from.protocol)? {
        Upstream::Http1 => UpstreamProtocol::Http1,
        Upstream::H2c => UpstreamProtocol::H2c,
        Upstream::Https => UpstreamProtocol::Https,
        Upstream::Unspecified => return Err(field::unspecified("protocol")),
    };
    let load_balancing = match field::known("load_balancing", from.load_balancing)? {
        Balancing::RoundRobin => LoadBalancing::RoundRobin,
        Balancing::LeastRequest => LoadBalancing::LeastRequest,
        Balancing::PeakEwma => LoadBalancing::PeakEwma,
        Balancing::Ketama => LoadBalancing::Ketama,
        Balancing::Unspecified => return Err(field::unspecified("load_balancing")),
    };
    Ok(Cluster {
        namespace: field::object_name("namespace", from.namespace)?,
        service: field::object_name("service", from.service)?,
        port: field::optional_port("port", from.port)?,
        port_name: from.port_name,
        protocol,
        load_balancing,
        external_name: field::optional(from.external_name),
    })
}
