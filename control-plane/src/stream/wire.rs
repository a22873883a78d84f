//! The encoding of a response stream: the parts of a commit that all clients share are copied as bytes.

use bytes::{BufMut, Bytes};
use meshlite_proto::v1;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len, uint64},
};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstDecoder;

/// What a stream's buffers hold at first, in bytes. Most streams are idle, and each has two of them.
const BUFFER: usize = 1024;
/// From so many bytes on a buffer is sent.
const FULL_BUFFER: usize = 32 * 1024;

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

/// Requests as prost decodes them, responses as [`Piece`]s.
#[derive(Clone, Copy, Debug)]
pub(super) struct PieceCodec;

/// Writes [`Piece`]s.
#[derive(Clone, Copy, Debug)]
pub(super) struct PieceEncoder;

// === impl PieceCodec ===

impl Codec for PieceCodec {
    type Encode = Piece;
    type Decode = v1::DiscoveryRequest;
    type Encoder = PieceEncoder;
    type Decoder = ProstDecoder<v1::DiscoveryRequest>;

    fn encoder(&mut self) -> PieceEncoder {
        PieceEncoder
    }

    fn decoder(&mut self) -> ProstDecoder<v1::DiscoveryRequest> {
        ProstDecoder::new(BufferSettings::new(BUFFER, FULL_BUFFER))
    }
}

// === impl PieceEncoder ===

impl Encoder for PieceEncoder {
    type Item = Piece;
    type Error = Status;

    fn encode(&mut self, piece: Piece, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        write(&piece, buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, FULL_BUFFER)
    }
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
            let own = key_len(DATA) + encoded_len_varint(data.len() as u64);
            open(CHUNK, own + data.len(), buffer);
            open(DATA, data.len(), buffer);
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

    fn read(piece: &Piece) -> Kind {
        let mut bytes = Vec::new();
        write(piece, &mut bytes);
        let message = v1::DiscoveryResponse::decode(&bytes[..]).unwrap();
        message.kind.unwrap()
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
        assert_eq!(read(&piece), Kind::Begin(begin));
        let data = Bytes::from(vec![7; 70_000]);
        let chunk = v1::ResourceChunk { data: data.clone() };
        assert_eq!(read(&Piece::Chunk(data)), Kind::Chunk(chunk));
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
        assert_eq!(read(&Piece::End { nonce: 1, rest }), Kind::End(end));
        let drain = Kind::Drain(v1::Drain::default());
        let message = v1::DiscoveryResponse {
            kind: Some(drain.clone()),
        };
        assert_eq!(read(&Piece::Message(message.into())), drain);
    }
}
