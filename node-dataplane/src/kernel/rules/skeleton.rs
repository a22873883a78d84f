//! What of the table does not depend on virtual servers: its sets, its chains and rules, and what verdict maps say.

use meshlite_nft::{Chain, Rule, Set, SetKey, Table, TableKey, Transaction, UserData};

use super::{
    chains::{filter, masquerade},
    detect::{self, Detector},
    entry::{ChainOfRules, Entry, Placed},
    helper,
    name::{SetId, Shape, name, table},
};

/// All of it, for a backend.
#[derive(Debug)]
pub(super) struct Skeleton {
    pub(super) table: Table,
    pub(super) sets: Vec<(SetId, &'static Shape, Set)>,
    pub(super) chains: Vec<ChainOfRules>,
    pub(super) constants: Vec<Placed>,
}

static SHARED: [&[Shape]; 4] = [
    &helper::SHAPES,
    &detect::SHAPES,
    &filter::SHAPES,
    &masquerade::SHAPES,
];

/// Shapes of the sets that all backends have.
pub(super) fn shared_shapes() -> impl Iterator<Item = &'static [Shape]> {
    SHARED.into_iter()
}

impl Skeleton {
    pub(super) fn of<E: Entry>(detector: &Detector) -> Self {
        let shapes = shared_shapes().chain([E::SHAPES]).flatten();
        let sets = shapes.flat_map(|shape| {
            let ids = shape.ids().into_iter();
            ids.map(move |id| (id, shape, shape.set(id)))
        });
        let chains = [
            filter::chains(),
            masquerade::chains(detector),
            E::chains(detector),
        ];
        let constants = [filter::constants(), masquerade::constants(), E::constants()];
        Self {
            table: Table {
                key: table(),
                dormant: false,
                user_data: detector.comment(),
            },
            sets: sets.collect(),
            chains: chains.into_iter().flatten().collect(),
            constants: constants.into_iter().flatten().collect(),
        }
    }

    /// The same as a table of another name.
    pub(super) fn named(mut self, text: &str) -> Self {
        self.table.key.name = name(text);
        for (_, _, set) in &mut self.sets {
            set.key.table = self.table.key.clone();
        }
        self
    }

    /// Puts it in the place of whatever the table had. What refused there goes first: Linux takes the elements of maps
    /// that are deleted out at once, so that a packet in the middle of the chains finds no virtual server any more, but
    /// leaves those of sets.
    pub(super) fn load(self, transaction: &mut Transaction, refusing: &[SetKey]) {
        for set in refusing {
            transaction.flush_set(set);
        }
        // Added first, so that deleting it is no error where it was not there.
        transaction.add_table(&self.table);
        transaction.delete_table(&self.table.key);
        transaction.add_table(&self.table);
        for (_, _, set) in &self.sets {
            transaction.add_set(set);
        }
        // Rules lead to chains that come later.
        for chain in &self.chains {
            add_chain(transaction, &self.table.key, chain);
        }
        for chain in self.chains {
            add_rules(transaction, &self.table.key, chain);
        }
    }
}

pub(super) fn add_chain(transaction: &mut Transaction, table: &TableKey, chain: &ChainOfRules) {
    transaction.add_chain(&Chain {
        key: table.chain(name(&chain.name)),
        base: chain.base,
        user_data: UserData::default(),
    });
}

pub(super) fn add_rules(transaction: &mut Transaction, table: &TableKey, chain: ChainOfRules) {
    let key = table.chain(name(&chain.name));
    for expressions in chain.rules {
        transaction.add_rule(&Rule {
            chain: key.clone(),
            expressions,
            user_data: UserData::default(),
        });
    }
}
