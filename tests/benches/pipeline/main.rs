//! From YAML files to an installed snapshot: 10,000 Services with 10 endpoints each, stage by stage and as a whole.
#![expect(
    clippy::disallowed_types,
    reason = "measures wall time; nothing is paused here"
)]

use std::{
    hint::black_box,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    num::NonZero,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use meshlite_compile::{Compiled, Settings, compile};
use meshlite_control_plane::{Config, ControlPlane, Security, SourceConfig};
use meshlite_manifests::{
    Document, ManifestFile,
    admit::{AdmitSettings, Allocations, admit},
    documents, parse_all,
};
use meshlite_node::{Mode, Node};
use meshlite_proto::{
    connect, encode,
    subscribe::{ClientConfig, subscribe},
    v1,
};
use meshlite_snapshot::{Topic, Version};
use meshlite_tests::{
    figures::{Figures, median, millis, peak_rss_mb},
    fixture::{self, Size},
};
use serde::de::IgnoredAny;
use tokio_util::sync::CancellationToken;

/// The allocator of the `meshlite` command.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Files = Vec<(String, Vec<u8>)>;

fn main() -> anyhow::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let runs = if quick { 5 } else { 15 };
    let size = Size::CLUSTER;
    let files = fixture::manifests(size);
    let mut times = Times::default();
    for _ in 0..runs {
        times.measure(&files)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;
    fixture::write(folder.path(), &files)?;
    // What a process needs to know a file as settled; a folder that was just written would be waited for.
    thread::park_timeout(Duration::from_millis(300));
    for _ in 0..runs {
        let whole = runtime.block_on(Whole::run(folder.path()))?;
        times.add_whole(&whole);
    }
    times.print(size, &files)
}

/// What was measured, one entry for each run.
#[derive(Default)]
struct Times {
    bare_yaml: Vec<Duration>,
    parse: Vec<Duration>,
    compile: Vec<Duration>,
    encode: Vec<Duration>,
    stream: Vec<Duration>,
    install: Vec<Duration>,
    total: Vec<Duration>,
    ratios: Vec<f64>,
}

impl Times {
    /// The stages that need no process around them, each alone.
    fn measure(&mut self, files: &Files) -> anyhow::Result<()> {
        let (bare, _) = timed(|| bare_yaml(files));
        let copy = files.clone();
        let (parse, parsed) = timed(|| parse_all(copy));
        ensure!(
            parsed.iter().all(ManifestFile::is_good),
            "the manifests are not good"
        );
        let parsed: Vec<_> = parsed.into_iter().map(Arc::new).collect();
        let (compile, compiled) = timed(|| compiled(&parsed));
        let (encode, bytes) = timed(|| encoded(&compiled));
        ensure!(bytes > 0, "nothing was encoded");
        self.ratios.push(parse.as_secs_f64() / bare.as_secs_f64());
        self.bare_yaml.push(bare);
        self.parse.push(parse);
        self.compile.push(compile);
        self.encode.push(encode);
        Ok(())
    }

    fn add_whole(&mut self, whole: &Whole) {
        self.total.push(whole.total);
        self.install.push(whole.install);
        self.stream.push(whole.stream);
    }

    fn print(mut self, size: Size, files: &Files) -> anyhow::Result<()> {
        let mut figures = Figures::default();
        let megabytes = files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() / 1_000_000;
        figures.add(
            "services",
            size.services,
            "Services, each with one EndpointSlice",
        );
        figures.add(
            "endpoints",
            size.services * size.endpoints,
            "endpoints in all",
        );
        figures.add("yaml_mb", megabytes, "megabytes of YAML");
        figures.add(
            "cores",
            thread::available_parallelism().map_or(1, NonZero::get),
            "cores",
        );
        figures.add(
            "bare_yaml_ms",
            millis(median(self.bare_yaml)),
            "the bare YAML parser on the same bytes and cores",
        );
        figures.add(
            "parse_ms",
            millis(median(self.parse)),
            "YAML to validated objects, with unknown fields found",
        );
        self.ratios.sort_unstable_by(f64::total_cmp);
        let ratio = self
            .ratios
            .get(self.ratios.len() / 2)
            .copied()
            .unwrap_or_default();
        figures.add(
            "parse_vs_bare",
            (ratio * 100.0).round() / 100.0,
            "median of the runs' ratios",
        );
        figures.add(
            "compile_ms",
            millis(median(self.compile)),
            "admission and compilation",
        );
        figures.add(
            "encode_ms",
            millis(median(self.encode)),
            "to bytes, with versions",
        );
        figures.add(
            "stream_ms",
            millis(median(self.stream)),
            "over gRPC to a client: received, checked, decoded",
        );
        figures.add(
            "install_ms",
            millis(median(self.install)),
            "desired state, plan, steps (node in memory mode)",
        );
        figures.add(
            "total_ms",
            millis(median(self.total)),
            "control plane and node started, to installed on the node",
        );
        figures.add(
            "rss_mb",
            peak_rss_mb(),
            "peak resident memory of this process, which is all of them at once",
        );
        figures.print(
            "pipeline: YAML files to an installed snapshot (medians)",
            io::stdout(),
        )?;
        Ok(())
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = black_box(work());
    (start.elapsed(), result)
}

/// Every document through the parser, with nothing made of it, on all cores.
fn bare_yaml(files: &Files) -> usize {
    let all: Vec<Document<'_>> = files.iter().flat_map(|(_, text)| documents(text)).collect();
    let pieces: Vec<&[Document<'_>]> = all.chunks(64).collect();
    let (next, good) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let parsed = piece
                        .iter()
                        .filter(|d| yaml_serde::from_slice::<IgnoredAny>(d.text).is_ok());
                    good.fetch_add(parsed.count(), Ordering::Relaxed);
                }
            });
        }
    });
    good.into_inner()
}

