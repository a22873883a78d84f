//! The task of one client: what it sends, what it hears, and when it ends.

use std::{mem, pin::Pin, sync::Arc, time::Duration};

use meshlite_proto::{
    session::SILENCE,
    v1::{self, discovery_request, discovery_response::Kind},
};
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit},
    time::{Instant, sleep_until},
};
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};

use super::{
    Discovery,
    clients::Place,
    digest,
    hello::Accepted,
    outbound::{Gone, Outbox},
    session::{self, Due, Heard, Next, Session},
};
use crate::{
    auth::Caller,
    balance::Reporter,
    clock,
    publish::{Range, TopicSet, View},
};

/// Fewer bytes than these are sent at once to everybody.
const BULK: u64 = 256 * 1024;
/// How fast clients should come back that are told to leave, over all of them.
const RETURNS_PER_SECOND: u64 = 1000;
/// The shortest time over which they are spread, in milliseconds.
const SPREAD: u64 = 500;
/// How long before a client's credentials expire its stream ends, at most: another time for each client.
const BEFORE_EXPIRY: Duration = Duration::from_mins(1);

const STALLED: &str = "client does not take what it is sent";
const STOPPED: &str = "this server stops";

/// One stream: the session, and how its client is reached.
#[derive(Debug)]
pub(super) struct Client {
    service: Arc<Discovery>,
    session: Session,
    outbox: Outbox,
    topics: TopicSet,
    max_chunk: usize,
    zstd: bool,
    /// When the stream has to end.
    expires: Option<Instant>,
    place: Waiting,
    reporter: Reporter,
}

/// A place among the bulk transfers.
#[derive(Debug)]
enum Waiting {
    /// None is needed.
    No,
    /// Others come first.
    For(Acquiring),
    Has(OwnedSemaphorePermit),
}

/// Boxed: few clients wait, and every one would be larger.
struct Acquiring(Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>);

// === impl Client ===

impl Client {
    pub(super) fn new(
        service: Arc<Discovery>,
        caller: &Caller,
        accepted: &Accepted,
        session: Session,
        outbox: Outbox,
    ) -> Self {
        let Accepted {
            topics,
            max_chunk,
            zstd,
            ..
        } = *accepted;
        Self {
            reporter: service.reports.reporter(accepted.role, &accepted.identity),
            service,
            session,
            outbox,
            topics,
            max_chunk,
            zstd,
            expires: expiry(caller),
            place: Waiting::No,
        }
    }

