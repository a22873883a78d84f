//! A table with every kind of object in it.

use std::time::Duration;

use meshlite_nft::{
    Base, Chain, ChainKind, Comparison, ConntrackKey, ConntrackState, Data, DataType, Direction,
    DynsetOperation, Element, Expression, Family, FibFlags, FibResult, Field, Hook, Icmpx, Lookup,
    MetaKey, Name, NatFlags, NatKind, NumgenKind, PayloadBase, Policy, Register, Reject, Rule, Set,
    SetFlags, Table, TableKey, Transaction, Type, UserData, Value, Verdict,
};

pub(super) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn word(place: u8) -> Register {
    Register::word(place)
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
        Set {
            flags: SetFlags::TIMEOUT | SetFlags::DYNAMIC,
            timeout: Some(Duration::from_mins(1)),
            size: Some(1000),
            data_type: Some(DataType::Value(Type::MARK)),
            ..Set::new(key("clients"), Type::IPV4)
        },
    ]
}

fn rule(chain: &str, expressions: Vec<Expression>) -> Rule {
    Rule {
        chain: table().key.chain(name(chain)),
        expressions,
        user_data: UserData::comment("a rule"),
    }
}

fn is_tcp() -> [Expression; 2] {
    let tcp = Field::Protocol(6);
    [
        Expression::transport_protocol(word(0)),
        Expression::equal(word(0), tcp.into()),
    ]
}

/// Every kind of expression, where the kernel takes it.
pub(super) fn rules() -> Vec<Rule> {
    let value = |field: Field| Value::from(field);
    let tcp = is_tcp();
    let lookup = |set, key, then| Expression::Lookup {
        set: name(set),
        key,
        then,
    };
    vec![
        rule("filter", [&tcp[..], &facts()].concat()),
        rule(
            "filter",
            [
                &tcp[..],
                &[
                    Expression::destination_port(word(1)),
                    Expression::Range {
                        invert: true,
                        register: word(1),
                        first: value(Field::Port(30_000)),
                        last: value(Field::Port(32_767)),
                    },
                    lookup("ports", word(1), Lookup::Lacks),
                    lookup("verdicts", word(1), Lookup::Decide),
                ],
            ]
            .concat(),
        ),
        rule("filter", dynamic()),
        rule("filter", vec![Expression::Notrack]),
        rule(
            "regular",
            [&tcp[..], &[Expression::Reject(Reject::TcpReset)]].concat(),
        ),
        rule(
            "regular",
            vec![Expression::Reject(Reject::Icmpx(Icmpx::AdminProhibited))],
        ),
        rule(
            "filter",
            vec![Expression::Verdict(Verdict::Jump(name("regular")))],
        ),
        rule("route", vec![Expression::Verdict(Verdict::Return)]),
        rule(
            "drop",
            vec![Expression::COUNTER, Expression::Verdict(Verdict::Accept)],
        ),
    ]
}

pub(super) fn translations() -> Vec<Rule> {
    let tcp = is_tcp();
    let value = |field: Field| Value::from(field);
    let nat = |kind, family, port, flags| Expression::Nat {
        kind,
        family,
        address: Some(word(0)),
        port,
        flags,
    };
    vec![
        rule(
            "dnat",
            [
                &tcp[..],
                &[
                    Expression::address([10, 0, 0, 1].into(), word(0)),
                    Expression::Immediate {
                        value: value(Field::Port(80)),
                        to: word(1),
                    },
                    nat(
                        NatKind::Destination,
                        Family::Ipv4,
                        Some(word(1)),
                        NatFlags::PERSISTENT,
                    ),
                ],
            ]
            .concat(),
        ),
        rule(
            "dnat",
            [
                &tcp[..],
                &[
                    Expression::Immediate {
                        value: value(Field::Port(8080)),
                        to: word(0),
                    },
                    Expression::Redirect {
                        port: Some(word(0)),
                        flags: NatFlags::RANDOM,
                    },
                ],
            ]
            .concat(),
        ),
        rule(
            "snat",
            vec![
                Expression::address("fd00::1".parse().expect("an address"), word(0)),
                nat(NatKind::Source, Family::Ipv6, None, NatFlags::empty()),
            ],
        ),
        rule(
            "snat",
            vec![Expression::Masquerade {
                flags: NatFlags::FULLY_RANDOM,
            }],
        ),
    ]
}

fn facts() -> Vec<Expression> {
    let established = ConntrackState::ESTABLISHED | ConntrackState::RELATED;
    vec![
        Expression::Meta {
            key: MetaKey::InputInterface,
            to: word(4),
        },
        Expression::Compare {
            comparison: Comparison::NotEqual,
            register: word(4),
            value: Value::native(1),
        },
        Expression::Conntrack {
            key: ConntrackKey::State,
            direction: None,
            to: word(5),
        },
        Expression::Bitwise {
            from: word(5),
            to: word(5),
            mask: Value::native(established.bits()),
            flip: Value::native(0),
        },
        Expression::Compare {
            comparison: Comparison::NotEqual,
            register: word(5),
            value: Value::native(0),
        },
        Expression::Conntrack {
            key: ConntrackKey::DestinationIpv4,
            direction: Some(Direction::Original),
            to: word(6),
        },
        Expression::Fib {
            result: FibResult::AddressType,
            flags: FibFlags::DESTINATION,
            to: word(7),
        },
        Expression::equal(word(7), Value::native(2)),
        Expression::Payload {
            base: PayloadBase::Transport,
            offset: 13,
            length: 1,
            to: word(8),
        },
        Expression::Compare {
            comparison: Comparison::GreaterOrEqual,
            register: word(8),
            value: Field::Protocol(2).into(),
        },
        Expression::Immediate {
            value: Value::native(0x4000),
            to: word(9),
        },
        Expression::SetMeta {
            key: MetaKey::Mark,
            from: word(9),
        },
        Expression::SetConntrack {
            key: ConntrackKey::Mark,
            from: word(9),
        },
        Expression::Numgen {
            kind: NumgenKind::Incremental,
            modulus: 3,
            offset: 1,
            to: word(10),
        },
    ]
}

fn dynamic() -> Vec<Expression> {
    let [family, is_ipv4] = Expression::is_family(Family::Ipv4, word(0));
    vec![
        family,
        is_ipv4,
        Expression::source_address(false, word(1)),
        Expression::Jhash {
            from: word(1),
            length: 4,
            modulus: 16,
            offset: 2,
            seed: Some(77),
            to: word(2),
        },
        Expression::Dynset {
            set: name("clients"),
            operation: DynsetOperation::Update,
            key: word(1),
            data: Some(word(2)),
            timeout: Some(Duration::from_millis(1_500)),
        },
        Expression::Lookup {
            set: name("clients"),
            key: word(1),
            then: Lookup::Load(word(3)),
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
