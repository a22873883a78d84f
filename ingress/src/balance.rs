//! Chooses the endpoint that a request goes to, and the ones after it if that one fails.

mod budget;
mod endpoint;
mod ewma;
mod ketama;
mod key;
mod outlier;
mod spread;
mod sticky;

use std::{net::SocketAddr, rc::Rc, time::Duration};

use http::{HeaderValue, request::Parts};
use tokio::time::Instant;
use tracing::debug;

use self::sticky::Wanted;
pub(crate) use self::{
    endpoint::{Endpoint, InFlight},
    ketama::Ring,
    outlier::Outcome,
    spread::{Counts, Spread},
    sticky::Sticky,
};
use crate::{
    pool::Resolver,
    respond::Refusal,
    table::{Cluster, Endpoints},
};

/// Points of the ring that are looked at for an endpoint with room.
const MOST_PASSED: usize = 256;

/// The endpoints of a cluster, in the order in which one request tries them.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    cluster: &'a Cluster,
    addresses: Addresses<'a>,
    /// Whose turn it is.
    number: usize,
    /// What the request's cookie, or what it is hashed by, says.
    wish: Wish,
    tried: Tried,
    now: Instant,
}

/// The endpoints that were tried. Nearly always it is one, which costs no allocation.
#[derive(Debug, Default)]
struct Tried {
    last: Option<usize>,
    before: Vec<usize>,
}

/// Where the endpoints of a cluster are.
#[derive(Debug)]
pub(crate) enum Addresses<'a> {
    Known(&'a [Endpoint]),
    Resolved(Rc<[SocketAddr]>),
}

#[derive(Debug)]
enum Wish {
    None,
    /// The client was served by this one before.
    Endpoint(usize),
    /// The request belongs where this key is on the ring.
    Key(Vec<u8>),
    /// As [`Wish::Key`], with a key that the client gets in a cookie.
    NewKey([u8; 32]),
}

/// The endpoint that is tried next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) address: SocketAddr,
    index: usize,
    endpoint: Option<&'a Endpoint>,
}

/// The endpoints of a cluster as they are now.
pub(crate) async fn addresses<'a>(
    cluster: &'a Cluster,
    resolver: &Resolver,
) -> Result<Addresses<'a>, Refusal> {
    match &cluster.endpoints {
        Endpoints::Known(endpoints) if endpoints.is_empty() => Err(Refusal::NoEndpoints),
        Endpoints::Known(endpoints) => Ok(Addresses::Known(endpoints)),
        Endpoints::Dns { name, port } => {
            // Not within this future, where it would take room in that of every request.
            let resolved = Box::pin(resolver.resolve(name, *port)).await;
            let resolved = resolved.map_err(|error| {
                debug!(cluster = %cluster.name, %name, %error, "name cannot be resolved");
                Refusal::NoAddress
            })?;
            if resolved.is_empty() {
                return Err(Refusal::NoAddress);
            }
            Ok(Addresses::Resolved(resolved))
        }
    }
}

fn wish(cluster: &Cluster, request: &Parts, peer: SocketAddr) -> Wish {
    if let Some(sticky) = &cluster.sticky {
        return match sticky.wanted(&request.headers) {
            Some(Wanted::Endpoint(at)) => Wish::Endpoint(at),
            Some(Wanted::Hashed(key)) => Wish::Key(key.to_vec()),
            None if sticky.cookie.balanced => Wish::NewKey(sticky::hex(fastrand::u128(..))),
            None => Wish::None,
        };
    }
    match &cluster.spread {
        Spread::Hash(by) => key::hash_key(by, request, peer).map_or(Wish::None, Wish::Key),
        Spread::RoundRobin | Spread::LeastRequest | Spread::PeakEwma => Wish::None,
    }
}

impl Tried {
    fn push(&mut self, index: usize) {
        if let Some(before) = self.last.replace(index) {
            self.before.push(before);
        }
    }

    fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    fn contains(&self, index: usize) -> bool {
        self.last == Some(index) || self.before.contains(&index)
    }
}

impl<'a> Turn<'a> {
    /// Whose turn it is among a cluster's endpoints, for a request of the client at `peer`.
    pub(crate) fn new(
        cluster: &'a Cluster,
        addresses: Addresses<'a>,
        request: &Parts,
        peer: SocketAddr,
        now: Instant,
    ) -> Self {
        Self {
            cluster,
            addresses,
            number: cluster.counts.next(),
            wish: wish(cluster, request, peer),
            tried: Tried::default(),
            now,
        }
    }

    /// How many endpoints there are.
    pub(crate) fn count(&self) -> usize {
        match &self.addresses {
            Addresses::Known(endpoints) => endpoints.len(),
            Addresses::Resolved(addresses) => addresses.len(),
        }
    }

