//! Reads a body to its end, however that is known. Pure.

use bytes::Bytes;
use http_body::SizeHint;

use super::{Chunked, Malformed, Piece, take};

/// What is still to come of a body.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// So many bytes.
    Left(u64),
    Chunked(Chunked),
    /// What comes until the end of the connection.
    UntilClose,
}

impl Decoder {
    /// Takes the next piece out of what has come.
    pub(crate) fn next(&mut self, buffer: &mut Bytes) -> Result<Piece, Malformed> {
        let length = buffer.len();
        let length = match self {
            Self::Chunked(chunked) => return chunked.next(buffer),
            Self::Left(0) => return Ok(Piece::End),
            _ if length == 0 => return Ok(Piece::Missing),
            Self::UntilClose => length,
            Self::Left(left) => {
                let length = usize::try_from(*left).map_or(length, |left| left.min(length));
                *left -= u64::try_from(length).unwrap_or(*left);
                length
            }
        };
        Ok(Piece::Data(take(buffer, length)))
    }

    /// The connection has ended. False if the body has not.
    pub(crate) fn close(&mut self) -> bool {
        if let Self::UntilClose = self {
            *self = Self::Left(0);
        }
        self.has_ended()
    }

    /// Whether the body is whole.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Left(left) => *left == 0,
            Self::Chunked(chunked) => chunked.has_ended(),
            Self::UntilClose => false,
        }
    }

    /// Bytes that are still to come, where that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Left(left) => SizeHint::with_exact(*left),
            Self::Chunked(chunked) if chunked.has_ended() => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }
}
