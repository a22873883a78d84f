//! Takes connections in: TLS if the listener wants it, then HTTP until the client or the listener is done.

use std::{
    cell::Cell,
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::atomic::Ordering,
    time::Duration,
};

use futures_util::FutureExt as _;
use http::{Request, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    select,
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Worker,
    calm::{Calm, Calmed},
    conduct::{Conduct, Sending},
    proxy_protocol,
    stream::{ClientStream, Reset},
    tls::Handshake,
    turn,
};
use crate::{
    client::Client,
    forward::{self, Connection, Counted},
    metrics::Open,
    table::ListenerId,
};

/// How long accepting rests when the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);
/// How long a request that may be on its way is waited for when a listener closes.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// Accepts until `close`, and then what was waiting at that time, unless another process accepts it.
pub(super) fn start(
    worker: &Rc<Worker>,
    id: ListenerId,
    socket: Rc<TcpListener>,
    close: CancellationToken,
) {
    let worker_of_task = Rc::clone(worker);
    // Counted among the tasks, so that what waits in the queue is not forgotten at the end.
    drop(worker.tasks.spawn_local(async move {
        let worker = worker_of_task;
        loop {
            let accepted = select! {
                biased;
                () = close.cancelled() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => take_in(&worker, id, stream, peer, &close),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot accept");
                    sleep(REST).await;
                }
            }
        }
        let is_last = !worker.shared.is_relieved.load(Ordering::Relaxed);
        while is_last && let Some(Ok((stream, peer))) = socket.accept().now_or_never() {
            take_in(&worker, id, stream, peer, &close);
        }
    }));
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn take_in(
    worker: &Rc<Worker>,
    id: ListenerId,
    stream: TcpStream,
    peer: SocketAddr,
    close: &CancellationToken,
) {
    let task = accept(Rc::clone(worker), id, stream, peer, close.clone());
    drop(worker.tasks.spawn_local(task));
}

/// Serves one connection to its end.
async fn accept(
    worker: Rc<Worker>,
    id: ListenerId,
    mut stream: TcpStream,
    mut peer: SocketAddr,
    close: CancellationToken,
) {
    let open = Open::new(&worker.shared.metrics.connections);
    let Ok(mut local) = stream.local_addr() else {
        return;
    };
    let config = &worker.shared.config;
    if config.proxy_protocol {
        let told = timeout(config.handshake_timeout, proxy_protocol::read(&mut stream)).await;
        match told {
            Ok(Ok(Some(told))) => (peer, local) = (told.client, told.local),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                debug!(client = %peer, %error, "no PROXY header");
                return;
            }
            Err(_) => {
                debug!(client = %peer, "PROXY header took too long");
                return;
            }
        }
    }
    let handshake = {
        let table = worker.shared.table.load();
        let Some(listener) = table.listener(id) else {
            return;
        };
        Handshake::new(listener.tls.as_ref())
    };
    let mut client = Client::new(peer.ip(), handshake.is_some(), &config.trusted_proxies);
    let place = worker
        .shared
        .taken
        .connect(peer.ip(), config.max_client_connections);
    // Behind a proxy are many clients.
    if place.is_none() && !client.is_trusted() {
        worker.shared.metrics.connections_refused.inc();
        debug!(client = %peer, "too many connections of one client");
        return;
    }
    let counted = Rc::new(Counted {
        _open: open,
        _of_client: place,
    });
    let reset = Reset::default();
    let stream = ClientStream::new(stream, reset.clone(), config.send_timeout);
    let connect = |client| {
        Rc::new(Connection {
            worker: Rc::clone(&worker),
            listener: id,
            local,
            peer,
            client,
            reset,
            counted,
            in_use: Notify::new(),
            protocol: Cell::new(None),
            is_closing: Cell::new(false),
        })
    };
    let Some(handshake) = handshake else {
        return serve(connect(client), stream, close, false).await;
    };
    // Not within this future, where it would take room for as long as the connection lives.
    let shaken = Box::pin(handshake.run(&worker, id, stream));
    match timeout(config.handshake_timeout, shaken).await {
        Ok(Ok((stream, certificate))) => {
            client.certificate = certificate;
            let agreed_on_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(connect(client), stream, close, agreed_on_http2).await;
        }
        Ok(Err(error)) => debug!(client = %peer, %error, "TLS handshake failed"),
        Err(_) => debug!(client = %peer, "TLS handshake took too long"),
    }
}

