//! How many requests a client of a route may make, in a time and at once.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::LazyLock,
    time::Duration,
};

use http::StatusCode;
use meshlite_snapshot::ObjectRef;
use tokio::time::Instant;

use super::{
    access::Ranges,
    concurrency::{Place, UnderWay},
    rate::{Buckets, ClientKey, Rate},
};
use crate::respond::Refusal;

/// Limits that all routes of one object share.
#[derive(Debug)]
pub(crate) struct Limits {
    /// With the number that its buckets are found by.
    rates: Box<[(u64, Rate)]>,
    at_once: Option<(u64, u32)>,
    exempt: Ranges,
    status: StatusCode,
}

/// What clients have taken of all limits.
#[derive(Debug)]
pub(crate) struct Taken {
    buckets: Buckets,
    under_way: UnderWay,
    connections: UnderWay,
}

impl Limits {
    /// None where there is no limit.
    pub(crate) fn new(limits: &meshlite_snapshot::Limits, owner: &ObjectRef) -> Option<Self> {
        // The same limit of the same object keeps its buckets when tables change.
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let owner = owner.to_string();
        let key = |limit: &str| HASHER.hash_one((&owner, limit));
        let rates = limits.rates.iter().filter_map(|limit| {
            let per = Duration::from_secs(limit.per_seconds.max(1).into());
            let rate = Rate::new(limit.requests, per, limit.burst)?;
            Some((key(&format!("{limit:?}")), rate))
        });
        let rates: Box<[_]> = rates.collect();
        let at_once = limits
            .concurrent_requests
            .map(|most| (key("at once"), most));
        let status = limits
            .status
            .and_then(|status| StatusCode::from_u16(status).ok());
        (!rates.is_empty() || at_once.is_some()).then(|| Self {
            rates,
            at_once,
            exempt: Ranges::new(&limits.exempt),
            status: status.unwrap_or(StatusCode::TOO_MANY_REQUESTS),
        })
    }

    /// Takes one request of a client, and gives the place that it has until it is over.
    pub(crate) fn take(
        &self,
        taken: &Taken,
        client: IpAddr,
        now: Instant,
    ) -> Result<Option<Place>, Refusal> {
        if self.exempt.contains(client) {
            return Ok(None);
        }
        let key = ClientKey::new(client);
        for (limit, rate) in &self.rates {
            taken
                .buckets
                .take(*limit, *rate, key, now)
                .map_err(|wait| Refusal::TooManyRequests {
                    status: self.status,
                    wait,
                })?;
        }
        let Some((limit, most)) = self.at_once else {
            return Ok(None);
        };
        let place = taken.under_way.enter(limit, key, most);
        place.map(Some).ok_or(Refusal::TooManyAtOnce(self.status))
    }
}

impl Taken {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            buckets: Buckets::new(now),
            under_way: UnderWay::default(),
            connections: UnderWay::default(),
        }
    }

    /// A place for one more connection of a client; none where it has too many.
    pub(crate) fn connect(&self, client: IpAddr, most: u32) -> Option<Place> {
        self.connections.enter(0, ClientKey::new(client), most)
    }
}
