//! What is published at one generation, and how it differs from any generation before.

use std::{ops::Bound, sync::Arc, time::SystemTime};

use meshlite_snapshot::{Bucket, BucketDigests, Name, SetDigest, Topic};
use rpds::RedBlackTreeMapSync;
use tokio::time::Instant;

use super::{
    topic::{Entry, TopicLog, TopicState},
    topics::{TOPICS, TopicSet, place},
};
use crate::watch::Watermark;

/// Where more buckets differ, everything is sent: all who need that share it.
const MOST_BUCKETS: usize = Bucket::COUNT as usize * 3 / 4;

/// When a generation came to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// When it was published.
    pub(crate) at: Instant,
    /// When the change happened at its source.
    pub(crate) changed: SystemTime,
}

/// A resource that is not as it was at some cursor.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) topic: Topic,
    pub(crate) name: &'a Name,
    pub(crate) generation: u64,
    /// None: it was removed.
    pub(crate) content: Option<&'a Entry>,
}

/// What a commit brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// Everything.
    Full,
    /// All that is in these buckets, ascending.
    Buckets(Arc<[Bucket]>),
    /// What changed after this generation.
    Since(u64),
    /// Only the position: the client holds the rest.
    Nothing,
}

/// What a client brings when it connects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// The set of each topic that it subscribes to.
    pub(crate) sets: Vec<(Topic, SetDigest)>,
    /// Epoch and generation of what it installed last.
    pub(crate) cursor: Option<(String, u64)>,
}

/// How a client that comes with what it holds is brought up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// By this commit.
    With(Range),
    /// It holds something else: the digests of its buckets tell what.
    Compare,
}

/// What is published at one generation. Immutable for whoever holds it, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(super) epoch: Arc<str>,
    pub(super) generation: u64,
    /// Cursors before this have forgotten removals.
    pub(super) horizon: u64,
    /// As [`TOPICS`] are.
    pub(super) topics: [TopicLog; TOPICS.len()],
    pub(super) stamps: RedBlackTreeMapSync<u64, Stamp>,
    pub(super) sources: Arc<[Watermark]>,
}

// === impl View ===

impl View {
    /// Which replica, and which run of it, counts the generations.
    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Counts the publications that changed something, over all topics. 0: nothing was published yet.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How far each source was read for this.
    pub(crate) fn sources(&self) -> &Arc<[Watermark]> {
        &self.sources
    }

    /// The set of this topic now.
    pub(crate) fn state(&self, topic: Topic) -> TopicState {
        self.log(topic)
            .map_or_else(TopicState::default, TopicLog::state)
    }

    /// The set of this topic at an earlier generation, while it is remembered.
    pub(crate) fn state_at(&self, topic: Topic, generation: u64) -> Option<TopicState> {
        if !self.reaches(generation) {
            return None;
        }
        self.log(topic)?.state_at(generation)
    }

    /// Bytes of the bodies of a topic.
    pub(crate) fn bytes(&self, topic: Topic) -> u64 {
        self.log(topic).map_or(0, TopicLog::bytes)
    }

    /// When the first generation after `from` was published, while it is remembered.
    pub(crate) fn stamp_after(&self, from: u64) -> Option<Stamp> {
        let after = (Bound::Excluded(from), Bound::Unbounded);
        self.stamps.range(after).next().map(|(_, stamp)| *stamp)
    }

    /// The resources of a topic, by name.
    pub(crate) fn entries(&self, topic: Topic) -> impl Iterator<Item = (&Name, &Entry)> {
        self.log(topic).into_iter().flat_map(TopicLog::iter)
    }

