//! A change of what a table is derived from, with all that follows from it: who claims which place at once, and then,
//! some Services at a time, what is served there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use meshlite_snapshot::{Name, Protocol};

use super::{
    Changed, Desired, Sources, Touched,
    endpoints::Place,
    fit, loops,
    service::View,
    share::{Offer, Share, Wish},
    surroundings::Surroundings,
};
use crate::table::{Frontend, Key, VirtualServer};

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
    /// All of them.
    contested: BTreeSet<Frontend>,
    /// Those that have their first claim, or have lost their last.
    turned: BTreeSet<Frontend>,
}

impl Desired {
    /// Takes note that these of the sources have changed. What follows from it is derived by [`advance`](Self::advance).
    pub(crate) fn note(&mut self, sources: Sources<'_>, changed: &Changed) {
        if self.endpoints.is_none() && !self.shares.is_empty() {
            self.index();
        }
        let mut services = changed.services.clone();
        if let Some(endpoints) = &self.endpoints {
            let changed = changed.endpoints.iter();
            services.extend(changed.flat_map(|it| endpoints.with(it.ip())).cloned());
        }
        let mut everything = changed.everything;
        if everything || changed.surroundings {
            everything |= self.surround(sources, &mut services);
        }
        if everything {
            services.extend(self.shares.keys().cloned());
            services.extend(sources.snapshot.services.keys().cloned());
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
        self.due.services.append(&mut services);
        for frontend in moves.turned {
            if !self.claims.is_claimed(&frontend) {
                self.due.left.insert(frontend);
            }
        }
    }

    /// Derives what is due of at most so many Services, and tells what became different; `None` once nothing is due.
    pub(crate) fn advance(&mut self, sources: Sources<'_>, at_most: usize) -> Option<Touched> {
        if self.due == Due::default() {
            return None;
        }
        let mut touched = std::mem::take(&mut self.due.touched);
        for frontend in std::mem::take(&mut self.due.left) {
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
        let all = all.map(|(name, share)| (name, &share.endpoints[..]));
        self.endpoints = Some(all.collect());
    }

    /// Takes note of this node and of who is inside. Says whether every Service has to be looked at; otherwise those
    /// that have to are added.
    fn surround(&mut self, sources: Sources<'_>, services: &mut BTreeSet<Name>) -> bool {
        let now = Surroundings::new(sources.snapshot, sources.facts);
        if now == self.surroundings {
            return false;
        }
        let before = std::mem::replace(&mut self.surroundings, now);
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

    /// A Service as this node sees it; none if it is gone, or another proxy's.
    fn view<'a>(&'a self, name: &'a Name, sources: Sources<'a>) -> Option<View<'a>> {
        let Sources {
            snapshot,
            facts,
            capabilities,
            ..
        } = sources;
        let service = snapshot.services.get(name).filter(|service| service.l4)?;
        Some(View {
            name,
            service,
            weights: snapshot.weights.get(name).map(AsRef::as_ref),
            place: Place {
                node: &facts.node_name,
                zone: self.surroundings.zone.as_deref(),
            },
            facts,
            pods: &self.surroundings.pods,
            primary_addresses: &self.surroundings.primary_addresses,
            capabilities,
        })
    }

    /// Remembers what a Service claims from now on.
    fn claim(&mut self, name: &Name, sources: Sources<'_>, moves: &mut Moves) {
        let view = self.view(name, sources);
        let has_node_ports = view.as_ref().is_some_and(View::has_node_ports);
        let after = view.map_or_else(Vec::new, |view| view.claims());
        let share = self.shares.get_mut(name);
        let before = share.map_or_else(Vec::new, |share| std::mem::take(&mut share.claims));
        for claim in &before {
            if after.binary_search(claim).is_err() {
                moves.contested.insert(claim.frontend);
                if self.claims.remove(claim) {
                    moves.turned.insert(claim.frontend);
                }
            }
        }
        for claim in &after {
            if before.binary_search(claim).is_err() {
                if self.claims.insert(claim.clone()) {
                    moves.turned.insert(claim.frontend);
                } else {
                    moves.contested.insert(claim.frontend);
                }
            }
        }
        if !after.is_empty() || has_node_ports || self.shares.contains_key(name) {
            let share = self.shares.entry(name.clone()).or_default();
            share.claims = after;
            share.has_node_ports = has_node_ports;
        }
    }

    /// Services that did not change themselves and have to be looked at: those that now have a place which another has
    /// left, and those with an endpoint that became a virtual address, or is none any more.
    fn neighbours(&self, sources: Sources<'_>, moves: &Moves) -> BTreeSet<Name> {
        let contested = moves.contested.iter();
        let holders = contested.filter_map(|frontend| self.claims.holder(frontend));
        let mut all: BTreeSet<Name> = holders.map(|claim| claim.service.clone()).collect();
        if let Some(endpoints) = &self.endpoints {
            let turned = moves.turned.iter();
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
        let share = self.shares.get_mut(name);
        let claims = share.map_or_else(Vec::new, |share| std::mem::take(&mut share.claims));
        let wish = self
            .view(name, sources)
            .map(|view| view.wish(claims, sources.snapshot));
        let Wish { share, offers } = wish.unwrap_or_default();
        for (claim, offer) in share.claims.iter().zip(offers) {
            if self.claims.holder(&claim.frontend) == Some(claim) {
                self.serve(claim.frontend, offer, sources, touched);
            }
        }
        self.replace(name, share, touched);
    }

    /// Remembers what a Service asks for from now on.
    fn replace(&mut self, name: &Name, share: Share, touched: &mut Touched) {
        let before = self.shares.remove(name).unwrap_or_default();
        if let Some(endpoints) = &mut self.endpoints {
            endpoints.replace(name, &before.endpoints, &share.endpoints);
        }
        touched.findings |= self.findings.replace(&before.findings, &share.findings);
        let (old, new) = (before.health_check.as_ref(), share.health_check.as_ref());
        touched.health_checks |= self.health_checks.replace(name, old, new);
        self.no_local_endpoints
            .replace(before.no_local_endpoints, share.no_local_endpoints);
        if share != Share::default() {
            self.shares.insert(name.clone(), share);
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
        let mut findings = BTreeSet::new();
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
        let after: Vec<_> = findings.into_iter().collect();
        let before = put(&mut self.trimmed, frontend, &after);
        touched.findings |= self.findings.replace(&before, &after);
        self.set(Key::everyone(frontend), everyone, touched);
        self.set(Key::inside(frontend), inside, touched);
    }

    fn set(&mut self, key: Key, server: Option<VirtualServer>, touched: &mut Touched) {
        let servers = &mut self.table.virtual_servers;
        if servers.get(&key) == server.as_ref() {
            return;
        }
        touched.keys.insert(key);
        match server {
            Some(server) => servers.insert(key, server),
            None => servers.remove(&key),
        };
    }
}

/// Sends no new connections to real servers that do not answer, unless that would leave none: then who checks is more
/// likely to be wrong than all of them.
fn avoid(server: &mut VirtualServer, dead: &BTreeSet<SocketAddr>) {
    let is_usable = |(address, real): (&SocketAddr, &crate::table::RealServer)| {
        real.weight > 0 && !dead.contains(address)
    };
    if dead.is_empty() || !server.real_servers.iter().any(is_usable) {
        return;
    }
    let is_dead = |address| dead.contains(address);
    if !server.real_servers.keys().any(is_dead) {
        return;
    }
    for (address, real) in server.real_servers.iter_mut() {
        if dead.contains(address) {
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
