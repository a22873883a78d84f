//! From what virtual servers put into the table, before and after, to one transaction. Pure.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_nft::{Element, Generation, Place, SetKey, Transaction};

use super::{
    entry::{Entry, Placed},
    name::{SetId, table},
    skeleton::{Skeleton, add_chain, add_rules},
};

/// What one virtual server puts in, before and after; or what networks do, which are nobody's.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) old: Vec<Placed>,
    pub(super) new: Vec<Placed>,
}

/// Elements that go and come, set by set, and whose change each is: by number, in the order that they were given in.
#[derive(Debug, Default)]
struct Moves {
    gone: Vec<(Element, usize)>,
    come: Vec<(Element, usize)>,
}

/// A transaction, and who is to blame for what in it.
#[derive(Debug)]
pub(super) struct Blamed {
    pub(super) transaction: Transaction,
    /// For each change of the transaction, the number of the replacement that each of its elements is of.
    owners: Vec<Vec<usize>>,
}

/// Builds a transaction.
#[derive(Debug, Default)]
pub(super) struct Builder {
    sets: BTreeMap<SetId, Moves>,
}

// === impl Builder ===

impl Builder {
    /// Adds what one replacement changes.
    pub(super) fn replace(&mut self, owner: usize, replacement: Replacement) {
        let Replacement { mut old, mut new } = replacement;
        if old.is_empty() {
            for placed in new {
                self.add(owner, placed);
            }
            return;
        }
        // Both are in one order: most of what stays is at the same place of each, and need not be looked for.
        let stays: Vec<_> = old.iter().zip(&new).map(|(old, new)| old == new).collect();
        for all in [&mut old, &mut new] {
            let mut stays = stays.iter();
            all.retain(|_| !stays.next().is_some_and(|stays| *stays));
        }
        old.sort_unstable();
        new.sort_unstable();
        let is_in = |all: &[Placed], one: &Placed| all.binary_search(one).is_ok();
        let gone: Vec<_> = old
            .iter()
            .filter(|one| !is_in(&new, one))
            .cloned()
            .collect();
        for placed in gone {
            self.moves(placed.set).gone.push((placed.element, owner));
        }
        for placed in new {
            if !is_in(&old, &placed) {
                self.moves(placed.set).come.push((placed.element, owner));
            }
        }
    }

    /// Adds an element.
    pub(super) fn add(&mut self, owner: usize, placed: Placed) {
        self.moves(placed.set).come.push((placed.element, owner));
    }

    /// Takes an element out.
    pub(super) fn delete(&mut self, owner: usize, placed: Placed) {
        self.moves(placed.set).gone.push((placed.element, owner));
    }

    fn moves(&mut self, set: SetId) -> &mut Moves {
        self.sets.entry(set).or_default()
    }

    /// The transaction, for this state of the ruleset or for any: the skeleton where there is to be a new one, in the place
    /// of a table that refuses by these sets, branches, then elements. What goes of a set goes before anything comes, or
    /// another element with its key would be taken for it.
    pub(super) fn build<E: Entry>(
        self,
        generation: Option<Generation>,
        skeleton: Option<(&Skeleton, &[SetKey])>,
        branches: &BTreeSet<E::Branch>,
    ) -> Blamed {
        let mut blamed = Blamed {
            transaction: generation.map_or_else(Transaction::new, Transaction::at),
            owners: Vec::new(),
        };
        let mut sets = self.sets;
        let come = |sets: &mut BTreeMap<SetId, Moves>, placed: Placed| {
            let moves = sets.entry(placed.set).or_default();
            moves.come.push((placed.element, NOBODY));
        };
        if let Some((skeleton, refusing)) = skeleton {
            skeleton.load(&mut blamed.transaction, refusing);
            for placed in &skeleton.constants {
                come(&mut sets, placed.clone());
            }
        }
        for branch in branches {
            let branch = E::branch(*branch);
            add_chain(&mut blamed.transaction, &table(), &branch.chain);
            add_rules(&mut blamed.transaction, &table(), &branch.chain);
            come(&mut sets, branch.way);
        }
        for (set, moves) in sets {
            let key = set.key();
            blamed.elements(&key, moves.gone, Transaction::delete_elements);
            blamed.elements(&key, moves.come, Transaction::add_elements);
        }
        blamed
    }
}

/// The number of what is no virtual server's.
pub(super) const NOBODY: usize = usize::MAX;

// === impl Blamed ===

impl Blamed {
    fn elements(
        &mut self,
        set: &SetKey,
        elements: Vec<(Element, usize)>,
        add: fn(&mut Transaction, &SetKey, Vec<Element>),
    ) {
        if elements.is_empty() {
            return;
        }
        let (elements, owners): (Vec<_>, Vec<_>) = elements.into_iter().unzip();
        self.owners
            .resize_with(self.transaction.changes(), Vec::new);
        self.owners.push(owners);
        add(&mut self.transaction, set, elements);
    }

    /// Whose change a refusal is about; `None` where it is nobody's, or everybody's.
    pub(super) fn owner(&self, place: Place) -> Option<usize> {
        let Place::Element { change, element } = place else {
            return None;
        };
        let owner = *self.owners.get(change)?.get(element)?;
        (owner != NOBODY).then_some(owner)
    }
}
