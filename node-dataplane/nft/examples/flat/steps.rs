//! Steps that several rules have.

use meshlite_nft::{Expression, Family, Lookup, NatFlags, NatKind, Register};

use super::service::text;

/// Where an endpoint is loaded: behind the longest key.
const ENDPOINT_AT: u8 = 8;

pub(crate) fn word(place: u8) -> Register {
    Register::word(place)
}

pub(crate) fn is_ipv4() -> Vec<Expression> {
    Expression::is_family(Family::Ipv4, word(0)).to_vec()
}

/// Loads `address . protocol . port` into the registers from 0 on, of IPv4 packets.
pub(crate) fn load_vip() -> Vec<Expression> {
    let load = vec![
        Expression::destination_address(false, word(0)),
        Expression::transport_protocol(word(1)),
        Expression::destination_port(word(2)),
    ];
    [is_ipv4(), load].concat()
}

/// Goes to the endpoint of the service and slot in the registers from 0 on.
pub(crate) fn translate() -> Vec<Expression> {
    let load = contains("endpoints", Lookup::Load(word(ENDPOINT_AT)));
    let translate = Expression::Nat {
        kind: NatKind::Destination,
        family: Family::Ipv4,
        address: Some(word(ENDPOINT_AT)),
        port: Some(word(ENDPOINT_AT + 1)),
        flags: NatFlags::empty(),
    };
    vec![load, translate]
}

pub(crate) fn contains(set: &str, then: Lookup) -> Expression {
    Expression::Lookup {
        set: text(set),
        key: word(0),
        then,
    }
}
