//! Which client stays with which endpoint: one bounded table for each Service port, shared by all its addresses.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Clients remembered for one Service port. Beyond that the one unseen for longest is forgotten.
const MAX_CLIENTS: usize = 65_536;

/// The clients of one Service port.
#[derive(Debug, Default)]
pub(super) struct Affinity(Mutex<Clients>);

#[derive(Debug, Default)]
struct Clients {
    by_address: BTreeMap<IpAddr, Client>,
    /// Clients by the number of their last visit: the first is the one unseen for longest.
    by_visit: BTreeMap<u64, IpAddr>,
    visits: u64,
}

#[derive(Debug)]
struct Client {
    endpoint: SocketAddr,
    seen: Instant,
    visit: u64,
}

// === impl Affinity ===

impl Affinity {
    /// Where the client was sent last, unless that was longer than `timeout` ago.
    pub(super) fn endpoint_of(
        &self,
        client: IpAddr,
        timeout: Duration,
        now: Instant,
    ) -> Option<SocketAddr> {
        let clients = self.lock();
        let found = clients.by_address.get(&client)?;
        (now.saturating_duration_since(found.seen) < timeout).then_some(found.endpoint)
    }

    /// The client was still there, `now`, unless it was sent elsewhere since.
    pub(super) fn refresh(&self, client: IpAddr, endpoint: SocketAddr, now: Instant) {
        let mut clients = self.lock();
        let is_there = clients
            .by_address
            .get(&client)
            .is_some_and(|found| found.endpoint == endpoint && found.seen < now);
        if is_there {
            clients.remember(client, endpoint, now, MAX_CLIENTS);
        }
    }

    /// The client is sent there, `now`.
    pub(super) fn remember(&self, client: IpAddr, endpoint: SocketAddr, now: Instant) {
        self.lock().remember(client, endpoint, now, MAX_CLIENTS);
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Clients ===

impl Clients {
    fn remember(&mut self, client: IpAddr, endpoint: SocketAddr, now: Instant, limit: usize) {
        self.visits += 1;
        let entry = Client {
            endpoint,
            seen: now,
            visit: self.visits,
        };
        if let Some(before) = self.by_address.insert(client, entry) {
            self.by_visit.remove(&before.visit);
        }
        self.by_visit.insert(self.visits, client);
        while self.by_address.len() > limit {
            let Some((_, oldest)) = self.by_visit.pop_first() else {
                return;
            };
            self.by_address.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn client(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn endpoint(n: u16) -> SocketAddr {
        ([10, 244, 0, 1], n).into()
    }

    #[test]
    fn a_client_is_remembered_until_it_was_unseen_for_the_timeout() {
        let (affinity, start) = (Affinity::default(), Instant::now());
        affinity.remember(client(1), endpoint(1), start);
        let after = |s| affinity.endpoint_of(client(1), TIMEOUT, start + Duration::from_secs(s));
        assert_eq!(after(9), Some(endpoint(1)));
        assert_eq!(after(10), None);
        affinity.remember(client(1), endpoint(1), start + Duration::from_secs(9));
        assert_eq!(after(18), Some(endpoint(1)));
        assert_eq!(
            affinity.endpoint_of(client(2), TIMEOUT, start),
            None,
            "another client"
        );
    }

    #[test]
    fn the_end_of_an_old_connection_does_not_call_back_a_client_that_moved() {
        let (affinity, start) = (Affinity::default(), Instant::now());
        let later = start + Duration::from_secs(5);
        affinity.remember(client(1), endpoint(1), start);
        affinity.refresh(client(1), endpoint(1), later);
        let at_14 = start + Duration::from_secs(14);
        assert_eq!(
            affinity.endpoint_of(client(1), TIMEOUT, at_14),
            Some(endpoint(1))
        );
        affinity.remember(client(1), endpoint(2), later);
        affinity.refresh(client(1), endpoint(1), at_14);
        assert_eq!(
            affinity.endpoint_of(client(1), TIMEOUT, at_14),
            Some(endpoint(2))
        );
        affinity.refresh(client(2), endpoint(1), start);
        assert_eq!(affinity.endpoint_of(client(2), TIMEOUT, start), None);
    }

    #[test]
    fn the_client_unseen_for_longest_is_forgotten_first() {
        let (mut clients, now) = (Clients::default(), Instant::now());
        for n in [1, 2, 3, 1, 4] {
            clients.remember(client(n), endpoint(n.into()), now, 3);
        }
        let left: Vec<_> = clients.by_address.keys().copied().collect();
        assert_eq!(left, [client(1), client(3), client(4)]);
        assert_eq!(clients.by_visit.len(), 3);
    }
}
