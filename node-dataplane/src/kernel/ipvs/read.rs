//! What is programmed, from what the kernel lists: virtual servers, addresses, and the helping rules, which are also the
//! record of what is ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use meshlite_ipvs::{DestinationEntry, DestinationSettings, Forwarding, Service};
use tokio::time::Instant;

use super::{
    Options,
    backend::Backend,
    binding::Binding,
    door::Door,
    helpers::{self, Recorded},
    mark::Mark,
    programmed::{Programmed, Server},
    retiring::connections,
    sharing::Content,
    value,
};
use crate::{
    kernel::{KernelError, rules::Helper},
    table::{
        Audience, Frontend, Key, Masquerade, Observed, ObservedServer, Owner, RealServer,
        RealServers, Scheduler, Settings, WhenEmpty,
    },
};

/// A virtual server with its real servers, as listed.
pub(super) struct Listed {
    service: Service,
    destinations: Vec<DestinationEntry>,
}

/// Whose a virtual server at an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// An earlier run's, or kube-proxy's, at an address for Services.
    Ours,
    /// Perhaps somebody else's: kube-proxy leaves such at node addresses. It becomes ours if a Service has this place, or
    /// it goes where one of a Service goes.
    Left,
    /// Somebody else's.
    Foreign,
}

/// What there is.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) places: BTreeMap<Frontend, Listed>,
    pub(super) foreign: BTreeMap<Frontend, Listed>,
    pub(super) left: BTreeMap<Frontend, Listed>,
    pub(super) marked: BTreeMap<Mark, Listed>,
}

impl<D: Door> Backend<D> {
    /// Everything that is programmed, also by others.
    pub(super) fn read(&mut self) -> Result<Observed, KernelError> {
        let mut listing = self.list()?;
        self.is_takeover = self.helpers.are_of_another_backend()?;
        if self.is_takeover {
            // What an earlier run left may have weights of 0. All that is wanted is added, so that it is there with the
            // first apply, which takes the traffic over; the rest is seen with the next reading.
            listing.left.append(&mut listing.places);
        }
        let record = self.helpers.recorded();
        let mut servers = Assembly::default();
        for (frontend, listed) in &listing.places {
            let key = Key::everyone(*frontend);
            servers.add_everyone(key, listed, record.get(&key), &listing.marked);
        }
        for (key, recorded) in &record {
            if key.audience == Audience::Inside {
                servers.add_inside(*key, recorded, &listing);
            }
        }
        servers.doubt(&record, &self.binding);
        let used: BTreeSet<Mark> = servers.programmed.values().filter_map(|s| s.mark).collect();
        let places: BTreeMap<Mark, Frontend> = record
            .iter()
            .filter_map(|(key, recorded)| Some((recorded.mark?, key.frontend)))
            .collect();
        let content = |(mark, listed): (&Mark, &Listed)| {
            let place = places.get(mark).and_then(|place| listing.places.get(place));
            (*mark, listed.content(place))
        };
        let (marked, unused): (BTreeMap<_, _>, BTreeMap<_, _>) = listing
            .marked
            .iter()
            .map(content)
            .partition(|(mark, _)| used.contains(mark));
        for key in self.retiring.keys() {
            if Mark::of_service(key).is_some_and(|mark| !unused.contains_key(&mark)) {
                self.retiring.forget(key);
            }
        }
        for mark in unused.keys() {
            self.retiring.add(mark.service_key(), Instant::now());
        }
        self.tend()?;
        self.programmed = Programmed::new(servers.programmed, marked);
        let others = listing.left.keys().chain(listing.foreign.keys());
        self.of_others = others.map(|frontend| frontend.address.ip()).collect();
        self.left = listing.left.keys().copied().map(Key::everyone).collect();
        self.stuck.clear();
        let clients = self.helpers.clients();
        let mut virtual_servers = servers.observed;
        for (frontend, listed) in &listing.foreign {
            let (server, _) = assemble(listed, listed.behaviour(None), None, &listed.destinations);
            let foreign = ObservedServer {
                owner: Owner::Foreign,
                ..server
            };
            virtual_servers.insert(Key::everyone(*frontend), foreign);
        }
        Ok(Observed {
            inside: Arc::clone(&clients.inside),
            pods: clients.pods.clone(),
            virtual_servers,
            is_carried_elsewhere: self.is_takeover,
        })
    }

