//! Chains that all backends have, and pieces of theirs.

pub(crate) mod filter;
pub(super) mod marks;
pub(crate) mod masquerade;

use meshlite_nft::{Base, ChainKind, Expression, Hook, Policy};
use meshlite_snapshot::AddressFamily;

use super::{
    detect::{Detector, INSIDE},
    entry::ChainOfRules,
    name::{SetId, Suffix, family_name},
    steps::{goto, is_family, is_in, load_source},
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

/// Rules that send clients inside to one chain, and others to another.
pub(crate) fn by_audience(
    name: &str,
    family: AddressFamily,
    detector: &Detector,
) -> Vec<Vec<Expression>> {
    let inside = || goto(&chain_name(name, Audience::Inside, family));
    let by_network = vec![
        load_source(family, 0),
        is_in(SetId::of(INSIDE, family), 0),
        inside(),
    ];
    let mut rules = vec![[is_family(family), by_network].concat()];
    if let Some(from_pod) = detector.came_from_pod(family) {
        rules.push([is_family(family), from_pod, vec![inside()]].concat());
    }
    rules.push(to(name, Audience::Everyone, family));
    rules
}

/// A rule that sends all clients to the chain of an audience.
pub(crate) fn to(name: &str, audience: Audience, family: AddressFamily) -> Vec<Expression> {
    let goto = goto(&chain_name(name, audience, family));
    [is_family(family), vec![goto]].concat()
}
