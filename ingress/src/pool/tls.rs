//! TLS to endpoints: whom to believe, what to show, and which server is meant.

use std::{net::SocketAddr, sync::Arc};

use meshlite_snapshot::{Credential, UpstreamTls};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};

/// How TLS is spoken to the endpoints of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    /// None for the endpoint's address, which is not told to the server.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// What cannot be had makes an error that says so: nothing is ever less strict than it was asked to be.
    pub(super) fn new(
        tls: &UpstreamTls,
        authorities: Option<&Credential>,
        identity: Option<&Credential>,
        is_http2: bool,
    ) -> Result<Self, String> {
        let name = match &tls.server_name {
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_invalid| format!("{name:?} is not a server name"))?,
            ),
            None => None,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = if tls.verify {
            let named = tls.authorities.as_ref();
            let roots = match (named, authorities) {
                (Some(name), None) => return Err(format!("there is no Credential {name}")),
                (Some(name), Some(credential)) => {
                    given(credential).map_err(|error| format!("Credential {name}: {error}"))?
                }
                (None, _) => system()?,
            };
            builder.with_root_certificates(roots)
        } else {
            let anyone = Arc::new(Anyone(provider));
            builder.dangerous().with_custom_certificate_verifier(anyone)
        };
        let mut config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let shown = identity.and_then(|credential| credential.identity.as_ref());
                let shown =
                    shown.ok_or_else(|| format!("Credential {name} has no certificate and key"))?;
                let chain = shown.certificate_chain.iter();
                let chain = chain
                    .map(|der| CertificateDer::from(der.to_vec()))
                    .collect();
                let key = PrivateKeyDer::try_from(shown.private_key.0.to_vec())
                    .map_err(|error| format!("Credential {name}: {error}"))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| format!("Credential {name}: {error}"))?
            }
        };
        let protocol: &[u8] = if is_http2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        config.enable_sni = name.is_some();
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    /// Which server is meant at this address.
    pub(super) fn name(&self, address: SocketAddr) -> ServerName<'static> {
        let name = self.name.clone();
        name.unwrap_or_else(|| ServerName::IpAddress(address.ip().to_canonical().into()))
    }
}

fn given(credential: &Credential) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for der in &credential.authorities {
        let authority = CertificateDer::from(der.to_vec());
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it has no certificate authority".to_owned());
    }
    Ok(roots)
}

fn system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(
            "this system has no certificate authorities; name a Secret with them".to_owned(),
        );
    }
    Ok(roots)
}

/// Believes every certificate, but not that somebody has the key of another's.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
