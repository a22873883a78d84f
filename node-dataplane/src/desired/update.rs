//! A change of what a table is derived from, with all that follows from it: who claims which place at once, and then,
//! some Services at a time, what is served there.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    mem,
    net::SocketAddr,
    sync::Arc,
};

use meshlite_snapshot::{Name, Protocol};

use super::{
    Changed, Desired, Sources, Touched, fit, loops,
    service::View,
    share::{Asks, Offer, Share, Wish},
    surroundings::Surroundings,
};
use crate::table::{Frontend, Key, RealServer, VirtualServer};

/// What is not derived yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Services to be looked at.
    services: BTreeSet<Name>,
    /// Places that nobody claims any more.
    left: BTreeSet<Frontend>,
    /// What became different so far.
    touched: Touched,
}

/// Places whose claims are others.
#[derive(Debug, Default)]
struct Moves {
    /// Those that more than one claims, or did.
    contested: BTreeSet<Frontend>,
    /// Those that have their first claim.
    taken: Vec<Frontend>,
    /// Those that have lost their last. Another Service may have come there since.
    left: Vec<Frontend>,
}

// === impl Due ===

impl Due {
    /// Whether nothing is due, and nothing became different.
    fn is_empty(&self) -> bool {
        let Self {
            services,
            left,
            touched,
        } = self;
        services.is_empty() && left.is_empty() && touched.is_empty()
    }
}

// === impl Desired ===

impl Desired {
    /// Takes note that these of the sources have changed. What follows from it is derived by [`advance`](Self::advance).
    pub(crate) fn note(&mut self, sources: Sources<'_>, changed: &Changed) {
        if self.endpoints.is_none() && !self.shares.is_empty() {
            self.index();
        }
        let mut services = BTreeSet::new();
        let mut everything = changed.everything;
        if everything || changed.surroundings {
            everything |= self.surround(sources, &mut services);
        }
        if everything {
            services = self.all_services(sources);
        } else {
            services.extend(changed.services.iter().cloned());
        }
        let mut moves = Moves::default();
        for name in &services {
            self.claim(name, sources, &mut moves);
        }
        for frontend in &moves.contested {
            let after = self.claims.conflicts(frontend);
            let before = put(&mut self.contested, *frontend, &after);
            self.due.touched.findings |= self.findings.replace(&before, &after);
        }
        services.extend(self.neighbours(sources, &moves));
        services.extend(changed.backed.iter().cloned());
        services.extend(self.with_endpoints(&changed.endpoints).cloned());
        self.due.services.append(&mut services);
        let is_left = |frontend: &Frontend| !self.claims.is_claimed(frontend);
        self.due.left.extend(moves.left.into_iter().filter(is_left));
    }

    /// Derives what is due of at most so many Services, and tells what became different; `None` once nothing is due.
    pub(crate) fn advance(&mut self, sources: Sources<'_>, at_most: usize) -> Option<Touched> {
        if self.due.is_empty() {
            return None;
        }
        let mut touched = mem::take(&mut self.due.touched);
        for frontend in mem::take(&mut self.due.left) {
            // Another Service may have come there since.
            if !self.claims.is_claimed(&frontend) {
                self.serve(frontend, None, sources, &mut touched);
            }
        }
        for _ in 0..at_most {
            let Some(name) = self.due.services.pop_first() else {
                break;
            };
            self.look_at(&name, sources, &mut touched);
        }
        if self.due.services.is_empty() && self.endpoints.is_none() {
            self.index();
        }
        Some(touched)
    }

    /// Brings everything up to date with the sources, of which only these have changed since it was.
    #[cfg(test)]
    pub(crate) fn update(&mut self, sources: Sources<'_>, changed: &Changed) -> Touched {
        self.note(sources, changed);
        let mut all = Touched::default();
        while let Some(touched) = self.advance(sources, 1) {
            all.extend(touched);
        }
        all
    }

    /// Remembers where all endpoints are, which is far sooner done at once than one by one.
    fn index(&mut self) {
        let all = self.shares.iter();
        let all = all.map(|(name, share)| (name, &share.asks.endpoints[..]));
        self.endpoints = Some(all.collect());
    }

