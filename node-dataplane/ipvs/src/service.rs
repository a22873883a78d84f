//! Virtual services: what identifies one, and what can be set on it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
};

use crate::{PersistenceEngine, Scheduler, Statistics};

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, `AF_INET`.
    V4,
    /// IPv6, `AF_INET6`.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// How many bits an address has: 32 or 128.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// A transport protocol, by its IANA number.
///
/// IPVS balances [`TCP`](Self::TCP), [`UDP`](Self::UDP) and, where the kernel has it, [`SCTP`](Self::SCTP). The kernel
/// stores a service of any other protocol too, and lists it; such a service gets no traffic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(u8);

impl Protocol {
    /// `IPPROTO_TCP`, 6.
    pub const TCP: Self = Self(6);
    /// `IPPROTO_UDP`, 17.
    pub const UDP: Self = Self(17);
    /// `IPPROTO_SCTP`, 132.
    pub const SCTP: Self = Self(132);

    /// The protocol of an IANA number.
    pub const fn from_number(number: u8) -> Self {
        Self(number)
    }

    /// The IANA number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TCP => f.pad("TCP"),
            Self::UDP => f.pad("UDP"),
            Self::SCTP => f.pad("SCTP"),
            Self(number) => f.pad(&number.to_string()),
        }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What identifies a virtual service: no two services of a network namespace share it.
///
/// ```
/// use meshlite_ipvs::{Protocol, ServiceKey};
/// let dns = ServiceKey::address(Protocol::UDP, "10.96.0.10:53".parse()?);
/// assert_eq!(dns.to_string(), "UDP 10.96.0.10:53");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets to one port of one address.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// The virtual address.
        address: IpAddr,
        /// The virtual port. 0 catches what comes to ports that no service has; meant for persistent services.
        port: u16,
    },
    /// Packets that a netfilter rule has given a mark, to whatever address and port.
    Mark {
        /// The family of the marked packets.
        family: Family,
        /// The mark, exactly: IPVS knows no mask.
        mark: NonZeroU32,
    },
}

impl ServiceKey {
    /// The key of a service at an address and port. A scope or flow of an IPv6 address plays no part.
    pub fn address(protocol: Protocol, address: SocketAddr) -> Self {
        Self::Address {
            protocol,
            address: address.ip(),
            port: address.port(),
        }
    }

    /// The family of the packets that the service takes.
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(*address),
            Self::Mark { family, .. } => *family,
        }
    }
}

/// As `ipvsadm -Ln` prints it: `TCP 10.96.0.1:443`, `FWM 257`, `FWM 257 IPv6`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address {
                protocol,
                address,
                port,
            } => write!(f, "{protocol} {}", SocketAddr::new(*address, *port)),
            Self::Mark { family, mark } => match family {
                Family::V4 => write!(f, "FWM {mark}"),
                Family::V6 => write!(f, "FWM {mark} IPv6"),
            },
        }
    }
}

bitflags::bitflags! {
    /// Switches of a service: `IP_VS_SVC_F_*`.
    ///
    /// Two of the kernel's are not here. *Persistent* is [`ServiceSettings::persistence`]. *Hashed* is the kernel's own
    /// note that it holds the service: a service that was added with it set could never be found again.
    ///
    /// What the three scheduler flags mean is the scheduler's business; `sh` and `mh` use the same two.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct ServiceFlags: u32 {
        /// Each UDP datagram is scheduled by itself (`ipvsadm --ops`).
        const ONE_PACKET = 0x0004;
        /// Scheduler flag 1.
        const SCHEDULER_1 = 0x0008;
        /// Scheduler flag 2.
        const SCHEDULER_2 = 0x0010;
        /// Scheduler flag 3.
        const SCHEDULER_3 = 0x0020;
        /// Of `sh`: another destination where the one that was hashed to has weight 0.
        const SH_FALLBACK = Self::SCHEDULER_1.bits();
        /// Of `sh`: the source port is hashed too.
        const SH_PORT = Self::SCHEDULER_2.bits();
        /// Of `mh`: another destination where the one that was hashed to has weight 0.
        const MH_FALLBACK = Self::SCHEDULER_1.bits();
        /// Of `mh`: the source port is hashed too.
        const MH_PORT = Self::SCHEDULER_2.bits();
    }
}

