//! Steps that several rules have.
//!
//! A place is in the registers from 0 on: `address . protocol . port`, 3 words of IPv4 and 6 of IPv6. What is looked up
//! for it goes to word 8, and the packet's mark is kept in word 15 where it is borrowed: `nft` cannot list a look-up of
//! what was looked up, so that numbers go by way of the mark, which is as it was before the rule goes on.

use meshlite_nft::{
    Comparison, ConntrackKey, ConntrackState, Direction, Expression, Family, FibFlags, FibResult,
    Field, Icmpx, Lookup, MetaKey, NatFlags, Register, Reject, Value, Verdict,
};
use meshlite_snapshot::AddressFamily;

use super::name::{SetId, is_ipv6, name};

/// Where what was looked up for a place is.
pub(crate) const FOUND: u8 = 8;
/// Where the mark is kept, and what is compared once only.
const SCRATCH: u8 = 15;
/// `RTN_LOCAL`
const LOCAL: u32 = 2;

pub(crate) const fn word(place: u8) -> Register {
    Register::word(place)
}

/// How many words an address has.
pub(crate) const fn address_words(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::Ipv4 => 1,
        AddressFamily::Ipv6 => 4,
    }
}

/// The first word after a place.
pub(crate) const fn after_vip(family: AddressFamily) -> u8 {
    address_words(family) + 2
}

/// Only packets of this family.
pub(crate) fn is_family(family: AddressFamily) -> Vec<Expression> {
    Expression::is_family(nft_family(family), word(SCRATCH)).to_vec()
}

pub(crate) const fn nft_family(family: AddressFamily) -> Family {
    match family {
        AddressFamily::Ipv4 => Family::Ipv4,
        AddressFamily::Ipv6 => Family::Ipv6,
    }
}

/// Loads the packet's destination as a place.
pub(crate) fn load_vip(family: AddressFamily) -> Vec<Expression> {
    let mut steps = is_family(family);
    steps.push(load_destination(family, 0));
    steps.extend(load_port(family));
    steps
}

/// Loads the place that stands for this port on every address of this node.
pub(crate) fn load_node_place(family: AddressFamily) -> Vec<Expression> {
    let mut steps = is_family(family);
    steps.extend(zero_address(family));
    steps.extend(load_port(family));
    steps
}

/// Loads what the packet's connection was made to, as a place.
pub(crate) fn load_original(family: AddressFamily) -> Vec<Expression> {
    let mut steps = is_family(family);
    steps.push(original_address(family, 0));
    steps.extend(load_original_port(family));
    steps
}

/// Loads the place that stands for the port which the packet's connection was made to.
pub(crate) fn load_original_node_place(family: AddressFamily) -> Vec<Expression> {
    let mut steps = is_family(family);
    steps.extend(zero_address(family));
    steps.extend(load_original_port(family));
    steps
}

/// Loads what address the packet's connection was made to.
pub(crate) fn original_address(family: AddressFamily, at: u8) -> Expression {
    original(
        if is_ipv6(family) {
            ConntrackKey::DestinationIpv6
        } else {
            ConntrackKey::DestinationIpv4
        },
        at,
    )
}

fn load_original_port(family: AddressFamily) -> [Expression; 2] {
    let at = address_words(family);
    [
        Expression::transport_protocol(word(at)),
        original(ConntrackKey::DestinationPort, at + 1),
    ]
}

fn original(key: ConntrackKey, at: u8) -> Expression {
    Expression::Conntrack {
        key,
        direction: Some(Direction::Original),
        to: word(at),
    }
}

fn load_port(family: AddressFamily) -> [Expression; 2] {
    let at = address_words(family);
    [
        Expression::transport_protocol(word(at)),
        Expression::destination_port(word(at + 1)),
    ]
}

/// The unspecified address, as the packet's own with all bits masked: what `nft` can list in a key.
fn zero_address(family: AddressFamily) -> [Expression; 2] {
    let length = 4 * usize::from(address_words(family));
    let zero = || zeros(length);
    [
        load_destination(family, 0),
        Expression::Bitwise {
            from: word(0),
            to: word(0),
            mask: zero(),
            flip: zero(),
        },
    ]
}

#[expect(clippy::expect_used, reason = "4 or 16 bytes are a value")]
fn zeros(length: usize) -> Value {
    Value::new(vec![0; length]).expect("a value")
}

pub(crate) fn load_source(family: AddressFamily, at: u8) -> Expression {
    Expression::source_address(is_ipv6(family), word(at))
}

pub(crate) fn load_destination(family: AddressFamily, at: u8) -> Expression {
    Expression::destination_address(is_ipv6(family), word(at))
}

