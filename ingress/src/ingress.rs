//! The ingress as a whole: bind, then run until told to stop.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Config;

/// An ingress that is bound and does not serve yet.
#[derive(Debug)]
pub struct Ingress {
    config: Config,
    admin: Option<TcpListener>,
}

/// Why an ingress cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The admin address cannot be bound.
    #[error("admin server: {0}")]
    Admin(#[source] io::Error),
}

/// Why an ingress ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A worker thread could not be started.
    #[error("cannot start a worker thread: {0}")]
    Worker(#[source] io::Error),
}

impl Ingress {
    /// Binds the admin server. The listeners' own ports follow from the snapshot.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let admin = match config.admin_listen {
            Some(address) => Some(TcpListener::bind(address).await.map_err(BindError::Admin)?),
            None => None,
        };
        Ok(Self { config, admin })
    }

    /// Where the admin server listens.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// Serves until `stop`, then finishes what is under way.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self { config, admin } = self;
        stop.cancelled().await;
        drop((config, admin));
        Ok(())
    }
}
