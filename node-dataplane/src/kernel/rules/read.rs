//! What the table has, taken apart by virtual servers, and compared with what it must have.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_nft::{Error, Nftables, SetKey};

use super::{
    Rules,
    detect::{Clients, Detector, INSIDE, PODS},
    entry::{Entry, Placed},
    helper::{HAIRPINS, VIPS},
    name::{Elements, FAMILIES, Maps, SetId, table},
    refusal::kernel_error,
    shared::Shared,
    skeleton::Skeleton,
    value::split_vip,
};
use crate::{kernel::KernelError, table::Key};

/// How often the table is read again that changed while it was read.
const TRIES: u32 = 5;

/// The table as it was found.
struct Found<E: Entry> {
    clients: Clients,
    entries: BTreeMap<Key, E>,
    remains: BTreeMap<Key, Vec<Placed>>,
    shared: BTreeMap<Shared, u32>,
    branches: BTreeSet<E::Branch>,
}

/// Elements by what they are for.
#[derive(Default)]
struct Sorted {
    own: BTreeMap<Key, Vec<Placed>>,
    shared: BTreeSet<Shared>,
    clients: Vec<Placed>,
    verdicts: BTreeSet<Placed>,
}

impl<E: Entry> Rules<E> {
    /// Reads what is there, unless it is what our last transaction left: then there is nothing to do.
    pub(crate) fn read(&mut self) -> Result<(), KernelError> {
        for _ in 0..TRIES {
            let before = self.nftables.generation().map_err(|it| self.refused(&it))?;
            if self.generation == Some(before) {
                return Ok(());
            }
            let found = self.find().map_err(|it| self.refused(&it))?;
            let refusing = refusing(&mut self.nftables);
            self.refusing = refusing.map_err(|it| self.refused(&it))?;
            let after = self.nftables.generation().map_err(|it| self.refused(&it))?;
            if before != after {
                continue;
            }
            self.generation = Some(after);
            self.is_whole = found.is_some();
            let found = found.unwrap_or_else(Found::nothing);
            self.clients = found.clients;
            self.entries = found.entries;
            self.remains = found.remains;
            self.shared = found.shared;
            self.branches = found.branches;
            return Ok(());
        }
        let text = format!("nftables: others changed the ruleset {TRIES} times while it was read");
        Err(KernelError::Retry(text))
    }

    /// Whether nothing is broken, and no ruleset was changed since by anybody.
    pub(crate) fn is_as_left(&mut self) -> bool {
        let is_sound = self.is_whole && self.remains.is_empty();
        is_sound && self.generation.is_some() && self.nftables.generation().ok() == self.generation
    }

    /// What a refusal means. A socket that failed is made anew, for the next time.
    fn refused(&mut self, error: &Error) -> KernelError {
        if let (Error::Socket(_), Ok(nftables)) = (error, Nftables::connect()) {
            self.nftables = nftables;
        }
        kernel_error(error)
    }

    /// `None` where it is not as it must be, whatever virtual servers there are.
    fn find(&mut self) -> Result<Option<Found<E>>, Error> {
        let nftables = &mut self.nftables;
        let tables = nftables.tables()?;
        let Some(found) = tables.iter().find(|entry| entry.table.key == table()) else {
            return Ok(None);
        };
        let Some(detector) = Detector::of_comment(&found.table.user_data) else {
            return Ok(None);
        };
        let skeleton = Skeleton::of::<E>(&detector);
        let is_table = skeleton.table == found.table;
        if !is_table || !has_sets(nftables, &skeleton)? {
            return Ok(None);
        }
        let Some(branches) = find_branches::<E>(nftables, &skeleton)? else {
            return Ok(None);
        };
        let Some(sorted) = sort(nftables, &skeleton)? else {
            return Ok(None);
        };
        let ways = branches.iter().map(|branch| E::branch(*branch).way);
        let verdicts: BTreeSet<_> = skeleton.constants.iter().cloned().chain(ways).collect();
        if verdicts != sorted.verdicts {
            return Ok(None);
        }
        Ok(self.recognise(&detector, sorted, branches))
    }

    /// Virtual servers of elements. What is known already is not read from them again.
    fn recognise(
        &self,
        detector: &Detector,
        sorted: Sorted,
        branches: BTreeSet<E::Branch>,
    ) -> Option<Found<E>> {
        let known =
            self.clients.detector() == *detector && same(&self.clients.elements(), &sorted.clients);
        let clients = if known {
            self.clients.clone()
        } else {
            Clients::read(detector, &sorted.clients)?
        };
        let mut found = Found {
            clients,
            branches,
            ..Found::nothing()
        };
        for (key, own) in sorted.own {
            let known = self.entries.get(&key).cloned();
            let candidates = known.into_iter().chain(E::read(&key, &own));
            let right = candidates.into_iter().find_map(|entry| {
                let content = entry.content(&key);
                let is_it = same(&content.own, &own)
                    && content.shared.iter().all(|one| sorted.shared.contains(one))
                    && content
                        .branches
                        .iter()
                        .all(|it| found.branches.contains(it));
                is_it.then_some((entry, content.shared))
            });
            if let Some((entry, shared)) = right {
                found.entries.insert(key, entry);
                for placed in shared {
                    *found.shared.entry(placed).or_default() += 1;
                }
            } else {
                found.entries.insert(key, E::broken());
                found.remains.insert(key, own);
            }
        }
        // What nobody has any more is nobody's to take away.
        let is_all = sorted
            .shared
            .iter()
            .all(|one| found.shared.contains_key(one));
        is_all.then_some(found)
    }
}

