//! UDP: one flow for each client, with a socket of its own that is connected to the flow's real server.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, trace};

use super::{
    backend::Lease,
    bind,
    place::Shared,
    pool::{Choice, Persistence},
};

/// Endpoints that one datagram is offered to.
const ATTEMPTS: usize = 3;

const MAX_DATAGRAM: usize = 65_536;

/// Wait after a failure to receive.
const RECEIVE_WAIT: Duration = Duration::from_millis(10);

#[expect(
    clippy::disallowed_types,
    reason = "looked up for every datagram; never iterated in an order that shows"
)]
type Flows = std::collections::HashMap<SocketAddr, Flow>;

/// A flow, as the loop that receives from clients sees it.
#[derive(Debug)]
struct Flow {
    number: u64,
    link: Arc<Link>,
    task: AbortHandle,
}

/// What both directions of a flow share.
#[derive(Debug)]
struct Link {
    upstream: UdpSocket,
    lease: Lease,
    started: Instant,
    /// Milliseconds from `started` to the last datagram either way.
    seen: AtomicU64,
}

/// The loop that receives from clients.
struct Loop {
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    flows: Flows,
    /// One task for each flow; it ends with the flow's client and number.
    tasks: JoinSet<(SocketAddr, u64)>,
    numbers: u64,
}

/// Receives datagrams until `stop`, which ends the flows too.
pub(super) async fn serve(socket: UdpSocket, shared: Arc<Shared>, stop: CancellationToken) {
    let mut serving = Loop {
        socket: Arc::new(socket),
        shared,
        flows: Flows::new(),
        tasks: JoinSet::new(),
        numbers: 0,
    };
    let mut buffer = Vec::with_capacity(MAX_DATAGRAM);
    let socket = Arc::clone(&serving.socket);
    loop {
        buffer.clear();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(ended) = serving.tasks.join_next() => {
                if let Ok((client, number)) = ended {
                    serving.forget(client, number);
                }
            }
            received = socket.recv_buf_from(&mut buffer) => match received {
                Ok((_, client)) => serving.forward(&buffer, client).await,
                Err(error) => {
                    debug!(%error, frontend = %serving.shared.frontend, "cannot receive datagrams");
                    sleep(RECEIVE_WAIT).await;
                }
            },
        }
    }
}

// === impl Loop ===

impl Loop {
    /// Sends a client's datagram on, to another real server where the flow's own is gone.
    async fn forward(&mut self, datagram: &[u8], client: SocketAddr) {
        let mut tried = Vec::new();
        while tried.len() < ATTEMPTS {
            let Some(link) = self.flow(client, &tried) else {
                self.shared.context.traffic.datagram_dropped();
                return;
            };
            match link.upstream.send(datagram).await {
                Ok(_) => {
                    link.touch();
                    return;
                }
                Err(error) => {
                    // The answer to an earlier datagram: nobody listens there. This one was not sent.
                    debug!(%error, endpoint = %link.lease.address(), "flow ends");
                    tried.push(link.lease.address());
                    self.end(client);
                }
            }
        }
        self.shared.context.traffic.datagram_dropped();
    }

    /// The client's flow; a new one where there is none or its real server is gone.
    fn flow(&mut self, client: SocketAddr, tried: &[SocketAddr]) -> Option<Arc<Link>> {
        if let Some(flow) = self.flows.get(&client) {
            if !flow.link.lease.is_gone() {
                return Some(Arc::clone(&flow.link));
            }
            self.end(client);
        }
        let choice = {
            let routes = self.shared.routes.load();
            routes.choose(client.ip(), tried, Instant::now())
        };
        match choice {
            Choice::Use(lease, persistence) => self.open(client, lease, persistence),
            Choice::Nobody => None,
            Choice::Forbidden => {
                self.shared.context.traffic.forbidden();
                None
            }
        }
    }

    fn open(
        &mut self,
        client: SocketAddr,
        lease: Lease,
        persistence: Option<Persistence>,
    ) -> Option<Arc<Link>> {
        if self.flows.len() >= self.shared.context.max_udp_flows {
            self.end_most_silent();
        }
        let upstream = match bind::udp_to(lease.address()) {
            Ok(upstream) => upstream,
            Err(error) => {
                // The next datagram finds room.
                self.shared.shortage.report(&error);
                self.end_most_silent();
                return None;
            }
        };
        let link = Arc::new(Link {
            upstream,
            lease,
            started: Instant::now(),
            seen: AtomicU64::new(0),
        });
        self.numbers += 1;
        let number = self.numbers;
        let task = self.tasks.spawn(answer(
            Arc::clone(&self.socket),
            Arc::clone(&link),
            client,
            persistence,
            (number, Arc::clone(&self.shared)),
        ));
        let flow = Flow {
            number,
            link: Arc::clone(&link),
            task,
        };
        self.flows.insert(client, flow);
        Some(link)
    }

    fn end(&mut self, client: SocketAddr) {
        if let Some(flow) = self.flows.remove(&client) {
            flow.task.abort();
        }
    }

    fn forget(&mut self, client: SocketAddr, number: u64) {
        if self.flows.get(&client).is_some_and(|f| f.number == number) {
            self.flows.remove(&client);
        }
    }

    fn end_most_silent(&mut self) {
        let most_silent = self.flows.iter().min_by_key(|(_, flow)| flow.link.seen());
        if let Some(client) = most_silent.map(|(client, _)| *client) {
            self.end(client);
        }
    }
}

// === impl Link ===

impl Link {
    fn touch(&self) {
        let since = self.started.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.seen.store(since, Ordering::Relaxed);
    }

    fn seen(&self) -> Instant {
        self.started + Duration::from_millis(self.seen.load(Ordering::Relaxed))
    }
}

/// Sends a real server's datagrams to the client, until the flow is idle or its real server is gone or refuses.
async fn answer(
    socket: Arc<UdpSocket>,
    link: Arc<Link>,
    client: SocketAddr,
    persistence: Option<Persistence>,
    (number, shared): (u64, Arc<Shared>),
) -> (SocketAddr, u64) {
    let _counted = shared.context.traffic.flow();
    let idle_timeout = shared.context.udp_idle_timeout;
    loop {
        let idle_at = link.seen() + idle_timeout;
        tokio::select! {
            () = link.lease.gone() => break,
            () = sleep_until(idle_at) => {
                if link.seen() + idle_timeout <= Instant::now() {
                    break;
                }
            }
            ready = link.upstream.readable() => {
                if ready.is_err() || relay(&socket, &link, client).await.is_err() {
                    break;
                }
            }
        }
    }
    if let Some(Persistence { affinity, .. }) = persistence {
        affinity.refresh(client.ip(), link.lease.address(), link.seen());
    }
    trace!(%client, endpoint = %link.lease.address(), "flow ended");
    (client, number)
}

/// Sends on what the real server has sent. The error is the real server's.
async fn relay(socket: &UdpSocket, link: &Link, client: SocketAddr) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(MAX_DATAGRAM);
    loop {
        buffer.clear();
        match link.upstream.try_recv_buf(&mut buffer) {
            Ok(_) => {
                link.touch();
                if let Err(error) = socket.send_to(&buffer, client).await {
                    trace!(%error, %client, "answer not sent");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => {
                debug!(%error, endpoint = %link.lease.address(), "flow ends");
                return Err(error);
            }
        }
    }
}
