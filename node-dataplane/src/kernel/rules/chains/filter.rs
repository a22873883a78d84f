//! Before translation: new connections that are not to be are refused or dropped.
//!
//! ```text
//! prerouting −110 ──> check-ip ──────┬─ frontends-inside, if from inside, then frontends: place → number
//! output −110 ─────> check-inside-ip ┘  checks: number → accept, drop, refuse, guard-…
//!                                                         then: address in vips ──> refuse
//! forward −110: packets of no connection are dropped, which their receivers would answer with a reset
//! ```

use meshlite_nft::{
    ChainKind, ConntrackState, Data, Element, Expression, Field, Hook, Lookup, Type, Verdict,
};
use meshlite_snapshot::{AddressFamily, Protocol};

use super::{Usable, base, chain_name, regular, to, usable};
use crate::{
    kernel::rules::{
        behaviour::Behaviour,
        detect::Detector,
        entry::{ChainOfRules, Placed},
        helper::{FRONTENDS, RANGES, VIPS},
        name::{
            AUDIENCES, Elements, FAMILIES, Maps, Place, SetId, Shape, Spread, Suffix, family_name,
            name,
        },
        steps::{
            accept, after_vip, decide, drop, has_state, is_in, is_new, is_to_this_node,
            load_destination, load_node_place, load_source, load_vip, look_up, reject, word,
        },
    },
    table::{Audience, WhenEmpty},
};

/// Ahead of destination NAT, which is at −100, and of what IPVS takes on output at −99.
pub(crate) const PRIORITY: i32 = -110;
/// Number of a [`Behaviour`] → what becomes of new connections.
const CHECKS: &str = "checks";

pub(in crate::kernel::rules) const SHAPES: [Shape; 1] = [Shape {
    name: CHECKS,
    purpose: "what becomes of new connections, by the numbers of frontends",
    spread: Spread::Places,
    key: |_| Type::MARK,
    data: Maps::ToVerdicts,
    elements: Elements::Keys,
}];

pub(in crate::kernel::rules) fn chains(detector: &Detector) -> Vec<ChainOfRules> {
    let established = || [is_new(false).to_vec(), vec![accept()]].concat();
    let mut arriving = vec![established()];
    let mut leaving = vec![established()];
    for family in FAMILIES {
        arriving.push(to("check", Audience::Everyone, family));
        leaving.push(to("check", Audience::Inside, family));
    }
    let invalid = [
        has_state(ConntrackState::INVALID, true).to_vec(),
        vec![drop()],
    ]
    .concat();
    let filter = ChainKind::Filter;
    let mut chains = vec![
        base(
            "filter-prerouting",
            filter,
            Hook::PREROUTING,
            PRIORITY,
            arriving,
        ),
        base("filter-output", filter, Hook::OUTPUT, PRIORITY, leaving),
        base(
            "filter-forward",
            filter,
            Hook::FORWARD,
            PRIORITY,
            vec![invalid],
        ),
        regular("refuse".to_owned(), vec![vec![reject()]]),
    ];
    for family in FAMILIES {
        for audience in AUDIENCES {
            chains.push(check(audience, family, detector));
            for place in [Place::Vip, Place::Node] {
                for then in [Then::Serve, Then::Refuse] {
                    chains.push(guard(family, audience, place, then));
                }
            }
        }
    }
    chains
}

/// The verdict maps' elements, which never change.
pub(in crate::kernel::rules) fn constants() -> Vec<Placed> {
    let mut constants = Vec::new();
    for set in SHAPES[0].ids() {
        for behaviour in Behaviour::all() {
            let key = Field::Mark(behaviour.number()).into();
            let verdict = Data::Verdict(verdict(behaviour, set));
            let element = Element::mapping(key, verdict);
            constants.push(Placed { set, element });
        }
    }
    constants
}

/// What becomes of those who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Serve,
    Refuse,
}

fn verdict(behaviour: Behaviour, set: SetId) -> Verdict {
    let then = match behaviour {
        Behaviour {
            is_served: true, ..
        } => Then::Serve,
        Behaviour {
            when_empty: WhenEmpty::Reject,
            ..
        } => Then::Refuse,
        Behaviour {
            when_empty: WhenEmpty::Drop,
            ..
        } => return Verdict::Drop,
    };
    if behaviour.is_guarded {
        let guard = guard_name(set.family, set.audience, set.place, then);
        return Verdict::Goto(name(&guard));
    }
    match then {
        Then::Serve => Verdict::Accept,
        Then::Refuse => Verdict::Goto(name("refuse")),
    }
}

/// The virtual server at the very address comes first, the one on every address of this node last, and between the two
/// what is closed.
fn check(audience: Audience, family: AddressFamily, detector: &Detector) -> ChainOfRules {
    let usable = usable(audience, family, detector);
    let mut rules = Vec::new();
    for of in &usable {
        rules.push([load_vip(family), frontend(family, of, Place::Vip)].concat());
    }
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        let is_it = Expression::equal(
            word(after_vip(family)),
            Field::Protocol(super::super::value::number_of(protocol)).into(),
        );
        let steps = vec![
            Expression::transport_protocol(word(after_vip(family))),
            is_it,
            load_destination(family, 0),
            is_in(SetId::of(VIPS, family), 0),
            reject(),
        ];
        rules.push([super::is_family(family), steps].concat());
    }
    for of in &usable {
        let steps = [
            is_to_this_node(family),
            load_node_place(family),
            frontend(family, of, Place::Node),
        ];
        rules.push(steps.concat());
    }
    regular(chain_name("check", audience, family), rules)
}

fn frontend(family: AddressFamily, of: &Usable, place: Place) -> Vec<Expression> {
    let frontends = SetId::for_audience(FRONTENDS, family, of.audience);
    let checks = SetId {
        name: CHECKS,
        place,
        ..frontends
    };
    decide(frontends, &of.condition, checks)
}

fn guard_name(family: AddressFamily, audience: Audience, place: Place, then: Then) -> String {
    let then = match then {
        Then::Serve => "guard",
        Then::Refuse => "guard-refuse",
    };
    format!("{then}{}-{}", Suffix(audience, place), family_name(family))
}

/// Who is out of range hears nothing.
fn guard(family: AddressFamily, audience: Audience, place: Place, then: Then) -> ChainOfRules {
    let load = match place {
        Place::Vip => load_vip(family),
        Place::Node => load_node_place(family),
    };
    let ranges = SetId::for_audience(RANGES, family, audience);
    let outside = vec![
        load_source(family, after_vip(family)),
        look_up(ranges, 0, Lookup::Lacks),
        drop(),
    ];
    let within = match then {
        Then::Serve => accept(),
        Then::Refuse => reject(),
    };
    let name = guard_name(family, audience, place, then);
    regular(name, vec![[load, outside].concat(), vec![within]])
}
