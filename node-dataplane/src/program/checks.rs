//! Which endpoints answer: whom to ask when, and what the answers mean. Pure.
//!
//! Kubernetes notices a dead Pod when its probe fails or its node is silent for long; a node that cannot connect knows
//! at once, and only for itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use tokio::time::Instant;

use crate::table::Key;

/// How often each endpoint is asked, if there are few.
const PERIOD: Duration = Duration::from_secs(5);

/// How many endpoints are asked in one second, if there are many.
const PER_SECOND: u32 = 500;

/// How many endpoints are asked at once.
const AT_ONCE: usize = 64;

/// An endpoint is dead once it did not answer so many times in a row. One answer brings it back.
const FAILURES: u8 = 3;

/// Which endpoints answer.
#[derive(Debug, Default)]
pub(super) struct Checks {
    of: BTreeMap<Key, BTreeSet<SocketAddr>>,
    endpoints: BTreeMap<SocketAddr, Endpoint>,
    /// Endpoints that are not being asked.
    schedule: BTreeSet<(Instant, SocketAddr)>,
    being_asked: usize,
    dead: BTreeSet<SocketAddr>,
}

#[derive(Debug)]
struct Endpoint {
    /// Virtual servers that have it.
    users: usize,
    failures: u8,
    /// None while it is being asked.
    next: Option<Instant>,
}

// === impl Checks ===

impl Checks {
    /// Endpoints that do not answer.
    pub(super) const fn dead(&self) -> &BTreeSet<SocketAddr> {
        &self.dead
    }

    /// Says which endpoints a virtual server has. `random` is from 0 to 1.
    pub(super) fn set(
        &mut self,
        key: Key,
        endpoints: BTreeSet<SocketAddr>,
        now: Instant,
        mut random: impl FnMut() -> f64,
    ) {
        let before = self.of.remove(&key).unwrap_or_default();
        for address in endpoints.difference(&before) {
            if let Some(known) = self.endpoints.get_mut(address) {
                known.users += 1;
                continue;
            }
            // Spread over the period from the start.
            let next = now + self.period().mul_f64(random());
            let endpoint = Endpoint {
                users: 1,
                failures: 0,
                next: Some(next),
            };
            self.endpoints.insert(*address, endpoint);
            self.schedule.insert((next, *address));
        }
        for address in before.difference(&endpoints) {
            self.release(*address);
        }
        if !endpoints.is_empty() {
            self.of.insert(key, endpoints);
        }
    }

    /// When somebody is to be asked; none while enough are being asked.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let (at, _) = self.schedule.first()?;
        (self.being_asked < AT_ONCE).then_some(*at)
    }

    /// Whom to ask now.
    pub(super) fn next(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.next_at().is_none_or(|at| at > now) {
            return None;
        }
        let (_, address) = self.schedule.pop_first()?;
        if let Some(endpoint) = self.endpoints.get_mut(&address) {
            endpoint.next = None;
        }
        self.being_asked += 1;
        Some(address)
    }

    /// What came of asking; none if nothing was learned. Says whether the endpoint died or came back to life. `random` is
    /// from 0 to 1.
    pub(super) fn answered(
        &mut self,
        address: SocketAddr,
        is_alive: Option<bool>,
        now: Instant,
        random: f64,
    ) -> bool {
        self.being_asked = self.being_asked.saturating_sub(1);
        let wait = self.period().mul_f64(0.75 + random / 2.0);
        let Some(endpoint) = self.endpoints.get_mut(&address) else {
            return false;
        };
        if endpoint.next.is_none() {
            endpoint.next = Some(now + wait);
            self.schedule.insert((now + wait, address));
        }
        match is_alive {
            None => false,
            Some(true) => {
                endpoint.failures = 0;
                self.dead.remove(&address)
            }
            Some(false) => {
                endpoint.failures = endpoint.failures.saturating_add(1);
                endpoint.failures >= FAILURES && self.dead.insert(address)
            }
        }
    }

    fn release(&mut self, address: SocketAddr) {
        let Some(endpoint) = self.endpoints.get_mut(&address) else {
            return;
        };
        endpoint.users -= 1;
        if endpoint.users == 0 {
            if let Some(next) = endpoint.next {
                self.schedule.remove(&(next, address));
            }
            self.endpoints.remove(&address);
            self.dead.remove(&address);
        }
    }

    fn period(&self) -> Duration {
        let endpoints = u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        (Duration::from_secs(1) * (endpoints / PER_SECOND)).max(PERIOD)
    }
}

#[cfg(test)]
mod tests;
