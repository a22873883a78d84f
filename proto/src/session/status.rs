//! What a client says about itself: its position, the proof of what it holds, and what it did not take.

use meshlite_snapshot::{Name, SetDigest, Topic, Version};
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::v1;

/// How much of a rejection's message is sent, in characters: a thousand rejections fit into a message.
const LONGEST_MESSAGE: usize = 512;

/// One difference between a commit and the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The set that the resource is in.
    pub topic: Topic,
    /// The resource.
    pub name: Name,
    /// It is gone; otherwise it is new or different.
    pub removed: bool,
}

/// Why a resource was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum RejectReason {
    /// The bytes are not a resource of the type.
    Malformed,
    /// A field has a value that is not allowed.
    Invalid,
    /// It asks for something that this client cannot do.
    Unsupported,
    /// It was right, but could not be programmed here.
    NotProgrammed,
}

/// A resource that was not taken. Its last good version, if there was one, is served instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The set, as the server calls it; this client need not know it.
    #[serde(serialize_with = "wire_topic")]
    pub topic: v1::Topic,
    /// The resource.
    pub name: String,
    /// The version that was not taken.
    pub version: Version,
    /// Why, in one word.
    pub reason: RejectReason,
    /// Why, as a sentence.
    pub message: String,
    /// What is served instead.
    pub serving: Option<Version>,
}

/// What one set of resources is, in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TopicDigest {
    /// The set.
    #[serde(serialize_with = "shown")]
    pub topic: Topic,
    /// The digest of its members.
    pub digest: SetDigest,
    /// How many members there are.
    pub count: u64,
}

/// Where a client stands. As JSON it is what the data planes answer on `/snapshot`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SessionStatus {
    /// A stream is open and the server has answered on it.
    pub connected: bool,
    /// The endpoint that is in use, or was last.
    pub server: Option<String>,
    /// The replica whose commit was last installed; empty before the first.
    pub epoch: String,
    /// The generation that was last installed; 0 before the first.
    pub generation: u64,
    /// Computed from what is installed, one for each subscribed topic.
    pub digests: Vec<TopicDigest>,
    /// What is not served as it was sent.
    pub rejections: Vec<Rejection>,
    /// When a commit was last installed.
    #[serde(skip)]
    pub last_commit: Option<Instant>,
    /// What is installed comes from disk, and no control plane has confirmed it yet.
    pub provisional: bool,
    /// Why a commit that was offered is not installed, where the client waits for another replica to confirm it.
    pub held_back: Option<String>,
    /// How far the sources of what is installed were read.
    #[serde(serialize_with = "watermarks")]
    pub sources: Vec<v1::Watermark>,
    /// What last went wrong; none once a commit was installed after it.
    pub last_error: Option<String>,
}

impl From<RejectReason> for v1::RejectReason {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::Malformed => Self::Malformed,
            RejectReason::Invalid => Self::Invalid,
            RejectReason::Unsupported => Self::Unsupported,
            RejectReason::NotProgrammed => Self::NotProgrammed,
        }
    }
}

impl From<&Rejection> for v1::Rejection {
    fn from(rejection: &Rejection) -> Self {
        Self {
            topic: Some(rejection.topic.clone()),
            name: rejection.name.clone(),
            version: rejection.version.to_string(),
            reason: v1::RejectReason::from(rejection.reason).into(),
            message: rejection.message.chars().take(LONGEST_MESSAGE).collect(),
            serving_version: rejection
                .serving
                .map_or_else(String::new, |version| version.to_string()),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn shown<S: Serializer>(topic: &Topic, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(topic)
}

fn watermarks<S: Serializer>(sources: &[v1::Watermark], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        resource: &'a str,
        version: &'a str,
        origin: &'a str,
        staleness_seconds: i64,
    }
    serializer.collect_seq(sources.iter().map(|source| Shown {
        resource: &source.resource,
        version: &source.resource_version,
        origin: &source.origin,
        staleness_seconds: source.staleness.map_or(0, |staleness| staleness.seconds),
    }))
}

fn wire_topic<S: Serializer>(topic: &v1::Topic, serializer: S) -> Result<S::Ok, S::Error> {
    match crate::decode::topic(topic) {
        Ok(topic) => serializer.collect_str(&topic),
        Err(_) => serializer.collect_str(&format_args!("type {}/{}", topic.r#type, topic.scope)),
    }
}
