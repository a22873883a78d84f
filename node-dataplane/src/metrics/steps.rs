//! Programming steps, by outcome.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

/// How many steps there were. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    /// As they are shown.
    pub(super) all: Family<OutcomeLabel, Counter>,
    ok: Counter,
    failed: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabel {
    outcome: &'static str,
}

// === impl Steps ===

impl Default for Steps {
    /// None of either outcome, which is shown: who watches for an increase sees the first one too.
    fn default() -> Self {
        let all = Family::<OutcomeLabel, Counter>::default();
        let of = |outcome| all.get_or_create(&OutcomeLabel { outcome }).clone();
        let (ok, failed) = (of("ok"), of("failed"));
        Self { all, ok, failed }
    }
}

impl Steps {
    pub(crate) fn count(&self, ok: usize, failed: usize) {
        for (counter, count) in [(&self.ok, ok), (&self.failed, failed)] {
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }
}
