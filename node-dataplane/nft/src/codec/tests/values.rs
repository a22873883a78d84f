//! Objects of all kinds, at random.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    Base, Chain, ChainKey, ChainKind, Comparison, ConntrackKey, Data, DataType, Direction,
    DynsetOperation, Element, Expression, Family, FibFlags, FibResult, Hook, Icmpx, Lookup,
    MetaKey, Name, NatFlags, NatKind, NumgenKind, PayloadBase, Policy, Register, Reject, Rule, Set,
    SetFlags, Table, TableKey, Type, UserData, Value, Verdict,
};

fn name() -> impl Strategy<Value = Name> {
    vec(any::<char>(), 1..60).prop_map(|text| {
        let text: String = text
            .into_iter()
            .map(|c| if c == '\0' { '0' } else { c })
            .collect();
        text.parse().expect("a name")
    })
}

fn user_data() -> impl Strategy<Value = UserData> {
    vec(any::<u8>(), 0..256).prop_map(UserData::new)
}

fn value() -> impl Strategy<Value = Value> {
    vec(any::<u8>(), 1..=Value::MAX).prop_map(|bytes| Value::new(bytes).expect("a value"))
}

fn timeout() -> impl Strategy<Value = Option<Duration>> {
    option::of((1..=u64::MAX).prop_map(Duration::from_millis))
}

fn register() -> impl Strategy<Value = Register> {
    any::<u8>().prop_map(Register::word)
}

fn table_key() -> impl Strategy<Value = TableKey> {
    (select(Family::ALL), name()).prop_map(|(family, name)| TableKey { family, name })
}

fn chain_key() -> impl Strategy<Value = ChainKey> {
    (table_key(), name()).prop_map(|(table, name)| ChainKey { table, name })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        select(vec![
            Verdict::Accept,
            Verdict::Drop,
            Verdict::Continue,
            Verdict::Break,
            Verdict::Return,
        ]),
        name().prop_map(Verdict::Jump),
        name().prop_map(Verdict::Goto),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        value().prop_map(Data::Value),
        verdict().prop_map(Data::Verdict)
    ]
}

pub(super) fn table() -> impl Strategy<Value = Table> {
    (table_key(), any::<bool>(), user_data()).prop_map(|(key, dormant, user_data)| Table {
        key,
        dormant,
        user_data,
    })
}

pub(super) fn chain() -> impl Strategy<Value = Chain> {
    let kind = select(vec![ChainKind::Filter, ChainKind::Nat, ChainKind::Route]);
    let base = (kind, any::<u32>(), any::<i32>(), select(Policy::ALL));
    let base = base.prop_map(|(kind, hook, priority, policy)| Base {
        kind,
        hook: Hook(hook),
        priority,
        policy,
    });
    (chain_key(), option::of(base), user_data()).prop_map(|(key, base, user_data)| Chain {
        key,
        base,
        user_data,
    })
}

pub(super) fn rule() -> impl Strategy<Value = Rule> {
    (chain_key(), vec(expression(), 0..20), user_data()).prop_map(
        |(chain, expressions, user_data)| Rule {
            chain,
            expressions,
            user_data,
        },
    )
}

pub(super) fn set_value() -> impl Strategy<Value = Set> {
    let fields = select(vec![
        Type::IPV4,
        Type::IPV6,
        Type::PORT,
        Type::concat([Type::IPV4, Type::PROTOCOL, Type::PORT]),
        Type::concat([Type::IPV6, Type::PROTOCOL, Type::PORT, Type::MARK]),
        Type::from_number(u32::MAX, 64),
    ]);
    let data_type = prop_oneof![
        Just(DataType::Verdict),
        Just(DataType::Object),
        fields.clone().prop_map(DataType::Value),
    ];
    let flags = any::<u32>().prop_map(SetFlags::from_bits_truncate);
    (
        (table_key(), name(), fields),
        option::of(data_type),
        flags,
        timeout(),
        option::of(1..=u32::MAX),
        user_data(),
    )
        .prop_map(
            |((table, name, key_type), data_type, flags, timeout, size, user_data)| Set {
                key: table.set(name),
                key_type,
                data_type,
                flags,
                timeout,
                size,
                user_data,
            },
        )
}

pub(super) fn element() -> impl Strategy<Value = Element> {
    (
        option::of(value()),
        option::of(value()),
        any::<bool>(),
        option::of(data()),
        timeout(),
        user_data(),
    )
        .prop_map(
            |(key, key_end, interval_end, data, timeout, user_data)| Element {
                key,
                key_end,
                interval_end,
                data,
                timeout,
                user_data,
            },
        )
}

