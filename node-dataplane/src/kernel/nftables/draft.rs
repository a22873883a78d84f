//! Steps as what virtual servers are to be in the end: those that make no sense are refused one by one. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::balanced::Balanced;
use crate::{
    kernel::{
        KernelError,
        rules::{Changes, Clients},
    },
    plan::Step,
    table::{Key, Observed, Origin, VipKind, VirtualAddress},
};

/// What is there, and what is to be.
pub(super) struct Draft<'a> {
    entries: &'a BTreeMap<Key, Balanced>,
    /// Clients, and virtual servers as far as steps are about them.
    table: Observed,
    touched: BTreeSet<Key>,
    /// The last of them: steps about one virtual server mostly come together.
    latest: Option<Key>,
    are_clients_new: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(entries: &'a BTreeMap<Key, Balanced>, clients: &Clients) -> Self {
        Self {
            entries,
            table: Observed {
                inside: Arc::clone(&clients.inside),
                pods: clients.pods.clone(),
                virtual_servers: BTreeMap::new(),
                is_carried_elsewhere: false,
            },
            touched: BTreeSet::new(),
            latest: None,
            are_clients_new: false,
        }
    }

    /// Adds what a step changes.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), KernelError> {
        match step.key() {
            Some(key) => self.touch(key),
            None => self.are_clients_new = true,
        }
        let applied = step.apply_to(&mut self.table);
        applied.map_err(|mismatch| KernelError::Resync(mismatch.to_string()))
    }

    /// Clients, if they are to be others, and what is to be of virtual servers.
    pub(super) fn finish(mut self) -> (Option<Clients>, Changes<Balanced>) {
        if self.are_clients_new {
            // Addresses may have become this node's own, or another's.
            for (key, entry) in self.entries {
                if entry
                    .origin
                    .as_ref()
                    .is_some_and(|origin| is_closed(key, origin, &self.table) != entry.is_closed)
                {
                    self.touch(key);
                }
            }
        }
        let clients = Clients {
            inside: Arc::clone(&self.table.inside),
            pods: self.table.pods.clone(),
        };
        let change = |key: Key| {
            let server = self.table.virtual_servers.get(&key)?;
            let before = self.entries.get(&key);
            let was_closed = before.is_some_and(|entry| entry.is_closed);
            let origin = server.origin.as_ref();
            let is_closed = origin.map_or(was_closed, |it| is_closed(&key, it, &self.table));
            Some(Balanced::wanted(server, is_closed, before))
        };
        let changes = self.touched.iter().map(|key| (*key, change(*key)));
        (self.are_clients_new.then_some(clients), changes.collect())
    }

    fn touch(&mut self, key: &Key) {
        if self.latest.replace(*key) != Some(*key)
            && self.touched.insert(*key)
            && let Some(entry) = self.entries.get(key)
        {
            let servers = &mut self.table.virtual_servers;
            servers.insert(*key, entry.observed());
        }
    }
}

/// Whether what is no Service's port of an address is refused: not where the address is this node's own, whose daemons
/// serve there.
fn is_closed(key: &Key, origin: &Origin, table: &Observed) -> bool {
    let VirtualAddress::Ip(ip) = key.frontend.address else {
        return false;
    };
    match origin.kind {
        VipKind::ClusterIP => true,
        VipKind::NodePort => false,
        VipKind::LoadBalancer | VipKind::ExternalIP => {
            !table.inside.iter().any(|network| network.contains(&ip))
        }
    }
}
