//! Puts a control plane together: the only place that starts tasks, and waits for them to end.

mod connections;
mod gate;
mod serve;
mod source;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use meshlite_kubernetes::ConnectError;
use meshlite_runtime::{
    admin,
    listen::{self, ListenError},
    readiness::Readiness,
};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::{error, info};

pub(crate) use self::{gate::Gate, serve::serve_grpc};

use self::{
    gate::Upkeep,
    serve::tell,
    source::{Origin, Replicas},
};
use crate::{
    Config,
    admin::router,
    balance::Balancer,
    findings::{FindingBook, Findings},
    metrics::Metrics,
    pipeline::{Output, Source},
    publish::Publisher,
    status::StatusService,
    stream::{Clients, Discovery},
    watch::Sources,
};

/// A control plane whose listeners are bound and whose source was found.
#[derive(Debug)]
pub struct ControlPlane {
    grpc: TcpListener,
    grpc_addr: SocketAddr,
    admin: Option<(TcpListener, SocketAddr)>,
    gate: Gate,
    upkeep: Upkeep,
    source: Source,
    replicas: Replicas,
    discovery: Discovery,
    findings: Findings,
    metrics: Arc<Metrics>,
    /// Ends everything, also where one part fails.
    stop: CancellationToken,
}

/// Why a control plane cannot start. Each names the flag to look at.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the messages say it; the fields are where and why"
)]
pub enum BindError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("--manifests {}: {error}", path.display())]
    Manifests { path: PathBuf, error: io::Error },
    #[error("--state-dir {}: {error}", path.display())]
    StateDir { path: PathBuf, error: io::Error },
    #[error(transparent)]
    ApiServer(#[from] ConnectError),
    #[error("TLS: {0}")]
    Tls(Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "tokens are verified by an API server's keys; with --manifests give --client-ca instead"
    )]
    Tokens,
    #[error(
        "nobody could connect: there is neither an API server to verify tokens with nor a --client-ca"
    )]
    Nobody,
}

/// Why a control plane that was running ended. The caller has nothing to do but to start another one.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the messages say it; the fields are what and why"
)]
pub enum RunError {
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("a task of the control plane panicked: {0}")]
    Panicked(#[from] JoinError),
}

impl ControlPlane {
    /// Binds the listeners and finds the source. Nothing is read or served before [`ControlPlane::run`].
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let Config {
            listen,
            admin_listen,
            source,
            settings,
            security,
            replica,
        } = config;
        let (grpc, grpc_addr) = bind(listen, "gRPC (--listen)").await?;
        let admin = match admin_listen {
            Some(addr) => Some(bind(addr, "admin (--admin-listen)").await?),
            None => None,
        };
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::default());
        let origin = Origin::new(source).await?;
        let (gate, upkeep) = Gate::new(security, &origin, Arc::clone(&metrics)).await?;
        let (publisher, views) = Publisher::new(Arc::clone(&metrics));
        let (book, findings) = FindingBook::new(Arc::clone(&metrics));
        let sources = Sources::default();
        let output = Output::new(publisher, book, Arc::clone(&metrics), sources.clone());
        let discovery = Discovery::new(
            views.clone(),
            sources,
            Clients::new(&replica, views, Arc::clone(&metrics)),
            Arc::clone(&metrics),
            stop.clone(),
        );
        let (source, replicas) = origin.open(settings, output, &discovery, &replica, &gate)?;
        Ok(Self {
            grpc,
            grpc_addr,
            admin,
            gate,
            upkeep,
            source,
            replicas,
            discovery,
            findings,
            metrics,
            stop,
        })
    }

    /// Where data planes connect.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where probes and metrics are.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, addr)| *addr)
    }

    /// Watches, compiles and serves until `stop`, or until a part of it fails.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            grpc,
            grpc_addr: _,
            admin,
            gate,
            upkeep,
            source,
            replicas,
            discovery,
            findings,
            metrics,
            stop: inner,
        } = self;
        // Also where this is dropped: no client's task outlives it.
        let _ends = inner.clone().drop_guard();
        let readiness = Readiness::default();
        let health = HealthReporter::new();
        tell(&health, ServingStatus::NotServing).await;
        let mut tasks = JoinSet::new();
        upkeep.start(&readiness, &mut tasks, &inner);

        let token = readiness.task("snapshot");
        let ready = health.clone();
        let first = async move {
            tell(&ready, ServingStatus::Serving).await;
            drop(token);
        };
        let (balancer, factors) = Balancer::new(
            source.facts(),
            discovery.reports.clone(),
            replicas.peers.clone(),
            Arc::clone(&metrics),
        );
        let balancing = balancer.run(inner.clone());
        tasks.spawn(async move {
            balancing.await;
            Ok(())
        });
        let publishing = source.run(factors, first, inner.clone());
        tasks.spawn(async move { Ok(publishing.await?) });

        if let Some((listener, _)) = admin {
            let router = router(readiness, Arc::new(metrics.registry()), findings.clone());
            let serving = admin::serve(listener, router, inner.clone());
            tasks.spawn(async move {
                serving.await;
                Ok(())
            });
        }
        let Replicas {
            peers,
            leadership,
            reporter,
        } = replicas;
        if let Some(reporter) = reporter {
            let reporting = Box::pin(reporter.run(inner.clone()));
            tasks.spawn(async move {
                reporting.await;
                Ok(())
            });
        }
        let clients = discovery.tasks.clone();
        let status = StatusService {
            discovery,
            findings,
            peers,
            leadership,
        };
        tasks.spawn(serve_grpc(grpc, gate, status, health, inner.clone()));

        let result = join(tasks, &stop, &inner).await;
        clients.close();
        clients.wait().await;
        info!("control plane stopped");
        result
    }
}

async fn bind(addr: SocketAddr, what: &str) -> Result<(TcpListener, SocketAddr), ListenError> {
    let listener = listen::tcp(addr, what).await?;
    let bound = listener
        .local_addr()
        .map_err(|source| ListenError::new(what, addr, source))?;
    Ok((listener, bound))
}

/// Waits for the tasks; when the first one ends, or the caller wants it, the others are stopped.
async fn join(
    mut tasks: JoinSet<Result<(), RunError>>,
    stop: &CancellationToken,
    inner: &CancellationToken,
) -> Result<(), RunError> {
    let mut result = Ok(());
    while !tasks.is_empty() {
        let ended = tokio::select! {
            ended = tasks.join_next() => ended,
            () = stop.cancelled(), if !inner.is_cancelled() => {
                inner.cancel();
                continue;
            }
        };
        inner.cancel();
        let ended = match ended {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => Err(panic.into()),
            None => break,
        };
        if let Err(error) = &ended {
            error!(%error, "control plane fails");
        }
        result = result.and(ended);
    }
    result
}

#[cfg(test)]
mod tests;
