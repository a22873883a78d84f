//! Which replica writes: leader election by a Lease, by the rules that client-go keeps.
//!
//! ```text
//! Lease as it is ─> election (pure) ─> what to write ─> Lease;  Leadership: a token with an end, for every writer to check
//! ```

mod election;
mod record;
mod shell;

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

pub use shell::Candidate;

/// How long the others wait after they last saw the record change.
const LEASE: Duration = Duration::from_secs(15);
/// How long after sending a renewal that succeeded a leader may write. The rest of [`LEASE`] is for clocks that differ in
/// rate: the promise holds while no clock runs more than a fifth faster or slower than it should.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often a leader renews and a follower looks.
const RETRY: Duration = Duration::from_secs(2);

/// The right to write, for a time that two clocks measure: it is over as soon as either says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    /// By the monotonic clock, which nobody sets.
    until: Instant,
    /// By the wall clock, which goes on while a machine is suspended: when the claim was sent, and until when it is good.
    wall: (Timestamp, Timestamp),
}

impl Token {
    /// Of a claim that was sent then, and was stored.
    fn sent(at: Instant, wall: Timestamp) -> Self {
        let end = wall.saturating_add(RENEW_DEADLINE).unwrap_or(wall);
        Self {
            until: at + RENEW_DEADLINE,
            wall: (wall, end),
        }
    }

    /// Whether it is still good. A wall clock that was set back tells nothing any more.
    fn is_valid(&self, now: Instant, wall: Timestamp) -> bool {
        let (from, until) = self.wall;
        now < self.until && from <= wall && wall < until
    }
}

/// Who leads, as a candidate last saw it. Clones share it.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<Standing>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Standing {
    token: Option<Token>,
    holder: Option<Arc<str>>,
}

impl Leadership {
    /// Of a process that stands in no election: it never leads, and knows no leader.
    pub fn none() -> Self {
        let (_, standing) = watch::channel(Standing::default());
        Self(standing)
    }

    /// Whether this process leads now.
    pub fn holds(&self) -> bool {
        self.token().is_some()
    }

    /// Waits for what is only done by the leader; none where this process does not lead when it is to begin, or no more
    /// when it is to go on. A process that was frozen on the way finds so first.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let token = self.token()?;
        tokio::select! {
            biased;
            () = sleep_until(token.until) => None,
            done = work => Some(done),
        }
    }

    fn token(&self) -> Option<Token> {
        let token = self.0.borrow().token;
        token.filter(|token| token.is_valid(Instant::now(), Timestamp::now()))
    }

    /// The name of the replica that leads, as far as it is known.
    pub fn holder(&self) -> Option<Arc<str>> {
        self.0.borrow().holder.clone()
    }
}

/// A candidate's identity: the replica's name, and what tells two processes of the same name apart.
fn identity(replica: &str, process: &str) -> String {
    format!("{replica}_{process}")
}

/// The replica's name in an identity: Kubernetes names hold no underscore.
fn replica(identity: &str) -> &str {
    identity
        .rsplit_once('_')
        .map_or(identity, |(replica, _)| replica)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_ends_by_the_clock_although_nobody_takes_it_back() {
        let token = Some(Token::sent(Instant::now(), Timestamp::now()));
        let (_standing, seen) = watch::channel(Standing {
            token,
            holder: None,
        });
        let leadership = Leadership(seen);
        assert!(leadership.holds());
        tokio::time::advance(RENEW_DEADLINE).await;
        assert!(!leadership.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn what_only_a_leader_does_is_not_begun_without_a_token_and_ends_with_it() {
        assert_eq!(Leadership::none().guard(async { 1 }).await, None);
        let token = Some(Token::sent(Instant::now(), Timestamp::now()));
        let (_standing, seen) = watch::channel(Standing {
            token,
            holder: None,
        });
        let leadership = Leadership(seen);
        assert_eq!(leadership.guard(async { 1 }).await, Some(1));
        // It is ready and its token has ended at the same moment: as after a freeze.
        let late = tokio::time::sleep(RENEW_DEADLINE);
        assert_eq!(leadership.guard(late).await, None);
    }

    #[test]
    fn a_token_ends_as_soon_as_either_clock_says_so() {
        let (at, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let token = Token::sent(at, wall);
        let little = Duration::from_millis(1);
        let is_valid = |later: Duration, wall_later: Duration| {
            token.is_valid(at + later, wall.saturating_add(wall_later).unwrap())
        };
        assert!(is_valid(little, little));
        // Suspended: the monotonic clock stood still.
        assert!(!is_valid(little, RENEW_DEADLINE));
        assert!(!is_valid(RENEW_DEADLINE, little));
        assert!(!token.is_valid(at + little, wall.saturating_sub(little).unwrap()));
    }

    #[test]
    fn an_identity_names_its_replica() {
        assert_eq!(
            replica(&identity("control-plane-x2", "00ff")),
            "control-plane-x2"
        );
        assert_eq!(replica("somebody"), "somebody");
        assert!(!Leadership::none().holds());
    }
}
