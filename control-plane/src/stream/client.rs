//! The task of one client: what it sends, what it hears, and when it ends.

use std::{sync::Arc, time::Duration};

use meshlite_proto::{
    encode,
    session::{HEARTBEAT, SILENCE},
    v1::{self, discovery_response::Kind},
};
use meshlite_snapshot::Topic;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};

use super::{
    Discovery, Message,
    clients::Place,
    digest,
    session::{self, Due, Heard, Plan, Range, Session},
};
use crate::{
    clock,
    publish::{Encoded, View},
};

/// A client that takes no message for so long is gone.
const STALLED: Duration = Duration::from_mins(1);
/// How long a bulk transfer counts as one: a client that takes longer for it is no burden, and others wait.
const TURN: Duration = Duration::from_secs(2);
/// How long a client may take to be told that this server stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// One stream: the session, and how its client is reached.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) session: Session,
    pub(super) place: Place,
    pub(super) outbound: mpsc::Sender<Message>,
    pub(super) service: Discovery,
}

/// The client cannot be reached any longer.
#[derive(Debug)]
struct Gone;

// === impl Client ===

impl Client {
    /// Serves the client until it or this server goes, and says why it ended.
    pub(super) async fn run(
        mut self,
        mut inbound: Streaming<v1::DiscoveryRequest>,
    ) -> &'static str {
        let mut views = self.service.views.clone();
        let stop = self.service.stop.clone();
        self.tell();
        loop {
            // Marks the newest view as seen before it is looked at, so that none is missed.
            let Some(view) = views.borrow_and_update().clone() else {
                return "nothing is published";
            };
            if let Some(range) = self.session.wants(&view)
                && self.send_commit(range, &view).await.is_err()
            {
                return "client does not take what it is sent";
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // A client that has gone does not need to know.
                    drop(self.send(Kind::Drain(drain())).await);
                    return "this server stops";
                }
                message = inbound.message() => match message {
                    Ok(Some(request)) => if let Err(refused) = self.hear(request) {
                        info!(reason = refused.message(), "client refused");
                        drop(timeout(FAREWELL, self.outbound.send(Err(refused))).await);
                        return "client broke the protocol";
                    },
                    Ok(None) => return "client closed the stream",
                    Err(status) => {
                        debug!(%status, "stream broke");
                        return "stream broke";
                    }
                },
                changed = views.changed() => if changed.is_err() {
                    return "this server stops";
                },
                () = sleep_until(self.session.deadline()) => {
                    if let Err(reason) = self.on_deadline(&view).await {
                        return reason;
                    }
                }
            }
        }
    }

    async fn on_deadline(&mut self, view: &View) -> Result<(), &'static str> {
        match self.session.due(Instant::now()) {
            Some(Due::Heartbeat) => {
                let sent = self.send_heartbeat(view).await;
                sent.map_err(|Gone| "client does not take what it is sent")
            }
            Some(Due::Silence) => {
                let silent = Status::deadline_exceeded(format!(
                    "nothing was heard for {} s",
                    SILENCE.as_secs()
                ));
                drop(self.outbound.try_send(Err(silent)));
                Err("client was silent")
            }
            None => Ok(()),
        }
    }

    fn hear(&mut self, request: v1::DiscoveryRequest) -> Result<(), Status> {
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
        self.tell();
        Ok(())
    }

    async fn send_commit(&mut self, range: Range, view: &Arc<View>) -> Result<(), Gone> {
        let mut view = Arc::clone(view);
        let mut turn = None;
        if range == Range::Full {
            turn = Some(self.bulk_turn(&view).await?);
            // Waiting may have taken a while.
            if let Some(newest) = self.service.views.borrow().clone() {
                view = newest;
            }
        }
        let plan = self.session.begin(&view, range);
        let topics = &self.session.client.topics;
        let encoded = match range {
            Range::Full => self.service.commits.encoded(&view, topics, None),
            Range::Since(from) => self.service.commits.encoded(&view, topics, Some(from)),
            Range::Nothing => Encoded::default(),
        };
        debug!(
            generation = plan.generation,
            from = plan.from_generation,
            ?range,
            frames = encoded.frames,
            bytes = encoded.data.len(),
            "commit"
        );
        let begin = begin(&plan, &encoded, &view, topics);
        self.service.metrics.commit(begin.mode());
        self.send(Kind::Begin(begin)).await?;
        for data in encode::chunks(encoded.data, self.session.client.max_chunk) {
            self.send(Kind::Chunk(v1::ResourceChunk { data })).await?;
        }
        let end = end(&plan, &view, topics, self.service.sources.watermarks());
        self.send(Kind::End(end)).await?;
        drop(turn);
        self.tell();
        Ok(())
    }

    /// Waits for a place among the bulk transfers; the client hears a heartbeat meanwhile.
    async fn bulk_turn(&mut self, view: &View) -> Result<DropGuard, Gone> {
        let bulk = Arc::clone(&self.service.bulk);
        let stop = self.service.stop.clone();
        let mut waiting = std::pin::pin!(bulk.acquire_owned());
        let permit = loop {
            tokio::select! {
                permit = &mut waiting => break permit.map_err(|_closed| Gone)?,
                () = tokio::time::sleep(HEARTBEAT) => self.send_heartbeat(view).await?,
                () = stop.cancelled() => return Err(Gone),
                () = self.outbound.closed() => return Err(Gone),
            }
        };
        let done = CancellationToken::new();
        let over = done.clone();
        tokio::spawn(async move {
            // Whichever comes first.
            drop(timeout(TURN, over.cancelled_owned()).await);
            drop(permit);
        });
        Ok(done.drop_guard())
    }

    async fn send_heartbeat(&self, view: &View) -> Result<(), Gone> {
        let topics = self.session.client.topics.iter();
        self.send(Kind::Heartbeat(v1::Heartbeat {
            generation: view.generation(),
            digests: topics.map(|topic| digest(view, *topic)).collect(),
            sources: self.service.sources.watermarks(),
            ..v1::Heartbeat::default()
        }))
        .await
    }

    async fn send(&self, kind: Kind) -> Result<(), Gone> {
        let message = v1::DiscoveryResponse { kind: Some(kind) };
        tokio::select! {
            sent = timeout(STALLED, self.outbound.send(Ok(message))) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(Gone),
            },
            () = self.stopped() => Err(Gone),
        }
    }

    /// This server stops, and what a client did not take by now it will not get.
    async fn stopped(&self) {
        self.service.stop.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    }

    fn tell(&self) {
        self.place.update(self.session.describe(), clock::wall());
    }
}

