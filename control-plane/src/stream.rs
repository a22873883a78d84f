//! Streams commits to data planes: one task for each client, one commit at a time, one encoding for all.

mod admission;
mod client;
mod clients;
mod fetch;
pub mod fuzzing;
mod hello;
mod outbound;
mod service;
mod session;
mod wire;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use meshlite_proto::{encode, session::HEARTBEAT, v1};
use meshlite_snapshot::Topic;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Status, Streaming};
use tracing::{Instrument, info, info_span};

pub(crate) use self::{
    clients::Clients,
    fetch::{readable, select, topics},
};

use self::{
    admission::{Admission, Refused},
    client::Client,
    fetch::PrivateKeys,
    hello::Accepted,
    outbound::{Outbound, Outbox},
    session::Session,
};
use crate::{
    auth::Caller,
    balance::Reports,
    metrics::Metrics,
    publish::{Commits, View, Views},
    watch::Sources,
};

/// How many clients may be sent everything at the same time. A thousand clients at once cost half the memory with this
/// limit, and a third more time.
const BULK_TRANSFERS: usize = 64;
/// How many people and tools may be sent resources to read at the same time.
const READERS: usize = 32;
/// How long such a reader may take for the next message: a person may look at it in a pager.
const READING: Duration = Duration::from_mins(10);
/// Messages that wait in memory for such a reader.
const QUEUE: usize = 2;
/// How long a client may take to say Hello.
const HELLO: Duration = Duration::from_secs(10);

/// The service `SnapshotDiscovery`. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    pub(crate) views: Views,
    pub(crate) sources: Sources,
    pub(crate) clients: Clients,
    /// What nodes report.
    pub(crate) reports: Reports,
    pub(crate) metrics: Arc<Metrics>,
    /// Client tasks end with it: each says Drain first.
    pub(crate) stop: CancellationToken,
    /// Joins client tasks.
    pub(crate) tasks: TaskTracker,
    commits: Arc<Commits>,
    bulk: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    admission: Admission,
}

impl Discovery {
    pub(crate) fn new(
        views: Views,
        sources: Sources,
        clients: Clients,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        let commits = Arc::new(Commits::new(Arc::clone(&metrics)));
        Self {
            views,
            sources,
            clients,
            reports: Reports::new(Arc::clone(&metrics)),
            metrics,
            stop,
            tasks: TaskTracker::new(),
            commits,
            bulk: Arc::new(Semaphore::new(BULK_TRANSFERS)),
            readers: Arc::new(Semaphore::new(READERS)),
            admission: Admission::default(),
        }
    }

    /// What is published, or why nothing is.
    pub(crate) fn view(&self) -> Result<Arc<View>, Status> {
        let view = self.views.borrow().clone();
        view.ok_or_else(|| {
            Status::unavailable("what there is was not read and compiled yet; try again")
        })
    }

