//! The format of a cache file, and reading it with suspicion.
//!
//! ```text
//! "MESHLITE", format (u32), length of the content (u64), zstd(content), XXH3-128 of all before it     (big-endian)
//! content = CommitBegin, CommitEnd, ResourceFrame…: length-delimited, the frames as they were sent
//! ```

use bytes::{BufMut as _, Bytes, BytesMut};
use meshlite_snapshot::{Name, Topic, Version};
use prost::Message;
use twox_hash::XxHash3_128;

use super::Kept;
use crate::{
    decode::{self, DecodeError, FrameError, FrameReader},
    encode,
    inflate::{Inflate, InflateError},
    v1,
};

const MAGIC: &[u8; 8] = b"MESHLITE";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = MAGIC.len() + size_of::<u32>() + size_of::<u64>();
/// The most content that is read, in bytes: as much as of a commit.
const MAX_CONTENT_BYTES: u64 = 1024 * 1024 * 1024;
const ZSTD_LEVEL: i32 = 3;

/// Why a file is not a snapshot that this build can take up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is something else, or only the beginning of it.
    #[error("it is not a snapshot")]
    NotOurs,
    /// Another build wrote it.
    #[error("its format is {0} instead of {FORMAT}")]
    Format(u32),
    /// It was damaged.
    #[error("its checksum is wrong")]
    Checksum,
    /// It says that more is in it than this client is prepared to hold.
    #[error("it says that it holds {0} bytes")]
    TooLarge(u64),
    /// It cannot be decompressed.
    #[error(transparent)]
    Inflate(#[from] InflateError),
    /// What it holds cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What it holds is not allowed.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What it holds is not what it says.
    #[error("{0}")]
    Content(&'static str),
}

/// The bytes of a file with these resources.
pub fn pack(kept: &Kept) -> std::io::Result<Vec<u8>> {
    let begin = v1::CommitBegin {
        epoch: kept.epoch.clone(),
        generation: kept.generation,
        frame_count: kept.resources.len() as u64,
        topics: kept.topics.iter().copied().map(encode::topic).collect(),
        ..v1::CommitBegin::default()
    };
    let end = v1::CommitEnd {
        sources: kept.sources.clone(),
        ..v1::CommitEnd::default()
    };
    let mut content = BytesMut::new();
    content.put_slice(&begin.encode_length_delimited_to_vec());
    content.put_slice(&end.encode_length_delimited_to_vec());
    for (topic, name, version, body) in &kept.resources {
        encode::frame(*topic, name, *version, Some(body), &mut content);
    }
    let mut file = Vec::with_capacity(content.len() / 4);
    file.put_slice(MAGIC);
    file.put_u32(FORMAT);
    file.put_u64(content.len() as u64);
    file.append(&mut zstd::encode_all(content.as_ref(), ZSTD_LEVEL)?);
    file.put_u128(XxHash3_128::oneshot(&file));
    Ok(file)
}

/// What these bytes of a file hold. Resources of topics that this build does not know are left out.
pub fn unpack(file: &[u8]) -> Result<Kept, Unreadable> {
    let (rest, checksum) = file.split_last_chunk().ok_or(Unreadable::NotOurs)?;
    let (header, packed) = rest
        .split_at_checked(HEADER_BYTES)
        .ok_or(Unreadable::NotOurs)?;
    let (length, header) = last_u64(header).ok_or(Unreadable::NotOurs)?;
    let (magic, format) = header.split_last_chunk().ok_or(Unreadable::NotOurs)?;
    if magic != MAGIC {
        return Err(Unreadable::NotOurs);
    }
    match u32::from_be_bytes(*format) {
        FORMAT => {}
        other => return Err(Unreadable::Format(other)),
    }
    if XxHash3_128::oneshot(rest) != u128::from_be_bytes(*checksum) {
        return Err(Unreadable::Checksum);
    }
    if length > MAX_CONTENT_BYTES {
        return Err(Unreadable::TooLarge(length));
    }
    let mut content = Content::default();
    let mut inflate = Inflate::new(length)?;
    inflate.push(packed, |piece| content.push(piece))?;
    inflate.finish()?;
    content.finish()
}

fn last_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (before, last) = bytes.split_last_chunk()?;
    Some((u64::from_be_bytes(*last), before))
}

/// What was read so far.
#[derive(Debug, Default)]
struct Content {
    reader: FrameReader,
    begin: Option<v1::CommitBegin>,
    end: Option<v1::CommitEnd>,
    frames: u64,
    resources: Vec<(Topic, Name, Version, Bytes)>,
}

// === impl Content ===

impl Content {
    fn push(&mut self, piece: &[u8]) -> Result<(), Unreadable> {
        self.reader.push(piece);
        while let Some(message) = self.reader.next_message()? {
            if self.begin.is_none() {
                self.begin = Some(read(message)?);
            } else if self.end.is_none() {
                self.end = Some(read(message)?);
            } else {
                self.frame(&read(message)?)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, frame: &v1::ResourceFrame) -> Result<(), Unreadable> {
        self.frames += 1;
        let version = Version(frame.version);
        if frame.removed || Version::of(&frame.body) != version {
            return Err(Unreadable::Content("a resource is not its version"));
        }
        if let Ok(topic) = decode::topic_of(frame.r#type, &frame.scope) {
            let name = decode::name(&frame.name)?;
            // A copy, so that one resource does not keep a whole piece alive.
            let body = Bytes::copy_from_slice(&frame.body);
            self.resources.push((topic, name, version, body));
        }
        Ok(())
    }

    fn finish(self) -> Result<Kept, Unreadable> {
        let (Some(begin), Some(end)) = (self.begin, self.end) else {
            return Err(Unreadable::Content("it has no beginning"));
        };
        if !self.reader.is_empty() || self.frames != begin.frame_count {
            return Err(Unreadable::Content("resources are missing"));
        }
        let topics = begin.topics.iter();
        Ok(Kept {
            epoch: begin.epoch,
            generation: begin.generation,
            topics: topics
                .filter_map(|topic| decode::topic(topic).ok())
                .collect(),
            sources: end.sources,
            resources: self.resources,
        })
    }
}

fn read<M: Message + Default>(message: Bytes) -> Result<M, FrameError> {
    M::decode(message).map_err(|error| FrameError::Malformed(error.to_string()))
}