    /// Lists it all, sorted by whose it is.
    pub(super) fn list(&mut self) -> Result<Listing, KernelError> {
        if self.is_broken {
            self.door = D::connect().map_err(|error| value::error(&error))?;
            self.is_broken = false;
        }
        self.binding.read()?;
        self.helpers.read()?;
        let record = self.helpers.recorded();
        let mut listing = Listing::default();
        for entry in self.door.services().map_err(|error| value::error(&error))? {
            let service = entry.service;
            let mark = Mark::of_service(service.key);
            let frontend = value::frontend(service.key);
            if mark.is_none() && frontend.is_none() {
                continue;
            }
            let destinations = self.door.destinations(service.key);
            let listed = Listed {
                service,
                destinations: destinations.map_err(|error| value::error(&error))?,
            };
            if let Some(mark) = mark {
                listing.marked.insert(mark, listed);
            } else if let Some(frontend) = frontend {
                let is_recorded = record.contains_key(&Key::everyone(frontend))
                    || self.inherited.contains(&frontend);
                match standing(
                    &frontend,
                    &listed,
                    is_recorded,
                    &self.binding,
                    &self.options,
                ) {
                    Standing::Ours => drop(listing.places.insert(frontend, listed)),
                    Standing::Left => drop(listing.left.insert(frontend, listed)),
                    Standing::Foreign => drop(listing.foreign.insert(frontend, listed)),
                }
            }
        }
        self.inherit(&mut listing);
        Ok(listing)
    }

    /// Takes over what kube-proxy left for node ports: at an address of the node's own nothing says whose a virtual
    /// server is but that it goes where one of a Service goes. It stays ours until it is gone.
    fn inherit(&mut self, listing: &mut Listing) {
        self.inherited
            .retain(|frontend| listing.places.contains_key(frontend));
        let of_services: Vec<BTreeSet<SocketAddr>> = listing
            .places
            .values()
            .map(|listed| listed.destinations.iter().map(address).collect())
            .collect();
        let left = std::mem::take(&mut listing.left);
        for (frontend, listed) in left {
            let goes_to: BTreeSet<SocketAddr> = listed.destinations.iter().map(address).collect();
            let is_in = |of_service: &BTreeSet<SocketAddr>| goes_to.is_subset(of_service);
            if listed.is_like_kube_proxys() && of_services.iter().any(is_in) {
                self.inherited.insert(frontend);
                listing.places.insert(frontend, listed);
            } else {
                listing.left.insert(frontend, listed);
            }
        }
    }
}

/// Whose a virtual server at an address is.
fn standing(
    frontend: &Frontend,
    listed: &Listed,
    is_recorded: bool,
    binding: &Binding,
    options: &Options,
) -> Standing {
    let ip = frontend.address.ip();
    let masquerades = |entry: &DestinationEntry| {
        let forwarding = entry.destination.settings.forwarding;
        matches!(forwarding, Forwarding::Masquerade | Forwarding::Local)
    };
    let is_here = binding.has(ip) || binding.is_elsewhere(ip);
    match is_recorded {
        // Its address may have been taken off: then it is doubted, and gets it again or goes.
        true => Standing::Ours,
        false if options.excludes(frontend) => Standing::Foreign,
        false if binding.has(ip) => Standing::Ours,
        false if is_here && listed.destinations.iter().all(masquerades) => Standing::Left,
        false => Standing::Foreign,
    }
}

/// Virtual servers of ours, for the plan and for later steps.
#[derive(Default)]
struct Assembly {
    observed: BTreeMap<Key, ObservedServer>,
    programmed: BTreeMap<Key, Server>,
}

impl Assembly {
    /// One at an address.
    fn add_everyone(
        &mut self,
        key: Key,
        listed: &Listed,
        recorded: Option<&Recorded>,
        marked: &BTreeMap<Mark, Listed>,
    ) {
        let mark = recorded.and_then(|recorded| recorded.mark);
        let by_mark = mark.and_then(|mark| marked.get(&mark));
        let shared = by_mark.map_or(&[][..], |listed| &listed.destinations);
        let destinations = [&listed.destinations, shared].concat();
        let (mut server, mut own) =
            assemble(listed, listed.behaviour(None), recorded, &destinations);
        own.mark = mark.filter(|mark| marked.contains_key(mark));
        // What marked packets get is not seen by the plan: so that it is edited here.
        if mark.is_some()
            && by_mark.map(|by_mark| by_mark.content(Some(listed))) != Some(Content::of(&own))
        {
            server.settings.persistence = value::STRANGE;
            own.settings.persistence = value::STRANGE;
        }
        self.observed.insert(key, server);
        self.programmed.insert(key, own);
    }

