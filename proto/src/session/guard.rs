//! A control plane that lost its memory, or that stands still, must not take anything down: its commit is held for a while.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{held::Regression, sources::StepBack};

/// How long a commit is held that takes away most of a set and comes from a replica that was not followed before, or that
/// was compiled from older objects than what is installed.
pub const GUARD: Duration = Duration::from_mins(2);

#[derive(Debug, Default)]
pub(super) struct Guard(Option<Hold>);

#[derive(Debug)]
struct Hold {
    until: Instant,
    epoch: String,
    why: Suspicion,
}

/// Why a proved commit may be wrong all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It takes away most of a set.
    Regression(Regression),
    /// It knows less than what is installed.
    StepBack(StepBack),
}

/// What becomes of a proved commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// In spite of the suspicion.
    Obey,
    Hold,
    /// From now on.
    StartToHold,
}

// === impl Guard ===

impl Guard {
    /// Looks at what is suspicious about the offer of this epoch. It is let through if nothing is, or after [`GUARD`] on a
    /// stream that is up. What takes away most of a set is believed if a second replica says the same; what is older is
    /// not, because two may stand still.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        suspicion: Option<Suspicion>,
        epoch: &str,
        is_connected: bool,
    ) -> Verdict {
        let Some(why) = suspicion else {
            if self.0.take().is_some() {
                tracing::info!("the control plane offers something better than what was held back");
            }
            return Verdict::Pass;
        };
        let Some(hold) = &mut self.0 else {
            let seconds = GUARD.as_secs();
            tracing::error!(%why, seconds, "holding a commit of the control plane back");
            self.0 = Some(Hold {
                until: now + GUARD,
                epoch: epoch.to_owned(),
                why,
            });
            return Verdict::StartToHold;
        };
        let is_confirmed = matches!(why, Suspicion::Regression(_)) && hold.epoch != epoch;
        if is_confirmed || (now >= hold.until && is_connected) {
            tracing::warn!(%why, is_confirmed, "obeying a commit that was held back");
            self.0 = None;
            return Verdict::Obey;
        }
        hold.why = why;
        Verdict::Hold
    }

    /// When the hold ends.
    pub(super) fn until(&self) -> Option<Instant> {
        self.0.as_ref().map(|hold| hold.until)
    }

    /// Why something is held, for people.
    pub(super) fn held_back(&self) -> Option<String> {
        let seconds = GUARD.as_secs();
        let hold = self.0.as_ref()?;
        Some(format!("{}: held for {seconds} s", hold.why))
    }
}

// === impl Suspicion ===

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regression(Regression { topic, removed, of }) => write!(
                f,
                "a new control plane takes away {removed} of {of} {topic} resources"
            ),
            Self::StepBack(StepBack {
                source,
                installed,
                offered,
            }) => write!(
                f,
                "a control plane knows {source} only up to version {offered}, and {installed} is installed"
            ),
        }
    }
}
