//! All of a transaction, or nothing; errors where they belong; nothing of others.

use std::net::Ipv4Addr;

use meshlite_nft::{
    Chain, Data, Element, Error, Expression, Failure, Family, Field, Name, Nftables, Place, Rule,
    Set, Table, TableKey, Transaction, Type, UserData, Value, Verdict,
};

use crate::{
    namespace::{Namespace, nft},
    rules::Flat,
    service::Service,
};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn table() -> Table {
    Table {
        key: TableKey {
            family: Family::Ipv4,
            name: name("test"),
        },
        dormant: false,
        user_data: UserData::default(),
    }
}

fn map() -> Set {
    Set::verdict_map(table().key.set(name("map")), Type::MARK)
}

fn entry(number: u32, verdict: Verdict) -> Element {
    Element::mapping(Value::native(number), Data::Verdict(verdict))
}

/// A table with a map of one element.
fn prepared() -> Nftables {
    let mut nftables = Nftables::connect().expect("nftables");
    let mut transaction = Transaction::new();
    transaction.add_table(&table());
    transaction.add_set(&map());
    transaction.add_elements(&map().key, [entry(1, Verdict::Accept)]);
    nftables.commit(&transaction).expect("a table");
    nftables
}

fn failure(nftables: &mut Nftables, transaction: &Transaction) -> Failure {
    nftables.commit(transaction).expect_err("it fails").first
}

#[test]
fn one_element_that_fails_is_named_and_nothing_is_done() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let mut nftables = prepared();
        let before = nft(&["-j", "list", "ruleset"]);
        let generation = nftables.generation().expect("a generation");
        let mut transaction = Transaction::new();
        transaction.add_elements(&map().key, [entry(2, Verdict::Drop)]);
        // Many enough for a second message.
        let many = (10..5_000).map(|number| entry(number, Verdict::Drop));
        let lost = entry(9, Verdict::Goto(name("nowhere")));
        transaction.add_elements(&map().key, many.chain([lost, entry(3, Verdict::Drop)]));
        let failure = failure(&mut nftables, &transaction);
        assert_eq!(
            failure.place,
            Place::Element {
                change: 1,
                element: 4_990
            }
        );
        assert!(matches!(failure.error, Error::NotThere(_)), "{failure}");
        assert_eq!(nft(&["-j", "list", "ruleset"]), before);
        assert_eq!(nftables.generation().expect("a generation"), generation);
    });
}

#[test]
fn what_fails_is_told_by_what_to_do_about_it() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let mut nftables = prepared();
        let mut decide = |write: &dyn Fn(&mut Transaction)| {
            let mut transaction = Transaction::new();
            write(&mut transaction);
            failure(&mut nftables, &transaction)
        };
        let another = decide(&|t| t.add_elements(&map().key, [entry(1, Verdict::Drop)]));
        assert!(matches!(another.error, Error::Exists(_)), "{another}");
        assert_eq!(
            another.place,
            Place::Element {
                change: 0,
                element: 0
            }
        );

        let missing = decide(&|t| t.delete_elements(&map().key, [Element::new(Value::native(7))]));
        assert!(matches!(missing.error, Error::NotThere(_)), "{missing}");

        let two_words = Value::concat(&[Field::Mark(1), Field::Mark(2)]);
        let wrong = decide(&|t| t.add_elements(&map().key, [Element::new(two_words.clone())]));
        assert!(matches!(wrong.error, Error::Invalid(_)), "{wrong}");

        let chain = Chain {
            key: table().key.chain(name("chain")),
            base: None,
            user_data: UserData::default(),
        };
        let unknown = Rule {
            chain: chain.key.clone(),
            expressions: vec![Expression::COUNTER, Expression::Other(name("frobnicate"))],
            user_data: UserData::default(),
        };
        let unknown = decide(&|t| {
            t.add_chain(&chain);
            t.add_rule(&unknown);
        });
        assert!(matches!(unknown.error, Error::NotSupported(_)), "{unknown}");
        assert_eq!(unknown.place, Place::Change(1));

        let used = decide(&|t| {
            t.add_chain(&chain);
            t.add_elements(
                &map().key,
                [entry(5, Verdict::Goto(chain.key.name.clone()))],
            );
            t.delete_chain(&chain.key);
        });
        assert!(matches!(used.error, Error::InUse(_)), "{used}");
        assert_eq!(used.place, Place::Change(2));

        let small = Set {
            size: Some(1),
            ..Set::new(table().key.set(name("small")), Type::MARK)
        };
        let full = decide(&|t| {
            t.add_set(&small);
            t.add_elements(&small.key, [1, 2].map(|n| Element::new(Value::native(n))));
        });
        assert!(matches!(full.error, Error::Full(_)), "{full}");
        assert_eq!(
            full.place,
            Place::Element {
                change: 1,
                element: 1
            }
        );
    });
}

