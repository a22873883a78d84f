//! What was programmed reads back as it was written.

mod objects;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use meshlite_nft::{Element, Error, Field, Nftables, Set, Transaction, Type, Value};

use crate::namespace::Namespace;
use objects::{chains, elements, name, program, rules, sets, table, translations};

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

#[test]
fn a_large_set_is_read_whole() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let mut nftables = Nftables::connect().expect("nftables");
        let set = Set::new(table().key.set(name("many")), Type::MARK);
        let wanted: Vec<_> = (0..30_000_u32)
            .map(|number| Element::new(Value::concat(&[Field::Mark(number)])))
            .collect();
        let mut transaction = Transaction::new();
        transaction.add_table(&table());
        transaction.add_set(&set);
        transaction.add_elements(&set.key, wanted.clone());
        nftables.commit(&transaction).expect("all of it");
        let entries = nftables.elements(&set.key).expect("elements");
        let mut found: Vec<_> = entries.into_iter().map(|e| e.element).collect();
        found.sort_by_key(|element| {
            element
                .key
                .as_ref()
                .map(|key| u32::from_ne_bytes(key.as_bytes().try_into().expect("4 bytes")))
        });
        assert!(
            found == wanted,
            "{} of {} elements",
            found.len(),
            wanted.len()
        );
    });
}

#[test]
fn a_list_is_of_one_state_however_often_others_change_it() {
    const SIZE: u32 = 5_000;
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let set = Set::new(table().key.set(name("many")), Type::MARK);
        let half = |half: u32| {
            let numbers = half * SIZE..(half + 1) * SIZE;
            numbers.map(|number| Element::new(Value::native(number)))
        };
        let mut nftables = Nftables::connect().expect("nftables");
        let mut other = Nftables::connect().expect("nftables");
        let mut transaction = Transaction::new();
        transaction.add_table(&table());
        transaction.add_set(&set);
        transaction.add_elements(&set.key, half(0));
        nftables.commit(&transaction).expect("all of it");

        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let changes = scope.spawn(|| {
                let mut changes = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let mut transaction = Transaction::new();
                    transaction.delete_elements(&set.key, half(changes % 2));
                    transaction.add_elements(&set.key, half((changes + 1) % 2));
                    other.commit(&transaction).expect("changed");
                    changes += 1;
                }
                changes
            });
            let mut lists: Vec<_> = (0..100).map(|_| nftables.elements(&set.key)).collect();
            is_over.store(true, Ordering::Relaxed);
            assert!(changes.join().expect("no panic") > 0);
            lists.push(nftables.elements(&set.key));
            let mut read = 0;
            for list in lists {
                let entries = match list {
                    Err(Error::Interrupted(_)) => continue,
                    list => list.expect("a list"),
                };
                let keys: BTreeSet<_> = entries.into_iter().map(|e| e.element.key).collect();
                let wanted = half(u32::from(!keys.contains(&Some(Value::native(0)))));
                let wanted: BTreeSet<_> = wanted.map(|element| element.key).collect();
                assert!(keys == wanted, "{} elements, and not those", keys.len());
                read += 1;
            }
            assert!(read > 0);
        });
    });
}
