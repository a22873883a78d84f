//! What one virtual server puts into the table, whichever backend it is of.

use meshlite_nft::{Base, Element, Expression};

use super::{
    detect::Detector,
    name::{SetId, Shape},
    shared::Shared,
};
use crate::table::Key;

/// An element and the set that it is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    pub(crate) set: SetId,
    pub(crate) element: Element,
}

/// A chain with its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChainOfRules {
    pub(crate) name: String,
    /// Where packets enter it by themselves.
    pub(crate) base: Option<Base>,
    pub(crate) rules: Vec<Vec<Expression>>,
}

/// A chain that is added once a virtual server needs it, and then stays.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) chain: ChainOfRules,
    /// The element of a verdict map that leads to it.
    pub(crate) way: Placed,
}

/// Everything that one virtual server puts into the table.
#[derive(Clone, Debug)]
pub(crate) struct Content<B> {
    /// Elements whose keys begin with its place: nobody else has them.
    pub(crate) own: Vec<Placed>,
    /// Elements that others may have too.
    pub(crate) shared: Vec<Shared>,
    /// Chains that it is led to.
    pub(crate) branches: Vec<B>,
}

// === impl Content ===

impl<B> Content<B> {
    /// These of its own, and nothing else.
    pub(crate) const fn of_own(own: Vec<Placed>) -> Self {
        Self {
            own,
            shared: Vec::new(),
            branches: Vec::new(),
        }
    }
}

/// What a backend keeps in the table of one virtual server.
pub(crate) trait Entry: Clone + Send + 'static {
    /// What tells a branch from others.
    type Branch: Copy + Ord + Send;

    /// Its sets, beside those of the shared rules: all elements of theirs are some virtual server's own, but those of
    /// verdict maps and learned sets.
    const SHAPES: &'static [Shape];

    /// Its chains, beside the shared ones, without branches.
    fn chains(detector: &Detector) -> Vec<ChainOfRules>;

    /// Elements that are always there.
    fn constants() -> Vec<Placed>;

    /// A branch as it is to be.
    fn branch(branch: Self::Branch) -> Branch;

    /// The branch whose chain has this name.
    fn branch_named(name: &str) -> Option<Self::Branch>;

    /// What it puts into the table.
    fn content(&self, key: &Key) -> Content<Self::Branch>;

    /// What it puts there, and what this later one does, each without what is surely in both: a change costs what it
    /// changes. They need not find out what is.
    fn apart(&self, later: &Self, key: &Key) -> [Content<Self::Branch>; 2] {
        [self.content(key), later.content(key)]
    }

    /// What put these elements of its own there. It need not look whether they are all: who asks compares.
    fn read(key: &Key, own: &[Placed]) -> Option<Self>;

    /// What stands for one of which not everything is there. It puts in nothing, and nobody wants it as it is.
    fn broken() -> Self;
}
