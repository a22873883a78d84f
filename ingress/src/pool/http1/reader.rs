//! Reads responses out of what comes on a connection, in whatever pieces it comes. Pure.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::SizeHint;

use super::head::{self, Extent};
use crate::http1::{Buffer, Chunked, Decoder, Heard, Malformed, Piece};

/// Heads that may come before that of the answer itself (RFC 9110 section 15.2).
const MAX_INTERIM: u8 = 32;

/// The answers on one connection, one after another.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: Buffer,
    body: Decoder,
    may_reuse: bool,
    interim: u8,
}

/// What an endpoint says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It wants the body of the request.
    Continue,
    /// The head of something else that is not its answer yet.
    Hint(Heard),
    /// The head of its answer.
    Answer(Heard),
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            buffer: Buffer::default(),
            body: Decoder::Left(0),
            may_reuse: true,
            interim: 0,
        }
    }
}

impl Reader {
    /// Where what has come is put.
    pub(crate) fn buffer(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    /// What the endpoint says next; none where it is not all there. `method` is that of the request.
    pub(crate) fn next_head(&mut self, method: &Method) -> Result<Option<Said>, Malformed> {
        let Some(heard) = self.buffer.next_head(head::parse)? else {
            return Ok(None);
        };
        let status = heard.status;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(Malformed::Interim);
            }
            return Ok(Some(if status == StatusCode::CONTINUE {
                Said::Continue
            } else {
                Said::Hint(heard)
            }));
        }
        self.interim = 0;
        let framing = head::framing(method, &heard)?;
        self.may_reuse &= framing.may_reuse;
        self.body = match framing.extent {
            Extent::Length(length) => Decoder::Left(length),
            Extent::Chunked => Decoder::Chunked(Chunked::new()),
            Extent::UntilClose => Decoder::UntilClose,
        };
        Ok(Some(Said::Answer(heard)))
    }

    /// The next piece of the body.
    pub(super) fn next_piece(&mut self) -> Result<Piece, Malformed> {
        self.body.next(&mut self.buffer.bytes)
    }

    /// The connection has ended. False if the body has not.
    pub(super) fn close(&mut self) -> bool {
        self.may_reuse = false;
        self.body.close()
    }

    /// Whether the body is whole.
    pub(super) fn has_ended(&self) -> bool {
        self.body.has_ended()
    }

    /// Whether the connection may serve another request: nothing has come that nobody asked for.
    pub(super) fn may_reuse(&self) -> bool {
        self.may_reuse && self.has_ended() && self.buffer.bytes.is_empty()
    }

    /// Bytes of the body that are still to come, where that is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// What has come after the last head, in another protocol.
    pub(super) fn into_rest(self) -> Bytes {
        self.buffer.bytes
    }
}

/// All that a connection brought, to the end of its first answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// What followed: nothing, if the connection may be used again.
    pub(crate) rest: Bytes,
    pub(crate) may_reuse: bool,
}

/// Reads an answer from a connection that brings these bytes, in pieces of `cut`, and then ends. None where that is none.
pub(crate) fn replay(method: &Method, bytes: &[u8], cut: usize) -> Option<Whole> {
    let mut reader = Reader::default();
    let mut pieces = bytes.chunks(cut.max(1));
    let heard = loop {
        match reader.next_head(method).ok()? {
            Some(Said::Answer(heard)) => break heard,
            Some(Said::Continue | Said::Hint(_)) => {}
            None => reader.buffer.push(Bytes::copy_from_slice(pieces.next()?)),
        }
    };
    let parts = heard.into_parts();
    let (mut data, mut trailers) = (Vec::new(), None);
    loop {
        match reader.next_piece().ok()? {
            Piece::Data(piece) => data.extend_from_slice(&piece),
            Piece::Trailers(fields) => trailers = Some(fields),
            Piece::End => break,
            Piece::Missing => match pieces.next() {
                Some(piece) => reader.buffer.push(Bytes::copy_from_slice(piece)),
                None if reader.close() => break,
                None => return None,
            },
        }
    }
    for piece in pieces {
        reader.buffer.push(Bytes::copy_from_slice(piece));
    }
    Some(Whole {
        status: parts.status,
        headers: parts.headers,
        data,
        trailers,
        may_reuse: reader.may_reuse(),
        rest: reader.into_rest(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http1::MAX_HEAD;

    fn answers(text: &str) -> Option<Whole> {
        replay(&Method::GET, text.as_bytes(), 7)
    }

    #[test]
    fn hints_before_an_answer_are_bounded() {
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let few = hint.repeat(MAX_INTERIM.into()) + answer;
        assert_eq!(answers(&few).unwrap().data, b"ok");
        let many = hint.repeat(usize::from(MAX_INTERIM) + 1) + answer;
        assert_eq!(answers(&many), None);
    }

    #[test]
    fn what_follows_an_answer_keeps_its_connection_from_being_used_again() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert!(answers(answer).unwrap().may_reuse);
        let whole = answers(&format!("{answer}!")).unwrap();
        assert_eq!((whole.may_reuse, &*whole.rest), (false, b"!".as_slice()));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        assert!(answers(chunked).unwrap().may_reuse);
        assert!(!answers(&format!("{chunked}\n")).unwrap().may_reuse);
    }

    #[test]
    fn a_truncated_answer_is_none() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: 1\r\n",
            "HTTP/1.1 200 OK\r\nContent-Len",
            "",
        ] {
            assert_eq!(answers(text), None, "{text:?}");
        }
        let until_close = answers("HTTP/1.1 200 OK\r\n\r\nwhole").unwrap();
        assert_eq!(
            (until_close.data.as_slice(), until_close.may_reuse),
            (b"whole".as_slice(), false)
        );
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_bounded_too() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        assert_eq!(replay(&Method::GET, long.as_bytes(), 1000), None);
    }

    /// Pieces of answers, in an order that often makes sense.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let first = prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 404 No\n",
            "HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 204 \r\n",
            "\r\nHTTP/1.1 302 X\r\n",
        ]);
        let field = prop::sample::select(vec![
            "Content-Length: 3\r\n",
            "Content-Length: 9\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Connection: close\r\n",
            "X: y\r\n",
            "Trailer: x\n",
            "Content-Length: x\r\n",
            "X y\r\n",
        ]);
        let rest = prop::sample::select(vec![
            "abc",
            "3\r\nabc\r\n",
            "0\r\n\r\n",
            "0\r\nx: y\r\n\r\n",
            "12345678",
            "\r\n",
            "a;x=\r\n0123456789\r\n",
        ]);
        let parts = (
            first,
            prop::collection::vec(field, 0..4),
            prop::collection::vec(rest, 0..6),
        );
        parts.prop_map(|(first, fields, rest)| {
            let text = [first, &fields.concat(), "\r\n", &rest.concat()].concat();
            text.into_bytes()
        })
    }

    proptest! {
        #[test]
        fn an_answer_is_the_same_however_its_bytes_come(
            bytes in any_bytes(),
            cut in 1_usize..60,
            is_head in any::<bool>(),
        ) {
            let method = if is_head { Method::HEAD } else { Method::GET };
            let whole = replay(&method, &bytes, usize::MAX);
            prop_assert_eq!(&replay(&method, &bytes, cut), &whole);
            if let Some(whole) = whole {
                prop_assert!(!whole.may_reuse || whole.rest.is_empty());
            }
        }
    }
}
