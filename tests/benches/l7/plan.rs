//! How long to measure, what, and until when at the latest.

use std::time::Duration;

use anyhow::{bail, ensure};
use tokio::time::Instant;

use crate::{cases, churn, lookup};

/// What else is measured, besides the cases that all proxies get.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Routes,
    Idle,
    Syscalls,
    Churn,
    Lookup,
}

impl Part {
    pub(crate) const ALL: [Self; 5] = [
        Self::Routes,
        Self::Idle,
        Self::Syscalls,
        Self::Churn,
        Self::Lookup,
    ];

    /// As `--only` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Idle => "idle",
            Self::Syscalls => "syscalls",
            Self::Churn => "churn",
            Self::Lookup => "lookup",
        }
    }

    /// What is null where it cannot be measured at all.
    pub(crate) fn figures(self) -> &'static [&'static str] {
        match self {
            Self::Routes => &["routes_10k_vs_1_cpu"],
            Self::Idle => &["idle_kb_meshlite"],
            Self::Syscalls => &["syscalls_per_request"],
            Self::Churn => &churn::FIGURES,
            Self::Lookup => &lookup::FIGURES,
        }
    }
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Not for quotation: fewer, shorter rounds, without the peers that take minutes to build.
    pub(crate) is_quick: bool,
    /// Of these parts only; all of them if there is none.
    only: Vec<String>,
    began: Instant,
}

impl Plan {
    /// Reads `[--quick] [--only CASE...]`.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let known: Vec<&str> = cases::names().chain(Part::ALL.map(Part::name)).collect();
        let usage = format!(
            "usage: l7 [--quick] [--only CASE...]; cases: {}",
            known.join(" ")
        );
        let (mut is_quick, mut is_chosen) = (false, false);
        let mut only = Vec::new();
        for argument in arguments {
            match argument.as_str() {
                "--quick" if !is_chosen => is_quick = true,
                "--only" if !is_chosen => is_chosen = true,
                name if is_chosen && known.contains(&name) => only.push(argument),
                _ => bail!("{argument}: {usage}"),
            }
        }
        if is_chosen && only.is_empty() {
            bail!("{usage}");
        }
        Ok(Self {
            is_quick,
            only,
            began: Instant::now(),
        })
    }

    pub(crate) fn rounds(&self) -> usize {
        if self.is_quick { 3 } else { 5 }
    }

    /// Of load in one round, for each proxy.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(if self.is_quick { 1 } else { 3 })
    }

    /// What has not begun by then is left out.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_mins(if self.is_quick { 15 } else { 75 })
    }

    /// Whether this part is asked for.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    /// Whether there is time for one more part.
    pub(crate) fn in_time(&self) -> anyhow::Result<()> {
        let limit = self.limit();
        ensure!(
            self.began.elapsed() < limit,
            "the {} minutes of this run were over",
            limit.as_secs() / 60
        );
        Ok(())
    }
}
