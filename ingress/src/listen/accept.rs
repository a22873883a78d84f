//! Takes connections in: TLS if the listener wants it, then HTTP until the client or the listener is done.

use std::{cell::RefCell, pin::pin, rc::Rc, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::{
    select,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Worker, http1, http2,
    io::ClientIo,
    proxy_protocol,
    sockets::{Accepted, Listening},
    stream::{ClientStream, Reset},
    tls::Handshake,
    watch::Socket,
};
use crate::{
    client::Client,
    forward::{Connection, Counted},
    http1::Rewound,
    metrics::Open,
    table::ListenerId,
};

/// How long accepting rests when the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);

/// Accepts until `close`, and then what was waiting at that time, unless another process accepts it.
pub(super) fn start(
    worker: &Rc<Worker>,
    id: ListenerId,
    socket: Rc<Listening>,
    close: CancellationToken,
) {
    let worker_of_task = Rc::clone(worker);
    // Counted among the tasks, so that what waits in the queue is not forgotten at the end.
    drop(worker.tasks.spawn_local(async move {
        let worker = worker_of_task;
        let close = Rc::new(close);
        let mut closing = pin!(close.cancelled());
        loop {
            let accepted = select! {
                biased;
                () = &mut closing => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok(accepted) => take_in(&worker, id, accepted, &close),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot accept");
                    sleep(REST).await;
                }
            }
        }
        let is_last = !worker.shared.is_relieved.load(Ordering::Relaxed);
        while is_last && let Some(Ok(accepted)) = socket.accept().now_or_never() {
            take_in(&worker, id, accepted, &close);
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

fn take_in(worker: &Rc<Worker>, id: ListenerId, accepted: Accepted, close: &Rc<CancellationToken>) {
    let task = accept(Rc::clone(worker), id, accepted, Rc::clone(close));
    // The runtime moves what it is given several times, and once more when that is done.
    drop(worker.tasks.spawn_local(Box::pin(task)));
}

/// Serves one connection to its end.
async fn accept(
    worker: Rc<Worker>,
    id: ListenerId,
    accepted: Accepted,
    close: Rc<CancellationToken>,
) {
    let open = Open::new(&worker.shared.metrics.connections);
    let Accepted {
        socket,
        mut peer,
        mut local,
    } = accepted;
    let mut socket = Socket::new(socket, &worker.promptness);
    let config = &worker.shared.config;
    if config.proxy_protocol {
        let Ok(stream) = socket.watched() else {
            return;
        };
        let told = timeout(config.handshake_timeout, proxy_protocol::read(stream)).await;
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
    let stream = ClientStream::new(socket, reset.clone(), config.send_timeout);
    let connect = |client| {
        Rc::new(Connection {
            worker: Rc::clone(&worker),
            listener: id,
            local,
            peer,
            client,
            reset,
            counted,
            interim: RefCell::default(),
        })
    };
    let Some(handshake) = handshake else {
        return serve(connect(client), ClientIo::Tcp(stream), close, false).await;
    };
    // Not within this future, where it would take room for as long as the connection lives.
    let shaken = Box::pin(handshake.run(&worker, id, stream));
    match timeout(config.handshake_timeout, shaken).await {
        Ok(Ok((stream, certificate))) => {
            client.certificate = certificate;
            let agreed_on_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = ClientIo::Tls(stream);
            serve(connect(client), io, close, agreed_on_http2).await;
        }
        Ok(Err(error)) => debug!(client = %peer, %error, "TLS handshake failed"),
        Err(_) => debug!(client = %peer, "TLS handshake took too long"),
    }
}

async fn serve(
    connection: Rc<Connection>,
    io: ClientIo,
    close: Rc<CancellationToken>,
    agreed_on_http2: bool,
) {
    let io = if agreed_on_http2 {
        Rewound::new(io, Bytes::new())
    } else {
        match http1::serve(&connection, io, &close).await {
            Some(io) => io,
            None => return,
        }
    };
    // Not within this future, where it would take room for as long as the connection lives.
    Box::pin(http2::serve(connection, io, &close)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what a function returns.
    fn size<A, B, C, D, E>(_: impl FnOnce(A, B, C, D) -> E) -> usize {
        size_of::<E>()
    }

    #[test]
    fn an_idle_connection_has_no_memory_for_requests() {
        let size = size(accept);
        assert!(size <= 1280, "{size} bytes");
    }
}