    /// Every Service that there is or was.
    fn all_services(&self, sources: Sources<'_>) -> BTreeSet<Name> {
        let mut all: BTreeSet<_> = sources.snapshot.services.keys().cloned().collect();
        all.append(&mut self.shares.keys().cloned().collect());
        all
    }

    /// Services with one of these endpoints.
    fn with_endpoints(&self, endpoints: &BTreeSet<SocketAddr>) -> impl Iterator<Item = &Name> {
        let all = self.endpoints.iter();
        all.flat_map(move |all| endpoints.iter().flat_map(|it| all.with(it.ip())))
    }

    /// Takes note of this node and of who is inside. Says whether every Service has to be looked at; otherwise those
    /// that have to are added.
    fn surround(&mut self, sources: Sources<'_>, services: &mut BTreeSet<Name>) -> bool {
        let now = Surroundings::new(sources.snapshot, sources.facts);
        if now == self.surroundings {
            return false;
        }
        let before = mem::replace(&mut self.surroundings, now);
        let now = &self.surroundings;
        self.due.touched.inside |= before.inside != now.inside || before.pods != now.pods;
        self.table.inside = Arc::clone(&now.inside);
        self.table.pods = now.pods.clone();
        if now.local_addresses != before.local_addresses
            || now.node_port_ranges != before.node_port_ranges
        {
            let with_node_ports = self.shares.iter().filter(|(_, s)| s.has_node_ports);
            services.extend(with_node_ports.map(|(name, _)| name.clone()));
            let moved = before
                .local_addresses
                .symmetric_difference(&now.local_addresses);
            if let Some(endpoints) = &self.endpoints {
                services.extend(moved.flat_map(|ip| endpoints.with(*ip)).cloned());
            }
        }
        now.moves_services(&before)
    }

    /// Remembers what a Service claims from now on.
    fn claim(&mut self, name: &Name, sources: Sources<'_>, moves: &mut Moves) {
        let view = View::new(name, sources, &self.surroundings);
        let has_node_ports = view.as_ref().is_some_and(View::has_node_ports);
        let after = view.map_or_else(Vec::new, |view| view.claims());
        let share = match self.shares.entry(name.clone()) {
            Entry::Occupied(share) => share.into_mut(),
            Entry::Vacant(_) if after.is_empty() && !has_node_ports => return,
            Entry::Vacant(place) => place.insert(Share::default()),
        };
        share.has_node_ports = has_node_ports;
        let before = mem::replace(&mut share.claims, after);
        let after = &share.claims;
        for claim in &before {
            if after.binary_search(claim).is_err() {
                moves.contested.insert(claim.frontend);
                if self.claims.remove(claim) {
                    moves.left.push(claim.frontend);
                }
            }
        }
        for claim in after {
            if before.binary_search(claim).is_err() {
                if self.claims.insert(claim.clone()) {
                    moves.taken.push(claim.frontend);
                } else {
                    moves.contested.insert(claim.frontend);
                }
            }
        }
    }

    /// Services that did not change themselves and have to be looked at: those that now have a place which another has
    /// left, and those with an endpoint that became a virtual address, or is none any more.
    fn neighbours(&self, sources: Sources<'_>, moves: &Moves) -> BTreeSet<Name> {
        let contested = moves.contested.iter();
        let holders = contested.filter_map(|frontend| self.claims.holder(frontend));
        let mut all: BTreeSet<Name> = holders.map(|claim| claim.service.clone()).collect();
        if let Some(endpoints) = &self.endpoints {
            let turned = moves.taken.iter().chain(&moves.left);
            all.extend(
                turned
                    .flat_map(|frontend| endpoints.at(frontend, sources.facts))
                    .cloned(),
            );
        }
        all
    }

