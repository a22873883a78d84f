//! Certificates of clients: taken from whoever shows one, and then judged by the rule of the host that was asked for.
//!
//! Judging comes after the handshake, and also where a session is resumed, so that a client without a good certificate
//! gets an answer that says so, and an authority that is no longer trusted counts at once.

use std::{fmt, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use meshlite_snapshot::ClientAuth;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::{
    objects::oid_registry, objects::oid2abbrev, prelude::FromDer as _, x509::X509Name,
};

use crate::sanitise::hex_of;

/// What a connection's client has shown, under the rule of its server name.
#[derive(Debug)]
pub(crate) struct Shown {
    /// None for a host without a rule.
    pub(crate) rule: Option<ClientAuth>,
    pub(crate) finding: Finding,
    /// Leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// What was found of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Good,
    /// The client has shown none.
    None,
    Bad(&'static str),
    /// The authorities are not known, so nobody can be judged.
    NoAuthorities,
}

/// The authorities of a credential.
#[derive(Clone)]
pub(crate) struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Asks for a certificate and takes any, or none; only that the client has its key is checked.
#[derive(Debug)]
pub(super) struct Ask(pub(super) Arc<CryptoProvider>);

// === impl Authorities ===

impl Authorities {
    /// None where there is no certificate, or one that is none.
    pub(crate) fn new(ders: &[bytes::Bytes], provider: &Arc<CryptoProvider>) -> Option<Self> {
        let certificates: Vec<_> = ders
            .iter()
            .map(|der| CertificateDer::from(der.to_vec()))
            .collect();
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).ok()?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
        Some(Self {
            verifier: builder.build().ok()?,
            certificates,
        })
    }

    /// Judges a chain. At most `depth` steps lead from the client's certificate to an authority.
    fn judge(&self, chain: &[CertificateDer<'_>], depth: u32, now: UnixTime) -> Finding {
        let Some((leaf, rest)) = chain.split_first() else {
            return Finding::None;
        };
        let is_authority = |shown: &&CertificateDer<'_>| {
            self.certificates
                .iter()
                .any(|known| known.as_ref() == shown.as_ref())
        };
        let between = rest.iter().filter(|shown| !is_authority(shown)).count();
        if between >= usize::try_from(depth.max(1)).unwrap_or(usize::MAX) {
            return Finding::Bad("certificate chain too long");
        }
        match self.verifier.verify_client_cert(leaf, rest, now) {
            Ok(_) => Finding::Good,
            Err(error) => Finding::Bad(said(&error)),
        }
    }
}

fn said(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Error;
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            Error::Expired | Error::ExpiredContext { .. } => "certificate has expired",
            Error::NotValidYet | Error::NotValidYetContext { .. } => "certificate is not yet valid",
            Error::BadSignature => "certificate signature failure",
            Error::UnknownIssuer => "unable to get local issuer certificate",
            Error::InvalidPurpose | Error::InvalidPurposeContext { .. } => {
                "unsuitable certificate purpose"
            }
            _ => "certificate rejected",
        },
        _ => "certificate rejected",
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} authorities>", self.certificates.len())
    }
}

// === impl Shown ===

impl Shown {
    /// What a client has shown, judged by a host's rule.
    pub(crate) fn new(
        rule: &ClientAuth,
        authorities: Option<&Authorities>,
        chain: &[CertificateDer<'static>],
        now: UnixTime,
    ) -> Self {
        let finding = match authorities {
            Some(authorities) => authorities.judge(chain, rule.depth, now),
            None => Finding::NoAuthorities,
        };
        Self {
            rule: Some(rule.clone()),
            finding,
            chain: chain.to_vec(),
        }
    }

    /// The client's certificate as PEM.
    pub(crate) fn pem(&self) -> Option<String> {
        let body = BASE64_STANDARD.encode(self.chain.first()?);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for (at, character) in body.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
        Some(pem)
    }

    /// Subject and issuer of the client's certificate, as RFC 2253 writes them.
    pub(crate) fn names(&self) -> Option<(String, String)> {
        let (_, certificate) =
            x509_parser::certificate::X509Certificate::from_der(self.chain.first()?).ok()?;
        Some((
            distinguished(certificate.subject()),
            distinguished(certificate.issuer()),
        ))
    }
}

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("SUCCESS"),
            Self::None => f.write_str("NONE"),
            Self::Bad(why) => write!(f, "FAILED:{why}"),
            Self::NoAuthorities => f.write_str("FAILED:no authorities"),
        }
    }
}

/// A name with its last part first.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for rdn in name.iter_rdn() {
        let attributes = rdn.iter().map(|attribute| {
            let kind = attribute.attr_type();
            let kind = oid2abbrev(kind, oid_registry())
                .map_or_else(|_| kind.to_id_string(), ToOwned::to_owned);
            let value = attribute.as_str().unwrap_or_default();
            format!("{kind}={}", escaped(value))
        });
        parts.push(attributes.collect::<Vec<_>>().join("+"));
    }
    parts.reverse();
    parts.join(",")
}

/// RFC 2253 section 2.4, with everything that is not printable ASCII in hexadecimal.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let is_edge = (at == 0 && (byte == b' ' || byte == b'#')) || (at == last && byte == b' ');
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                escaped.push('\\');
                escaped.push(byte.into());
            }
            b' ' | b'#' if is_edge => {
                escaped.push('\\');
                escaped.push(byte.into());
            }
            b' '..=b'~' => escaped.push(byte.into()),
            _ => {
                escaped.push('\\');
                escaped.extend(hex_of(byte));
            }
        }
    }
    escaped
}

// === impl Ask ===

impl ClientCertVerifier for Ask {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_without_a_way_out() {
        assert_eq!(
            escaped(" a,b+c\"d\\e\r\né "),
            "\\ a\\,b\\+c\\\"d\\\\e\\0D\\0A\\C3\\A9\\ "
        );
        assert_eq!(escaped("#a"), "\\#a");
        assert_eq!(escaped("a b#"), "a b#");
    }
}