    /// Serves the client until it or this server goes, and says why it ended.
    pub(super) async fn run(
        &mut self,
        place: &Place,
        inbound: &mut Streaming<v1::DiscoveryRequest>,
    ) -> &'static str {
        let mut views = self.service.views.clone();
        let stop = self.service.stop.clone();
        loop {
            // Marks the newest view as seen before it is looked at, so that none is missed.
            let Some(view) = views.borrow_and_update().clone() else {
                return "nothing is published";
            };
            let sent = self.send_next(&view).await;
            // Whoever waits keeps nothing that is published no longer.
            drop(view);
            if let Err(reason) = sent {
                return reason;
            }
            place.update(self.session.standing(), None);
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.drain("the control plane stops");
                    return STOPPED;
                }
                message = inbound.message() => match message {
                    Ok(Some(request)) => if let Err(refused) = self.hear(request) {
                        info!(reason = refused.message(), "client refused");
                        self.outbox.refuse(refused);
                        return "client broke the protocol";
                    } else {
                        place.update(self.session.standing(), Some(clock::wall()));
                    },
                    Ok(None) => return "client closed the stream",
                    Err(status) => {
                        debug!(%status, "stream broke");
                        return "stream broke";
                    }
                },
                // What comes meanwhile goes into the next commit, and that waits for the acknowledgement.
                changed = views.changed(), if !self.session.is_in_flight() => if changed.is_err() {
                    return STOPPED;
                },
                permit = self.place.granted() => match permit {
                    Ok(permit) => self.place = Waiting::Has(permit),
                    Err(_closed) => return STOPPED,
                },
                () = self.outbox.closed() => return "client closed the stream",
                () = sleep_until(deadline) => if let Err(reason) = self.on_deadline() {
                    return reason;
                },
            }
        }
    }

    /// When there is something to do, if nothing happens before.
    fn deadline(&self) -> Instant {
        [self.outbox.deadline(), self.expires]
            .into_iter()
            .flatten()
            .fold(self.session.deadline(), Instant::min)
    }

    fn on_deadline(&mut self) -> Result<(), &'static str> {
        let now = Instant::now();
        if self.expires.is_some_and(|at| now >= at) {
            self.drain("the credentials of this stream expire");
            return Err("its credentials expire");
        }
        self.outbox.check(now).map_err(|Gone| STALLED)?;
        match self.session.due(now) {
            Some(Due::Heartbeat) => match self.service.view() {
                Ok(view) => self.beat(&view),
                Err(_nothing_published) => Ok(()),
            },
            Some(Due::Silence) => {
                self.outbox.refuse(Status::deadline_exceeded(format!(
                    "nothing was heard for {} s",
                    SILENCE.as_secs()
                )));
                Err("client was silent")
            }
            None => Ok(()),
        }
    }

    fn hear(&mut self, mut request: v1::DiscoveryRequest) -> Result<(), Status> {
        if let Some(discovery_request::Kind::Heartbeat(beat)) = &mut request.kind {
            self.reporter.report(mem::take(&mut beat.loads));
        }
        let heard = self.session.hear(request, Instant::now())?;
        let metrics = &self.service.metrics;
        match heard {
            Heard::Alive => {}
            Heard::Mismatch => {
                metrics.digest_mismatch();
                warn!("client holds something else than it was sent; it is sent everything");
            }
            Heard::Reported {
                convergence,
                rejections,
            } => {
                if let Some(took) = convergence {
                    metrics.converged(took);
                }
                for rejection in &rejections {
                    let kind = session::rejected_kind(rejection);
                    if let Some(kind) = kind {
                        metrics.nack(kind);
                    }
                    warn!(
                        r#type = kind.map(tracing::field::display),
                        name = rejection.name,
                        reason = rejection.reason().as_str_name(),
                        detail = rejection.message,
                        "client rejected a resource"
                    );
                }
            }
        }
        Ok(())
    }

    /// Sends what the client is to have now, unless it has to wait for that.
    async fn send_next(&mut self, view: &Arc<View>) -> Result<(), &'static str> {
        let range = match self.session.next(view, Instant::now()) {
            None => return Ok(()),
            Some(Next::Compare) => {
                self.session.asked(Instant::now());
                let asked = self
                    .outbox
                    .message(Kind::DigestsWanted(v1::DigestsWanted {}));
                return asked.map_err(|Gone| STALLED);
            }
            Some(Next::Commit(range)) => range,
        };
        if view.bulk(self.topics, &range) >= BULK && !self.place.is_granted() {
            self.place.ask(&self.service);
            return Ok(());
        }
        self.send_commit(range, view).await
    }

    async fn send_commit(&mut self, range: Range, view: &Arc<View>) -> Result<(), &'static str> {
        let commits = &self.service.commits;
        let made = commits.get(view, self.topics, range, self.zstd).await;
        let commit = made.map_err(|_panicked| STOPPED)?;
        let opening = self.session.begin(&commit);
        debug!(
            generation = commit.generation,
            from = opening.from_generation,
            mode = commit.mode().as_str_name(),
            frames = commit.frames,
            bytes = commit.data.len(),
            "commit"
        );
        self.service
            .metrics
            .commit(commit.mode(), commit.data.len());
        // What was taken before is not counted against this.
        self.outbox.check(Instant::now()).map_err(|Gone| STALLED)?;
        let place = mem::replace(&mut self.place, Waiting::No).into_permit();
        let sent = self.outbox.commit(commit, opening, self.max_chunk, place);
        sent.map_err(|Gone| STALLED)
    }

    /// Says that this side is there, to a client that has taken everything else.
    fn beat(&mut self, view: &View) -> Result<(), &'static str> {
        let standing = self.session.standing();
        let behind = match standing.position() {
            Some(position) if view.has_changes(self.topics, position) => {
                view.generation() - position
            }
            Some(_) => 0,
            None => view.generation(),
        };
        self.service.metrics.lag(behind);
        if self.outbox.is_waiting() {
            return Ok(());
        }
        let beat = v1::Heartbeat {
            generation: view.generation(),
            digests: self
                .topics
                .iter()
                .map(|topic| digest(view, topic))
                .collect(),
            sources: self.service.sources.tell(view.sources()),
            ..v1::Heartbeat::default()
        };
        let sent = self.outbox.message(Kind::Heartbeat(beat));
        sent.map_err(|Gone| STALLED)
    }

    /// Tells the client to connect again, to any replica, at a time of its own.
    fn drain(&mut self, reason: &str) {
        let all = self.service.clients.len() as u64;
        let spread = SPREAD.max(1000 * all / RETURNS_PER_SECOND);
        let wait = Duration::from_millis(fastrand::u64(0..spread));
        let drain = v1::Drain {
            reconnect_after: wait.try_into().ok(),
            reason: reason.to_owned(),
        };
        // A client that has gone does not need to know.
        drop(self.outbox.message(Kind::Drain(drain)));
    }
}