impl<E: Entry> Found<E> {
    fn nothing() -> Self {
        Self {
            clients: Clients::default(),
            entries: BTreeMap::new(),
            remains: BTreeMap::new(),
            shared: BTreeMap::new(),
            branches: BTreeSet::new(),
        }
    }
}

/// The sets by which a table that is whole refuses.
pub(super) fn all_refusing() -> Vec<SetKey> {
    FAMILIES
        .map(|family| SetId::of(VIPS, family).key())
        .to_vec()
}

/// Those sets that the table has, whichever version made it, by which it refuses.
fn refusing(nftables: &mut Nftables) -> Result<Vec<SetKey>, Error> {
    let sets = match nftables.sets(&table()) {
        Err(Error::NotThere(_)) => return Ok(Vec::new()),
        sets => sets?,
    };
    let known = all_refusing();
    let keys = sets.into_iter().map(|entry| entry.set.key);
    Ok(keys.filter(|key| known.contains(key)).collect())
}

/// Whether elements are the same, in whatever order.
fn same(one: &[Placed], other: &[Placed]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let sorted = |all: &[Placed]| {
        let mut all = all.to_vec();
        all.sort_unstable();
        all
    };
    sorted(one) == sorted(other)
}

fn has_sets(nftables: &mut Nftables, skeleton: &Skeleton) -> Result<bool, Error> {
    let found = nftables.sets(&skeleton.table.key)?;
    let found: BTreeMap<_, _> = found.iter().map(|it| (&it.set.key.name, &it.set)).collect();
    let is_there = |set: &meshlite_nft::Set| found.get(&set.key.name) == Some(&set);
    Ok(found.len() == skeleton.sets.len() && skeleton.sets.iter().all(|(_, _, set)| is_there(set)))
}

/// The branches there are; `None` where any chain is not as it must be.
fn find_branches<E: Entry>(
    nftables: &mut Nftables,
    skeleton: &Skeleton,
) -> Result<Option<BTreeSet<E::Branch>>, Error> {
    let key = &skeleton.table.key;
    let mut rules: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in nftables.rules(key)? {
        let of_chain = rules.entry(entry.rule.chain.name).or_default();
        of_chain.push(entry.rule.expressions);
    }
    let fixed: BTreeMap<_, _> = skeleton
        .chains
        .iter()
        .map(|it| (it.name.as_str(), it))
        .collect();
    let mut branches = BTreeSet::new();
    let mut seen = 0;
    for entry in nftables.chains()? {
        let chain = entry.chain;
        if chain.key.table != *key {
            continue;
        }
        let name = &chain.key.name;
        let branch;
        let wanted = if let Some(fixed) = fixed.get(name.as_str()) {
            seen += 1;
            fixed
        } else {
            let Some(known) = E::branch_named(name.as_str()) else {
                return Ok(None);
            };
            branches.insert(known);
            branch = E::branch(known);
            &branch.chain
        };
        let found = rules.remove(name).unwrap_or_default();
        if chain.base != wanted.base || found != wanted.rules {
            return Ok(None);
        }
    }
    Ok((seen == fixed.len()).then_some(branches))
}

/// `None` where an element is nobody's.
fn sort(nftables: &mut Nftables, skeleton: &Skeleton) -> Result<Option<Sorted>, Error> {
    let mut sorted = Sorted::default();
    for (id, shape, set) in &skeleton.sets {
        if matches!(shape.elements, Elements::Learned(_)) {
            continue;
        }
        let placed = nftables
            .elements(&set.key)?
            .into_iter()
            .map(|entry| Placed {
                set: *id,
                element: entry.element,
            });
        match (shape.name, shape.data) {
            (INSIDE | PODS, _) => sorted.clients.extend(placed),
            (VIPS | HAIRPINS, _) => {
                for placed in placed {
                    let Some(shared) = Shared::read(&placed) else {
                        return Ok(None);
                    };
                    sorted.shared.insert(shared);
                }
            }
            (_, Maps::ToVerdicts) => sorted.verdicts.extend(placed),
            _ => {
                for placed in placed {
                    let Some(key) = key_of(&placed) else {
                        return Ok(None);
                    };
                    sorted.own.entry(key).or_default().push(placed);
                }
            }
        }
    }
    Ok(Some(sorted))
}

/// The virtual server that an element is of.
fn key_of(placed: &Placed) -> Option<Key> {
    let SetId {
        family, audience, ..
    } = placed.set;
    let key = placed.element.key.as_ref()?;
    let (frontend, _) = split_vip(key.as_bytes(), family)?;
    Some(Key { frontend, audience })
}