#[test]
fn a_change_of_somebody_else_is_a_conflict_and_one_of_ours_is_none() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let mut nftables = prepared();
        let stale = nftables.generation().expect("a generation");
        nft(&["add", "table", "ip", "foreign"]);
        let mut transaction = Transaction::at(stale);
        transaction.add_elements(&map().key, [entry(2, Verdict::Drop)]);
        let conflict = failure(&mut nftables, &transaction);
        assert_eq!(conflict.place, Place::Whole);
        assert!(matches!(conflict.error, Error::Conflict), "{conflict}");

        let mut transaction = Transaction::at(nftables.generation().expect("a generation"));
        transaction.add_elements(&map().key, [entry(2, Verdict::Drop)]);
        nftables
            .commit(&transaction)
            .expect("the generation is this one");
    });
}

#[test]
fn a_replaced_rule_keeps_its_place_and_a_deleted_one_is_gone() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let mut nftables = prepared();
        let chain = table().key.chain(name("chain"));
        let rule = |verdict| Rule {
            chain: chain.clone(),
            expressions: vec![Expression::Verdict(verdict)],
            user_data: UserData::default(),
        };
        let mut transaction = Transaction::new();
        let base = None;
        transaction.add_chain(&Chain {
            key: chain.clone(),
            base,
            user_data: UserData::default(),
        });
        for verdict in [Verdict::Drop, Verdict::Accept, Verdict::Return] {
            transaction.add_rule(&rule(verdict));
        }
        nftables.commit(&transaction).expect("three rules");
        let handles: Vec<_> = nftables
            .rules(&table().key)
            .expect("rules")
            .iter()
            .map(|e| e.handle)
            .collect();
        let mut transaction = Transaction::new();
        transaction.replace_rule(handles[0], &rule(Verdict::Continue));
        transaction.delete_rule(&chain, handles[1]);
        nftables.commit(&transaction).expect("two changes");
        let rules: Vec<_> = nftables
            .rules(&table().key)
            .expect("rules")
            .into_iter()
            .map(|e| e.rule)
            .collect();
        assert_eq!(rules, [rule(Verdict::Continue), rule(Verdict::Return)]);
    });
}

#[test]
fn tables_of_others_are_left_alone() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        nft(&["add table ip flat; add chain ip flat c { type filter hook forward priority 0; policy drop; }; add rule ip flat c tcp dport { 1, 2 } counter limit rate 5/second log"]);
        let before = nft(&["-j", "-a", "list", "table", "ip", "flat"]);
        let flat = Flat::new("flat");
        let service = Service {
            address: Ipv4Addr::new(10, 96, 0, 1),
            protocol: 6,
            port: 80,
            endpoints: vec![(Ipv4Addr::new(10, 244, 0, 1), 8080)],
            sticky: false,
            sources: None,
        };
        let mut nftables = Nftables::connect().expect("nftables");
        for _ in 0..3 {
            nftables.commit(&flat.load(std::slice::from_ref(&service))).expect("loaded");
        }
        // What this crate does not know of another's rules it reads as such.
        let foreign = TableKey { family: Family::Ipv4, name: name("flat") };
        let rules = nftables.rules(&foreign).expect("rules");
        let limit = Expression::Other(name("limit"));
        assert!(rules[0].rule.expressions.contains(&limit), "{rules:?}");
        let mut transaction = Transaction::new();
        transaction.delete_table(flat.table());
        nftables.commit(&transaction).expect("deleted");
        assert_eq!(nft(&["-j", "-a", "list", "table", "ip", "flat"]), before);
        assert_eq!(nftables.tables().expect("tables").len(), 1);
    });
}
