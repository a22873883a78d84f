//! Streams commits to data planes: one task for each client, one commit at a time, one encoding for all.

mod client;
mod clients;
mod fetch;
mod hello;
mod session;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use meshlite_proto::{
    encode,
    v1::{self, snapshot_discovery_server::SnapshotDiscovery},
};
use meshlite_snapshot::Topic;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, info, info_span};

pub(crate) use self::{
    clients::Clients,
    fetch::{readable, select, topics},
};

use self::{client::Client, hello::Accepted, session::Session};
use crate::{
    clock,
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
/// Messages that wait in memory for a client.
const QUEUE: usize = 2;
/// How long a client may take to say Hello.
const HELLO: Duration = Duration::from_secs(10);

type Message = Result<v1::DiscoveryResponse, Status>;

/// The service `SnapshotDiscovery`. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    pub(crate) views: Views,
    pub(crate) sources: Sources,
    pub(crate) clients: Clients,
    pub(crate) metrics: Arc<Metrics>,
    /// Client tasks end with it: each says Drain first.
    pub(crate) stop: CancellationToken,
    /// Joins client tasks.
    pub(crate) tasks: TaskTracker,
    commits: Arc<Commits>,
    bulk: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

impl Discovery {
    pub(crate) fn new(
        views: Views,
        sources: Sources,
        clients: Clients,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            views,
            sources,
            clients,
            metrics,
            stop,
            tasks: TaskTracker::new(),
            commits: Arc::default(),
            bulk: Arc::new(Semaphore::new(BULK_TRANSFERS)),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// What is published, or why nothing is.
    pub(crate) fn view(&self) -> Result<Arc<View>, Status> {
        let view = self.views.borrow().clone();
        view.ok_or_else(|| {
            Status::unavailable("the manifests were not read and compiled yet; try again")
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

    async fn serve(
        self,
        mut inbound: Streaming<v1::DiscoveryRequest>,
        outbound: mpsc::Sender<Message>,
    ) {
        let accepted = tokio::select! {
            accepted = timeout(HELLO, first_message(&mut inbound)) => accepted,
            () = self.stop.cancelled() => return,
        };
        let accepted = match accepted {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(refused)) => {
                info!(reason = refused.message(), "client refused");
                // A client that has gone does not need to know.
                drop(outbound.send(Err(refused)).await);
                return;
            }
            Err(_elapsed) => return,
        };
        let identity = &accepted.identity;
        let span = info_span!(
            "client",
            id = identity.id,
            node = identity.node_name,
            role = accepted.role.as_str_name()
        );
        let client = Client {
            place: self.clients.enter(accepted.role, clock::wall()),
            session: Session::new(accepted, Instant::now()),
            outbound,
            service: self,
        };
        async {
            info!("client connected");
            let reason = client.run(inbound).await;
            info!(reason, "client disconnected");
        }
        .instrument(span)
        .await;
    }
}

#[tonic::async_trait]
impl SnapshotDiscovery for Discovery {
    type StreamSnapshotsStream = ReceiverStream<Message>;
    type FetchSnapshotStream = ReceiverStream<Result<v1::FetchSnapshotResponse, Status>>;

    async fn stream_snapshots(
        &self,
        request: Request<Streaming<v1::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSnapshotsStream>, Status> {
        self.view()?;
        let (outbound, messages) = mpsc::channel(QUEUE);
        self.tasks
            .spawn(self.clone().serve(request.into_inner(), outbound));
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn fetch_snapshot(
        &self,
        request: Request<v1::FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        let view = self.view()?;
        let messages = fetch::messages(&view, &request.into_inner(), self.sources.watermarks())?;
        Ok(Response::new(self.send_all(messages)?))
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
