//! The maps of balancing, and the chains that all ways to real servers begin from.
//!
//! Only what begins a connection comes here, and on the way that most take each look-up counts: clients are told apart,
//! turned away or refused where the number of a virtual server says that it may be so, and where there is none.

use meshlite_nft::{ChainKind, Data, Element, Expression, Field, Hook, NatFlags, Type, Verdict};
use meshlite_snapshot::AddressFamily;

use crate::{
    kernel::rules::{
        ChainOfRules, Detector, Placed,
        chains::{base, chain_name, filter, inside, regular, to},
        helper::{VIPS, vip_type},
        name::{
            AUDIENCES, Elements, FAMILIES, Maps, Place, SetId, Shape, Spread, Suffix, family_name,
            name,
        },
        steps::{
            address_words, decide, goto, is_family, is_in, is_to_this_node, load_destination,
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
    let to = |family| to("balance", Audience::Everyone, family);
    let nat = |name, hook| {
        base(
            name,
            ChainKind::Nat,
            hook,
            PRIORITY,
            FAMILIES.map(to).into(),
        )
    };
    let mut chains = vec![
        nat("nat-prerouting", Hook::PREROUTING),
        nat("nat-output", Hook::OUTPUT),
    ];
    for family in FAMILIES {
        chains.extend(balance(family));
        for audience in AUDIENCES {
            for place in [Place::Vip, Place::Node] {
                chains.push(check(family, audience, place, detector));
            }
        }
    }
    chains
}

/// What always leads somewhere: a virtual server without slots, whose clients are turned away.
pub(super) fn constants() -> Vec<Placed> {
    let ways = SHAPES.iter().filter(|shape| shape.name == WAYS);
    let check = |set: SetId| {
        let check = name(&check_name(set.family, set.audience, set.place));
        Placed {
            set,
            element: Element::mapping(Field::Mark(0).into(), Data::Verdict(Verdict::Jump(check))),
        }
    };
    ways.flat_map(Shape::ids).map(check).collect()
}

/// The virtual server at the very address comes first, the one on every address of this node last, and between the two
/// what is closed. Whoever is about to be let go or refused is [looked up again](crate::kernel::rules).
fn balance(family: AddressFamily) -> [ChainOfRules; 3] {
    let server = |place| server(family, Audience::Everyone, place, &[]);
    let name = |name| chain_name(name, Audience::Everyone, family);
    let at_address = [load_vip(family), server(Place::Vip)].concat();
    let is_vip = vec![
        load_destination(family, 0),
        is_in(SetId::of(VIPS, family), 0),
        goto(&name("closed")),
    ];
    let is_vip = [is_family(family), is_vip].concat();
    let is_node = [is_to_this_node(family), vec![goto(&name("node-ports"))]].concat();
    let at_node = [load_node_place(family), server(Place::Node)].concat();
    let mut closed = vec![at_address.clone(), answer_echo(family)];
    closed.extend(filter::refuse_ports(family, &[]));
    [
        regular(name("balance"), vec![at_address.clone(), is_vip, is_node]),
        regular(name("closed"), closed),
        regular(
            name("node-ports"),
            vec![at_address, at_node.clone(), at_node],
        ),
    ]
}

fn server(
    family: AddressFamily,
    audience: Audience,
    place: Place,
    condition: &[Expression],
) -> Vec<Expression> {
    let servers = SetId::for_audience(SERVERS, family, audience);
    let ways = SetId {
        name: WAYS,
        place,
        ..servers
    };
    decide(servers, condition, ways)
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
    let answer = vec![
        Expression::transport_protocol(at),
        Expression::equal(at, Field::Protocol(protocol).into()),
        Expression::Redirect {
            port: None,
            flags: NatFlags::empty(),
        },
    ];
    [is_family(family), answer].concat()
}

/// Where a virtual server may be for some clients only, or has nobody to serve them: who is inside goes to the one of
/// their own, if there is one, and who is not let in goes no further.
fn check(
    family: AddressFamily,
    audience: Audience,
    place: Place,
    detector: &Detector,
) -> ChainOfRules {
    let load = match place {
        Place::Vip => load_vip(family),
        Place::Node => load_node_place(family),
    };
    let inside = match audience {
        Audience::Inside => Vec::new(),
        Audience::Everyone => inside(family, detector),
    };
    let own = inside.into_iter().flat_map(|condition| {
        let server = server(family, Audience::Inside, place, &condition);
        let rule = [load.clone(), server].concat();
        [rule.clone(), rule]
    });
    let decide = [load.clone(), filter::frontend(family, audience, place, &[])].concat();
    let rules = own.chain([decide.clone(), decide]);
    regular(check_name(family, audience, place), rules.collect())
}

/// The chain that checks clients of virtual servers at a kind of place.
pub(super) fn check_name(family: AddressFamily, audience: Audience, place: Place) -> String {
    format!("check{}-{}", Suffix(audience, place), family_name(family))
}
