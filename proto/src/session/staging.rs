//! A commit while it arrives. Nothing of it is visible before it is complete and proved.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use meshlite_snapshot::{Name, Resource, SetDigest, Topic, Version};

use super::{
    RejectReason, Rejection,
    held::{Held, WireKey},
};
use crate::{
    decode::{self, DecodeError, Decoder, FrameError, FrameReader},
    v1,
};

/// A commit between its begin and its end.
#[derive(Debug)]
pub(super) struct Staging {
    begin: v1::CommitBegin,
    reader: FrameReader,
    decoder: Decoder,
    bytes: u64,
    frames: u64,
    staged: Staged,
    damage: Option<Damage>,
}

/// What a commit says, by name.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// What is not in it is gone.
    pub(super) full: bool,
    /// The topics that it speaks for.
    covered: BTreeSet<Topic>,
    pub(super) resources: BTreeMap<(Topic, Name), What>,
    /// Frames of topics that this build does not know or did not ask for.
    pub(super) unknown: Vec<Rejection>,
    pub(super) unknown_removed: Vec<WireKey>,
    /// When the oldest change in it happened at its source, where the server knows.
    pub(super) oldest_change: Option<SystemTime>,
}

/// What is offered under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Put(Version, Resource),
    /// Offered, but not a resource that this build can read.
    Bad(Version, DecodeError),
    Removed,
}

/// Why a commit is not what the server meant to send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The byte stream cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame has no usable name.
    #[error("a frame's {0}")]
    Name(DecodeError),
    /// A body is not what its version says.
    #[error("{topic} {name}: the version is {said}, that of the bytes is {is}")]
    #[expect(missing_docs, reason = "the message says it")]
    Version {
        topic: String,
        name: String,
        said: Version,
        is: Version,
    },
    /// More or fewer bytes than were announced.
    #[error("{got} bytes instead of {said}")]
    #[expect(missing_docs, reason = "the message says it")]
    Bytes { said: u64, got: u64 },
    /// More or fewer frames than were announced, or half a frame.
    #[error("{got} whole frames instead of {said}")]
    #[expect(missing_docs, reason = "the message says it")]
    Frames { said: u64, got: u64 },
    /// The end is not that of the commit that began.
    #[error("the end is of nonce {nonce} and generation {generation}")]
    #[expect(missing_docs, reason = "the message says it")]
    End { nonce: u64, generation: u64 },
    /// An expected digest cannot be read.
    #[error("expected {0}")]
    Expected(DecodeError),
    /// The commit speaks for a topic and does not say what its set should be.
    #[error("{0}: no digest is expected")]
    Unproved(Topic),
    /// The set would not be what the server published.
    #[error(
        "{topic}: the digest would be {computed} of {computed_count} resources instead of {expected} of {expected_count}"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Digest {
        topic: Topic,
        expected: SetDigest,
        computed: SetDigest,
        expected_count: u64,
        computed_count: u64,
    },
}

// === impl Staging ===

impl Staging {
    pub(super) fn new(begin: v1::CommitBegin, held: &Held) -> Self {
        let covered = if begin.topics.is_empty() {
            held.topics().collect()
        } else {
            let known = begin
                .topics
                .iter()
                .filter_map(|topic| decode::topic(topic).ok());
            known.filter(|topic| held.subscribes(*topic)).collect()
        };
        Self {
            staged: Staged {
                full: begin.mode() == v1::CommitMode::Full,
                covered,
                ..Staged::default()
            },
            begin,
            reader: FrameReader::default(),
            decoder: Decoder::default(),
            bytes: 0,
            frames: 0,
            damage: None,
        }
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
            self.staged = Staged::default();
            self.reader = FrameReader::default();
        }
    }

    /// The whole commit, once it is proved.
    pub(super) fn end(mut self, end: &v1::CommitEnd, held: &Held) -> Result<Staged, Damage> {
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
        if self.frames != begin.frame_count || !self.reader.is_empty() {
            return Err(Damage::Frames {
                said: begin.frame_count,
                got: self.frames,
            });
        }
        held.verify(&self.staged, &end.expected)?;
        self.staged.oldest_change = end.oldest_change.and_then(|at| at.try_into().ok());
        Ok(self.staged)
    }

    fn read(&mut self, data: &[u8], held: &Held) -> Result<(), Damage> {
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        if self.bytes > self.begin.bytes {
            return Err(Damage::Bytes {
                said: self.begin.bytes,
                got: self.bytes,
            });
        }
        self.reader.push(data);
        while let Some(frame) = self.reader.next_frame()? {
            self.frames += 1;
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
            What::Put(version, resource)
        } else {
            match self.decoder.body(topic.kind, &frame.body) {
                Ok(resource) => What::Put(version, resource),
                Err(error) => What::Bad(version, error),
            }
        };
        self.staged.resources.insert((topic, name), what);
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

    /// What it does not name in this topic is gone.
    pub(super) fn replaces(&self, topic: Topic) -> bool {
        self.full && self.covers(topic)
    }
}

// === impl What ===

impl What {
    /// The version that the server counts in; none where it is gone.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Put(version, _) | Self::Bad(version, _) => Some(*version),
            Self::Removed => None,
        }
    }
}
