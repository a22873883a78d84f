//! Which certificate a client gets: by server name from the table that is current when it connects.

mod client;

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use meshlite_snapshot::{TlsSecret, TlsVersion};
use rustls::{
    CipherSuite, ServerConfig, SupportedCipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use self::client::Ask;
pub(crate) use self::client::{Authorities, Finding, Shown};
use crate::table::{HostIndex, ListenerId, Table};

/// How a listener speaks TLS.
#[derive(Debug)]
pub(crate) struct ListenerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// For hosts that ask clients for a certificate; none where no host does.
    pub(crate) asking: Option<Arc<ServerConfig>>,
    pub(crate) certificates: Arc<HostIndex<Arc<CertifiedKey>>>,
    /// For clients that name no server, or one that no certificate is for.
    pub(crate) default: Arc<CertifiedKey>,
}

/// Why a certificate, or TLS as a whole, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("no certificate")]
    NoCertificate,
    #[error("the private key is not a PKCS#8, PKCS#1 or SEC1 key: {0}")]
    KeyFormat(&'static str),
    #[error("certificate and private key do not belong together or are not usable: {0}")]
    Pair(#[source] rustls::Error),
    #[error("TLS settings: {0}")]
    Settings(#[source] rustls::Error),
    #[error("self-signed certificate: {0}")]
    SelfSigned(#[source] rcgen::Error),
}

/// The TLS settings of each listener. They outlive tables, so that sessions can be resumed across commits.
#[derive(Debug)]
pub(crate) struct TlsConfigs {
    provider: Arc<CryptoProvider>,
    swapped: Arc<ArcSwap<Table>>,
    /// By listener, oldest version, and whether clients are asked for a certificate.
    configs: BTreeMap<(ListenerId, TlsVersion, bool), Arc<ServerConfig>>,
}

/// Looks a certificate up in the current table.
#[derive(Debug)]
struct CurrentCertificates {
    swapped: Arc<ArcSwap<Table>>,
    listener: ListenerId,
}

/// The suites with AES-128 and SHA-256 before the others, which keep their order.
fn cheapest_first(mut provider: CryptoProvider) -> CryptoProvider {
    let is_cheap = |suite: &SupportedCipherSuite| match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 0,
        _ => 1,
    };
    provider.cipher_suites.sort_by_key(is_cheap);
    provider
}

// === impl TlsConfigs ===

impl TlsConfigs {
    pub(crate) fn new(swapped: Arc<ArcSwap<Table>>) -> Self {
        Self {
            provider: Arc::new(cheapest_first(aws_lc_rs::default_provider())),
            swapped,
            configs: BTreeMap::new(),
        }
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    pub(crate) fn get(
        &mut self,
        listener: ListenerId,
        min_version: TlsVersion,
        asks_certificates: bool,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let key = (listener, min_version, asks_certificates);
        if let Some(config) = self.configs.get(&key) {
            return Ok(Arc::clone(config));
        }
        let versions: &[_] = match min_version {
            TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let resolver = CurrentCertificates {
            swapped: Arc::clone(&self.swapped),
            listener,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions)
            .map_err(TlsError::Settings)?;
        let builder = if asks_certificates {
            builder.with_client_cert_verifier(Arc::new(Ask(Arc::clone(&self.provider))))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = [&b"h2"[..], b"http/1.1", b"http/1.0"]
            .map(<[u8]>::to_vec)
            .into();
        // Most clients would take AES-256 with SHA-384, which few processors have instructions for; it is as safe.
        config.ignore_client_order = true;
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Settings)?;
        let config = Arc::new(config);
        self.configs.insert(key, Arc::clone(&config));
        Ok(config)
    }
}

// === impl CurrentCertificates ===

impl ResolvesServerCert for CurrentCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.swapped.load();
        let tls = table.listener(self.listener)?.tls.as_ref()?;
        let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let found = tls.certificates.find_map(name, |key| Some(Arc::clone(key)));
        Some(found.unwrap_or_else(|| Arc::clone(&tls.default)))
    }
}

/// The certificate and key of a secret, if they belong together.
pub(crate) fn certified_key(secret: &TlsSecret) -> Result<Arc<CertifiedKey>, TlsError> {
    if secret.certificate_chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let chain = secret.certificate_chain.iter();
    let chain = chain
        .map(|der| CertificateDer::from(der.to_vec()))
        .collect();
    let key =
        PrivateKeyDer::try_from(secret.private_key.0.to_vec()).map_err(TlsError::KeyFormat)?;
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .map(Arc::new)
        .map_err(TlsError::Pair)
}

/// A certificate that nobody trusts, for clients that ask for a host without one.
pub(crate) fn self_signed() -> Result<Arc<CertifiedKey>, TlsError> {
    let made = rcgen::generate_simple_self_signed(["meshlite.invalid".to_owned()]);
    let made = made.map_err(TlsError::SelfSigned)?;
    let chain = vec![made.cert.der().clone()];
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(TlsError::KeyFormat)?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map(Arc::new)
        .map_err(TlsError::Pair)
}
