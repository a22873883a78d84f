//! What each listener has for each host.

use std::{collections::BTreeMap, sync::Arc};

use meshlite_snapshot::{HostMatch, Name};

use crate::table::HostIndex;

/// Values by listener and host. What was given out stays as it is.
#[derive(Debug)]
pub(super) struct ByListener<T>(BTreeMap<Name, Arc<HostIndex<Arc<T>>>>);

impl<T> Default for ByListener<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> ByListener<T> {
    /// What a listener has.
    pub(super) fn of(&self, listener: &Name) -> Arc<HostIndex<Arc<T>>> {
        self.0.get(listener).cloned().unwrap_or_default()
    }

    /// Puts a value in, unless there is one for this host. Says whether it did.
    pub(super) fn put_in(&mut self, listener: &Name, host: &HostMatch, value: &Arc<T>) -> bool {
        let hosts = self.0.entry(listener.clone()).or_default();
        Arc::make_mut(hosts).insert(host, Arc::clone(value)).is_ok()
    }

    /// Takes a value out, if it is the one that is there. Says whether it was.
    pub(super) fn take_out(&mut self, listener: &Name, host: &HostMatch, value: &Arc<T>) -> bool {
        let Some(hosts) = self.0.get_mut(listener) else {
            return false;
        };
        let is_there = hosts.get(host).is_some_and(|has| Arc::ptr_eq(has, value));
        if is_there {
            Arc::make_mut(hosts).remove(host);
        }
        is_there
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
