//! Marks for virtual servers that IPVS finds by a mark: those that inside clients and others have of their own.
//!
//! ```text
//! prerouting −150 ─┬─ from inside ──> mark-inside-ip ── marks-inside: place → mark, else
//!                  └─ else ─────────> mark-ip ───────── marks: place → mark
//! output −150 ───────────────────────> mark-inside-ip
//! ```

use meshlite_nft::{ChainKind, Expression, Hook, Lookup, MetaKey};
use meshlite_snapshot::AddressFamily;

use super::{base, by_audience, chain_name, filter::audiences_of, regular, to};
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
        arriving.extend(by_audience("mark", family, detector));
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
            let rules = audiences_of(audience).iter().map(|of| mark(family, *of));
            let name = chain_name("mark", audience, family);
            chains.push(regular(name, rules.collect()));
        }
    }
    chains
}

fn mark(family: AddressFamily, audience: Audience) -> Vec<Expression> {
    let marks = SetId::for_audience(MARKS, family, audience);
    let steps = vec![
        look_up(marks, 0, Lookup::Load(word(FOUND))),
        Expression::SetMeta {
            key: MetaKey::Mark,
            from: word(FOUND),
        },
        accept(),
    ];
    [load_vip(family), steps].concat()
}