/// Looks up the key that begins at a word.
pub(crate) fn look_up(set: SetId, key: u8, then: Lookup) -> Expression {
    Expression::Lookup {
        set: set.text(),
        key: word(key),
        then,
    }
}

/// Only where the key is in the set.
pub(crate) fn is_in(set: SetId, key: u8) -> Expression {
    look_up(set, key, Lookup::Contains)
}

/// Loads the number that a map has for a key, to where the next key needs it.
pub(crate) fn look_up_number(map: SetId, key: u8, to: u8) -> [Expression; 5] {
    let mark = |to| Expression::Meta {
        key: MetaKey::Mark,
        to: word(to),
    };
    let set_mark = |from| Expression::SetMeta {
        key: MetaKey::Mark,
        from: word(from),
    };
    [
        mark(SCRATCH),
        look_up(map, key, Lookup::Load(word(to))),
        set_mark(to),
        mark(to),
        set_mark(SCRATCH),
    ]
}

/// Decides as a verdict map says of the number that a map has for the place which is loaded, if the condition holds.
pub(crate) fn decide(map: SetId, condition: &[Expression], verdicts: SetId) -> Vec<Expression> {
    let mut steps = look_up_number(map, 0, FOUND).to_vec();
    steps.extend_from_slice(condition);
    steps.push(look_up(verdicts, FOUND, Lookup::Decide));
    steps
}

/// Only packets to an address of this node that others can reach too.
pub(crate) fn is_to_this_node(family: AddressFamily) -> Vec<Expression> {
    let mut steps = is_family(family);
    steps.extend(is_local(FibFlags::DESTINATION));
    steps.push(load_destination(family, 0));
    match family {
        AddressFamily::Ipv4 => steps.extend([
            Expression::Bitwise {
                from: word(0),
                to: word(0),
                mask: Field::Ipv4([255, 0, 0, 0].into()).into(),
                flip: zeros(4),
            },
            unequal(0, Field::Ipv4([127, 0, 0, 0].into()).into()),
        ]),
        AddressFamily::Ipv6 => {
            let loopback = std::net::Ipv6Addr::LOCALHOST;
            steps.push(unequal(0, Field::Ipv6(loopback).into()));
        }
    }
    steps
}

/// Only packets whose address is one of this host's.
pub(crate) fn is_local(which: FibFlags) -> [Expression; 2] {
    let is_it = Expression::equal(word(SCRATCH), Value::native(LOCAL));
    [load_address_type(which), is_it]
}

/// Only packets whose address is none of this host's.
pub(crate) fn is_not_local(which: FibFlags) -> [Expression; 2] {
    let is_none = unequal(SCRATCH, Value::native(LOCAL));
    [load_address_type(which), is_none]
}

const fn load_address_type(which: FibFlags) -> Expression {
    Expression::Fib {
        result: FibResult::AddressType,
        flags: which,
        to: word(SCRATCH),
    }
}

fn unequal(at: u8, value: Value) -> Expression {
    Expression::Compare {
        comparison: Comparison::NotEqual,
        register: word(at),
        value,
    }
}

/// Only packets that begin a connection, or do not.
pub(crate) fn is_new(yes: bool) -> [Expression; 3] {
    has_state(ConntrackState::NEW, yes)
}

/// Only packets in a state, or not in it.
pub(crate) fn has_state(state: ConntrackState, yes: bool) -> [Expression; 3] {
    let comparison = if yes {
        Comparison::NotEqual
    } else {
        Comparison::Equal
    };
    [
        Expression::Conntrack {
            key: ConntrackKey::State,
            direction: None,
            to: word(SCRATCH),
        },
        Expression::Bitwise {
            from: word(SCRATCH),
            to: word(SCRATCH),
            mask: Value::native(state.bits()),
            flip: Value::native(0),
        },
        Expression::Compare {
            comparison,
            register: word(SCRATCH),
            value: Value::native(0),
        },
    ]
}

pub(crate) fn reject() -> Expression {
    Expression::Reject(Reject::Icmpx(Icmpx::PortUnreachable))
}

pub(crate) fn masquerade() -> Expression {
    Expression::Masquerade {
        flags: NatFlags::FULLY_RANDOM,
    }
}

pub(crate) fn accept() -> Expression {
    Expression::Verdict(Verdict::Accept)
}

pub(crate) fn drop() -> Expression {
    Expression::Verdict(Verdict::Drop)
}

pub(crate) fn jump(chain: &str) -> Expression {
    Expression::Verdict(Verdict::Jump(name(chain)))
}

pub(crate) fn goto(chain: &str) -> Expression {
    Expression::Verdict(Verdict::Goto(name(chain)))
}
