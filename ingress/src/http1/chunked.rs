//! Reads a body that comes in chunks (RFC 9112 section 7.1), whatever pieces it comes in. Pure.

use bytes::{Buf as _, Bytes};
use http::HeaderMap;

use super::{MAX_FIELDS, Malformed, fields_of, take};

/// Bytes of all chunk extensions of a body.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Bytes of trailers.
const MAX_TRAILERS: usize = 16 * 1024;

/// Where in its chunks a body is.
#[derive(Debug)]
pub(crate) struct Chunked {
    at: At,
    /// Bytes of extensions that may still come.
    extensions: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the first digit of a chunk's size.
    Begin,
    Size(u64),
    /// After the white space that may follow a size.
    Blank(u64),
    Extension(u64),
    SizeLineFeed(u64),
    /// Bytes of the chunk that are still to come.
    Data(u64),
    DataReturn,
    DataLineFeed,
    Trailers,
    End,
}

/// What comes next of a body.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// Never empty.
    Data(Bytes),
    Trailers(HeaderMap),
    /// It is whole.
    End,
    /// It goes on with bytes that have not come.
    Missing,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self {
            at: At::Begin,
            extensions: MAX_EXTENSIONS,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.at == At::End
    }

    /// Takes the next piece out of what has come.
    pub(crate) fn next(&mut self, buffer: &mut Bytes) -> Result<Piece, Malformed> {
        self.frame(buffer)?;
        match self.at {
            At::Data(left) if !buffer.is_empty() => {
                let length =
                    usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let data = take(buffer, length);
                let left = left - u64::try_from(length).unwrap_or(left);
                self.at = if left > 0 {
                    At::Data(left)
                } else {
                    At::DataReturn
                };
                // The end is often there already. What is wrong with what follows is told when it is asked for.
                let _wrong = self.frame(buffer).is_err();
                Ok(Piece::Data(data))
            }
            At::Trailers => self.trailers(buffer),
            At::End => Ok(Piece::End),
            _ => Ok(Piece::Missing),
        }
    }

    /// Reads on to data, trailers or the end, as far as there are bytes.
    fn frame(&mut self, buffer: &mut Bytes) -> Result<(), Malformed> {
        let mut read = 0;
        let result = loop {
            if matches!(self.at, At::Data(_) | At::Trailers | At::End) {
                break Ok(());
            }
            let Some(byte) = buffer.get(read) else {
                break Ok(());
            };
            match self.step(*byte) {
                Ok(at) => self.at = at,
                Err(error) => break Err(error),
            }
            read += 1;
        };
        buffer.advance(read);
        if result.is_ok() && self.at == At::Trailers && buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            self.at = At::End;
        }
        result
    }

    fn step(&mut self, byte: u8) -> Result<At, Malformed> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        Ok(match (self.at, byte, digit) {
            (At::Begin, _, Some(digit)) => At::Size(digit),
            (At::Size(size), _, Some(digit)) => {
                let size = size.checked_mul(16).ok_or(Malformed::ChunkSize)?;
                At::Size(size | digit)
            }
            (At::Size(size) | At::Blank(size) | At::Extension(size), b'\r', _) => {
                At::SizeLineFeed(size)
            }
            (At::Size(size) | At::Blank(size), b' ' | b'\t', _) => {
                self.spend()?;
                At::Blank(size)
            }
            (At::Size(size) | At::Blank(size), b';', _) => At::Extension(size),
            (At::Extension(size), _, _) if byte != b'\n' => {
                self.spend()?;
                At::Extension(size)
            }
            (At::SizeLineFeed(0), b'\n', _) => At::Trailers,
            (At::SizeLineFeed(size), b'\n', _) => At::Data(size),
            (At::DataReturn, b'\r', _) => At::DataLineFeed,
            (At::DataLineFeed, b'\n', _) => At::Begin,
            (At::DataReturn | At::DataLineFeed, _, _) => return Err(Malformed::ChunkEnd),
            _ => return Err(Malformed::ChunkSize),
        })
    }

    /// Counts a byte that means nothing.
    fn spend(&mut self) -> Result<(), Malformed> {
        let left = self.extensions.checked_sub(1);
        self.extensions = left.ok_or(Malformed::ChunkSize)?;
        Ok(())
    }

    fn trailers(&mut self, buffer: &mut Bytes) -> Result<Piece, Malformed> {
        let end = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let Some(end) = end.filter(|end| *end <= MAX_TRAILERS) else {
            if buffer.len() > MAX_TRAILERS {
                return Err(Malformed::Trailers);
            }
            return Ok(Piece::Missing);
        };
        let section = take(buffer, end + 4);
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let parsed = httparse::parse_headers(&section, &mut fields);
        let Ok(httparse::Status::Complete((length, fields))) = parsed else {
            return Err(Malformed::Trailers);
        };
        if length != section.len() {
            return Err(Malformed::Trailers);
        }
        let trailers = fields_of(&section, fields).ok_or(Malformed::Trailers)?;
        self.at = At::End;
        Ok(Piece::Trailers(trailers))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body::Frame;
    use proptest::prelude::*;

    use super::{
        super::encoder::{Encoder, Length},
        *,
    };

    /// The data, and how it ended.
    fn read(bytes: &[u8], cut: usize) -> (Vec<u8>, Result<bool, Malformed>) {
        let mut chunked = Chunked::new();
        let (mut buffer, mut data) = (Bytes::new(), vec![]);
        for piece in bytes.chunks(cut) {
            buffer = [&buffer[..], piece].concat().into();
            loop {
                match chunked.next(&mut buffer) {
                    Ok(Piece::Data(piece)) => data.extend_from_slice(&piece),
                    Ok(Piece::Trailers(_)) => {}
                    Ok(Piece::Missing) => break,
                    Ok(Piece::End) => return (data, Ok(true)),
                    Err(error) => return (data, Err(error)),
                }
            }
        }
        (data, Ok(false))
    }

    #[test]
    fn chunks_that_can_be_read_in_two_ways_are_malformed() {
        for bytes in [
            "\r\n",
            "x\r\n",
            " 1\r\na\r\n",
            "+1\r\na\r\n",
            "0x1\r\na\r\n",
            "-1\r\na\r\n",
            "1_0\r\n",
            "1\na\r\n0\r\n\r\n",
            "1;x\na\r\n",
            "1 1\r\na\r\n",
            "1\r\r\n",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "1\r\na\r\r\n",
            "10000000000000000\r\n",
            "ffffffffffffffff0\r\n",
            "0\r\nbroken\r\n\r\n",
            "0\r\nx: a\n\r\n\r\n",
            "0\r\nx : 1\r\n\r\n",
            "0\r\nx: a\r\n folded\r\n\r\n",
            "0\r\nx: a\0b\r\n\r\n",
        ] {
            for cut in [1, 2, 100] {
                let (_, end) = read(bytes.as_bytes(), cut);
                assert!(end.is_err(), "{bytes:?} cut by {cut}: {end:?}");
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = "x".repeat(MAX_EXTENSIONS + 1);
        let (_, end) = read(format!("1;{long}\r\na\r\n0\r\n\r\n").as_bytes(), 1000);
        assert_eq!(end, Err(Malformed::ChunkSize));
        let (_, end) = read(format!("0\r\nx: {long}\r\n\r\n").as_bytes(), 1000);
        assert_eq!(end, Err(Malformed::Trailers));
        let (data, end) = read(b"1 ; a=\"b\"\r\na\r\n0;x\r\nx: 1\r\n\r\n", 3);
        assert_eq!((data.as_slice(), end), (b"a".as_slice(), Ok(true)));
    }

    #[test]
    fn the_end_is_known_with_the_last_data() {
        let mut chunked = Chunked::new();
        let mut buffer = Bytes::from_static(b"2\r\nok\r\n0\r\n\r\n");
        let piece = chunked.next(&mut buffer).unwrap();
        assert_eq!(piece, Piece::Data(Bytes::from_static(b"ok")));
        assert!(chunked.has_ended() && buffer.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cut in 1_usize..400,
        ) {
            let mut encoder = Encoder::new(Length::Chunked, &HeaderMap::new());
            let mut out = VecDeque::new();
            for chunk in &chunks {
                encoder.encode(Frame::data(chunk.clone().into()), &mut out).unwrap();
            }
            encoder.end(&mut out).unwrap();
            let bytes = Vec::from(out).concat();
            prop_assert_eq!(read(&bytes, cut), (chunks.concat(), Ok(true)));
            // Without its last byte it is not whole.
            prop_assert_eq!(read(&bytes[..bytes.len() - 1], cut).1, Ok(false));
        }

        #[test]
        fn any_bytes_are_read_alike_however_they_are_cut(
            bytes in prop::collection::vec(prop::sample::select(b"019af;: \t\r\nx\0".to_vec()), 0..80),
            cut in 1_usize..20,
        ) {
            prop_assert_eq!(read(&bytes, cut), read(&bytes, 1000));
        }
    }
}
