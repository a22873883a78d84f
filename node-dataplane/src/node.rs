//! The node data plane as a whole: bind, then run until told to stop.

mod leftovers;

use std::{io, net::SocketAddr, sync::Arc};

use axum::Router;
use ipnet::IpNet;
use meshlite_proto::{
    cache::CacheError,
    standing::Observer,
    subscribe::{ClientConfig, Subscription, subscribe},
    v1::{ClientIdentity, Role},
};
use meshlite_runtime::{
    listen::{self, ListenError},
    readiness::Readiness,
};
use meshlite_snapshot::{Snapshot, Topic};
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use crate::{
    Config, ModeError,
    admin::{self, About},
    clock,
    facts::{self, Facts},
    health::{self, HealthState},
    health_checks::HealthChecks,
    host::watch::Watch,
    init,
    kernel::{
        Kernel, KernelError,
        ipvs::{self, Ipvs},
        localhost::Localhost,
        memory::Memory,
        nftables::Nftables,
        userspace::{Context, Userspace},
    },
    kube_proxy,
    metrics::Metrics,
    mode::{self, Backend, Choice},
    program::{Parts, Program, run::Runner},
};

/// UDP flows of one address: each holds a socket.
const MAX_UDP_FLOWS: usize = 4096;

/// A node data plane that is bound and does not serve yet. It follows the control plane already, and programs nothing.
#[derive(Debug)]
pub struct Node {
    config: Config,
    choice: Choice,
    metrics: Option<TcpListener>,
    health: Option<TcpListener>,
    subscription: Subscription,
    following: DropGuard,
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
    /// The last good snapshot cannot be kept where it was asked for.
    #[error("--state-dir: {0}")]
    Cache(#[from] CacheError),
}

/// Why a node data plane ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What programs the kernel does not start.
    #[error("the kernel cannot be used: {0}")]
    Kernel(String),
    /// This host does not say its addresses.
    #[error("this host's addresses cannot be read: {0}")]
    Addresses(#[source] io::Error),
}

// === impl RunError ===

impl From<KernelError> for RunError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error.to_string())
    }
}

// === impl Node ===

impl Node {
    /// Chooses the kernel and binds the servers for metrics and health. Virtual addresses follow from the snapshot.
    pub async fn bind(mut config: Config) -> Result<Self, BindError> {
        if let Some(cache) = &config.cache {
            cache.check()?;
        }
        if config.node_name.is_empty() {
            config.node_name = facts::host_name().map_err(BindError::NodeName)?;
        }
        // A dry run can stand beside what it would replace: it takes no port.
        let (metrics, health) = if config.dry_run {
            (None, None)
        } else {
            (config.metrics_listen, config.health_listen)
        };
        let metrics = bind(metrics, "node metrics (--metrics-bind-address)").await?;
        let health = bind(health, "node health (--healthz-bind-address)").await?;
        // To try the kernel takes about as long as to connect and to read a snapshot: they go on side by side.
        let following = CancellationToken::new();
        let subscription = subscribe(client(&config), following.clone());
        let following = following.drop_guard();
        let choice = mode::choose(&config)?;
        Ok(Self {
            config,
            choice,
            metrics,
            health,
            subscription,
            following,
        })
    }

