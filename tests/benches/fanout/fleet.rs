//! Thousands of clients, each with a connection of its own, and what they report: acknowledgements, latencies, lag.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use meshlite_proto::{
    connect::{Ca, Credentials, Security, Tls, connect},
    v1::{self, snapshot_discovery_client::SnapshotDiscoveryClient},
};
use prost::Message as _;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, interval_at, sleep},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{client::Client, histogram::Histogram, world::node_name};

/// As long as a data plane waits between its heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A client that cannot connect tries again within this time, at random.
const AGAIN: Duration = Duration::from_secs(1);
/// Longer than anything takes that is measured.
const PATIENCE: Duration = Duration::from_mins(5);

/// Whom the clients talk to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: String,
    /// CA file, and the folder of tokens by node number; none for plaintext.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// Whether digests are checked; the floor sends the same bytes to everybody, whatever they hold.
    pub(crate) proves: bool,
}

/// The clients and what they report.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    target: watch::Sender<Target>,
    tasks: JoinSet<()>,
}

struct Shared {
    latencies: Histogram,
    /// From the oldest change in a commit to its acknowledgement.
    lags: Histogram,
    round: Mutex<Round>,
    /// The last round in which each client acknowledged a commit.
    acknowledged: Vec<AtomicU32>,
    /// How many did so in this round.
    count: AtomicUsize,
    /// Resources that all clients were sent.
    frames: AtomicU64,
    last_error: Mutex<String>,
    /// The messages of the last commit that client 0 got, as they were.
    captured: Mutex<Vec<v1::DiscoveryResponse>>,
}

/// What all clients are to acknowledge.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u32,
    since: Instant,
    /// When the last client did so that did it for the first time.
    last: Instant,
}

// === impl Fleet ===

impl Fleet {
    /// Room for `most` clients; none yet.
    pub(crate) fn new(target: Target, most: u32) -> Self {
        let now = Instant::now();
        let shared = Shared {
            latencies: Histogram::default(),
            lags: Histogram::default(),
            round: Mutex::new(Round {
                number: 1,
                since: now,
                last: now,
            }),
            acknowledged: (0..most).map(|_| AtomicU32::new(0)).collect(),
            count: AtomicUsize::new(0),
            frames: AtomicU64::new(0),
            last_error: Mutex::default(),
            captured: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            target: watch::channel(target).0,
            tasks: JoinSet::new(),
        }
    }

    fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Adds clients until there are so many, and waits until all have everything.
    pub(crate) async fn grow(&mut self, to: u32) -> anyhow::Result<Duration> {
        let start = Instant::now();
        for number in u32::try_from(self.len())?..to {
            let (shared, target) = (Arc::clone(&self.shared), self.target.subscribe());
            self.tasks.spawn(live(number, target, shared));
        }
        self.all().await?;
        Ok(start.elapsed())
    }

    /// All clients are to leave for this server, as soon as theirs is gone.
    pub(crate) fn move_to(&self, target: Target) {
        self.begin();
        self.target.send_replace(target);
    }

    /// From now on latencies and acknowledgements are counted.
    pub(crate) fn begin(&self) -> Instant {
        let mut round = lock(&self.shared.round);
        let since = Instant::now();
        *round = Round {
            number: round.number + 1,
            since,
            last: since,
        };
        self.shared.count.store(0, Ordering::Relaxed);
        since
    }

    /// Waits until every client has acknowledged a commit since [`Fleet::begin`], and says how long the last one took.
    pub(crate) async fn all(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        loop {
            let (now, all) = (self.shared.count.load(Ordering::Relaxed), self.len());
            if now >= all {
                let round = *lock(&self.shared.round);
                return Ok(round.last - round.since);
            }
            if start.elapsed() > PATIENCE {
                let (error, seconds) = (lock(&self.shared.last_error), PATIENCE.as_secs());
                bail!(
                    "{now} of {all} clients have acknowledged after {seconds} s; the last error: {error}"
                );
            }
            // No client has to wake anybody for each acknowledgement.
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn latencies(&self) -> &Histogram {
        &self.shared.latencies
    }

    pub(crate) fn lags(&self) -> &Histogram {
        &self.shared.lags
    }

    /// Resources that all clients together were sent so far.
    pub(crate) fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Relaxed)
    }

