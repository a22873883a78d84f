//! The body of a response stream: gRPC messages, of which the parts that all clients share are not made for each of them.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use meshlite_proto::v1;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len, uint64},
};
use tokio_stream::Stream;
use tonic::Status;

/// What a message begins with: whether it is compressed, and its length.
const HEADER: usize = 5;
/// What a change of one object takes, with all that is around it, in bytes.
const BUFFER: usize = 1024;
/// Data of more bytes than these is not copied. A commit with less goes as one frame of HTTP/2, one TLS record and one
/// write, and wakes its client once: each of these costs more than copying so little.
const COPIED: usize = 15 * 1024;
/// From so many bytes on a buffer is sent.
const FULL_BUFFER: usize = 16 * 1024;

// Numbers of fields in discovery.proto.
const BEGIN: u32 = 1;
const CHUNK: u32 = 2;
const END: u32 = 3;
const NONCE: u32 = 1;
const FROM_GENERATION: u32 = 3;
const DATA: u32 = 1;

/// One `DiscoveryResponse`.
#[derive(Debug)]
pub(super) enum Piece {
    /// `CommitBegin`; `rest` is all that is equal for all clients.
    Begin {
        nonce: u64,
        from_generation: u64,
        rest: Bytes,
    },
    /// The data of a `ResourceChunk`.
    Chunk(Bytes),
    /// `CommitEnd`; `rest` is all that is equal for all clients.
    End {
        nonce: u64,
        rest: Bytes,
    },
    Message(Box<v1::DiscoveryResponse>),
}

/// Pieces as the body of a response. What is to be sent at the same time is one frame; between frames it keeps no buffer,
/// as most streams are idle.
#[derive(Debug)]
pub(super) struct PieceBody<S> {
    pieces: S,
    /// The rest of a message that was begun.
    rest: Bytes,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// All messages were taken; how the stream ended was not.
    Ending(Status),
    Ended,
}

// === impl PieceBody ===

impl<S> PieceBody<S> {
    pub(super) fn new(pieces: S) -> Self {
        Self {
            pieces,
            rest: Bytes::new(),
            state: State::Open,
        }
    }
}

impl<S: Stream<Item = Result<Piece, Status>> + Unpin> PieceBody<S> {
    /// What there is to send now; nothing where the stream has ended.
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<BytesMut> {
        let mut buffer = BytesMut::new();
        while self.rest.is_empty() && buffer.len() < FULL_BUFFER {
            match Pin::new(&mut self.pieces).poll_next(context) {
                Poll::Ready(Some(Ok(piece))) => {
                    if buffer.capacity() == 0 {
                        buffer.reserve(BUFFER);
                    }
                    self.rest = message(piece, &mut buffer);
                }
                Poll::Ready(Some(Err(status))) => {
                    self.state = State::Ending(status);
                    break;
                }
                Poll::Ready(None) => {
                    self.state = State::Ending(Status::ok(""));
                    break;
                }
                Poll::Pending if buffer.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(buffer)
    }
}

impl<S: Stream<Item = Result<Piece, Status>> + Unpin> Body for PieceBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if !this.rest.is_empty() {
            let rest = std::mem::take(&mut this.rest);
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        if matches!(this.state, State::Open) {
            let data = std::task::ready!(this.poll_data(context));
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data.freeze()))));
            }
        }
        let trailers = match std::mem::replace(&mut this.state, State::Ended) {
            State::Ending(status) => Some(Ok(Frame::trailers(trailers(&status)))),
            State::Open | State::Ended => None,
        };
        Poll::Ready(trailers)
    }
}

/// How a stream ended, as gRPC says it.
fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        // Its message or metadata cannot be sent; its code can.
        trailers.insert(Status::GRPC_STATUS, (status.code() as i32).into());
    }
    trailers
}

/// Appends a message to a buffer, but for what is given back: what follows the buffer.
fn message(piece: Piece, buffer: &mut BytesMut) -> Bytes {
    let start = buffer.len();
    buffer.put_bytes(0, HEADER);
    let rest = match piece {
        Piece::Chunk(data) if data.len() > COPIED => {
            open_chunk(data.len(), buffer);
            data
        }
        piece => {
            write(&piece, buffer);
            Bytes::new()
        }
    };
    let length = buffer.len() - start - HEADER + rest.len();
    // Chunks are bounded, and all else is small.
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(header) = buffer.get_mut(start + 1..start + HEADER) {
        header.copy_from_slice(&length);
    }
    rest
}

