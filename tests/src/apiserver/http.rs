//! One HTTP request at a time, over TLS to the API server or plainly to etcd.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{ApiServer, Error};

/// Longer than any request takes, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A request whose body, if it has one, is JSON of some media type.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) media_type: &'a str,
    pub(super) body: Option<&'a Value>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Request<'_> {
    /// Sends it to a port of the loopback, with TLS where there is a configuration for it.
    pub(super) async fn send(
        &self,
        port: u16,
        tls: Option<&Arc<ClientConfig>>,
    ) -> io::Result<Response> {
        let exchange = async {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let stream = TcpStream::connect(address).await?;
            match tls {
                None => self.exchange(stream).await,
                Some(config) => {
                    let name = ServerName::IpAddress(address.ip().into());
                    let connector = TlsConnector::from(Arc::clone(config));
                    self.exchange(connector.connect(name, stream).await?).await
                }
            }
        };
        timeout(LIMIT, exchange).await?
    }

    /// HTTP/1.0, so that the end of the stream is the end of the body.
    async fn exchange(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<Response> {
        let body = self.body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{} {} HTTP/1.0\r\nhost: localhost\r\naccept: application/json\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
            self.method,
            self.path,
            self.media_type,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        parse(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP"))
    }
}

impl Request<'_> {
    /// The JSON of an answer that is a success.
    pub(super) fn read(&self, answer: io::Result<Response>) -> Result<Value, Error> {
        let request = || format!("{} {}", self.method, self.path);
        let answer = answer.map_err(|error| Error::NoAnswer {
            request: request(),
            error,
        })?;
        match serde_json::from_str(&answer.body) {
            Ok(value) if (200..300).contains(&answer.status) => Ok(value),
            _ => Err(Error::Refused {
                request: request(),
                status: answer.status,
                body: answer.body,
            }),
        }
    }
}

impl ApiServer {
    /// An object or a list as the administrator gets it, by its path such as `/api/v1/namespaces/default/pods`.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.request("GET", path, None).await
    }

    /// A request of the administrator. A PATCH is a JSON merge patch.
    pub(super) async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let media_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request {
            method,
            path,
            media_type,
            body,
        };
        let answer = request
            .send(self.port(), Some(&self.credentials.client))
            .await;
        request.read(answer)
    }
}

fn parse(answer: &[u8]) -> Option<Response> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response {
        status,
        body: body.to_owned(),
    })
}
