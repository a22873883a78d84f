//! Chains that all backends have, and pieces of theirs.

pub(super) mod check;
pub(crate) mod filter;
pub(super) mod marks;
pub(crate) mod masquerade;

use meshlite_nft::{Base, ChainKind, Expression, FibFlags, Hook, Policy};
use meshlite_snapshot::AddressFamily;

use super::{
    detect::{Detector, INSIDE},
    entry::ChainOfRules,
    name::{SetId, Suffix, family_name},
    steps::{goto, is_family, is_in, is_local, load_source},
};
use crate::table::Audience;

/// A chain that packets enter by themselves.
pub(crate) fn base(
    name: &str,
    kind: ChainKind,
    hook: Hook,
    priority: i32,
    rules: Vec<Vec<Expression>>,
) -> ChainOfRules {
    ChainOfRules {
        name: name.to_owned(),
        base: Some(Base {
            kind,
            hook,
            priority,
            policy: Policy::Accept,
        }),
        rules,
    }
}

/// A chain that rules lead to.
pub(crate) fn regular(name: String, rules: Vec<Vec<Expression>>) -> ChainOfRules {
    ChainOfRules {
        name,
        base: None,
        rules,
    }
}

/// `check-inside-ip`: the chain of a name for an audience and family.
pub(crate) fn chain_name(name: &str, audience: Audience, family: AddressFamily) -> String {
    let suffix = Suffix(audience, super::name::Place::Vip);
    format!("{name}{suffix}-{}", family_name(family))
}

/// Virtual servers that a client may use, if it is one of those who may.
#[derive(Clone, Debug)]
struct Usable {
    /// Whose they are.
    audience: Audience,
    /// Ends a rule unless the client may. It overwrites the place.
    condition: Vec<Expression>,
}

/// What clients may use who come to the chain of an audience, in the order of precedence: all who are inside come to the
/// chain for them where a packet begins here, while among those that come in nobody has told yet who is inside. That is
/// asked last: few places have a virtual server of their own for who is inside.
fn usable(chain: Audience, family: AddressFamily, detector: &Detector) -> Vec<Usable> {
    let usable = |audience, condition| Usable {
        audience,
        condition,
    };
    let inside = match chain {
        Audience::Inside => vec![Vec::new()],
        Audience::Everyone => came_from_inside(family, detector),
    };
    let inside = inside.into_iter();
    let inside = inside.map(|condition| usable(Audience::Inside, condition));
    inside
        .chain([usable(Audience::Everyone, Vec::new())])
        .collect()
}

/// What tells that a client is inside, wherever its packet is, each by itself: they end a rule unless it does, and
/// overwrite the place. To ask the routing table takes longest.
pub(crate) fn inside(family: AddressFamily, detector: &Detector) -> Vec<Vec<Expression>> {
    let mut conditions = came_from_inside(family, detector);
    conditions.push(is_local(FibFlags::SOURCE).to_vec());
    conditions
}

/// The same of packets that come in.
fn came_from_inside(family: AddressFamily, detector: &Detector) -> Vec<Vec<Expression>> {
    let by_network = vec![load_source(family, 0), is_in(SetId::of(INSIDE, family), 0)];
    let from_pod = detector.came_from_pod(family);
    [by_network].into_iter().chain(from_pod).collect()
}

/// A rule that sends all clients to the chain of an audience.
pub(crate) fn to(name: &str, audience: Audience, family: AddressFamily) -> Vec<Expression> {
    let goto = goto(&chain_name(name, audience, family));
    [is_family(family), vec![goto]].concat()
}
