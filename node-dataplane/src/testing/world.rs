//! A small world of Services that changes at random.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use meshlite_snapshot::{
    Endpoint, EndpointGroup, EndpointWeight, Name, Node, Protocol, Resource, ResourceType, Service,
    Snapshot, TrafficPolicy, Weights,
};
use proptest::prelude::*;

use super::{ip, mk_group, mk_service};
use crate::{
    desired::{Changed, Sources},
    facts::Facts,
    kernel::Capabilities,
};

/// A change of one source. Services, addresses and ports are few, so that they meet.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Service(u8, Option<Traits>),
    Group(u8, u8, Option<Vec<(u8, u8)>>),
    Weights(u8, Option<u16>),
    Node(bool, bool),
    LocalAddress(u8),
    Dead(u8),
}

/// What a Service asks for.
#[derive(Clone, Debug)]
pub(crate) struct Traits {
    cluster_ip: u8,
    external_ip: Option<u8>,
    node_port: Option<u8>,
    port: u8,
    is_local: bool,
    is_sctp: bool,
    scheduler: Option<&'static str>,
    health_check: Option<u8>,
    is_ours: bool,
}

/// Everything that is derived from, small enough for its parts to meet.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) facts: Facts,
    pub(crate) dead: BTreeSet<SocketAddr>,
}

/// Addresses of Pods, of loopback, of this host, and of Services.
fn address(n: u8) -> IpAddr {
    ip(&match n {
        0..=3 => format!("10.244.1.{n}"),
        4 => "127.0.0.5".into(),
        5 => "192.168.0.1".into(),
        6 => "192.168.0.2".into(),
        _ => format!("10.96.0.{}", n - 6),
    })
}

fn port(n: u8) -> u16 {
    [80, 8080, 30_080][usize::from(n)]
}

fn any_traits() -> impl Strategy<Value = Traits> {
    let option = |range: std::ops::Range<u8>| proptest::option::weighted(0.4, range);
    let scheduler = prop_oneof![Just("lc"), Just("mh"), Just("odd")];
    (
        (7..11_u8, option(7..11), option(1..3), 0..3_u8),
        (any::<bool>(), proptest::bool::weighted(0.1)),
        proptest::option::weighted(0.3, scheduler),
        option(0..2),
        proptest::bool::weighted(0.9),
    )
        .prop_map(
            |(places, (is_local, is_sctp), scheduler, health_check, is_ours)| {
                let (cluster_ip, external_ip, node_port, port) = places;
                Traits {
                    cluster_ip,
                    external_ip,
                    node_port,
                    port,
                    is_local,
                    is_sctp,
                    scheduler,
                    health_check,
                    is_ours,
                }
            },
        )
}

/// Any change of this small world.
pub(crate) fn any_change() -> impl Strategy<Value = Change> {
    let endpoints = proptest::collection::vec((0..11_u8, 0..4_u8), 0..4);
    prop_oneof![
        3 => (0..4_u8, proptest::option::weighted(0.8, any_traits()))
            .prop_map(|(n, traits)| Change::Service(n, traits)),
        5 => (0..4_u8, 0..2_u8, proptest::option::weighted(0.8, endpoints))
            .prop_map(|(n, slice, endpoints)| Change::Group(n, slice, endpoints)),
        1 => (0..4_u8, proptest::option::of(0..3_u16)).prop_map(|(n, w)| Change::Weights(n, w)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(zone, pods)| Change::Node(zone, pods)),
        1 => (4..7_u8).prop_map(Change::LocalAddress),
        1 => (0..4_u8).prop_map(Change::Dead),
    ]
}

impl World {
    /// A node without Services.
    pub(crate) fn new() -> Self {
        Self {
            snapshot: Snapshot::default(),
            facts: Facts {
                node_name: "n1".into(),
                local_addresses: [address(5)].into(),
                loopback_node_ports: true,
                ..Facts::default()
            },
            dead: BTreeSet::new(),
        }
    }

    /// What a table is derived from, for a kernel that can do just this.
    pub(crate) fn sources<'a>(&'a self, capabilities: &'a Capabilities) -> Sources<'a> {
        Sources {
            snapshot: &self.snapshot,
            facts: &self.facts,
            capabilities,
            dead: &self.dead,
        }
    }

