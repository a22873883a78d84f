//! What expressions name by numbers of the kernel's header: facts of packets, operations, flags.

use crate::numbered::numbered;

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
    /// Where a [payload](crate::Expression::Payload)'s offset counts from: `NFT_PAYLOAD_*`.
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
