//! What this host does to Services besides what is programmed: foreign firewalls, programs at node ports, stale flows.
//!
//! ```text
//! after a pass ─> Watch ─┬─ kernel read ────────> firewalls (answered if asked to), listeners ──> findings
//!                        └─ endpoints of UDP gone ─> flows that go nowhere are deleted
//! ```

mod serving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use meshlite_nft::{Generation, Nftables};
use meshlite_snapshot::{AddressFamily, Finding, ObjectRef, Protocol, Severity, Snapshot};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Conntrack, Flow, Serving,
    firewalls::{self, FirewallError, ForwardDrop},
    listeners::{self, Listener},
};
use crate::{
    Config,
    desired::finding,
    facts::Facts,
    kernel::worker::Worker,
    metrics::Metrics,
    table::{Origin, Table, VipKind},
};

/// What looks at this host. Nothing is touched before the first look.
#[derive(Debug)]
pub(crate) struct Watch {
    open_forward: bool,
    metrics: Metrics,
    worker: Option<Worker<Eyes>>,
    /// What was found when all was looked at.
    drops: Vec<ForwardDrop>,
    listeners: BTreeSet<Listener>,
    /// What could not be looked at is said once.
    said: BTreeSet<String>,
}

/// What is looked at, and what for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    /// What the control plane says.
    pub(crate) snapshot: &'a Snapshot,
    /// What should be programmed.
    pub(crate) table: &'a Table,
    /// This node.
    pub(crate) facts: &'a Facts,
    /// The kernel was read, so all is looked at.
    pub(crate) is_full: bool,
    /// Endpoints of UDP or SCTP came or went since the last look.
    pub(crate) flows_changed: bool,
}

/// What the thread remembers.
#[derive(Debug, Default)]
struct Eyes {
    /// State of the rules when firewalls were looked at.
    generation: Option<Generation>,
    drops: Vec<ForwardDrop>,
    /// Answers of an earlier run that are not asked for now were taken back.
    is_closed: bool,
}

// === impl Watch ===

impl Watch {
    /// One that answers foreign firewalls if asked to.
    pub(crate) fn new(config: &Config, metrics: Metrics) -> Self {
        Self {
            open_forward: config.open_forward,
            metrics,
            worker: None,
            drops: Vec::new(),
            listeners: BTreeSet::new(),
            said: BTreeSet::new(),
        }
    }

    /// Looks, and gives all that is found wrong, of this look and of those before that still holds. What cannot be looked
    /// at is logged once.
    pub(crate) async fn look(&mut self, look: Look<'_>) -> Vec<Finding> {
        if look.flows_changed {
            let serving = serving::serving(look.snapshot, look.table, look.facts);
            let start = Instant::now();
            let outcome = self.run(move |_| forget_stale(&serving)).await;
            if let Some(deleted) = self.told("connections that go nowhere", outcome) {
                let took = start.elapsed().as_secs_f64();
                self.metrics.conntrack_duration.observe(took);
                for (family, count) in deleted {
                    self.metrics.conntrack_deleted.count(family, count);
                }
            }
        }
        let at_node_ports = origins(look.table);
        if look.is_full {
            let open = self.open_forward;
            let outcome = self.run(move |eyes| eyes.firewalls(open)).await;
            if let Some(drops) = self.told("foreign firewalls", outcome) {
                self.drops = drops;
            }
            let ports = at_node_ports.keys().copied().collect();
            let outcome = self
                .run(move |_| listeners::at(&ports).map_err(|e| e.to_string()))
                .await;
            if let Some(listeners) = self.told("programs at node ports", outcome) {
                self.listeners = listeners;
            }
        }
        self.findings(look.facts, &at_node_ports)
    }

    fn findings(&self, facts: &Facts, at: &BTreeMap<(Protocol, u16), &Origin>) -> Vec<Finding> {
        let closed = self.drops.iter().filter(|drop| !drop.is_open);
        let dropped = closed.map(|drop| Finding {
            severity: Severity::Error,
            source: None,
            object: ObjectRef::new("Node", "", &*facts.node_name),
            field: String::new(),
            reason: "ForwardDropped".into(),
            message: drop.to_string(),
        });
        let taken = self.listeners.iter().filter_map(|listener| {
            let origin = at.get(&(listener.protocol, listener.address.port()))?;
            let message = listener.to_string();
            Some(finding(Severity::Warning, origin, "NodePortInUse", message))
        });
        dropped.chain(taken).collect()
    }