    /// Makes a change, and says what it is of.
    pub(crate) fn apply(&mut self, change: Change) -> Changed {
        match change {
            Change::Service(n, traits) => {
                let resource = traits.map(|traits| Resource::Service(traits.service(n).into()));
                self.put(ResourceType::Service, service_name(n), resource)
            }
            Change::Group(n, slice, endpoints) => {
                let name = Name::part("default", &format!("s{n}"), slice).unwrap();
                let group = endpoints.map(|endpoints| mk_endpoints(n, &endpoints));
                let resource = group.map(|group| Resource::EndpointGroup(group.into()));
                self.put(ResourceType::EndpointGroup, name, resource)
            }
            Change::Weights(n, weight) => {
                let weights = |weight| Weights {
                    namespace: "default".into(),
                    service: format!("s{n}"),
                    endpoints: vec![EndpointWeight {
                        address: address(0),
                        port: None,
                        weight,
                    }],
                };
                let resource = weight.map(|weight| Resource::Weights(weights(weight).into()));
                self.put(ResourceType::Weights, service_name(n), resource)
            }
            Change::Node(has_zone, has_pods) => {
                let pods = has_pods.then(|| "10.244.0.0/16".parse().unwrap());
                let node = Node {
                    name: "n1".into(),
                    zone: has_zone.then(|| "za".into()),
                    addresses: vec![],
                    pod_cidrs: pods.into_iter().collect(),
                    leaving: has_zone,
                };
                let resource = Resource::Node(node.into());
                self.put(ResourceType::Node, Name::new("n1").unwrap(), Some(resource))
            }
            Change::LocalAddress(n) => {
                let local = &mut self.facts.local_addresses;
                if !local.remove(&address(n)) {
                    local.insert(address(n));
                }
                Changed::addresses()
            }
            Change::Dead(n) => {
                let endpoint = SocketAddr::new(address(n), 8080);
                if !self.dead.remove(&endpoint) {
                    self.dead.insert(endpoint);
                }
                Changed::liveness([endpoint].into())
            }
        }
    }

    fn put(&mut self, kind: ResourceType, name: Name, resource: Option<Resource>) -> Changed {
        let mut changed = Changed::default();
        changed.resource(kind, &name);
        match resource {
            Some(resource) => self.snapshot.insert(name, resource),
            None => self.snapshot.remove(kind, &name),
        }
        changed
    }
}

impl Traits {
    fn service(self, n: u8) -> Service {
        let mut service = mk_service(&format!("s{n}"), &address(self.cluster_ip).to_string());
        service.l4 = self.is_ours;
        service.ports[0].port = port(self.port);
        service.ports[0].node_port = self.node_port.map(port);
        if self.is_sctp {
            service.ports[0].protocol = Protocol::Sctp;
        }
        service.external_ips = self.external_ip.map(address).into_iter().collect();
        if self.is_local {
            service.external_traffic_policy = TrafficPolicy::Local;
        }
        service.ipvs_scheduler = self.scheduler.map(Into::into);
        service.health_check_node_port = self.health_check.map(|n| 32_000 + u16::from(n));
        service
    }
}

fn service_name(n: u8) -> Name {
    Name::namespaced("default", &format!("s{n}")).unwrap()
}

/// Endpoints by address and by what they are: bits for whether they are ready, and where they are.
fn mk_endpoints(service: u8, endpoints: &[(u8, u8)]) -> EndpointGroup {
    let mut group = mk_group(&format!("s{service}"), &[("10.244.1.1", "n1")]);
    let template = group.endpoints[0].clone();
    let endpoint = |(n, state): &(u8, u8)| {
        let (is_ready, is_here) = (state & 1 == 0, state & 2 == 0);
        Endpoint {
            address: address(*n),
            ready: is_ready,
            terminating: !is_ready,
            node: Some(if is_here { "n1" } else { "n2" }.into()),
            hint_zones: is_here.then(|| "za".into()).into_iter().collect(),
            ..template.clone()
        }
    };
    group.endpoints = endpoints.iter().map(endpoint).collect();
    if service % 2 == 1 {
        group.ports[0].port = Some(30_080);
    }
    group
}
