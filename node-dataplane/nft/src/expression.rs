//! Expressions: what rules are made of. Each reads registers, writes one, ends the rule, or does something to the packet.

use std::{net::IpAddr, time::Duration};

use crate::{Family, Name, Value, Verdict, numbered::numbered};

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

numbered! {
    /// Why a packet is rejected, whatever its family: `NFT_REJECT_ICMPX_*`.
    Icmpx {
        /// No way there.
        NoRoute = 0,
        /// Nobody listens.
        PortUnreachable = 1,
        /// Nobody is there.
        HostUnreachable = 2,
        /// It is forbidden.
        AdminProhibited = 3,
    }
}

numbered! {
    /// Where a [payload](Expression::Payload)'s offset counts from: `NFT_PAYLOAD_*`.
    PayloadBase {
        /// The link-layer header.
        LinkLayer = 0,
        /// The header of IPv4 or IPv6.
        Network = 1,
        /// The header of TCP, UDP and such.
        Transport = 2,
    }
}

numbered! {
    /// Facts of a packet that are not in it: `NFT_META_*`.
    MetaKey {
        /// Its length in bytes; 32 bits.
        Length = 0,
        /// Its `EtherType`; 16 bits in network order.
        Protocol = 1,
        /// Its queueing priority; 32 bits.
        Priority = 2,
        /// Its mark; 32 bits.
        Mark = 3,
        /// Index of the interface where it arrived; 32 bits.
        InputInterface = 4,
        /// Index of the interface where it leaves; 32 bits.
        OutputInterface = 5,
        /// Name of the interface where it arrived; 16 bytes, filled up with NUL.
        InputInterfaceName = 6,
        /// Name of the interface where it leaves; 16 bytes, filled up with NUL.
        OutputInterfaceName = 7,
        /// Who has its socket; 32 bits.
        SocketUser = 10,
        /// Which group has its socket; 32 bits.
        SocketGroup = 11,
        /// Whether it is traced; 8 bits.
        Trace = 12,
        /// Its family; 8 bits.
        Family = 15,
        /// Its transport protocol's IANA number; 8 bits.
        TransportProtocol = 16,
        /// For whom the link layer took it; 8 bits.
        PacketType = 17,
    }
}

numbered! {
    /// Facts of a connection: `NFT_CT_*`.
    ConntrackKey {
        /// What the packet is to it, as [bits](ConntrackState); 32 bits.
        State = 0,
        /// The packet's direction; 8 bits, see [`Direction`].
        Direction = 1,
        /// What became of it, as bits of `IPS_*`; 32 bits.
        Status = 2,
        /// Its mark; 32 bits.
        Mark = 3,
        /// Its transport protocol's IANA number; 8 bits.
        Protocol = 10,
        /// Source port; 16 bits.
        SourcePort = 11,
        /// Destination port; 16 bits.
        DestinationPort = 12,
        /// Source, IPv4.
        SourceIpv4 = 19,
        /// Destination, IPv4.
        DestinationIpv4 = 20,
        /// Source, IPv6.
        SourceIpv6 = 21,
        /// Destination, IPv6.
        DestinationIpv6 = 22,
    }
}

bitflags::bitflags! {
    /// What a packet is to its connection: `NF_CT_STATE_BIT`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct ConntrackState: u32 {
        /// It fits no connection.
        const INVALID = 1;
        /// Both sides were heard.
        const ESTABLISHED = 2;
        /// It belongs to another connection: an error message, say.
        const RELATED = 4;
        /// It begins one.
        const NEW = 8;
        /// It is not tracked.
        const UNTRACKED = 64;
    }
}

numbered! {
    /// Direction of a connection: `IP_CT_DIR_*`.
    Direction {
        /// As its first packet.
        Original = 0,
        /// As the answer.
        Reply = 1,
    }
}

numbered! {
    /// What the routing tables are asked: `NFT_FIB_RESULT_*`.
    FibResult {
        /// Index of the interface; 32 bits.
        Interface = 1,
        /// Name of the interface; 16 bytes.
        InterfaceName = 2,
        /// Type of the address, `RTN_*` (2 is this host's own); 32 bits.
        AddressType = 3,
    }
}

bitflags::bitflags! {
    /// What the routing tables are asked about: `NFTA_FIB_F_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct FibFlags: u32 {
        /// The source.
        const SOURCE = 1;
        /// The destination.
        const DESTINATION = 2;
        /// With the packet's mark.
        const MARK = 4;
        /// Only where it arrived.
        const INPUT_INTERFACE = 8;
        /// Only where it leaves.
        const OUTPUT_INTERFACE = 16;
        /// Only whether there is a route: 8 bits.
        const PRESENT = 32;
    }
}

numbered! {
    /// How two values compare: `NFT_CMP_*`.
    Comparison {
        /// `==`
        Equal = 0,
        /// `!=`
        NotEqual = 1,
        /// `<`
        Less = 2,
        /// `<=`
        LessOrEqual = 3,
        /// `>`
        Greater = 4,
        /// `>=`
        GreaterOrEqual = 5,
    }
}

numbered! {
    /// What is done to a dynamic set: `NFT_DYNSET_OP_*`.
    DynsetOperation {
        /// Added, unless it is there.
        Add = 0,
        /// Added; if it is there its time begins anew.
        Update = 1,
        /// Taken out; since Linux 5.4.
        Delete = 2,
    }
}

numbered! {
    /// How numbers are generated: `NFT_NG_*`.
    NumgenKind {
        /// One after the other.
        Incremental = 0,
        /// At random.
        Random = 1,
    }
}

numbered! {
    /// Which end is translated: `NFT_NAT_*`.
    NatKind {
        /// The source.
        Source = 0,
        /// The destination.
        Destination = 1,
    }
}

bitflags::bitflags! {
    /// How addresses are translated: `NF_NAT_RANGE_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct NatFlags: u32 {
        /// Source ports by a hash.
        const RANDOM = 4;
        /// One client always the same.
        const PERSISTENT = 8;
        /// Source ports at random: `--random-fully`.
        const FULLY_RANDOM = 16;
    }
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
