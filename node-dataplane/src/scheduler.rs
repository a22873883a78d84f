//! How IPVS chooses a real server.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// How a real server is chosen, by the names of IPVS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheduler {
    /// One after the other.
    #[default]
    Rr,
    /// One after the other, in proportion to their weights.
    Wrr,
    /// The one with the fewest connections.
    Lc,
    /// The one with the fewest connections for its weight.
    Wlc,
    /// By the client's address.
    Sh,
    /// By the destination address.
    Dh,
    /// The one that would answer soonest, by connections and weight.
    Sed,
    /// An idle one, else as [`Self::Sed`].
    Nq,
    /// By the client's address, so that most clients keep theirs when real servers come and go (Maglev).
    Mh,
    /// The one with the highest weight.
    Fo,
    /// The one with the highest weight, until it has as many connections as that; then the next.
    Ovf,
    /// By the destination address, unless the real server is overloaded.
    Lblc,
    /// As [`Self::Lblc`], among a set of real servers for each destination address.
    Lblcr,
}

/// A word that names no scheduler.
#[derive(Debug, thiserror::Error)]
#[error("IPVS has no scheduler {0:?}; one of {all}", all = Scheduler::ALL.map(Scheduler::as_str).join(", "))]
pub struct InvalidScheduler(String);

// === impl Scheduler ===

impl Scheduler {
    /// Every scheduler.
    pub const ALL: [Self; 13] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Sh,
        Self::Dh,
        Self::Sed,
        Self::Nq,
        Self::Mh,
        Self::Fo,
        Self::Ovf,
        Self::Lblc,
        Self::Lblcr,
    ];

    /// The scheduler as IPVS writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Sh => "sh",
            Self::Dh => "dh",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Mh => "mh",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
        }
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Scheduler {
    type Err = InvalidScheduler;

    fn from_str(text: &str) -> Result<Self, InvalidScheduler> {
        Self::ALL
            .into_iter()
            .find(|scheduler| scheduler.as_str() == text)
            .ok_or_else(|| InvalidScheduler(text.to_owned()))
    }
}

impl Serialize for Scheduler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
