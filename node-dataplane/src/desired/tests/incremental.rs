//! The law of incremental derivation: however sources came to be what they are, what is derived is the same.

use proptest::prelude::*;

use super::*;
use crate::testing::world::{World, any_change};

/// No SCTP, and not every scheduler.
fn some() -> Capabilities {
    Capabilities {
        protocols: vec![Protocol::Tcp, Protocol::Udp],
        schedulers: vec![Scheduler::Rr, Scheduler::Lc],
        ..everything()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn after_any_changes_what_is_kept_is_what_would_be_derived_anew(
        changes in proptest::collection::vec(any_change(), 1..40),
        can_wildcard in any::<bool>(),
    ) {
        let mut capabilities = some();
        if !can_wildcard {
            capabilities.every_node_address = vec![];
        }
        let mut world = World::new();
        let mut kept = Desired::new(world.sources(&capabilities));
        for change in changes {
            let before = kept.table().clone();
            let findings: Vec<_> = kept.findings().cloned().collect();
            let checks = kept.health_checks().clone();
            let changed = world.apply(change);
            let sources = world.sources(&capabilities);
            let touched = kept.update(sources, &changed);
            prop_assert_eq!(&kept, &Desired::new(sources));
            let after = kept.table();
            let is_other =
                |key: &&Key| before.virtual_servers.get(key) != after.virtual_servers.get(key);
            let all = before.virtual_servers.keys().chain(after.virtual_servers.keys());
            let others: BTreeSet<Key> = all.filter(is_other).copied().collect();
            prop_assert_eq!(&touched.keys, &others, "what became different is touched, and no more");
            prop_assert!(touched.findings || kept.findings().eq(&findings));
            prop_assert!(touched.health_checks || *kept.health_checks() == checks);
            let is_inside_other = before.inside != after.inside || before.pods != after.pods;
            prop_assert_eq!(touched.inside, is_inside_other);
        }
    }
}
