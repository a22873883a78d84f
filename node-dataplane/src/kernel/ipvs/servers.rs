//! What IPVS has to do for virtual servers, at addresses and by mark, and what it could not.

use std::{collections::BTreeMap, mem, net::SocketAddr};

use meshlite_ipvs::{Change, Error, Failure, ServiceKey};

use super::{
    backend::Backend, batch::Batch, door::Door, mark::Mark, marking::Marking, sharing::Content,
    value,
};
use crate::{kernel::KernelError, table::Key};

impl<D: Door> Backend<D> {
    /// What is at addresses.
    pub(super) fn change_places(&mut self, batch: &mut Batch) -> Result<(), KernelError> {
        let failures = if batch.changes.is_empty() {
            Ok(Vec::new())
        } else {
            self.door.apply(batch.at_places())
        };
        self.take_up(batch, failures)
    }

    /// Takes note of what failed at addresses, and makes what was there already what it should be.
    pub(super) fn take_up(
        &mut self,
        batch: &mut Batch,
        failures: Result<Vec<Failure>, Error>,
    ) -> Result<(), KernelError> {
        let failures = self.heed(failures)?;
        let changes = mem::take(&mut batch.changes);
        let mut adopted = mem::take(&mut batch.adopted);
        for failure in failures {
            let Some((index, change)) = changes.get(failure.index) else {
                continue;
            };
            let place = place(change);
            let frontend = place.0.and_then(value::frontend);
            match (&failure.error, frontend) {
                (Error::NotThere(_), _) if place.1 == Way::Out => {}
                (Error::Exists(_), Some(frontend)) if !self.options.excludes(&frontend) => {
                    adopted.insert(Key::everyone(frontend));
                }
                (error, _) => batch.fail(*index, value::error(error)),
            }
        }
        for key in adopted {
            let Some(content) = self.programmed.get(&key).map(Content::of) else {
                continue;
            };
            if let Err(error) = self.converge(value::service_key(&key.frontend), &content) {
                batch.fail_place(&key, error);
            }
            self.left.remove(&key);
        }
        Ok(())
    }

    /// What marked packets get. Says whether all of it is as it should be.
    pub(super) fn change_marked(
        &mut self,
        batch: &mut Batch,
        marking: &Marking,
    ) -> Result<bool, KernelError> {
        let mut is_done = true;
        let mut there = BTreeMap::new();
        let (edits, others): (Vec<_>, Vec<_>) = marking
            .changes
            .iter()
            .partition(|(_, change)| matches!(change, Change::EditService(_)));
        let services = edits.iter().filter_map(|(_, change)| match change {
            Change::EditService(service) => Some(*service),
            _ => None,
        });
        let of_edits = self.edit(&services.collect::<Vec<_>>(), batch)?;
        let of_edits = of_edits.into_iter().zip(std::iter::repeat(&edits));
        let of_others = self.send(&others.iter().map(|(_, change)| *change).collect::<Vec<_>>())?;
        let of_others = of_others.into_iter().zip(std::iter::repeat(&others));
        for (failure, of) in of_edits.chain(of_others) {
            let Some((key, change)) = of.get(failure.index) else {
                continue;
            };
            match (&failure.error, place(change)) {
                (Error::NotThere(_), (_, Way::Out)) => {}
                (Error::Exists(_), (Some(service), _)) => {
                    there.insert(service, *key);
                }
                (error, _) => {
                    batch.fail_place(key, value::error(error));
                    is_done = false;
                }
            }
        }
        for (service, key) in there {
            let marked = Mark::of_service(service)
                .and_then(|mark| self.programmed.marked().get(&mark))
                .map(|marked| marked.content.clone());
            if let Some(content) = marked
                && let Err(error) = self.converge(service, &content)
            {
                batch.fail_place(&key, error);
                is_done = false;
            }
        }
        Ok(is_done)
    }

    /// Makes a virtual server that is there what it should be, by edits alone: its connections stay. Real servers that
    /// it should not have get no new ones, and are seen with the next reading.
    fn converge(&mut self, key: ServiceKey, content: &Content) -> Result<(), KernelError> {
        let service = value::service_of(key, content.scheduler, content.persistence);
        let found = self.door.destinations(key).map_err(|e| value::error(&e))?;
        let had: BTreeMap<SocketAddr, u32> = found
            .iter()
            .map(|entry| {
                let is = entry.destination;
                (
                    SocketAddr::new(is.key.address, is.key.port),
                    is.settings.weight,
                )
            })
            .collect();
        let mut changes = vec![Change::EditService(service)];
        for (&address, &weight) in &content.weights {
            let destination = value::destination(address, weight);
            changes.push(if had.contains_key(&address) {
                Change::EditDestination(key, destination)
            } else {
                Change::AddDestination(key, destination)
            });
        }
        let stale = had
            .iter()
            .filter(|(address, weight)| **weight > 0 && !content.weights.contains_key(*address));
        changes.extend(
            stale.map(|(address, _)| Change::EditDestination(key, value::destination(*address, 0))),
        );
        match self.send(&changes)?.pop() {
            None => Ok(()),
            Some(failure) => Err(value::error(&failure.error)),
        }
    }

    pub(super) fn send(&mut self, changes: &[Change]) -> Result<Vec<Failure>, KernelError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let failures = self.door.apply(changes);
        self.heed(failures)
    }

    /// Where nobody knows how far it got, the socket is not used again.
    fn heed(&mut self, failures: Result<Vec<Failure>, Error>) -> Result<Vec<Failure>, KernelError> {
        failures.map_err(|error| {
            self.is_broken = true;
            value::error(&error)
        })
    }
}

/// Whether a change takes something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// The virtual server that a change is about.
fn place(change: &Change) -> (Option<ServiceKey>, Way) {
    match change {
        Change::AddService(service) | Change::EditService(service) => (Some(service.key), Way::In),
        Change::AddDestination(key, _) | Change::EditDestination(key, _) => (Some(*key), Way::In),
        Change::DeleteService(key) | Change::DeleteDestination(key, _) => (Some(*key), Way::Out),
        _ => (None, Way::In),
    }
}
