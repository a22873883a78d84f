//! Counters of services and destinations, and facts of the whole table.

use std::fmt;

/// What went through a service or to a destination.
///
/// The kernel adds its processors' counters up every two seconds, so this may be as old as that; where
/// `net.ipv4.vs.run_estimation` is 0 it stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statistics {
    /// Connections that were scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; without [`Masquerade`](crate::Forwarding::Masquerade) they do not come by, and are not counted.
    pub packets_out: u64,
    /// Bytes from clients, network headers included.
    pub bytes_in: u64,
    /// Bytes to clients, as [`packets_out`](Self::packets_out).
    pub bytes_out: u64,
    /// What the kernel estimates of the last seconds; zero where `net.ipv4.vs.run_estimation` is 0.
    pub rates: Rates,
}

/// Moving averages of the counters, each per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rates {
    /// Connections per second.
    pub connections: u64,
    /// Packets from clients per second.
    pub packets_in: u64,
    /// Packets to clients per second.
    pub packets_out: u64,
    /// Bytes from clients per second.
    pub bytes_in: u64,
    /// Bytes to clients per second.
    pub bytes_out: u64,
}

/// What the kernel says of its IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Info {
    /// Version of IPVS; 1.2.1 for many years.
    pub version: Version,
    /// Buckets of the table of connections: `ip_vs.conn_tab_bits`, as a power of two.
    pub connection_table_size: u32,
}

/// A version of IPVS: `NVERSION` of the kernel's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u8,
    /// The second.
    pub minor: u8,
    /// The third.
    pub patch: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How long the kernel keeps idle connections, in seconds. 0 in a change leaves what is there; at most 2³¹ − 1 over the
/// kernel's ticks per second (2,147,483 s on every kernel).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// Established TCP connections; 900 at first.
    pub tcp: u32,
    /// TCP connections after a FIN; 120 at first.
    pub tcp_fin: u32,
    /// UDP; 300 at first.
    pub udp: u32,
}