    /// Derives what a Service asks for, and serves it where it has the place.
    fn look_at(&mut self, name: &Name, sources: Sources<'_>, touched: &mut Touched) {
        let mut place = match self.shares.entry(name.clone()) {
            Entry::Occupied(place) => place,
            Entry::Vacant(place) => place.insert_entry(Share::default()),
        };
        let share = place.get_mut();
        let view = View::new(name, sources, &self.surroundings);
        let wish = view.map(|view| view.wish(&share.claims, &self.claims, sources.snapshot));
        let Wish { asks, offers } = wish.unwrap_or_default();
        let before = mem::replace(&mut share.asks, asks);
        // Something is remembered of those only that ask for something.
        let after = if *share == Share::default() {
            place.remove();
            &Asks::default()
        } else {
            &place.into_mut().asks
        };
        if let Some(endpoints) = &mut self.endpoints {
            endpoints.replace(name, &before.endpoints, &after.endpoints);
        }
        touched.findings |= self.findings.replace(&before.findings, &after.findings);
        let (old, new) = (before.health_check.as_ref(), after.health_check.as_ref());
        touched.health_checks |= self.health_checks.replace(name, old, new);
        self.no_local_endpoints
            .replace(before.no_local_endpoints, after.no_local_endpoints);
        for (frontend, offer) in offers {
            self.serve(frontend, offer, sources, touched);
        }
    }

    /// Serves at a place what is offered for it, if anything is.
    fn serve(
        &mut self,
        frontend: Frontend,
        offer: Option<Offer>,
        sources: Sources<'_>,
        touched: &mut Touched,
    ) {
        let (everyone, inside) = match offer {
            Some(Offer { everyone, inside }) => (Some(everyone), inside),
            None => (None, None),
        };
        let mut findings = Vec::new();
        let mut trim = |mut server: VirtualServer| {
            let protocol = frontend.protocol;
            loops::cut(
                &mut server,
                protocol,
                &self.claims,
                sources.facts,
                &mut findings,
            );
            if protocol == Protocol::Tcp {
                avoid(&mut server, sources.dead);
            }
            let is_served = fit::fit(&mut server, &frontend, sources.capabilities, &mut findings);
            is_served.then_some(server)
        };
        let (everyone, inside) = (everyone.and_then(&mut trim), inside.and_then(&mut trim));
        findings.sort_unstable();
        findings.dedup();
        let before = put(&mut self.trimmed, frontend, &findings);
        touched.findings |= self.findings.replace(&before, &findings);
        let was_served = self.set(Key::everyone(frontend), everyone, touched);
        // Nobody is served inside alone.
        if was_served || inside.is_some() {
            self.set(Key::inside(frontend), inside, touched);
        }
    }

    /// Says whether there was a virtual server before.
    fn set(&mut self, key: Key, server: Option<VirtualServer>, touched: &mut Touched) -> bool {
        let place = self.table.virtual_servers.entry(key);
        let was_there = matches!(place, Entry::Occupied(_));
        match (place, server) {
            (Entry::Vacant(_), None) => return was_there,
            (Entry::Occupied(place), Some(server)) if *place.get() == server => return was_there,
            (place, Some(server)) => {
                place.insert_entry(server);
            }
            (Entry::Occupied(place), None) => {
                place.remove();
            }
        }
        touched.keys.insert(key);
        was_there
    }
}

/// Sends no new connections to real servers that do not answer, unless that would leave none: then who checks is more
/// likely to be wrong than all of them.
fn avoid(server: &mut VirtualServer, dead: &BTreeSet<SocketAddr>) {
    let is_usable =
        |(address, real): &(SocketAddr, RealServer)| real.weight > 0 && !dead.contains(address);
    if dead.is_empty() || !server.real_servers.iter().any(is_usable) {
        return;
    }
    let all = server.real_servers.addresses();
    let found: Vec<_> = all.filter(|address| dead.contains(address)).collect();
    for address in found {
        if let Some(real) = server.real_servers.get_mut(address) {
            real.weight = 0;
        }
    }
}

/// Puts findings in where there are any, and gives back what was there.
fn put<T>(places: &mut BTreeMap<Frontend, Vec<T>>, at: Frontend, new: &[T]) -> Vec<T>
where
    T: Clone,
{
    let before = if new.is_empty() {
        places.remove(&at)
    } else {
        places.insert(at, new.to_vec())
    };
    before.unwrap_or_default()
}