    /// Everything of these topics that is not as it was at `from`; all that there is for none.
    pub(crate) fn changes(&self, topics: &[Topic], from: Option<u64>) -> Vec<Change<'_>> {
        let mut changes = Vec::new();
        for (topic, log) in self.logs(topics.iter().copied().collect()) {
            match from {
                None => changes.extend(log.iter().map(|(name, entry)| whole(topic, name, entry))),
                Some(from) => changes.extend(log.since(from).map(|(generation, name)| Change {
                    topic,
                    name,
                    generation,
                    content: log.get(name),
                })),
            }
        }
        changes
    }

    /// Everything of these topics that is in these buckets.
    pub(super) fn in_buckets(&self, topics: TopicSet, buckets: &[Bucket]) -> Vec<Change<'_>> {
        let mut changes = Vec::new();
        for (topic, log) in self.logs(topics) {
            for bucket in buckets {
                let held = log.bucket(*bucket);
                changes.extend(held.map(|(name, entry)| whole(topic, name, entry)));
            }
        }
        changes
    }

    /// Whether anything of these topics changed after `from`.
    pub(crate) fn has_changes(&self, topics: TopicSet, from: u64) -> bool {
        self.logs(topics).any(|(_, log)| log.generation() > from)
    }

    /// How many resources of these topics changed after `from`, counted up to `most`.
    pub(super) fn count_changes(&self, topics: TopicSet, from: u64, most: usize) -> usize {
        let changed = self.logs(topics).flat_map(|(_, log)| log.since(from));
        changed.take(most).count()
    }

    /// How to serve a client that comes with this.
    ///
    /// What it holds decides, not what it was sent: a cursor counts only where the digests are those of its generation.
    pub(crate) fn resume(&self, held: &Held) -> Resume {
        let Some((epoch, generation)) = &held.cursor else {
            return Resume::With(Range::Full);
        };
        let holds = |generation| {
            held.sets.iter().all(|(topic, digest)| {
                let state = self.state_at(*topic, generation);
                state.is_some_and(|state| state.digest == *digest)
            })
        };
        if holds(self.generation) {
            Resume::With(Range::Nothing)
        } else if *epoch == *self.epoch && holds(*generation) {
            Resume::With(Range::Since(*generation))
        } else {
            Resume::Compare
        }
    }

    /// What a client lacks of these topics that holds this of them, all together.
    pub(crate) fn compare(&self, topics: TopicSet, held: &BucketDigests) -> Range {
        let published = self.bucket_digests(topics);
        let differing: Arc<[Bucket]> = published.differing(held).collect();
        // None: it contradicts its own digests.
        if differing.is_empty() || differing.len() >= MOST_BUCKETS {
            return Range::Full;
        }
        Range::Buckets(differing)
    }

    /// About how many bytes of these topics a commit has that brings whole sets or buckets of them; none for others.
    pub(crate) fn bulk(&self, topics: TopicSet, range: &Range) -> u64 {
        let bytes = || topics.iter().map(|topic| self.bytes(topic)).sum::<u64>();
        match range {
            Range::Full => bytes(),
            Range::Buckets(buckets) => bytes() * buckets.len() as u64 / u64::from(Bucket::COUNT),
            Range::Since(_) | Range::Nothing => 0,
        }
    }

    /// Whether a client at this generation can be told the difference.
    pub(crate) fn reaches(&self, generation: u64) -> bool {
        (self.horizon..=self.generation).contains(&generation)
    }

    fn bucket_digests(&self, topics: TopicSet) -> BucketDigests {
        let mut together = BucketDigests::default();
        for (topic, log) in self.logs(topics) {
            for bucket in Bucket::all() {
                together.add_topic(topic.kind, bucket, log.digest_of(bucket));
            }
        }
        together
    }

    fn log(&self, topic: Topic) -> Option<&TopicLog> {
        self.topics.get(place(topic)?)
    }

    fn logs(&self, topics: TopicSet) -> impl Iterator<Item = (Topic, &TopicLog)> {
        let all = TOPICS.into_iter().zip(&self.topics);
        all.filter(move |(topic, _)| topics.contains(*topic))
    }
}

fn whole<'a>(topic: Topic, name: &'a Name, entry: &'a Entry) -> Change<'a> {
    Change {
        topic,
        name,
        generation: entry.generation,
        content: Some(entry),
    }
}
