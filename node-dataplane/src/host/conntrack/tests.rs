//! Stale connections: by the rule, and in a kernel with clients that keep their port.

mod kernel;

use std::{collections::BTreeSet, sync::Arc};

use meshlite_snapshot::AddressFamily;
use proptest::prelude::*;

use super::*;
use crate::table::{Frontend, VirtualAddress};

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn frontend(protocol: Protocol, address: &str) -> Frontend {
    let address = at(address);
    Frontend {
        address: VirtualAddress::Ip(address.ip()),
        port: address.port(),
        protocol,
    }
}

fn node_port(port: u16) -> Frontend {
    Frontend {
        address: VirtualAddress::EveryNodeAddress(AddressFamily::Ipv4),
        port,
        protocol: Protocol::Udp,
    }
}

/// A connection from a client to a Service, answered from somewhere.
fn flow(to: &str, answered_from: &str) -> Flow {
    let client = at("10.244.0.9:12345");
    Flow {
        protocol: Protocol::Udp,
        original: Tuple {
            source: client,
            destination: at(to),
        },
        reply: Tuple {
            source: at(answered_from),
            destination: client,
        },
        is_answered: true,
        zone: 0,
        id: 7,
    }
}

fn serving(endpoints: &[&str]) -> Serving {
    let mut serving = Serving::on(BTreeSet::from(["172.18.0.2".parse().unwrap()]));
    let endpoints: Vec<_> = endpoints.iter().map(|e| at(e)).collect();
    serving.add(frontend(Protocol::Udp, "10.96.0.10:53"), endpoints.clone());
    serving.add(node_port(30053), endpoints);
    serving
}

fn is_stale(flow: Flow, endpoints: &[&str]) -> bool {
    !serving(endpoints).stale([flow]).is_empty()
}

#[test]
fn a_connection_to_an_endpoint_that_is_gone_is_stale() {
    let flow = flow("10.96.0.10:53", "10.244.0.2:5353");
    assert!(is_stale(flow, &["10.244.0.3:5353"]));
    assert!(!is_stale(flow, &["10.244.0.3:5353", "10.244.0.2:5353"]));
    // The same Pod on another port is another endpoint.
    assert!(is_stale(flow, &["10.244.0.2:53"]));
}

#[test]
fn a_connection_that_began_before_any_endpoint_is_stale_once_there_is_one() {
    let flow = flow("10.96.0.10:53", "10.96.0.10:53");
    assert!(!is_stale(flow, &[]));
    assert!(is_stale(flow, &["10.244.0.2:5353"]));
}

#[test]
fn a_node_port_is_one_at_this_nodes_addresses_only() {
    let here = flow("172.18.0.2:30053", "10.244.0.2:5353");
    assert!(is_stale(here, &["10.244.0.3:5353"]));
    assert!(!is_stale(here, &["10.244.0.2:5353"]));
    let another_nodes = flow("172.18.0.3:30053", "172.18.0.3:30053");
    assert!(!is_stale(another_nodes, &["10.244.0.3:5353"]));
}

#[test]
fn connections_that_are_to_no_service_of_theirs_stay() {
    let elsewhere = flow("10.96.0.11:53", "10.244.0.2:5353");
    let other_port = flow("10.96.0.10:54", "10.244.0.2:5353");
    let tcp = Flow {
        protocol: Protocol::Tcp,
        ..flow("10.96.0.10:53", "10.244.0.2:5353")
    };
    for flow in [elsewhere, other_port, tcp] {
        assert!(!is_stale(flow, &["10.244.0.3:5353"]), "{flow:?}");
    }
}

#[test]
fn a_connection_of_a_client_that_may_not_connect_any_more_is_stale() {
    let flow = flow("10.96.0.10:53", "10.244.0.2:5353");
    let is_stale = |ranges: &[&str]| {
        let mut serving = serving(&["10.244.0.2:5353"]);
        let ranges = ranges.iter().map(|range| range.parse().unwrap());
        let to = frontend(Protocol::Udp, "10.96.0.10:53");
        serving.restrict(to, &Arc::new(ranges.collect()));
        !serving.stale([flow]).is_empty()
    };
    assert!(!is_stale(&[]));
    assert!(!is_stale(&["192.0.2.0/24", "10.244.0.0/16"]));
    assert!(is_stale(&["192.0.2.0/24"]));
}

#[test]
fn a_connection_that_was_never_answered_is_stale_once_nobody_serves() {
    let answered = flow("10.96.0.10:53", "10.244.0.2:5353");
    assert!(!is_stale(answered, &[]));
    let unanswered = Flow {
        is_answered: false,
        ..answered
    };
    assert!(is_stale(unanswered, &[]));
    assert!(!is_stale(unanswered, &["10.244.0.2:5353"]));
}

fn any_flow() -> impl Strategy<Value = Flow> {
    let end = || {
        ((0_u8..3), (0_u16..3)).prop_map(|(host, port)| SocketAddr::from(([10, 0, 0, host], port)))
    };
    let tuple = move || {
        (end(), end()).prop_map(|(source, destination)| Tuple {
            source,
            destination,
        })
    };
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp]);
    (protocol, tuple(), tuple(), any::<u32>()).prop_map(|(protocol, original, reply, id)| Flow {
        protocol,
        original,
        reply,
        is_answered: true,
        zone: 0,
        id,
    })
}

proptest! {
    #[test]
    fn nothing_that_an_endpoint_answers_is_stale_and_nothing_new_is_found_in_what_is_left(
        flows in prop::collection::vec(any_flow(), 0..20),
        services in prop::collection::vec((any_flow(), prop::collection::vec(any_flow(), 0..4)), 0..6),
    ) {
        let mut serving = Serving::on(BTreeSet::new());
        for (service, endpoints) in &services {
            let frontend = frontend(service.protocol, &service.original.destination.to_string());
            serving.add(frontend, endpoints.iter().map(|flow| flow.reply.source));
        }
        let stale = serving.stale(flows.iter().copied());
        let left: Vec<_> = flows.iter().copied().filter(|flow| !stale.contains(flow)).collect();
        prop_assert!(serving.stale(left).is_empty());
        for flow in &stale {
            for (service, endpoints) in &services {
                if (service.protocol, service.original.destination) == (flow.protocol, flow.original.destination) {
                    prop_assert!(endpoints.iter().all(|endpoint| endpoint.reply.source != flow.reply.source));
                }
            }
        }
    }

    #[test]
    fn anything_that_is_received_is_a_connection_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _flow_or_malformed = codec::flow(&bytes);
    }
}
