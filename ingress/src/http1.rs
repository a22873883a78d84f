//! HTTP/1.1 as it is on the wire: what clients and endpoints have in common, whichever of them speaks. Pure but for what reads
//! and writes.

mod buffer;
mod chunked;
mod decoder;
mod encoder;
mod fields;
mod heard;
mod rewound;
mod sender;

use std::{
    cell::RefCell,
    future::Future as _,
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

pub(crate) use self::{
    buffer::Buffer,
    chunked::{Chunked, Piece},
    decoder::Decoder,
    encoder::{Encoder, Length, OtherLength},
    fields::{
        fields_of, has_option, length, names_nothing, number, only_length, put_field, put_length,
        stays_open,
    },
    heard::{Heard, Kind},
    rewound::Rewound,
    sender::{Head, SendError, Sender},
};

/// The largest head, of requests and of responses.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Fields of a head.
pub(crate) const MAX_FIELDS: usize = 100;
/// Bytes that are read at once.
pub(crate) const READ: usize = 64 * 1024;
/// From here on what was read is not copied, but keeps the whole buffer until it is sent.
const SHARED: usize = 8 * 1024;

/// What the connections of a worker read into: one at a time, and whoever waits needs no memory for it.
pub(crate) type Scratch = Rc<RefCell<BytesMut>>;

/// The endpoint's own words for its status, where they are not the usual ones.
#[derive(Clone, Debug)]
pub(crate) struct Reason(pub(crate) Bytes);

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("{0} in its head")]
    Head(httparse::Error),
    #[error("a head of more than {} bytes", MAX_HEAD)]
    HeadTooLarge,
    #[error("a target of more than {} bytes", MAX_HEAD)]
    TargetTooLarge,
    #[error("a method, target, status or field that there cannot be")]
    Value,
    #[error("too many heads before that of the answer")]
    Interim,
    #[error("its Transfer-Encoding")]
    TransferEncoding,
    #[error("its Content-Length")]
    ContentLength,
    #[error("the size of a chunk")]
    ChunkSize,
    #[error("the end of a chunk")]
    ChunkEnd,
    #[error("its trailers")]
    Trailers,
}

/// Reads more: the number of bytes, which is 0 at the end.
pub(crate) fn poll_fill(
    io: &mut (impl AsyncRead + Unpin),
    scratch: &Scratch,
    buffer: &mut Buffer,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut scratch = scratch.borrow_mut();
    scratch.reserve(READ);
    let read = ready!(pin!(io.read_buf(&mut *scratch)).poll(cx))?;
    buffer.push(if read < SHARED {
        let copy = Bytes::copy_from_slice(&scratch);
        scratch.clear();
        copy
    } else {
        scratch.split().freeze()
    });
    Poll::Ready(Ok(read))
}

/// The first bytes of what is there.
fn take(buffer: &mut Bytes, length: usize) -> Bytes {
    if length == buffer.len() {
        std::mem::take(buffer)
    } else {
        buffer.split_to(length)
    }
}
