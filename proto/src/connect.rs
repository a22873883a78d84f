//! Connects to a control plane: TLS, who it must be, and who we are.
//!
//! Files are read again at each connect, because CAs, certificates and tokens are replaced while we run. Errors say which
//! file, which address and what to do; nothing here prints a token or a key.

mod error;
mod files;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

pub(crate) use error::causes;
pub use error::{ConnectError, refusal};

/// The name that a control plane's certificate is for, whatever its address.
pub const SERVER_NAME: &str = "meshlite-control-plane";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const WINDOW_BYTES: u32 = 1024 * 1024;

/// How a connection is protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all. Nothing that is secret is sent.
    Plaintext,
    /// By TLS.
    Tls(Tls),
}

/// Whom to believe, and who we are.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Who signs certificates of control planes.
    pub ca: Ca,
    /// The name that the certificate must be for; by default [`SERVER_NAME`].
    pub server_name: String,
    /// Who we are.
    pub credentials: Credentials,
}

/// Certificate authorities.
#[derive(Clone, Debug)]
pub enum Ca {
    /// A PEM file, read at each connect.
    File(PathBuf),
    /// PEM.
    Pem(Vec<u8>),
    /// Those that the machine trusts.
    System,
}

/// Who we are.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Nobody in particular.
    None,
    /// The bearer of the token in this file, which is read at each connect.
    TokenFile(PathBuf),
    /// The subject of a certificate. PEM files, read at each connect.
    Certificate {
        /// The certificate, followed by intermediate ones.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// A connection, as a service for the generated clients. Cheap to clone.
pub type Connected = InterceptedService<Channel, Bearer>;

/// Puts the token, if there is one, into every request.
#[derive(Clone, Debug)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

/// Connects to the control plane at this URL, such as `https://10.0.0.1:18000`.
pub async fn connect(url: &str, security: &Security) -> Result<Connected, ConnectError> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| ConnectError::Url {
        url: url.to_owned(),
        why: causes(&error),
    })?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let (endpoint, bearer) = match (endpoint.uri().scheme_str(), security) {
        (Some("http"), Security::Plaintext) => (endpoint, Bearer(None)),
        (Some("https"), Security::Tls(tls)) => {
            let config = configured(tls).await?;
            let endpoint = endpoint
                .tls_config(config)
                .map_err(|error| ConnectError::unusable(tls, &error))?;
            (endpoint, bearer(&tls.credentials).await?)
        }
        (Some("http"), Security::Tls(_)) => {
            return Err(ConnectError::Unencrypted {
                url: url.to_owned(),
            });
        }
        (Some("https"), Security::Plaintext) => {
            return Err(ConnectError::Encrypted {
                url: url.to_owned(),
            });
        }
        _ => {
            return Err(ConnectError::Url {
                url: url.to_owned(),
                why: "the scheme is neither https nor http".to_owned(),
            });
        }
    };
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| ConnectError::of(url, security, &error))?;
    Ok(InterceptedService::new(channel, bearer))
}

async fn configured(tls: &Tls) -> Result<ClientTlsConfig, ConnectError> {
    let config = ClientTlsConfig::new()
        .domain_name(tls.server_name.clone())
        .timeout(CONNECT_TIMEOUT);
    let config = match &tls.ca {
        Ca::File(path) => config.ca_certificate(Certificate::from_pem(files::ca(path).await?)),
        Ca::Pem(pem) => config.ca_certificate(Certificate::from_pem(pem)),
        Ca::System => config.with_native_roots(),
    };
    Ok(match &tls.credentials {
        Credentials::None | Credentials::TokenFile(_) => config,
        Credentials::Certificate { certificate, key } => {
            config.identity(files::identity(certificate, key).await?)
        }
    })
}

async fn bearer(credentials: &Credentials) -> Result<Bearer, ConnectError> {
    match credentials {
        Credentials::TokenFile(path) => Ok(Bearer(Some(files::token(path).await?))),
        Credentials::None | Credentials::Certificate { .. } => Ok(Bearer(None)),
    }
}

// === impl Tls ===

impl Tls {
    /// Trusts this authority and says who we are, to a control plane with a certificate of its own making.
    pub fn new(ca: Ca, credentials: Credentials) -> Self {
        Self {
            ca,
            server_name: SERVER_NAME.to_owned(),
            credentials,
        }
    }
}

// === impl Bearer ===

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}
