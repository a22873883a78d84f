//! Flows that stand in the way of what changed: UDP and SCTP clients that go on sending to an endpoint that is gone, or
//! to none at all.

use std::{collections::BTreeMap, net::SocketAddr};

use meshlite_snapshot::Protocol;
use tracing::{debug, warn};

use super::balanced::Balanced;
use crate::{
    facts::local_addresses,
    host::{Conntrack, Serving},
    kernel::rules::Changes,
    table::{Audience, Frontend, Key, VirtualAddress},
};

/// Frontends whose flows may lead elsewhere than they should, with the endpoints that they may lead to.
#[derive(Debug, Default)]
pub(super) struct Moved(BTreeMap<Frontend, Vec<SocketAddr>>);

impl Moved {
    /// Those that changes take real servers from, or give the first to. TCP has connections, and ends them itself.
    pub(super) fn between(entries: &BTreeMap<Key, Balanced>, changes: &Changes<Balanced>) -> Self {
        let mut moved = BTreeMap::new();
        for (key, entry) in changes {
            let frontend = key.frontend;
            if frontend.protocol == Protocol::Tcp {
                continue;
            }
            let before = usable(entries.get(key));
            let after = usable(entry.as_ref());
            let is_moved = before.is_empty() || before.iter().any(|it| !after.contains(it));
            if is_moved && !after.is_empty() {
                let audiences = [Audience::Inside, Audience::Everyone];
                let all = audiences.into_iter().flat_map(|audience| {
                    let key = Key { frontend, audience };
                    let entry = match changes.get(&key) {
                        Some(changed) => changed.as_ref(),
                        None => entries.get(&key),
                    };
                    usable(entry)
                });
                moved.insert(frontend, all.collect());
            }
        }
        Self(moved)
    }

    /// Deletes the flows that lead elsewhere. Where that fails they end by themselves, once their clients are silent.
    pub(super) fn forget(self) {
        if self.0.is_empty() {
            return;
        }
        let is_everywhere =
            |frontend: &Frontend| matches!(frontend.address, VirtualAddress::EveryNodeAddress(_));
        let addresses = if self.0.keys().any(is_everywhere) {
            local_addresses().unwrap_or_default()
        } else {
            [].into()
        };
        let mut serving = Serving::on(addresses);
        for (frontend, endpoints) in self.0 {
            serving.add(frontend, endpoints);
        }
        let forget = || {
            let mut conntrack = Conntrack::connect()?;
            let flows = conntrack.flows(&[Protocol::Udp, Protocol::Sctp])?;
            conntrack.delete(&serving.stale(flows))
        };
        match forget() {
            Ok(deleted) => debug!(deleted, "flows to endpoints that are gone were deleted"),
            Err(error) => warn!(%error, "flows to endpoints that are gone may live on"),
        }
    }
}

fn usable(entry: Option<&Balanced>) -> Vec<SocketAddr> {
    let real_servers = entry.into_iter().flat_map(|entry| &entry.real_servers);
    real_servers
        .filter(|(_, real)| real.weight > 0)
        .map(|(address, _)| *address)
        .collect()
}
