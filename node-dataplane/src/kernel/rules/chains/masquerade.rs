//! After routing: whose source address is replaced, by what the connection was made to.
//!
//! ```text
//! postrouting 100 ──> masquerade-ip ── frontends: place of the original direction → number
//!                                      masquerades: number → always, not-pods-ip, outside-ip
//!                     outside-ip ───── if from inside, frontends-inside and masquerades-inside; or never-ip
//! ```
//! Where nobody is masqueraded, clients inside have a virtual server of their own, and nowhere else.
//! No mark is used, so that they stay free for others, and no packet but the first of a connection comes here.

use meshlite_nft::{ChainKind, Data, Element, Expression, Field, Hook, Type, Verdict};
use meshlite_snapshot::AddressFamily;

use super::{base, chain_name, inside, regular, to};
use crate::{
    kernel::rules::{
        behaviour::Behaviour,
        detect::Detector,
        entry::{ChainOfRules, Placed},
        helper::{FRONTENDS, HAIRPINS, VIPS},
        name::{Elements, FAMILIES, Maps, Place, SetId, Shape, Spread, Suffix, family_name, name},
        steps::{
            address_words, decide, goto, is_family, is_in, load_destination, load_original,
            load_original_node_place, load_source, masquerade, original_address,
        },
    },
    table::{Audience, Masquerade},
};

/// `NF_IP_PRI_NAT_SRC`
const PRIORITY: i32 = 100;
/// Number of a [`Behaviour`] → whose source address is replaced.
const MASQUERADES: &str = "masquerades";
/// Addresses of this node that connections to node ports were made to, a moment ago.
pub(crate) const NODE_ADDRESSES: &str = "node-addresses";
/// A host has fewer; but all of 127.0.0.0/8 may be tried.
const MAX_NODE_ADDRESSES: u32 = 65_536;

pub(in crate::kernel::rules) const SHAPES: [Shape; 2] = [
    Shape {
        name: MASQUERADES,
        purpose: "whose source address is replaced, by the numbers of frontends",
        spread: Spread::Places,
        key: |_| Type::MARK,
        data: Maps::ToVerdicts,
        elements: Elements::Keys,
    },
    Shape {
        name: NODE_ADDRESSES,
        purpose: "addresses of this node whose node ports were used in the last minute",
        spread: Spread::Families,
        key: Type::address,
        data: Maps::Nothing,
        elements: Elements::Learned(MAX_NODE_ADDRESSES),
    },
];

pub(in crate::kernel::rules) fn chains(detector: &Detector) -> Vec<ChainOfRules> {
    let mut leaving = Vec::new();
    for family in FAMILIES {
        leaving.push(to("masquerade", Audience::Everyone, family));
    }
    let mut chains = vec![
        base(
            "nat-postrouting",
            ChainKind::Nat,
            Hook::POSTROUTING,
            PRIORITY,
            leaving,
        ),
        regular("always".to_owned(), vec![vec![masquerade()]]),
    ];
    for family in FAMILIES {
        chains.push(look_up_original(family));
        for place in [Place::Vip, Place::Node] {
            chains.push(outside(family, place, detector));
        }
        let never = vec![hairpin(family), from_vip(family)];
        // A Pod's address is none of a Service's, so that one question is enough.
        let not_pods = match detector.is_pod(family, false) {
            Some(is_no_pod) => vec![
                hairpin(family),
                [is_family(family), is_no_pod, vec![masquerade()]].concat(),
            ],
            None => never.clone(),
        };
        chains.push(regular(
            format!("not-pods-{}", family_name(family)),
            not_pods,
        ));
        chains.push(regular(format!("never-{}", family_name(family)), never));
    }
    chains
}

/// The verdict maps' elements, which never change.
pub(in crate::kernel::rules) fn constants() -> Vec<Placed> {
    let mut constants = Vec::new();
    for set in SHAPES[0].ids() {
        let family = family_name(set.family);
        for behaviour in Behaviour::all() {
            let chain = match (behaviour.masquerade, set.audience) {
                (Masquerade::Always, _) => "always".to_owned(),
                (Masquerade::NotPods, _) => format!("not-pods-{family}"),
                (Masquerade::Never, Audience::Everyone) => outside_name(set.family, set.place),
                (Masquerade::Never, Audience::Inside) => format!("never-{family}"),
            };
            let key = Field::Mark(behaviour.number()).into();
            let go = Data::Verdict(Verdict::Goto(name(&chain)));
            let element = Element::mapping(key, go);
            constants.push(Placed { set, element });
        }
    }
    constants
}

fn look_up_original(family: AddressFamily) -> ChainOfRules {
    let decide = |place| masquerades(family, Audience::Everyone, place, &[]);
    let was_to_this_node = vec![
        original_address(family, 0),
        is_in(SetId::of(NODE_ADDRESSES, family), 0),
    ];
    let rules = [
        [load_original(family), decide(Place::Vip)].concat(),
        [
            is_family(family),
            was_to_this_node,
            load_original_node_place(family),
            decide(Place::Node),
        ]
        .concat(),
    ];
    // Who is not masqueraded though it must be hears nothing: all is looked up again.
    let rules = [rules.clone(), rules].concat();
    regular(chain_name("masquerade", Audience::Everyone, family), rules)
}

/// Those who came to a virtual server for clients outside: who is inside came to the other one of the place.
fn outside(family: AddressFamily, place: Place, detector: &Detector) -> ChainOfRules {
    let load = match place {
        Place::Vip => load_original(family),
        Place::Node => load_original_node_place(family),
    };
    let conditions = inside(family, detector).into_iter();
    let rules = conditions.map(|condition| {
        let decide = masquerades(family, Audience::Inside, place, &condition);
        [load.clone(), decide].concat()
    });
    let never = vec![goto(&format!("never-{}", family_name(family)))];
    regular(outside_name(family, place), rules.chain([never]).collect())
}

fn outside_name(family: AddressFamily, place: Place) -> String {
    let suffix = Suffix(Audience::Everyone, place);
    format!("outside{suffix}-{}", family_name(family))
}

/// Decides on connections that were made to the place which is loaded.
fn masquerades(
    family: AddressFamily,
    audience: Audience,
    place: Place,
    condition: &[Expression],
) -> Vec<Expression> {
    let frontends = SetId::for_audience(FRONTENDS, family, audience);
    let masquerades = SetId {
        name: MASQUERADES,
        place,
        ..frontends
    };
    decide(frontends, condition, masquerades)
}

/// An endpoint that reached itself would answer itself.
fn hairpin(family: AddressFamily) -> Vec<Expression> {
    let steps = vec![
        load_source(family, 0),
        load_destination(family, address_words(family)),
        is_in(SetId::of(HAIRPINS, family), 0),
        masquerade(),
    ];
    [is_family(family), steps].concat()
}

/// A host that has a virtual address uses it as source to reach it; nobody else can answer there.
fn from_vip(family: AddressFamily) -> Vec<Expression> {
    let steps = vec![
        load_source(family, 0),
        is_in(SetId::of(VIPS, family), 0),
        masquerade(),
    ];
    [is_family(family), steps].concat()
}
