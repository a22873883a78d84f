//! What was programmed reads back as it was written.

mod objects;
mod rules;

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use meshlite_nft::{Element, ElementEntry, Error, Nftables, Set, Transaction, Type, Value};

use crate::namespace::Namespace;
use objects::{chains, elements, name, program, sets, table};
use rules::{rules, translations};

#[test]
fn every_kind_of_object_reads_back_as_written() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let mut nftables = Nftables::connect().expect("nftables");
        nftables.commit(&program()).expect("all of it");

        let tables: Vec<_> = nftables
            .tables()
            .expect("tables")
            .into_iter()
            .map(|e| e.table)
            .collect();
        assert_eq!(tables, [table()]);
        let found: Vec<_> = nftables
            .chains()
            .expect("chains")
            .into_iter()
            .map(|e| e.chain)
            .collect();
        assert_eq!(found, chains());
        let mut found: Vec<_> = nftables
            .rules(&table().key)
            .expect("rules")
            .into_iter()
            .map(|e| e.rule)
            .collect();
        let mut wanted = [rules(), translations()].concat();
        // Listed chain by chain.
        found.sort_by(|a, b| a.chain.cmp(&b.chain));
        wanted.sort_by(|a, b| a.chain.cmp(&b.chain));
        assert_eq!(found, wanted);
        let found: Vec<_> = nftables
            .sets(&table().key)
            .expect("sets")
            .into_iter()
            .map(|e| e.set)
            .collect();
        assert_eq!(found, sets());
        for (set, mut wanted) in elements() {
            let entries = nftables
                .elements(&table().key.set(name(set)))
                .expect("elements");
            let mut found: Vec<_> = entries.into_iter().map(|e| e.element).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "of {set}");
        }
    });
}

fn numbers(range: Range<u32>) -> impl ExactSizeIterator<Item = Element> {
    range.map(|number| Element::new(Value::native(number)))
}

/// Whether a list is of just these elements.
fn is_all_of(list: Vec<ElementEntry>, wanted: impl Iterator<Item = Element>) -> bool {
    let mut wanted: Vec<_> = wanted.collect();
    wanted.sort();
    list.into_iter().map(|entry| entry.element).eq(wanted)
}

#[test]
fn a_large_set_is_read_whole_right_after_it_was_made() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let mut nftables = Nftables::connect().expect("nftables");
        let set = Set::new(table().key.set(name("many")), Type::MARK);
        for round in 1..=4 {
            let count = 8_000 * round;
            let mut transaction = Transaction::new();
            transaction.add_table(&table());
            transaction.delete_table(&table().key);
            transaction.add_table(&table());
            transaction.add_set(&set);
            transaction.add_elements(&set.key, numbers(0..count));
            nftables.commit(&transaction).expect("all of it");
            let list = nftables.elements(&set.key).expect("elements");
            assert!(is_all_of(list, numbers(0..count)), "of {count}");
        }
    });
}

#[test]
fn a_list_is_whole_while_others_change_the_ruleset() {
    const SIZE: u32 = 5_000;
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let [ours, others] =
            ["ours", "others"].map(|text| Set::new(table().key.set(name(text)), Type::MARK));
        let mut nftables = Nftables::connect().expect("nftables");
        let mut transaction = Transaction::new();
        transaction.add_table(&table());
        transaction.add_set(&ours);
        transaction.add_set(&others);
        transaction.add_elements(&ours.key, numbers(0..SIZE));
        nftables.commit(&transaction).expect("all of it");

        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let changes = scope.spawn(|| {
                let mut nftables = Nftables::connect().expect("nftables");
                let mut changes = 0_u32;
                while !is_over.load(Ordering::Relaxed) {
                    let mut transaction = Transaction::new();
                    transaction.flush_set(&others.key);
                    transaction.add_elements(&others.key, numbers(changes..changes + 1_000));
                    nftables.commit(&transaction).expect("changed");
                    changes += 1;
                }
                changes
            });
            let mut lists: Vec<_> = (0..10).map(|_| nftables.elements(&ours.key)).collect();
            is_over.store(true, Ordering::Relaxed);
            assert!(changes.join().expect("no panic") > 0);
            lists.push(nftables.elements(&ours.key));
            lists.retain(|list| !matches!(list, Err(Error::Interrupted(_))));
            assert!(!lists.is_empty());
            for list in lists {
                assert!(is_all_of(list.expect("a list"), numbers(0..SIZE)));
            }
        });
    });
}
