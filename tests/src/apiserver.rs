//! A real Kubernetes API for tests: etcd, kube-apiserver and kube-controller-manager on the loopback.
//!
//! ```text
//! KUBEBUILDER_ASSETS or `make tools` ─> Assets ─> ApiServer ─> url, kubeconfig, kubectl, tokens, objects, faults, audit
//! ```
//!
//! What Pods would do is done by the test: nothing runs them, so a test adds them with an address and says when they are
//! ready. Everything else is real: RBAC, bound tokens, admission, allocation, and the controllers that write EndpointSlices.

mod assets;
mod audit;
mod credentials;
mod error;
mod faults;
mod guardian;
mod http;
mod kubectl;
mod objects;
mod process;
mod servers;
mod start;
mod tokens;
mod wait;

pub use assets::Assets;
pub use audit::Entry;
pub use error::Error;
pub use objects::Pod;
pub use tokens::{BoundTo, TokenRequest, claims};
pub use wait::{eventually, eventually_after};

use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use credentials::Credentials;
use guardian::Guardian;
use process::Process;

use crate::port::ReservedPort;

/// What a test may want of its own API server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// More arguments of kube-apiserver, such as `--feature-gates=WatchList=false`.
    pub api_server_arguments: Vec<String>,
}

/// A running API server with its etcd and controllers. Dropped, all of it is gone, as it is when the test is killed.
#[derive(Debug)]
pub struct ApiServer {
    assets: Assets,
    options: Options,
    credentials: Credentials,
    kubeconfig: PathBuf,
    controllers_kubeconfig: PathBuf,
    port: ReservedPort,
    etcd_port: ReservedPort,
    /// None while it is stopped, as are its controllers.
    kube_apiserver: Option<Process>,
    controllers: Option<Process>,
    etcd: Process,
    /// Removes the folder, so it goes last.
    guardian: Guardian,
}

/// The API server that all tests of this process share, each in a [namespace](ApiServer::namespace) of its own.
/// None, and said aloud, where its programs are missing; in CI that is a failure.
pub async fn shared() -> Option<&'static ApiServer> {
    static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
    let assets = Assets::or_say_so()?;
    let started = SHARED.get_or_try_init(|| ApiServer::start(assets, Options::default()));
    Some(started.await.unwrap_or_else(|error| fail(&error)))
}

/// As [`shared`] for a test that stops, freezes or otherwise hurts it.
pub async fn own(options: Options) -> Option<ApiServer> {
    let assets = Assets::or_say_so()?;
    let started = ApiServer::start(assets, options).await;
    Some(started.unwrap_or_else(|error| fail(&error)))
}

#[expect(clippy::panic, reason = "a test cannot go on without its API server")]
fn fail(error: &Error) -> ! {
    panic!("{error}")
}

impl ApiServer {
    /// Where it listens, for as long as this lives: also while it is stopped.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port())
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The authority that signed its certificate.
    pub fn ca_pem(&self) -> &str {
        &self.credentials.ca_pem
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Writes a kubeconfig for a bearer token under a name of the caller's choice; the same name overwrites.
    pub fn kubeconfig_for_token(&self, name: &str, token: &str) -> Result<PathBuf, Error> {
        let user = serde_json::json!({ "token": token });
        self.credentials.kubeconfig(name, &self.url(), &user)
    }
}
