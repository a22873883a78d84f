//! Expressions: what rules are made of. Each reads registers, writes one, ends the rule, or does something to the packet.

mod facts;

use std::{net::IpAddr, time::Duration};

use crate::{Family, Name, Value, Verdict};
pub use facts::{
    Comparison, ConntrackKey, ConntrackState, Direction, DynsetOperation, FibFlags, FibResult,
    Icmpx, MetaKey, NatFlags, NatKind, NumgenKind, PayloadBase,
};

/// One of sixteen 32-bit registers. What is longer fills those that follow.
///
/// Concatenated keys begin at one, and each field at the next free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(u8);

impl Register {
    /// How many there are.
    pub const COUNT: u8 = 16;

    /// By place, from 0 to 15; later ones wrap around.
    pub const fn word(place: u8) -> Self {
        Self(place % Self::COUNT)
    }

    /// Its place.
    pub const fn place(self) -> u8 {
        self.0
    }
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expression {
    /// Loads bytes of the packet; ends the rule where the packet has none there.
    Payload {
        /// From which header on.
        base: PayloadBase,
        /// Bytes to skip.
        offset: u32,
        /// Bytes to load.
        length: u32,
        /// Where to.
        to: Register,
    },
    /// Loads a fact of the packet that is not in it.
    Meta {
        /// Which.
        key: MetaKey,
        /// Where to.
        to: Register,
    },
    /// Sets a fact of the packet: of those here its mark, trace and priority can be.
    SetMeta {
        /// Which.
        key: MetaKey,
        /// Where from.
        from: Register,
    },
    /// Loads a fact of the packet's connection; ends the rule where it has none.
    Conntrack {
        /// Which.
        key: ConntrackKey,
        /// Of which direction, for addresses and ports.
        direction: Option<Direction>,
        /// Where to.
        to: Register,
    },
    /// Sets a fact of the packet's connection: of those here its mark can be.
    SetConntrack {
        /// Which.
        key: ConntrackKey,
        /// Where from.
        from: Register,
    },
    /// Asks the routing tables.
    Fib {
        /// What.
        result: FibResult,
        /// Of what.
        flags: FibFlags,
        /// Where to.
        to: Register,
    },
    /// Ends the rule unless it holds.
    Compare {
        /// How.
        comparison: Comparison,
        /// What, on the left.
        register: Register,
        /// And what, on the right. Compared byte by byte: what is in the machine's own order can only be equal or not.
        value: Value,
    },
    /// Ends the rule unless a register is in a range, or out of it.
    Range {
        /// Whether it must be out of it.
        invert: bool,
        /// What.
        register: Register,
        /// The first in it.
        first: Value,
        /// The last in it.
        last: Value,
    },
    /// Masks bits, then flips some. Mask and flips are of one length.
    Bitwise {
        /// Where from.
        from: Register,
        /// Where to.
        to: Register,
        /// Bits that stay.
        mask: Value,
        /// Bits that are flipped then.
        flip: Value,
    },
    /// Looks up a key.
    Lookup {
        /// The set or map, of the same table.
        set: Name,
        /// The key.
        key: Register,
        /// What then.
        then: Lookup,
    },
    /// Adds an element to a dynamic set or map, or takes one out. Ends the rule where there is no room.
    Dynset {
        /// The set or map, of the same table.
        set: Name,
        /// What to do.
        operation: DynsetOperation,
        /// The key.
        key: Register,
        /// The data, of a map.
        data: Option<Register>,
        /// How long it lives. `None`: as long as the set says.
        timeout: Option<Duration>,
    },
    /// Loads a generated number, 32 bits in the machine's own order.
    Numgen {
        /// How.
        kind: NumgenKind,
        /// How many there are.
        modulus: u32,
        /// The smallest.
        offset: u32,
        /// Where to.
        to: Register,
    },
    /// Loads a hash of registers, 32 bits in the machine's own order.
    Jhash {
        /// Where from.
        from: Register,
        /// Bytes to hash.
        length: u32,
        /// How many results there are.
        modulus: u32,
        /// The smallest.
        offset: u32,
        /// What makes it another hash. `None`: the kernel takes a random one.
        seed: Option<u32>,
        /// Where to.
        to: Register,
    },
    /// Translates an address or port, for the whole connection. Ends the rule.
    Nat {
        /// Of which end.
        kind: NatKind,
        /// Of which family the address is: [`Family::Ipv4`] or [`Family::Ipv6`].
        family: Family,
        /// The new address.
        address: Option<Register>,
        /// The new port.
        port: Option<Register>,
        /// How.
        flags: NatFlags,
    },
    /// Translates the source to an address of the interface where the packet leaves. Ends the rule.
    Masquerade {
        /// How.
        flags: NatFlags,
    },
    /// Translates the destination to this host. Ends the rule.
    Redirect {
        /// The new port.
        port: Option<Register>,
        /// How.
        flags: NatFlags,
    },
    /// Drops the packet, and says so to its sender.
    Reject(Reject),
    /// Keeps the packet from connection tracking.
    Notrack,
    /// Counts.
    Counter {
        /// Packets so far.
        packets: u64,
        /// Bytes so far.
        bytes: u64,
    },
    /// Loads a constant.
    Immediate {
        /// Which.
        value: Value,
        /// Where to.
        to: Register,
    },
    /// Ends the rule unless a match of iptables holds: so `iptables-nft` keeps its rules, and only so it can read
    /// those of others in its tables.
    XtablesMatch {
        /// Its name there.
        name: Name,
        /// Of its parameters.
        revision: u32,
        /// Its parameters: a structure of the kernel's, filled up with zeros to a multiple of 8 bytes.
        info: Box<[u8]>,
    },
    /// Decides.
    Verdict(Verdict),
    /// One that this crate does not know, or with what it does not know about it: read, never written.
    Other(Name),
}

/// What a [lookup](Expression::Lookup) is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lookup {
    /// Ends the rule where the key is not there.
    Contains,
    /// Ends the rule where it is there.
    Lacks,
    /// Loads what the map has for it; ends the rule where it has nothing.
    Load(Register),
    /// Decides as the verdict map says; ends the rule where it says nothing.
    Decide,
}