    /// The next endpoint; none once all were tried.
    pub(crate) fn next(&mut self) -> Option<Target<'a>> {
        let index = match self.addresses {
            Addresses::Known(endpoints) => self.choose(endpoints)?,
            Addresses::Resolved(_) => self.first_from(self.number, |_| true)?,
        };
        self.tried.push(index);
        Some(match &self.addresses {
            Addresses::Known(endpoints) => {
                let endpoint = endpoints.get(index)?;
                Target {
                    address: endpoint.address,
                    index,
                    endpoint: Some(endpoint),
                }
            }
            Addresses::Resolved(addresses) => Target {
                address: *addresses.get(index)?,
                index,
                endpoint: None,
            },
        })
    }

    /// The request is under way to an endpoint, for as long as what this returns lives.
    pub(crate) fn begin(&self, target: Target<'_>) -> Option<InFlight> {
        let all = self.cluster.ring.is_some().then_some(&self.cluster.counts);
        Some(target.endpoint?.begin(all))
    }

    /// Notes how a request to an endpoint went.
    pub(crate) fn note(&self, target: Target<'_>, outcome: Outcome, now: Instant) {
        let (Some(endpoint), Addresses::Known(all)) = (target.endpoint, &self.addresses) else {
            return;
        };
        let may_eject = || {
            let out = all.iter().filter(|other| other.load.is_ejected(now));
            (out.count() + 1) * 2 <= all.len()
        };
        if endpoint.load.note(outcome, now, may_eject) {
            debug!(cluster = %self.cluster.name, endpoint = %endpoint.address, "endpoint left out");
        }
    }

    /// Notes how long an endpoint took to begin its answer, where somebody wants to know.
    pub(crate) fn observe(&self, target: Target<'_>, took: Duration, now: Instant) {
        if let (Some(endpoint), Spread::PeakEwma) = (target.endpoint, &self.cluster.spread) {
            endpoint.load.observe(took, now);
        }
    }

    /// The `Set-Cookie` that brings the client back to where it was served, if it has to be told.
    pub(crate) fn cookie(&self, target: Target<'_>, is_tls: bool) -> Option<HeaderValue> {
        let sticky = self.cluster.sticky.as_ref()?;
        match &self.wish {
            Wish::Key(_) => None,
            Wish::NewKey(key) => sticky.set_cookie(Wanted::Hashed(key), is_tls),
            Wish::Endpoint(wanted)
                if *wanted == target.index || !sticky.cookie.change_on_failure =>
            {
                None
            }
            Wish::Endpoint(_) | Wish::None => {
                sticky.set_cookie(Wanted::Endpoint(target.index), is_tls)
            }
        }
    }

    fn choose(&self, endpoints: &[Endpoint]) -> Option<usize> {
        let usable = |index: usize| {
            let endpoint = endpoints.get(index);
            endpoint.is_some_and(|endpoint| !endpoint.load.is_ejected(self.now))
        };
        let key = match &self.wish {
            Wish::Endpoint(wanted) if self.tried.is_empty() && usable(*wanted) => {
                return Some(*wanted);
            }
            Wish::Key(key) => Some(key.as_slice()),
            Wish::NewKey(key) => Some(key.as_slice()),
            Wish::Endpoint(_) | Wish::None => None,
        };
        if let (Some(key), Some(ring)) = (key, &self.cluster.ring) {
            let total = self.cluster.counts.active();
            let has_room = |index: &usize| {
                let endpoint = endpoints.get(*index);
                endpoint.is_some_and(|endpoint| {
                    ketama::has_room(endpoint.load.active(), total, endpoints.len())
                })
            };
            let untried = |index: &usize| !self.tried.contains(*index) && usable(*index);
            let mut walk = ring.walk(key).filter(untried).take(MOST_PASSED);
            let chosen = walk.find(has_room).or_else(|| ring.walk(key).find(untried));
            if chosen.is_some() {
                return chosen;
            }
        }
        match self.cluster.spread {
            Spread::LeastRequest => self.better_of_two(endpoints, usable, |endpoint| {
                f64::from(u32::try_from(endpoint.load.active()).unwrap_or(u32::MAX))
            }),
            Spread::PeakEwma => {
                self.better_of_two(endpoints, usable, |endpoint| endpoint.load.cost(self.now))
            }
            Spread::RoundRobin | Spread::Hash(_) => self.first_from(self.number, usable),
        }
    }

    /// The one that costs less, of the one whose turn it is and a random other one. Where they cost the same it is the
    /// former, so that requests that come one after the other reach every endpoint.
    fn better_of_two(
        &self,
        endpoints: &[Endpoint],
        usable: impl Fn(usize) -> bool,
        cost: impl Fn(&Endpoint) -> f64,
    ) -> Option<usize> {
        let first = self.first_from(self.number, &usable)?;
        let other = |index: usize| index != first && usable(index);
        let second = self.first_from(fastrand::usize(..endpoints.len()), other)?;
        if !other(second) {
            return Some(first);
        }
        let costs = (cost(endpoints.get(first)?), cost(endpoints.get(second)?));
        Some(if costs.1 < costs.0 { second } else { first })
    }

    /// The first usable endpoint from a number on that was not tried; if there is none, any that was not tried.
    fn first_from(&self, number: usize, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.count();
        let start = number.checked_rem(count)?;
        let mut untried = (start..count)
            .chain(0..start)
            .filter(|index| !self.tried.contains(*index));
        let mut any = None;
        untried
            .find(|index| {
                any.get_or_insert(*index);
                usable(*index)
            })
            .or(any)
    }
}
