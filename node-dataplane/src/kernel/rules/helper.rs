//! What the shared rules do for one virtual server, whoever balances it.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use meshlite_nft::{Data, Element, Field, Type, Value};
use meshlite_snapshot::AddressFamily;

use super::{
    behaviour::Behaviour,
    chains::{check, marks},
    detect::Detector,
    entry::{Branch, ChainOfRules, Content, Entry, Placed},
    name::{Elements, Maps, SetId, Shape, Spread},
    networks::{fewest, network_of, of_family},
    shared::Shared,
    value::{
        origin_data, read_endpoint, read_number, read_origin, split_ip, split_vip, vip,
        vip_and_endpoint, vip_fields,
    },
};
use crate::table::{Key, Masquerade, Origin, VirtualAddress, WhenEmpty};

/// Place → [`Behaviour`]: also the record of what is ours.
pub(crate) const FRONTENDS: &str = "frontends";
/// Places and clients who may connect there.
pub(crate) const RANGES: &str = "ranges";
/// Addresses of which all ports that are no Service's are refused.
pub(crate) const VIPS: &str = "vips";
/// Places and their endpoints on this node.
pub(crate) const LOCALS: &str = "locals";
/// Pairs of an endpoint on this node and itself.
pub(crate) const HAIRPINS: &str = "hairpins";
/// Place → mark.
pub(crate) const MARKS: &str = "marks";

/// The sets of all backends.
pub(super) const SHAPES: [Shape; 5] = [
    Shape {
        name: FRONTENDS,
        purpose: "every virtual server, and what becomes of its clients",
        spread: Spread::Audiences,
        key: vip_type,
        data: Maps::To(|_| Type::MARK),
        elements: Elements::Keys,
    },
    Shape {
        name: RANGES,
        purpose: "clients that may use a load balancer's address (loadBalancerSourceRanges)",
        spread: Spread::Audiences,
        key: |v6| {
            let address = Type::address(v6);
            Type::concat([address, Type::PROTOCOL, Type::PORT, address])
        },
        data: Maps::Nothing,
        elements: Elements::Ranges,
    },
    Shape {
        name: LOCALS,
        purpose: "virtual servers and their endpoints on this node",
        spread: Spread::Audiences,
        key: |v6| {
            let address = Type::address(v6);
            Type::concat([address, Type::PROTOCOL, Type::PORT, address, Type::PORT])
        },
        data: Maps::Nothing,
        elements: Elements::Keys,
    },
    Shape {
        name: VIPS,
        purpose: "addresses whose other ports are refused",
        spread: Spread::Families,
        key: Type::address,
        data: Maps::Nothing,
        elements: Elements::Keys,
    },
    Shape {
        name: HAIRPINS,
        purpose: "endpoints on this node, which are masqueraded where they reach themselves",
        spread: Spread::Families,
        key: |v6| Type::concat([Type::address(v6), Type::address(v6)]),
        data: Maps::Nothing,
        elements: Elements::Keys,
    },
];

pub(crate) const fn vip_type(is_ipv6: bool) -> Type {
    Type::concat([Type::address(is_ipv6), Type::PROTOCOL, Type::PORT])
}

/// The family of its addresses.
pub(crate) fn family_of(key: &Key) -> AddressFamily {
    match key.frontend.address {
        VirtualAddress::Ip(ip) => AddressFamily::of(ip),
        VirtualAddress::EveryNodeAddress(family) => family,
    }
}

/// What the shared rules do for one virtual server. As an [`Entry`] of its own it is what IPVS needs beside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Helper {
    /// Whose it is, where that is known. It is kept with the element.
    pub(crate) origin: Option<Origin>,
    /// Whose source address is replaced.
    pub(crate) masquerade: Masquerade,
    /// Clients that may connect; empty for all. Only those of its family count.
    pub(crate) source_ranges: Arc<BTreeSet<IpNet>>,
    /// What clients get while it is not served.
    pub(crate) when_empty: WhenEmpty,
    /// Whether it has real servers for new connections.
    pub(crate) is_served: bool,
    /// Whether new connections to ports of its address that are no virtual server's are refused.
    pub(crate) is_closed: bool,
    /// Its real servers on this node.
    pub(crate) local: BTreeSet<SocketAddr>,
    /// The mark that packets to it get, where IPVS is to find it by that.
    pub(crate) mark: Option<u32>,
}

impl Helper {
    /// Where it is kept.
    pub(crate) fn set_of(name: &'static str, key: &Key) -> SetId {
        SetId::for_audience(name, family_of(key), key.audience)
    }

    fn behaviour(&self, key: &Key) -> Behaviour {
        let mut ranges = of_family(&self.source_ranges, family_of(key));
        Behaviour {
            masquerade: self.masquerade,
            when_empty: self.when_empty,
            is_served: self.is_served,
            is_guarded: ranges.next().is_some(),
            is_closed: self.is_closed,
        }
    }

