//! A table with every kind of object in it, but for its rules.

use std::time::Duration;

use meshlite_nft::{
    Base, Chain, ChainKind, Data, DataType, Element, Family, Field, Hook, Name, Policy, Set,
    SetFlags, Table, TableKey, Transaction, Type, UserData, Value, Verdict,
};

use super::rules::{rules, translations};

/// As long as keys of a load balancer get.
const SLOT: Type = Type::concat([Type::IPV6, Type::PROTOCOL, Type::PORT, Type::MARK]);

pub(super) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub(super) fn table() -> Table {
    Table {
        key: TableKey {
            family: Family::Inet,
            name: name("all"),
        },
        dormant: false,
        user_data: UserData::comment("of a test"),
    }
}

fn base(kind: ChainKind, hook: Hook, priority: i32) -> Base {
    Base {
        kind,
        hook,
        priority,
        policy: Policy::Accept,
    }
}

pub(super) fn chains() -> Vec<Chain> {
    let chain = |text: &str, base| Chain {
        key: table().key.chain(name(text)),
        base,
        user_data: UserData::comment(text),
    };
    vec![
        chain("regular", None),
        chain(
            "filter",
            Some(base(ChainKind::Filter, Hook::PREROUTING, -300)),
        ),
        chain("route", Some(base(ChainKind::Route, Hook::OUTPUT, -150))),
        chain("dnat", Some(base(ChainKind::Nat, Hook::PREROUTING, -100))),
        chain("snat", Some(base(ChainKind::Nat, Hook::POSTROUTING, 100))),
        chain(
            "drop",
            Some(Base {
                kind: ChainKind::Filter,
                hook: Hook::FORWARD,
                priority: 5,
                policy: Policy::Drop,
            }),
        ),
    ]
}

pub(super) fn sets() -> Vec<Set> {
    let key = |text: &str| table().key.set(name(text));
    let pair = Type::concat([Type::IPV4, Type::PORT]);
    vec![
        Set {
            user_data: UserData::set_comment("one"),
            ..Set::new(key("ports"), Type::PORT)
        },
        Set {
            flags: SetFlags::INTERVAL,
            ..Set::new(key("networks"), Type::IPV6)
        },
        Set {
            flags: SetFlags::INTERVAL,
            ..Set::new(key("places"), pair)
        },
        Set::map(key("values"), pair, Type::MARK),
        Set::verdict_map(key("verdicts"), Type::PORT),
        Set::map(
            key("endpoints"),
            SLOT,
            Type::concat([Type::IPV6, Type::PORT]),
        ),
        Set {
            flags: SetFlags::TIMEOUT | SetFlags::DYNAMIC,
            timeout: Some(Duration::from_mins(1)),
            size: Some(1000),
            data_type: Some(DataType::Value(Type::MARK)),
            ..Set::new(key("clients"), Type::IPV4)
        },
    ]
}

pub(super) fn elements() -> Vec<(&'static str, Vec<Element>)> {
    let pair =
        |last: u8, port| Value::concat(&[Field::Ipv4([10, 0, 0, last].into()), Field::Port(port)]);
    let port = |port| Value::from(Field::Port(port));
    let network = |text: &str| Value::from(Field::Ipv6(text.parse().expect("an address")));
    let named = Element {
        user_data: UserData::comment("http"),
        ..Element::new(port(80))
    };
    let client = Element {
        timeout: Some(Duration::from_hours(1)),
        ..Element::mapping(
            Field::Ipv4([10, 0, 0, 9].into()).into(),
            Data::Value(Value::native(1)),
        )
    };
    let address = |text: &str| Field::Ipv6(text.parse().expect("an address"));
    let slot = [
        address("fd00::1"),
        Field::Protocol(6),
        Field::Port(80),
        Field::Mark(1),
    ];
    let endpoint = Element::mapping(
        Value::concat(&slot),
        Data::Value(Value::concat(&[address("fd00::7"), Field::Port(8080)])),
    );
    vec![
        ("ports", vec![named, Element::new(port(443))]),
        (
            "networks",
            Element::range(network("fd00::"), &network("fd00::ffff"))
                .chain(Element::range(
                    network("ffff::"),
                    &network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                ))
                .collect(),
        ),
        (
            "places",
            vec![Element::concat_range(pair(0, 80), pair(255, 90))],
        ),
        (
            "values",
            vec![Element::mapping(pair(1, 80), Data::Value(Value::native(5)))],
        ),
        (
            "verdicts",
            vec![
                Element::mapping(port(1), Data::Verdict(Verdict::Drop)),
                Element::mapping(port(2), Data::Verdict(Verdict::Goto(name("regular")))),
            ],
        ),
        ("clients", vec![client]),
        ("endpoints", vec![endpoint]),
    ]
}

pub(super) fn program() -> Transaction {
    let mut transaction = Transaction::new();
    transaction.add_table(&table());
    for set in sets() {
        transaction.add_set(&set);
    }
    for chain in chains() {
        transaction.add_chain(&chain);
    }
    for rule in [rules(), translations()].concat() {
        transaction.add_rule(&rule);
    }
    for (set, elements) in elements() {
        transaction.add_elements(&table().key.set(name(set)), elements);
    }
    transaction
}