// === impl Waiting ===

impl Waiting {
    fn ask(&mut self, service: &Discovery) {
        if matches!(self, Self::No) {
            let acquired = Arc::clone(&service.bulk).acquire_owned();
            *self = Self::For(Acquiring(Box::pin(acquired)));
        }
    }

    fn is_granted(&self) -> bool {
        matches!(self, Self::Has(_))
    }

    fn into_permit(self) -> Option<OwnedSemaphorePermit> {
        match self {
            Self::Has(permit) => Some(permit),
            Self::No | Self::For(_) => None,
        }
    }

    /// Never ends where nothing is waited for.
    async fn granted(&mut self) -> Result<OwnedSemaphorePermit, AcquireError> {
        match self {
            Self::For(Acquiring(acquiring)) => acquiring.as_mut().await,
            Self::No | Self::Has(_) => std::future::pending().await,
        }
    }
}

impl std::fmt::Debug for Acquiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acquiring")
    }
}

/// When the stream of this caller has to end: before its credentials do, and not all at the same time.
fn expiry(caller: &Caller) -> Option<Instant> {
    let left = caller.expires?.duration_since(clock::wall());
    // None where they have expired since they were checked.
    let left = left.unwrap_or_default();
    let margin = BEFORE_EXPIRY
        .min(left / 5)
        .mul_f64(0.5 + 0.5 * fastrand::f64());
    Instant::now().checked_add(left.saturating_sub(margin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_ends_before_its_credentials_do_and_each_at_another_time() {
        let expires = |left: u64| Caller {
            expires: Some(clock::wall() + Duration::from_secs(left)),
            ..Caller::anyone()
        };
        let left = |caller: &Caller| expiry(caller).unwrap() - Instant::now();
        for (seconds, earliest) in [(3600, 3540), (100, 80)] {
            let ends: Vec<_> = (0..20).map(|_| left(&expires(seconds))).collect();
            let bounds = Duration::from_secs(earliest - 1)..Duration::from_secs(seconds - 5);
            assert!(ends.iter().all(|end| bounds.contains(end)), "{ends:?}");
            assert!(ends.iter().any(|end| end.as_secs() != ends[0].as_secs()));
        }
        assert_eq!(expiry(&Caller::anyone()), None);
        assert!(left(&expires(0)) < Duration::from_secs(1));
    }
}
