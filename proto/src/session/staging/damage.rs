//! Why a commit is refused.

use meshlite_snapshot::{SetDigest, Topic, Version};

use crate::{
    decode::{DecodeError, FrameError},
    inflate::InflateError,
};

/// Why a commit is not what the server meant to send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The byte stream cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The compressed byte stream cannot be read.
    #[error("compressed: {0}")]
    Compressed(#[from] InflateError),
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
