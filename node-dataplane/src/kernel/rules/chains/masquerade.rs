//! After routing: whose source address is replaced, by what the connection was made to.
//!
//! ```text
//! postrouting 100 ──> masquerade-ip ── frontends-inside, if from inside, then frontends: place of the original
//!                     direction → number; masquerades: number → always, not-pods-ip, never-ip
//! ```
//! No mark is used, so that they stay free for others, and no packet but the first of a connection comes here.

use meshlite_nft::{ChainKind, Data, Element, Expression, FibFlags, Field, Hook, Type, Verdict};
use meshlite_snapshot::AddressFamily;

use super::{Usable, base, chain_name, regular, to, usable};
use crate::{
    kernel::rules::{
        behaviour::Behaviour,
        detect::Detector,
        entry::{ChainOfRules, Placed},
        helper::{FRONTENDS, HAIRPINS, VIPS},
        name::{Elements, FAMILIES, Maps, SetId, Shape, Spread, family_name, name},
        steps::{
            address_words, decide, is_family, is_in, is_local, load_destination, load_original,
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
        spread: Spread::Families,
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
        chains.push(look_up_original(family, detector));
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
    for family in FAMILIES {
        let set = SetId::of(MASQUERADES, family);
        for behaviour in Behaviour::all() {
            let chain = match behaviour.masquerade {
                Masquerade::Always => "always".to_owned(),
                Masquerade::NotPods => format!("not-pods-{}", family_name(family)),
                Masquerade::Never => format!("never-{}", family_name(family)),
            };
            let key = Field::Mark(behaviour.number()).into();
            let go = Data::Verdict(Verdict::Goto(name(&chain)));
            let element = Element::mapping(key, go);
            constants.push(Placed { set, element });
        }
    }
    constants
}

fn look_up_original(family: AddressFamily, detector: &Detector) -> ChainOfRules {
    let mut usable = usable(Audience::Everyone, family, detector);
    // Before everybody else, and after those that a set knows: to ask the routing table takes longer.
    let own = Usable {
        audience: Audience::Inside,
        condition: is_local(FibFlags::SOURCE).to_vec(),
    };
    usable.insert(usable.len().saturating_sub(1), own);
    let masquerades = SetId::of(MASQUERADES, family);
    let decide = |of: &Usable| {
        let frontends = SetId::for_audience(FRONTENDS, family, of.audience);
        decide(frontends, &of.condition, masquerades)
    };
    let mut rules = Vec::new();
    for of in &usable {
        rules.push([load_original(family), decide(of)].concat());
    }
    for of in &usable {
        let was_to_this_node = vec![
            original_address(family, 0),
            is_in(SetId::of(NODE_ADDRESSES, family), 0),
        ];
        let steps = [
            is_family(family),
            was_to_this_node,
            load_original_node_place(family),
            decide(of),
        ];
        rules.push(steps.concat());
    }
    regular(chain_name("masquerade", Audience::Everyone, family), rules)
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
