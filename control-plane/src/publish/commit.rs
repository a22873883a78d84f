//! Commits as bytes: made once for all clients that need the same, and compressed once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use meshlite_proto::{encode, v1};
use meshlite_snapshot::Version;
use prost::Message as _;
use tokio::{
    sync::OnceCell,
    task::{JoinError, spawn_blocking},
    time::Instant,
};

use super::{Change, Range, TopicSet, TopicState, View};
use crate::metrics::Metrics;

/// How many commits to the newest generation are kept. Healthy clients of both roles share two; a few more are for those
/// that lag.
const KEPT: usize = 8;
/// More changes than these are encoded where it holds nobody up.
const FEW: usize = 256;
/// Fewer bytes than these are not worth compressing.
const COMPRESSED: usize = 4096;
/// zstd's own default: a higher one is slower and saves little.
const LEVEL: i32 = 3;
/// At most what a frame holds beside name and body: type, scope, version, lengths.
const FRAME_OVERHEAD: usize = 40;
/// What a removal has in place of a version.
const NO_VERSION: Version = Version(0);

/// A commit, but for what differs by client: its nonce and the generation that it starts from.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) range: Range,
    /// Where a client is that has installed it.
    pub(crate) generation: u64,
    /// What a client holds then, in the order of its topics.
    pub(crate) expected: Arc<[TopicState]>,
    /// When the oldest change in it was published; none where it carries no change.
    pub(crate) published: Option<Instant>,
    pub(crate) frames: u64,
    is_compressed: bool,
    /// `CommitBegin` without `nonce` and `from_generation`.
    pub(crate) begin: Bytes,
    /// The data of all chunks.
    pub(crate) data: Bytes,
    /// `CommitEnd` without `nonce`.
    pub(crate) end: Bytes,
}

/// The commits that were made last.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    /// The one used last is at the back.
    kept: Mutex<VecDeque<(Key, Slot)>>,
    metrics: Arc<Metrics>,
}

/// Filled by whoever comes first.
type Slot = Arc<OnceCell<Arc<Commit>>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    topics: TopicSet,
    range: Range,
    to: u64,
    zstd: bool,
}

// === impl Commit ===

impl Commit {
    pub(crate) fn mode(&self) -> v1::CommitMode {
        match self.range {
            Range::Full => v1::CommitMode::Full,
            Range::Buckets(_) => v1::CommitMode::Buckets,
            Range::Since(_) | Range::Nothing => v1::CommitMode::Delta,
        }
    }

    fn make(view: &View, topics: TopicSet, range: Range, zstd: bool) -> Self {
        let (frames, raw) = frames(view, topics, &range);
        let stamp = match range {
            Range::Since(from) => view.stamp_after(from),
            Range::Full | Range::Buckets(_) | Range::Nothing => None,
        };
        let expected: Arc<[_]> = topics.iter().map(|topic| view.state(topic)).collect();
        let end = v1::CommitEnd {
            nonce: 0,
            generation: view.generation(),
            expected: digests(topics, &expected),
            sources: view.sources().iter().map(watermark).collect(),
            oldest_change: stamp.map(|stamp| stamp.changed.into()),
        };
        let raw_bytes = raw.len() as u64;
        let (encoding, data) = match zstd.then(|| compressed(&raw)).flatten() {
            Some(data) => (v1::Encoding::Zstd, data),
            None => (v1::Encoding::Identity, raw),
        };
        let mut commit = Self {
            range,
            generation: view.generation(),
            expected,
            published: stamp.map(|stamp| stamp.at),
            frames,
            is_compressed: encoding == v1::Encoding::Zstd,
            begin: Bytes::new(),
            data,
            end: end.encode_to_vec().into(),
        };
        let begin = v1::CommitBegin {
            nonce: 0,
            epoch: view.epoch().to_owned(),
            from_generation: 0,
            generation: commit.generation,
            mode: commit.mode().into(),
            encoding: encoding.into(),
            frame_count: frames,
            bytes: commit.data.len() as u64,
            replaced_buckets: match &commit.range {
                Range::Buckets(buckets) => buckets.iter().map(|b| b.number().into()).collect(),
                Range::Full | Range::Since(_) | Range::Nothing => Vec::new(),
            },
            topics: topics.iter().map(encode::topic).collect(),
            raw_bytes,
        };
        commit.begin = begin.encode_to_vec().into();
        commit
    }
}

