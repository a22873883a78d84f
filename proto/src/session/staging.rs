//! A commit while it arrives. Nothing of it is visible before it is complete and proved.

mod damage;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::SystemTime,
};

use bytes::Bytes;
use meshlite_snapshot::{Bucket, Name, Resource, Topic, Version};

use super::{
    RejectReason, Rejection,
    held::{Held, WireKey},
};
use crate::{
    decode::{self, DecodeError, Decoder, FrameReader},
    inflate::{Inflate, InflateError},
    v1,
};

pub use damage::Damage;

/// The most watermarks that are kept of a commit.
pub(super) const MOST_SOURCES: usize = 64;

/// A commit between its begin and its end.
#[derive(Debug)]
pub(super) struct Staging {
    begin: v1::CommitBegin,
    /// Where the commit is compressed.
    inflate: Option<Inflate>,
    bytes: u64,
    frames: Frames,
    damage: Option<Damage>,
}

/// What was read of a commit.
#[derive(Debug)]
struct Frames {
    reader: FrameReader,
    decoder: Decoder,
    count: u64,
    /// In the order of the stream, which is mostly that of the names: put in order at once, not one by one.
    read: Vec<((Topic, Name), What)>,
    staged: Staged,
}

/// What a commit says, by name.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// What it does not name in these is gone.
    pub(super) replaces: Replaces,
    /// What it adds to.
    pub(super) base: Base,
    /// The topics that it speaks for.
    covered: BTreeSet<Topic>,
    pub(super) resources: BTreeMap<(Topic, Name), What>,
    /// Frames of topics that this build does not know or did not ask for.
    pub(super) unknown: Vec<Rejection>,
    pub(super) unknown_removed: Vec<WireKey>,
    /// When the oldest change in it happened at its source, where the server knows.
    pub(super) oldest_change: Option<SystemTime>,
    /// How far its sources were read.
    pub(super) sources: Vec<v1::Watermark>,
}

/// The names for which a commit says everything.
#[derive(Debug, Default)]
pub(super) enum Replaces {
    #[default]
    Nothing,
    Buckets(BTreeSet<Bucket>),
    Everything,
}

/// What a commit adds to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Base {
    /// The commit before it on the stream, or the same log at the cursor in Hello.
    #[default]
    Offered,
    /// What Hello said is installed: the log is another.
    Installed,
    /// Nothing; and it comes from disk.
    Disk,
}

/// The bytes of a resource. Never printed: it may be a private key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Body(pub(super) Bytes);

/// What is offered under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// With its body, where bodies are kept.
    Put(Version, Resource, Option<Body>),
    /// Offered, but not a resource that this build can read.
    Bad(Version, DecodeError),
    Removed,
}

// === impl Staging ===

impl Staging {
    pub(super) fn new(
        begin: v1::CommitBegin,
        base: Base,
        held: &Held,
    ) -> Result<Self, InflateError> {
        let covered = if begin.topics.is_empty() {
            held.topics().collect()
        } else {
            let known = begin
                .topics
                .iter()
                .filter_map(|topic| decode::topic(topic).ok());
            known.filter(|topic| held.subscribes(*topic)).collect()
        };
        let replaces = match begin.mode() {
            v1::CommitMode::Full => Replaces::Everything,
            v1::CommitMode::Buckets => Replaces::Buckets(buckets(&begin.replaced_buckets)),
            v1::CommitMode::Delta | v1::CommitMode::Unspecified => Replaces::Nothing,
        };
        let inflate = match begin.encoding() {
            v1::Encoding::Zstd => Some(Inflate::new(begin.raw_bytes)?),
            v1::Encoding::Identity => None,
        };
        Ok(Self {
            frames: Frames::new(Staged {
                replaces,
                base,
                covered,
                ..Staged::default()
            }),
            begin,
            inflate,
            bytes: 0,
            damage: None,
        })
    }

    pub(super) fn begin(&self) -> &v1::CommitBegin {
        &self.begin
    }

    /// Takes the next chunk. After the first damage nothing more is kept, because the commit will be refused.
    pub(super) fn chunk(&mut self, data: &[u8], held: &Held) {
        if self.damage.is_none()
            && let Err(damage) = self.read(data, held)
        {
            self.damage = Some(damage);
            self.inflate = None;
            self.frames = Frames::new(Staged::default());
        }
    }

    /// The whole commit, once it is proved.
    pub(super) fn end(self, end: &v1::CommitEnd, held: &Held) -> Result<Staged, Damage> {
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        let begin = &self.begin;
        if (end.nonce, end.generation) != (begin.nonce, begin.generation) {
            let v1::CommitEnd {
                nonce, generation, ..
            } = *end;
            return Err(Damage::End { nonce, generation });
        }
        if self.bytes != begin.bytes {
            return Err(Damage::Bytes {
                said: begin.bytes,
                got: self.bytes,
            });
        }
        if let Some(inflate) = &self.inflate {
            inflate.finish()?;
        }
        let mut frames = self.frames;
        if frames.count != begin.frame_count || !frames.reader.is_empty() {
            return Err(Damage::Frames {
                said: begin.frame_count,
                got: frames.count,
            });
        }
        let staged = &mut frames.staged;
        // Of those of one name the last counts.
        staged.resources = frames.read.into_iter().collect();
        held.complete(staged);
        held.verify(staged, &end.expected)?;
        staged.oldest_change = end.oldest_change.and_then(|at| at.try_into().ok());
        staged.sources.clone_from(&end.sources);
        staged.sources.truncate(MOST_SOURCES);
        Ok(frames.staged)
    }

