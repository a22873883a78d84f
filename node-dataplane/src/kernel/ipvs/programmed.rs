//! What this process takes IPVS to have: what it last read, and the steps since. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
};

use meshlite_ipvs::Change;
use meshlite_snapshot::{AddressFamily, Protocol};

use super::{mark::Mark, sharing::Content, value};
use crate::{
    kernel::KernelError,
    plan::Step,
    table::{
        Audience, Frontend, Key, Origin, RealServers, ServicePortName, Settings, VirtualAddress,
        VirtualServer,
    },
};

/// Virtual servers of ours.
#[derive(Debug, Default)]
pub(super) struct Programmed {
    servers: BTreeMap<Key, Server>,
    /// Virtual servers by mark.
    marked: BTreeMap<Mark, Marked>,
    /// Places that may share a mark.
    ports: BTreeMap<Port, BTreeSet<Key>>,
}

/// A virtual server of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Whose it is. None where an earlier run has programmed it.
    pub(super) origin: Option<Origin>,
    /// How it behaves.
    pub(super) settings: Settings,
    /// Where its connections go.
    pub(super) real_servers: RealServers,
    /// The mark of its packets, if they have one.
    pub(super) mark: Option<Mark>,
}

/// A virtual server by mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marked {
    /// What it does.
    pub(super) content: Content,
    /// The places whose packets are marked for it.
    pub(super) keys: BTreeSet<Key>,
}

/// A Service port in one family; where it is not known whose a place is, that place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Port {
    Named(ServicePortName, AddressFamily, Protocol),
    Nameless(Frontend),
}

// === impl Server ===

impl Server {
    /// One without a mark.
    pub(super) fn new(
        origin: impl Into<Option<Origin>>,
        settings: Settings,
        real_servers: RealServers,
    ) -> Self {
        Self {
            origin: origin.into(),
            settings,
            real_servers,
            mark: None,
        }
    }

    /// Whether a new connection finds a real server.
    pub(super) fn is_usable(&self) -> bool {
        self.real_servers.weights().any(|weight| weight > 0)
    }
}

// === impl Port ===

impl Port {
    fn of(key: &Key, origin: Option<&Origin>) -> Self {
        match origin {
            Some(origin) => Self::Named(
                origin.service_port.clone(),
                AddressFamily::of(key.frontend.address.ip()),
                key.frontend.protocol,
            ),
            None => Self::Nameless(key.frontend),
        }
    }
}

// === impl Programmed ===

impl Programmed {
    /// What was read.
    pub(super) fn new(servers: BTreeMap<Key, Server>, contents: BTreeMap<Mark, Content>) -> Self {
        let mut new = Self::default();
        for (mark, content) in contents {
            new.set_content(mark, content);
        }
        for (key, mut server) in servers {
            let mark = server.mark.take();
            new.insert(key, server);
            new.set_mark(&key, mark);
        }
        new
    }

    /// The virtual server of a place.
    pub(super) fn get(&self, key: &Key) -> Option<&Server> {
        self.servers.get(key)
    }

