//! Before IPVS: what is not to be served, and ports that are no Service's.
//!
//! ```text
//! prerouting −110 ──> check-ip ──────┬─ frontends-inside, if from inside, then frontends: place → number ── checks
//! output −110 ─────> check-inside-ip ┘  then: address in vips ──> closed-…: the same again, then refuse
//!                                       then: to this node ──> node-ports-…: the same again, then for node ports
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
            accept, goto, is_family, is_in, is_new, is_to_this_node, load_destination,
            load_node_place, load_vip,
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
            chains.extend(check(audience, family, detector));
        }
    }
    chains
}

/// The virtual server at the very address comes first, the one on every address of this node last, and between the two
/// what is closed. Whoever is about to be let go or refused is [looked up again](super::super).
fn check(audience: Audience, family: AddressFamily, detector: &Detector) -> [ChainOfRules; 3] {
    let usable = usable(audience, family, detector);
    let frontends = |load: Vec<Expression>, place| {
        let decide = usable.iter().map(move |of| {
            let decide = frontend(family, of.audience, place, &of.condition);
            [load.clone(), decide].concat()
        });
        decide.collect::<Vec<_>>()
    };
    let name = |name| chain_name(name, audience, family);
    let at_address = frontends(load_vip(family), Place::Vip);
    let is_vip = vec![
        load_destination(family, 0),
        is_in(SetId::of(VIPS, family), 0),
        goto(&name("closed")),
    ];
    let is_vip = [is_family(family), is_vip].concat();
    let is_node = [is_to_this_node(family), vec![goto(&name("node-ports"))]].concat();
    let check = [at_address.clone(), vec![is_vip, is_node]].concat();
    let refuse = refuse_ports(family, &[]).collect();
    let at_node = frontends(load_node_place(family), Place::Node);
    [
        regular(name("check"), check),
        regular(name("closed"), [at_address.clone(), refuse].concat()),
        regular(
            name("node-ports"),
            [at_address, at_node.clone(), at_node].concat(),
        ),
    ]
}
