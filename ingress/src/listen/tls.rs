//! The TLS handshake of a client's connection, and the certificate that the client shows where its server name asks for one.

use std::{io, sync::Arc};

use rustls::{ServerConfig, server::Acceptor};
use rustls_pki_types::UnixTime;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};

use super::{Worker, stream::ClientStream};
use crate::{certificates::Shown, table::ListenerId};

/// How a listener that speaks TLS takes a connection in.
#[derive(Debug)]
pub(super) struct Handshake {
    config: Arc<ServerConfig>,
    /// For server names that ask for a certificate; none where no one does.
    asking: Option<Arc<ServerConfig>>,
}

impl Handshake {
    /// None where the listener speaks no TLS.
    pub(super) fn new(tls: Option<&crate::certificates::ListenerTls>) -> Option<Self> {
        let tls = tls?;
        Some(Self {
            config: Arc::clone(&tls.config),
            asking: tls.asking.clone(),
        })
    }

    /// Shakes hands. A certificate is judged by the rule that the server name has at this time.
    pub(super) async fn run(
        self,
        worker: &Worker,
        listener: ListenerId,
        stream: ClientStream,
    ) -> io::Result<(Box<TlsStream<ClientStream>>, Option<Box<Shown>>)> {
        let Some(asking) = self.asking else {
            let stream = TlsAcceptor::from(self.config).accept(stream).await?;
            return Ok((Box::new(stream), None));
        };
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        let asks = {
            let table = worker.shared.table.load();
            let listener = table.listener(listener);
            !name.is_empty()
                && listener.is_some_and(|listener| listener.client_auth(&name).is_some())
        };
        let config = if asks { asking } else { self.config };
        let stream = start.into_stream(config).await?;
        let table = worker.shared.table.load();
        let auth = table.listener(listener).filter(|_| asks);
        let shown = auth
            .and_then(|listener| listener.client_auth(&name))
            .map(|auth| {
                let credential = table.credential(auth.authorities);
                let authorities = credential.and_then(|credential| credential.authorities());
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                Box::new(Shown::new(&auth.rule, authorities, chain, UnixTime::now()))
            });
        Ok((Box::new(stream), shown))
    }
}
