//! Destinations, which IPVS calls real servers: what identifies one within its service, and what can be set on it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::Statistics;

/// What identifies a destination within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    /// Where packets go: an address of this host or of another one, as the routes of the network namespace have it. Of
    /// another family than the service's only with [`Forwarding::Tunnel`].
    pub address: IpAddr,
    /// The port there. All but [`Forwarding::Masquerade`] keep the packet's own port, whatever is said here.
    pub port: u16,
}

impl From<SocketAddr> for DestinationKey {
    fn from(address: SocketAddr) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
        }
    }
}

/// As `ipvsadm -Ln` prints it: `10.244.1.7:8080`, `[fd00::7]:8080`.
impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// How packets get to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Rewritten to the destination's address and port; answers come back through this host (`ipvsadm -m`).
    Masquerade,
    /// Handed to this host itself. The kernel chooses so by itself for its own addresses.
    Local,
    /// Wrapped for the destination, which answers the client by itself (`ipvsadm -i`).
    Tunnel(Tunnel),
    /// Sent on unchanged to the destination's link-layer address, which answers the client by itself (`ipvsadm -g`).
    Route,
    /// Sent on unchanged to where it was going: what transparent caches are for.
    Bypass,
}

/// As `ipvsadm -Ln` prints it.
impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Masquerade => "Masq",
            Self::Local => "Local",
            Self::Tunnel(_) => "Tunnel",
            Self::Route => "Route",
            Self::Bypass => "Bypass",
        })
    }
}

/// What a tunnelled packet is wrapped in. Kernels before Linux 5.4 do not know all of it, and take what they do not know for
/// [`Ipip`](Self::Ipip) without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port of the destination, 1 at least.
        port: u16,
        /// Checksum of the outer header.
        checksum: TunnelChecksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// Checksum of the outer header. [`Remote`](TunnelChecksum::Remote) counts as none.
        checksum: TunnelChecksum,
    },
}

/// The checksum of a tunnel's outer header: `IP_VS_TUNNEL_ENCAP_FLAG_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelChecksum {
    /// None.
    None,
    /// Over the outer packet.
    Full,
    /// Remote checksum offload: the receiver works out the inner one.
    Remote,
}

/// What can be set on a destination, and changed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationSettings {
    /// How packets get there.
    pub forwarding: Forwarding,
    /// Its share of new connections among its like, up to 2³¹ − 1. With 0 it gets no new connections and keeps those it has.
    pub weight: u32,
    /// So many connections, and it gets no new ones. 0: no limit.
    pub upper_threshold: u32,
    /// So few connections, and it gets new ones again. 0: three quarters of the upper threshold. Not above that.
    pub lower_threshold: u32,
}

impl DestinationSettings {
    /// Forwarding and weight, no thresholds.
    pub const fn new(forwarding: Forwarding, weight: u32) -> Self {
        Self {
            forwarding,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }
}

/// A destination as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Which destination.
    pub key: DestinationKey,
    /// How it gets what.
    pub settings: DestinationSettings,
}

/// A destination as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DestinationEntry {
    /// Which destination, and how it gets what.
    pub destination: Destination,
    /// Connections in state established.
    pub active_connections: u32,
    /// Connections in any other state.
    pub inactive_connections: u32,
    /// Clients that persistence holds here.
    pub persistent_connections: u32,
    /// What went there since it was added or zeroed. A destination that is deleted and added again while connections
    /// of its old self last starts from its old counters.
    pub statistics: Statistics,
}