    /// Whether any virtual server is at this address.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        let first = Key::everyone(Frontend {
            address: VirtualAddress::Ip(address),
            port: 0,
            protocol: Protocol::Tcp,
        });
        let next = self.servers.range(first..).next();
        next.is_some_and(|(key, _)| key.frontend.address == first.frontend.address)
    }

    /// The Service port of a place that is there, if it may need marks: who has one place alone, for everyone, needs none.
    pub(super) fn port_to_mark(&self, key: &Key) -> Option<Port> {
        let server = self.servers.get(key)?;
        let port = Port::of(key, server.origin.as_ref());
        let is_alone = || self.ports.get(&port).is_some_and(|keys| keys.len() == 1);
        let is_plain = key.audience == Audience::Everyone && server.mark.is_none() && is_alone();
        (!is_plain).then_some(port)
    }

    /// The places of a Service port.
    pub(super) fn of_port(&self, port: &Port) -> BTreeMap<Key, &Server> {
        let keys = self.ports.get(port).into_iter().flatten();
        keys.filter_map(|key| Some((*key, self.servers.get(key)?)))
            .collect()
    }

    /// Virtual servers by mark.
    pub(super) fn marked(&self) -> &BTreeMap<Mark, Marked> {
        &self.marked
    }

    /// Says what a virtual server by mark does from now on, and returns what it did.
    pub(super) fn set_content(&mut self, mark: Mark, content: Content) -> Option<Content> {
        if let Some(marked) = self.marked.get_mut(&mark) {
            return Some(std::mem::replace(&mut marked.content, content));
        }
        let keys = BTreeSet::new();
        self.marked.insert(mark, Marked { content, keys });
        None
    }

    /// Gives a place a mark, or none.
    pub(super) fn set_mark(&mut self, key: &Key, mark: Option<Mark>) {
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut server.mark, mark);
        if let Some(marked) = before.and_then(|mark| self.marked.get_mut(&mark)) {
            marked.keys.remove(key);
        }
        if let Some(marked) = mark.and_then(|mark| self.marked.get_mut(&mark)) {
            marked.keys.insert(*key);
        }
    }

    /// Forgets a virtual server by mark that no place has any more.
    pub(super) fn forget_unused(&mut self, mark: Mark) -> Option<Content> {
        let is_unused = self.marked.get(&mark)?.keys.is_empty();
        let marked = is_unused.then(|| self.marked.remove(&mark))??;
        Some(marked.content)
    }

    /// Says whose a place is.
    pub(super) fn set_origin(&mut self, key: &Key, origin: &Origin) {
        if let Some(mut server) = self.remove(key) {
            server.origin = Some(origin.clone());
            self.insert(*key, server);
        }
    }

    fn insert(&mut self, key: Key, server: Server) {
        let port = Port::of(&key, server.origin.as_ref());
        self.ports.entry(port).or_default().insert(key);
        self.servers.insert(key, server);
    }

    fn remove(&mut self, key: &Key) -> Option<Server> {
        let server = self.servers.remove(key)?;
        let port = Port::of(key, server.origin.as_ref());
        if let Some(keys) = self.ports.get_mut(&port) {
            keys.remove(key);
            if keys.is_empty() {
                self.ports.remove(&port);
            }
        }
        Some(server)
    }

    /// Takes a virtual server in that arrives at a place, and tells what IPVS has to do for it at the address itself. Who
    /// is inside gets real servers by mark only. Gives its Service port, if that may need marks: see
    /// [`port_to_mark`](Self::port_to_mark).
    pub(super) fn add(
        &mut self,
        key: Key,
        server: &VirtualServer,
        mut tell: impl FnMut(Change),
    ) -> Result<Option<Port>, KernelError> {
        let Entry::Vacant(place) = self.servers.entry(key) else {
            return Err(KernelError::Resync(format!("{key} is there already")));
        };
        let VirtualServer {
            origin,
            settings,
            real_servers,
        } = server.clone();
        place.insert(Server::new(origin, settings, real_servers));
        let port = Port::of(&key, Some(&server.origin));
        let keys = self.ports.entry(port.clone()).or_default();
        keys.insert(key);
        let is_plain = key.audience == Audience::Everyone && keys.len() == 1;
        if key.audience == Audience::Everyone {
            let place = value::service_key(&key.frontend);
            tell(Change::AddService(value::service(place, &server.settings)));
            for (address, real) in &server.real_servers {
                let destination = value::destination(*address, real.weight);
                tell(Change::AddDestination(place, destination));
            }
        }
        Ok((!is_plain).then_some(port))
    }

    /// Takes a step about what is there, and gives what IPVS has to do for it at the address itself.
    pub(super) fn take(&mut self, step: &Step) -> Result<Option<Change>, KernelError> {
        let Some(key) = step.key() else {
            return Ok(None);
        };
        let change = self.change(key, step)?;
        Ok(change.filter(|_| key.audience == Audience::Everyone))
    }

    fn change(&mut self, key: &Key, step: &Step) -> Result<Option<Change>, KernelError> {
        let place = value::service_key(&key.frontend);
        let missing = |what: &dyn std::fmt::Display| KernelError::Resync(format!("no {what}"));
        let server = self.servers.get_mut(key).ok_or_else(|| missing(key))?;
        let real_servers = &mut server.real_servers;
        Ok(match step {
            Step::EditVirtualServer {
                origin, settings, ..
            } => {
                let before = value::service(place, &server.settings);
                let after = value::service(place, settings);
                server.settings = settings.clone();
                self.set_origin(key, origin);
                (before != after).then_some(Change::EditService(after))
            }
            Step::AddRealServer { address, real, .. } => {
                if !real_servers.add(*address, *real) {
                    return Err(KernelError::Resync(format!("{address} is there already")));
                }
                let destination = value::destination(*address, real.weight);
                Some(Change::AddDestination(place, destination))
            }
            Step::EditRealServer { address, .. } | Step::DrainRealServer { address, .. } => {
                let is = real_servers
                    .get_mut(*address)
                    .ok_or_else(|| missing(address))?;
                let before = is.weight;
                is.weight = step.weight();
                if let Step::EditRealServer { real, .. } = step {
                    is.is_local = real.is_local;
                }
                let destination = value::destination(*address, is.weight);
                (before != is.weight).then_some(Change::EditDestination(place, destination))
            }
            Step::RemoveRealServer { address, .. } => {
                real_servers
                    .remove(*address)
                    .ok_or_else(|| missing(address))?;
                Some(Change::DeleteDestination(place, (*address).into()))
            }
            Step::RemoveVirtualServer { .. } => {
                self.set_mark(key, None);
                self.remove(key);
                Some(Change::DeleteService(place))
            }
            Step::AddVirtualServer { .. } | Step::SetInside { .. } => None,
        })
    }
}
