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
    table::{Audience, Key, VirtualServer},
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
    /// Places that were there before it, with their marks.
    pub(super) removed: BTreeMap<Key, Option<Mark>>,
    /// Service ports that have changed, and may need marks.
    pub(super) ports: BTreeSet<Port>,
    /// Virtual servers came, went or became others: more than real servers change.
    moves_places: bool,
    /// Places of which flows may go to the wrong real server: UDP and SCTP have no end that would be seen.
    pub(super) flows: BTreeSet<Key>,
    /// Every place that it is about, but for the latest.
    places: BTreeMap<Key, Place>,
    /// The place of the latest step: those about one place mostly come together.
    latest: Option<(Key, Place)>,
}

/// A place that steps are about.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The last of them.
    last: usize,
    /// Whether it is there after them.
    is_there: bool,
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
            changes: Vec::with_capacity(steps.iter().map(changes_at_most).sum()),
            ..Self::default()
        };
        for step in steps {
            let result = match step {
                Step::AddVirtualServer { key, server } => {
                    batch.add(*key, server, programmed, &is_there)
                }
                _ => batch.change(step, programmed),
            };
            batch.results.push(result);
        }
        batch.places.extend(batch.latest.take());
        batch
    }

    fn add(
        &mut self,
        key: Key,
        server: &VirtualServer,
        programmed: &mut Programmed,
        is_there: impl Fn(&Key) -> bool,
    ) -> Result<(), KernelError> {
        let (index, before) = (self.results.len(), self.changes.len());
        let changes = &mut self.changes;
        let port = programmed.add(key, server, |change| changes.push((index, change)))?;
        self.ports.extend(port);
        self.moves_places = true;
        self.note(&key, true);
        // Its mark is still that of the one before, if it had one.
        if key.audience == Audience::Everyone && is_there(&key) {
            self.adopted.insert(key);
            self.changes.truncate(before);
        }
        if !server.real_servers.is_empty() {
            self.move_flows(&key);
        }
        Ok(())
    }

    /// Takes a step about a virtual server that is there.
    fn change(&mut self, step: &Step, programmed: &mut Programmed) -> Result<(), KernelError> {
        let Some(key) = step.key() else {
            return Ok(());
        };
        let is_first = self.latest.is_none_or(|(latest, _)| latest != *key);
        // Whose a place is changes with these only.
        let is_its_own = matches!(
            step,
            Step::EditVirtualServer { .. } | Step::RemoveVirtualServer { .. }
        );
        let port = (is_first || is_its_own).then(|| programmed.port_to_mark(key));
        let mark = is_its_own.then(|| programmed.get(key)?.mark).flatten();
        let change = programmed.take(step)?;
        if !self.adopted.contains(key) {
            let index = self.results.len();
            self.changes.extend(change.map(|change| (index, change)));
        }
        self.ports.extend(port.flatten());
        if is_its_own {
            self.moves_places = true;
            self.ports.extend(programmed.port_to_mark(key));
        }
        let is_removed = matches!(step, Step::RemoveVirtualServer { .. });
        if is_removed {
            self.removed.insert(*key, mark);
        }
        self.note(key, !is_removed);
        if matches!(
            step,
            Step::AddRealServer { .. } | Step::RemoveRealServer { .. }
        ) {
            self.move_flows(key);
        }
        Ok(())
    }

    /// Takes note of a step about a place.
    fn note(&mut self, key: &Key, is_there: bool) {
        let last = self.results.len();
        let place = Place { last, is_there };
        match &mut self.latest {
            Some((latest, known)) if latest == key => *known = place,
            _ => self.places.extend(self.latest.replace((*key, place))),
        }
    }

    /// Takes note that flows of a place may go to the wrong real server.
    fn move_flows(&mut self, key: &Key) {
        if key.frontend.protocol != Protocol::Tcp {
            self.flows.insert(*key);
        }
    }

    /// Whether it changes real servers alone, of virtual servers that need no marks: then all but them stays.
    pub(super) fn is_of_real_servers(&self) -> bool {
        !self.moves_places && self.ports.is_empty()
    }

    /// What IPVS has to do at addresses, in this order.
    pub(super) fn at_places(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().map(|(_, change)| change)
    }

    /// Places that are there after it, and have changed.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Key> {
        let changed = self.places.iter().filter(|(_, place)| place.is_there);
        changed.map(|(key, _)| key)
    }

    /// Places that are not there any more.
    pub(super) fn gone(&self) -> impl Iterator<Item = Key> {
        let is_there = |key: &Key| self.places.get(key).is_some_and(|place| place.is_there);
        let gone = self.removed.keys().filter(move |key| !is_there(key));
        gone.copied()
    }

    /// Those of them whose virtual servers could not be removed.
    pub(super) fn stuck(&self) -> BTreeSet<Key> {
        let is_stuck = |key: &Key| {
            let place = self.places.get(key);
            let result = place.and_then(|place| self.results.get(place.last));
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
        for key in failed.keys() {
            if let Some(place) = self.places.get_mut(key) {
                place.is_there = false;
            }
        }
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
        if let Some(place) = self.places.get(key) {
            self.fail(place.last, error);
        }
    }

    /// Something failed that all places at an address need.
    pub(super) fn fail_address(&mut self, address: IpAddr, error: &KernelError) {
        let at: Vec<Key> = self
            .places
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

/// How many changes of IPVS a step can take.
fn changes_at_most(step: &Step) -> usize {
    match step {
        Step::AddVirtualServer { server, .. } => 1 + server.real_servers.len(),
        _ => 1,
    }
}
