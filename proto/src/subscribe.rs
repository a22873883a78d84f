//! Follows the control plane's snapshots: connects, reconnects for ever, and hands over one proved commit after another.

use meshlite_snapshot::{Name, Snapshot, Topic};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::v1;

pub use crate::session::{Change, RejectReason, Rejection, SessionStatus, TopicDigest};

/// Whom to follow, as whom, and what of it.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Replicas of the control plane, such as `http://127.0.0.1:18000`; any of them will do.
    pub endpoints: Vec<String>,
    /// Who this client is.
    pub identity: v1::ClientIdentity,
    /// What it is authorised as.
    pub role: v1::Role,
    /// What it wants; one scope for each type.
    pub topics: Vec<Topic>,
}

/// A running subscription. Dropping it, or its stop token, ends it.
#[derive(Debug)]
pub struct Subscription {
    commits: mpsc::Receiver<Commit>,
    status: watch::Receiver<SessionStatus>,
}

/// A whole, proved state of the mesh, to be installed and then acknowledged.
///
/// Dropped without [`Commit::acknowledge`] it counts as not installed, and the state is asked for again.
#[derive(Debug)]
pub struct Commit {
    generation: u64,
    before: Snapshot,
    snapshot: Snapshot,
    changes: Vec<Change>,
    rejected: Vec<Rejected>,
    installed: oneshot::Sender<Installed>,
}

#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) snapshot: Snapshot,
    pub(crate) rejected: Vec<Rejected>,
}

#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) topic: Topic,
    pub(crate) name: Name,
    pub(crate) reason: RejectReason,
    pub(crate) message: String,
}

/// Starts to follow the control plane until `stop`.
pub fn subscribe(config: ClientConfig, stop: CancellationToken) -> Subscription {
    let (commits, received) = mpsc::channel(1);
    let (status, reported) = watch::channel(SessionStatus::default());
    tokio::spawn(async move {
        let _held = (config, commits, status);
        stop.cancelled().await;
    });
    Subscription {
        commits: received,
        status: reported,
    }
}

// === impl Subscription ===

impl Subscription {
    /// The next commit; none once the subscription has ended. Cancel-safe.
    ///
    /// There is at most one commit at a time: the next one comes after this one was acknowledged or dropped.
    pub async fn next(&mut self) -> Option<Commit> {
        self.commits.recv().await
    }

    /// Where the subscription stands, now and as it changes.
    pub fn status(&self) -> watch::Receiver<SessionStatus> {
        self.status.clone()
    }
}

// === impl Commit ===

impl Commit {
    /// The generation of this state in the control plane's log.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The whole state after this commit. Cheap to clone.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What differs from the last commit that was acknowledged; everything, on the first.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Refuses one resource: its last good version, or nothing, goes back into [`Commit::snapshot`], and the control
    /// plane is told why. It is offered again when it changes.
    pub fn reject(&mut self, topic: Topic, name: &Name, reason: RejectReason, message: String) {
        match self.before.get(topic.kind, name) {
            Some(last_good) => self.snapshot.insert(name.clone(), last_good),
            None => self.snapshot.remove(topic.kind, name),
        }
        self.rejected.push(Rejected {
            topic,
            name: name.clone(),
            reason,
            message,
        });
    }

    /// Says that [`Commit::snapshot`] is installed.
    pub fn acknowledge(self) {
        let installed = Installed {
            snapshot: self.snapshot,
            rejected: self.rejected,
        };
        // Nobody waits for it once the subscription has ended.
        drop(self.installed.send(installed));
    }
}