    fn ranges(&self, key: &Key) -> Vec<Placed> {
        if self.source_ranges.is_empty() {
            return Vec::new();
        }
        let [address, protocol, port] = vip_fields(&key.frontend);
        let at = |source: IpAddr| Value::concat(&[address, protocol, port, source.into()]);
        let set = Self::set_of(RANGES, key);
        let ranges = fewest(&self.source_ranges);
        let placed = |network: &IpNet| Placed {
            set,
            element: Element::concat_range(at(network.network()), at(network.broadcast())),
        };
        of_family(&ranges, set.family).map(placed).collect()
    }

    fn locals(&self, key: &Key) -> impl Iterator<Item = Placed> {
        let set = Self::set_of(LOCALS, key);
        self.local.iter().map(move |address| Placed {
            set,
            element: Element::new(vip_and_endpoint(&key.frontend, *address)),
        })
    }

    /// Those of its own that all backends have.
    fn own(&self, key: &Key) -> Vec<Placed> {
        let number = Field::Mark(self.behaviour(key).number());
        let record = Element {
            user_data: origin_data(self.origin.as_ref()),
            ..Element::mapping(vip(&key.frontend), Data::Value(number.into()))
        };
        let record = Placed {
            set: Self::set_of(FRONTENDS, key),
            element: record,
        };
        let mut own = vec![record];
        own.extend(self.ranges(key));
        own.extend(self.locals(key));
        own
    }

    fn shared(&self, key: &Key) -> Vec<Shared> {
        let mut shared = Vec::new();
        if self.is_closed
            && let VirtualAddress::Ip(ip) = key.frontend.address
        {
            shared.push(Shared::Vip(ip));
        }
        // In their order, all ports of an address are next to each other.
        let ips = self.local.iter().map(SocketAddr::ip);
        shared.extend(ips.map(Shared::Hairpin));
        shared.dedup();
        shared
    }
}

impl Entry for Helper {
    type Branch = Infallible;

    const SHAPES: &'static [Shape] = &[Shape {
        name: MARKS,
        purpose: "virtual servers that IPVS finds by a mark, and the mark",
        spread: Spread::Audiences,
        key: vip_type,
        data: Maps::To(|_| Type::MARK),
        elements: Elements::Keys,
    }];

    fn chains(detector: &Detector) -> Vec<ChainOfRules> {
        [check::chains(detector), marks::chains(detector)].concat()
    }

    fn constants() -> Vec<Placed> {
        Vec::new()
    }

    fn branch(branch: Infallible) -> Branch {
        match branch {}
    }

    fn branch_named(_: &str) -> Option<Infallible> {
        None
    }

    fn content(&self, key: &Key) -> Content<Infallible> {
        let mut own = self.own(key);
        let mark = self.mark.map(|mark| Placed {
            set: Self::set_of(MARKS, key),
            element: Element::mapping(vip(&key.frontend), Data::Value(Field::Mark(mark).into())),
        });
        own.extend(mark);
        Content {
            own,
            shared: self.shared(key),
            branches: Vec::new(),
        }
    }

    fn read(key: &Key, own: &[Placed]) -> Option<Self> {
        let of = |name| own.iter().filter(move |placed| placed.set.name == name);
        let number = |element: &Element| match &element.data {
            Some(Data::Value(number)) => read_number(number.as_bytes()),
            _ => None,
        };
        let record = &of(FRONTENDS).next()?.element;
        let behaviour = Behaviour::from_number(number(record)?)?;
        let family = family_of(key);
        let ranges = of(RANGES).map(|placed| read_range(&placed.element, family));
        let local = of(LOCALS).map(|placed| read_local(&placed.element, family));
        Some(Self {
            origin: read_origin(&record.user_data),
            masquerade: behaviour.masquerade,
            source_ranges: Arc::new(ranges.collect::<Option<_>>()?),
            when_empty: behaviour.when_empty,
            is_served: behaviour.is_served,
            is_closed: behaviour.is_closed,
            local: local.collect::<Option<_>>()?,
            mark: of(MARKS).find_map(|placed| number(&placed.element)),
        })
    }

    fn broken() -> Self {
        Self {
            origin: None,
            masquerade: Masquerade::Never,
            source_ranges: Arc::default(),
            when_empty: WhenEmpty::Reject,
            is_served: false,
            is_closed: false,
            local: BTreeSet::new(),
            mark: None,
        }
    }
}

/// The endpoint after a place.
fn read_local(element: &Element, family: AddressFamily) -> Option<SocketAddr> {
    let (_, rest) = split_vip(element.key.as_ref()?.as_bytes(), family)?;
    read_endpoint(rest, family)
}

/// The network whose first and last address are after a place.
fn read_range(element: &Element, family: AddressFamily) -> Option<IpNet> {
    let ip = |value: &Value| {
        let (_, rest) = split_vip(value.as_bytes(), family)?;
        Some(split_ip(rest, family)?.0)
    };
    network_of(ip(element.key.as_ref()?)?, ip(element.key_end.as_ref()?)?)
}
