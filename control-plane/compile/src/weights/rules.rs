//! `meshlite.io/weights`: which endpoints have which weight, as it is written.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use crate::{annotations, report::About, slice::Packed, values};

/// The most entries that are read of one annotation.
const MOST: usize = 1_000;

/// What an annotation says. The most specific rule counts: address, longest network, node, zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    addresses: BTreeMap<IpAddr, u16>,
    /// Longest first.
    networks: Vec<(IpNet, u16)>,
    nodes: BTreeMap<Box<str>, u16>,
    zones: BTreeMap<Box<str>, u16>,
}

#[derive(Debug)]
enum Selector<'a> {
    Address(IpAddr),
    Network(IpNet),
    Node(&'a str),
    Zone(&'a str),
}

impl Rules {
    /// Reads `SELECTOR=WEIGHT,…`. What is wrong is left out and said; the rest counts.
    pub(super) fn read(text: &str, about: &mut About<'_>) -> Self {
        let mut rules = Self::default();
        let field = annotations::field(annotations::WEIGHTS);
        let count = text.split(',').count();
        if count > MOST {
            let message = format!(
                "has {count} entries; only the first {MOST} count: write networks, nodes or zones instead of addresses"
            );
            about.error(&*field, "TooMany", message);
        }
        for entry in text.split(',').take(MOST) {
            let entry = entry.trim();
            if let Err(problem) = rules.add(entry) {
                let message = format!("{entry:?} is left out: {problem}");
                about.error(&*field, "InvalidWeight", message);
            }
        }
        // Stable, and each network is there once: the order among equals never matters.
        rules
            .networks
            .sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        rules
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The weight that is written for an endpoint, if any is.
    pub(super) fn weight(&self, endpoint: &Packed) -> Option<u16> {
        let address = endpoint.address();
        let network = || {
            let mut containing = self.networks.iter().filter(|(n, _)| n.contains(&address));
            containing.next().map(|(_, weight)| weight)
        };
        let node = || self.nodes.get(endpoint.node()?);
        let zone = || self.zones.get(endpoint.zone()?);
        let weight = self.addresses.get(&address).or_else(network);
        weight.or_else(node).or_else(zone).copied()
    }

    fn add(&mut self, entry: &str) -> Result<(), String> {
        let Some((selector, weight)) = entry.split_once('=') else {
            return Err("write SELECTOR=WEIGHT, such as zone/a=50".to_owned());
        };
        let weight = number(weight.trim())
            .ok_or_else(|| format!("a weight is a whole number from 0 to {}", u16::MAX))?;
        let is_new = match read(selector.trim())? {
            Selector::Address(address) => first(&mut self.addresses, address, weight),
            Selector::Node(name) => first(&mut self.nodes, name.into(), weight),
            Selector::Zone(name) => first(&mut self.zones, name.into(), weight),
            Selector::Network(network) => {
                let is_new = self.networks.iter().all(|(other, _)| *other != network);
                if is_new {
                    self.networks.push((network, weight));
                }
                is_new
            }
        };
        if is_new {
            Ok(())
        } else {
            Err("the same is written before, and that counts; remove one of them".to_owned())
        }
    }
}

fn first<K: Ord>(rules: &mut BTreeMap<K, u16>, key: K, weight: u16) -> bool {
    let is_new = !rules.contains_key(&key);
    rules.entry(key).or_insert(weight);
    is_new
}

fn number(text: &str) -> Option<u16> {
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

fn read(text: &str) -> Result<Selector<'_>, String> {
    if let Some(name) = text.strip_prefix("zone/") {
        let is_name = !name.is_empty() && !name.contains(|c: char| c == '/' || c.is_whitespace());
        return is_name
            .then_some(Selector::Zone(name))
            .ok_or_else(|| format!("{name:?} is not the name of a zone"));
    }
    if let Some(name) = text.strip_prefix("node/") {
        return values::is_dns_subdomain(name)
            .then_some(Selector::Node(name))
            .ok_or_else(|| format!("{name:?} is not the name of a node"));
    }
    if let Some(address) = values::ip(text) {
        return Ok(Selector::Address(address));
    }
    match text.parse::<IpNet>() {
        Ok(network) if network.trunc() == network => Ok(Selector::Network(network)),
        Ok(network) => Err(format!(
            "{network} is an address within a network; write {} for the network, or {} for the address",
            network.trunc(),
            network.addr()
        )),
        Err(_) => Err(format!(
            "{text:?} is none of zone/NAME, node/NAME, an address (10.0.0.1) and a network (10.0.0.0/24)"
        )),
    }
}

#[cfg(test)]
mod tests;
