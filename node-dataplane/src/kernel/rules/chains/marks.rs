//! Marks for virtual servers that IPVS finds by a mark: those that inside clients and others have of their own.
//!
//! ```text
//! prerouting −150 ──> mark-ip ──────┬─ marks-inside, if from inside, else marks: place → mark
//! output −150 ─────> mark-inside-ip ┘
//! ```

use meshlite_nft::{ChainKind, Expression, Hook, Lookup, MetaKey};
use meshlite_snapshot::AddressFamily;

use super::{Usable, base, chain_name, regular, to, usable};
use crate::{
    kernel::rules::{
        detect::Detector,
        entry::ChainOfRules,
        helper::MARKS,
        name::{AUDIENCES, FAMILIES, SetId},
        steps::{FOUND, accept, load_vip, look_up, word},
    },
    table::Audience,
};

/// `NF_IP_PRI_MANGLE`
const PRIORITY: i32 = -150;

pub(in crate::kernel::rules) fn chains(detector: &Detector) -> Vec<ChainOfRules> {
    let (mut arriving, mut leaving) = (Vec::new(), Vec::new());
    for family in FAMILIES {
        arriving.push(to("mark", Audience::Everyone, family));
        leaving.push(to("mark", Audience::Inside, family));
    }
    let mut chains = vec![
        base(
            "mark-prerouting",
            ChainKind::Filter,
            Hook::PREROUTING,
            PRIORITY,
            arriving,
        ),
        // A changed mark may mean another route, or none yet.
        base(
            "mark-output",
            ChainKind::Route,
            Hook::OUTPUT,
            PRIORITY,
            leaving,
        ),
    ];
    for family in FAMILIES {
        for audience in AUDIENCES {
            let usable = usable(audience, family, detector);
            let rules = usable.iter().map(|of| mark(family, of));
            let name = chain_name("mark", audience, family);
            chains.push(regular(name, rules.collect()));
        }
    }
    chains
}

fn mark(family: AddressFamily, of: &Usable) -> Vec<Expression> {
    let marks = SetId::for_audience(MARKS, family, of.audience);
    let found = vec![look_up(marks, 0, Lookup::Load(word(FOUND)))];
    let set = vec![
        Expression::SetMeta {
            key: MetaKey::Mark,
            from: word(FOUND),
        },
        accept(),
    ];
    [load_vip(family), found, of.condition.clone(), set].concat()
}
