//! The ingress as a whole: bind, then run until told to stop.

mod succession;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::Router;
use meshlite_proto::{
    cache::CacheError,
    standing::Observer,
    subscribe::{ClientConfig, Subscription, subscribe},
    v1,
};
use meshlite_runtime::{
    admin,
    listen::{self, ListenError},
    open_files,
    readiness::{Readiness, ReadyToken},
};
use meshlite_snapshot::Topic;
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    select,
    sync::{oneshot, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::succession::Succession;
use crate::{
    Config, access_log, admin as own_admin,
    install::{Bound, Installer},
    listen::{Shared, WorkerHandle},
    metrics::Metrics,
    policy::{Passwords, Taken},
    priority,
    table::{Builder, Table},
    takeover::{self, Holders, Predecessor},
    trace::Spans,
};

/// How often listeners that could not be bound are tried again.
const RETRY: Duration = Duration::from_secs(1);
const ADMIN: &str = "the ingress's admin server";

/// An ingress that is bound and does not serve yet.
#[derive(Debug)]
pub struct Ingress {
    config: Config,
    admin: Option<TcpListener>,
    predecessor: Option<Predecessor>,
    serving: CancellationToken,
}

/// Why an ingress cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The admin address cannot be bound.
    #[error(transparent)]
    Admin(#[from] ListenError),
    /// What may be an ingress to take over from cannot be reached.
    #[error("--takeover {}: {error}", path.display())]
    Takeover {
        /// Where it was looked for.
        path: PathBuf,
        /// Why it cannot be reached.
        error: io::Error,
    },
    /// No ingress could take over from this one.
    #[error(
        "--takeover {}: no socket can be made there: {error}; give a path in a folder that exists and that this user may write to (systemd: RuntimeDirectory=, Pod: a volume)",
        path.display()
    )]
    TakeoverSocket {
        /// Where it would be.
        path: PathBuf,
        /// Why it cannot be made.
        error: io::Error,
    },
    /// The last good snapshot, or its private keys, cannot be kept where it was asked for.
    #[error("{flag}: {0}", flag = flag(.0))]
    Cache(#[from] CacheError),
}

/// Why an ingress ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A worker thread could not be started.
    #[error("cannot start a worker thread: {0}")]
    Worker(#[source] io::Error),
    /// There is no TLS on this machine.
    #[error("cannot prepare TLS: {0}")]
    Tls(String),
    /// The collector of traces has no usable address.
    #[error("traces cannot be exported: {0}")]
    Tracing(String),
}

fn flag(error: &CacheError) -> &'static str {
    match error {
        CacheError::Folder { .. } => "--state-dir, --secrets-dir",
        CacheError::NotMemory { .. } => "--secrets-dir",
    }
}

impl Ingress {
    /// Binds the admin server. The listeners' own ports follow from the snapshot.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        if let Some(cache) = &config.cache {
            cache.check()?;
        }
        let predecessor = match &config.takeover {
            Some(path) => {
                takeover::check(path).map_err(|error| BindError::TakeoverSocket {
                    path: path.clone(),
                    error,
                })?;
                let found = Predecessor::find(path).await;
                found.map_err(|error| BindError::Takeover {
                    path: path.clone(),
                    error,
                })?
            }
            None => None,
        };
        let admin = match config.admin_listen {
            Some(address) => match listen::tcp(address, ADMIN).await {
                Ok(admin) => Some(admin),
                // It comes with the others.
                Err(ListenError::InUse { .. }) if predecessor.is_some() => None,
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        Ok(Self {
            config,
            admin,
            predecessor,
            serving: CancellationToken::new(),
        })
    }

    /// Cancelled once it serves, and the ingress that it takes over from may go.
    pub fn serving(&self) -> CancellationToken {
        self.serving.clone()
    }

    /// Where the admin server listens.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// Serves until `stop`, or until another ingress has taken over; then finishes what is under way for at most the
    /// drain timeout.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            config,
            admin,
            predecessor,
            serving,
        } = self;
        let stop = stop.child_token();
        let readiness = Readiness::default();
        open_files::raise_limit();
        let ready = ["first snapshot", "listeners"].map(|name| Some(readiness.task(name)));
        let Parts {
            shared,
            workers,
            mut installer,
            bound,
        } = start(config, Box::new(io::stdout()), &stop)?;
        priority::give_way();
        let subscription = subscribe(client(&shared.config), stop.child_token());
        let admin_stop = CancellationToken::new();
        let (give_admin, admin_given) = oneshot::channel();
        let mut succession = Succession {
            shared: Arc::clone(&shared),
            path: shared.config.takeover.clone(),
            holders: Holders {
                workers: workers
                    .iter()
                    .map(|worker| worker.commands.clone())
                    .collect(),
                admin: admin.as_ref().and_then(succession::copy),
            },
            admin: predecessor.is_some().then_some(give_admin),
            given_admin: None,
            predecessor,
            status: subscription.status(),
            provisional_since: None,
            serving,
            stop: stop.clone(),
        };
        let admin_server = shared.config.admin_listen.map(|address| {
            let mut registry = Registry::default();
            shared.metrics.register(&mut registry);
            let session = Observer::new(subscription.status());
            registry.register_collector(Box::new(own_admin::Scraped(session.clone())));
            let router =
                admin::router(readiness.clone(), Arc::new(registry)).merge(own_admin::routes(
                    session,
                    installer.installed(),
                    bound,
                    Arc::clone(&shared.table),
                ));
            let stop = admin_stop.clone();
            let socket = succession::admin_socket(address, admin, admin_given);
            tokio::spawn(serve_admin(socket, router, stop))
        });
        if succession.is_waiting() {
            installer.wait_for_sockets();
        }
        follow(&mut installer, subscription, &mut succession, ready, &stop).await;
        stop.cancelled().await;
        if shared.is_relieved.load(Ordering::Relaxed) {
            admin_stop.cancel();
        } else {
            // Never dropped: it does not become ready again.
            std::mem::forget(readiness.task("draining"));
        }
        drop(succession);
        drained(workers).await;
        if let Some(spans) = &shared.spans {
            spans.flush().await;
        }
        info!("ingress stopped");
        admin_stop.cancel();
        if let Some(server) = admin_server
            && let Err(error) = server.await
        {
            warn!(%error, "the admin server panicked");
        }
        Ok(())
    }
}

