//! The requests that bytes are, without a connection: for tests and fuzzing.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use super::reader::Reader;
use crate::http1::Piece;

/// A request that came whole.
#[derive(Debug, PartialEq)]
pub(crate) struct Whole {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// The connection may bring another one.
    pub(crate) keep_alive: bool,
}

/// Reads requests from a connection that brings these bytes, in pieces of `cut`: those that are whole, up to one that is none.
pub(crate) fn replay(bytes: &[u8], cut: usize) -> Vec<Whole> {
    let mut reader = Reader::new();
    let mut pieces = bytes.chunks(cut.max(1)).map(Bytes::copy_from_slice);
    let mut all = Vec::new();
    while let Some(whole) = next(&mut reader, &mut pieces) {
        let is_last = !whole.keep_alive;
        all.push(whole);
        if is_last {
            break;
        }
    }
    all
}

fn next(reader: &mut Reader, pieces: &mut impl Iterator<Item = Bytes>) -> Option<Whole> {
    let head = loop {
        match reader.next_head().ok()? {
            Some(head) => break head,
            None => reader.buffer.push(pieces.next()?),
        }
    };
    let (mut data, mut trailers) = (Vec::new(), None);
    loop {
        match reader.next_piece().ok()? {
            Piece::Data(piece) => data.extend_from_slice(&piece),
            Piece::Trailers(fields) => trailers = Some(fields),
            Piece::End => break,
            Piece::Missing => reader.buffer.push(pieces.next()?),
        }
    }
    Some(Whole {
        method: head.parts.method,
        uri: head.parts.uri,
        headers: head.parts.headers,
        data,
        trailers,
        keep_alive: head.asked.keep_alive,
    })
}
