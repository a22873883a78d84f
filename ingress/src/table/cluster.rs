//! An upstream with its endpoints resolved.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use meshlite_snapshot::{EndpointGroup, LoadBalancing, Name, Protocol, Snapshot, UpstreamProtocol};

use super::build::Refused;

/// An upstream: what to speak to which endpoints.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: Name,
    pub(crate) is_h2c: bool,
    pub(crate) endpoints: Endpoints,
    /// Survives a change of the endpoints.
    turn: Arc<AtomicUsize>,
}

/// Where a cluster's endpoints are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Endpoints {
    /// Known addresses, sorted; none where no endpoint is usable.
    Addresses(Box<[SocketAddr]>),
    /// A DNS name that is looked up when a connection is made.
    Dns { name: Box<str>, port: u16 },
}

impl Cluster {
    pub(crate) fn new(
        name: &Name,
        cluster: &meshlite_snapshot::Cluster,
        snapshot: &Snapshot,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Refused> {
        let is_h2c = match cluster.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::H2c => true,
            UpstreamProtocol::Https | UpstreamProtocol::Https2 => {
                let message = "HTTPS to endpoints is not served yet; use a port that speaks HTTP";
                return Err(Refused::Unsupported(message.to_owned()));
            }
        };
        if cluster.load_balancing != LoadBalancing::RoundRobin {
            let message = format!(
                "load balancing {:?} is not served yet",
                cluster.load_balancing
            );
            return Err(Refused::Unsupported(message));
        }
        let endpoints = match (&cluster.external_name, cluster.port) {
            (Some(external), Some(port)) => Endpoints::Dns {
                name: external.strip_suffix('.').unwrap_or(external).into(),
                port,
            },
            (Some(_), None) => Endpoints::Addresses(Box::default()),
            (None, _) => {
                let groups = snapshot.endpoint_groups_of(&cluster.namespace, &cluster.service);
                Endpoints::Addresses(usable(groups.map(|(_, group)| group), &cluster.port_name))
            }
        };
        if let Some(previous) = previous
            && previous.endpoints == endpoints
            && previous.is_h2c == is_h2c
        {
            return Ok(Arc::clone(previous));
        }
        let turn = previous.map(|previous| Arc::clone(&previous.turn));
        Ok(Arc::new(Self {
            name: name.clone(),
            is_h2c,
            endpoints,
            turn: turn.unwrap_or_default(),
        }))
    }

    /// Whether there is nobody to send requests to.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.endpoints, Endpoints::Addresses(addresses) if addresses.is_empty())
    }

    /// Whose turn it is, counted over all cores.
    pub(crate) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// The ready endpoints; where there are none, those that still answer while they terminate. Each once, sorted.
fn usable<'a, I: Iterator<Item = &'a Arc<EndpointGroup>>>(
    groups: I,
    port_name: &str,
) -> Box<[SocketAddr]> {
    let (mut ready, mut terminating) = (BTreeSet::new(), BTreeSet::new());
    for group in groups {
        let named = |port: &&meshlite_snapshot::EndpointPort| {
            port.name == port_name && port.protocol == Protocol::Tcp
        };
        let Some(port) = group.ports.iter().find(named).and_then(|port| port.port) else {
            continue;
        };
        for endpoint in &group.endpoints {
            let address = SocketAddr::new(endpoint.address, port);
            if endpoint.ready {
                ready.insert(address);
            } else if endpoint.serving && endpoint.terminating {
                terminating.insert(address);
            }
        }
    }
    let chosen = if ready.is_empty() { terminating } else { ready };
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use meshlite_snapshot::{AddressFamily, Endpoint, EndpointPort};

    use super::*;

    fn mk_group(port: &str, endpoints: &[(u8, bool, bool, bool)]) -> Arc<EndpointGroup> {
        let endpoint = |&(last, ready, serving, terminating): &(u8, bool, bool, bool)| Endpoint {
            address: [10, 0, 0, last].into(),
            ready,
            serving,
            terminating,
            node: None,
            zone: None,
            hostname: None,
            target: None,
            hint_zones: vec![],
            hint_nodes: vec![],
        };
        Arc::new(EndpointGroup {
            namespace: "default".into(),
            service: "web".into(),
            slice: "web-1".into(),
            address_family: AddressFamily::Ipv4,
            ports: vec![EndpointPort {
                name: port.into(),
                protocol: Protocol::Tcp,
                port: Some(8080),
                app_protocol: None,
            }],
            endpoints: endpoints.iter().map(endpoint).collect(),
        })
    }

    fn lasts(groups: &[Arc<EndpointGroup>]) -> Vec<u8> {
        let octet = |address: &SocketAddr| match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        usable(groups.iter(), "http").iter().map(octet).collect()
    }

    #[test]
    fn ready_endpoints_are_used_once_each() {
        let one = mk_group("http", &[(2, true, true, false), (1, true, true, false)]);
        let two = mk_group("http", &[(2, true, true, false), (3, false, true, true)]);
        assert_eq!(lasts(&[one, two]), [1, 2]);
    }

    #[test]
    fn without_a_ready_endpoint_those_that_terminate_but_answer_are_used() {
        let group = mk_group(
            "http",
            &[
                (1, false, true, true),
                (2, false, false, true),
                (3, false, true, false),
            ],
        );
        assert_eq!(lasts(&[group]), [1]);
    }

    #[test]
    fn a_group_without_the_port_has_no_endpoints() {
        assert_eq!(
            lasts(&[mk_group("grpc", &[(1, true, true, false)])]),
            [0; 0]
        );
    }
}
