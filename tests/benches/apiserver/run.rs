//! The phases of the benchmark, and what each adds to its figures.

use std::time::Duration;

use meshlite_tests::figures::{Figures, median, millis};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    cluster::{Cluster, Size},
    follower::Follower,
    objects::ENDPOINTS,
    replica::{Replica, Start, Starter},
};

/// Longer than the control plane waits for more changes after one.
const QUIET: Duration = Duration::from_millis(300);
/// How long a control plane that became ready is left alone, until its memory is that of its everyday life.
const SETTLE: Duration = Duration::from_secs(5);

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    size: Size,
    /// Starts of which the median counts.
    starts: u32,
    /// Changes one by one.
    changes: u32,
}

impl Plan {
    pub(crate) const FULL: Self = Self {
        size: Size {
            services: 10_000,
            nodes: 5_000,
        },
        starts: 3,
        changes: 20,
    };
    pub(crate) const QUICK: Self = Self {
        size: Size {
            services: 1_000,
            nodes: 500,
        },
        starts: 1,
        changes: 10,
    };
}

/// Everything that the phases share.
struct Bench {
    plan: Plan,
    cluster: Cluster,
    starter: Starter,
    folder: TempDir,
    /// Slices that were changed so far.
    changed: u32,
    figures: Figures,
}

/// Measures, and prints a table and one line of JSON.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    let mut bench = Bench::prepare(plan).await?;
    let replica = bench.starts().await?;
    bench.cluster.credentials(bench.folder.path()).await?;
    let folder = bench.folder.path();
    let mut follower = Follower::connect(folder, replica.grpc, plan.size.services).await?;
    bench.changes(&mut follower).await?;
    bench.api_server_restarts(&mut follower, &replica).await?;
    let replica = bench.replica_restarts(&mut follower, replica).await?;
    drop(follower);
    replica.process.kill().await?;
    bench.paged().await?;
    let title = format!(
        "apiserver: {} Services, {} endpoints, {} Nodes in a real API server",
        plan.size.services,
        plan.size.services * ENDPOINTS,
        plan.size.nodes
    );
    Ok(bench.figures.print(&title, std::io::stdout().lock())?)
}

// === impl Bench ===