fn write(piece: &Piece, buffer: &mut impl BufMut) {
    match piece {
        Piece::Begin {
            nonce,
            from_generation,
            rest,
        } => {
            let own = field_len(NONCE, *nonce) + field_len(FROM_GENERATION, *from_generation);
            open(BEGIN, own + rest.len(), buffer);
            uint64::encode(NONCE, nonce, buffer);
            uint64::encode(FROM_GENERATION, from_generation, buffer);
            buffer.put_slice(rest);
        }
        Piece::Chunk(data) => {
            open_chunk(data.len(), buffer);
            buffer.put_slice(data);
        }
        Piece::End { nonce, rest } => {
            open(END, field_len(NONCE, *nonce) + rest.len(), buffer);
            uint64::encode(NONCE, nonce, buffer);
            buffer.put_slice(rest);
        }
        Piece::Message(message) => message.encode_raw(buffer),
    }
}

/// All of a `ResourceChunk` but its data.
fn open_chunk(length: usize, buffer: &mut impl BufMut) {
    let own = key_len(DATA) + encoded_len_varint(length as u64);
    open(CHUNK, own + length, buffer);
    open(DATA, length, buffer);
}

/// The key and the length of a field with so many bytes.
fn open(field: u32, length: usize, buffer: &mut impl BufMut) {
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint(length as u64, buffer);
}

fn field_len(field: u32, value: u64) -> usize {
    uint64::encoded_len(field, &value)
}

#[cfg(test)]
mod tests {
    use meshlite_proto::v1::discovery_response::Kind;

    use super::*;

    fn read(piece: Piece) -> Kind {
        let mut bytes = BytesMut::new();
        let rest = message(piece, &mut bytes);
        bytes.extend_from_slice(&rest);
        let (header, body) = bytes.split_at(HEADER);
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        assert_eq!(header, [&[0][..], &length].concat());
        let message = v1::DiscoveryResponse::decode(body).unwrap();
        message.kind.unwrap()
    }

    /// The frames that there are now, each as its length; the last one may be trailers.
    fn frames(pieces: Vec<Result<Piece, Status>>) -> (Vec<usize>, HeaderMap) {
        let mut body = PieceBody::new(tokio_stream::iter(pieces));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut lengths = Vec::new();
        loop {
            match Pin::new(&mut body).poll_frame(&mut context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => lengths.push(data.len()),
                    Err(frame) => {
                        let ended = Pin::new(&mut body).poll_frame(&mut context);
                        assert!(matches!(ended, Poll::Ready(None)));
                        return (lengths, frame.into_trailers().unwrap());
                    }
                },
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_small_commit_is_one_frame_and_the_data_of_a_large_one_is_not_copied() {
        let commit = |data: usize| {
            vec![
                Ok(Piece::Begin {
                    nonce: 1,
                    from_generation: 0,
                    rest: Bytes::new(),
                }),
                Ok(Piece::Chunk(vec![7; data].into())),
                Ok(Piece::End {
                    nonce: 1,
                    rest: Bytes::new(),
                }),
            ]
        };
        let (small, trailers) = frames(commit(500));
        assert_eq!(small.len(), 1);
        assert_eq!(frames(commit(COPIED)).0.len(), 1);
        assert_eq!(trailers[Status::GRPC_STATUS], "0");
        let (large, _) = frames(commit(50_000));
        assert_eq!(large.len(), 3);
        assert_eq!(large[1], 50_000);
        let refused = Status::data_loss("connect again");
        let (sent, trailers) = frames(vec![Ok(Piece::Chunk(vec![7; 500].into())), Err(refused)]);
        assert_eq!(sent.len(), 1);
        assert_eq!(trailers[Status::GRPC_STATUS], "15");
        assert_eq!(trailers[Status::GRPC_MESSAGE], "connect%20again");
    }

    #[test]
    fn a_piece_is_the_message_that_it_stands_for() {
        let begin = v1::CommitBegin {
            nonce: 300,
            epoch: "epoch".into(),
            from_generation: u64::MAX,
            generation: 7,
            frame_count: 3,
            ..v1::CommitBegin::default()
        };
        let shared = v1::CommitBegin {
            nonce: 0,
            from_generation: 0,
            ..begin.clone()
        };
        let piece = Piece::Begin {
            nonce: 300,
            from_generation: u64::MAX,
            rest: shared.encode_to_vec().into(),
        };
        assert_eq!(read(piece), Kind::Begin(begin));
        let data = Bytes::from(vec![7; 70_000]);
        let chunk = v1::ResourceChunk { data: data.clone() };
        assert_eq!(read(Piece::Chunk(data)), Kind::Chunk(chunk));
        let end = v1::CommitEnd {
            nonce: 1,
            generation: 7,
            ..v1::CommitEnd::default()
        };
        let shared = v1::CommitEnd {
            nonce: 0,
            ..end.clone()
        };
        let rest = shared.encode_to_vec().into();
        assert_eq!(read(Piece::End { nonce: 1, rest }), Kind::End(end));
        let drain = Kind::Drain(v1::Drain::default());
        let message = v1::DiscoveryResponse {
            kind: Some(drain.clone()),
        };
        assert_eq!(read(Piece::Message(message.into())), drain);
    }
}
