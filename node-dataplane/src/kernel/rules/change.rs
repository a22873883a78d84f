//! From what virtual servers put into the table, before and after, to one transaction. Pure.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_nft::{Element, Generation, Place, SetKey, Transaction};

use super::{
    entry::{Content, Entry, Placed},
    name::{SetId, table},
    shared::Shared,
    skeleton::{Skeleton, add_chain, add_rules},
};

/// Elements of one set, and whose change each is: by number.
#[derive(Debug, Default)]
struct Owned {
    elements: Vec<Element>,
    owners: Vec<usize>,
}

/// Elements that go and come, in the order that they were given in.
#[derive(Debug, Default)]
struct Moves {
    gone: Owned,
    come: Owned,
}

/// What a transaction begins from.
#[derive(Debug)]
pub(super) enum Start<'a, B> {
    /// This skeleton, in the place of a table that refuses by these sets.
    Anew(Skeleton, &'a [SetKey]),
    /// The table as it is: how many have each shared element, and its branches.
    There(&'a BTreeMap<Shared, u32>, &'a BTreeSet<B>),
}

/// A transaction, and who is to blame for what in it.
#[derive(Debug)]
pub(super) struct Draft<B> {
    pub(super) transaction: Transaction,
    /// For each change of the transaction, whose each of its elements is.
    owners: Vec<Vec<usize>>,
    /// How many have each shared element then, as far as that changes.
    pub(super) shared: Vec<(Shared, u32)>,
    /// The branches that it adds.
    pub(super) branches: BTreeSet<B>,
    /// It adds these and nothing else: what leads there is for a second one.
    pub(super) is_opening: bool,
}

/// Builds a transaction of what virtual servers put in, before and after, and networks, which are nobody's.
#[derive(Debug)]
pub(super) struct Builder<B> {
    sets: BTreeMap<SetId, Moves>,
    /// How many more have a shared element, and who of them is to blame for it.
    shared: BTreeMap<Shared, (i64, usize)>,
    branches: BTreeSet<B>,
}

// === impl Owned ===

impl Owned {
    fn push(&mut self, owner: usize, element: Element) {
        self.elements.push(element);
        self.owners.push(owner);
    }
}

// === impl Builder ===

impl<B: Copy + Ord> Builder<B> {
    pub(super) const fn new() -> Self {
        Self {
            sets: BTreeMap::new(),
            shared: BTreeMap::new(),
            branches: BTreeSet::new(),
        }
    }

    /// Puts this in.
    pub(super) fn add(&mut self, owner: usize, content: Content<B>) {
        self.come(owner, content.own);
        for shared in content.shared {
            let (more, giver) = self.shared.entry(shared).or_default();
            (*more, *giver) = (*more + 1, owner);
        }
        self.branches.extend(content.branches);
    }

    /// Puts one thing in the place of another.
    pub(super) fn replace(&mut self, owner: usize, old: Content<B>, mut new: Content<B>) {
        for shared in old.shared {
            self.shared.entry(shared).or_insert((0, NOBODY)).0 -= 1;
        }
        if !old.own.is_empty() {
            self.go(owner, take_apart(old.own, &mut new.own));
        }
        self.add(owner, new);
    }

    /// The transaction, for this state of the ruleset or for any: the skeleton where there is to be a new one, branches,
    /// then elements. What goes of a set goes before anything comes, or another element with its key would be taken for
    /// it.
    ///
    /// Branches that a table lacks which is there are all that comes: Linux runs the rules that were there when a packet
    /// came, so that one which is told of a branch beside the commit that adds it would find no rules there.
    pub(super) fn build<E: Entry<Branch = B>>(
        mut self,
        generation: Option<Generation>,
        start: Start<'_, B>,
    ) -> Draft<B> {
        let mut transaction = generation.map_or_else(Transaction::new, Transaction::at);
        let mut is_opening = false;
        let shared = match start {
            Start::Anew(mut skeleton, refusing) => {
                self.come(NOBODY, std::mem::take(&mut skeleton.constants));
                skeleton.load(&mut transaction, refusing);
                self.share(|_| 0)
            }
            Start::There(shared, branches) => {
                self.branches.retain(|branch| !branches.contains(branch));
                is_opening = !self.branches.is_empty();
                if is_opening {
                    self.sets.clear();
                    self.shared.clear();
                }
                self.share(|one| shared.get(one).copied().unwrap_or(0))
            }
        };
        let mut draft = Draft {
            transaction,
            owners: Vec::new(),
            shared,
            branches: std::mem::take(&mut self.branches),
            is_opening,
        };
        for branch in &draft.branches {
            let branch = E::branch(*branch);
            add_chain(&mut draft.transaction, &table(), &branch.chain);
            add_rules(&mut draft.transaction, &table(), branch.chain);
            self.come(NOBODY, [branch.way]);
        }
        for (set, moves) in self.sets {
            let key = set.key();
            draft.elements(&key, moves.gone, Transaction::delete_elements);
            draft.elements(&key, moves.come, Transaction::add_elements);
        }
        draft
    }

    /// Puts in the shared elements that nobody has now, and takes out those that nobody has then. Says how many have each
    /// then.
    fn share(&mut self, now: impl Fn(&Shared) -> u32) -> Vec<(Shared, u32)> {
        let mut sharers = Vec::with_capacity(self.shared.len());
        for (shared, (more, giver)) in std::mem::take(&mut self.shared) {
            let now = now(&shared);
            let then = u32::try_from(i64::from(now) + more).unwrap_or(0);
            match (now > 0, then > 0) {
                (false, true) => self.come(giver, [shared.placed()]),
                (true, false) => self.go(giver, [shared.placed()]),
                (true, true) | (false, false) => {}
            }
            sharers.push((shared, then));
        }
        sharers
    }

    fn come(&mut self, owner: usize, all: impl IntoIterator<Item = Placed>) {
        for Placed { set, element } in all {
            self.sets.entry(set).or_default().come.push(owner, element);
        }
    }

    fn go(&mut self, owner: usize, all: impl IntoIterator<Item = Placed>) {
        for Placed { set, element } in all {
            self.sets.entry(set).or_default().gone.push(owner, element);
        }
    }
}

/// Gives what is in the old only, and leaves what is in the new only.
fn take_apart(mut old: Vec<Placed>, new: &mut Vec<Placed>) -> Vec<Placed> {
    // Both are in one order: most of what stays is at the same place of each, and need not be looked for.
    let stays: Vec<_> = old.iter().zip(&*new).map(|(old, new)| old == new).collect();
    for all in [&mut old, &mut *new] {
        let mut stays = stays.iter();
        all.retain(|_| !stays.next().is_some_and(|stays| *stays));
        all.sort_unstable();
    }
    let goes = |one| new.binary_search(one).is_err();
    let goes: Vec<_> = old.iter().map(goes).collect();
    new.retain(|one| old.binary_search(one).is_err());
    let mut goes = goes.into_iter();
    old.retain(|_| goes.next() == Some(true));
    old
}

/// The number of what is no virtual server's.
pub(super) const NOBODY: usize = usize::MAX;

// === impl Draft ===

impl<B> Draft<B> {
    fn elements(
        &mut self,
        set: &SetKey,
        owned: Owned,
        add: fn(&mut Transaction, &SetKey, Vec<Element>),
    ) {
        if owned.elements.is_empty() {
            return;
        }
        self.owners
            .resize_with(self.transaction.changes(), Vec::new);
        self.owners.push(owned.owners);
        add(&mut self.transaction, set, owned.elements);
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
