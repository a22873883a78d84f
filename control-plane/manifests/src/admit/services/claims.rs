//! Who has which address and node port.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
};

use meshlite_snapshot::Protocol;

use super::{ServiceAllocation, slots::protocol};

/// Addresses and ports that are given out; an owner is a Service's place in the list.
#[derive(Debug, Default)]
pub(super) struct Claims {
    addresses: BTreeMap<IpAddr, Option<usize>>,
    /// By number first: an automatic choice avoids a number whatever its protocol.
    ports: BTreeMap<(u16, Protocol), Option<usize>>,
}

impl Claims {
    /// Takes an address; false if it is another Service's.
    pub(super) fn address(&mut self, ip: IpAddr, owner: usize) -> bool {
        *self.addresses.entry(ip).or_insert(Some(owner)) == Some(owner)
    }

    /// Takes a port of one protocol; false if it is taken, also by another port of the same Service.
    pub(super) fn port(&mut self, protocol: Protocol, port: u16, owner: usize) -> bool {
        match self.ports.entry((port, protocol)) {
            Entry::Vacant(entry) => {
                entry.insert(Some(owner));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    pub(super) fn release_address(&mut self, ip: IpAddr) {
        self.addresses.remove(&ip);
    }

    pub(super) fn release_port(&mut self, protocol: Protocol, port: u16) {
        self.ports.remove(&(port, protocol));
    }

    /// The Service that has this address.
    pub(super) fn address_owner(&self, ip: IpAddr) -> Option<usize> {
        self.addresses.get(&ip).copied().flatten()
    }

    /// The Service that has this port.
    pub(super) fn port_owner(&self, protocol: Protocol, port: u16) -> Option<usize> {
        self.ports.get(&(port, protocol)).copied().flatten()
    }

    pub(super) fn is_free(&self, ip: IpAddr) -> bool {
        !self.addresses.contains_key(&ip)
    }

    pub(super) fn is_port_free(&self, protocol: Protocol, port: u16) -> bool {
        !self.ports.contains_key(&(port, protocol))
    }

    /// Whether no protocol has this number.
    pub(super) fn is_number_free(&self, number: u128) -> bool {
        u16::try_from(number).is_ok_and(|port| {
            self.ports
                .range((port, Protocol::Tcp)..)
                .next()
                .is_none_or(|((taken, _), _)| *taken != port)
        })
    }

    /// Keeps what an absent Service holds from being given out; false if somebody asked for some of it.
    pub(super) fn set_aside(&mut self, held: &ServiceAllocation) -> bool {
        let ports = || {
            let health = held
                .health_check_node_port
                .map(|port| (port, Protocol::Tcp));
            held.node_ports
                .iter()
                .map(|port| (port.node_port, protocol(Some(&port.protocol))))
                .chain(health)
        };
        let free = held.cluster_ips.iter().all(|ip| self.is_free(*ip))
            && ports().all(|port| !self.ports.contains_key(&port));
        if free {
            self.addresses
                .extend(held.cluster_ips.iter().map(|ip| (*ip, None)));
            self.ports.extend(ports().map(|port| (port, None)));
        }
        free
    }
}
