//! HTTP/2 as it is spoken to clients: by hyper, with what hyper leaves open.

use std::{convert::Infallible, pin::pin, rc::Rc, time::Duration};

use http::Request;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    select,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Incoming, ON_THE_WAY,
    calm::{Calm, Calmed},
    conduct::Conduct,
    io::ClientIo,
    turn::{self, StreamExecutor},
};
use crate::{
    forward::{self, Connection},
    http1::Rewound,
};

/// The largest head of a request.
const MAX_HEAD: u32 = 64 * 1024;
const MAX_STREAMS: u32 = 128;
const PING: Duration = Duration::from_secs(30);

/// What the connections of a worker have in common.
pub(super) fn builder(send_timeout: Duration) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(StreamExecutor { send_timeout });
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD)
        .max_concurrent_streams(MAX_STREAMS)
        .enable_connect_protocol()
        .keep_alive_interval(PING);
    builder
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    connection: Rc<Connection>,
    io: Rewound<ClientIo>,
    close: &CancellationToken,
) {
    let conduct = Conduct::new(Instant::now());
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let connection = Rc::clone(&connection);
        let under_way = conduct.begin();
        async move {
            let (mut parts, body) = request.into_parts();
            let body = Incoming::Http2(body);
            let reply = forward::serve(&connection, &mut parts, body).await;
            turn::answered(under_way.answered());
            Ok::<_, Infallible>(reply.map(turn::Turned).into_response())
        }
    });
    let calm = Calm::default();
    let shared = &connection.worker.shared;
    let io = TokioIo::new(Calmed::new(io, calm.clone()));
    let mut http = pin!(connection.worker.http2.serve_connection(io, service));
    // Closing comes first, so that a response that is ready at the same time is the last one.
    let ended = select! {
        biased;
        () = close.cancelled() => None,
        ended = http.as_mut() => Some(ended),
        () = conduct.wild() => {
            shared.metrics.connections_calmed.inc();
            debug!("HTTP/2 client takes back too many requests");
            calm.demand();
            drop(timeout(ON_THE_WAY, http.as_mut()).await);
            return;
        }
        () = conduct.idle(shared.config.header_timeout) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        http.as_mut().graceful_shutdown();
        let limit = shared.config.send_timeout;
        loop {
            match timeout(limit, http.as_mut()).await {
                Ok(ended) => break ended,
                // What is left was handed over for good, and the client's windows leave no room for it.
                Err(_) if conduct.is_quiet() && !calm.take_sent() => {
                    debug!("HTTP/2 client does not take the last of its responses");
                    return;
                }
                Err(_) => {}
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "client connection ended");
    }
}