    /// Sends these messages as fast as the reader takes them. It ends with an error where it ends early.
    pub(crate) fn send_all<T: Send + 'static>(
        &self,
        messages: impl Iterator<Item = T> + Send + 'static,
    ) -> Result<ReceiverStream<Result<T, Status>>, Status> {
        let busy = || {
            Status::resource_exhausted(format!(
                "{READERS} snapshots are being read at this time; try again"
            ))
        };
        let place = Arc::clone(&self.readers).try_acquire_owned();
        let place = place.map_err(|_closed_or_none| busy())?;
        let (outbound, stream) = mpsc::channel(QUEUE + 1);
        // Room for the error, also where the reader takes nothing.
        let room = outbound.clone().try_reserve_owned();
        let last = room.map_err(|_full_or_closed| busy())?;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _place = place;
            for message in messages {
                let early = tokio::select! {
                    sent = timeout(READING, outbound.send(Ok(message))) => match sent {
                        Ok(Ok(())) => continue,
                        Ok(Err(_gone)) => return,
                        Err(_elapsed) => Status::deadline_exceeded("nothing was read for 10 min"),
                    },
                    () = stop.cancelled() => Status::unavailable("this server stops"),
                };
                last.send(Err(early));
                return;
            }
        });
        Ok(ReceiverStream::new(stream))
    }

    /// Opens a stream; what its client may have is seen when it says Hello.
    fn open(
        self: Arc<Self>,
        request: Request<Streaming<v1::DiscoveryRequest>>,
    ) -> Result<Outbound, Status> {
        self.view()?;
        let caller = Caller::of(&request)?;
        let now = Instant::now();
        self.admission
            .arrive(now)
            .map_err(|refused| self.refuse(refused))?;
        let (outbox, outbound) = outbound::channel(now);
        let tasks = self.tasks.clone();
        tasks.spawn(self.serve(caller, request.into_inner(), outbox));
        Ok(outbound)
    }

    fn fetch(
        &self,
        request: &Request<v1::FetchSnapshotRequest>,
    ) -> Result<ReceiverStream<Result<v1::FetchSnapshotResponse, Status>>, Status> {
        let caller = Caller::of(request)?;
        if !caller.rights.read && !caller.rights.ingress {
            return Err(self.refuse(Refused::denied(
                "role",
                format!("{} may not fetch snapshots", caller.name),
            )));
        }
        // Where nobody says who they are, a dump still shows no keys.
        let keys = if caller.rights.ingress && caller != Caller::anyone() {
            PrivateKeys::Shown
        } else {
            PrivateKeys::Hidden
        };
        let view = self.view()?;
        let sources = self.sources.tell(view.sources());
        self.send_all(fetch::messages(&view, request.get_ref(), sources, keys)?)
    }

    async fn serve(
        self: Arc<Self>,
        caller: Caller,
        mut inbound: Streaming<v1::DiscoveryRequest>,
        mut outbox: Outbox,
    ) {
        let accepted = tokio::select! {
            accepted = timeout(HELLO, first_message(&mut inbound)) => accepted,
            () = self.stop.cancelled() => return,
        };
        let admitted = match accepted {
            Ok(accepted) => accepted.and_then(|accepted| self.admit(&caller, accepted)),
            Err(_elapsed) => return,
        };
        let (accepted, admitted) = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => {
                info!(reason = refused.message(), caller = %caller.name, "client refused");
                outbox.refuse(refused);
                return;
            }
        };
        let identity = &accepted.identity;
        let span = info_span!(
            "client",
            id = identity.id,
            node = identity.node_name,
            role = accepted.role.as_str_name()
        );
        let early = Duration::from_millis(fastrand::u64(0..1000 * HEARTBEAT.as_secs()));
        let session = Session::new(&accepted, Instant::now(), early);
        let place = self.clients.enter(&accepted, session.standing());
        let mut client = Client::new(self, &caller, &accepted, session, outbox);
        drop((caller, accepted));
        async {
            info!("client connected");
            let reason = client.run(&place, &mut inbound).await;
            info!(reason, "client disconnected");
        }
        .instrument(span)
        .await;
        drop(admitted);
    }

    fn admit(
        &self,
        caller: &Caller,
        accepted: Accepted,
    ) -> Result<(Accepted, admission::Admitted), Status> {
        let admitted = admission::authorise(caller, &accepted)
            .and_then(|()| self.admission.enter(caller, &accepted))
            .map_err(|refused| self.refuse(refused))?;
        Ok((accepted, admitted))
    }

    fn refuse(&self, refused: Refused) -> Status {
        self.metrics.refused(refused.reason);
        refused.status
    }
}

async fn first_message(inbound: &mut Streaming<v1::DiscoveryRequest>) -> Result<Accepted, Status> {
    let first = inbound.message().await?;
    match first.and_then(|request| request.kind) {
        Some(v1::discovery_request::Kind::Hello(hello)) => Accepted::new(hello),
        Some(_) | None => Err(Status::invalid_argument(
            "Hello is the first message of a stream",
        )),
    }
}

/// The digest of a topic as it is published.
pub(crate) fn digest(view: &View, topic: Topic) -> v1::TopicDigest {
    let state = view.state(topic);
    encode::topic_digest(topic, state.digest, state.count)
}