impl Bench {
    async fn prepare(plan: Plan) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("meshlite-apiserver-")
            .tempdir()?;
        let cluster = Cluster::start().await?;
        let took = cluster.fill(plan.size).await?;
        eprintln!("the cluster was filled in {took:?}");
        let starter = Starter::new(cluster.api.kubeconfig(), folder.path())?;
        let mut bench = Self {
            plan,
            cluster,
            starter,
            folder,
            changed: 0,
            figures: Figures::default(),
        };
        let Size { services, nodes } = plan.size;
        let mut add = |key: &str, value: u32, meaning: &str| bench.figures.add(key, value, meaning);
        add(
            "services",
            services,
            "Services, each with one EndpointSlice",
        );
        add("endpoints", services * ENDPOINTS, "endpoints");
        add("nodes", nodes, "Nodes");
        bench.figures.add(
            "load_seconds",
            seconds(took),
            "all of it created in the API server, one by one",
        );
        Ok(bench)
    }

    /// Control planes from nothing, one after the other. The last one goes on.
    async fn starts(&mut self) -> anyhow::Result<Replica> {
        let mut starts = Vec::new();
        let (mut replica, first) = self.starter.start().await?;
        starts.push(first);
        for _ in 1..self.plan.starts {
            replica.process.kill().await?;
            let (next, start) = self.starter.start().await?;
            starts.push(start);
            replica = next;
        }
        eprintln!("ready: {starts:#?}");
        self.add_starts("", &starts);
        sleep(SETTLE).await;
        let settled = replica.process.resident_mb()?;
        self.figures.add(
            "settled_rss_mb",
            settled,
            "its resident memory a few seconds later",
        );
        Ok(replica)
    }

    fn add_starts(&mut self, prefix: &str, starts: &[Start]) {
        let of = |time: fn(&Start) -> Duration| millis(median(starts.iter().map(time).collect()));
        let most = |value: fn(&Start) -> u64| starts.iter().map(value).max().unwrap_or_default();
        let mut add = |key: &str, value: serde_json::Value, meaning: &str| {
            self.figures.add(&format!("{prefix}{key}"), value, meaning);
        };
        add(
            "ready_ms",
            of(|start| start.took).into(),
            "control plane, process start to ready: listed, compiled, published",
        );
        add(
            "ready_cpu_ms",
            of(|start| start.cpu).into(),
            "its CPU for that",
        );
        add(
            "ready_read_mb",
            (most(|start| start.bytes) / 1_000_000).into(),
            "bytes over the loopback for that, TLS and TCP included",
        );
        add(
            "rss_mb",
            most(|start| start.resident_mb).into(),
            "its resident memory then",
        );
        add(
            "peak_rss_mb",
            most(|start| start.peak_mb).into(),
            "the most that it had until then",
        );
    }

    /// Changes another endpoint than last time, and returns when the client has it, with the time that the API server took.
    async fn change(&mut self, follower: &mut Follower) -> anyhow::Result<(Duration, Duration)> {
        let services = self.plan.size.services;
        let (number, is_ready) = (self.changed % services, self.changed / services % 2 == 1);
        self.changed += 1;
        let started = Instant::now();
        let patch = async {
            self.cluster.set_ready(number, is_ready).await?;
            anyhow::Ok(started.elapsed())
        };
        let (patched, seen) = tokio::try_join!(patch, async {
            follower.changed(number).await?;
            Ok(started.elapsed())
        })?;
        Ok((patched, seen))
    }

    async fn changes(&mut self, follower: &mut Follower) -> anyhow::Result<()> {
        let (mut patched, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.changes {
            sleep(QUIET).await;
            let (by_server, by_client) = self.change(follower).await?;
            patched.push(by_server);
            seen.push(by_client);
        }
        let slowest = seen.iter().max().copied().unwrap_or_default();
        let mut add = |key: &str, value: Duration, meaning: &str| {
            self.figures.add(key, millis(value), meaning);
        };
        add(
            "change_p50_ms",
            median(seen),
            "one EndpointSlice patched, until a client has it (median)",
        );
        add("change_max_ms", slowest, "the same, the slowest");
        add(
            "patch_p50_ms",
            median(patched),
            "what of it passes until the API server has answered",
        );
        Ok(())
    }

    /// The API server is killed and comes back; nothing is taken away meanwhile.
    async fn api_server_restarts(
        &mut self,
        follower: &mut Follower,
        replica: &Replica,
    ) -> anyhow::Result<()> {
        self.cluster.api.stop_api_server();
        self.cluster.api.start_api_server().await?;
        let (_, seen) = self.change(follower).await?;
        let cpu = replica.process.cpu()?;
        self.figures.add(
            "api_restart_ms",
            millis(seen),
            "API server restarted: from its being ready until a client has a change",
        );
        sleep(SETTLE).await;
        let (again, most) = (
            replica.process.cpu()?.saturating_sub(cpu),
            replica.process.peak_mb()?,
        );
        eprintln!("after the API server's restart: CPU {again:?}");
        self.figures.add(
            "api_restart_peak_rss_mb",
            most,
            "the control plane's most memory, with that",
        );
        Ok(())
    }

    /// The control plane is killed, and another one takes its place.
    async fn replica_restarts(
        &mut self,
        follower: &mut Follower,
        replica: Replica,
    ) -> anyhow::Result<Replica> {
        let started = Instant::now();
        replica.process.kill().await?;
        let (next, _) = self.starter.start().await?;
        self.change(follower).await?;
        self.figures.add(
            "restart_ms",
            millis(started.elapsed()),
            "control plane killed and started: until its client has a change made then",
        );
        Ok(next)
    }

    /// The same start where the API server does not stream lists, so that they come in pages.
    async fn paged(&mut self) -> anyhow::Result<()> {
        let api = &mut self.cluster.api;
        api.stop_api_server();
        api.set_arguments(&["--feature-gates=WatchList=false"]);
        api.start_api_server().await?;
        let (replica, start) = self.starter.start().await?;
        replica.process.kill().await?;
        self.add_starts("paged_", &[start]);
        Ok(())
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