/// How a [reject](Expression::Reject) is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// ICMP of the table's family: unreachable, and why.
    Icmp(u8),
    /// ICMP of the packet's family, in families that see both: unreachable, and why.
    Icmpx(Icmpx),
    /// A TCP reset; only for TCP.
    TcpReset,
}

// === impl Expression ===

impl Expression {
    /// A counter at 0.
    pub const COUNTER: Self = Self::Counter {
        packets: 0,
        bytes: 0,
    };

    /// Loads the packet's source, which is 4 or 16 bytes.
    pub const fn source_address(is_ipv6: bool, to: Register) -> Self {
        let (offset, length) = if is_ipv6 { (8, 16) } else { (12, 4) };
        Self::Payload {
            base: PayloadBase::Network,
            offset,
            length,
            to,
        }
    }

    /// Loads the packet's destination, which is 4 or 16 bytes.
    pub const fn destination_address(is_ipv6: bool, to: Register) -> Self {
        let (offset, length) = if is_ipv6 { (24, 16) } else { (16, 4) };
        Self::Payload {
            base: PayloadBase::Network,
            offset,
            length,
            to,
        }
    }

    /// Loads the destination port of TCP, UDP or SCTP, which is 2 bytes.
    pub const fn destination_port(to: Register) -> Self {
        Self::Payload {
            base: PayloadBase::Transport,
            offset: 2,
            length: 2,
            to,
        }
    }

    /// Loads the transport protocol's number, which is 1 byte.
    pub const fn transport_protocol(to: Register) -> Self {
        Self::Meta {
            key: MetaKey::TransportProtocol,
            to,
        }
    }

    /// Ends the rule unless a register equals a value.
    pub const fn equal(register: Register, value: Value) -> Self {
        Self::Compare {
            comparison: Comparison::Equal,
            register,
            value,
        }
    }

    /// Ends the rule unless the packet is of a family, in tables that see both.
    pub fn is_family(family: Family, through: Register) -> [Self; 2] {
        let number = u8::try_from(family.number()).unwrap_or(0);
        [
            Self::Meta {
                key: MetaKey::Family,
                to: through,
            },
            Self::equal(through, crate::Field::Protocol(number).into()),
        ]
    }

    /// Loads an address as a constant.
    pub fn address(address: IpAddr, to: Register) -> Self {
        Self::Immediate {
            value: crate::Field::from(address).into(),
            to,
        }
    }
}
