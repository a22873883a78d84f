//! Origins behind the ingress, and clients before it.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, client::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

pub(super) type OriginBody = BoxBody<Bytes, Infallible>;
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that stops when it is dropped.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// The heads of requests, in the order that they came.
    seen: Arc<Mutex<Vec<Request<()>>>>,
    _tasks: JoinSet<()>,
}

impl Origin {
    /// Answers with its name, and with what it saw as `seen-…` headers.
    pub(super) async fn echo(name: &'static str) -> Self {
        Self::answering(move |request| async move {
            let (parts, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes);
            let mut response = Response::new(full(name));
            let headers = response.headers_mut();
            headers.insert("seen-path", parts.uri.to_string().parse().unwrap());
            headers.insert(
                "seen-version",
                format!("{:?}", parts.version).parse().unwrap(),
            );
            headers.insert("seen-body", body.unwrap_or_default().len().into());
            if let Some(host) = parts.headers.get("host") {
                headers.insert("seen-host", host.clone());
            }
            response
        })
        .await
    }

    /// Answers as `answer` does, over HTTP/1.1 or HTTP/2.
    pub(super) async fn answering<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<OriginBody>> + Send + 'static,
    {
        let seen: Arc<Mutex<Vec<Request<()>>>> = Arc::default();
        let record = Arc::clone(&seen);
        let mut origin = Self::raw(move |stream| {
            let (answer, record) = (answer.clone(), Arc::clone(&record));
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let mut head = Request::new(());
                    head.method_mut().clone_from(request.method());
                    head.uri_mut().clone_from(request.uri());
                    head.headers_mut().clone_from(request.headers());
                    *head.version_mut() = request.version();
                    record.lock().unwrap().push(head);
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                let serving = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
                drop(serving.await);
            }
        })
        .await;
        origin.seen = seen;
        origin
    }

    /// Does with each connection what `serve` does.
    pub(super) async fn raw<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                served.spawn(serve(stream));
            }
        });
        Self {
            address,
            connections,
            seen: Arc::default(),
            _tasks: tasks,
        }
    }

    /// Connections so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The headers of the last request.
    pub(super) fn last(&self) -> Request<()> {
        self.seen
            .lock()
            .unwrap()
            .last()
            .expect("a request came")
            .clone()
    }

    /// The heads of all requests.
    pub(super) fn all(&self) -> Vec<Request<()>> {
        self.seen.lock().unwrap().clone()
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub(super) fn full(body: impl Into<Bytes>) -> OriginBody {
    Full::new(body.into()).boxed()
}

/// A response that was read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) version: http::Version,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

/// A client's connection over HTTP/1.1.
#[derive(Debug)]
pub(super) struct Client(http1::SendRequest<OriginBody>);

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(super) async fn over<S>(stream: S) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self(sender)
    }

    pub(super) async fn send(
        &mut self,
        request: Request<OriginBody>,
    ) -> hyper::Result<Response<Incoming>> {
        self.0.ready().await?;
        let answered = timeout(PATIENCE, self.0.send_request(request)).await;
        answered.expect("an answer in time")
    }

    pub(super) async fn get(&mut self, host: &str, path: &str) -> Answer {
        let response = self.send(request("GET", host, path)).await.unwrap();
        Answer::read(response).await
    }
}

pub(super) fn request(method: &str, host: &str, path: &str) -> Request<OriginBody> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host);
    request.body(full("")).unwrap()
}

/// One GET on a connection of its own.
pub(super) async fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    Client::connect(address).await.get(host, path).await
}

/// Sends bytes and reads until the other side closes, or `until` has come.
pub(super) async fn exchange_bytes(address: SocketAddr, bytes: &[u8], until: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_until(&mut stream, until).await
}

pub(super) async fn read_until(stream: &mut TcpStream, until: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).await.unwrap_or(0);
            read.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&read);
            if count == 0 || (!until.is_empty() && text.contains(until)) {
                return;
            }
        }
    };
    let in_time = timeout(PATIENCE, reading).await.is_ok();
    let text = String::from_utf8_lossy(&read).into_owned();
    assert!(in_time, "neither {until:?} nor the end came; got {text:?}");
    text
}
