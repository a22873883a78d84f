//! The measurement itself, phase by phase.

mod beside;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use meshlite_tests::figures::{Figures, millis};
use tokio::time::{Instant, interval, sleep};

use crate::{
    changes::{OneByOne, QUIET, one_by_one},
    cluster::Cluster,
    fleet::{Fleet, token_file},
    keys::{TokenKey, write_certificates},
    server::Server,
    world::Size,
};

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Clients.
    pub(crate) streams: u32,
    /// Changes that are measured one by one.
    pub(crate) changes: u32,
    /// How long there are 100 changes a second.
    pub(crate) churn: Duration,
    /// Full data planes.
    pub(crate) nodes: u32,
}

impl Plan {
    pub(crate) const FULL: Self = Self {
        streams: 5_000,
        changes: 20,
        churn: Duration::from_mins(1),
        nodes: 20,
    };
    pub(crate) const QUICK: Self = Self {
        streams: 500,
        changes: 10,
        churn: Duration::from_secs(5),
        nodes: 2,
    };
}

const SIZE: Size = Size {
    services: 10_000,
    endpoints: 25,
    nodes: 5_000,
};
const CHANGES_A_SECOND: u32 = 100;

/// Everything that the phases share.
struct Bench {
    plan: Plan,
    key: TokenKey,
    cluster: Cluster,
    /// Certificates, tokens, and the log of all servers.
    folder: PathBuf,
    figures: Figures,
}

/// Measures, and prints a table and one line of JSON.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("meshlite-fanout-")
        .tempdir()?;
    let mut bench = Bench::prepare(plan, folder.path()).await?;
    let server = bench.start().await?;
    let mut fleet = Fleet::new(server.target(&bench.folder), plan.streams);
    bench.connect(&mut fleet, &server).await?;
    let ours = bench.one_change(&fleet, &server).await?;
    let commit = fleet.captured();
    bench.churn(&fleet, &server).await?;
    let server = bench.reconnect(&fleet, server).await?;
    bench.plaintext(&fleet, server).await?;
    drop(fleet);
    bench.floor(&commit, &ours).await?;
    bench.fewer_services().await?;
    bench.full_nodes().await?;
    let title = format!(
        "fanout: {} clients, {} Services, {} endpoints",
        plan.streams,
        SIZE.services,
        SIZE.services * SIZE.endpoints
    );
    Ok(bench.figures.print(&title, std::io::stdout().lock())?)
}

// === impl Bench ===

impl Bench {
    async fn prepare(plan: Plan, folder: &Path) -> anyhow::Result<Self> {
        write_certificates(folder)?;
        let key = TokenKey::generate()?;
        let tokens = folder.join("tokens");
        fs::create_dir(&tokens)?;
        for number in 0..plan.streams.max(plan.nodes) {
            fs::write(token_file(&tokens, number), key.token(number)?)?;
        }
        let mut figures = Figures::default();
        figures.add(
            "streams",
            plan.streams,
            "clients, each with a connection of its own, TLS and a token",
        );
        figures.add(
            "services",
            SIZE.services,
            "Services, each with one EndpointSlice",
        );
        let endpoints = SIZE.services * SIZE.endpoints;
        figures.add("endpoints", endpoints, "endpoints");
        Ok(Self {
            plan,
            cluster: Cluster::serve(SIZE, key.jwks(), folder).await?,
            key,
            folder: folder.to_owned(),
            figures,
        })
    }

    /// The first control plane.
    async fn start(&mut self) -> anyhow::Result<Server> {
        let server = Server::start(&self.folder, &self.cluster, true).await?;
        let compiled = server.metric("compile_duration_seconds_sum").await?;
        self.figures.add(
            "ready_ms",
            millis(server.started),
            "process start to ready: listed, compiled, published",
        );
        self.figures.add(
            "ready_cpu_ms",
            millis(server.process.cpu()?),
            "processor time of the server for that",
        );
        self.figures.add(
            "full_compile_ms",
            millis(Duration::from_secs_f64(compiled)),
            "the compiler, from nothing",
        );
        self.figures.add(
            "start_rss_mb",
            server.process.resident_mb()?,
            "server, before the first client",
        );
        Ok(server)
    }

    /// All clients connect and get everything.
    async fn connect(&mut self, fleet: &mut Fleet, server: &Server) -> anyhow::Result<()> {
        let (cpu, mut took) = (server.process.cpu()?, Duration::ZERO);
        let all = self.plan.streams;
        for streams in [all / 10, all / 2, all] {
            took += fleet.grow(streams).await?;
            sleep(QUIET).await;
            let resident = server.process.resident_mb()?;
            eprintln!("{streams} clients are in sync; the server holds {resident} MB");
            self.figures.add(
                &format!("rss_mb_{streams}_streams"),
                resident,
                "server, resident",
            );
        }
        let cpu = server.process.cpu()?.saturating_sub(cpu);
        let encoded = server
            .metric("commit_encode_duration_seconds_count")
            .await?;
        let encoding = server.metric("commit_encode_duration_seconds_sum").await?;
        let sent = server.metric("sent_bytes_total").await?;
        self.figures.add(
            "first_sync_seconds",
            seconds(took),
            "all clients connected and got everything",
        );
        self.figures.add(
            "first_sync_cpu_ms",
            millis(cpu),
            "processor time of the server for that",
        );
        self.figures.add(
            "first_sync_mb_per_client",
            (sent / f64::from(all) / 10_000.0).round() / 100.0,
            "everything, compressed",
        );
        self.figures.add(
            "first_sync_encodings",
            encoded,
            "how often that was encoded, for all clients",
        );
        self.figures.add(
            "full_encode_ms",
            millis(Duration::from_secs_f64(encoding / encoded.max(1.0))),
            "encoded and compressed once",
        );
        Ok(())
    }

