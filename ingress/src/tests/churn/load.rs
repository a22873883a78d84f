//! Clients that go on asking, and what each of them has been answered.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, client::conn::http2};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest as _};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        http2 as h2,
        origin::{Answer, Client, OriginBody, full, request},
        tls, upgrade,
    },
    PATHS, host,
};

/// Longer than anything takes, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Times that each client is answered before the next thing changes.
const AT_LEAST: usize = 3;

/// The clients.
pub(super) struct Load {
    answered: Vec<(&'static str, Arc<AtomicUsize>)>,
    clients: JoinSet<()>,
    stop: CancellationToken,
}

/// What one client needs to know.
#[derive(Clone)]
struct Task {
    answered: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Task {
    /// The number of the next exchange, until it is enough.
    fn next(&self) -> Option<usize> {
        (!self.stop.is_cancelled()).then(|| self.answered.load(Ordering::Relaxed))
    }

    fn done(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

impl Load {
    /// Starts one client of each kind.
    pub(super) fn start(http: SocketAddr, https: SocketAddr) -> Self {
        let mut load = Self {
            answered: Vec::new(),
            clients: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        load.client("kept connection", |task| kept(http, task));
        load.client("short connections", |task| short(http, task));
        load.client("short connections with TLS", |task| short_tls(https, task));
        load.client("HTTP/2 with TLS", |task| multiplexed(https, task));
        load.client("WebSocket", |task| websocket(http, task));
        load.client("gRPC stream", |task| stream(http, task));
        load.client("gRPC calls", |task| calls(http, task));
        load
    }

    fn client<F>(&mut self, name: &'static str, run: impl FnOnce(Task) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let answered = Arc::<AtomicUsize>::default();
        let task = Task {
            answered: Arc::clone(&answered),
            stop: self.stop.clone(),
        };
        self.answered.push((name, answered));
        self.clients.spawn(run(task));
    }

    /// Waits until every client was answered some more, and none of them failed.
    pub(super) async fn goes_on(&mut self) {
        let before = self.counts();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.counts();
            if now
                .iter()
                .zip(&before)
                .all(|(now, before)| now.1 >= before.1 + AT_LEAST)
            {
                return;
            }
            if let Some(ended) = self.clients.try_join_next() {
                panic!("a client ended: {ended:?} {now:?}");
            }
            assert!(
                Instant::now() < deadline,
                "{before:?}, a minute later {now:?}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends the clients; those with a stream end it in order.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.clients.join_all())
            .await
            .expect("every client ends");
    }

    fn counts(&self) -> Vec<(&'static str, usize)> {
        let counts = self.answered.iter();
        counts
            .map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// A host and a path that is always there.
fn target(number: usize) -> (String, String) {
    (host(number * 7), format!("/p{}", 3 + number % (PATHS - 3)))
}

async fn ask(client: &mut Client, number: usize) {
    let (host, path) = target(number);
    let says = if number.is_multiple_of(2) {
        ""
    } else {
        "something"
    };
    let method = if says.is_empty() { "GET" } else { "POST" };
    let mut request = request(method, &host, &path);
    *request.body_mut() = full(says);
    let answer = Answer::read(client.send(request).await.unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, says),
        "{answer:?}"
    );
}

async fn kept(http: SocketAddr, task: Task) {
    let mut client = Client::connect(http).await;
    while let Some(number) = task.next() {
        ask(&mut client, number).await;
        task.done();
    }
}

async fn short(http: SocketAddr, task: Task) {
    while let Some(number) = task.next() {
        ask(&mut Client::connect(http).await, number).await;
        task.done();
    }
}

async fn short_tls(https: SocketAddr, task: Task) {
    while let Some(number) = task.next() {
        let stream = tls::connect(https, &target(number).0, &[]).await;
        ask(&mut Client::over(stream).await, number).await;
        task.done();
    }
}

async fn multiplexed(https: SocketAddr, task: Task) {
    let stream = tls::connect(https, &host(1), &["h2"]).await;
    let mut client = h2::connect(stream).await;
    while let Some(number) = task.next() {
        let (host, path) = target(number);
        let request = Request::post(format!("https://{host}{path}"));
        let answer = send(&mut client, request.body(full("h2")).unwrap()).await;
        let answer = Answer::read(answer).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "h2"));
        task.done();
    }
}

async fn send(
    client: &mut http2::SendRequest<OriginBody>,
    request: Request<OriginBody>,
) -> Response<Incoming> {
    let answered = timeout(PATIENCE, client.send_request(request)).await;
    answered.expect("an answer in time").unwrap()
}

async fn websocket(http: SocketAddr, task: Task) {
    let stream = TcpStream::connect(http).await.unwrap();
    let request = format!("ws://{}/chat", host(2))
        .into_client_request()
        .unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    while let Some(number) = task.next() {
        upgrade::echo(&mut socket, &number.to_string()).await;
        task.done();
    }
    socket.close(None).await.unwrap();
}

/// One call with a message to and fro at a time, which ends with its status at the end of the test.
async fn stream(http: SocketAddr, task: Task) {
    let mut client = h2::connect(TcpStream::connect(http).await.unwrap()).await;
    let (messages, sent) = mpsc::channel::<Bytes>(1);
    let sent = tokio_stream::StreamExt::map(ReceiverStream::new(sent), |m| Ok(Frame::data(m)));
    let request = grpc(&host(3))
        .body(BodyExt::boxed(Body::new(Box::pin(sent))))
        .unwrap();
    messages.send("first".into()).await.unwrap();
    let mut response = send(&mut client, request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(next(&mut response).await.into_data().unwrap(), "first");
    while let Some(number) = task.next() {
        let message = Bytes::from(number.to_string());
        messages.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut response).await.into_data().unwrap(), message);
        task.done();
    }
    drop(messages);
    let trailers = next(&mut response).await.into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

type Body = StreamBody<
    std::pin::Pin<
        Box<
            dyn tokio_stream::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>>
                + Send
                + Sync,
        >,
    >,
>;

async fn next(response: &mut Response<Incoming>) -> Frame<Bytes> {
    let frame = timeout(PATIENCE, response.frame()).await;
    frame
        .expect("a frame in time")
        .expect("no end yet")
        .unwrap()
}

fn grpc(host: &str) -> http::request::Builder {
    Request::post(format!("http://{host}/rpc/Method"))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
}

async fn calls(http: SocketAddr, task: Task) {
    let mut client = h2::connect(TcpStream::connect(http).await.unwrap()).await;
    while let Some(number) = task.next() {
        let request = grpc(&host(number)).body(full("call")).unwrap();
        let response = send(&mut client, request).await;
        assert_eq!(response.status(), 200, "{response:?}");
        let answer = response.into_body().collect().await.unwrap();
        let trailers = answer.trailers().cloned().unwrap_or_default();
        assert_eq!(trailers.get("grpc-status").unwrap(), "0");
        assert_eq!(answer.to_bytes(), "call");
        task.done();
    }
}
