//! Steps as what virtual servers are to be in the end: those that make no sense are refused one by one. Pure.

use std::collections::BTreeMap;

use super::balanced::Balanced;
use crate::{
    kernel::{
        KernelError,
        rules::{Changes, Clients},
    },
    plan::Step,
    table::{Key, Origin, VipKind, VirtualAddress},
};

/// What is there, and what is to be.
pub(super) struct Draft<'a> {
    entries: &'a BTreeMap<Key, Balanced>,
    pub(super) clients: Clients,
    pub(super) are_clients_new: bool,
    pub(super) changes: Changes<Balanced>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(entries: &'a BTreeMap<Key, Balanced>, clients: &Clients) -> Self {
        Self {
            entries,
            clients: clients.clone(),
            are_clients_new: false,
            changes: BTreeMap::new(),
        }
    }

    /// Adds what a step changes.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), KernelError> {
        let missing = |what: &dyn std::fmt::Display| KernelError::Resync(format!("no {what}"));
        match step {
            Step::SetInside { networks, pods } => {
                self.clients = Clients {
                    inside: networks.clone(),
                    pods: pods.clone(),
                };
                self.are_clients_new = true;
                self.close_and_open();
            }
            Step::AddVirtualServer {
                key,
                origin,
                settings,
            } => {
                if self.get(key).is_some() {
                    return Err(KernelError::Resync(format!("{key} is there already")));
                }
                let entry = Balanced {
                    is_closed: self.is_closed(key, origin),
                    origin: Some(origin.clone()),
                    settings: settings.clone(),
                    real_servers: BTreeMap::new(),
                };
                self.changes.insert(*key, Some(entry));
            }
            Step::EditVirtualServer {
                key,
                origin,
                settings,
            } => {
                let is_closed = self.is_closed(key, origin);
                let entry = self.edit(key).ok_or_else(|| missing(key))?;
                entry.is_closed = is_closed;
                entry.origin = Some(origin.clone());
                entry.settings = settings.clone();
            }
            Step::AddRealServer { key, address, real } => {
                let entry = self.edit(key).ok_or_else(|| missing(key))?;
                if entry.real_servers.contains_key(address) {
                    return Err(KernelError::Resync(format!("{address} is there already")));
                }
                entry.real_servers.insert(*address, *real);
            }
            Step::EditRealServer { key, address, .. } | Step::DrainRealServer { key, address } => {
                let entry = self.edit(key).ok_or_else(|| missing(key))?;
                let found = entry.real_servers.get_mut(address);
                let found = found.ok_or_else(|| missing(address))?;
                found.weight = step.weight();
                if let Step::EditRealServer { real, .. } = step {
                    found.is_local = real.is_local;
                }
            }
            Step::RemoveRealServer { key, address } => {
                let entry = self.edit(key).ok_or_else(|| missing(key))?;
                let removed = entry.real_servers.remove(address);
                removed.ok_or_else(|| missing(address))?;
            }
            Step::RemoveVirtualServer { key } => {
                self.get(key).ok_or_else(|| missing(key))?;
                self.changes.insert(*key, None);
            }
        }
        Ok(())
    }

    fn get(&self, key: &Key) -> Option<&Balanced> {
        match self.changes.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.entries.get(key),
        }
    }

    fn edit(&mut self, key: &Key) -> Option<&mut Balanced> {
        if !self.changes.contains_key(key) {
            let entry = self.entries.get(key)?.clone();
            self.changes.insert(*key, Some(entry));
        }
        self.changes.get_mut(key)?.as_mut()
    }

    /// Whether what is no Service's port of an address is refused: not where the address is this node's own, whose
    /// daemons serve there.
    fn is_closed(&self, key: &Key, origin: &Origin) -> bool {
        let VirtualAddress::Ip(ip) = key.frontend.address else {
            return false;
        };
        match origin.kind {
            VipKind::ClusterIP => true,
            VipKind::NodePort => false,
            VipKind::LoadBalancer | VipKind::ExternalIP => !self
                .clients
                .inside
                .iter()
                .any(|network| network.contains(&ip)),
        }
    }

    /// Looks at all addresses that may have become this node's, or no longer are.
    fn close_and_open(&mut self) {
        let entries = self.entries;
        for (key, entry) in entries {
            let Some(origin) = &entry.origin else {
                continue;
            };
            let is_closed = self.is_closed(key, origin);
            if is_closed != entry.is_closed
                && let Some(entry) = self.edit(key)
            {
                entry.is_closed = is_closed;
            }
        }
    }
}
