//! Which endpoints serve what and whom, as far as UDP and SCTP go: whatever traffic policies and topology say. Pure.

use std::{collections::BTreeMap, net::SocketAddr};

use meshlite_snapshot::{AddressFamily, Protocol, Snapshot};

use crate::{
    facts::Facts,
    host::Serving,
    table::{ServicePortName, Table, VirtualAddress},
};

/// Everything at which a Service has a port of UDP or SCTP, with all endpoints of that port.
pub(super) fn serving(snapshot: &Snapshot, table: &Table, facts: &Facts) -> Serving {
    let mut serving = Serving::on(facts.local_addresses.clone());
    let mut known = BTreeMap::new();
    for (key, server) in &table.virtual_servers {
        let frontend = key.frontend;
        if frontend.protocol == Protocol::Tcp {
            continue;
        }
        let family = match frontend.address {
            VirtualAddress::Ip(ip) => AddressFamily::of(ip),
            VirtualAddress::EveryNodeAddress(family) => family,
        };
        let port = &server.origin.service_port;
        let endpoints = known
            .entry((port, frontend.protocol, family))
            .or_insert_with(|| endpoints(snapshot, port, frontend.protocol, family));
        serving.add(frontend, endpoints.iter().copied());
        serving.restrict(frontend, &server.settings.source_ranges);
    }
    serving
}

/// The endpoints of a port of a Service that serve, those that terminate among them.
fn endpoints(
    snapshot: &Snapshot,
    port: &ServicePortName,
    protocol: Protocol,
    family: AddressFamily,
) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for (_, group) in snapshot.endpoint_groups_of(&port.namespace, &port.service) {
        if group.address_family != family {
            continue;
        }
        let ours =
            |p: &&meshlite_snapshot::EndpointPort| *p.name == *port.port && p.protocol == protocol;
        let numbers = group.ports.iter().filter(ours).filter_map(|port| port.port);
        for number in numbers {
            let serve = group.endpoints.iter().filter(|e| e.ready || e.serving);
            found.extend(serve.map(|e| SocketAddr::new(e.address, number)));
        }
    }
    found
}
