//! From what should be and what is to the steps between them: add, switch, drain, remove. Pure.

mod step;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use meshlite_snapshot::Protocol;
use tokio::time::Instant;

pub(crate) use self::step::{Mismatch, Step};
use crate::table::{Audience, Key, Observed, ObservedServer, Owner, Table, VirtualServer};

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

/// What is known of real servers that drain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draining<'a> {
    /// Since when they do: of the plan before.
    pub(crate) since: &'a Drains,
    /// For how long they may.
    pub(crate) timeout: Duration,
    /// Whether their connections were counted just now: else none of them goes because it has none.
    pub(crate) are_counted: bool,
}

/// The steps that make `observed`, which was read just now, what `desired` says.
///
/// A real server that is no longer wanted keeps its established TCP connections for at most `drain_timeout` since it
/// began to drain (`drains`, of the plan before). UDP and SCTP ones are removed at once, and all of them where that is 0.
pub(crate) fn plan(
    desired: &Table,
    observed: &Observed,
    drains: &Drains,
    drain_timeout: Duration,
    now: Instant,
) -> Plan {
    let all = desired
        .virtual_servers
        .keys()
        .chain(observed.virtual_servers.keys());
    let all: BTreeSet<_> = all.copied().collect();
    let draining = Draining {
        since: drains,
        timeout: drain_timeout,
        are_counted: true,
    };
    plan_keys(&all, desired, observed, draining, now)
}

/// As [`plan`], for these virtual servers only, and for who is inside.
pub(crate) fn plan_keys(
    keys: &BTreeSet<Key>,
    desired: &Table,
    observed: &Observed,
    draining: Draining<'_>,
    now: Instant,
) -> Plan {
    let mut planner = Planner {
        draining,
        now,
        plan: Plan::default(),
    };
    planner.plan.steps.extend(set_inside(desired, observed));
    for key in keys {
        let wanted = desired.virtual_servers.get(key);
        match (wanted, observed.virtual_servers.get(key)) {
            (None, None) => {}
            (Some(wanted), None) => planner.add(*key, wanted),
            (Some(_), Some(found)) if found.owner == Owner::Foreign => {
                planner.plan.conflicts.push(*key);
            }
            (Some(wanted), Some(found)) => planner.edit(*key, wanted, found),
            (None, Some(found)) if found.owner == Owner::Foreign => {}
            (None, Some(found)) => {
                // Its clients have the other virtual server of the place to go to.
                let everyone = Key::everyone(key.frontend);
                let is_replaced = key.audience == Audience::Inside
                    && desired.virtual_servers.contains_key(&everyone);
                planner.retire(*key, found, is_replaced);
            }
        }
    }
    let mut plan = planner.plan;
    plan.steps.sort_by_key(Step::phase);
    plan
}

/// The step that says who is inside, where that is not known.
pub(crate) fn set_inside(desired: &Table, observed: &Observed) -> Option<Step> {
    let is_known = desired.inside == observed.inside && desired.pods == observed.pods;
    (!is_known).then(|| Step::SetInside {
        networks: Arc::clone(&desired.inside),
        pods: desired.pods.clone(),
    })
}

/// The steps that add those of these virtual servers that are wanted and not there: nothing has to be known of any other
/// for them.
pub(crate) fn arrivals(
    keys: impl IntoIterator<Item = Key>,
    desired: &Table,
    observed: &Observed,
) -> Vec<Step> {
    let new = keys
        .into_iter()
        .filter(|key| !observed.virtual_servers.contains_key(key));
    let add = |key: Key| {
        let server = desired.virtual_servers.get(&key)?.clone();
        Some(Step::AddVirtualServer { key, server })
    };
    new.filter_map(add).collect()
}

/// Real servers of these virtual servers that may go once they have no connections: those that get no new ones and are
/// not wanted.
pub(crate) fn idlers(
    keys: &BTreeSet<Key>,
    desired: &Table,
    observed: &Observed,
) -> Vec<(Key, SocketAddr)> {
    let mut idlers = Vec::new();
    for key in keys
        .iter()
        .filter(|key| key.frontend.protocol == Protocol::Tcp)
    {
        let Some(found) = observed.virtual_servers.get(key) else {
            continue;
        };
        let wanted = desired.virtual_servers.get(key);
        let is_wanted = |address| wanted.is_some_and(|w| w.real_servers.contains(address));
        let unwanted = found
            .real_servers
            .iter()
            .filter(|(address, real)| real.weight == 0 && !is_wanted(*address));
        idlers.extend(unwanted.map(|(address, _)| (*key, *address)));
    }
    idlers
}

struct Planner<'a> {
    draining: Draining<'a>,
    now: Instant,
    plan: Plan,
}

impl Planner<'_> {
    fn step(&mut self, step: Step) {
        self.plan.steps.push(step);
    }

    fn add(&mut self, key: Key, wanted: &VirtualServer) {
        let server = wanted.clone();
        self.step(Step::AddVirtualServer { key, server });
    }

    fn edit(&mut self, key: Key, wanted: &VirtualServer, found: &ObservedServer) {
        let is_anothers = found.origin.as_ref().is_some_and(|is| *is != wanted.origin);
        if wanted.settings != found.settings || is_anothers {
            self.step(Step::EditVirtualServer {
                key,
                origin: wanted.origin.clone(),
                settings: wanted.settings.clone(),
            });
        }
        if wanted.real_servers == found.real_servers {
            return;
        }
        for &(address, real) in &wanted.real_servers {
            match found.real_servers.get(address) {
                None => self.step(Step::AddRealServer { key, address, real }),
                Some(is) if is != real => {
                    self.step(Step::EditRealServer { key, address, real });
                }
                Some(_) => {}
            }
        }
        self.withdraw(key, found, |address| wanted.real_servers.contains(address));
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
        let Draining {
            since,
            timeout,
            are_counted,
        } = self.draining;
        let unwanted = found.real_servers.iter().filter(|(a, _)| !is_wanted(*a));
        for &(address, real) in unwanted {
            let is_draining = real.weight == 0;
            let since = match since.get(&(key, address)) {
                Some(since) if is_draining => *since,
                _ => self.now,
            };
            let is_idle = are_counted && found.connections(address) == 0;
            let is_late = self.now.saturating_duration_since(since) >= timeout;
            let is_over = is_draining && (is_idle || is_late);
            if key.frontend.protocol != Protocol::Tcp || timeout.is_zero() || is_over {
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

#[cfg(test)]
mod tests;
