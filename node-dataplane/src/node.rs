//! The node data plane as a whole: bind, then run until told to stop.

use std::{io, net::SocketAddr};

use meshlite_runtime::listen::{self, ListenError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, ModeError, facts,
    mode::{Choice, Mode},
};

/// A node data plane that is bound and does not serve yet.
#[derive(Debug)]
pub struct Node {
    config: Config,
    choice: Choice,
    metrics: Option<TcpListener>,
    health: Option<TcpListener>,
}

/// Why a node data plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The mode cannot be used; another one can.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// No name was given and the host does not say its own.
    #[error("--node-name is not set and the host's name cannot be read: {0}")]
    NodeName(#[source] io::Error),
    /// An address is taken or not allowed.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Why a node data plane ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A server of metrics or health checks failed.
    #[error("{what} server: {source}")]
    Serve {
        /// Which server.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Node {
    /// Chooses the kernel and binds the servers for metrics and health. Virtual addresses follow from the snapshot.
    pub async fn bind(mut config: Config) -> Result<Self, BindError> {
        let choice = Mode::choose(config.mode, config.dry_run)?;
        if config.node_name.is_empty() {
            config.node_name = facts::host_name().map_err(BindError::NodeName)?;
        }
        let metrics = match config.metrics_listen {
            Some(addr) => Some(listen::tcp(addr, "node metrics (--metrics-listen)").await?),
            None => None,
        };
        let health = match config.health_listen {
            Some(addr) => Some(listen::tcp(addr, "node health (--health-listen)").await?),
            None => None,
        };
        Ok(Self {
            config,
            choice,
            metrics,
            health,
        })
    }

    /// Where metrics are served.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Where health is served.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref()?.local_addr().ok()
    }

    /// The name of the node that is served.
    pub fn node_name(&self) -> &str {
        &self.config.node_name
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            config,
            choice,
            metrics,
            health,
        } = self;
        stop.cancelled().await;
        drop((config, choice, metrics, health));
        Ok(())
    }
}
