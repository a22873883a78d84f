//! Where a proxy is measured: a node in namespaces of its own, with a pod that serves and one that asks.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use meshlite_tests::{
    kube_proxy,
    process::{cpu_of, memory_mb_of, sibling},
    world::{Host, Process, World},
};
use tempfile::TempDir;
use tokio::{runtime::Handle, task::JoinSet};

use crate::{
    objects::NODE,
    scene::Scene,
    watch::{Mode, Proxy, Watch, pause},
};

const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);
/// Names under which a proxy tells of its passes: of all, and of those that only look at what has changed.
const PASSES: &str = "kubeproxy_sync_proxy_rules_duration_seconds";
const PARTIAL_PASSES: &str = "kubeproxy_sync_partial_proxy_rules_duration_seconds";

/// The node. Dropped, it is gone with all that was programmed.
pub(crate) struct Arena {
    world: World,
    folder: TempDir,
    _relays: Vec<JoinSet<()>>,
}

/// A proxy on it, and what it took to program everything.
pub(crate) struct Running {
    pub(crate) process: Process,
    started: Instant,
    /// From its start until the kernel had every Service.
    pub(crate) took: Duration,
    /// Its processor time until then, with that of the programs that it ran.
    pub(crate) cpu: Duration,
}

/// How long passes took by its own word, and how many there were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Syncs {
    pub(crate) seconds: f64,
    pub(crate) count: f64,
}

// === impl Arena ===

impl Arena {
    /// A node from which the control plane and the API server of the scene can be reached.
    pub(crate) fn new(runtime: &Handle, scene: &Scene) -> anyhow::Result<Self> {
        let world = World::new(&[2])?;
        let servers = [Some(scene.control_plane), scene.api_server];
        let servers = servers.into_iter().flatten();
        let relays = servers.map(|server| world.node(0).relay(runtime, server));
        let relays = relays.collect::<Result<_, _>>()?;
        let folder = tempfile::Builder::new()
            .prefix("meshlite-bench-")
            .tempdir()?;
        Ok(Self {
            world,
            folder,
            _relays: relays,
        })
    }

    pub(crate) fn node(&self) -> &Host {
        self.world.node(0)
    }

    /// The pod that answers for the last Service.
    pub(crate) fn server(&self) -> &Host {
        self.world.pod(0, 0)
    }

    pub(crate) fn client(&self) -> &Host {
        self.world.pod(0, 1)
    }

    /// Starts a proxy, and waits until all of the scene is in the kernel.
    pub(crate) fn start(&self, proxy: Proxy, scene: &Scene) -> anyhow::Result<Running> {
        if proxy.mode() == Mode::Userspace {
            // A process can only listen on addresses that are the host's.
            let routes = format!("route add local {} dev lo\n", crate::objects::SERVICES);
            self.node().ip_batch(&routes)?;
        }
        let mut watch = Watch::new(self.node(), proxy)?;
        let started = Instant::now();
        let process = match proxy {
            Proxy::Ours(mode) => self.start_ours(mode, scene)?,
            Proxy::KubeProxy(mode) => self.start_kube_proxy(mode, scene)?,
        };
        let all = watch.until_all(scene.size, &process);
        let all = all.with_context(|| process.log())?;
        let cpu = cpu_of(process.id().as_raw().cast_unsigned())?;
        let took = all.duration_since(started);
        Ok(Running {
            process,
            started,
            took,
            cpu,
        })
    }

    fn start_ours(&self, mode: Mode, scene: &Scene) -> anyhow::Result<Process> {
        let control_plane = format!(
            "--control-plane=http://127.0.0.1:{}",
            scene.control_plane.port()
        );
        let arguments = [
            "node",
            "--mode",
            mode.name(),
            "--node-name",
            NODE,
            &control_plane,
            "--log-level=warn",
        ];
        Ok(self.node().start(&sibling("meshlite")?, arguments)?)
    }

    fn start_kube_proxy(&self, mode: Mode, scene: &Scene) -> anyhow::Result<Process> {
        let kubeconfig = scene.kubeconfig.as_ref();
        let kubeconfig = kubeconfig.context("kube-proxy needs an API server")?;
        let config = kube_proxy::config(mode.name(), NODE, kubeconfig);
        let path = self.folder.path().join("kube-proxy.json");
        fs::write(&path, config.to_string())?;
        let config = format!("--config={}", path.display());
        Ok(self.node().start(&kube_proxy::program()?, [config])?)
    }

    /// Waits until its first pass is over: it may do more in it than is counted in the kernel.
    pub(crate) fn first_sync(&self) -> anyhow::Result<Duration> {
        let deadline = Instant::now() + Duration::from_mins(3);
        loop {
            match self.syncs() {
                Ok(syncs) if syncs.count > 0.0 => {
                    return Ok(Duration::from_secs_f64(syncs.seconds));
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Ok(_) if Instant::now() > deadline => bail!("its first pass does not end"),
                Ok(_) | Err(_) => pause(Duration::from_millis(100)),
            }
        }
    }

    /// How long its passes took so far.
    pub(crate) fn syncs(&self) -> anyhow::Result<Syncs> {
        self.passes(PASSES)
    }

    /// The same of passes because of changes. kube-proxy has no others in some modes: there all count.
    pub(crate) fn syncs_of_changes(&self, proxy: Proxy) -> anyhow::Result<Syncs> {
        match proxy {
            Proxy::Ours(_) => self.passes(PARTIAL_PASSES),
            Proxy::KubeProxy(_) => self.passes(PASSES),
        }
    }

    fn passes(&self, metric: &str) -> anyhow::Result<Syncs> {
        let (_, metrics) = self.node().get(METRICS, "/metrics")?;
        let sum_of = |suffix: &str| {
            let name = format!("{metric}_{suffix}");
            // Each pass counts for both families; there are Services in one.
            let lines = metrics.lines().filter(|line| !line.contains("IPv6"));
            let samples = lines.filter_map(|line| {
                let rest = line.strip_prefix(&name)?;
                rest.rsplit(' ').next()?.parse::<f64>().ok()
            });
            samples.sum::<f64>()
        };
        let is_there = metrics.contains(metric);
        ensure!(is_there, "there is no metric {metric}");
        Ok(Syncs {
            seconds: sum_of("sum"),
            count: sum_of("count"),
        })
    }
}

// === impl Running ===

impl Running {
    fn id(&self) -> u32 {
        self.process.id().as_raw().cast_unsigned()
    }

    /// How long it runs.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Its processor time so far.
    pub(crate) fn cpu_now(&self) -> anyhow::Result<Duration> {
        cpu_of(self.id())
    }

    /// Its resident memory, in MB: now, and the most so far.
    pub(crate) fn memory_mb(&self) -> anyhow::Result<(u64, u64)> {
        let of = |field| memory_mb_of(self.id(), field);
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }
}
