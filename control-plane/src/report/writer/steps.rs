//! What to do next about an Ingress or a Service: pure, from what is wanted and what it was last seen to say.

use std::collections::BTreeSet;

use meshlite_compile::ObjectKey;
use meshlite_kubernetes::{
    Address, IngressChange, IngressState, Notice, Programmed, ServiceState, Timestamp,
};
use meshlite_snapshot::ObjectRef;

use super::desk::Step;
use crate::{
    report::{index::Index, members::Census},
    watch::Facts,
};

/// What should be there.
pub(in crate::report) struct Wanted<'a> {
    pub(in crate::report) facts: &'a Facts,
    pub(in crate::report) index: &'a Index,
    pub(in crate::report) addresses: Option<BTreeSet<Address>>,
    pub(in crate::report) notices: Vec<Notice>,
    /// None while data planes may be missing that are there.
    pub(in crate::report) counts: Option<Counts>,
    /// Whether a generation was published long enough ago.
    pub(in crate::report) is_settled: Box<dyn Fn(u64) -> bool + Send + Sync>,
    pub(in crate::report) wall: Timestamp,
}

/// How far the data planes are.
pub(in crate::report) struct Counts {
    pub(in crate::report) ingresses: Census,
    pub(in crate::report) nodes: Census,
    /// The term has just begun: data planes may still be on their way here.
    pub(in crate::report) is_early: bool,
}

impl Counts {
    /// Whether this is worth saying where `before` is said. What was said of more data planes stays while some of them may
    /// still be on their way; and where nobody is and nobody was, there is nothing to say.
    fn is_news(&self, programmed: Programmed, before: Option<Programmed>) -> bool {
        let before = before.map_or(0, |before| before.of);
        let is_less = programmed.of < before;
        (programmed.of > 0 || is_less) && !(self.is_early && is_less)
    }
}

pub(super) fn ingress(
    wanted: &Wanted<'_>,
    key: &ObjectKey,
    state: Option<&IngressState>,
) -> Option<Step> {
    let object = wanted.facts.object("Ingress", key)?;
    let Some(state) = state.filter(|state| is_current(&state.version, object.version)) else {
        return Some(Step::Read);
    };
    let changed = wanted.index.ingresses.get(key).copied();
    let counts = wanted
        .counts
        .as_ref()
        .filter(|_| changed.is_none_or(&wanted.is_settled));
    let programmed = counts.and_then(|counts| {
        let object = ObjectRef::new("Ingress", &*key.namespace, &*key.name);
        let programmed = counts.ingresses.programmed(&object, changed);
        let says = state.programmed.as_deref();
        let is_news = counts.is_news(programmed, says.and_then(Programmed::read));
        (is_news && says != Some(&programmed.to_string())).then_some(programmed)
    });
    let addresses = wanted.addresses.as_ref();
    let change = IngressChange {
        addresses: addresses
            .filter(|wanted| **wanted != state.addresses)
            .cloned(),
        programmed,
    };
    (!change.is_empty()).then(|| Step::Write(change.patch(state)))
}

pub(super) fn service(
    wanted: &Wanted<'_>,
    key: &ObjectKey,
    state: Option<&ServiceState>,
) -> Option<Step> {
    let object = wanted.facts.object("Service", key)?;
    let Some(state) = state.filter(|state| is_current(&state.version, object.version)) else {
        return Some(Step::Read);
    };
    let counts = wanted.counts.as_ref()?;
    let changed = *wanted.index.services.get(key)?;
    if !(wanted.is_settled)(changed) {
        return None;
    }
    let object = ObjectRef::new("Service", &*key.namespace, &*key.name);
    let programmed = counts.nodes.programmed(&object, Some(changed));
    let is_news = counts.is_news(programmed, state.programmed());
    (is_news && !state.says(programmed)).then(|| Step::Write(state.patch(programmed, wanted.wall)))
}

/// Whether a state that was read at this version is not older than what the watch has seen.
fn is_current(read: &str, seen: u64) -> bool {
    read.parse::<u64>().is_ok_and(|read| read >= seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_leader_says_fewer_only_when_those_that_are_missing_have_had_their_time() {
        let counts = |is_early| Counts {
            ingresses: Census::default(),
            nodes: Census::default(),
            is_early,
        };
        let of = |of: usize| Programmed {
            done: of.min(1),
            of,
        };
        let (early, later) = (counts(true), counts(false));
        let said = Some(of(3));
        assert!(!early.is_news(of(1), said));
        assert!(!early.is_news(of(0), said));
        assert!(early.is_news(of(3), said) && early.is_news(of(4), said));
        assert!(early.is_news(of(1), None));
        assert!(later.is_news(of(1), said) && later.is_news(of(0), said));
        assert!(!later.is_news(of(0), None));
    }

    #[test]
    fn a_state_is_current_from_the_version_that_the_watch_has_seen() {
        assert!(is_current("7", 7) && is_current("8", 7));
        assert!(!is_current("6", 7) && !is_current("", 0));
    }
}
