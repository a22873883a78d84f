//! Reads requests out of what comes on a connection, in whatever pieces it comes. Pure.

use bytes::Bytes;
use http_body::SizeHint;

use super::head::{self, Head};
use crate::http1::{Buffer, Decoder, Malformed, Piece};

/// How every client of HTTP/2 begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The requests on one connection, one after another.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) buffer: Buffer,
    body: Decoder,
    /// Nothing was read yet: it may turn out to be HTTP/2.
    is_fresh: bool,
}

/// Why no request comes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The client speaks HTTP/2, and said so with bytes that are still there.
    Http2,
    Malformed(Malformed),
    /// The client has closed the connection, or it broke.
    End,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            buffer: Buffer::default(),
            body: Decoder::Left(0),
            is_fresh: true,
        }
    }

    /// The next request, once the body of the one before has ended; none where it is not all there.
    pub(super) fn next_head(&mut self) -> Result<Option<Head>, Stop> {
        if self.is_fresh {
            let bytes = &*self.buffer.bytes;
            if bytes.starts_with(PREFACE) {
                return Err(Stop::Http2);
            }
            if PREFACE.starts_with(bytes) {
                return Ok(None);
            }
            self.is_fresh = false;
        }
        let head = self
            .buffer
            .next_head(head::parse)
            .map_err(Stop::Malformed)?;
        Ok(head.map(|(head, body)| {
            self.body = body;
            head
        }))
    }

    /// The next piece of the body.
    pub(super) fn next_piece(&mut self) -> Result<Piece, Malformed> {
        self.body.next(&mut self.buffer.bytes)
    }

    /// Whether the body was read to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.body.has_ended()
    }

    /// Bytes of the body that are still to come, where that is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// Whether nothing has come that was not read.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.bytes.is_empty()
    }

    /// Takes what was not read.
    pub(super) fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.buffer.bytes)
    }
}
