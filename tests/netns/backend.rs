//! What carries the traffic, and what an operator does for it beforehand.

use meshlite_tests::world::{Family, Host};

/// The ranges of ClusterIPs.
pub(crate) const SERVICES: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

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
        matches!(self, Self::Userspace)
    }

    /// Whether servers see the client's address where nothing has to be masqueraded.
    pub(crate) const fn shows_clients(self) -> bool {
        !matches!(self, Self::Userspace)
    }

    /// Whether a client is refused at once where no server is, rather than let in and let go.
    pub(crate) fn prepare(self, node: &Host) {
        if self == Self::Userspace {
            // A process can only listen on addresses that are the host's.
            let routes = SERVICES.map(|range| format!("route add local {range} dev lo\n"));
            node.ip_batch(&routes.concat()).expect("routes");
            node.set("net/ipv6/ip_nonlocal_bind", "1")
                .expect("a setting");
        }
    }

    /// The ClusterIP of this number.
    pub(crate) fn cluster_ip(family: Family, number: u8) -> String {
        match family {
            Family::V4 => format!("10.96.0.{number}"),
            Family::V6 => format!("fd00:96::{number:x}"),
        }
    }
}