    /// Where metrics are served; nowhere in a dry run.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Where health is served; nowhere in a dry run.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref()?.local_addr().ok()
    }

    /// The name of the node that is served.
    pub fn node_name(&self) -> &str {
        &self.config.node_name
    }

    /// Serves until `stop`. Connections that this process carries itself end with it.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        match self.choice.backend {
            Backend::Memory => {
                Box::pin(self.program(Memory::default(), Metrics::new(), stop)).await
            }
            Backend::Ipvs => {
                init::sysctls(&self.config, true);
                let options = ipvs::Options::from(&self.config);
                let schedulers = self.choice.schedulers.clone();
                let kernel = Ipvs::start(options, schedulers)?;
                self.carry(kernel, stop).await
            }
            Backend::Nftables => {
                init::sysctls(&self.config, false);
                let kernel = Nftables::start()?;
                self.carry(kernel, stop).await
            }
            Backend::Userspace => {
                let metrics = Metrics::new();
                let proxy = self.proxy(&metrics.0, &stop);
                Box::pin(self.program(proxy, metrics, stop)).await
            }
        }
    }

    /// Runs the loop on a kernel that leaves out loopback, which is served from user space where that is asked for.
    async fn carry<K: Kernel>(self, kernel: K, stop: CancellationToken) -> Result<(), RunError> {
        let metrics = Metrics::new();
        if !self.config.localhost_node_ports {
            return Box::pin(self.program(kernel, metrics, stop)).await;
        }
        let proxy = self.proxy(&metrics.0, &stop);
        let kernel = Localhost::new(kernel, proxy, self.config.drain_timeout);
        Box::pin(self.program(kernel, metrics, stop)).await
    }

    fn proxy(&self, metrics: &Metrics, stop: &CancellationToken) -> Userspace {
        Userspace::new(Context {
            low_port_offset: self.config.low_port_offset,
            loopback_only: self.config.loopback_only,
            udp_idle_timeout: self.config.udp_idle_timeout,
            max_udp_flows: MAX_UDP_FLOWS,
            traffic: metrics.traffic.clone(),
            stop: stop.clone(),
        })
    }

    /// Runs the loop and the servers around it.
    async fn program<K: Kernel>(
        self,
        kernel: K,
        (metrics, mut registry): (Metrics, Registry),
        stop: CancellationToken,
    ) -> Result<(), RunError> {
        let config = self.config;
        let is_kernel = !matches!(self.choice.backend, Backend::Userspace | Backend::Memory);
        let readiness = Readiness::default();
        let ready = readiness.task("snapshot");
        let parts = Parts {
            kernel,
            facts: Facts {
                node_name: config.node_name.clone(),
                local_addresses: facts::local_addresses().map_err(RunError::Addresses)?,
                node_port_ranges: node_port_ranges(&config),
                node_port_primary: config.node_port_primary,
                loopback_node_ports: !is_kernel,
                masquerade_all: config.masquerade_all,
                detect_local: config.detect_local.clone(),
                scheduler: config.scheduler,
            },
            drain_timeout: config.drain_timeout,
            sync_period: config.sync_period,
            check_endpoints: config.check_endpoints && !config.dry_run,
            metrics: metrics.clone(),
            printer: config
                .dry_run
                .then(|| Box::new(io::stdout()) as Box<dyn io::Write + Send>),
        };
        // To be found before anything is programmed.
        let leftovers = leftovers::find(self.choice.backend, &config).await;
        let program = Program::new(parts);
        let mode = program.name();
        info!(
            mode,
            why = self.choice.why,
            node = config.node_name,
            "Using {mode} Proxier"
        );
        let _ends_all = stop.clone().drop_guard();
        let (subscription, following) = (self.subscription, self.following);
        let follow = async {
            stop.cancelled().await;
            drop(following);
        };
        let health = HealthState::new(config.sync_period);
        let (queries, asked) = mpsc::channel(16);
        let (snapshot, installed) = watch::channel(Snapshot::default());
        let session = Observer::new(subscription.status());
        registry.register_collector(Box::new(admin::Scraped(session.clone())));
        let registry = Arc::new(registry);
        let about = About {
            mode,
            configz: kube_proxy::configz(&config),
        };
        let admin = admin::router(about, readiness, registry, session, installed, queries);
        let probes = health::router(health.clone(), metrics.probes.clone());
        let runner = Runner {
            program,
            subscription,
            queries: asked,
            snapshot,
            health_checks: (self.choice.backend != Backend::Memory)
                .then(|| HealthChecks::new(health.clone(), stop.clone())),
            health,
            unbound: Vec::new(),
            watch: is_kernel.then(|| Watch::new(&config, metrics)),
            noticed: Vec::new(),
            leftovers,
            sync_period: config.sync_period,
            min_sync_period: config.min_sync_period,
            started_at: clock::now(),
            ready: Some(ready),
        };
        tokio::join!(
            runner.run(stop.clone()),
            follow,
            serve(self.metrics, admin, stop.clone()),
            serve(self.health, probes, stop.clone()),
        );
        Ok(())
    }
}

/// Where node ports are served; loopback has to be said where nothing else may be.
fn node_port_ranges(config: &Config) -> Vec<IpNet> {
    let ranges = config.node_port_addresses.clone();
    if ranges.is_empty() && config.loopback_only {
        return facts::LOOPBACK.to_vec();
    }
    ranges
}

async fn bind(addr: Option<SocketAddr>, what: &str) -> Result<Option<TcpListener>, ListenError> {
    match addr {
        Some(addr) => listen::tcp(addr, what).await.map(Some),
        None => Ok(None),
    }
}

fn client(config: &Config) -> ClientConfig {
    let node_name = &config.node_name;
    ClientConfig {
        endpoints: config.control_plane.clone(),
        identity: ClientIdentity {
            id: format!("{node_name}-node-{:08x}", fastrand::u32(..)),
            node_name: node_name.to_owned(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            ..ClientIdentity::default()
        },
        role: Role::L4Node,
        topics: Topic::NODE.to_vec(),
        security: config.security.clone(),
        cache: config.cache.clone(),
    }
}

async fn serve(listener: Option<TcpListener>, router: Router, stop: CancellationToken) {
    if let Some(listener) = listener {
        meshlite_runtime::admin::serve(listener, router, stop).await;
    }
}

#[cfg(test)]
mod tests;
