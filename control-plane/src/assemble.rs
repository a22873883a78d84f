//! Puts a control plane together: the only place that starts tasks, and waits for them to end.

mod gate;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use meshlite_compile::Settings;
use meshlite_kubernetes::{Client, ConnectError, Leadership, TrustStore};
use meshlite_proto::v1::{FILE_DESCRIPTOR_SET, snapshot_status_server::SnapshotStatusServer};
use meshlite_runtime::{
    admin,
    listen::{self, ListenError},
    readiness::Readiness,
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{JoinError, JoinSet},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{server::NamedService as _, transport::Server};
use tonic_health::{ServingStatus, pb as health_pb, server::HealthReporter};
use tracing::{Instrument, error, info, info_span};

pub(crate) use self::gate::Gate;

use self::gate::Upkeep;
use crate::{
    Config, SourceConfig,
    admin::router,
    findings::{FindingBook, Findings},
    metrics::Metrics,
    peers::Peers,
    pipeline::{FilePipeline, Output, Source},
    publish::Publisher,
    status::StatusService,
    stream::{Clients, Discovery},
    tls::{Store, accept},
    watch::{
        Sources,
        files::{AllocationStore, Reader},
    },
};

/// HTTP/2 pings, so that a peer that is gone is noticed.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take until its answer begins.
const ANSWER: Duration = Duration::from_secs(30);
/// Calls at the same time on a connection. A data plane makes one, a person who looks a few.
const MAX_STREAMS: u32 = 128;
/// Headers of a call, in bytes: a token of 8 KiB, and what grpcurl adds.
const MAX_HEADERS: u32 = 16 * 1024;
/// What a client may send before it is read, in bytes.
const WINDOW: u32 = 64 * 1024;
/// The largest question of a person or tool, in bytes.
const MAX_QUESTION: usize = 64 * 1024;
/// Connections that wait to be served.
const ACCEPTED: usize = 64;
/// How long connections may stay open after stop. Clients have a second to read that they should leave.
const DRAIN: Duration = Duration::from_secs(2);

/// The services whose health is told, with that of the server as a whole.
const HEALTH: [&str; 3] = [
    "",
    Discovery::NAME,
    SnapshotStatusServer::<StatusService>::NAME,
];

/// A control plane whose listeners are bound and whose source was found.
#[derive(Debug)]
pub struct ControlPlane {
    grpc: TcpListener,
    grpc_addr: SocketAddr,
    admin: Option<(TcpListener, SocketAddr)>,
    gate: Gate,
    upkeep: Upkeep,
    source: Source,
    discovery: Discovery,
    findings: Findings,
    replica: String,
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
    #[error("gRPC server: {0}")]
    Grpc(#[from] tonic::transport::Error),
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("admin server: {0}")]
    Admin(#[source] io::Error),
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
        let (client, store) = shared(&source).await?;
        let (grpc, grpc_addr) = bind(listen, "gRPC (--listen)").await?;
        let admin = match admin_listen {
            Some(addr) => Some(bind(addr, "admin (--admin-listen)").await?),
            None => None,
        };
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::default());
        let (gate, upkeep) =
            Gate::new(security, store, client.clone(), Arc::clone(&metrics)).await?;
        let (publisher, views) = Publisher::new(Arc::clone(&metrics));
        let (book, findings) = FindingBook::new(Arc::clone(&metrics));
        let sources = Sources::default();
        let output = Output::new(publisher, book, Arc::clone(&metrics), sources.clone());
        let source = open(source, settings, output).await?;
        Ok(Self {
            grpc,
            grpc_addr,
            admin,
            gate,
            upkeep,
            source,
            discovery: Discovery::new(
                views.clone(),
                sources,
                Clients::new(&replica, views, Arc::clone(&metrics)),
                Arc::clone(&metrics),
                stop.clone(),
            ),
            findings,
            replica,
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
            discovery,
            findings,
            replica,
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
        let publishing = source.run(first, inner.clone());
        tasks.spawn(async move { Ok(publishing.await?) });

        if let Some((listener, _)) = admin {
            let router = router(readiness, Arc::new(metrics.registry()), findings.clone());
            let serving = admin::serve(listener, router, inner.clone());
            tasks.spawn(async move { serving.await.map_err(RunError::Admin) });
        }
        let clients = discovery.tasks.clone();
        let status = StatusService {
            // Nobody else serves these files, and nothing is written back to them.
            peers: Peers::none(discovery.clients.clone(), &replica),
            leadership: Leadership::none(),
            discovery,
            findings,
        };
        tasks.spawn(serve_grpc(grpc, gate, status, health, inner.clone()));

        let result = join(tasks, &stop, &inner).await;
        clients.close();
        clients.wait().await;
        info!("control plane stopped");
        result
    }
}

/// A client of the API server, where there is one, and where our CA is kept.
async fn shared(config: &SourceConfig) -> Result<(Option<Client>, Store), BindError> {
    Ok(match config {
        SourceConfig::Files { state_dir, .. } => {
            (None, state_dir.clone().map_or(Store::Memory, Store::Folder))
        }
        SourceConfig::Kubernetes(config) => {
            let client = config.connection.client().await?;
            let store = TrustStore::new(client.clone(), &config.namespace, "meshlite-ca");
            (Some(client), Store::Kubernetes(store))
        }
    })
}

/// Finds the source.
async fn open(
    config: SourceConfig,
    settings: Settings,
    output: Output,
) -> Result<Source, BindError> {
    let (manifests, state_dir, admit, pods) = match config {
        SourceConfig::Files {
            manifests,
            state_dir,
            admit,
            pods,
        } => (manifests, state_dir, admit, pods),
        SourceConfig::Kubernetes(config) => {
            let client = config.connection.client().await?;
            return Ok(Source::cluster(client, &config, settings, output));
        }
    };
    let reader = Reader::open(&manifests).map_err(|error| BindError::Manifests {
        path: manifests,
        error,
    })?;
    let allocations =
        AllocationStore::open(state_dir.as_deref()).map_err(|error| BindError::StateDir {
            path: state_dir.unwrap_or_default(),
            error,
        })?;
    let pipeline = FilePipeline::new(settings, admit, pods, allocations, output);
    Ok(Source::Files {
        reader,
        pipeline: Box::new(pipeline),
    })
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

pub(crate) async fn serve_grpc(
    listener: TcpListener,
    gate: Gate,
    status: StatusService,
    health: HealthReporter,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let discovery = status.discovery.clone();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(health_pb::FILE_DESCRIPTOR_SET)
    };
    let health_service = tonic_health::server::HealthService::from_health_reporter(health.clone());
    let stopped = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tell(&health, ServingStatus::NotServing).await;
        }
    };
    let (ready, incoming) = mpsc::channel(ACCEPTED);
    let accepting = accept(listener, gate.shown, Arc::clone(&discovery.metrics), ready);
    let serving = server()
        .layer(gate.access)
        .add_service(discovery)
        .add_service(SnapshotStatusServer::new(status).max_decoding_message_size(MAX_QUESTION))
        .add_service(health_pb::health_server::HealthServer::new(health_service))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped)
        .instrument(info_span!("grpc"));
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let serving = async { tokio::join!(serving, accepting).0 };
    tokio::select! {
        served = serving => Ok(served?),
        () = overdue => Ok(()),
    }
}

/// Streams are few and long, and clients send little: windows are small, so that no client can make us keep much.
fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .timeout(ANSWER)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_adaptive_window(Some(false))
}

async fn tell(health: &HealthReporter, status: ServingStatus) {
    for service in HEALTH {
        health.set_service_status(service, status).await;
    }
}

#[cfg(test)]
mod tests;