async fn serve<S>(
    connection: Rc<Connection>,
    stream: S,
    close: CancellationToken,
    agreed_on_http2: bool,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let conduct = Conduct::new(Instant::now());
    let service = service_fn(|request: Request<Incoming>| {
        let connection = Rc::clone(&connection);
        let under_way = conduct.begin();
        // In memory that an idle connection does not have.
        Box::pin(async move {
            let response = forward::serve(&connection, request).await;
            let under_way = turn::answered(under_way.answered());
            Ok::<_, Infallible>(response.map(|body| Sending::new(body, under_way)))
        })
    });
    let calm = Calm::default();
    let worker = Rc::clone(&connection.worker);
    // In one expression: each name would have a place of its own.
    let mut http = pin!(worker.http.serve_connection_with_upgrades(
        TokioIo::new(Calmed::new(stream, calm.clone(), agreed_on_http2)),
        service
    ));
    let mut result = None;
    if !first_request(&connection, http.as_mut(), &close, &mut result).await {
        debug!("client connection without a request");
        return;
    }
    if result.is_none() {
        let speaks_http_2 = connection.protocol.get() == Some(Version::HTTP_2);
        let idle_limit = worker.shared.config.header_timeout;
        // Closing comes first, so that a response that is ready at the same time is the last one.
        result = select! {
            biased;
            () = close.cancelled() => None,
            result = http.as_mut() => Some(result),
            () = conduct.wild(), if speaks_http_2 => {
                worker.shared.metrics.connections_calmed.inc();
                debug!("HTTP/2 client takes back too many requests");
                calm.demand();
                drop(timeout(ON_THE_WAY, http.as_mut()).await);
                return;
            }
            () = conduct.idle(idle_limit) => {
                // Only HTTP/2 has a word for it; over HTTP/1 nobody is told that his next request comes too late.
                if !speaks_http_2 {
                    debug!("no request came in time");
                    return;
                }
                None
            }
        };
    }
    let speaks_http_1 =
        (connection.protocol.get()).is_some_and(|version| version < Version::HTTP_2);
    if result.is_none() && speaks_http_1 {
        // A request may be on its way on an idle connection too. HTTP/2 says by itself which one is the last.
        connection.is_closing.set(true);
        result = timeout(ON_THE_WAY, http.as_mut()).await.ok();
    }
    let result = if let Some(result) = result {
        result
    } else {
        http.as_mut().graceful_shutdown();
        let limit = worker.shared.config.send_timeout;
        loop {
            match timeout(limit, http.as_mut()).await {
                Ok(result) => break result,
                // What is left was handed over for good, and the client's windows leave no room for it.
                Err(_) if !speaks_http_1 && conduct.is_quiet() && !calm.take_sent() => {
                    debug!("HTTP/2 client does not take the last of its responses");
                    return;
                }
                Err(_) => {}
            }
        }
    };
    if let Err(error) = result {
        debug!(error = %error, "client connection ended");
    }
}

/// Drives a connection until its first request has come, or its end, which goes to `result`. False if that takes too long.
///
/// Hyper's own timer for request heads starts only once it knows which protocol the client speaks.
async fn first_request<R>(
    connection: &Connection,
    mut http: Pin<&mut impl Future<Output = R>>,
    close: &CancellationToken,
    result: &mut Option<R>,
) -> bool {
    let limit = connection.worker.shared.config.header_timeout;
    select! {
        biased;
        ended = http.as_mut() => *result = Some(ended),
        () = connection.in_use.notified() => {}
        () = sleep(limit) => return false,
        () = close.cancelled() => {
            // The request may be on its way, and closing now would lose it.
            select! {
                biased;
                ended = http.as_mut() => *result = Some(ended),
                () = connection.in_use.notified() => {}
                () = sleep(ON_THE_WAY.min(limit)) => {}
            }
        }
    }
    true
}
