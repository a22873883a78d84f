//! Why there is no connection, in words that say what to do.

use std::{error::Error, io, path::PathBuf};

use rustls::{AlertDescription, CertificateError};
use tonic::{Code, Status};

use super::{Ca, Credentials, Security, Tls};

/// Why there is no connection. Each is mended somewhere else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("{url:?} is not a URL of a control plane such as https://10.0.0.1:18000: {why}")]
    #[expect(missing_docs, reason = "the message says it")]
    Url { url: String, why: String },
    /// TLS is wanted, and the URL says plaintext.
    #[error(
        "{url} is plaintext, but TLS is configured: write https://, or ask for plaintext with --insecure"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Unencrypted { url: String },
    /// Plaintext is wanted, and the URL says TLS.
    #[error(
        "{url} is TLS, but no CA is configured: name its CA, or write http:// if it serves plaintext"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Encrypted { url: String },
    /// A file that is needed for it is missing or wrong.
    #[error("{what} {}: {why}", path.display())]
    #[expect(missing_docs, reason = "the message says it")]
    File {
        what: &'static str,
        path: PathBuf,
        why: String,
    },
    /// What is configured for TLS does not fit together.
    #[error("TLS with {what}: {why}")]
    #[expect(missing_docs, reason = "the message says it")]
    Configuration { what: String, why: String },
    /// The certificate of the control plane is not one to believe.
    #[error("{url}: {why}")]
    #[expect(missing_docs, reason = "the message says it")]
    Untrusted { url: String, why: String },
    /// The other side does not take us, or does not speak TLS.
    #[error("{url}: {why}")]
    #[expect(missing_docs, reason = "the message says it")]
    Handshake { url: String, why: String },
    /// Nobody is there.
    #[error("cannot connect to {url}: {why}")]
    #[expect(missing_docs, reason = "the message says it")]
    Unreachable { url: String, why: String },
}

/// What a control plane's status means, with its own words, the address and what to do.
pub fn refusal(url: &str, security: &Security, status: &Status) -> String {
    let said = status.message();
    match status.code() {
        // Who we are was not asked: the port speaks TLS.
        Code::Unauthenticated if matches!(security, Security::Plaintext) => {
            format!("{url}: {said}")
        }
        Code::Unauthenticated => {
            let who = credentials(security);
            format!("{url} does not accept {who}: {said}")
        }
        Code::PermissionDenied => format!("{url} does not permit it: {said}"),
        _ if status.source().is_some() && matches!(security, Security::Plaintext) => {
            let why = causes(status);
            format!("{url}: {why} (if it serves TLS, write https:// and name its CA)")
        }
        _ => causes(status),
    }
}

/// An error with its causes, without those that repeat what was said.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

// === impl ConnectError ===

impl ConnectError {
    /// TLS cannot be set up like this at all.
    pub(super) fn unusable(tls: &Tls, error: &dyn Error) -> Self {
        let mut what = authority(&tls.ca);
        if let Credentials::Certificate { certificate, key } = &tls.credentials {
            let (certificate, key) = (certificate.display(), key.display());
            what = format!("{what}, certificate {certificate} and key {key}");
        }
        Self::Configuration {
            what,
            why: causes(error),
        }
    }

    pub(super) fn of(url: &str, security: &Security, error: &(dyn Error + 'static)) -> Self {
        let url = url.to_owned();
        let (Some(reason), Security::Tls(tls)) = (tls_reason(error), security) else {
            let why = causes(error);
            return Self::Unreachable { url, why };
        };
        match reason {
            rustls::Error::InvalidCertificate(invalid) => Self::Untrusted {
                why: untrusted(tls, invalid),
                url,
            },
            rustls::Error::InvalidMessage(_) => Self::Handshake {
                url,
                why: "it does not answer with TLS: if it serves plaintext, write http:// and --insecure".to_owned(),
            },
            rustls::Error::AlertReceived(alert) => Self::Handshake {
                why: refused(security, *alert),
                url,
            },
            other => Self::Handshake {
                why: other.to_string(),
                url,
            },
        }
    }
}

/// What TLS says about it, wherever it is in the chain of causes.
fn tls_reason<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref());
        if let Some(reason) = inner.or_else(|| error.downcast_ref()) {
            return Some(reason);
        }
        next = error.source();
    }
    None
}

fn untrusted(tls: &Tls, invalid: &CertificateError) -> String {
    let ca = authority(&tls.ca);
    let name = &tls.server_name;
    match invalid {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!(
                "its certificate is not signed by {ca}: get the CA of this control plane (ca.crt in the ConfigMap meshlite-ca)"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate has expired, or a clock is wrong: {invalid}")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate is not valid yet, probably a clock is wrong: {invalid}")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "its certificate is not for the name {name}: set the server name that it is for (--server-name)"
            )
        }
        other => format!("its certificate cannot be believed with {ca}: {other}"),
    }
}

fn refused(security: &Security, alert: AlertDescription) -> String {
    let who = credentials(security);
    format!("it refuses the connection with {who}: TLS alert {alert:?}")
}

fn authority(ca: &Ca) -> String {
    match ca {
        Ca::File(path) => format!("the CA in {}", path.display()),
        Ca::Pem(_) => "the CA that was given".to_owned(),
        Ca::System => "a CA that this machine trusts".to_owned(),
    }
}

fn credentials(security: &Security) -> String {
    match security {
        Security::Plaintext => "a client without credentials".to_owned(),
        Security::Tls(tls) => match &tls.credentials {
            Credentials::None => "a client without credentials".to_owned(),
            Credentials::TokenFile(path) => format!("the token in {}", path.display()),
            Credentials::Certificate { certificate, .. } => {
                format!("the certificate in {}", certificate.display())
            }
        },
    }
}
