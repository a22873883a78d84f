//! Names of tables, chains and sets; families; and the keys made of them.

use std::{fmt, str::FromStr, sync::Arc};

use crate::numbered::numbered;

/// The name of a table, chain or set: 1 to 255 bytes, no NUL. Cloning one is cheap.
///
/// The kernel takes any such name. The `nft` command reads back only those that begin with a letter and go on with
/// letters, digits, `/`, `\`, `_`, `.` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why text is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {max} bytes and no NUL, this one is {0:?}", max = Name::MAX)]
pub struct InvalidName(pub String);

impl Name {
    /// The longest, in bytes: `NFT_NAME_MAXLEN` without its NUL.
    pub const MAX: usize = 255;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.len() > Self::MAX || text.contains('\0') {
            return Err(InvalidName(text.chars().take(Self::MAX).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

numbered! {
    /// What packets a table sees: `NFPROTO_*`.
    Family {
        /// IPv4 and IPv6 both. Address translation there since Linux 5.2.
        Inet = 1,
        /// IPv4.
        Ipv4 = 2,
        /// ARP.
        Arp = 3,
        /// All packets of a device.
        Netdev = 5,
        /// Bridged frames.
        Bridge = 7,
        /// IPv6.
        Ipv6 = 10,
    }
}

/// As `nft` writes it.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Inet => "inet",
            Self::Ipv4 => "ip",
            Self::Arp => "arp",
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
            Self::Ipv6 => "ip6",
        })
    }
}

/// What tells a table from others of its network namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableKey {
    /// What packets it sees.
    pub family: Family,
    /// Its name.
    pub name: Name,
}

/// What tells a chain from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey {
    /// Its table.
    pub table: TableKey,
    /// Its name.
    pub name: Name,
}

/// What tells a set or map from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey {
    /// Its table.
    pub table: TableKey,
    /// Its name.
    pub name: Name,
}

impl TableKey {
    /// The key of a chain of this table.
    pub fn chain(&self, name: Name) -> ChainKey {
        ChainKey {
            table: self.clone(),
            name,
        }
    }

    /// The key of a set or map of this table.
    pub fn set(&self, name: Name) -> SetKey {
        SetKey {
            table: self.clone(),
            name,
        }
    }
}

/// As `nft` writes it: `inet meshlite`.
impl fmt::Display for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

impl fmt::Display for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.name)
    }
}

impl fmt::Display for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.name)
    }
}