fn expression() -> impl Strategy<Value = Expression> {
    prop_oneof![loads(), tests_and_sets(), translations(), ends()]
}

fn loads() -> impl Strategy<Value = Expression> {
    let fib_flags = any::<u32>().prop_map(FibFlags::from_bits_truncate);
    prop_oneof![
        (
            select(PayloadBase::ALL),
            any::<u32>(),
            any::<u32>(),
            register()
        )
            .prop_map(|(base, offset, length, to)| Expression::Payload {
                base,
                offset,
                length,
                to
            }),
        (select(MetaKey::ALL), register()).prop_map(|(key, to)| Expression::Meta { key, to }),
        (select(MetaKey::ALL), register())
            .prop_map(|(key, from)| Expression::SetMeta { key, from }),
        (
            select(ConntrackKey::ALL),
            option::of(select(Direction::ALL)),
            register()
        )
            .prop_map(|(key, direction, to)| Expression::Conntrack { key, direction, to }),
        (select(ConntrackKey::ALL), register())
            .prop_map(|(key, from)| Expression::SetConntrack { key, from }),
        (select(FibResult::ALL), fib_flags, register())
            .prop_map(|(result, flags, to)| Expression::Fib { result, flags, to }),
        (
            select(NumgenKind::ALL),
            any::<u32>(),
            any::<u32>(),
            register()
        )
            .prop_map(|(kind, modulus, offset, to)| Expression::Numgen {
                kind,
                modulus,
                offset,
                to
            }),
        (
            register(),
            any::<[u32; 3]>(),
            option::of(any::<u32>()),
            register()
        )
            .prop_map(
                |(from, [length, modulus, offset], seed, to)| Expression::Jhash {
                    from,
                    length,
                    modulus,
                    offset,
                    seed,
                    to,
                }
            ),
        (value(), register()).prop_map(|(value, to)| Expression::Immediate { value, to }),
    ]
}

fn tests_and_sets() -> impl Strategy<Value = Expression> {
    let then = prop_oneof![
        select(vec![Lookup::Contains, Lookup::Lacks, Lookup::Decide]),
        register().prop_map(Lookup::Load),
    ];
    prop_oneof![
        (select(Comparison::ALL), register(), value()).prop_map(|(comparison, register, value)| {
            Expression::Compare {
                comparison,
                register,
                value,
            }
        }),
        (any::<bool>(), register(), value(), value()).prop_map(
            |(invert, register, first, last)| Expression::Range {
                invert,
                register,
                first,
                last
            }
        ),
        (register(), register(), value(), value()).prop_map(|(from, to, mask, flip)| {
            Expression::Bitwise {
                from,
                to,
                mask,
                flip,
            }
        }),
        (name(), register(), then).prop_map(|(set, key, then)| Expression::Lookup {
            set,
            key,
            then
        }),
        (
            name(),
            select(DynsetOperation::ALL),
            register(),
            option::of(register()),
            timeout()
        )
            .prop_map(|(set, operation, key, data, timeout)| Expression::Dynset {
                set,
                operation,
                key,
                data,
                timeout,
            }),
    ]
}

fn translations() -> impl Strategy<Value = Expression> {
    let flags = || any::<u32>().prop_map(NatFlags::from_bits_truncate);
    let port = || option::of(register());
    prop_oneof![
        (
            select(NatKind::ALL),
            select(Family::ALL),
            port(),
            port(),
            flags()
        )
            .prop_map(|(kind, family, address, port, flags)| Expression::Nat {
                kind,
                family,
                address,
                port,
                flags,
            }),
        flags().prop_map(|flags| Expression::Masquerade { flags }),
        (port(), flags()).prop_map(|(port, flags)| Expression::Redirect { port, flags }),
    ]
}

fn ends() -> impl Strategy<Value = Expression> {
    let reject = prop_oneof![
        any::<u8>().prop_map(Reject::Icmp),
        select(Icmpx::ALL).prop_map(Reject::Icmpx),
        Just(Reject::TcpReset),
    ];
    prop_oneof![
        reject.prop_map(Expression::Reject),
        Just(Expression::Notrack),
        any::<[u64; 2]>().prop_map(|[packets, bytes]| Expression::Counter { packets, bytes }),
        (name(), any::<u32>(), vec(any::<u8>(), 0..64)).prop_map(|(name, revision, info)| {
            Expression::XtablesMatch {
                name,
                revision,
                info: info.into(),
            }
        }),
        verdict().prop_map(Expression::Verdict),
    ]
}
