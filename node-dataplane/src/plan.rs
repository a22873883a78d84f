//! From what should be and what is to the steps between them: add, switch, drain, remove. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use meshlite_snapshot::Protocol;
use tokio::time::Instant;

use crate::table::{
    Audience, Key, LocalDetector, Observed, ObservedServer, Origin, Owner, RealServer, Settings,
    Table, VirtualServer,
};

/// Ordered steps, and what to remember until the next plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In order of their phases.
    pub(crate) steps: Vec<Step>,
    /// Wanted virtual servers that somebody else has programmed. They are left alone.
    pub(crate) conflicts: Vec<Key>,
    /// Real servers that drain, and since when.
    pub(crate) drains: Drains,
}

/// Real servers that drain, and since when: the one thing that a kernel cannot tell.
pub(crate) type Drains = BTreeMap<(Key, SocketAddr), Instant>;

/// One change of the programmed table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Says which clients are inside, and which of them are Pods.
    SetInside {
        networks: Arc<BTreeSet<IpNet>>,
        pods: LocalDetector,
    },
    /// Adds a virtual server without real servers.
    AddVirtualServer {
        key: Key,
        origin: Origin,
        settings: Settings,
    },
    /// Adds a real server to a virtual server.
    AddRealServer {
        key: Key,
        address: SocketAddr,
        real: RealServer,
    },
    /// Changes how a virtual server behaves.
    EditVirtualServer {
        key: Key,
        origin: Origin,
        settings: Settings,
    },
    /// Changes a real server, its weight above all; above 0 it also ends a drain.
    EditRealServer {
        key: Key,
        address: SocketAddr,
        real: RealServer,
    },
    /// Sends no new connections to a real server and leaves it those that it has.
    DrainRealServer { key: Key, address: SocketAddr },
    /// Takes a real server out and ends what connections it has.
    RemoveRealServer { key: Key, address: SocketAddr },
    /// Takes a virtual server out with what is left of it.
    RemoveVirtualServer { key: Key },
}

/// When a step comes, whatever it is about: nothing is taken away before what replaces it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Add,
    Switch,
    Drain,
    Remove,
}

/// The steps that make `observed` what `desired` says.
///
/// A real server that is no longer wanted keeps its established TCP connections for at most `drain_timeout` since it
/// began to drain (`drains`, of the plan before). UDP and SCTP ones are removed at once.
pub(crate) fn plan(
    desired: &Table,
    observed: &Observed,
    drains: &Drains,
    drain_timeout: Duration,
    now: Instant,
) -> Plan {
    let mut planner = Planner {
        drains,
        drain_timeout,
        now,
        plan: Plan::default(),
    };
    if desired.inside != observed.inside || desired.pods != observed.pods {
        planner.step(Step::SetInside {
            networks: Arc::clone(&desired.inside),
            pods: desired.pods.clone(),
        });
    }
    for (key, wanted) in &desired.virtual_servers {
        match observed.virtual_servers.get(key) {
            None => planner.add(*key, wanted),
            Some(found) if found.owner == Owner::Foreign => planner.plan.conflicts.push(*key),
            Some(found) => planner.edit(*key, wanted, found),
        }
    }
    for (key, found) in &observed.virtual_servers {
        if found.owner == Owner::Ours && !desired.virtual_servers.contains_key(key) {
            // Its clients have the other virtual server of the place to go to.
            let is_replaced = key.audience == Audience::Inside
                && desired
                    .virtual_servers
                    .contains_key(&Key::everyone(key.frontend));
            planner.retire(*key, found, is_replaced);
        }
    }
    let mut plan = planner.plan;
    plan.steps.sort_by_key(Step::phase);
    plan
}

struct Planner<'a> {
    drains: &'a Drains,
    drain_timeout: Duration,
    now: Instant,
    plan: Plan,
}