fn begin(plan: &Plan, encoded: &Encoded, view: &View, topics: &[Topic]) -> v1::CommitBegin {
    let mode = match plan.range {
        Range::Full => v1::CommitMode::Full,
        Range::Since(_) | Range::Nothing => v1::CommitMode::Delta,
    };
    v1::CommitBegin {
        nonce: plan.nonce,
        epoch: view.epoch().to_owned(),
        from_generation: plan.from_generation,
        generation: plan.generation,
        mode: mode.into(),
        encoding: v1::Encoding::Identity.into(),
        frame_count: encoded.frames,
        bytes: encoded.data.len() as u64,
        replaced_buckets: Vec::new(),
        raw_bytes: encoded.data.len() as u64,
        topics: topics.iter().copied().map(encode::topic).collect(),
    }
}

fn end(plan: &Plan, view: &View, topics: &[Topic], sources: Vec<v1::Watermark>) -> v1::CommitEnd {
    let oldest_change = match plan.range {
        Range::Since(from) => view.stamp_after(from),
        Range::Full | Range::Nothing => None,
    };
    v1::CommitEnd {
        nonce: plan.nonce,
        generation: plan.generation,
        expected: topics.iter().map(|topic| digest(view, *topic)).collect(),
        sources,
        oldest_change: oldest_change.map(|stamp| stamp.changed.into()),
    }
}

/// Spreads the clients of this server over half a second when they connect again.
fn drain() -> v1::Drain {
    let wait = Duration::from_millis(fastrand::u64(0..500));
    v1::Drain {
        reconnect_after: wait.try_into().ok(),
        reason: "the control plane stops".into(),
    }
}
