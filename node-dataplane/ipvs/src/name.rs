//! The short names by which the kernel knows schedulers and persistence engines.

use std::{fmt, str::FromStr};

/// The longest name without its final NUL: `IP_VS_SCHEDNAME_MAXLEN` and `IP_VS_PENAME_MAXLEN`, less one.
const MAX_BYTES: usize = 15;

/// Why a string names no scheduler and no persistence engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// No bytes, or more than 15.
    #[error("{0:?} is no name of a kernel module: it must have 1 to {MAX_BYTES} bytes")]
    Length(String),
    /// Something else than ASCII letters, digits, `_` and `-`.
    #[error(
        "{0:?} is no name of a kernel module: only ASCII letters, digits, '_' and '-' may be in it"
    )]
    Character(String),
}

/// Bytes of a name, NUL to the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Name([u8; MAX_BYTES]);

impl Name {
    fn new(name: &str) -> Result<Self, InvalidName> {
        let mut bytes = [0; MAX_BYTES];
        let Some(prefix) = bytes.get_mut(..name.len()).filter(|p| !p.is_empty()) else {
            return Err(InvalidName::Length(name.to_owned()));
        };
        let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !name.as_bytes().iter().all(fits) {
            return Err(InvalidName::Character(name.to_owned()));
        }
        prefix.copy_from_slice(name.as_bytes());
        Ok(Self(bytes))
    }

    /// For the names that this crate knows, all of them short.
    const fn known(name: &str) -> Self {
        let mut bytes = [0; MAX_BYTES];
        let mut at = 0;
        while at < name.len() {
            bytes[at] = name.as_bytes()[at];
            at += 1;
        }
        Self(bytes)
    }

    fn as_str(&self) -> &str {
        let bytes = self.0.split(|b| *b == 0).next().unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

/// The name of a scheduler: which destination gets a new connection.
///
/// Its module, `ip_vs_<name>`, should be loaded *before* a service asks for it; the kernel answers
/// [`Error::NoSuchScheduler`](crate::Error::NoSuchScheduler) where there is none.
///
/// Where it is not loaded, the kernel loads it by itself, and waits for that with the lock of IPVS held. [`LBLC`](Self::LBLC)
/// and [`LBLCR`](Self::LBLCR) in turn wait for the lock of the network namespaces: if one is going away at that
/// moment, it waits for the lock of IPVS with the routing lock held, and the host's network stands still for good.
/// So it was seen on Linux 6.1.
///
/// ```
/// use meshlite_ipvs::Scheduler;
/// assert_eq!("wlc".parse::<Scheduler>()?, Scheduler::WLC);
/// assert!("a-name-that-is-too-long".parse::<Scheduler>().is_err());
/// # Ok::<(), meshlite_ipvs::InvalidName>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scheduler(Name);

impl Scheduler {
    /// Round robin.
    pub const RR: Self = Self(Name::known("rr"));
    /// Weighted round robin.
    pub const WRR: Self = Self(Name::known("wrr"));
    /// Least connections.
    pub const LC: Self = Self(Name::known("lc"));
    /// Weighted least connections.
    pub const WLC: Self = Self(Name::known("wlc"));
    /// Locality-based least connections.
    pub const LBLC: Self = Self(Name::known("lblc"));
    /// Locality-based least connections with replication.
    pub const LBLCR: Self = Self(Name::known("lblcr"));
    /// Destination hashing.
    pub const DH: Self = Self(Name::known("dh"));
    /// Source hashing; see [`ServiceFlags::SH_FALLBACK`](crate::ServiceFlags::SH_FALLBACK).
    pub const SH: Self = Self(Name::known("sh"));
    /// Maglev hashing; see [`ServiceFlags::MH_FALLBACK`](crate::ServiceFlags::MH_FALLBACK).
    pub const MH: Self = Self(Name::known("mh"));
    /// Shortest expected delay.
    pub const SED: Self = Self(Name::known("sed"));
    /// Never queue.
    pub const NQ: Self = Self(Name::known("nq"));
    /// Weighted failover: the destination of the greatest weight gets all.
    pub const FO: Self = Self(Name::known("fo"));
    /// Weighted overflow: as failover, until a destination has as many connections as weight.
    pub const OVF: Self = Self(Name::known("ovf"));
    /// Of two at random, the less loaded.
    pub const TWOS: Self = Self(Name::known("twos"));
    /// No scheduler: a service that gives new connections to no destination.
    pub const NONE: Self = Self(Name::known("none"));

    /// Checks and makes a name: 1 to 15 ASCII letters, digits, `_` and `-`.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        Name::new(name).map(Self)
    }

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The name of a persistence engine: what, beside the client's address, a connection is recognised by.
///
/// The kernel loads the module `ip_vs_pe_<name>`. Linux itself has one, `sip`, which looks at the Call-ID of SIP over UDP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistenceEngine(Name);

impl PersistenceEngine {
    /// The Call-ID of SIP.
    pub const SIP: Self = Self(Name::known("sip"));

    /// Checks and makes a name: 1 to 15 ASCII letters, digits, `_` and `-`.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        Name::new(name).map(Self)
    }

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Scheduler {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scheduler({})", self.as_str())
    }
}

impl FromStr for PersistenceEngine {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl fmt::Display for PersistenceEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for PersistenceEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersistenceEngine({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_the_kernels_field_with_its_nul() {
        assert_eq!(
            Scheduler::new("fifteen-bytes-x").map(|s| s.to_string()),
            Ok("fifteen-bytes-x".to_owned())
        );
        assert_eq!(
            Scheduler::new("sixteen-bytes-xy"),
            Err(InvalidName::Length("sixteen-bytes-xy".to_owned()))
        );
        assert_eq!(Scheduler::new(""), Err(InvalidName::Length(String::new())));
    }

    #[test]
    fn a_name_cannot_be_a_path_or_an_option_of_modprobe() {
        for name in ["../rr", "r r", "rr\0", "ü"] {
            assert_eq!(
                Scheduler::new(name),
                Err(InvalidName::Character(name.to_owned()))
            );
        }
    }
}
