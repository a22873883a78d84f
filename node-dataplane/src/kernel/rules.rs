//! The one nft table, `inet meshlite`: what all backends in the kernel have alike, and the way in and out of it.
//!
//! ```text
//!            prerouting                   output                  forward         postrouting
//!  −150      IPVS: marks                  IPVS: marks
//!  −110      IPVS: drop, refuse, guard    IPVS: the same
//!  −100      nftables: the same, NAT      nftables: the same, NAT
//!   100                                                                           masquerade
//!   110                                                           invalid: drop
//!
//!  backend ── entries: Key → what is kept of a virtual server ──> Rules ── one transaction ──> kernel
//!  kernel ──> the same, and what is broken ──> backend
//! ```
//!
//! Each virtual server is a handful of elements of flat sets and maps, whatever else there is; rules and chains do not
//! grow with them. Large maps have numbers and small ones verdicts, since a new verdict makes the kernel search the
//! whole table for loops. Chains hang at priorities of their own and lead to nobody else's: what others flush or load
//! changes nothing here, but a packet that any table drops is gone. It needs Linux 5.13.
//!
//! A transaction is whole, but the look-ups of one packet are not: one may see what was before a commit and the next what
//! is after it, such as the number of slots and then a slot that is gone. And up to Linux 6.16 a single look-up can miss an
//! element that is being replaced, since it still asks for what was before and that is taken out already. So nobody is
//! refused, let go or sent on for one look-up: who found nothing comes back, and all is looked up again, on ways that
//! nobody takes who was found. For the same reason a table [goes](remove) once nobody is in its chains any more, and where
//! one is replaced, what refuses goes with its maps. Rules are other than elements: a packet keeps to those that there were
//! when it came, so a chain that maps lead to is there one transaction before they do.
//!
//! Whose elements are whose follows from their keys, which begin with `address . protocol . port`, and from the set,
//! which is for an audience. So after a restart everything is read back, and what is not as it must be is known by its
//! virtual server: that is shown as [broken](Entry::broken). Where rules, chains or sets are not as they must be,
//! nothing is shown at all, and the next change makes the table anew, with all that is wanted, in one transaction.

mod apply;
mod behaviour;
pub(crate) mod chains;
mod change;
mod detect;
mod entry;
pub(crate) mod helper;
mod kube_proxy;
mod listing;
pub(crate) mod name;
pub(crate) mod networks;
mod read;
mod refusal;
mod shared;
mod skeleton;
pub(crate) mod steps;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
};

use meshlite_nft::{Generation, Nftables, SetKey, Transaction};

use self::skeleton::{Skeleton, add_chain, add_rules};
pub(crate) use self::{
    detect::{Clients, Detector},
    entry::{Branch, ChainOfRules, Content, Entry, Placed},
    helper::{Helper, family_of},
    listing::{Listed, close, list, remove},
    refusal::kernel_error,
    shared::Shared,
};
use super::KernelError;
use crate::table::{Key, LocalDetector};

/// The table, and what is in it.
#[derive(Debug)]
pub(crate) struct Rules<E: Entry> {
    nftables: Nftables,
    /// Which state of the ruleset this is: that after the last transaction of ours. `None`: nobody knows.
    generation: Option<Generation>,
    /// Sets, chains and rules are as they must be.
    is_whole: bool,
    clients: Clients,
    entries: BTreeMap<Key, E>,
    /// What the kernel has of those that are broken.
    remains: BTreeMap<Key, Vec<Placed>>,
    /// Sets of the table, as it is, that have the addresses of which it refuses ports.
    refusing: Vec<SetKey>,
    /// How many have each shared element.
    shared: BTreeMap<Shared, u32>,
    branches: BTreeSet<E::Branch>,
}

/// What is wanted of virtual servers: to be as said, or `None` not to be.
pub(crate) type Changes<E> = BTreeMap<Key, Option<E>>;

/// What came of changes.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What was not changed, and why.
    pub(crate) failed: BTreeMap<Key, KernelError>,
    /// Clients were not changed, or nothing was.
    pub(crate) clients: Option<KernelError>,
}

// === impl Rules ===

impl<E: Entry> Rules<E> {
    /// Finds nftables in the network namespace of this thread. Nothing is read or changed yet.
    pub(crate) fn connect() -> Result<Self, KernelError> {
        let nftables = Nftables::connect().map_err(|error| kernel_error(&error))?;
        Ok(Self {
            nftables,
            generation: None,
            is_whole: false,
            clients: Clients::default(),
            entries: BTreeMap::new(),
            remains: BTreeMap::new(),
            refusing: Vec::new(),
            shared: BTreeMap::new(),
            branches: BTreeSet::new(),
        })
    }

    /// Whether the kernel takes all rules, these branches among them: in a table of another name, which the same
    /// transaction takes away again.
    pub(crate) fn try_it(branches: &[E::Branch]) -> Result<(), KernelError> {
        let clients = Clients {
            pods: LocalDetector::Cidrs(Arc::default()),
            ..Clients::default()
        };
        let skeleton = Skeleton::of::<E>(&clients.detector()).named("meshlite-trial");
        let table = skeleton.table.key.clone();
        let mut transaction = Transaction::new();
        skeleton.load(&mut transaction, &[]);
        for branch in branches {
            let branch = E::branch(*branch);
            add_chain(&mut transaction, &table, &branch.chain);
            add_rules(&mut transaction, &table, branch.chain);
        }
        transaction.delete_table(&table);
        let tried = Nftables::connect().and_then(|mut nftables| {
            let committed = nftables.commit(&transaction);
            close_elsewhere(nftables);
            committed.map_err(|rejected| rejected.first.error)
        });
        tried.map_err(|error| kernel_error(&error))
    }

    /// Whether the table is there, whatever is in it.
    pub(crate) fn has_table(&mut self) -> Result<bool, KernelError> {
        let tables = self.nftables.tables();
        let tables = tables.map_err(|error| kernel_error(&error))?;
        Ok(tables.iter().any(|entry| entry.table.key == name::table()))
    }

    /// What was read last, and changed since.
    pub(crate) fn entries(&self) -> &BTreeMap<Key, E> {
        &self.entries
    }

    /// Clients, as they were read last, and changed since.
    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }
}

/// Closes a socket that has deleted a table without waiting for it: Linux lets whoever closes one wait until all that was
/// deleted is freed, with a grace period of all processors for each set. Where there is no thread to be had, it waits.
fn close_elsewhere(nftables: Nftables) {
    let closing = thread::Builder::new().name("close".to_owned());
    drop(closing.spawn(move || drop(nftables)));
}
