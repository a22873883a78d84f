//! Pods of a rollout: they come, are ready, terminate, end in order, and are gone.

use std::{collections::VecDeque, convert::Infallible, net::SocketAddr};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::origin::{OriginBody, full};

/// Pods of a Service of which one is replaced at a time.
pub(super) struct Deployment {
    pub(super) service: &'static str,
    pods: VecDeque<Pod>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Terminating,
}

struct Pod {
    address: SocketAddr,
    state: State,
    /// Ends it as SIGTERM does: what is under way is finished.
    stop: CancellationToken,
    _ends: DropGuard,
}

impl Deployment {
    pub(super) async fn start(service: &'static str) -> Self {
        let mut pods = VecDeque::new();
        for _ in 0..3 {
            pods.push_back(Pod::start().await);
        }
        Self { service, pods }
    }

    /// What was terminating is gone; the oldest one terminates, and a new one is ready.
    pub(super) async fn roll(&mut self) {
        self.pods.retain(|pod| pod.state == State::Ready);
        if let Some(oldest) = self.pods.front_mut() {
            oldest.state = State::Terminating;
        }
        self.pods.push_back(Pod::start().await);
    }

    pub(super) fn stop_terminating(&self) {
        for pod in &self.pods {
            if pod.state == State::Terminating {
                pod.stop.cancel();
            }
        }
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = (SocketAddr, State)> {
        self.pods.iter().map(|pod| (pod.address, pod.state))
    }
}

impl Pod {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, stop.clone()));
        Self {
            address,
            state: State::Ready,
            _ends: stop.clone().drop_guard(),
            stop,
        }
    }
}

async fn serve(listener: TcpListener, stop: CancellationToken) {
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        tokio::spawn(connection(stream, stop.clone()));
    }
}

async fn connection(stream: TcpStream, stop: CancellationToken) {
    let server = auto::Builder::new(TokioExecutor::new());
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(request).await));
    let serving = server.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    select! {
        ended = serving.as_mut() => return drop(ended),
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    drop(serving.await);
}

/// Says back what it is told; gRPC message by message, and then its status.
async fn answer(request: Request<Incoming>) -> Response<OriginBody> {
    let is_grpc = request.headers().get(header::CONTENT_TYPE)
        == Some(&HeaderValue::from_static("application/grpc"));
    let body = request.into_body();
    if !is_grpc {
        return match body.collect().await {
            Ok(body) => Response::new(full(body.to_bytes())),
            Err(_) => Response::builder().status(400).body(full("")).unwrap(),
        };
    }
    let messages = futures_util::stream::unfold(Some(body), async |body| {
        let mut body = body?;
        match body.frame().await {
            Some(Ok(frame)) => Some((Ok::<_, Infallible>(frame), Some(body))),
            // The client goes away: that is no good end.
            Some(Err(_)) => None,
            None => {
                let status = (
                    header::HeaderName::from_static("grpc-status"),
                    "0".parse().unwrap(),
                );
                Some((Ok(Frame::trailers(HeaderMap::from_iter([status]))), None))
            }
        }
    });
    Response::new(BodyExt::boxed(StreamBody::new(Box::pin(messages))))
}