/// Serves on a socket once it is there.
async fn serve_admin(
    socket: impl Future<Output = Result<TcpListener, ListenError>>,
    router: Router,
    stop: CancellationToken,
) {
    match socket.await {
        Ok(socket) => admin::serve(socket, router, stop).await,
        Err(error) => warn!(%error, "there is no admin server"),
    }
}

/// Waits until every worker has finished what was under way.
async fn drained(workers: Vec<WorkerHandle>) {
    let mut cut_off = 0;
    for worker in workers {
        cut_off += worker.drained.await.map_or(0, |drained| drained.cut_off);
    }
    if cut_off > 0 {
        warn!(cut_off, "connections were cut off at the drain timeout");
    }
}

/// An ingress without its subscription and admin server.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Vec<WorkerHandle>,
    pub(crate) installer: Installer,
    pub(crate) bound: watch::Receiver<Bound>,
}

/// Starts the workers, which serve nothing until something is installed.
///
/// The access log goes to `output`.
pub(crate) fn start(
    config: Config,
    output: Box<dyn io::Write + Send>,
    stop: &CancellationToken,
) -> Result<Parts, RunError> {
    let count = match config.workers {
        Some(workers) => workers.get(),
        None => available_parallelism().map_or(1, usize::from),
    };
    let metrics = Arc::new(Metrics::new(count));
    let table = Arc::new(ArcSwap::from_pointee(Table::default()));
    let builder = Builder::new(Arc::clone(&table), Arc::clone(&metrics))
        .map_err(|error| RunError::Tls(error.to_string()))?;
    let log_writer = match config.access_log {
        Some(_) => Some(access_log::start_writer(output).map_err(RunError::Worker)?),
        None => None,
    };
    let spans = match &config.tracing {
        Some(tracing) => {
            let spans = Spans::start(tracing, metrics.spans_dropped.clone());
            Some(spans.map_err(|error| RunError::Tracing(error.to_string()))?)
        }
        None => None,
    };
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|error| RunError::Tls(error.to_string()))?;
    let shared = Arc::new(Shared {
        config,
        metrics,
        table,
        taken: Taken::new(Instant::now()),
        passwords: Passwords::new(&secret, count),
        is_relieved: AtomicBool::new(false),
        spans,
        log_writer,
    });
    let spawn = |index| WorkerHandle::spawn(Arc::clone(&shared), index, stop.clone());
    let workers: Vec<_> = (0..count)
        .map(spawn)
        .collect::<Result<_, _>>()
        .map_err(RunError::Worker)?;
    let commands = workers
        .iter()
        .map(|worker| worker.commands.clone())
        .collect();
    let (report, bound) = watch::channel(Bound::new());
    let installer = Installer::new(Arc::clone(&shared), builder, commands, report);
    Ok(Parts {
        shared,
        workers,
        installer,
        bound,
    })
}

/// Installs one commit after another. Ready after the first, if a listener of it could be bound.
async fn follow(
    installer: &mut Installer,
    mut subscription: Subscription,
    succession: &mut Succession,
    [mut installed, mut listening]: [Option<ReadyToken>; 2],
    stop: &CancellationToken,
) {
    let mut retry = interval(RETRY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let commit = select! {
            biased;
            () = stop.cancelled() => return,
            commit = subscription.next() => commit,
            _ = retry.tick(), if installer.is_waiting() => {
                let may_be_offered = if succession.is_waiting() {
                    succession.is_due()
                } else {
                    installer.can_bind()
                };
                if may_be_offered {
                    subscription.retry();
                }
                continue;
            }
        };
        let Some(mut commit) = commit else {
            return;
        };
        succession.meet(&commit, installer).await;
        installer.install(&mut commit).await;
        if commit.provisional() {
            warn!("what is served comes from disk, until a control plane confirms it");
        }
        commit.acknowledge();
        drop(installed.take());
        if installer.serves() {
            drop(listening.take());
            succession.serve(installer).await;
        }
    }
}

fn client(config: &Config) -> ClientConfig {
    let id = format!("{}-ingress-{:08x}", config.node_name, fastrand::u32(..));
    ClientConfig {
        endpoints: config.control_plane.clone(),
        identity: v1::ClientIdentity {
            id,
            node_name: config.node_name.clone(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            ..v1::ClientIdentity::default()
        },
        role: v1::Role::Ingress,
        topics: Topic::INGRESS.to_vec(),
        security: config.security.clone(),
        cache: config.cache.clone(),
    }
}
