//! The byte stream of a commit: length-delimited frames, cut anywhere into chunks.

use bytes::{Buf as _, Bytes, BytesMut};
use meshlite_snapshot::{Name, Topic, Version};
use prost::Message as _;

use crate::{encode, v1};

/// The largest chunk that is sent, in bytes. Small messages keep every stream's buffers small.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// The largest frame that is read, in bytes: ten times what the API server stores of one object, for resources that are
/// made of many.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// Why a byte stream is not a sequence of frames. Nothing after it can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length before a frame does not end.
    #[error("a frame's length is not a varint")]
    Length,
    /// The frame is longer than [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes is longer than {MAX_FRAME_BYTES}")]
    TooLong(u64),
    /// What the frame holds is not a `ResourceFrame`.
    #[error("a frame cannot be decoded: {0}")]
    Malformed(String),
}

/// Reads frames out of chunks, however the stream was cut. Holds at most one frame and one chunk.
#[derive(Debug, Default)]
pub struct FrameReader {
    unread: BytesMut,
}

/// Appends one resource, or its removal where there is no body, to a commit's byte stream.
pub fn frame(
    topic: Topic,
    name: &Name,
    version: Version,
    body: Option<&Bytes>,
    out: &mut BytesMut,
) {
    let frame = v1::ResourceFrame {
        r#type: encode::resource_type(topic.kind).into(),
        scope: topic.scope.as_str().to_owned(),
        name: name.to_string(),
        version: version.0,
        body: body.cloned().unwrap_or_default(),
        removed: body.is_none(),
    };
    #[expect(
        clippy::expect_used,
        reason = "encoding fails only in a buffer of fixed size, and this one grows"
    )]
    frame
        .encode_length_delimited(out)
        .expect("a growing buffer has room");
}

/// Cuts a commit's byte stream into the data of chunks of at most `max` bytes, without copying it.
pub fn chunks(mut stream: Bytes, max: usize) -> impl Iterator<Item = Bytes> {
    let max = max.max(1);
    std::iter::from_fn(move || {
        let length = stream.len().min(max);
        (length > 0).then(|| stream.split_to(length))
    })
}

// === impl FrameReader ===

impl FrameReader {
    /// Takes the next piece of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        self.unread.extend_from_slice(chunk);
    }

    /// The next frame, if all of it has arrived.
    pub fn next_frame(&mut self) -> Result<Option<v1::ResourceFrame>, FrameError> {
        let Some(frame) = self.next_message()? else {
            return Ok(None);
        };
        v1::ResourceFrame::decode(frame)
            .map(Some)
            .map_err(|error| FrameError::Malformed(error.to_string()))
    }

    /// The bytes of the next length-delimited message, if all of it has arrived.
    pub(crate) fn next_message(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((prefix, length)) = length_prefix(&self.unread)? else {
            return Ok(None);
        };
        if self.unread.len() - prefix < length {
            return Ok(None);
        }
        self.unread.advance(prefix);
        Ok(Some(self.unread.split_to(length).freeze()))
    }

    /// Every byte that was pushed has come out as a frame.
    pub fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }
}

/// The length of the varint at the start of these bytes and its value; none where it has not all arrived.
fn length_prefix(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    const LONGEST_VARINT: usize = 10;
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(LONGEST_VARINT).enumerate() {
        value |= u64::from(byte & 0x7f)
            .checked_shl(7 * u32::try_from(index).unwrap_or(u32::MAX))
            .unwrap_or(0);
        if byte & 0x80 == 0 {
            return match usize::try_from(value) {
                Ok(length) if length <= MAX_FRAME_BYTES => Ok(Some((index + 1, length))),
                _ => Err(FrameError::TooLong(value)),
            };
        }
    }
    if bytes.len() >= LONGEST_VARINT {
        return Err(FrameError::Length);
    }
    Ok(None)
}
