//! Finds the API server and the credentials for it, as kubectl and the official client libraries do.

use std::{path::PathBuf, time::Duration};

use http::{HeaderValue, Uri, header::USER_AGENT, uri::Scheme};
use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tracing::warn;

/// How long a TCP and TLS connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent while an answer is awaited. Watches get a bookmark a minute.
const READ_TIMEOUT: Duration = Duration::from_secs(90);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A name that the certificate of every API server has.
const IN_CLUSTER_NAME: &str = "kubernetes.default.svc";

/// Where the API server is and who asks it.
///
/// Without a kubeconfig: `KUBECONFIG` where that is set, else the Pod's service account (the token is read again as it
/// is renewed), else `~/.kube/config`; always the current context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// This kubeconfig and no other (`--kubeconfig`).
    pub kubeconfig: Option<PathBuf>,
    /// The URL of the API server, instead of the one that the kubeconfig or the Pod's environment names: a direct
    /// address needs no Service VIP. Its certificate is still verified, by the same CA and for the name that the replaced
    /// address would have had: `kubernetes.default.svc` in a Pod, else the kubeconfig's `tls-server-name` or host.
    pub api_server: Option<String>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the messages say it; the fields are where and why"
)]
pub enum ConnectError {
    #[error("--kubeconfig {}: {error}", path.display())]
    Kubeconfig {
        path: PathBuf,
        error: KubeconfigError,
    },
    #[error("the kubeconfig that KUBECONFIG or ~/.kube/config names: {0}")]
    DefaultKubeconfig(#[source] KubeconfigError),
    #[error(
        "the service account of this Pod: {0}; the Pod needs automountServiceAccountToken: true, or --kubeconfig"
    )]
    ServiceAccount(#[source] InClusterError),
    #[error(
        "no Kubernetes API server is known: this is no Pod, KUBECONFIG is not set and ~/.kube/config cannot be read; \
         give --kubeconfig"
    )]
    Nowhere(#[source] KubeconfigError),
    #[error("--kube-api-server {url}: {reason}")]
    ApiServer { url: String, reason: String },
    #[error("the credentials for the API server cannot be used: {0}")]
    Credentials(#[source] kube::Error),
}

impl Connection {
    /// A client with these credentials. Connects with the first request.
    pub async fn client(&self) -> Result<Client, ConnectError> {
        let config = self.config().await?;
        Client::try_from(config).map_err(ConnectError::Credentials)
    }

    async fn config(&self) -> Result<Config, ConnectError> {
        let mut config = self.found().await?;
        if let Some(url) = &self.api_server {
            redirect(&mut config, url)?;
        }
        if config.accept_invalid_certs {
            warn!(
                "the kubeconfig says insecure-skip-tls-verify: anybody can pose as the API server"
            );
        }
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(WRITE_TIMEOUT);
        config.reset_reader_on_write = true;
        // Whoever asks knows better how often to ask again.
        config.default_retry = false;
        let agent = concat!("meshlite-control-plane/", env!("CARGO_PKG_VERSION"));
        config
            .headers
            .push((USER_AGENT, HeaderValue::from_static(agent)));
        Ok(config)
    }

    async fn found(&self) -> Result<Config, ConnectError> {
        if let Some(path) = &self.kubeconfig {
            let failed = |error| ConnectError::Kubeconfig {
                path: path.clone(),
                error,
            };
            let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
            return of_kubeconfig(kubeconfig).await.map_err(failed);
        }
        if let Some(kubeconfig) = Kubeconfig::from_env().map_err(ConnectError::DefaultKubeconfig)? {
            let config = of_kubeconfig(kubeconfig).await;
            return config.map_err(ConnectError::DefaultKubeconfig);
        }
        match Config::incluster() {
            Ok(mut config) => {
                config.tls_server_name = self
                    .api_server
                    .is_some()
                    .then(|| IN_CLUSTER_NAME.to_owned());
                return Ok(config);
            }
            // Not in a Pod.
            Err(InClusterError::ReadEnvironmentVariable(_)) => {}
            Err(error) => return Err(ConnectError::ServiceAccount(error)),
        }
        let kubeconfig = Kubeconfig::read().map_err(ConnectError::Nowhere)?;
        let config = of_kubeconfig(kubeconfig).await;
        config.map_err(ConnectError::DefaultKubeconfig)
    }
}

async fn of_kubeconfig(kubeconfig: Kubeconfig) -> Result<Config, KubeconfigError> {
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}

/// Another address of the same API server.
fn redirect(config: &mut Config, url: &str) -> Result<(), ConnectError> {
    let wrong = |reason: String| ConnectError::ApiServer {
        url: url.to_owned(),
        reason,
    };
    let uri: Uri = url
        .parse()
        .map_err(|error| wrong(format!("{error}; write https://ADDRESS:PORT")))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it names no host; write https://ADDRESS:PORT".into()));
    }
    let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
    if !is_secure && config.cluster_url.scheme() == Some(&Scheme::HTTPS) {
        return Err(wrong(
            "it must be https://ADDRESS:PORT: credentials are not sent in plaintext".into(),
        ));
    }
    if config.tls_server_name.is_none() {
        let host = config.cluster_url.host().unwrap_or_default();
        // An IPv6 address stands in brackets in a URL, and in none in a certificate.
        config.tls_server_name = Some(host.trim_matches(['[', ']']).to_owned());
    }
    config.cluster_url = uri;
    Ok(())
}

#[cfg(test)]
mod tests;
