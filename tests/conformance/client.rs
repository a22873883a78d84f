//! The suite's client: one connection for each request, and what came back.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::mesh::PATIENCE;

pub(crate) const USER_AGENT: &str = "Go-http-client/1.1";

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) proto: String,
    pub(crate) status: u16,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    /// What the Pod says about the request; of the named Service.
    #[track_caller]
    pub(crate) fn seen_by(&self, service: &str) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        let seen: Value = serde_json::from_str(&self.body).expect("it is JSON");
        assert_eq!(seen["service"], service, "{self:?}");
        seen
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Some(Self {
            proto: first.next()?.to_owned(),
            status: first.next()?.parse().ok()?,
            headers: headers.collect(),
            body: body.to_owned(),
        })
    }
}

/// A request without TLS.
pub(crate) async fn http(to: SocketAddr, method: &str, host: &str, path: &str) -> Answer {
    let stream = TcpStream::connect(to).await.expect("it accepts");
    ask(stream, method, host, path).await
}

/// A GET over TLS, to a server that must prove with this certificate that it is `host`.
pub(crate) async fn https(
    to: SocketAddr,
    trusted: CertificateDer<'static>,
    host: &'static str,
    path: &str,
) -> Answer {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("it is a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(to).await.expect("it accepts");
    let name = ServerName::try_from(host).expect("it is a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = stream.await.expect("the certificate is good");
    ask(stream, "GET", host, path).await
}

async fn ask<S>(mut stream: S, method: &str, host: &str, path: &str) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n"
    );
    let mut answer = String::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    };
    let exchanged = timeout(PATIENCE, exchange).await.expect("it ends in time");
    exchanged.expect("the connection is not cut");
    Answer::parse(&answer).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}
