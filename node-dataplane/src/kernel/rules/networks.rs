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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network() -> impl Strategy<Value = IpNet> {
        // Few addresses, so that networks meet.
        let v4 = (any::<[u8; 2]>(), 0u8..=32).prop_map(|(end, length)| {
            let ip = Ipv4Addr::new(10, 0, end[0] & 3, end[1]);
            IpNet::new(ip.into(), length).unwrap()
        });
        let v6 = (any::<u8>(), 0u8..=128).prop_map(|(end, length)| {
            let ip = Ipv6Addr::from_bits(u128::MAX - u128::from(end));
            IpNet::new(ip.into(), length).unwrap()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn networks_are_read_back_as_few_as_there_can_be(
            networks in prop::collection::btree_set(network(), 0..20),
        ) {
            let mut read_back = BTreeSet::new();
            for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
                let elements = elements(&networks, family);
                let ends = elements.iter().map(|it| (it.key.clone(), it.interval_end));
                let ends: BTreeSet<_> = ends.collect();
                prop_assert_eq!(ends.len(), elements.len());
                read_back.extend(read(&elements, family).unwrap());
            }
            prop_assert_eq!(read_back, fewest(&networks));
        }
    }

    #[test]
    fn a_range_without_a_beginning_makes_no_sense() {
        let networks = ["10.0.0.0/8".parse().unwrap()].into();
        let mut elements = elements(&networks, AddressFamily::Ipv4);
        elements.remove(0);
        assert_eq!(read(&elements, AddressFamily::Ipv4), None);
    }
}
