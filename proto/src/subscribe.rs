//! Follows the control plane's snapshots: connects, reconnects for ever, and hands over one proved commit after another.

mod backoff;
mod follow;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::SystemTime};

use meshlite_snapshot::{Name, Snapshot, Topic};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    cache::Cache,
    connect::Security,
    session::{Delivery, Installed, Rejected},
    v1,
};

pub use crate::session::{Change, RejectReason, Rejection, SessionStatus, TopicDigest};

/// Whom to follow, as whom, and what of it.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Replicas of the control plane, such as `https://10.0.0.1:18000`; any of them will do.
    pub endpoints: Vec<String>,
    /// Who this client is. An empty `id` is filled in with a random one.
    pub identity: v1::ClientIdentity,
    /// What it is authorised as.
    pub role: v1::Role,
    /// What it wants; one scope for each type.
    pub topics: Vec<Topic>,
    /// How the connections are protected.
    pub security: Security,
    /// Where the last good snapshot is kept for the next start, if anywhere.
    pub cache: Option<Cache>,
}

/// The most endpoints whose load is reported.
const MOST_LOADS: usize = 4096;

/// A running subscription. Dropping it, or its stop token, ends it.
#[derive(Debug)]
pub struct Subscription {
    commits: mpsc::Receiver<Commit>,
    status: watch::Receiver<SessionStatus>,
    retry: Arc<Notify>,
    loads: watch::Sender<Arc<[v1::EndpointLoad]>>,
}

/// A whole, proved state of the mesh, to be installed and then acknowledged.
///
/// Dropped without [`Commit::acknowledge`] it counts as not installed, and the state is asked for again.
#[derive(Debug)]
pub struct Commit {
    delivery: Box<Delivery>,
    rejected: Vec<Rejected>,
    installed: oneshot::Sender<Installed>,
}

/// Starts to follow the control plane until `stop`. Needs a tokio runtime.
pub fn subscribe(config: ClientConfig, stop: CancellationToken) -> Subscription {
    let (commits, received) = mpsc::channel(1);
    let (status, reported) = watch::channel(SessionStatus::default());
    let retry = Arc::new(Notify::new());
    let (loads, reported_loads) = watch::channel(Arc::default());
    let retried = Arc::clone(&retry);
    let follower = follow::Follower::new(config, commits, status, retried, reported_loads);
    tokio::spawn(
        follower
            .run(stop)
            .instrument(tracing::info_span!("subscription")),
    );
    Subscription {
        commits: received,
        status: reported,
        retry,
        loads,
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

    /// Asks for another commit with the resources that were rejected as [`RejectReason::NotProgrammed`], because they
    /// may be programmed now. Nothing comes if there are none.
    pub fn retry(&self) {
        self.retry.notify_one();
    }

    /// What endpoints carry for this client from now on. The control plane is told with each heartbeat, of the busiest
    /// 4,096; nothing where nothing is listed.
    pub fn report(&self, mut loads: Vec<v1::EndpointLoad>) {
        if loads.len() > MOST_LOADS {
            loads.sort_by_key(|load| std::cmp::Reverse(load.active_connections));
            loads.truncate(MOST_LOADS);
        }
        self.loads.send_replace(loads.into());
    }

    /// Where the subscription stands, now and as it changes.
    pub fn status(&self) -> watch::Receiver<SessionStatus> {
        self.status.clone()
    }
}

// === impl Commit ===

impl Commit {
    fn new(delivery: Box<Delivery>, installed: oneshot::Sender<Installed>) -> Self {
        Self {
            delivery,
            rejected: Vec::new(),
            installed,
        }
    }

    /// The generation of this state in the control plane's log.
    pub fn generation(&self) -> u64 {
        self.delivery.generation
    }

    /// It comes from disk, and no control plane has confirmed it yet.
    pub fn provisional(&self) -> bool {
        self.delivery.provisional
    }

    /// The whole state after this commit. Cheap to clone.
    pub fn snapshot(&self) -> &Snapshot {
        &self.delivery.snapshot
    }

    /// What differs from the last commit that was acknowledged; everything, on the first.
    pub fn changes(&self) -> &[Change] {
        &self.delivery.changes
    }

    /// When the oldest change in this commit happened at its source; none where the control plane does not say, as on
    /// the first commit.
    pub fn oldest_change(&self) -> Option<SystemTime> {
        self.delivery.oldest_change
    }

    /// Refuses one resource: its last good version, or nothing, goes back into [`Commit::snapshot`], and the control
    /// plane is told why. It is offered again when it changes, or on [`Subscription::retry`].
    pub fn reject(&mut self, topic: Topic, name: &Name, reason: RejectReason, message: String) {
        match self.delivery.before.get(topic.kind, name) {
            Some(last_good) => self.delivery.snapshot.insert(name.clone(), last_good),
            None => self.delivery.snapshot.remove(topic.kind, name),
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
            snapshot: self.delivery.snapshot,
            rejected: self.rejected,
        };
        // Nobody waits for it once the subscription has ended.
        drop(self.installed.send(installed));
    }
}
