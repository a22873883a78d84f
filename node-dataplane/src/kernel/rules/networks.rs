//! Networks as ranges of addresses, which the kernel keeps apart from each other, and back.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use meshlite_nft::{Element, Field, Value};
use meshlite_snapshot::AddressFamily;

use super::value::split_ip;

/// Networks without those that others contain, with halves put together: the fewest that say the same.
pub(crate) fn fewest(networks: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
    let networks: Vec<_> = networks.iter().map(IpNet::trunc).collect();
    IpNet::aggregate(&networks).into_iter().collect()
}

/// Those of one family.
pub(crate) fn of_family(
    networks: &BTreeSet<IpNet>,
    family: AddressFamily,
) -> impl Iterator<Item = &IpNet> {
    networks
        .iter()
        .filter(move |network| AddressFamily::of(network.addr()) == family)
}

/// The elements of a set that contains just the addresses of these networks.
pub(crate) fn elements(networks: &BTreeSet<IpNet>, family: AddressFamily) -> Vec<Element> {
    let fewest = fewest(networks);
    let mut ranges: Vec<(u128, IpAddr, IpAddr)> = Vec::new();
    for network in of_family(&fewest, family) {
        let (first, last) = (network.network(), network.broadcast());
        match ranges.last_mut() {
            // Ranges that touch are one: an end mark must not be where the next begins.
            Some((next, _, end)) if *next == bits(first) => {
                *next = bits(last).wrapping_add(1);
                *end = last;
            }
            _ => ranges.push((bits(last).wrapping_add(1), first, last)),
        }
    }
    let element = |(_, first, last): (u128, IpAddr, IpAddr)| {
        Element::range(value(first), &value(last)).collect::<Vec<_>>()
    };
    ranges.into_iter().flat_map(element).collect()
}

/// The networks that elements were made of, as few as there can be. `None` where they make no sense.
pub(crate) fn read(elements: &[Element], family: AddressFamily) -> Option<BTreeSet<IpNet>> {
    let mut marks = Vec::with_capacity(elements.len());
    for element in elements {
        let (ip, _) = split_ip(element.key.as_ref()?.as_bytes(), family)?;
        marks.push((ip, element.interval_end));
    }
    marks.sort_unstable();
    let mut networks = BTreeSet::new();
    let mut marks = marks.into_iter();
    while let Some((first, is_end)) = marks.next() {
        let after = marks.next();
        if is_end || after.is_some_and(|(_, is_end)| !is_end) {
            return None;
        }
        let last = after.map_or_else(|| last_of(family), |(after, _)| before(after));
        networks.extend(subnets(first, last));
    }
    Some(fewest(&networks))
}

/// The network from one address to another; `None` where there is no such one.
pub(crate) fn network_of(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    match subnets(first, last)[..] {
        [network] => Some(network),
        _ => None,
    }
}

fn subnets(first: IpAddr, last: IpAddr) -> Vec<IpNet> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
        }
        _ => Vec::new(),
    }
}

fn value(ip: IpAddr) -> Value {
    Field::from(ip).into()
}

/// As a number. That of an IPv4 address leaves no room to be taken for one of IPv6: families never meet here.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn before(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits().wrapping_sub(1)).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits().wrapping_sub(1)).into(),
    }
}

fn last_of(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::Ipv4 => Ipv4Addr::BROADCAST.into(),
        AddressFamily::Ipv6 => Ipv6Addr::from_bits(u128::MAX).into(),
    }
}
