//! A control plane that lost its memory must not take everything down: what would go is held for a while.

use std::time::Duration;

use tokio::time::Instant;

use super::held::Regression;

/// How long a commit that takes away most of a set is held, if it comes from a replica that was not followed before.
pub const GUARD: Duration = Duration::from_mins(2);

#[derive(Debug, Default)]
pub(super) struct Guard(Option<Hold>);

#[derive(Debug)]
struct Hold {
    until: Instant,
    epoch: String,
}

/// What becomes of a proved commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Hold,
    /// From now on; with the reason, for people.
    StartToHold(String),
}

// === impl Guard ===

impl Guard {
    /// Looks at what the offer of this epoch would take away. It is let through if it takes away little, if a second
    /// replica says the same, or after [`GUARD`] on a stream that is up.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        regression: Option<Regression>,
        epoch: &str,
        is_connected: bool,
    ) -> Verdict {
        let Some(Regression { topic, removed, of }) = regression else {
            self.0 = None;
            return Verdict::Pass;
        };
        match &self.0 {
            Some(hold) if hold.epoch != epoch => {
                tracing::warn!(%topic, removed, of, "another control plane takes it away too, obeying");
                self.0 = None;
                Verdict::Pass
            }
            Some(hold) if now < hold.until || !is_connected => Verdict::Hold,
            Some(_) => {
                tracing::warn!(%topic, removed, of, "obeying a commit that takes away most of a set");
                self.0 = None;
                Verdict::Pass
            }
            None => {
                let seconds = GUARD.as_secs();
                tracing::error!(
                    %topic, removed, of, seconds,
                    "a new control plane takes away most of a set, holding its commit"
                );
                self.0 = Some(Hold {
                    until: now + GUARD,
                    epoch: epoch.to_owned(),
                });
                Verdict::StartToHold(format!(
                    "a new control plane takes away {removed} of {of} {topic} resources: held for {seconds} s"
                ))
            }
        }
    }

    /// When the hold ends.
    pub(super) fn until(&self) -> Option<Instant> {
        self.0.as_ref().map(|hold| hold.until)
    }
}
