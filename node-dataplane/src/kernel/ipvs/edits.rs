//! Edits of virtual servers, so that nobody is refused meanwhile.

use std::mem;

use meshlite_ipvs::{Change, Failure, Service};

use super::{backend::Backend, batch::Batch, door::Door, mark::Mark, value};
use crate::{kernel::KernelError, table::Key};

/// Virtual servers that are edited at a time: Linux waits for all processors at each.
const AT_A_TIME: usize = 16;

impl<D: Door> Backend<D> {
    /// Makes the edits of virtual servers at addresses.
    pub(super) fn edit_places(&mut self, batch: &mut Batch) -> Result<(), KernelError> {
        let is_edit = |(_, change): &(usize, Change)| matches!(change, Change::EditService(_));
        if !batch.changes.iter().any(is_edit) {
            return Ok(());
        }
        let (mut indexes, mut edits) = (Vec::new(), Vec::new());
        for (index, change) in mem::take(&mut batch.changes) {
            match change {
                Change::EditService(service) => {
                    indexes.push(index);
                    edits.push(service);
                }
                other => batch.changes.push((index, other)),
            }
        }
        for failure in self.edit(&edits, batch)? {
            if let Some(index) = indexes.get(failure.index) {
                batch.fail(*index, value::error(&failure.error));
            }
        }
        Ok(())
    }

    /// Edits virtual servers, and tells which could not be.
    ///
    /// While its scheduler changes, a virtual server has none, and Linux refuses who comes then (`ip_vs_edit_service`).
    /// So new connections are dropped for that moment: their clients ask again.
    pub(super) fn edit(
        &mut self,
        edits: &[Service],
        batch: &mut Batch,
    ) -> Result<Vec<Failure>, KernelError> {
        let mut failures = Vec::new();
        for (chunk, edits) in edits.chunks(AT_A_TIME).enumerate() {
            let keys: Vec<Key> = edits.iter().flat_map(|it| self.places_of(it)).collect();
            for key in &keys {
                self.helpers.hold(key);
            }
            // Where that fails, the edit is made all the same.
            drop(self.helpers.commit());
            let changes = edits.iter().copied().map(Change::EditService);
            let sent = self.send(&changes.collect::<Vec<_>>());
            for key in &keys {
                if let Some(server) = self.programmed.get(key) {
                    self.helpers.set(key, server, &self.binding);
                }
            }
            self.commit(batch);
            failures.extend(sent?.into_iter().map(|failure| Failure {
                index: chunk * AT_A_TIME + failure.index,
                ..failure
            }));
        }
        Ok(failures)
    }

    /// The places whose packets come to a virtual server.
    fn places_of(&self, service: &Service) -> Vec<Key> {
        match Mark::of_service(service.key) {
            Some(mark) => self.helpers.marked(mark),
            None => value::frontend(service.key)
                .map(Key::everyone)
                .into_iter()
                .collect(),
        }
    }
}