    fn read(&mut self, data: &[u8], held: &Held) -> Result<(), Damage> {
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        if self.bytes > self.begin.bytes {
            return Err(Damage::Bytes {
                said: self.begin.bytes,
                got: self.bytes,
            });
        }
        match &mut self.inflate {
            Some(inflate) => inflate.push(data, |piece| self.frames.push(piece, held)),
            None => self.frames.push(data, held),
        }
    }
}

// === impl Frames ===

impl Frames {
    fn new(staged: Staged) -> Self {
        Self {
            reader: FrameReader::default(),
            decoder: Decoder::default(),
            count: 0,
            read: Vec::new(),
            staged,
        }
    }

    fn push(&mut self, data: &[u8], held: &Held) -> Result<(), Damage> {
        self.reader.push(data);
        while let Some(frame) = self.reader.next_frame()? {
            self.count += 1;
            self.frame(&frame, held)?;
        }
        Ok(())
    }

    fn frame(&mut self, frame: &v1::ResourceFrame, held: &Held) -> Result<(), Damage> {
        let version = Version(frame.version);
        let is = Version::of(&frame.body);
        if !frame.removed && version != is {
            return Err(Damage::Version {
                topic: format!("type {}/{}", frame.r#type, frame.scope),
                name: frame.name.clone(),
                said: version,
                is,
            });
        }
        let topic = match decode::topic_of(frame.r#type, &frame.scope) {
            Ok(topic) if held.subscribes(topic) => topic,
            Ok(_) => {
                self.unknown(frame, "this client did not subscribe to it".to_owned());
                return Ok(());
            }
            Err(error) => {
                self.unknown(frame, error.to_string());
                return Ok(());
            }
        };
        let name = decode::name(&frame.name).map_err(Damage::Name)?;
        let what = if frame.removed {
            What::Removed
        } else if let Some(resource) = held.decoded(topic, &name, version) {
            What::Put(version, resource, held.body(&frame.body))
        } else {
            match self.decoder.body(topic.kind, &frame.body) {
                Ok(resource) => What::Put(version, resource, held.body(&frame.body)),
                Err(error) => What::Bad(version, error),
            }
        };
        self.read.push(((topic, name), what));
        Ok(())
    }

    fn unknown(&mut self, frame: &v1::ResourceFrame, message: String) {
        if frame.removed {
            let key = (frame.r#type, frame.scope.clone(), frame.name.clone());
            self.staged.unknown_removed.push(key);
            return;
        }
        self.staged.unknown.push(Rejection {
            topic: v1::Topic {
                r#type: frame.r#type,
                scope: frame.scope.clone(),
            },
            name: frame.name.clone(),
            version: Version(frame.version),
            reason: RejectReason::Unsupported,
            message,
            serving: None,
        });
    }
}

// === impl Staged ===

impl Staged {
    pub(super) fn covers(&self, topic: Topic) -> bool {
        self.covered.contains(&topic)
    }

    /// If it does not name this, it is gone.
    pub(super) fn replaces(&self, topic: Topic, name: &Name) -> bool {
        let whole = match &self.replaces {
            Replaces::Nothing => false,
            Replaces::Buckets(buckets) => buckets.contains(&Bucket::of(name)),
            Replaces::Everything => true,
        };
        whole && self.covers(topic)
    }

    /// It names everything that it changes.
    pub(super) fn says_all(&self) -> bool {
        matches!(self.replaces, Replaces::Nothing) && self.base == Base::Offered
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.replaces, Replaces::Everything)
    }

    /// What was read from disk, of these topics.
    pub(super) fn from_disk(
        topics: impl IntoIterator<Item = Topic>,
        resources: BTreeMap<(Topic, Name), What>,
        sources: Vec<v1::Watermark>,
    ) -> Self {
        Self {
            base: Base::Disk,
            covered: topics.into_iter().collect(),
            resources,
            sources,
            ..Self::default()
        }
    }
}

// === impl What ===

impl What {
    /// The version that the server counts in; none where it is gone.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Put(version, ..) | Self::Bad(version, _) => Some(*version),
            Self::Removed => None,
        }
    }

    pub(super) fn body(&self) -> Option<Body> {
        match self {
            Self::Put(_, _, body) => body.clone(),
            Self::Bad(..) | Self::Removed => None,
        }
    }
}

// === impl Body ===

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

fn buckets(numbers: &[u32]) -> BTreeSet<Bucket> {
    let numbers = numbers
        .iter()
        .filter_map(|number| u16::try_from(*number).ok());
    numbers.filter_map(Bucket::new).collect()
}
