//! The measurement itself, phase by phase.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use meshlite_tests::figures::{Figures, millis};
use tokio::time::{Instant, interval, sleep};

use crate::{
    api::Api,
    fleet::{Fleet, Target, token_file},
    floor,
    keys::{AUDIENCE, TokenKey, write_certificates},
    nodes::Nodes,
    process::{Process, free_port, get, sibling, wait_until_ready},
    wall_clock,
    world::Size,
};

/// Longer than the control plane lets pass between two publications when it was idle.
const QUIET: Duration = Duration::from_millis(1_500);

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
        changes: 8,
        churn: Duration::from_secs(10),
        nodes: 5,
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
    api: Api,
    folder: PathBuf,
    kubeconfig: PathBuf,
    /// Slices that were changed so far.
    changed: u32,
    figures: Figures,
}

/// What one change after the other cost.
struct OneByOne {
    p50: u64,
    p99: u64,
    cpu: Duration,
}

/// A control plane and its ports.
struct Server {
    process: Process,
    grpc: u16,
    admin: u16,
}

/// Measures, and prints a table and one line of JSON.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("meshlite-fanout-")
        .tempdir()?;
    let mut bench = Bench::prepare(plan, folder.path()).await?;
    let (server, started) = bench.start(true).await?;
    bench.figures.add(
        "streams",
        plan.streams,
        "clients, each with a connection of its own, TLS and a token",
    );
    bench.figures.add(
        "services",
        SIZE.services,
        "Services, each with one EndpointSlice",
    );
    bench
        .figures
        .add("endpoints", SIZE.services * SIZE.endpoints, "endpoints");
    bench.figures.add(
        "ready_ms",
        millis(started),
        "process start to ready: listed, compiled, published",
    );
    bench.figures.add(
        "full_compile_ms",
        compile_millis(server.admin).await?,
        "the compiler, from nothing",
    );
    bench.figures.add(
        "start_rss_mb",
        server.process.resident_mb()?,
        "server, before the first client",
    );

    let mut fleet = Fleet::new(bench.target(&server, true), plan.streams);
    bench.connect(&mut fleet, &server).await?;
    let ours = bench.one_by_one(&fleet, &server.process).await?;
    bench.figures.add(
        "one_change_p50_ms",
        ours.p50,
        "one endpoint changed, to a client's ACK",
    );
    bench
        .figures
        .add("one_change_p99_ms", ours.p99, "the same, 99 of 100 clients");
    bench.figures.add(
        "cpu_us_per_change",
        micros(ours.cpu),
        "server CPU for one change, all clients together",
    );
    bench.churn(&fleet, &server).await?;
    let commit = fleet.captured();
    let server = bench.reconnect(&fleet, server).await?;
    bench.plaintext(&fleet, server).await?;
    drop(fleet);
    bench.floor(&commit, &ours).await?;
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
        for number in 0..plan.streams {
            fs::write(token_file(&tokens, number), key.token(number)?)?;
        }
        let api = Api::new(SIZE, key.jwks());
        let addr = api.serve().await?;
        let kubeconfig = folder.join("kubeconfig");
        fs::write(
            &kubeconfig,
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: bench\nclusters: [{{name: bench, cluster: {{server: 'http://{addr}'}}}}]\n\
             contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]\nusers: [{{name: bench, user: {{}}}}]\n"
            ),
        )?;
        let (folder, changed, figures) = (folder.to_owned(), 0, Figures::default());
        Ok(Self {
            plan,
            api,
            folder,
            kubeconfig,
            changed,
            figures,
        })
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// A control plane that is ready, and how long that took.
    async fn start(&self, tls: bool) -> anyhow::Result<(Server, Duration)> {
        let (grpc, admin) = (free_port()?, free_port()?);
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut arguments = vec![
            "control-plane".to_owned(),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--listen=127.0.0.1:{grpc}"),
            format!("--admin-listen=127.0.0.1:{admin}"),
            "--log-level=warn".to_owned(),
        ];
        if tls {
            arguments.push(format!("--tls-certificate={}", file("tls.crt")));
            arguments.push(format!("--tls-key={}", file("tls.key")));
            arguments.push(format!("--token-audience={AUDIENCE}"));
        } else {
            arguments.push("--insecure".to_owned());
        }
        let start = Instant::now();
        let process = Process::start(&sibling("meshlite")?, arguments, &self.log())?;
        wait_until_ready(admin, "/readyz", &self.log()).await?;
        Ok((
            Server {
                process,
                grpc,
                admin,
            },
            start.elapsed(),
        ))
    }

    fn target(&self, server: &Server, tls: bool) -> Target {
        let scheme = if tls { "https" } else { "http" };
        Target {
            url: format!("{scheme}://127.0.0.1:{}", server.grpc),
            tls: tls.then(|| (self.folder.join("ca.crt"), self.folder.join("tokens"))),
            proves: true,
        }
    }

    /// All clients connect and get everything.
    async fn connect(&mut self, fleet: &mut Fleet, server: &Server) -> anyhow::Result<()> {
        let (cpu, mut took) = (server.process.cpu()?, Duration::ZERO);
        for streams in [
            self.plan.streams / 10,
            self.plan.streams / 2,
            self.plan.streams,
        ] {
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
        self.figures.add(
            "first_sync_seconds",
            seconds(took),
            "all clients connected and got everything",
        );
        self.figures
            .add("first_sync_cpu_ms", millis(cpu), "server CPU for that");
        Ok(())
    }

    /// Changes an endpoint of another slice than last time.
    fn change(&mut self) -> anyhow::Result<()> {
        let number = self.changed % SIZE.services;
        let ready = self.changed / SIZE.services % 2 == 1;
        self.changed += 1;
        self.api.change(number, ready, &rfc3339(wall_clock())?)
    }

    /// One change after the other, each until all clients have it.
    async fn one_by_one(&mut self, fleet: &Fleet, server: &Process) -> anyhow::Result<OneByOne> {
        sleep(QUIET).await;
        fleet.latencies().clear();
        let mut cpu = Duration::ZERO;
        for _ in 0..self.plan.changes {
            let before = server.cpu()?;
            fleet.start_clock();
            self.change()?;
            fleet.all_acknowledged().await?;
            // What the server does with the last acknowledgements belongs to the change.
            sleep(Duration::from_millis(200)).await;
            cpu += server.cpu()?.saturating_sub(before);
        }
        let one = OneByOne {
            p50: fleet.latencies().percentile(50),
            p99: fleet.latencies().percentile(99),
            cpu: cpu / self.plan.changes,
        };
        eprintln!(
            "one change: p50 {} ms, p99 {} ms, server CPU {} us",
            one.p50,
            one.p99,
            micros(one.cpu)
        );
        Ok(one)
    }

    async fn churn(&mut self, fleet: &Fleet, server: &Server) -> anyhow::Result<()> {
        fleet.lags().clear();
        let cpu = server.process.cpu()?;
        let mut ticks = interval(Duration::from_secs(1) / CHANGES_A_SECOND);
        let changes = u32::try_from(self.plan.churn.as_secs())? * CHANGES_A_SECOND;
        for _ in 0..changes {
            ticks.tick().await;
            self.change()?;
        }
        let (p50, p99) = (fleet.lags().percentile(50), fleet.lags().percentile(99));
        let cpu = server.process.cpu()?.saturating_sub(cpu) / changes;
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
            "server CPU for a change then, all clients together",
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
        let (next, _) = self.start(true).await?;
        let frames = fleet.frames();
        let bytes = loopback_bytes()?;
        fleet.move_to(self.target(&next, true));
        let start = Instant::now();
        server.process.kill().await?;
        fleet.all_in_sync().await?;
        let took = start.elapsed();
        let bytes = loopback_bytes()? - bytes;
        let resent = fleet.frames() - frames;
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
            millis(next.process.cpu()?),
            "server CPU, with its start",
        );
        Ok(next)
    }

    /// The same changes without TLS and tokens.
    async fn plaintext(&mut self, fleet: &Fleet, server: Server) -> anyhow::Result<()> {
        let (next, _) = self.start(false).await?;
        fleet.move_to(self.target(&next, false));
        server.process.kill().await?;
        fleet.all_in_sync().await?;
        let one = self.one_by_one(fleet, &next.process).await?;
        self.figures.add(
            "plaintext_one_change_p99_ms",
            one.p99,
            "one endpoint changed, without TLS",
        );
        self.figures.add(
            "plaintext_cpu_us_per_change",
            micros(one.cpu),
            "server CPU for that",
        );
        self.figures.add(
            "plaintext_rss_mb",
            next.process.resident_mb()?,
            "server, resident",
        );
        Ok(())
    }

    /// A bare server with the same certificate sends the same bytes to as many clients.
    async fn floor(&mut self, commit: &[Vec<u8>], ours: &OneByOne) -> anyhow::Result<()> {
        floor::write(&self.folder.join("commit"), commit)?;
        let program = std::env::current_exe()?;
        let mut process = Process::start(
            &program,
            ["floor".as_ref(), self.folder.as_os_str()],
            &self.log(),
        )?;
        let target = Target {
            url: format!("https://{}", process.first_line().await?),
            tls: Some((self.folder.join("ca.crt"), self.folder.join("tokens"))),
            proves: false,
        };
        let mut fleet = Fleet::new(target, self.plan.streams);
        fleet.grow(self.plan.streams).await?;
        sleep(QUIET).await;
        fleet.latencies().clear();
        let mut cpu = Duration::ZERO;
        for _ in 0..self.plan.changes {
            let before = process.cpu()?;
            fleet.start_clock();
            process.tell("go").await?;
            fleet.all_acknowledged().await?;
            sleep(Duration::from_millis(200)).await;
            cpu += process.cpu()?.saturating_sub(before);
        }
        let (p99, cpu) = (fleet.latencies().percentile(99), cpu / self.plan.changes);
        eprintln!("floor: p99 {p99} ms, server CPU {} us", micros(cpu));
        self.figures.add(
            "floor_p99_ms",
            p99,
            "a bare tonic server sends the same bytes, to a client's ACK",
        );
        self.figures
            .add("floor_cpu_us", micros(cpu), "its CPU for that");
        self.figures.add(
            "floor_rss_mb",
            process.resident_mb()?,
            "its memory with as many streams",
        );
        self.figures.add(
            "one_change_vs_floor",
            ratio(ours.p99, p99),
            "p99 of one change, to the floor's",
        );
        self.figures.add(
            "cpu_vs_floor",
            ratio(micros(ours.cpu), micros(cpu)),
            "server CPU of one change, to the floor's",
        );
        Ok(())
    }

    async fn full_nodes(&mut self) -> anyhow::Result<()> {
        let (server, _) = self.start(true).await?;
        let url = format!("https://127.0.0.1:{}", server.grpc);
        let (ca, tokens) = (self.folder.join("ca.crt"), self.folder.join("tokens"));
        let nodes = Nodes::start(self.plan.nodes, &url, &ca, &tokens, &self.log()).await?;
        let mut times = Vec::new();
        for _ in 0..self.plan.changes {
            sleep(QUIET).await;
            let (number, trigger) = (self.changed % SIZE.services, rfc3339(wall_clock())?);
            self.changed += 1;
            let ready = self.changed / SIZE.services % 2 == 1;
            times.push(
                nodes
                    .installed_after(|| self.api.change(number, ready, &trigger))
                    .await?,
            );
        }
        self.figures.add(
            "full_nodes",
            self.plan.nodes,
            "`meshlite node --mode memory`, apart from the clients",
        );
        self.figures.add(
            "full_nodes_one_change_ms",
            millis(meshlite_tests::figures::median(times)),
            "one endpoint changed, until all have installed it (median)",
        );
        self.figures.add(
            "full_node_peak_rss_mb",
            nodes.peak_mb()?,
            "the most resident memory of a node",
        );
        Ok(())
    }
}

/// How long the compiler took for everything, as the control plane says.
async fn compile_millis(admin: u16) -> anyhow::Result<f64> {
    let text = get(admin, "/metrics").await?;
    let is_sum = |line: &&str| line.contains("compile_duration_seconds_sum");
    let line = text
        .lines()
        .find(is_sum)
        .context("there is no metric of compilations")?;
    let value = line
        .rsplit(' ')
        .next()
        .context("a metric without a value")?;
    Ok(millis(Duration::from_secs_f64(value.parse()?)))
}

/// Bytes that went over the loopback interface since the machine started, with the headers of all layers.
fn loopback_bytes() -> anyhow::Result<u64> {
    Ok(fs::read_to_string("/sys/class/net/lo/statistics/rx_bytes")?
        .trim()
        .parse()?)
}

fn rfc3339(at: SystemTime) -> anyhow::Result<String> {
    let at = time::OffsetDateTime::from(at);
    Ok(at.format(&time::format_description::well_known::Rfc3339)?)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "figures of some digits")]
fn ratio(ours: u64, floor: u64) -> f64 {
    (ours as f64 / floor.max(1) as f64 * 100.0).round() / 100.0
}
