//! What is programmed, as far as this process knows: what was read last, and the steps since.

use std::{collections::BTreeSet, net::SocketAddr};

use crate::{
    plan::{Mismatch, Step},
    table::{Key, Observed, ObservedServer},
};

/// What is programmed, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    observed: Observed,
    real_servers: usize,
    /// Virtual servers that listen elsewhere than they were asked to.
    moved: BTreeSet<Key>,
}

// === impl Mirror ===

impl Mirror {
    /// Just what was read.
    pub(super) fn new(observed: Observed) -> Self {
        let servers = &observed.virtual_servers;
        let is_moved = |(key, server): &(&Key, &ObservedServer)| {
            let wanted = key.frontend.socket_address();
            server.bound.is_some_and(|bound| bound != wanted)
        };
        Self {
            real_servers: servers.values().map(|s| s.real_servers.len()).sum(),
            moved: servers
                .iter()
                .filter(is_moved)
                .map(|(key, _)| *key)
                .collect(),
            observed,
        }
    }

    pub(super) const fn observed(&self) -> &Observed {
        &self.observed
    }

    pub(super) fn virtual_servers(&self) -> usize {
        self.observed.virtual_servers.len()
    }

    pub(super) const fn real_servers(&self) -> usize {
        self.real_servers
    }

    /// Virtual servers that listen elsewhere than they were asked to, and where.
    pub(super) fn moved(&self) -> impl Iterator<Item = (&Key, SocketAddr)> {
        self.moved.iter().filter_map(|key| {
            let bound = self.observed.virtual_servers.get(key)?.bound?;
            Some((key, bound))
        })
    }

    /// Takes note of a step that succeeded.
    pub(super) fn apply(&mut self, step: &Step) -> Result<(), Mismatch> {
        let (come, gone) = match step {
            Step::AddVirtualServer { server, .. } => (server.real_servers.len(), 0),
            Step::AddRealServer { .. } => (1, 0),
            Step::RemoveRealServer { .. } => (0, 1),
            Step::RemoveVirtualServer { key } => {
                let server = self.observed.virtual_servers.get(key);
                (0, server.map_or(0, |server| server.real_servers.len()))
            }
            _ => (0, 0),
        };
        step.apply_to(&mut self.observed)?;
        self.real_servers = self.real_servers + come - gone;
        if let Step::RemoveVirtualServer { key } = step {
            self.moved.remove(key);
        }
        Ok(())
    }

    /// Takes note of how many connections these real servers have.
    pub(super) fn set_connections(&mut self, of: &[(Key, SocketAddr)], connections: &[u64]) {
        for ((key, address), connections) in of.iter().zip(connections) {
            if let Some(server) = self.observed.virtual_servers.get_mut(key)
                && server.real_servers.contains(*address)
            {
                server.connections.insert(*address, *connections);
            }
        }
    }
}
