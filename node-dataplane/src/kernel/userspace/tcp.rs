//! TCP: accept, choose, connect, copy both ways.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, trace};

use super::{
    backend::Lease,
    bind,
    place::Shared,
    pool::{Choice, Persistence},
    splice::splice,
};

/// How long each attempt to connect may take. An endpoint that is there answers within the first; a later attempt
/// waits for a lost SYN to be sent again.
const ATTEMPTS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
];

/// Waits after a failure to accept: the first, and the longest.
const ACCEPT_WAIT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A connection to a real server.
struct Upstream {
    stream: TcpStream,
    lease: Lease,
    persistence: Option<Persistence>,
}

/// Accepts connections until `stop`, and gives back what listens. Connections that are under way go on.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> TcpListener {
    loop {
        let (client, peer, socket) = tokio::select! {
            biased;
            () = stop.cancelled() => return listener,
            accepted = accept(&listener, &shared) => accepted,
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let stop = shared.context.stop.clone();
            tokio::select! {
                () = connection(client, peer, socket, &shared) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// The next client, and a socket for its endpoint. While there are no sockets left, clients wait in the backlog.
async fn accept(listener: &TcpListener, shared: &Shared) -> (TcpStream, SocketAddr, TcpSocket) {
    let mut wait = ACCEPT_WAIT.0;
    let mut waiting = None;
    loop {
        let ready = match waiting.take() {
            Some(client) => Ok(client),
            None => listener.accept().await,
        };
        let error = match ready {
            Ok((client, peer)) => match bind::tcp_to(peer.ip()) {
                Ok(socket) => return (client, peer, socket),
                Err(error) => {
                    waiting = Some((client, peer));
                    error
                }
            },
            Err(error) if is_about_one_connection(&error) => continue,
            Err(error) => error,
        };
        shared.shortage.report(&error);
        shared.context.traffic.accept_failed();
        sleep(wait).await;
        wait = (wait * 2).min(ACCEPT_WAIT.1);
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn connection(client: TcpStream, peer: SocketAddr, socket: TcpSocket, shared: &Shared) {
    let traffic = &shared.context.traffic;
    let Some(upstream) = connect(peer, socket, shared).await else {
        bind::reset_on_drop(&client);
        return;
    };
    if let Err(error) = bind::tune(&client) {
        trace!(%error, "client went away at once");
        return;
    }
    let _counted = traffic.connection();
    let ended = tokio::select! {
        ended = splice(&client, &upstream.stream) => ended,
        () = upstream.lease.gone() => Err(io::Error::other("the endpoint was removed")),
    };
    if let Err(error) = &ended {
        // What one side sees, the other should see too: an abort, not an end.
        debug!(%error, %peer, endpoint = %upstream.lease.address(), "connection aborted");
        bind::reset_on_drop(&client);
        bind::reset_on_drop(&upstream.stream);
    }
    if let Some(Persistence { affinity, .. }) = upstream.persistence {
        affinity.refresh(peer.ip(), upstream.lease.address(), Instant::now());
    }
}

/// Connects to a real server; to another one where that fails. None: the client is to be reset.
async fn connect(peer: SocketAddr, socket: TcpSocket, shared: &Shared) -> Option<Upstream> {
    let mut first_socket = Some(socket);
    let mut refused = Vec::new();
    let mut slow = Vec::new();
    for limit in ATTEMPTS {
        let tried: Vec<_> = refused.iter().chain(&slow).copied().collect();
        let mut choice = choose(peer, shared, &tried);
        if matches!(choice, Choice::Nobody) && !slow.is_empty() {
            // A slow one gets another chance where there is no other.
            slow.clear();
            choice = choose(peer, shared, &refused);
        }
        let (lease, persistence) = match choice {
            Choice::Use(lease, persistence) => (lease, persistence),
            Choice::Nobody => break,
            Choice::Forbidden => {
                shared.context.traffic.forbidden();
                return None;
            }
        };
        let endpoint = lease.address();
        let socket = first_socket
            .take_if(|_| endpoint.is_ipv4() == peer.is_ipv4())
            .map_or_else(|| bind::tcp_to(endpoint.ip()), Ok);
        let attempt = timeout(limit, async { socket?.connect(endpoint).await }).await;
        match attempt {
            Ok(Ok(stream)) if bind::tune(&stream).is_ok() => {
                return Some(Upstream {
                    stream,
                    lease,
                    persistence,
                });
            }
            Ok(result) => {
                debug!(error = ?result.err(), %endpoint, frontend = %shared.frontend, "connect failed");
                refused.push(endpoint);
            }
            Err(_) => {
                debug!(?limit, %endpoint, frontend = %shared.frontend, "connect timed out");
                slow.push(endpoint);
            }
        }
        shared.context.traffic.connect_failed();
    }
    shared.context.traffic.unanswered();
    None
}

fn choose(peer: SocketAddr, shared: &Shared, tried: &[SocketAddr]) -> Choice {
    let routes = shared.routes.load();
    routes.choose(peer.ip(), tried, Instant::now())
}
