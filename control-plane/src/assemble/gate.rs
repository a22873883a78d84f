//! What stands before the services: TLS and who is let in, or neither.

use std::sync::Arc;

use meshlite_kubernetes::Client;
use meshlite_proto::connect::{self, Credentials};
use meshlite_runtime::readiness::Readiness;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{BindError, RunError, source::Origin};
use crate::{
    Security, ServerCertificate, TlsConfig,
    auth::{Access, Authenticator, Tokens},
    clock,
    metrics::Metrics,
    tls::{Keeper, Shown, Store},
};

/// The token with which this replica calls the others: projected into its Pod for our audience, as into those of the data
/// planes.
const OWN_TOKEN: &str = "/var/run/secrets/meshlite.io/token";

/// What stands before the services.
#[derive(Debug)]
pub(crate) struct Gate {
    /// What connections are shown; none for plaintext.
    pub(crate) shown: Option<Shown>,
    pub(crate) access: Access,
    /// How this replica calls the others.
    pub(super) to_peers: watch::Receiver<connect::Security>,
}

/// What keeps a gate up to date.
#[derive(Debug)]
pub(super) struct Upkeep {
    keeper: Option<Keeper>,
    tokens: Option<Arc<Tokens>>,
}

impl Gate {
    /// Plaintext, and everybody may do everything.
    pub(crate) fn open() -> Self {
        Self {
            shown: None,
            access: Access::Anyone,
            to_peers: watch::channel(connect::Security::Plaintext).1,
        }
    }

    /// As it is configured. Files that were given must be right now; a CA that is shared may come later.
    pub(super) async fn new(
        security: Security,
        origin: &Origin,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Upkeep), BindError> {
        let Security::Tls(tls) = security else {
            warn!("insecure: everybody who reaches --listen may have everything, private keys too");
            let upkeep = Upkeep {
                keeper: None,
                tokens: None,
            };
            return Ok((Self::open(), upkeep));
        };
        Self::with(tls, origin.client(), origin.ca(), metrics).await
    }

    /// TLS, with our own CA kept in `store`, and tokens that `client`'s API server issues.
    pub(super) async fn with(
        tls: TlsConfig,
        client: Option<Client>,
        store: Store,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Upkeep), BindError> {
        let is_shared = matches!(store, Store::Kubernetes(_));
        let is_given = matches!(tls.certificate, ServerCertificate::Files { .. });
        let credentials = Credentials::TokenFile(OWN_TOKEN.into());
        let (mut keeper, shown, to_peers) = Keeper::new(&tls, store, credentials);
        if is_given || !is_shared {
            let looked = keeper.look(clock::wall()).await;
            looked.map_err(|error| BindError::Tls(error.into()))?;
        }
        let has_client_ca = tls.client_ca.is_some();
        let tokens = match (tls.tokens, client) {
            (Some(config), Some(client)) => Some(Arc::new(Tokens::new(config, client))),
            (Some(_), None) => return Err(BindError::Tokens),
            (None, _) if !has_client_ca => return Err(BindError::Nobody),
            (None, _) => None,
        };
        let authenticator = Authenticator::new(tokens.clone(), metrics);
        let gate = Self {
            shown: Some(shown),
            access: Access::Checked(Arc::new(authenticator)),
            to_peers,
        };
        let upkeep = Upkeep {
            keeper: Some(keeper),
            tokens,
        };
        Ok((gate, upkeep))
    }
}

impl Upkeep {
    /// Starts what keeps the gate up to date. The process is not ready without a certificate.
    pub(super) fn start(
        self,
        readiness: &Readiness,
        tasks: &mut JoinSet<Result<(), RunError>>,
        stop: &CancellationToken,
    ) {
        if let Some(keeper) = self.keeper {
            let keeping = keeper.run(readiness.task("certificate"), stop.clone());
            tasks.spawn(async move {
                keeping.await;
                Ok(())
            });
        }
        if let Some(tokens) = self.tokens {
            let stop = stop.clone();
            tasks.spawn(async move {
                tokens.keep_fresh(&stop).await;
                Ok(())
            });
        }
    }
}