impl Planner<'_> {
    fn step(&mut self, step: Step) {
        self.plan.steps.push(step);
    }

    fn add(&mut self, key: Key, wanted: &VirtualServer) {
        self.step(Step::AddVirtualServer {
            key,
            origin: wanted.origin.clone(),
            settings: wanted.settings.clone(),
        });
        for (&address, &real) in &wanted.real_servers {
            self.step(Step::AddRealServer { key, address, real });
        }
    }

    fn edit(&mut self, key: Key, wanted: &VirtualServer, found: &ObservedServer) {
        if wanted.settings != found.settings {
            self.step(Step::EditVirtualServer {
                key,
                origin: wanted.origin.clone(),
                settings: wanted.settings.clone(),
            });
        }
        for (&address, &real) in &wanted.real_servers {
            match found.real_servers.get(&address) {
                None => self.step(Step::AddRealServer { key, address, real }),
                Some(is) if is.programmed() != real => {
                    self.step(Step::EditRealServer { key, address, real });
                }
                Some(_) => {}
            }
        }
        self.withdraw(key, found, |address| {
            wanted.real_servers.contains_key(&address)
        });
    }

    /// Takes out a virtual server that is not wanted: once nothing of it is in use.
    fn retire(&mut self, key: Key, found: &ObservedServer, is_replaced: bool) {
        let before = self.plan.steps.len();
        let is_left = !is_replaced && self.withdraw(key, found, |_| false);
        if !is_left {
            self.plan.steps.truncate(before);
            self.step(Step::RemoveVirtualServer { key });
        }
    }

    /// Drains and removes real servers that are not wanted. Says whether any stays for now.
    fn withdraw(
        &mut self,
        key: Key,
        found: &ObservedServer,
        is_wanted: impl Fn(SocketAddr) -> bool,
    ) -> bool {
        let mut is_left = false;
        let unwanted = found.real_servers.iter().filter(|(a, _)| !is_wanted(**a));
        for (&address, real) in unwanted {
            let is_draining = real.weight == 0;
            let since = match self.drains.get(&(key, address)) {
                Some(since) if is_draining => *since,
                _ => self.now,
            };
            let is_over = is_draining
                && (real.connections == 0
                    || self.now.saturating_duration_since(since) >= self.drain_timeout);
            if key.frontend.protocol != Protocol::Tcp || is_over {
                self.step(Step::RemoveRealServer { key, address });
                continue;
            }
            is_left = true;
            self.plan.drains.insert((key, address), since);
            if !is_draining {
                self.step(Step::DrainRealServer { key, address });
            }
        }
        is_left
    }
}

// === impl Step ===

impl Step {
    /// The virtual server that it is about; none if it is about all of them.
    pub(crate) const fn key(&self) -> Option<&Key> {
        match self {
            Self::SetInside { .. } => None,
            Self::AddVirtualServer { key, .. }
            | Self::AddRealServer { key, .. }
            | Self::EditVirtualServer { key, .. }
            | Self::EditRealServer { key, .. }
            | Self::DrainRealServer { key, .. }
            | Self::RemoveRealServer { key, .. }
            | Self::RemoveVirtualServer { key } => Some(key),
        }
    }

    /// The weight that a real server has after it; 0 where it is none's.
    pub(crate) const fn weight(&self) -> u16 {
        match self {
            Self::AddRealServer { real, .. } | Self::EditRealServer { real, .. } => real.weight,
            Self::SetInside { .. }
            | Self::AddVirtualServer { .. }
            | Self::EditVirtualServer { .. }
            | Self::DrainRealServer { .. }
            | Self::RemoveRealServer { .. }
            | Self::RemoveVirtualServer { .. } => 0,
        }
    }

    /// When it comes.
    pub(crate) const fn phase(&self) -> Phase {
        match self {
            Self::SetInside { .. } | Self::AddVirtualServer { .. } | Self::AddRealServer { .. } => {
                Phase::Add
            }
            Self::EditRealServer {
                real: RealServer { weight: 0, .. },
                ..
            }
            | Self::DrainRealServer { .. } => Phase::Drain,
            Self::EditVirtualServer { .. } | Self::EditRealServer { .. } => Phase::Switch,
            Self::RemoveRealServer { .. } | Self::RemoveVirtualServer { .. } => Phase::Remove,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetInside { networks, .. } => {
                write!(f, "set inside: {} networks", networks.len())
            }
            Self::AddVirtualServer {
                key,
                origin,
                settings,
            } => {
                write!(
                    f,
                    "add virtual server {key} {} ({})",
                    settings.scheduler, origin.service_port
                )
            }
            Self::AddRealServer { key, address, real } => {
                write!(
                    f,
                    "add real server {key} -> {address} weight {}",
                    real.weight
                )
            }
            Self::EditVirtualServer {
                key,
                origin,
                settings,
            } => {
                write!(
                    f,
                    "edit virtual server {key} {} ({})",
                    settings.scheduler, origin.service_port
                )
            }
            Self::EditRealServer { key, address, real } => {
                write!(
                    f,
                    "edit real server {key} -> {address} weight {}",
                    real.weight
                )
            }
            Self::DrainRealServer { key, address } => {
                write!(f, "drain real server {key} -> {address}")
            }
            Self::RemoveRealServer { key, address } => {
                write!(f, "remove real server {key} -> {address}")
            }
            Self::RemoveVirtualServer { key } => write!(f, "remove virtual server {key}"),
        }
    }
}

#[cfg(test)]
mod tests;
