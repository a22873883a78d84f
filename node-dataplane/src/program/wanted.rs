//! What is asked of this node, and what of it is not derived or programmed yet.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use meshlite_snapshot::{Protocol, Snapshot};
use tokio::time::Instant;
use tracing::{info, warn};

use super::checks::Checks;
use crate::{
    desired::{Changed, Desired, Sources, Touched},
    facts::{self, Facts},
    kernel::Capabilities,
    table::Key,
};

/// Services that are derived at a time: so few that whoever programs them has not long to wait for the first, so many
/// that it is woken seldom. Tests have few Services, and see to it that it makes no difference.
const AT_A_TIME: usize = if cfg!(test) { 2 } else { 64 };
/// The most, and how much of what was derived before: what the kernel does for each time weighs less then, and nobody
/// waits for long compared with what is done.
const MOST_AT_A_TIME: usize = 512;
const PART_AT_A_TIME: usize = 8;

/// What is asked of this node.
pub(super) struct Wanted {
    pub(super) capabilities: Capabilities,
    pub(super) facts: Facts,
    /// None before the first commit: then nothing is touched.
    pub(super) snapshot: Option<(u64, Snapshot)>,
    /// None where endpoints are not asked whether they answer.
    pub(super) checks: Option<Checks>,
    /// Endpoints that do not answer.
    pub(super) dead: BTreeSet<SocketAddr>,
    pub(super) desired: Desired,
    /// Services that were derived since nothing was due.
    derived: usize,
    /// Virtual servers that may not be as they should.
    pub(super) due: BTreeSet<Key>,
    /// Findings may not be what they were.
    pub(super) findings_due: bool,
    pub(super) health_checks_due: bool,
    /// Endpoints of virtual servers of UDP or SCTP came or went.
    pub(super) flows_changed: bool,
    /// The time that it took to take note of changes, until a pass counts it; none where nothing has changed.
    pub(super) noted_in: Option<Duration>,
}

// === impl Wanted ===

impl Wanted {
    /// Nothing yet.
    pub(super) fn new(capabilities: Capabilities, facts: Facts, check_endpoints: bool) -> Self {
        Self {
            capabilities,
            facts,
            snapshot: None,
            checks: check_endpoints.then(Checks::default),
            dead: BTreeSet::new(),
            desired: Desired::default(),
            derived: 0,
            due: BTreeSet::new(),
            findings_due: true,
            health_checks_due: true,
            flows_changed: false,
            noted_in: None,
        }
    }

    /// What should be programmed from now on, and what in it is not as it was; of the first nobody needs to know.
    pub(super) fn set_snapshot(
        &mut self,
        generation: u64,
        snapshot: Snapshot,
        changed: impl FnOnce() -> Changed,
    ) {
        let is_first = self.snapshot.is_none();
        if self.facts.node_port_primary {
            self.follow_primary_addresses(&snapshot);
        }
        self.snapshot = Some((generation, snapshot));
        if is_first {
            self.note(&Changed::everything());
        } else {
            self.note(&changed());
        }
    }

    /// Node ports are where the Node object says that this node is.
    fn follow_primary_addresses(&mut self, snapshot: &Snapshot) {
        let node = snapshot.nodes.get(self.facts.node_name.as_str());
        let ranges = node.map_or_else(Vec::new, |node| facts::primary_addresses(node));
        self.health_checks_due |= self.facts.node_port_ranges != ranges;
        self.facts.node_port_ranges = ranges;
    }

    /// This host's addresses, which node ports follow.
    pub(super) fn set_local_addresses(&mut self, addresses: BTreeSet<IpAddr>) {
        if self.facts.local_addresses != addresses {
            info!(?addresses, "local addresses changed");
            self.facts.local_addresses = addresses;
            self.health_checks_due = true;
            self.note(&Changed::addresses());
        }
    }

    /// What an endpoint answered; none if nothing was learned. Says whether that calls for a pass.
    pub(super) fn checked(&mut self, endpoint: SocketAddr, is_alive: Option<bool>) -> bool {
        let Some(checks) = &mut self.checks else {
            return false;
        };
        if !checks.answered(endpoint, is_alive, Instant::now(), fastrand::f64()) {
            return false;
        }
        if checks.dead().contains(&endpoint) {
            self.dead.insert(endpoint);
            warn!(%endpoint, "endpoint does not answer and gets no new connections where others do");
        } else {
            self.dead.remove(&endpoint);
            info!(%endpoint, "endpoint answers again");
        }
        self.note(&Changed::liveness([endpoint].into()));
        true
    }

    fn note(&mut self, changed: &Changed) {
        let Some((_, snapshot)) = &self.snapshot else {
            return;
        };
        let start = Instant::now();
        let sources = Sources {
            snapshot,
            facts: &self.facts,
            capabilities: &self.capabilities,
            dead: &self.dead,
        };
        self.desired.note(sources, changed);
        *self.noted_in.get_or_insert_default() += start.elapsed();
    }

    /// Derives some of what is due, and names the virtual servers that are others now; `None` once all is derived.
    pub(super) fn advance(&mut self) -> Option<BTreeSet<Key>> {
        let (_, snapshot) = self.snapshot.as_ref()?;
        let sources = Sources {
            snapshot,
            facts: &self.facts,
            capabilities: &self.capabilities,
            dead: &self.dead,
        };
        let part = self.derived / PART_AT_A_TIME;
        let at_a_time = part.clamp(AT_A_TIME, MOST_AT_A_TIME);
        self.derived += at_a_time;
        let Some(touched) = self.desired.advance(sources, at_a_time) else {
            self.derived = 0;
            return None;
        };
        self.check(&touched);
        let has_flows = |key: &Key| key.frontend.protocol != Protocol::Tcp;
        self.flows_changed |= touched.keys.iter().any(has_flows);
        self.due.extend(&touched.keys);
        self.findings_due |= touched.findings;
        self.health_checks_due |= touched.health_checks;
        Some(touched.keys)
    }

    /// Has the endpoints of these virtual servers asked whether they answer.
    fn check(&mut self, touched: &Touched) {
        let Some(checks) = &mut self.checks else {
            return;
        };
        let now = Instant::now();
        let keys = touched.keys.iter();
        for key in keys.filter(|key| key.frontend.protocol == Protocol::Tcp) {
            let server = self.desired.table().virtual_servers.get(key);
            let endpoints = server.into_iter().flat_map(|s| s.real_servers.addresses());
            checks.set(*key, endpoints.collect(), now, fastrand::f64);
        }
        // Those that are gone need no weight any more.
        self.dead
            .retain(|endpoint| checks.dead().contains(endpoint));
    }
}
