//! Edits of virtual servers, so that nobody is refused meanwhile.

use std::mem;

use meshlite_ipvs::{Change, Service};

use super::{backend::Backend, batch::Batch, door::Door, value};
use crate::{kernel::KernelError, table::Key};

/// Virtual servers that are edited at a time: Linux waits for all processors at each.
const AT_A_TIME: usize = 16;

impl<D: Door> Backend<D> {
    /// Makes the edits of virtual servers at addresses.
    ///
    /// While its scheduler changes, a virtual server has none, and Linux refuses who comes then (`ip_vs_edit_service`).
    /// So new connections are dropped for that moment: their clients ask again.
    pub(super) fn edit_places(&mut self, batch: &mut Batch) -> Result<(), KernelError> {
        let mut edits = Vec::new();
        for (index, change) in mem::take(&mut batch.changes) {
            match change {
                Change::EditService(service) => edits.push((index, service)),
                other => batch.changes.push((index, other)),
            }
        }
        for edits in edits.chunks(AT_A_TIME) {
            let keys: Vec<Key> = edits.iter().filter_map(|(_, it)| key(it)).collect();
            for key in &keys {
                self.helpers.hold(key);
            }
            // Where that fails, the edit is made all the same.
            drop(self.helpers.commit());
            let changes = edits.iter().map(|(_, it)| Change::EditService(*it));
            let sent = self.send(changes.collect());
            for key in &keys {
                if let Some(server) = self.programmed.get(key) {
                    self.helpers.set(key, server, &self.binding);
                }
            }
            self.commit(batch);
            for failure in sent? {
                if let Some((index, _)) = edits.get(failure.index) {
                    batch.fail(*index, value::error(&failure.error));
                }
            }
        }
        Ok(())
    }
}

fn key(service: &Service) -> Option<Key> {
    value::frontend(service.key).map(Key::everyone)
}
