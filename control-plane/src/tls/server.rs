//! What the server shows in a handshake, and which client certificates it takes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::sync::watch;

/// What new connections are shown; none until there is a certificate. Those that are there keep what they were shown.
pub(crate) type Shown = watch::Receiver<Option<Arc<ServerConfig>>>;

/// A certificate's chain, and the leaf's key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Clone for Material {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// Why a file that was given cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub(crate) struct FileError {
    path: PathBuf,
    reason: String,
}

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("certificate and key: {0}")]
    Certificate(#[from] rustls::Error),
    #[error("the CA of client certificates: {0}")]
    ClientCa(#[from] VerifierBuilderError),
}

/// TLS 1.3 and HTTP/2, with client certificates where there is a CA for them. They are optional: others send tokens.
pub(super) fn config(
    material: Material,
    client_ca: Option<&[CertificateDer<'static>]>,
) -> Result<ServerConfig, ServerError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?;
    let builder = match client_ca {
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority.clone())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(material.chain, material.key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Clients stay connected; what a ticket would save is not worth what it costs in memory and in checks.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Reads a certificate's chain and key.
pub(super) fn read(certificate: &Path, key: &Path) -> Result<Material, FileError> {
    let chain = read_certificates(certificate)?;
    let text = read_file(key)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_has_secrets| FileError {
        path: key.to_owned(),
        reason: "it holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)".to_owned(),
    })?;
    Ok(Material { chain, key })
}

/// Reads the certificates of a file: one at least.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = read_file(path)?;
    let wrong = |reason: String| FileError {
        path: path.to_owned(),
        reason,
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate in PEM".to_owned()));
    }
    Ok(certificates)
}

fn read_file(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|error: io::Error| FileError {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