fn compiled(files: &[Arc<ManifestFile>]) -> Compiled {
    let admitted = admit(
        files,
        &Allocations::default(),
        &AdmitSettings::default(),
        &[],
    );
    compile(&admitted.inputs, &Settings::default())
}

fn encoded(compiled: &Compiled) -> u64 {
    compiled
        .snapshot
        .iter()
        .map(|(_, resource)| {
            let body = encode::body(&resource);
            black_box(Version::of(&body));
            body.len() as u64
        })
        .sum()
}

/// A control plane on the folder and a node beside it, as processes would be.
struct Whole {
    total: Duration,
    stream: Duration,
    install: Duration,
}

impl Whole {
    async fn run(folder: &Path) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let start = Instant::now();
        let server = ControlPlane::bind(control_plane(folder)).await?;
        let url = format!("http://{}", server.grpc_addr());
        let server = tokio::spawn(server.run(stop.clone()));
        let node = Node::bind(node(&url)).await?;
        let metrics = node.metrics_addr().context("the node serves metrics")?;
        let node = tokio::spawn(node.run(stop.clone()));
        until_ready(metrics).await?;
        let total = start.elapsed();
        let install = synced(metrics).await?;
        let stream = streamed(&url, &stop).await?;
        stop.cancel();
        server.await??;
        node.await??;
        Ok(Self {
            total,
            stream,
            install,
        })
    }
}

fn control_plane(folder: &Path) -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin_listen: None,
        source: SourceConfig::Files {
            manifests: folder.to_owned(),
            state_dir: None,
            admit: AdmitSettings::default(),
            pods: None,
        },
        settings: Settings::default(),
        security: Security::Insecure,
        replica: "replica-1".into(),
    }
}

fn node(url: &str) -> meshlite_node::Config {
    meshlite_node::Config {
        node_name: "node-0001".into(),
        control_plane: vec![url.to_owned()],
        mode: Mode::Memory,
        metrics_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        health_listen: None,
        ..meshlite_node::Config::default()
    }
}

/// Another client of the same control plane: from connecting to a whole commit, proved by its digests.
async fn streamed(url: &str, stop: &CancellationToken) -> anyhow::Result<Duration> {
    let client = ClientConfig {
        endpoints: vec![url.to_owned()],
        identity: v1::ClientIdentity {
            id: "bench".into(),
            ..v1::ClientIdentity::default()
        },
        role: v1::Role::L4Node,
        topics: Topic::NODE.to_vec(),
        security: connect::Security::Plaintext,
        cache: None,
    };
    let start = Instant::now();
    let mut subscription = subscribe(client, stop.child_token());
    let commit = subscription.next().await.context("a commit comes")?;
    let time = start.elapsed();
    ensure!(
        commit.snapshot().services.len() >= 10_000,
        "the commit is not whole"
    );
    commit.acknowledge();
    Ok(time)
}

/// Waits until the node has installed its first snapshot.
async fn until_ready(metrics: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = get(metrics, "/readyz").await?;
        if answer.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the node is not ready after a minute: {answer}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How long the node took to program what it was sent, as its own metric says.
async fn synced(metrics: SocketAddr) -> anyhow::Result<Duration> {
    let text = get(metrics, "/metrics").await?;
    // One pass programs both families.
    let sum = text.lines().find_map(|line| {
        let sample = line.strip_prefix("kubeproxy_sync_proxy_rules_duration_seconds_sum{")?;
        Some(sample.split_once('}')?.1)
    });
    let seconds = sum.context("the node has no sync metric")?.trim().parse()?;
    Ok(Duration::from_secs_f64(seconds))
}

/// A whole answer as text.
async fn get(addr: SocketAddr, path: &'static str) -> anyhow::Result<String> {
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(addr)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        io::Result::Ok(answer)
    });
    Ok(asked.await??)
}
