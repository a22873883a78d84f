//! The nft rules that help IPVS: one transaction for what has changed, none where nothing has.

use std::{collections::BTreeMap, sync::Arc};

use super::{binding::Binding, mark::Mark, programmed::Server};
use crate::{
    kernel::{
        KernelError,
        rules::{Changes, Clients, Helper, Outcome, Rules, family_of},
    },
    plan::Step,
    table::{Key, VipKind, WhenEmpty},
};

/// Rules, and what is to become of them.
#[derive(Debug)]
pub(super) struct Helpers {
    rules: Rules<Helper>,
    changes: Changes<Helper>,
    clients: Option<Clients>,
}

/// A virtual server as the rules have it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// What they do for it.
    pub(super) helper: Helper,
    /// The mark of packets to it.
    pub(super) mark: Option<Mark>,
}

// === impl Helpers ===

impl Helpers {
    /// Those of the network namespace of this thread. Nothing is read or changed yet.
    pub(super) fn new() -> Result<Self, KernelError> {
        Ok(Self {
            rules: Rules::connect()?,
            changes: Changes::new(),
            clients: None,
        })
    }

    /// Whether the kernel takes them. It loads its modules for them now, not in the middle of a large transaction, which
    /// it would begin anew after each.
    pub(super) fn try_it() -> Result<(), KernelError> {
        Rules::<Helper>::try_it(&[])
    }

    /// Reads them.
    pub(super) fn read(&mut self) -> Result<(), KernelError> {
        self.changes.clear();
        self.clients = None;
        self.rules.read()
    }

    /// Whether there are rules, of another backend: it balances what comes until ours replace them.
    pub(super) fn are_of_another_backend(&mut self) -> Result<bool, KernelError> {
        Ok(self.places().next().is_none() && self.rules.has_table()?)
    }

    /// The places that they know, as last read and changed since.
    pub(super) fn places(&self) -> impl Iterator<Item = &Key> {
        self.rules.entries().keys()
    }

    /// What they do for each place.
    pub(super) fn recorded(&self) -> BTreeMap<Key, Recorded> {
        let recorded = |(key, helper): (&Key, &Helper)| {
            let mark = helper.mark.and_then(|mark| Mark::of(mark, family_of(key)));
            let helper = helper.clone();
            (*key, Recorded { helper, mark })
        };
        self.rules.entries().iter().map(recorded).collect()
    }

    /// Clients, as last read and changed since.
    pub(super) fn clients(&self) -> &Clients {
        self.rules.clients()
    }

    /// Takes up who is inside.
    pub(super) fn set_inside(&mut self, steps: &[Step]) {
        for step in steps {
            if let Step::SetInside { networks, pods } = step {
                self.clients = Some(Clients {
                    inside: Arc::clone(networks),
                    pods: pods.clone(),
                });
            }
        }
    }

    /// Makes them help a virtual server as it is now. Its packets keep the mark that they have.
    pub(super) fn set(&mut self, key: &Key, server: &Server, binding: &Binding) {
        let known = self.rules.entries().get(key);
        let helper = Helper {
            mark: known.and_then(|helper| helper.mark),
            ..helper(key, server, binding)
        };
        if known != Some(&helper) {
            self.changes.insert(*key, Some(helper));
        }
    }

    /// The places whose packets have this mark.
    pub(super) fn marked(&self, mark: Mark) -> Vec<Key> {
        let entries = self.rules.entries().iter();
        entries
            .filter(|(key, helper)| {
                helper.mark == Some(mark.number()) && mark.is_of(key.frontend.address.ip())
            })
            .map(|(key, _)| *key)
            .collect()
    }

    /// Drops new connections to a place until it is [set](Self::set) again.
    pub(super) fn hold(&mut self, key: &Key) {
        if let Some(helper) = self.rules.entries().get(key) {
            let held = Helper {
                is_served: false,
                when_empty: WhenEmpty::Drop,
                ..helper.clone()
            };
            self.changes.insert(*key, Some(held));
        }
    }

    /// Gives packets to a place a mark, or none.
    pub(super) fn mark(&mut self, key: &Key, mark: Option<Mark>) {
        let known = self.rules.entries().get(key);
        let mark = mark.map(Mark::number);
        if let Some(helper) = known.filter(|helper| helper.mark != mark) {
            let helper = Helper {
                mark,
                ..helper.clone()
            };
            self.changes.insert(*key, Some(helper));
        }
    }

    /// Takes away what helps a virtual server.
    pub(super) fn remove(&mut self, key: &Key) {
        if self.rules.entries().contains_key(key) {
            self.changes.insert(*key, None);
        }
    }

    /// Makes the changes, and tells which places kept what they had.
    pub(super) fn commit(&mut self) -> Outcome {
        let clients = self.clients.take();
        let changes = std::mem::take(&mut self.changes);
        if clients.is_none() && changes.is_empty() {
            return Outcome::default();
        }
        self.rules.apply(clients, changes)
    }
}

/// What rules do for a virtual server, but for its mark.
pub(super) fn helper(key: &Key, server: &Server, binding: &Binding) -> Helper {
    let address = key.frontend.address.ip();
    let kind = server.origin.as_ref().map(|origin| origin.kind);
    let local = server.real_servers.iter().filter(|(_, real)| real.is_local);
    Helper {
        origin: server.origin.clone(),
        masquerade: server.settings.masquerade,
        source_ranges: Arc::clone(&server.settings.source_ranges),
        when_empty: server.settings.when_empty,
        is_served: server.is_usable(),
        is_closed: kind != Some(VipKind::NodePort) && !binding.is_elsewhere(address),
        local: local.map(|(address, _)| *address).collect(),
        mark: None,
    }
}
