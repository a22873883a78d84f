//! An upstream with its endpoints resolved.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use meshlite_snapshot::{EndpointGroup, Name, Protocol, Snapshot};
use tokio::time::Instant;

use crate::{
    balance::{Counts, Endpoint, Ring, Spread, Sticky},
    pool::Transport,
};

/// An upstream: what to speak to which endpoints.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: Name,
    pub(crate) transport: Arc<Transport>,
    pub(crate) endpoints: Endpoints,
    pub(crate) spread: Spread,
    /// Where a key belongs, if endpoints are chosen by one.
    pub(crate) ring: Option<Ring>,
    pub(crate) sticky: Option<Sticky>,
    /// None for the ingress's default.
    pub(crate) connect_timeout: Option<Duration>,
    /// Survives a change of the endpoints.
    pub(crate) counts: Arc<Counts>,
}

/// Where a cluster's endpoints are.
#[derive(Debug, PartialEq)]
pub(crate) enum Endpoints {
    /// Known ones, sorted by address; none where no endpoint is usable.
    Known(Box<[Endpoint]>),
    /// A DNS name that is looked up when a connection is made.
    Dns { name: Box<str>, port: u16 },
}

impl Cluster {
    pub(crate) fn new(
        name: &Name,
        cluster: &meshlite_snapshot::Cluster,
        snapshot: &Snapshot,
        previous: Option<&Arc<Self>>,
        now: Instant,
    ) -> Arc<Self> {
        let known = previous.map(|previous| &previous.endpoints);
        let endpoints = endpoints(cluster, snapshot, known, now);
        let transport = Transport::new(
            cluster,
            snapshot,
            previous.map(|cluster| &cluster.transport),
        );
        let spread = Spread::of(cluster);
        let sticky = cluster.sticky.as_ref();
        let sticky = sticky.map(|cookie| Sticky::new(cookie, name.as_str(), endpoints.known()));
        let connect_timeout = cluster
            .connect_timeout_ms
            .map(|ms| Duration::from_millis(ms.into()));
        if let Some(previous) = previous
            && previous.endpoints == endpoints
            && Arc::ptr_eq(&previous.transport, &transport)
            && previous.spread == spread
            && previous.sticky == sticky
            && previous.connect_timeout == connect_timeout
        {
            return Arc::clone(previous);
        }
        let is_hashed = matches!(spread, Spread::Hash(_))
            || cluster
                .sticky
                .as_ref()
                .is_some_and(|sticky| sticky.balanced);
        let counts = previous.map(|previous| Arc::clone(&previous.counts));
        Arc::new(Self {
            name: name.clone(),
            transport,
            ring: is_hashed.then(|| Ring::of(endpoints.known())),
            endpoints,
            spread,
            sticky,
            connect_timeout,
            counts: counts.unwrap_or_else(|| Arc::new(Counts::new(now))),
        })
    }

    /// Whether there is nobody to send requests to.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.endpoints, Endpoints::Known(endpoints) if endpoints.is_empty())
    }
}

impl Endpoints {
    /// The endpoints, where they are known.
    pub(crate) fn known(&self) -> &[Endpoint] {
        match self {
            Self::Known(endpoints) => endpoints,
            Self::Dns { .. } => &[],
        }
    }
}

/// The cluster's endpoints, with what was known of those that it had before.
fn endpoints(
    cluster: &meshlite_snapshot::Cluster,
    snapshot: &Snapshot,
    before: Option<&Endpoints>,
    now: Instant,
) -> Endpoints {
    let found = match (&cluster.external_name, cluster.port) {
        (Some(external), Some(port)) => {
            return Endpoints::Dns {
                name: external.strip_suffix('.').unwrap_or(external).into(),
                port,
            };
        }
        (None, Some(port)) if !cluster.virtual_ips.is_empty() => {
            let addresses = cluster.virtual_ips.iter();
            addresses
                .map(|ip| (SocketAddr::new(*ip, port), None))
                .collect()
        }
        (Some(_), None) => BTreeMap::new(),
        (None, _) => {
            let groups = snapshot.endpoint_groups_of(&cluster.namespace, &cluster.service);
            usable(groups.map(|(_, group)| group), &cluster.port_name)
        }
    };
    let before = before.map_or(&[][..], Endpoints::known);
    let endpoint = |(address, target): (SocketAddr, Option<String>)| {
        let name = target.unwrap_or_else(|| address.to_string());
        let mut endpoint = Endpoint::new(address, name.into(), now);
        if let Ok(at) = before.binary_search_by_key(&address, |endpoint| endpoint.address)
            && let Some(before) = before.get(at)
        {
            endpoint.carry_on(before);
        }
        endpoint
    };
    Endpoints::Known(found.into_iter().map(endpoint).collect())
}

/// Addresses, and what is behind them where that has a name.
type Found = BTreeMap<SocketAddr, Option<String>>;

/// The ready endpoints; where there are none, those that still answer while they terminate.
fn usable<'a, I: Iterator<Item = &'a Arc<EndpointGroup>>>(groups: I, port_name: &str) -> Found {
    let (mut ready, mut terminating) = (Found::new(), Found::new());
    for group in groups {
        let named = |port: &&meshlite_snapshot::EndpointPort| {
            port.name == port_name && port.protocol == Protocol::Tcp
        };
        let Some(port) = group.ports.iter().find(named).and_then(|port| port.port) else {
            continue;
        };
        for endpoint in &group.endpoints {
            let address = SocketAddr::new(endpoint.address, port);
            let target = endpoint
                .target
                .as_ref()
                .map(|target| format!("{target}:{port}"));
            if endpoint.ready {
                ready.insert(address, target);
            } else if endpoint.serving && endpoint.terminating {
                terminating.insert(address, target);
            }
        }
    }
    if ready.is_empty() { terminating } else { ready }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

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
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => 0,
        };
        usable(groups.iter(), "http").keys().map(octet).collect()
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
