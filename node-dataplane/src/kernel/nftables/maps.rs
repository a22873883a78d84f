//! The maps of balancing, and the chains that all ways to real servers begin from.

use meshlite_nft::{ChainKind, Data, Element, Expression, Field, Hook, NatFlags, Type, Verdict};
use meshlite_snapshot::AddressFamily;

use crate::{
    kernel::rules::{
        ChainOfRules, Detector, Placed,
        chains::{Usable, base, chain_name, regular, to, usable},
        helper::{VIPS, vip_type},
        name::{AUDIENCES, Elements, FAMILIES, Maps, Place, SetId, Shape, Spread},
        steps::{
            address_words, decide, is_family, is_in, is_to_this_node, load_destination,
            load_node_place, load_vip, word,
        },
    },
    table::Audience,
};

/// Place → number of a way.
pub(super) const SERVERS: &str = "servers";
/// Number → way.
pub(super) const WAYS: &str = "ways";
/// Place and slot → endpoint.
pub(super) const SLOTS: &str = "slots";
/// Place → number of its Service port.
pub(super) const GROUPS: &str = "groups";
/// Place and slot → number of an endpoint.
pub(super) const CHOICES: &str = "choices";
/// Place and number → endpoint.
pub(super) const MEMBERS: &str = "members";
/// Number of a Service port and client → number of an endpoint.
pub(super) const CLIENTS: &str = "clients";

/// `NF_IP_PRI_NAT_DST`
const PRIORITY: i32 = -100;
/// Clients that are remembered at a time: 1,048,576 of each family take some 150 MB.
const MOST_CLIENTS: u32 = 1 << 20;

pub(super) const SHAPES: &[Shape] = &[
    Shape {
        name: SERVERS,
        purpose: "virtual servers, and how a real server of theirs is chosen",
        spread: Spread::Audiences,
        key: vip_type,
        data: Maps::To(|_| Type::MARK),
        elements: Elements::Keys,
    },
    Shape {
        name: WAYS,
        purpose: "chains that choose real servers, by the numbers of servers",
        spread: Spread::Places,
        key: |_| Type::MARK,
        data: Maps::ToVerdicts,
        elements: Elements::Keys,
    },
    Shape {
        name: SLOTS,
        purpose: "endpoints of virtual servers, by slot",
        spread: Spread::Audiences,
        key: vip_and_number,
        data: Maps::To(endpoint_type),
        elements: Elements::Keys,
    },
    Shape {
        name: GROUPS,
        purpose: "virtual servers whose clients stay (sessionAffinity), and their Service port's number",
        spread: Spread::Audiences,
        key: vip_type,
        data: Maps::To(|_| Type::MARK),
        elements: Elements::Keys,
    },
    Shape {
        name: CHOICES,
        purpose: "endpoints' numbers of virtual servers whose clients stay, by slot",
        spread: Spread::Audiences,
        key: vip_and_number,
        data: Maps::To(|_| Type::MARK),
        elements: Elements::Keys,
    },
    Shape {
        name: MEMBERS,
        purpose: "endpoints of virtual servers whose clients stay, by number",
        spread: Spread::Audiences,
        key: vip_and_number,
        data: Maps::To(endpoint_type),
        elements: Elements::Keys,
    },
    Shape {
        name: CLIENTS,
        purpose: "clients that stay with an endpoint of a Service port, and the endpoint's number",
        spread: Spread::Families,
        key: |v6| Type::concat([Type::MARK, Type::address(v6)]),
        data: Maps::To(|_| Type::MARK),
        elements: Elements::Learned(MOST_CLIENTS),
    },
];

const fn vip_and_number(is_ipv6: bool) -> Type {
    let address = Type::address(is_ipv6);
    Type::concat([address, Type::PROTOCOL, Type::PORT, Type::MARK])
}

const fn endpoint_type(is_ipv6: bool) -> Type {
    Type::concat([Type::address(is_ipv6), Type::PORT])
}

pub(super) fn chains(detector: &Detector) -> Vec<ChainOfRules> {
    let (mut arriving, mut leaving) = (Vec::new(), Vec::new());
    for family in FAMILIES {
        arriving.push(to("balance", Audience::Everyone, family));
        leaving.push(to("balance", Audience::Inside, family));
    }
    let nat = ChainKind::Nat;
    let mut chains = vec![
        base("nat-prerouting", nat, Hook::PREROUTING, PRIORITY, arriving),
        base("nat-output", nat, Hook::OUTPUT, PRIORITY, leaving),
    ];
    for family in FAMILIES {
        for audience in AUDIENCES {
            chains.push(balance(audience, family, detector));
        }
    }
    chains
}

/// What always leads somewhere: a virtual server without slots, whose clients were turned away before.
pub(super) fn constants() -> Vec<Placed> {
    let ways = SHAPES.iter().filter(|shape| shape.name == WAYS);
    let accept = |set| Placed {
        set,
        element: Element::mapping(Field::Mark(0).into(), Data::Verdict(Verdict::Accept)),
    };
    ways.flat_map(Shape::ids).map(accept).collect()
}

/// The virtual server at the very address comes first, the one on every address of this node last.
fn balance(audience: Audience, family: AddressFamily, detector: &Detector) -> ChainOfRules {
    let usable = usable(audience, family, detector);
    let mut rules = Vec::new();
    for of in &usable {
        rules.push([load_vip(family), server(family, of, Place::Vip)].concat());
    }
    rules.push(answer_echo(family));
    for of in &usable {
        let steps = [
            is_to_this_node(family),
            load_node_place(family),
            server(family, of, Place::Node),
        ];
        rules.push(steps.concat());
    }
    regular(chain_name("balance", audience, family), rules)
}

fn server(family: AddressFamily, of: &Usable, place: Place) -> Vec<Expression> {
    let servers = SetId::for_audience(SERVERS, family, of.audience);
    let ways = SetId {
        name: WAYS,
        place,
        ..servers
    };
    decide(servers, &of.condition, ways)
}

/// This host answers whoever pings a virtual address, though it has none: what is new of ICMP are echo requests.
fn answer_echo(family: AddressFamily) -> Vec<Expression> {
    const ICMP: u8 = 1;
    const ICMPV6: u8 = 58;
    let protocol = match family {
        AddressFamily::Ipv4 => ICMP,
        AddressFamily::Ipv6 => ICMPV6,
    };
    let at = word(address_words(family));
    let mut steps = is_family(family);
    steps.extend([
        Expression::transport_protocol(at),
        Expression::equal(at, Field::Protocol(protocol).into()),
        load_destination(family, 0),
        is_in(SetId::of(VIPS, family), 0),
        Expression::Redirect {
            port: None,
            flags: NatFlags::empty(),
        },
    ]);
    steps
}
