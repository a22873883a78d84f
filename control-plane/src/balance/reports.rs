//! What nodes reported last. It comes from outside: bounded, and only what was asked for is kept.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use meshlite_compile::ObjectKey;
use meshlite_proto::v1;

use super::{Balanced, Loads};
use crate::metrics::Metrics;

/// The most endpoints that one report speaks of.
const MOST_LOADS: usize = 4096;
/// A node speaks for at most so many connections of a Service, or for as many as all others together.
const FREELY: u64 = 1_000;

/// What nodes reported last. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    inner: Arc<Mutex<Inner>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Inner {
    balanced: Arc<Balanced>,
    /// The newest stream of each node speaks for it.
    nodes: BTreeMap<String, Report>,
    next: u64,
}

#[derive(Debug)]
struct Report {
    reporter: u64,
    loads: Loads,
}

/// The stream of a node. What it reported is forgotten with it.
#[derive(Debug)]
pub(crate) struct Reporter {
    reports: Reports,
    number: u64,
    /// None for a client that may not report.
    node: Option<String>,
}

impl Reports {
    /// Nothing, and nothing is asked for.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            inner: Arc::default(),
            metrics,
        }
    }

    /// These Services are balanced by load from now on. What was reported of anything else is forgotten.
    pub(crate) fn expect(&self, balanced: Arc<Balanced>) {
        let mut inner = self.lock();
        for report in inner.nodes.values_mut() {
            report.loads.retain(&balanced);
        }
        inner.balanced = balanced;
    }

    /// The Services that are balanced by load.
    pub(crate) fn expected(&self) -> Arc<Balanced> {
        Arc::clone(&self.lock().balanced)
    }

    /// What all nodes reported last, together. One that says much more than all others is not believed all of it, but
    /// what it says of one endpoint against another stays as it is.
    pub(crate) fn sum(&self) -> Loads {
        let inner = self.lock();
        let mut totals: BTreeMap<&ObjectKey, u64> = BTreeMap::new();
        let reports = inner
            .nodes
            .values()
            .flat_map(|report| report.loads.services());
        for (service, loads) in reports {
            *totals.entry(service).or_default() += loads.values().sum::<u64>();
        }
        let mut sum = Loads::default();
        let reports = inner
            .nodes
            .values()
            .flat_map(|report| report.loads.services());
        for (service, loads) in reports {
            let own: u64 = loads.values().sum();
            let total = totals.get(service).copied().unwrap_or(own);
            let believed = own.min(FREELY.max(total - own));
            for (address, count) in loads {
                sum.count(service.clone(), *address, share(*count, believed, own));
            }
        }
        sum
    }

    /// A client came; one that is no node may not report.
    pub(crate) fn reporter(&self, role: v1::Role, identity: &v1::ClientIdentity) -> Reporter {
        let mut inner = self.lock();
        inner.next += 1;
        let number = inner.next;
        drop(inner);
        let name = [&identity.node_name, &identity.id];
        let name = name.into_iter().find(|name| !name.is_empty());
        Reporter {
            reports: self.clone(),
            number,
            node: name.cloned().filter(|_| role == v1::Role::L4Node),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter {
    /// The client said this, in place of what it said before.
    pub(crate) fn report(&self, mut loads: Vec<v1::EndpointLoad>) {
        let metrics = &self.reports.metrics;
        let Some(node) = &self.node else {
            metrics.loads_dropped("role", loads.len());
            return;
        };
        let too_many = loads.len().saturating_sub(MOST_LOADS);
        metrics.loads_dropped("too_many", too_many);
        loads.truncate(MOST_LOADS);
        let mut inner = self.reports.lock();
        let (loads, unknown) = Loads::read(&loads, &inner.balanced);
        metrics.loads_dropped("unknown", unknown);
        if let Some(before) = inner.nodes.get(node)
            && before.reporter > self.number
        {
            // Another stream of the same node is newer.
            return;
        }
        if loads == Loads::default() {
            inner.nodes.remove(node);
        } else {
            let reporter = self.number;
            inner.nodes.insert(node.clone(), Report { reporter, loads });
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            let mut inner = self.reports.lock();
            let is_own = |report: &Report| report.reporter == self.number;
            if inner.nodes.get(node).is_some_and(is_own) {
                inner.nodes.remove(node);
            }
        }
    }
}

/// `count` of `own` connections, where only `believed` of them count.
fn share(count: u64, believed: u64, own: u64) -> u64 {
    if believed == own {
        return count;
    }
    // Each is at most 4,096 times a million, so this is below 2^64.
    (count * believed).div_ceil(own)
}

#[cfg(test)]
mod tests;