    async fn one_change(&mut self, fleet: &Fleet, server: &Server) -> anyhow::Result<OneByOne> {
        let cluster = &mut self.cluster;
        let one = one_by_one(fleet, &server.process, self.plan.changes, async || {
            cluster.change()
        })
        .await?;
        self.figures.add(
            "one_change_p50_ms",
            one.p50,
            "one endpoint changed at the API server, to a client's ACK",
        );
        self.figures
            .add("one_change_p99_ms", one.p99, "the same, 99 of 100 clients");
        self.figures.add(
            "one_change_last_ms",
            one.last,
            "the same, the last client (mean over the changes)",
        );
        self.figures.add(
            "cpu_us_per_change",
            micros(one.cpu),
            "processor time of the server for one change, all clients together",
        );
        self.figures.add(
            "idle_cpu_ms_per_second",
            millis(one.idle),
            "processor time of the server when nothing changes: heartbeats (not in the line above)",
        );
        Ok(one)
    }

    async fn churn(&mut self, fleet: &Fleet, server: &Server) -> anyhow::Result<()> {
        sleep(QUIET).await;
        fleet.lags().clear();
        let (cpu, commits) = (
            server.process.cpu()?,
            server.metric("snapshot_generation").await?,
        );
        let mut ticks = interval(Duration::from_secs(1) / CHANGES_A_SECOND);
        let changes = u32::try_from(self.plan.churn.as_secs())? * CHANGES_A_SECOND;
        for _ in 0..changes {
            ticks.tick().await;
            self.cluster.change()?;
        }
        let (p50, p99) = (fleet.lags().percentile(50), fleet.lags().percentile(99));
        let cpu = server.process.cpu()?.saturating_sub(cpu) / changes;
        let commits = server.metric("snapshot_generation").await? - commits;
        eprintln!("{CHANGES_A_SECOND} changes a second: lag p50 {p50} ms, p99 {p99} ms");
        self.figures.add(
            "lag_100cps_p50_ms",
            p50,
            "100 changes a second: oldest change in a commit, to a client's ACK",
        );
        self.figures
            .add("lag_100cps_p99_ms", p99, "the same, 99 of 100 commits");
        self.figures.add(
            "cpu_us_100cps",
            micros(cpu),
            "processor time of the server for a change then, all clients together",
        );
        self.figures.add(
            "publications_100cps",
            commits,
            "how often these changes were published",
        );
        self.figures.add(
            "server_rss_mb",
            server.process.resident_mb()?,
            "server with all clients, after that",
        );
        self.figures.add(
            "server_peak_rss_mb",
            server.process.peak_mb()?,
            "the most that it ever had",
        );
        Ok(())
    }

    /// The server is killed, and all clients come to another one at once.
    async fn reconnect(&mut self, fleet: &Fleet, server: Server) -> anyhow::Result<Server> {
        sleep(QUIET).await;
        let next = Server::start(&self.folder, &self.cluster, true).await?;
        let (frames, cpu, bytes) = (fleet.frames(), next.process.cpu()?, loopback_bytes()?);
        fleet.move_to(next.target(&self.folder));
        let start = Instant::now();
        server.process.kill().await?;
        fleet.all().await?;
        let took = start.elapsed();
        let bytes = loopback_bytes()? - bytes;
        let (resent, cpu) = (
            fleet.frames() - frames,
            next.process.cpu()?.saturating_sub(cpu),
        );
        eprintln!(
            "reconnected in {} s with {} MB and {resent} resources",
            seconds(took),
            bytes / 1_000_000
        );
        self.figures.add(
            "reconnect_seconds",
            seconds(took),
            "a server was killed: until all are in sync with another",
        );
        self.figures.add(
            "reconnect_total_mb",
            bytes / 1_000_000,
            "bytes on the wire for that, both ways, TLS and TCP included",
        );
        self.figures.add(
            "reconnect_resources_resent",
            resent,
            "resources that were sent again",
        );
        self.figures.add(
            "reconnect_cpu_ms",
            millis(cpu),
            "processor time of the server for that",
        );
        Ok(next)
    }

    /// The same changes without TLS and tokens.
    async fn plaintext(&mut self, fleet: &Fleet, server: Server) -> anyhow::Result<()> {
        let next = Server::start(&self.folder, &self.cluster, false).await?;
        fleet.move_to(next.target(&self.folder));
        server.process.kill().await?;
        fleet.all().await?;
        let cluster = &mut self.cluster;
        let one = one_by_one(fleet, &next.process, self.plan.changes, async || {
            cluster.change()
        })
        .await?;
        self.figures.add(
            "plaintext_one_change_p99_ms",
            one.p99,
            "one endpoint changed, without TLS",
        );
        self.figures.add(
            "plaintext_cpu_us_per_change",
            micros(one.cpu),
            "processor time of the server for that",
        );
        self.figures.add(
            "plaintext_rss_mb",
            next.process.resident_mb()?,
            "server, resident",
        );
        Ok(())
    }
}

/// Bytes that went over the loopback interface of this network namespace since it is there, with the headers of all layers.
fn loopback_bytes() -> anyhow::Result<u64> {
    let interfaces = fs::read_to_string("/proc/self/net/dev")?;
    let counters = |line: &str| line.trim_start().strip_prefix("lo:").map(str::to_owned);
    let lo = interfaces.lines().find_map(counters);
    let lo = lo.context("there is no loopback interface")?;
    let received = lo.split_whitespace().next().context("it counts nothing")?;
    Ok(received.parse()?)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}
