//! What carries the traffic, and how `auto` chooses.

use std::{fmt, str::FromStr};

use crate::{
    Config,
    kernel::{ipvs, nftables},
    scheduler::Scheduler,
};

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
    /// It does not work on this host.
    #[error(
        "mode {mode} cannot be used here: {why}; `meshlite node init` sets up what can be, --mode auto takes what works"
    )]
    NotUsable {
        /// The mode.
        mode: Mode,
        /// What is missing.
        why: String,
    },
}

/// What carries the traffic, and why it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) backend: Backend,
    pub(crate) why: String,
    /// The schedulers that were found, where kernels differ in them.
    pub(crate) schedulers: Vec<Scheduler>,
}

/// The kernels that this version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Ipvs,
    Nftables,
    Userspace,
    Memory,
}

/// Tries a kernel without leaving anything behind: which schedulers it has, where kernels differ in them, or why it cannot
/// be used here.
type Probe = fn(&Config) -> Result<Vec<Scheduler>, String>;

/// A kernel that `auto` may take.
struct Candidate {
    mode: Mode,
    backend: Backend,
    probe: Probe,
}

/// What `auto` tries, best first.
const CANDIDATES: &[Candidate] = &[
    Candidate {
        mode: Mode::Ipvs,
        backend: Backend::Ipvs,
        probe: ipvs::usable,
    },
    Candidate {
        mode: Mode::Nftables,
        backend: Backend::Nftables,
        probe: |config| nftables::usable(config).map(|()| Vec::new()),
    },
    Candidate {
        mode: Mode::Userspace,
        backend: Backend::Userspace,
        probe: |_| Ok(Vec::new()),
    },
];

/// What carries the traffic with this configuration on this host.
pub(crate) fn choose(config: &Config) -> Result<Choice, ModeError> {
    choose_among(CANDIDATES, config)
}

fn choose_among(candidates: &[Candidate], config: &Config) -> Result<Choice, ModeError> {
    let choice = |backend, why: &str, schedulers| Choice {
        backend,
        why: why.to_owned(),
        schedulers,
    };
    let mode = config.mode;
    if config.dry_run {
        return Ok(choice(Backend::Memory, "dry run", Vec::new()));
    }
    match mode {
        Mode::Auto => Ok(best(candidates, config)),
        Mode::Memory => Ok(choice(Backend::Memory, "configured", Vec::new())),
        Mode::Ipvs | Mode::Nftables | Mode::Userspace => {
            let not_usable = |why| ModeError::NotUsable { mode, why };
            let candidate = candidates.iter().find(|candidate| candidate.mode == mode);
            let candidate =
                candidate.ok_or_else(|| not_usable("this version does not have it".to_owned()))?;
            let schedulers = (candidate.probe)(config).map_err(not_usable)?;
            Ok(choice(candidate.backend, "configured", schedulers))
        }
    }
}

/// The first that works, and why not those before it.
fn best(candidates: &[Candidate], config: &Config) -> Choice {
    let mut why_not = Vec::new();
    for candidate in candidates {
        match (candidate.probe)(config) {
            Ok(schedulers) => {
                let mut why = "auto: it works here".to_owned();
                if !why_not.is_empty() {
                    why = format!("{why}, unlike {}", why_not.join(" and "));
                }
                return Choice {
                    backend: candidate.backend,
                    why,
                    schedulers,
                };
            }
            Err(error) => why_not.push(format!("{} ({error})", candidate.mode)),
        }
    }
    Choice {
        backend: Backend::Userspace,
        why: format!("auto: nothing works here: {}", why_not.join(" and ")),
        schedulers: Vec::new(),
    }
}

// === impl Backend ===

impl Backend {
    /// The mode by whose name it is asked for.
    pub(crate) const fn mode(self) -> Mode {
        match self {
            Self::Ipvs => Mode::Ipvs,
            Self::Nftables => Mode::Nftables,
            Self::Userspace => Mode::Userspace,
            Self::Memory => Mode::Memory,
        }
    }
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

    const WORKS: Probe = |_| Ok(Vec::new());
    const FAILS: Probe = |_| Err("no module".to_owned());

    const fn candidate(mode: Mode, backend: Backend, probe: Probe) -> Candidate {
        Candidate {
            mode,
            backend,
            probe,
        }
    }

    fn configured(mode: Mode) -> Config {
        Config {
            mode,
            ..Config::default()
        }
    }

    #[test]
    fn auto_takes_the_best_that_works_and_says_why_not_the_others() {
        let candidates = |ipvs, nftables| {
            [
                candidate(Mode::Ipvs, Backend::Memory, ipvs),
                candidate(Mode::Nftables, Backend::Memory, nftables),
                candidate(Mode::Userspace, Backend::Userspace, WORKS),
            ]
        };
        let why = |ipvs, nftables| {
            let choice = choose_among(&candidates(ipvs, nftables), &configured(Mode::Auto));
            choice.unwrap().why
        };
        assert_eq!(why(WORKS, WORKS), "auto: it works here");
        assert_eq!(
            why(FAILS, WORKS),
            "auto: it works here, unlike ipvs (no module)"
        );
        assert_eq!(
            why(FAILS, FAILS),
            "auto: it works here, unlike ipvs (no module) and nftables (no module)"
        );
    }

    #[test]
    fn a_mode_that_does_not_work_is_refused_and_says_what_to_do() {
        let candidates = [candidate(Mode::Ipvs, Backend::Memory, FAILS)];
        let error = choose_among(&candidates, &configured(Mode::Ipvs)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "mode ipvs cannot be used here: no module; `meshlite node init` sets up what can be, --mode auto takes what works"
        );
    }

    #[test]
    fn userspace_works_everywhere() {
        let choice = choose(&configured(Mode::Userspace)).unwrap();
        assert_eq!(choice.backend, Backend::Userspace);
    }

    #[test]
    fn a_dry_run_programs_nothing_in_any_mode() {
        for mode in Mode::ALL {
            let config = Config {
                dry_run: true,
                ..configured(mode)
            };
            assert_eq!(choose(&config).unwrap().backend, Backend::Memory);
        }
    }
}
