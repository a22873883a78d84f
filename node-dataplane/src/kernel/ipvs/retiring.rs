//! Virtual servers that get no new connections and keep those that they have: until these end, or for as long as a drain
//! may take.

use std::{collections::BTreeMap, time::Duration};

use meshlite_ipvs::{Change, Destination, DestinationEntry, DestinationSettings, ServiceKey};
use tokio::time::Instant;

/// Virtual servers on their way out, and since when.
#[derive(Debug, Default)]
pub(super) struct Retiring(BTreeMap<ServiceKey, Instant>);

// === impl Retiring ===

impl Retiring {
    /// Starts with one, or goes on with it.
    pub(super) fn add(&mut self, key: ServiceKey, now: Instant) {
        self.0.entry(key).or_insert(now);
    }

    /// One is gone, or wanted again.
    pub(super) fn forget(&mut self, key: ServiceKey) {
        self.0.remove(&key);
    }

    /// Whether one is on its way out.
    pub(super) fn contains(&self, key: ServiceKey) -> bool {
        self.0.contains_key(&key)
    }

    /// All of them.
    pub(super) fn keys(&self) -> Vec<ServiceKey> {
        self.0.keys().copied().collect()
    }

    /// What to do about one, and whether it is gone after that.
    pub(super) fn tend(
        &self,
        key: ServiceKey,
        destinations: &[DestinationEntry],
        limit: Duration,
        now: Instant,
    ) -> (Vec<Change>, bool) {
        let since = self.0.get(&key).copied().unwrap_or(now);
        let is_over = now.saturating_duration_since(since) >= limit;
        let is_used = |entry: &&DestinationEntry| connections(entry) > 0;
        if is_over || !destinations.iter().any(|entry| is_used(&entry)) {
            return (vec![Change::DeleteService(key)], true);
        }
        let changes = destinations.iter().filter_map(|entry| {
            let Destination {
                key: address,
                settings,
            } = entry.destination;
            if !is_used(&entry) {
                return Some(Change::DeleteDestination(key, address));
            }
            let quiet = DestinationSettings {
                weight: 0,
                ..settings
            };
            let destination = Destination {
                key: address,
                settings: quiet,
            };
            (settings != quiet).then_some(Change::EditDestination(key, destination))
        });
        (changes.collect(), false)
    }
}

/// Connections that need a real server: also those that are being made or closed.
pub(super) fn connections(entry: &DestinationEntry) -> u64 {
    u64::from(entry.active_connections) + u64::from(entry.inactive_connections)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use meshlite_ipvs::Statistics;

    use super::*;
    use crate::kernel::ipvs::{mark::Mark, value};

    const LIMIT: Duration = Duration::from_mins(1);

    fn entry(address: &str, weight: u16, active_connections: u32) -> DestinationEntry {
        let address: SocketAddr = address.parse().unwrap();
        DestinationEntry {
            destination: value::destination(address, weight),
            active_connections,
            inactive_connections: 0,
            persistent_connections: 0,
            statistics: Statistics::default(),
        }
    }

    #[test]
    fn connections_end_before_their_virtual_server_does_unless_it_takes_too_long() {
        let key = Mark::of(0x6d00_0000, meshlite_snapshot::AddressFamily::Ipv4)
            .unwrap()
            .service_key();
        let start = Instant::now();
        let mut retiring = Retiring::default();
        retiring.add(key, start);
        let (used, idle) = (entry("10.244.0.1:80", 1, 3), entry("10.244.0.2:80", 1, 0));
        let quiet =
            Change::EditDestination(key, value::destination("10.244.0.1:80".parse().unwrap(), 0));
        let gone = Change::DeleteDestination(key, idle.destination.key);
        let tend = |destinations: &[_], now| retiring.tend(key, destinations, LIMIT, now);
        assert_eq!(tend(&[used, idle], start), (vec![quiet, gone], false));
        let quieted = entry("10.244.0.1:80", 0, 1);
        assert_eq!(tend(&[quieted], start), (vec![], false));
        let over = (vec![Change::DeleteService(key)], true);
        assert_eq!(tend(&[entry("10.244.0.1:80", 0, 0)], start), over);
        assert_eq!(tend(&[quieted], start + LIMIT), over);
    }
}
