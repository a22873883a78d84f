//! One call of `apply`, from steps to what IPVS has to do and back to what became of each step. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use meshlite_ipvs::Change;
use meshlite_snapshot::Protocol;

use super::{
    mark::Mark,
    programmed::{Port, Programmed},
};
use crate::{
    kernel::KernelError,
    plan::Step,
    table::{Audience, Key},
};

/// Steps that are being applied.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What became of each step so far.
    pub(super) results: Vec<Result<(), KernelError>>,
    /// What IPVS has to do at addresses, each with its step.
    pub(super) changes: Vec<(usize, Change)>,
    /// Places where a virtual server is already, which is to become ours.
    pub(super) adopted: BTreeSet<Key>,
    /// Places that are there after it, and have changed.
    pub(super) changed: BTreeSet<Key>,
    /// Places that were there before it, with their marks.
    pub(super) removed: BTreeMap<Key, Option<Mark>>,
    /// Service ports that have changed, and may need marks.
    pub(super) ports: BTreeSet<Port>,
    /// Places of which flows may go to the wrong real server: UDP and SCTP have no end that would be seen.
    pub(super) flows: BTreeSet<Key>,
    /// The last step about each place, but for the latest place.
    last: BTreeMap<Key, usize>,
    /// The place of the latest step, and that step: those about one place mostly come together.
    latest: Option<(Key, usize)>,
}

// === impl Batch ===

impl Batch {
    /// Takes the steps, in order. Those that cannot be are refused.
    pub(super) fn take(
        steps: &[Step],
        programmed: &mut Programmed,
        is_there: impl Fn(&Key) -> bool,
    ) -> Self {
        let mut batch = Self {
            results: Vec::with_capacity(steps.len()),
            changes: Vec::with_capacity(steps.len()),
            ..Self::default()
        };
        for step in steps {
            let result = batch.take_one(step, programmed, &is_there);
            batch.results.push(result);
        }
        batch.last.extend(batch.latest.take());
        batch
    }

    fn take_one(
        &mut self,
        step: &Step,
        programmed: &mut Programmed,
        is_there: impl Fn(&Key) -> bool,
    ) -> Result<(), KernelError> {
        let Some(key) = step.key() else {
            return Ok(());
        };
        let is_first = !self.knows(key);
        // Whose a place is changes with these only.
        let is_its_own = matches!(
            step,
            Step::AddVirtualServer { .. }
                | Step::EditVirtualServer { .. }
                | Step::RemoveVirtualServer { .. }
        );
        let port = (is_first || is_its_own).then(|| programmed.port_to_mark(key));
        let mark = is_its_own.then(|| programmed.get(key)?.mark).flatten();
        let (index, before) = (self.results.len(), self.changes.len());
        let changes = &mut self.changes;
        programmed.take(step, |change| changes.push((index, change)))?;
        self.note(key, index);
        self.ports.extend(port.flatten());
        if is_its_own {
            self.ports.extend(programmed.port_to_mark(key));
        }
        match step {
            Step::RemoveVirtualServer { .. } => {
                self.changed.remove(key);
                self.removed.insert(*key, mark);
            }
            Step::AddVirtualServer { .. } => {
                self.changed.insert(*key);
                // Its mark is still that of the one before, if it had one.
                if key.audience == Audience::Everyone && is_there(key) {
                    self.adopted.insert(*key);
                }
            }
            _ if is_first => {
                self.changed.insert(*key);
            }
            _ => {}
        }
        let moves_flows = match step {
            Step::AddVirtualServer { server, .. } => !server.real_servers.is_empty(),
            Step::AddRealServer { .. } | Step::RemoveRealServer { .. } => true,
            _ => false,
        };
        if moves_flows && key.frontend.protocol != Protocol::Tcp {
            self.flows.insert(*key);
        }
        if self.adopted.contains(key) {
            self.changes.truncate(before);
        }
        Ok(())
    }

    /// What IPVS has to do at addresses, in this order.
    pub(super) fn at_places(&self) -> impl Iterator<Item = Change> {
        self.changes.iter().map(|(_, change)| *change)
    }

    /// Whether a step before was about this place.
    fn knows(&self, key: &Key) -> bool {
        self.latest.is_some_and(|(latest, _)| latest == *key) || self.last.contains_key(key)
    }

    fn note(&mut self, key: &Key, index: usize) {
        match &mut self.latest {
            Some((latest, step)) if latest == key => *step = index,
            _ => self.last.extend(self.latest.replace((*key, index))),
        }
    }

    /// Places that are not there any more.
    pub(super) fn gone(&self) -> impl Iterator<Item = Key> {
        let gone = self
            .removed
            .keys()
            .filter(|key| !self.changed.contains(key));
        gone.copied()
    }

    /// Those of them whose virtual servers could not be removed.
    pub(super) fn stuck(&self) -> BTreeSet<Key> {
        let is_stuck = |key: &Key| {
            let last = self.last.get(key);
            let result = last.and_then(|index| self.results.get(*index));
            result.is_some_and(Result::is_err)
        };
        self.gone().filter(is_stuck).collect()
    }

    /// Leaves places out: what they need first has failed.
    pub(super) fn leave_out(&mut self, failed: &BTreeMap<Key, KernelError>, steps: &[Step]) {
        if failed.is_empty() {
            return;
        }
        for (index, step) in steps.iter().enumerate() {
            if let Some(error) = step.key().and_then(|key| failed.get(key)) {
                self.fail(index, error.clone());
            }
        }
        self.changes.retain(|(index, _)| {
            let key = steps.get(*index).and_then(Step::key);
            !key.is_some_and(|key| failed.contains_key(key))
        });
        self.adopted.retain(|key| !failed.contains_key(key));
        self.changed.retain(|key| !failed.contains_key(key));
    }

    /// A step failed.
    pub(super) fn fail(&mut self, index: usize, error: KernelError) {
        if let Some(result) = self.results.get_mut(index)
            && result.is_ok()
        {
            *result = Err(error);
        }
    }

    /// Something failed that a place needs.
    pub(super) fn fail_place(&mut self, key: &Key, error: KernelError) {
        if let Some(index) = self.last.get(key) {
            self.fail(*index, error);
        }
    }

    /// Something failed that all places at an address need.
    pub(super) fn fail_address(&mut self, address: IpAddr, error: &KernelError) {
        let at: Vec<Key> = self
            .last
            .keys()
            .filter(|key| key.frontend.address.ip() == address)
            .copied()
            .collect();
        for key in at {
            self.fail_place(&key, error.clone());
        }
    }

    /// Something failed that all steps need.
    pub(super) fn fail_all(&mut self, error: &KernelError) {
        for result in &mut self.results {
            if result.is_ok() {
                *result = Err(error.clone());
            }
        }
    }

    /// Real servers of each place of which flows may go to the wrong one.
    pub(super) fn serving(&self, programmed: &Programmed) -> Vec<(Key, Vec<SocketAddr>)> {
        let serving = |key: &Key| {
            let both = [Key::everyone(key.frontend), Key::inside(key.frontend)];
            let servers = both.iter().filter_map(|key| programmed.get(key));
            let all = servers.flat_map(|server| server.real_servers.addresses());
            (*key, all.collect())
        };
        self.flows.iter().map(serving).collect()
    }
}
