//! Rules with every kind of expression in them.

use std::time::Duration;

use meshlite_nft::{
    Comparison, ConntrackKey, ConntrackState, Direction, DynsetOperation, Expression, Family,
    FibFlags, FibResult, Field, Icmpx, Lookup, MetaKey, NatFlags, NatKind, NumgenKind, PayloadBase,
    Register, Reject, Rule, UserData, Value, Verdict,
};

use super::objects::{name, table};

fn word(place: u8) -> Register {
    Register::word(place)
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
        rule("dnat", balance()),
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

/// Of IPv6: the endpoint behind the key, which takes seven registers.
fn balance() -> Vec<Expression> {
    let [family, is_ipv6] = Expression::is_family(Family::Ipv6, word(0));
    vec![
        family,
        is_ipv6,
        Expression::destination_address(true, word(0)),
        Expression::transport_protocol(word(4)),
        Expression::destination_port(word(5)),
        Expression::Numgen {
            kind: NumgenKind::Random,
            modulus: 2,
            offset: 0,
            to: word(6),
        },
        Expression::Lookup {
            set: name("endpoints"),
            key: word(0),
            then: Lookup::Load(word(8)),
        },
        Expression::Nat {
            kind: NatKind::Destination,
            family: Family::Ipv6,
            address: Some(word(8)),
            port: Some(word(12)),
            flags: NatFlags::empty(),
        },
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
