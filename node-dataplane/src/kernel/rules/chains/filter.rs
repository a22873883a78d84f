//! What becomes of new connections that are not to be served as they come: they are refused or dropped, or only some
//! clients are let in. A backend leads there where it finds out, before it balances.
//!
//! ```text
//! frontends: place → number ── checks: number → return, drop, refuse, guard-… ── ranges: place . client, or drop
//! forward 110: packets of no connection are dropped, which their receivers would answer with a reset
//! ```

use meshlite_nft::{
    ChainKind, ConntrackState, Data, Element, Expression, FibFlags, Field, Hook, Lookup, Type,
    Verdict,
};
use meshlite_snapshot::{AddressFamily, Protocol};

use super::{base, regular};
use crate::{
    kernel::rules::{
        behaviour::Behaviour,
        entry::{ChainOfRules, Placed},
        helper::{FRONTENDS, RANGES},
        name::{
            AUDIENCES, Elements, FAMILIES, Maps, Place, SetId, Shape, Spread, Suffix, family_name,
            name,
        },
        steps::{
            after_vip, decide, drop, has_state, is_family, is_not_local, load_node_place,
            load_source, load_vip, look_up, reject, word,
        },
        value::number_of,
    },
    table::{Audience, WhenEmpty},
};

/// Ahead of destination NAT, which is at −100, and of what IPVS takes on output at −99.
pub(super) const PRIORITY: i32 = -110;
/// After IPVS, which translates what endpoints send on forward at 100.
const FORWARD_PRIORITY: i32 = 110;
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

pub(in crate::kernel::rules) fn chains() -> Vec<ChainOfRules> {
    let mut chains = vec![
        base(
            "filter-forward",
            ChainKind::Filter,
            Hook::FORWARD,
            FORWARD_PRIORITY,
            vec![drop_invalid()],
        ),
        regular("refuse".to_owned(), vec![vec![reject()]]),
    ];
    for family in FAMILIES {
        for audience in AUDIENCES {
            for place in [Place::Vip, Place::Node] {
                for then in [Then::Serve, Then::Refuse] {
                    chains.push(guard(family, audience, place, then));
                }
            }
        }
    }
    chains
}

/// What conntrack cannot tell a connection of, and nobody has translated. IPVS knows its connections by itself: what is
/// forwarded from an address of this host was translated by it, and its client waits for it.
fn drop_invalid() -> Vec<Expression> {
    let is_invalid = has_state(ConntrackState::INVALID, true);
    let is_as_it_came = is_not_local(FibFlags::SOURCE);
    [&is_invalid[..], &is_as_it_came, &[drop()]].concat()
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

/// Whoever is served goes back to where the backend led here.
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
        Then::Serve => Verdict::Return,
        Then::Refuse => Verdict::Goto(name("refuse")),
    }
}

/// Decides on new connections to the place that is loaded, if there is a virtual server for this audience and the
/// condition holds.
pub(crate) fn frontend(
    family: AddressFamily,
    audience: Audience,
    place: Place,
    condition: &[Expression],
) -> Vec<Expression> {
    let frontends = SetId::for_audience(FRONTENDS, family, audience);
    let checks = SetId {
        name: CHECKS,
        place,
        ..frontends
    };
    decide(frontends, condition, checks)
}

/// Refuses what has ports: a rule for each protocol, to end with these steps.
pub(crate) fn refuse_ports(
    family: AddressFamily,
    steps: &[Expression],
) -> impl Iterator<Item = Vec<Expression>> {
    let at = word(after_vip(family));
    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter();
    protocols.map(move |protocol| {
        let is_it = [
            Expression::transport_protocol(at),
            Expression::equal(at, Field::Protocol(number_of(protocol)).into()),
        ];
        [&is_family(family)[..], &is_it, steps, &[reject()]].concat()
    })
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
    let mut rules = vec![[load, outside].concat()];
    if then == Then::Refuse {
        rules.push(vec![reject()]);
    }
    regular(guard_name(family, audience, place, then), rules)
}
