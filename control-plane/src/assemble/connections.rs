//! Serves connections that are ready: HTTP/2, each in a task of its own.

use std::{convert::Infallible, pin::Pin, time::Duration};

use hyper::{
    body::Incoming,
    server::conn::http2::{self, Builder},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, body::Body};
use tower::ServiceExt as _;
use tracing::debug;

use crate::{auth::Peer, tls::Connection};

/// HTTP/2 pings, so that a peer that is gone is noticed.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take until its answer begins.
const ANSWER: Duration = Duration::from_secs(30);
/// Calls at the same time on a connection. A data plane makes one, a person who looks a few.
const MAX_STREAMS: u32 = 128;
/// Headers of a call, in bytes: a token of 8 KiB, and what grpcurl adds.
const MAX_HEADERS: u32 = 16 * 1024;
/// What a client may send before it is read, in bytes.
const WINDOW: u32 = 64 * 1024;
/// What is taken of an answer before it is on the wire, in bytes: one chunk. The queue for it never shrinks, and after a
/// whole snapshot nearly all connections are idle.
const UNSENT: usize = 64 * 1024;

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

/// Answers the calls of one connection.
#[derive(Debug)]
struct Answering<S> {
    service: S,
    peer: Peer,
}

/// Serves what comes until `stop`; then lets the calls that there are come to their end, and returns when all connections
/// are closed.
pub(super) async fn serve<S>(
    mut ready: mpsc::Receiver<Connection>,
    service: S,
    stop: CancellationToken,
) where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let http = http();
    let open = TaskTracker::new();
    loop {
        let connection = tokio::select! {
            connection = ready.recv() => connection,
            () = stop.cancelled() => None,
        };
        let Some(connection) = connection else {
            break;
        };
        let answering = Answering {
            service: service.clone(),
            peer: connection.peer().clone(),
        };
        let connection = http.serve_connection(TokioIo::new(connection), answering);
        open.spawn(until_closed(connection, stop.clone()));
    }
    drop(ready);
    open.close();
    open.wait().await;
}

/// Streams are few and long, and clients send little: windows are small, so that no client can make us keep much.
fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(UNSENT);
    http
}

/// One connection to its end.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold the connection twice, and there are thousands"
)]
fn until_closed<S>(
    mut connection: http2::Connection<TokioIo<Connection>, Answering<S>, TokioExecutor>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    async move {
        let closed = tokio::select! {
            closed = &mut connection => Some(closed),
            () = stop.cancelled() => None,
        };
        let closed = if let Some(closed) = closed {
            closed
        } else {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        };
        if let Err(error) = closed {
            debug!(%error, "a connection broke");
        }
    }
}

impl<S> Service<http::Request<Incoming>> for Answering<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: http::Request<Incoming>) -> Answer {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        let answer = self.service.clone().oneshot(request);
        Box::pin(async move {
            timeout(ANSWER, answer).await.unwrap_or_else(|_elapsed| {
                let late =
                    Status::deadline_exceeded(format!("no answer within {} s", ANSWER.as_secs()));
                Ok(late.into_http())
            })
        })
    }
}
