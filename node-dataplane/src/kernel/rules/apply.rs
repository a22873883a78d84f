//! Changes of virtual servers, as one transaction: whole, or without those that the kernel refuses.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_nft::{Error, Generation, Rejected};

use super::{
    Changes, Clients, Outcome, Rules,
    change::{Builder, Draft, NOBODY, Start},
    entry::{Content, Entry},
    read::all_refusing,
    refusal::kernel_error,
    skeleton::Skeleton,
};
use crate::table::Key;

/// A transaction that may be made, and what is known then.
struct Attempt<B> {
    draft: Draft<B>,
    /// Whose changes it makes, by the numbers of its owners.
    keys: Vec<Key>,
    /// Makes the table anew.
    is_load: bool,
}

impl<E: Entry> Rules<E> {
    /// Makes virtual servers as they are said to be, and clients too if they are said, all at once, once all branches are
    /// there that they need. What the kernel refuses is left as it is.
    pub(crate) fn apply(&mut self, clients: Option<Clients>, changes: Changes<E>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut changes = changes;
        loop {
            let attempt = self.attempt(clients.as_ref(), &changes);
            let rejected = match self.commit(&attempt) {
                Ok(()) if attempt.draft.is_opening => {
                    self.branches.extend(attempt.draft.branches);
                    continue;
                }
                Ok(()) => {
                    self.take(attempt, clients, changes);
                    return outcome;
                }
                // Others changed the ruleset: what is made now is read again some time.
                Err(rejected) if matches!(rejected.first.error, Error::Conflict) => continue,
                Err(rejected) => rejected,
            };
            if matches!(rejected.first.error, Error::TooLarge) && changes.len() > 1 {
                let rest = half(&mut changes);
                let first = self.apply(clients.clone(), changes);
                let second = self.apply(None, rest);
                outcome.failed.extend(first.failed);
                outcome.failed.extend(second.failed);
                outcome.clients = first.clients;
                return outcome;
            }
            let blamed = blame(&attempt, rejected, &mut outcome);
            if blamed.is_empty() {
                // Nobody's fault in particular: nothing was done.
                let error = outcome.clients.clone();
                let all = changes.into_keys();
                outcome
                    .failed
                    .extend(all.filter_map(|key| Some((key, error.clone()?))));
                return outcome;
            }
            changes.retain(|key, _| !blamed.contains(key));
        }
    }

    fn attempt(&self, clients: Option<&Clients>, changes: &Changes<E>) -> Attempt<E::Branch> {
        let wanted = clients.unwrap_or(&self.clients);
        let is_load = !self.is_whole || wanted.detector() != self.clients.detector();
        let mut builder = Builder::new();
        for (owner, (key, entry)) in changes.iter().enumerate() {
            let [old, new] = self.replacement(key, entry.as_ref(), is_load);
            builder.replace(owner, old, new);
        }
        if is_load {
            for (key, entry) in &self.entries {
                if !changes.contains_key(key) && !self.remains.contains_key(key) {
                    builder.add(NOBODY, entry.content(key));
                }
            }
        }
        let networks = |clients: &Clients| Content::of_own(clients.elements());
        if is_load {
            builder.add(NOBODY, networks(wanted));
        } else if clients.is_some() {
            builder.replace(NOBODY, networks(&self.clients), networks(wanted));
        }
        let start = if is_load {
            Start::Anew(Skeleton::of::<E>(&wanted.detector()), &self.refusing)
        } else {
            Start::There(&self.shared, &self.branches)
        };
        Attempt {
            draft: builder.build::<E>(self.generation, start),
            keys: changes.keys().copied().collect(),
            is_load,
        }
    }

    /// What the kernel has of a virtual server, and what it is to have instead; what stays may be left out of both.
    fn replacement(&self, key: &Key, later: Option<&E>, is_load: bool) -> [Content<E::Branch>; 2] {
        let later_content = || {
            let content = later.map(|later| later.content(key));
            content.unwrap_or_else(|| Content::of_own(Vec::new()))
        };
        if is_load {
            return [Content::of_own(Vec::new()), later_content()];
        }
        if let Some(remains) = self.remains.get(key) {
            return [Content::of_own(remains.clone()), later_content()];
        }
        match (self.entries.get(key), later) {
            (Some(entry), Some(later)) => entry.apart(later, key),
            (Some(entry), None) => [entry.content(key), later_content()],
            (None, _) => [Content::of_own(Vec::new()), later_content()],
        }
    }

    /// Makes the transaction. Where it was made for a known state of the ruleset, the state is known then too; after a
    /// failure it is not.
    fn commit(&mut self, attempt: &Attempt<E::Branch>) -> Result<(), Rejected> {
        let transaction = &attempt.draft.transaction;
        let known = self.generation.take();
        self.nftables.commit(transaction)?;
        self.generation = if transaction.changes() == 0 {
            known
        } else {
            known.map(Generation::next)
        };
        Ok(())
    }

    fn take(&mut self, attempt: Attempt<E::Branch>, clients: Option<Clients>, changes: Changes<E>) {
        if attempt.is_load {
            self.refusing = all_refusing();
            self.shared.clear();
            self.branches.clear();
            for key in std::mem::take(&mut self.remains).into_keys() {
                self.entries.remove(&key);
            }
        }
        for (shared, count) in attempt.draft.shared {
            if count > 0 {
                self.shared.insert(shared, count);
            } else {
                self.shared.remove(&shared);
            }
        }
        self.branches.extend(attempt.draft.branches);
        self.is_whole = true;
        if let Some(clients) = clients {
            self.clients = clients;
        }
        for (key, entry) in changes {
            self.remains.remove(&key);
            match entry {
                Some(entry) => self.entries.insert(key, entry),
                None => self.entries.remove(&key),
            };
        }
    }
}

/// Notes what failed and why. Gives the keys that are to be left out; none where it was nobody's in particular.
fn blame<B>(attempt: &Attempt<B>, rejected: Rejected, outcome: &mut Outcome) -> BTreeSet<Key> {
    let mut blamed = BTreeSet::new();
    let mut whole = None;
    let failures = [rejected.first].into_iter().chain(rejected.others);
    for failure in failures {
        let error = kernel_error(&failure.error);
        let owner = attempt.draft.owner(failure.place);
        match owner.and_then(|owner| attempt.keys.get(owner)) {
            Some(key) => {
                blamed.insert(*key);
                outcome.failed.entry(*key).or_insert(error);
            }
            None => whole = whole.or(Some(error)),
        }
    }
    if blamed.is_empty() {
        outcome.clients = whole;
    }
    blamed
}

/// Takes the second half away.
fn half<V>(all: &mut BTreeMap<Key, V>) -> BTreeMap<Key, V> {
    let middle = all.keys().nth(all.len() / 2).copied();
    middle
        .map(|middle| all.split_off(&middle))
        .unwrap_or_default()
}
