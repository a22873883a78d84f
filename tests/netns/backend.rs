//! What carries the traffic, and what an operator does for it beforehand.

use meshlite_tests::world::{DialError, Family, Host};

/// The ranges of ClusterIPs.
pub(crate) const SERVICES: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];
/// The ranges of load balancers' addresses.
pub(crate) const LOAD_BALANCERS: [&str; 2] = ["203.0.113.0/24", "2001:db8:113::/64"];

/// A mode of `meshlite node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Userspace,
    Nftables,
    Ipvs,
}

// === impl Backend ===

impl Backend {
    pub(crate) const ALL: [Self; 3] = [Self::Userspace, Self::Nftables, Self::Ipvs];

    /// As `--mode` takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Userspace => "userspace",
            Self::Nftables => "nftables",
            Self::Ipvs => "ipvs",
        }
    }

    /// Whether `meshlite node` has it.
    pub(crate) const fn is_built(self) -> bool {
        matches!(self, Self::Userspace | Self::Nftables | Self::Ipvs)
    }

    /// Whether this is what a client sees whose packets are dropped. A process can only close a connection that it has.
    pub(crate) fn is_dropped(self, error: &DialError) -> bool {
        self == Self::Userspace || matches!(error, DialError::Silent)
    }

    /// What an operator does on a node before it serves.
    pub(crate) fn prepare(self, node: &Host) {
        if self == Self::Userspace {
            // A process can only listen on addresses that are the host's.
            let ranges = SERVICES.into_iter().chain(LOAD_BALANCERS);
            let routes = ranges.map(|range| format!("route add local {range} dev lo\n"));
            node.ip_batch(&routes.collect::<String>()).expect("routes");
            node.set("net/ipv6/ip_nonlocal_bind", "1")
                .expect("a setting");
        }
    }
}

/// The ClusterIP of this number.
pub(crate) fn cluster_ip(family: Family, number: u8) -> String {
    match family {
        Family::V4 => format!("10.96.0.{number}"),
        Family::V6 => format!("fd00:96::{number:x}"),
    }
}

/// The load balancer's address of this number.
pub(crate) fn load_balancer_ip(family: Family, number: u8) -> String {
    match family {
        Family::V4 => format!("203.0.113.{number}"),
        Family::V6 => format!("2001:db8:113::{number:x}"),
    }
}
