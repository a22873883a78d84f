//! Stands in an election: reads and writes the Lease, and tells who leads.

use std::{fmt, time::Duration};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    LEASE, Leadership, RETRY, Standing,
    election::Election,
    identity,
    record::{Record, resource},
    replica,
};

/// How long a request may take: half of the time in which a leader must have renewed.
const REQUEST: Duration = Duration::from_secs(5);
/// How far apart followers look at a Lease that has just ended.
const JITTER: Duration = Duration::from_millis(200);
/// How long releasing the Lease may hold up the end of the process.
const RELEASE: Duration = Duration::from_secs(2);

/// A process that wants to lead.
///
/// Rights it needs, in the Lease's namespace: `create` on `leases`, and `get` and `update` on the Lease of this name.
pub struct Candidate {
    api: Api<DynamicObject>,
    namespace: String,
    name: String,
    identity: String,
    election: Election,
    standing: watch::Sender<Standing>,
    is_reachable: bool,
}

/// Why the Lease was not read or written.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("no answer after {} s", REQUEST.as_secs())]
    NoAnswer(#[from] tokio::time::error::Elapsed),
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("lease", &(&self.namespace, &self.name))
            .field("election", &self.election)
            .finish_non_exhaustive()
    }
}

impl Candidate {
    /// A candidate for the Lease `namespace`/`name` with the name of its replica; `process` tells two processes of the
    /// same name apart.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        replica: &str,
        process: &str,
    ) -> (Self, Leadership) {
        let (standing, seen) = watch::channel(Standing::default());
        let candidate = Self {
            api: Api::namespaced_with(client, namespace, &resource()),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity(replica, process),
            election: Election::new(identity(replica, process)),
            standing,
            is_reachable: true,
        };
        (candidate, Leadership(seen))
    }

    /// Stands until `stop`, and then gives the Lease back if it is held. Whoever writes must have ended before.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let attempt = async {
                self.attempt().await;
                sleep(self.pause()).await;
            };
            tokio::select! {
                () = attempt => {}
                () = stop.cancelled() => break,
            }
        }
        self.release().await;
    }

    /// Followers look at different times, so that they do not all write when the Lease is free, and look when it ends, so that
    /// it has a new holder within its duration and [`RETRY`].
    fn pause(&self) -> Duration {
        if self.leads() {
            return RETRY;
        }
        let jittered = RETRY.mul_f64(0.5 + fastrand::f64() / 2.0);
        let now = Instant::now();
        match self.election.free_at().filter(|free_at| *free_at > now) {
            Some(free_at) => jittered.min(free_at - now + JITTER.mul_f64(fastrand::f64())),
            None => jittered,
        }
    }

    fn leads(&self) -> bool {
        let token = self.election.token(Instant::now(), Timestamp::now());
        token.is_some()
    }

    async fn attempt(&mut self) {
        let outcome = self.try_to_lead().await;
        match outcome {
            Ok(()) if !self.is_reachable => {
                self.is_reachable = true;
                info!("the Lease can be read and written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.election.failed();
                if self.is_reachable {
                    self.is_reachable = false;
                    warn!(%error, namespace = self.namespace, lease = self.name, "the Lease cannot be read or written");
                }
            }
        }
        self.tell();
    }

    async fn try_to_lead(&mut self) -> Result<(), Failed> {
        let claim = if let Some(renewal) = self.election.renewal(Timestamp::now()) {
            renewal
        } else {
            let found = timeout(REQUEST, self.api.get_opt(&self.name)).await??;
            let found = found.map(Record::read);
            let (now, wall) = (Instant::now(), Timestamp::now());
            match self.election.read(found, now, wall) {
                Some(claim) => claim,
                None => return Ok(()),
            }
        };
        let sent = (Instant::now(), Timestamp::now());
        match timeout(REQUEST, self.write(&claim)).await? {
            Ok(stored) => self
                .election
                .written(Record::read(stored), sent, Instant::now()),
            // Somebody was faster; who, the next look tells.
            Err(kube::Error::Api(status)) if status.code == 409 => self.election.failed(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn write(&self, record: &Record) -> kube::Result<DynamicObject> {
        let object = record.object(&self.namespace, &self.name);
        let params = PostParams::default();
        if record.version.is_empty() {
            self.api.create(&params, &object).await
        } else {
            self.api.replace(&self.name, &params, &object).await
        }
    }

    async fn release(mut self) {
        let released = self.election.release(Timestamp::now());
        self.tell();
        let Some(released) = released else {
            return;
        };
        match timeout(RELEASE, self.write(&released)).await {
            Ok(Ok(_)) => info!("leadership released"),
            Ok(Err(error)) => {
                warn!(%error, wait = ?LEASE, "leadership was not released; others wait for its end");
            }
            Err(_elapsed) => {
                warn!(wait = ?LEASE, "leadership was not released in time; others wait for its end");
            }
        }
    }

    fn tell(&self) {
        let token = self.election.token(Instant::now(), Timestamp::now());
        let standing = Standing {
            token,
            holder: self.election.holder().map(|holder| replica(holder).into()),
        };
        let before = self.standing.send_replace(standing.clone());
        let (led, leads) = (before.token.is_some(), token.is_some());
        if leads && !led {
            info!(identity = self.identity, "leadership acquired");
        } else if led && !leads {
            warn!(identity = self.identity, "leadership lost");
        }
        if standing.holder != before.holder
            && let Some(holder) = &standing.holder
        {
            info!(leader = %holder, "leader seen");
        }
    }
}

#[cfg(test)]
mod tests;
