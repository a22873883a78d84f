//! What carries the traffic, and how `auto` chooses.

use std::{fmt, str::FromStr};

/// What carries the traffic on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The best that works here.
    #[default]
    Auto,
    /// IPVS in the Linux kernel.
    Ipvs,
    /// nftables in the Linux kernel.
    Nftables,
    /// This process: no privileges needed.
    Userspace,
    /// Nothing: the table is kept in memory only.
    Memory,
}

/// A word that names no mode.
#[derive(Debug, thiserror::Error)]
#[error("unknown mode {0:?}; one of auto, ipvs, nftables, userspace, memory")]
pub struct InvalidMode(String);

/// Why a mode cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModeError {
    /// This version of Meshlite does not have it.
    #[error("mode {0} is not built into this version; use auto or userspace")]
    NotBuilt(Mode),
}

/// A mode that this version has, and why it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) backend: Backend,
    pub(crate) why: &'static str,
}

/// The kernels that this version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Userspace,
    Memory,
}

// === impl Mode ===

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 5] = [
        Self::Auto,
        Self::Ipvs,
        Self::Nftables,
        Self::Userspace,
        Self::Memory,
    ];

    /// The mode as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ipvs => "ipvs",
            Self::Nftables => "nftables",
            Self::Userspace => "userspace",
            Self::Memory => "memory",
        }
    }

    /// The mode, if this version has it.
    pub const fn built(self) -> Result<Self, ModeError> {
        match self {
            Self::Ipvs | Self::Nftables => Err(ModeError::NotBuilt(self)),
            Self::Auto | Self::Userspace | Self::Memory => Ok(self),
        }
    }

    /// The kernel to use, and why.
    pub(crate) fn choose(self, dry_run: bool) -> Result<Choice, ModeError> {
        let choice = |backend, why| Ok(Choice { backend, why });
        match self {
            Self::Ipvs | Self::Nftables => Err(ModeError::NotBuilt(self)),
            Self::Auto | Self::Userspace if dry_run => choice(Backend::Memory, "dry run"),
            Self::Auto => choice(
                Backend::Userspace,
                "auto: ipvs and nftables are not built into this version",
            ),
            Self::Userspace => choice(Backend::Userspace, "configured"),
            Self::Memory => choice(Backend::Memory, "configured"),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| InvalidMode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_as_it_is_written() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
        }
        assert!("iptables".parse::<Mode>().is_err());
    }

    #[test]
    fn auto_takes_userspace_and_says_why() {
        let choice = Mode::Auto.choose(false).unwrap();
        assert_eq!(choice.backend, Backend::Userspace);
        assert!(choice.why.contains("not built"), "{}", choice.why);
    }

    #[test]
    fn a_mode_that_is_not_built_in_is_named() {
        let error = Mode::Ipvs.choose(true).unwrap_err();
        assert!(
            error.to_string().starts_with("mode ipvs is not built"),
            "{error}"
        );
    }

    #[test]
    fn a_dry_run_programs_nothing_in_any_mode() {
        for mode in [Mode::Auto, Mode::Userspace, Mode::Memory] {
            assert_eq!(mode.choose(true).unwrap().backend, Backend::Memory);
        }
    }
}