    /// Has it done on the thread for it.
    async fn run<R: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut Eyes) -> Result<R, String> + Send + 'static,
    ) -> Result<R, String> {
        if self.worker.is_none() {
            let worker = Worker::start("host", || Ok(Eyes::default()));
            self.worker = Some(worker.map_err(|error| error.to_string())?);
        }
        let Some(worker) = &self.worker else {
            return Err("no thread".to_owned());
        };
        let done = worker.run(job).await;
        done.unwrap_or_else(|ended| Err(ended.to_string()))
    }

    /// What came of a look. What kept it from coming is said, once.
    fn told<R>(&mut self, what: &'static str, outcome: Result<R, String>) -> Option<R> {
        match outcome {
            Ok(result) => Some(result),
            Err(error) => {
                if self.said.insert(format!("{what}: {error}")) {
                    warn!(what, error, "This host cannot be looked at");
                }
                None
            }
        }
    }
}

/// Whose node ports there are.
fn origins(table: &Table) -> BTreeMap<(Protocol, u16), &Origin> {
    let servers = table.virtual_servers.iter();
    let node_ports = servers.filter(|(_, server)| server.origin.kind == VipKind::NodePort);
    node_ports
        .map(|(key, server)| ((key.frontend.protocol, key.frontend.port), &server.origin))
        .collect()
}

/// Deletes the flows that go to no endpoint which serves: UDP has no end that would be seen, and SCTP tries for long before
/// it gives up. Says how many.
fn forget_stale(serving: &Serving) -> Result<Vec<(AddressFamily, usize)>, String> {
    let forget = || {
        let mut conntrack = Conntrack::connect()?;
        let flows = conntrack.flows(&[Protocol::Udp, Protocol::Sctp])?;
        let (v4, v6): (Vec<_>, Vec<_>) = serving
            .stale(flows)
            .into_iter()
            .partition(|flow| flow.original.destination.is_ipv4());
        let of = |family, stale: &[Flow], conntrack: &mut Conntrack| {
            Ok::<_, super::HostError>((family, conntrack.delete(stale)?))
        };
        Ok(vec![
            of(AddressFamily::Ipv4, &v4, &mut conntrack)?,
            of(AddressFamily::Ipv6, &v6, &mut conntrack)?,
        ])
    };
    let deleted = forget().map_err(|error: super::HostError| error.to_string())?;
    let count: usize = deleted.iter().map(|(_, count)| count).sum();
    if count > 0 {
        info!(
            count,
            "Deleted flows to endpoints that do not serve any more"
        );
    }
    Ok(deleted)
}

// === impl Eyes ===

impl Eyes {
    /// The foreign chains that drop what is forwarded, answered if asked to. Nothing is read while no rule has changed.
    fn firewalls(&mut self, open: bool) -> Result<Vec<ForwardDrop>, String> {
        let mut nftables = match Nftables::connect() {
            Err(meshlite_nft::Error::NotSupported(_)) => return Ok(Vec::new()),
            nftables => nftables.map_err(|error| error.to_string())?,
        };
        self.look_at(&mut nftables, open)
            .map_err(|error| error.to_string())
    }

    fn look_at(
        &mut self,
        nftables: &mut Nftables,
        open: bool,
    ) -> Result<Vec<ForwardDrop>, FirewallError> {
        if !open && !self.is_closed {
            for chain in firewalls::close(nftables)? {
                info!(chain = %chain.name, table = %chain.table.name, "Removed the accept for Services, which is not asked for any more");
            }
            self.is_closed = true;
        }
        let generation = nftables.generation()?;
        if self.generation != Some(generation) {
            let mut drops = firewalls::forward_drops(nftables)?;
            if open {
                for chain in firewalls::open(nftables, &drops)? {
                    info!(chain = %chain.name, table = %chain.table.name, "Added an accept for Services at the end of a chain that drops");
                }
                drops = firewalls::forward_drops(nftables)?;
            }
            self.drops = drops;
            self.generation = Some(nftables.generation()?);
        }
        Ok(self.drops.clone())
    }
}