    /// The bytes of the last commit, message by message.
    pub(crate) fn captured(&self) -> Vec<Vec<u8>> {
        let captured = lock(&self.shared.captured);
        captured
            .iter()
            .map(v1::DiscoveryResponse::encode_to_vec)
            .collect()
    }
}

/// One client, for as long as the fleet lives.
#[expect(clippy::infinite_loop, reason = "the fleet ends it")]
async fn live(number: u32, mut target: watch::Receiver<Target>, shared: Arc<Shared>) {
    let node = node_name(number);
    let mut client = Client::default();
    loop {
        let now = target.borrow_and_update().clone();
        client.proves = now.proves;
        if let Err(error) = follow(number, &node, &now, &mut client, &shared).await {
            *lock(&shared.last_error) = format!("{error:#}");
        }
        sleep(AGAIN.mul_f64(fraction(number))).await;
    }
}

/// One stream, until it ends.
async fn follow(
    number: u32,
    node: &str,
    target: &Target,
    client: &mut Client,
    shared: &Shared,
) -> anyhow::Result<()> {
    let channel = connect(&target.url, &target.security(number)).await?;
    let (requests, outgoing) = mpsc::channel(8);
    requests.send(client.hello(node)).await?;
    let stream = SnapshotDiscoveryClient::new(channel)
        .stream_snapshots(ReceiverStream::new(outgoing))
        .await;
    let mut responses = stream.map_err(|status| refusal(&status))?.into_inner();
    // Heartbeats of clients that connected together do not come together.
    let mut heartbeat = interval_at(
        Instant::now() + HEARTBEAT.mul_f64(fraction(number)),
        HEARTBEAT,
    );
    loop {
        let message = tokio::select! {
            message = responses.message() => message.map_err(|status| refusal(&status))?.context("the server closed the stream")?,
            _ = heartbeat.tick() => {
                requests.send(client.heartbeat()).await?;
                continue;
            }
        };
        if number == 0 {
            capture(&message, shared);
        }
        let before = client.frames;
        let Some(proved) = client.receive(message)? else {
            continue;
        };
        requests.send(proved.ack).await?;
        shared
            .frames
            .fetch_add(client.frames - before, Ordering::Relaxed);
        shared.acknowledged(number, proved.oldest_change);
    }
}

fn capture(message: &v1::DiscoveryResponse, shared: &Shared) {
    use v1::discovery_response::Kind;
    let mut captured = lock(&shared.captured);
    match message.kind {
        Some(Kind::Begin(_)) => captured.clear(),
        Some(Kind::Chunk(_) | Kind::End(_)) => {}
        _ => return,
    }
    captured.push(message.clone());
}

fn refusal(status: &tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{}: {}", status.code(), status.message())
}

/// A number between 0 and 1 that differs from client to client.
fn fraction(number: u32) -> f64 {
    f64::from(number.wrapping_mul(2_654_435_769) >> 8) / f64::from(1 << 24)
}

impl Shared {
    fn acknowledged(&self, client: u32, oldest_change: Option<SystemTime>) {
        let now = Instant::now();
        if let Some(lag) = oldest_change.and_then(|at| at.elapsed().ok()) {
            self.lags.record(lag);
        }
        let last = usize::try_from(client)
            .ok()
            .and_then(|client| self.acknowledged.get(client));
        let mut round = lock(&self.round);
        self.latencies.record(now - round.since);
        if last.is_some_and(|last| last.swap(round.number, Ordering::Relaxed) != round.number) {
            round.last = now;
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Target {
    /// The CA file of a folder, and its folder of tokens.
    pub(crate) fn credentials(folder: &Path) -> (PathBuf, PathBuf) {
        (folder.join("ca.crt"), folder.join("tokens"))
    }

    fn security(&self, number: u32) -> Security {
        let Some((ca, tokens)) = &self.tls else {
            return Security::Plaintext;
        };
        Security::Tls(Tls {
            ca: Ca::File(ca.clone()),
            server_name: "meshlite-control-plane".to_owned(),
            credentials: Credentials::TokenFile(token_file(tokens, number)),
        })
    }
}

/// Where the token of a client is.
pub(crate) fn token_file(folder: &Path, number: u32) -> PathBuf {
    folder.join(number.to_string())
}
