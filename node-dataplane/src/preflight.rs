//! What on this host stands in the way of a node data plane, and what to do about it.
//!
//! ```text
//! kernel, /proc, modes tried as `auto` does ─> Facts ─┐
//!                             Config, node ports ─────┴─> findings ─> Report: ready, or not
//! ```
//!
//! Facts are collected once; what they mean is decided without looking at the host again. What is tried leaves nothing
//! behind but modules that the kernel loaded for it.

mod facts;
mod machine;
mod others;
mod ports;
#[cfg(test)]
mod tests;

use std::{fmt, ops::RangeInclusive};

use serde::Serialize;

use self::facts::Facts;
use crate::Config;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It is as it should be, or is made so at start.
    Ok,
    /// A node can serve, but somebody's traffic may not go where it should.
    Warning,
    /// A node cannot start, or nobody can know whether it could.
    Failure,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was looked at: `kernel`, `port 10249/TCP`.
    pub check: String,
    /// What is there.
    pub found: String,
    /// What to do about it; none where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// Whether a node data plane can serve on this host.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether nothing prevents it.
    pub ready: bool,
    /// What would carry the traffic; none where the mode that was asked for does not work.
    pub mode: Option<String>,
    /// Everything that was looked at, in a fixed order.
    pub findings: Vec<Finding>,
}

/// Looks at the network namespace of this thread, as a node with this configuration would find it. `node_ports` are those
/// that Services may have. Blocks.
pub fn preflight(config: &Config, node_ports: &RangeInclusive<u16>) -> Report {
    let facts = Facts::collect(config, node_ports);
    judge(&facts, config, node_ports)
}

fn judge(facts: &Facts, config: &Config, node_ports: &RangeInclusive<u16>) -> Report {
    let mut findings = machine::findings(facts, config);
    findings.extend(others::findings(facts, config));
    findings.extend(ports::findings(facts, config, node_ports));
    let mode = facts.choice.as_ref().ok();
    Report {
        ready: findings.iter().all(|it| it.level < Level::Failure),
        mode: mode.map(|choice| choice.backend.mode().to_string()),
        findings,
    }
}

// === impl Level ===

impl Level {
    /// The level as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Finding ===

impl Finding {
    fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            check: check.into(),
            found: found.into(),
            todo: None,
        }
    }

    fn warning(
        check: impl Into<String>,
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Warning,
            todo: Some(todo.into()),
            ..Self::ok(check, found)
        }
    }

    fn failure(
        check: impl Into<String>,
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Failure,
            ..Self::warning(check, found, todo)
        }
    }

    /// Of what this process could not look at.
    fn unread(check: impl Into<String>, error: &str) -> Self {
        let todo =
            "run this as root on the host itself, or in a privileged Pod on the host's network";
        Self::warning(check, format!("it cannot be read: {error}"), todo)
    }
}