    /// What rules do for each has to fit what it is, and its address has to be bound as it was asked for. Where not, it
    /// is shown with something that nobody wants, so that it is edited.
    fn doubt(&mut self, record: &BTreeMap<Key, Recorded>, binding: &Binding) {
        for (key, own) in &mut self.programmed {
            let wanted = helpers::helper(key, own, binding);
            let fits = record.get(key).is_some_and(|recorded| {
                let mark = recorded.helper.mark;
                recorded.helper == Helper { mark, ..wanted }
            });
            let ip = key.frontend.address.ip();
            let is_bound = binding.has(ip) || binding.is_elsewhere(ip);
            if !fits || !is_bound || binding.is_otherwise(ip) {
                own.settings.persistence = value::STRANGE;
                if let Some(server) = self.observed.get_mut(key) {
                    server.settings.persistence = value::STRANGE;
                }
            }
        }
    }

    /// One for clients inside: by mark, or by what everyone gets at the place.
    fn add_inside(&mut self, key: Key, recorded: &Recorded, listing: &Listing) {
        let listed = match recorded.mark {
            Some(mark) => listing.marked.get(&mark),
            None => listing.places.get(&key.frontend),
        };
        let Some(listed) = listed else {
            return;
        };
        let (server, mut own) = assemble(
            listed,
            listed.behaviour(listing.places.get(&key.frontend)),
            Some(recorded),
            &listed.destinations,
        );
        own.mark = recorded.mark;
        self.observed.insert(key, server);
        self.programmed.insert(key, own);
    }
}

/// A virtual server as the plan and as later steps see it. `destinations` also has those that are there by a mark: what
/// they are used for counts.
fn assemble(
    listed: &Listed,
    (scheduler, persistence): (Scheduler, Option<u32>),
    recorded: Option<&Recorded>,
    destinations: &[DestinationEntry],
) -> (ObservedServer, Server) {
    let helper = recorded.map(|recorded| &recorded.helper);
    let settings = Settings {
        scheduler,
        persistence,
        source_ranges: helper
            .map_or_else(Default::default, |helper| Arc::clone(&helper.source_ranges)),
        when_empty: helper.map_or(WhenEmpty::Reject, |h| h.when_empty),
        masquerade: helper.map_or(Masquerade::Never, |h| h.masquerade),
    };
    let is_local =
        |address: &SocketAddr| helper.is_some_and(|helper| helper.local.contains(address));
    let real_servers: RealServers = listed
        .weights()
        .map(|(address, weight)| {
            let real = RealServer {
                weight,
                is_local: is_local(&address),
            };
            (address, real)
        })
        .collect();
    let mut used = BTreeMap::new();
    for entry in destinations {
        let (address, connections) = (address(entry), connections(entry));
        if connections > 0 && real_servers.contains(address) {
            *used.entry(address).or_default() += connections;
        }
    }
    let origin = helper.and_then(|helper| helper.origin.clone());
    let programmed = Server::new(origin.clone(), settings.clone(), real_servers.clone());
    let observed = ObservedServer {
        owner: Owner::Ours,
        origin,
        settings,
        real_servers,
        connections: used,
        bound: None,
    };
    (observed, programmed)
}

fn address(entry: &DestinationEntry) -> SocketAddr {
    let key = entry.destination.key;
    SocketAddr::new(key.address, key.port)
}

// === impl Listed ===

impl Listed {
    fn weights(&self) -> impl Iterator<Item = (SocketAddr, u16)> {
        let weight = |entry: &DestinationEntry| {
            let weight = entry.destination.settings.weight;
            (address(entry), u16::try_from(weight).unwrap_or(u16::MAX))
        };
        self.destinations.iter().map(weight)
    }

    /// Whether kube-proxy could have made it: all real servers count the same, or drain.
    fn is_like_kube_proxys(&self) -> bool {
        let mut settings = self.destinations.iter().map(|it| it.destination.settings);
        let known = [0, 1].map(|weight| DestinationSettings::new(Forwarding::Masquerade, weight));
        !self.destinations.is_empty()
            && settings.all(|settings| known.contains(&settings))
            && self.behaviour(None).1 != value::STRANGE
    }

    /// Its scheduler and persistence; those of a place of its where it does not tell them.
    fn behaviour(&self, place: Option<&Self>) -> (Scheduler, Option<u32>) {
        let told = place.filter(|_| value::is_sticky(&self.service));
        value::behaviour(&told.unwrap_or(self).service)
    }

    fn content(&self, place: Option<&Self>) -> Content {
        let (scheduler, persistence) = self.behaviour(place);
        Content {
            scheduler,
            persistence,
            weights: self.weights().collect(),
        }
    }
}
