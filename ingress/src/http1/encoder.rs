//! A body as it goes on the wire: as long as was said, in chunks, or to the end of the connection. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use http_body::Frame;

/// How the other side knows where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Bytes.
    Known(u64),
    Chunked,
    /// It reads until there is no connection any more.
    UntilClose,
}

/// Frames a body.
#[derive(Debug)]
pub(crate) enum Encoder {
    /// Bytes that have still to come.
    Left(u64),
    /// The trailers that the head has announced; others are not sent.
    Chunked(Box<[HeaderName]>),
    UntilClose,
}

/// A body that is not as long as was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not as long as its head says")]
pub(crate) struct OtherLength;

impl Encoder {
    pub(crate) fn new(length: Length, headers: &HeaderMap) -> Self {
        match length {
            Length::Chunked => Self::Chunked(announced(headers)),
            length => Self::without_trailers(length),
        }
    }

    /// One for a receiver that does not take trailers.
    pub(crate) fn without_trailers(length: Length) -> Self {
        match length {
            Length::Known(length) => Self::Left(length),
            Length::Chunked => Self::Chunked(Box::default()),
            Length::UntilClose => Self::UntilClose,
        }
    }

    /// Adds what a frame is on the wire.
    pub(crate) fn encode(
        &mut self,
        frame: Frame<Bytes>,
        out: &mut VecDeque<Bytes>,
    ) -> Result<(), OtherLength> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                if let (Self::Chunked(announced), Ok(trailers)) = (&*self, frame.into_trailers()) {
                    out.push_back(last_chunk(announced, &trailers));
                    *self = Self::Left(0);
                }
                return Ok(());
            }
        };
        if data.is_empty() {
            return Ok(());
        }
        match self {
            Self::Left(left) => {
                let length = u64::try_from(data.len()).map_err(|_too_long| OtherLength)?;
                *left = left.checked_sub(length).ok_or(OtherLength)?;
                out.push_back(data);
            }
            Self::UntilClose => out.push_back(data),
            Self::Chunked(_) => {
                out.push_back(format!("{:x}\r\n", data.len()).into());
                out.push_back(data);
                out.push_back(Bytes::from_static(b"\r\n"));
            }
        }
        Ok(())
    }

    /// Adds what says that the body ends here.
    pub(crate) fn end(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), OtherLength> {
        match self {
            Self::Left(0) | Self::UntilClose => Ok(()),
            Self::Left(_) => Err(OtherLength),
            Self::Chunked(_) => {
                out.push_back(Bytes::from_static(b"0\r\n\r\n"));
                *self = Self::Left(0);
                Ok(())
            }
        }
    }
}

/// The names in `Trailer` headers that may be trailers.
fn announced(headers: &HeaderMap) -> Box<[HeaderName]> {
    let values = headers.get_all(header::TRAILER).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(may_trail)
        .collect()
}

/// Whether a field may come after a body (RFC 9110 section 6.5.1): not where it would change how the message was read.
fn may_trail(name: &HeaderName) -> bool {
    const FORBIDDEN: [HeaderName; 12] = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::HOST,
        header::MAX_FORWARDS,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
    ];
    !FORBIDDEN.contains(name)
}

fn last_chunk(announced: &[HeaderName], trailers: &HeaderMap) -> Bytes {
    let mut chunk = b"0\r\n".to_vec();
    for (name, value) in trailers {
        if announced.contains(name) {
            chunk.extend_from_slice(name.as_str().as_bytes());
            chunk.extend_from_slice(b": ");
            chunk.extend_from_slice(value.as_bytes());
            chunk.extend_from_slice(b"\r\n");
        }
    }
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = all.iter().map(|(name, value)| {
            let value = HeaderValue::from_static(value);
            (HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    fn text(out: VecDeque<Bytes>) -> String {
        String::from_utf8(Vec::from(out).concat()).unwrap()
    }

    #[test]
    fn only_announced_trailers_that_may_trail_are_sent() {
        let head = headers(&[("trailer", "x-sum, Host")]);
        let mut encoder = Encoder::new(Length::Chunked, &head);
        let mut out = VecDeque::new();
        let data = Frame::data(Bytes::from_static(b"0123456789abcdef"));
        encoder.encode(data, &mut out).unwrap();
        let trailers = headers(&[("x-sum", "7"), ("host", "evil"), ("x-other", "1")]);
        encoder.encode(Frame::trailers(trailers), &mut out).unwrap();
        encoder.end(&mut out).unwrap();
        assert_eq!(text(out), "10\r\n0123456789abcdef\r\n0\r\nx-sum: 7\r\n\r\n");
    }

    #[test]
    fn a_body_that_is_longer_or_shorter_than_its_head_says_is_an_error() {
        let mut out = VecDeque::new();
        let data = || Frame::data(Bytes::from_static(b"abc"));
        let mut encoder = Encoder::new(Length::Known(4), &HeaderMap::new());
        encoder.encode(data(), &mut out).unwrap();
        assert_eq!(encoder.end(&mut out), Err(OtherLength));
        assert_eq!(encoder.encode(data(), &mut out), Err(OtherLength));
        assert_eq!(text(out), "abc");
    }
}
