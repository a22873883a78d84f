//! Where clients connect: plainly or over TLS.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// What a client talks over.
pub(super) trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// An address, and how to talk to what listens there.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    host: &'static str,
    tls: Option<RootCertStore>,
}

impl Door {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            host: "h",
            tls: None,
        }
    }

    /// To a server that proves with this certificate that it is `host`.
    pub(crate) fn tls(
        address: SocketAddr,
        host: &'static str,
        trusted: CertificateDer<'static>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).unwrap();
        Self {
            address,
            host,
            tls: Some(roots),
        }
    }

    pub(super) fn host(&self) -> &'static str {
        self.host
    }

    /// A connection for HTTP/1.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Line>> {
        self.connect_for(b"http/1.1").await
    }

    /// A connection for a protocol of this name (ALPN), each with a whole handshake.
    pub(super) async fn connect_for(&self, protocol: &[u8]) -> io::Result<Box<dyn Line>> {
        let stream = TcpStream::connect(self.address).await?;
        let Some(roots) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_owned()];
        let name = ServerName::try_from(self.host).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
        Ok(Box::new(stream.await?))
    }
}