/// Connections of one client go to one destination, until none has come for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Persistence {
    /// Seconds from the last connection on. The kernel multiplies by its clock's ticks in 32 bits: up to 4,294,967 s
    /// (49 days) are right on every kernel.
    pub timeout: u32,
    /// How many leading bits of the source address make a client: 32 or 128 for each address by itself, less for networks.
    /// 0 makes all IPv4 clients one; IPv6 needs 1 at least. A mask with holes, which IPv4 has room for, is read as
    /// its number of ones.
    pub prefix: u8,
    /// What recognises a client beside its address.
    pub engine: Option<PersistenceEngine>,
}

impl Persistence {
    /// Each address of `family` is a client, remembered for `timeout` seconds.
    pub const fn per_address(family: Family, timeout: u32) -> Self {
        let prefix = match family {
            Family::V4 => 32,
            Family::V6 => 128,
        };
        Self {
            timeout,
            prefix,
            engine: None,
        }
    }

    /// The mask as the kernel has it: of IPv4 the mask's bytes, of IPv6 the prefix as a number.
    pub(crate) fn netmask(self, family: Family) -> [u8; 4] {
        let prefix = u32::from(self.prefix.min(family.bits()));
        match family {
            Family::V4 => u32::MAX.checked_shl(32 - prefix).unwrap_or(0).to_be_bytes(),
            Family::V6 => prefix.to_ne_bytes(),
        }
    }

    /// The prefix in the kernel's mask; `None` where it is none.
    pub(crate) fn prefix_of(netmask: [u8; 4], family: Family) -> Option<u8> {
        let bits = match family {
            Family::V4 => Ipv4Addr::from(netmask).to_bits().count_ones(),
            Family::V6 => u32::from_ne_bytes(netmask),
        };
        u8::try_from(bits)
            .ok()
            .filter(|bits| *bits <= family.bits())
    }
}

/// What can be set on a virtual service, and changed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceSettings {
    /// Which destination gets a new connection.
    pub scheduler: Scheduler,
    /// Switches of the service and its scheduler.
    pub flags: ServiceFlags,
    /// Whether a client stays at its destination.
    pub persistence: Option<Persistence>,
}

impl ServiceSettings {
    /// A scheduler, no flags, no persistence.
    pub const fn new(scheduler: Scheduler) -> Self {
        Self {
            scheduler,
            flags: ServiceFlags::empty(),
            persistence: None,
        }
    }
}

/// A virtual service as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Which service.
    pub key: ServiceKey,
    /// How it works.
    pub settings: ServiceSettings,
}

/// A virtual service as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceEntry {
    /// Which service, and how it works.
    pub service: Service,
    /// What went through it, to all its destinations, since it was added or zeroed.
    pub statistics: Statistics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_becomes_the_mask_of_its_family_and_back() {
        let mask = |prefix, family| {
            Persistence {
                timeout: 1,
                prefix,
                engine: None,
            }
            .netmask(family)
        };
        assert_eq!(mask(0, Family::V4), [0, 0, 0, 0]);
        assert_eq!(mask(24, Family::V4), [255, 255, 255, 0]);
        assert_eq!(mask(32, Family::V4), [255; 4]);
        assert_eq!(mask(128, Family::V4), [255; 4]);
        assert_eq!(mask(64, Family::V6), 64_u32.to_ne_bytes());
        for prefix in 0..=32 {
            let mask = mask(prefix, Family::V4);
            assert_eq!(Persistence::prefix_of(mask, Family::V4), Some(prefix));
        }
        assert_eq!(
            Persistence::prefix_of(129_u32.to_ne_bytes(), Family::V6),
            None
        );
        assert_eq!(
            Persistence::prefix_of([255, 0, 255, 0], Family::V4),
            Some(16)
        );
    }

    #[test]
    fn keys_read_as_ipvsadm_prints_them() {
        let key = |text: &str| ServiceKey::address(Protocol::TCP, text.parse().unwrap());
        assert_eq!(key("10.96.0.1:443").to_string(), "TCP 10.96.0.1:443");
        assert_eq!(key("[fd00::1]:443").to_string(), "TCP [fd00::1]:443");
        let mark = |family| ServiceKey::Mark {
            family,
            mark: NonZeroU32::new(257).unwrap(),
        };
        assert_eq!(mark(Family::V4).to_string(), "FWM 257");
        assert_eq!(mark(Family::V6).to_string(), "FWM 257 IPv6");
    }
}
