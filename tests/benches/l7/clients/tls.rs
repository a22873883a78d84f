//! TLS handshakes, of which it is certain whether they were full or resumed, which wrk does not say.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use rustls::{
    ClientConfig, HandshakeKind, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{io::AsyncWriteExt as _, task::JoinSet, time::Instant};
use tokio_rustls::TlsConnector;

use super::{connect, connection::read_answer, repeat};
use crate::{
    load::Served,
    objects::{HOST, PATH},
    stage::Proxy,
};

/// Clients at once: no more than there are tickets that rustls keeps for a server.
const CLIENTS: u32 = 8;

/// What clients know of one proxy: its tickets.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    resumed: Arc<ClientConfig>,
    full: Arc<ClientConfig>,
}

impl Sessions {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let resumed = config()?;
        let mut full = resumed.clone();
        full.resumption = Resumption::disabled();
        Ok(Self {
            resumed: Arc::new(resumed),
            full: Arc::new(full),
        })
    }
}

/// TLS 1.3 with X25519, which all proxies speak: what is measured is not which algorithm they like best.
fn config() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    });
    let trusting = Arc::new(Trusting(Arc::clone(&provider)));
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(trusting)
        .with_no_client_auth())
}

/// A connection with one request, again and again.
pub(crate) async fn handshakes(
    proxy: &Proxy,
    is_resumed: bool,
    time: Duration,
) -> anyhow::Result<Served> {
    let (config, wanted) = if is_resumed {
        (&proxy.sessions.resumed, HandshakeKind::Resumed)
    } else {
        (&proxy.sessions.full, HandshakeKind::Full)
    };
    let at = (proxy.ports.address, proxy.ports.https);
    if is_resumed {
        // All at once, so that each leaves a ticket for one to come.
        let first = (0..CLIENTS).map(|_| {
            let config = Arc::clone(config);
            async move { handshake(at, &config).await }
        });
        let mut first: JoinSet<_> = first.collect();
        while let Some(done) = first.join_next().await {
            done??;
        }
    }
    repeat(CLIENTS, time, |until| {
        let config = Arc::clone(config);
        async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let begun = Instant::now();
                let kind = handshake(at, &config).await?;
                ensure!(kind == wanted, "a handshake was {kind:?}");
                times.push(begun.elapsed());
            }
            Ok(times)
        }
    })
    .await
}

/// Connects, asks, and says how the handshake was.
async fn handshake(
    at: (&'static str, u16),
    config: &Arc<ClientConfig>,
) -> anyhow::Result<HandshakeKind> {
    let stream = connect(at).await?;
    let connector = TlsConnector::from(Arc::clone(config));
    let mut stream = connector
        .connect(ServerName::try_from(HOST)?, stream)
        .await?;
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    read_answer(&mut stream).await?;
    stream.get_ref().1.handshake_kind().context("no handshake")
}

/// Believes any certificate: clients are not what is measured.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
