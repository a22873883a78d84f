//! One change of what a table is derived from, with all that follows from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use meshlite_snapshot::{Name, Protocol};

use super::{
    Changed, Desired, Sources, Touched,
    claims::Claim,
    endpoints::Place,
    fit, loops,
    service::View,
    share::{Offer, Share, Wish},
    surroundings::Surroundings,
};
use crate::table::{Frontend, Key, VirtualServer};

/// What has to be looked at because of a change.
#[derive(Debug, Default)]
struct Work {
    /// What Services that were looked at would serve.
    offers: BTreeMap<Claim, Offer>,
    looked_at: BTreeSet<Name>,
    /// Places whose virtual servers may be others.
    places: BTreeSet<Frontend>,
    /// Places whose claims are others.
    contested: BTreeSet<Frontend>,
    /// Places that have their first claim, or have lost their last.
    turned: BTreeSet<Frontend>,
    touched: Touched,
}

impl Desired {
    /// Brings everything up to date with the sources, of which only these have changed since it was.
    pub(crate) fn update(&mut self, sources: Sources<'_>, changed: &Changed) -> Touched {
        let mut work = Work::default();
        let mut services = changed.services.clone();
        for address in &changed.endpoints {
            services.extend(self.endpoints.with(address.ip()).cloned());
        }
        let mut everything = changed.everything;
        if everything || changed.surroundings {
            everything |= self.surround(sources, &mut services, &mut work.touched);
        }
        if everything {
            services.extend(self.shares.keys().cloned());
            services.extend(sources.snapshot.services.keys().cloned());
        }
        let is_first = self.shares.is_empty();
        for name in services {
            let wish = self.wish(&name, sources);
            if !is_first {
                self.replace_endpoints(&name, &wish.share);
            }
            self.replace(&name, wish, &mut work);
        }
        if is_first {
            let all = self.shares.iter();
            self.endpoints = all
                .map(|(name, share)| (name, &share.endpoints[..]))
                .collect();
        }
        self.look_at_neighbours(sources, &mut work);
        for frontend in std::mem::take(&mut work.contested) {
            let after = self.claims.conflicts(&frontend);
            let before = put(&mut self.contested, frontend, &after);
            work.touched.findings |= self.findings.replace(&before, &after);
        }
        for frontend in std::mem::take(&mut work.places) {
            self.serve(frontend, sources, &mut work);
        }
        work.touched
    }

    /// Takes note of this node and of who is inside. Says whether every Service has to be looked at; otherwise those
    /// that have to are added.
    fn surround(
        &mut self,
        sources: Sources<'_>,
        services: &mut BTreeSet<Name>,
        touched: &mut Touched,
    ) -> bool {
        let now = Surroundings::new(sources.snapshot, sources.facts);
        if now == self.surroundings {
            return false;
        }
        let before = std::mem::replace(&mut self.surroundings, now);
        let now = &self.surroundings;
        touched.inside = before.inside != now.inside || before.pods != now.pods;
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
            services.extend(moved.flat_map(|ip| self.endpoints.with(*ip)).cloned());
        }
        now.moves_services(&before)
    }

    /// What a Service asks for; nothing if it is gone, or another proxy's.
    fn wish(&self, name: &Name, sources: Sources<'_>) -> Wish {
        let Sources {
            snapshot,
            facts,
            capabilities,
            ..
        } = sources;
        let service = snapshot.services.get(name).filter(|service| service.l4);
        let Some(service) = service else {
            return Wish::default();
        };
        let view = View {
            name,
            service,
            groups: match name.as_str().split_once('/') {
                Some((namespace, service)) => snapshot
                    .endpoint_groups_of(namespace, service)
                    .map(|(_, group)| group)
                    .collect(),
                None => Vec::new(),
            },
            weights: snapshot.weights.get(name).map(AsRef::as_ref),
            place: Place {
                node: &facts.node_name,
                zone: self.surroundings.zone.as_deref(),
            },
            facts,
            pods: &self.surroundings.pods,
            primary_addresses: &self.surroundings.primary_addresses,
            capabilities,
        };
        view.wish()
    }

    /// Remembers what a Service asks for from now on.
    fn replace(&mut self, name: &Name, wish: Wish, work: &mut Work) {
        let Wish { share, offers } = wish;
        let before = self.shares.remove(name).unwrap_or_default();
        self.replace_claims(&before, &share, work);
        work.touched.findings |= self.findings.replace(&before.findings, &share.findings);
        let (old, new) = (before.health_check.as_ref(), share.health_check.as_ref());
        work.touched.health_checks |= self.health_checks.replace(name, old, new);
        self.no_local_endpoints
            .replace(before.no_local_endpoints, share.no_local_endpoints);
        work.offers.extend(offers);
        work.looked_at.insert(name.clone());
        if share != Share::default() {
            self.shares.insert(name.clone(), share);
        }
    }

    /// Remembers where a Service's endpoints are from now on.
    fn replace_endpoints(&mut self, name: &Name, after: &Share) {
        let before = self.shares.get(name);
        let before = before.map_or(&[][..], |before| &before.endpoints);
        self.endpoints.replace(name, before, &after.endpoints);
    }

    fn replace_claims(&mut self, before: &Share, after: &Share, work: &mut Work) {
        let is_in = |claim: &Claim, share: &Share| share.claims.binary_search(claim).is_ok();
        for claim in &before.claims {
            work.places.insert(claim.frontend);
            if !is_in(claim, after) {
                work.contested.insert(claim.frontend);
                if self.claims.remove(claim) {
                    work.turned.insert(claim.frontend);
                }
            }
        }
        for claim in &after.claims {
            if !is_in(claim, before) {
                work.places.insert(claim.frontend);
                work.contested.insert(claim.frontend);
                if self.claims.insert(claim.clone()) {
                    work.turned.insert(claim.frontend);
                }
            }
        }
    }

    /// Looks at Services that did not change themselves: those that now have a place which another has left, and those
    /// with an endpoint that became a virtual address, or is none any more.
    fn look_at_neighbours(&self, sources: Sources<'_>, work: &mut Work) {
        let looped = work
            .turned
            .iter()
            .flat_map(|frontend| self.endpoints.at(frontend, sources.facts));
        let looped: BTreeSet<&Name> = looped.collect();
        for name in &looped {
            let claims = self
                .shares
                .get(*name)
                .map_or(&[][..], |share| &share.claims);
            work.places
                .extend(claims.iter().map(|claim| claim.frontend));
        }
        let holders = work
            .contested
            .iter()
            .filter_map(|frontend| self.claims.holder(frontend));
        let holders = holders.map(|claim| &claim.service);
        for name in holders.chain(looped).collect::<BTreeSet<_>>() {
            if work.looked_at.insert(name.clone()) {
                work.offers.extend(self.wish(name, sources).offers);
            }
        }
    }

    /// Serves at a place what who has it offers.
    fn serve(&mut self, frontend: Frontend, sources: Sources<'_>, work: &mut Work) {
        let holder = self.claims.holder(&frontend);
        if holder.is_some_and(|claim| !work.looked_at.contains(&claim.service)) {
            // Another Service claims it too, and that one has changed: in vain.
            return;
        }
        let offer = holder.and_then(|claim| work.offers.remove(claim));
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
        work.touched.findings |= self.findings.replace(&before, &after);
        self.set(Key::everyone(frontend), everyone, &mut work.touched);
        self.set(Key::inside(frontend), inside, &mut work.touched);
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
