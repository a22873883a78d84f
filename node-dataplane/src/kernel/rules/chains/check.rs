//! Before IPVS: what is not to be served, and ports that are no Service's.
//!
//! ```text
//! prerouting −110 ──> check-ip ──────┬─ frontends-inside, if from inside, then frontends: place → number ── checks
//! output −110 ─────> check-inside-ip ┘  then: address in vips ──> refuse
//! ```

use meshlite_nft::{ChainKind, Expression, Hook};
use meshlite_snapshot::AddressFamily;

use super::{
    base, chain_name,
    filter::{PRIORITY, frontend, refuse_ports},
    regular, to, usable,
};
use crate::{
    kernel::rules::{
        detect::Detector,
        entry::ChainOfRules,
        helper::VIPS,
        name::{AUDIENCES, FAMILIES, Place, SetId},
        steps::{
            accept, is_in, is_new, is_to_this_node, load_destination, load_node_place, load_vip,
        },
    },
    table::Audience,
};

pub(in crate::kernel::rules) fn chains(detector: &Detector) -> Vec<ChainOfRules> {
    let established = || [is_new(false).to_vec(), vec![accept()]].concat();
    let (mut arriving, mut leaving) = (vec![established()], vec![established()]);
    for family in FAMILIES {
        arriving.push(to("check", Audience::Everyone, family));
        leaving.push(to("check", Audience::Inside, family));
    }
    let filter = |name, hook, rules| base(name, ChainKind::Filter, hook, PRIORITY, rules);
    let mut chains = vec![
        filter("filter-prerouting", Hook::PREROUTING, arriving),
        filter("filter-output", Hook::OUTPUT, leaving),
    ];
    for family in FAMILIES {
        for audience in AUDIENCES {
            chains.push(check(audience, family, detector));
        }
    }
    chains
}

/// The virtual server at the very address comes first, the one on every address of this node last, and between the two
/// what is closed.
fn check(audience: Audience, family: AddressFamily, detector: &Detector) -> ChainOfRules {
    let usable = usable(audience, family, detector);
    let frontend = |load: Vec<Expression>, place| {
        let decide = usable.iter().map(move |of| {
            let decide = frontend(family, of.audience, place, &of.condition);
            [load.clone(), decide].concat()
        });
        decide.collect::<Vec<_>>()
    };
    let mut rules = frontend(load_vip(family), Place::Vip);
    let is_vip = [
        load_destination(family, 0),
        is_in(SetId::of(VIPS, family), 0),
    ];
    rules.extend(refuse_ports(family, &is_vip));
    let load = [is_to_this_node(family), load_node_place(family)].concat();
    rules.extend(frontend(load, Place::Node));
    regular(chain_name("check", audience, family), rules)
}