// === impl Commits ===

impl Commits {
    /// None yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            kept: Mutex::default(),
            metrics,
        }
    }

    /// What brings these topics to what the view shows. Whoever comes second waits for the first and shares the bytes.
    pub(crate) async fn get(
        &self,
        view: &Arc<View>,
        topics: TopicSet,
        range: Range,
        zstd: bool,
    ) -> Result<Arc<Commit>, JoinError> {
        let slot = self.slot(Key {
            topics,
            range: range.clone(),
            to: view.generation(),
            zstd,
        });
        let (view, metrics) = (Arc::clone(view), Arc::clone(&self.metrics));
        let make = async move || {
            let is_small = match &range {
                Range::Full | Range::Buckets(_) => false,
                Range::Since(from) => view.count_changes(topics, *from, FEW) < FEW,
                Range::Nothing => true,
            };
            let make = move || {
                let started = Instant::now();
                let commit = Commit::make(&view, topics, range, zstd);
                metrics.encoded(started.elapsed(), commit.is_compressed);
                Arc::new(commit)
            };
            if is_small {
                Ok(make())
            } else {
                spawn_blocking(make).await
            }
        };
        slot.get_or_try_init(make).await.cloned()
    }

    fn slot(&self, key: Key) -> Slot {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody will ask for what leads to an older generation, and a full commit is large.
        kept.retain(|(held, _)| held.to >= key.to);
        let found = kept.iter().position(|(held, _)| *held == key);
        let item = match found.and_then(|position| kept.remove(position)) {
            Some(item) => item,
            None => (key, Arc::default()),
        };
        let slot = Arc::clone(&item.1);
        kept.push_back(item);
        if kept.len() > KEPT {
            kept.pop_front();
        }
        slot
    }
}

/// The digests of these topics, whose states these are.
pub(crate) fn digests(topics: TopicSet, states: &[TopicState]) -> Vec<v1::TopicDigest> {
    let each = topics.iter().zip(states);
    each.map(|(topic, state)| encode::topic_digest(topic, state.digest, state.count))
        .collect()
}

/// How many frames there are, and their bytes.
fn frames(view: &View, topics: TopicSet, range: &Range) -> (u64, Bytes) {
    let listed: Vec<_> = topics.iter().collect();
    let changes = match range {
        Range::Full => view.changes(&listed, None),
        Range::Buckets(buckets) => view.in_buckets(topics, buckets),
        Range::Since(from) => view.changes(&listed, Some(*from)),
        Range::Nothing => Vec::new(),
    };
    let size = |change: &Change<'_>| {
        let body = change.content.map_or(0, |content| content.body.len());
        body + change.name.as_str().len() + FRAME_OVERHEAD
    };
    let mut data = BytesMut::with_capacity(changes.iter().map(size).sum());
    for change in &changes {
        let (version, body) = match change.content {
            Some(content) => (content.version, Some(content.body.bytes())),
            None => (NO_VERSION, None),
        };
        encode::frame(change.topic, change.name, version, body.as_ref(), &mut data);
    }
    (changes.len() as u64, data.freeze())
}

/// These bytes as one zstd frame, where that is worth it.
fn compressed(raw: &Bytes) -> Option<Bytes> {
    if raw.len() < COMPRESSED {
        return None;
    }
    // It fails only where there is no memory.
    let compressed = zstd::bulk::compress(raw, LEVEL).ok()?;
    (compressed.len() < raw.len()).then(|| compressed.into())
}

fn watermark(watermark: &crate::watch::Watermark) -> v1::Watermark {
    v1::Watermark {
        resource: watermark.resource.to_owned(),
        resource_version: watermark.version.to_string(),
        // The same bytes are sent later too; heartbeats tell.
        staleness: None,
        origin: watermark.origin.as_ref().to_owned(),
    }
}
