//! The head of a request, and where its body ends by it (RFC 9112 section 6.3). Pure.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use http::{Method, Request, Uri, Version, header, request::Parts};

use crate::http1::{
    Chunked, Decoder, MAX_FIELDS, MAX_HEAD, Malformed, fields_of, has_option, number, stays_open,
};

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: Parts,
    pub(super) asked: Asked,
    /// The client sends the body once it is told to.
    pub(super) expects: bool,
}

/// What the answer to a request depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) version: Version,
    pub(super) is_head: bool,
    /// The client leaves the connection open.
    pub(super) keep_alive: bool,
    pub(super) takes_trailers: bool,
}

/// What the fields of a head say of the message itself.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    lengths: usize,
    /// What the last of the codings is, where there is one.
    is_chunked: Option<bool>,
    /// Whether the connection is to stay open; where it is said both ways, it is not.
    stays_open: Option<bool>,
    expects: bool,
    takes_trailers: bool,
}

/// Takes a head out of what has come, and says what its body is; none where it is not all there.
pub(super) fn parse(buffer: &mut Bytes) -> Result<Option<(Head, Decoder)>, Malformed> {
    skip_empty_lines(buffer);
    if buffer.is_empty() {
        return Ok(None);
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => return Ok(None),
        Ok(_) => {
            let first = buffer.get(..MAX_HEAD).unwrap_or_default();
            let has_line = first.contains(&b'\n');
            return Err(if has_line {
                Malformed::HeadTooLarge
            } else {
                Malformed::TargetTooLarge
            });
        }
        Err(error) => return Err(Malformed::Head(error)),
    };
    let mut said = Said::default();
    for field in &*parsed.headers {
        said.hear(field)?;
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = fields_of(buffer, parsed.headers).ok_or(Malformed::Value)?;
    let method = parsed.method.unwrap_or_default().as_bytes();
    parts.method = Method::from_bytes(method).map_err(|_invalid| Malformed::Value)?;
    let target = buffer.slice_ref(parsed.path.unwrap_or_default().as_bytes());
    parts.uri = Uri::from_maybe_shared(target).map_err(|_invalid| Malformed::Value)?;
    if parsed.version == Some(0) {
        parts.version = Version::HTTP_10;
    }
    buffer.advance(length);
    said.of(parts).map(Some)
}

/// Empty lines before a request are no part of it (RFC 9112 section 2.2).
fn skip_empty_lines(buffer: &mut Bytes) {
    loop {
        let length = match &**buffer {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => return,
        };
        buffer.advance(length);
    }
}

impl Said {
    fn hear(&mut self, field: &httparse::Header<'_>) -> Result<(), Malformed> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // Few fields are as long as these.
        match field.name.len() {
            2 if is("te") => self.takes_trailers |= has_option(field.value, "trailers"),
            6 if is("expect") => {
                self.expects |= field.value.eq_ignore_ascii_case(b"100-continue");
            }
            10 if is("connection") => match stays_open(field.value) {
                Some(false) => self.stays_open = Some(false),
                Some(true) => self.stays_open = self.stays_open.or(Some(true)),
                None => {}
            },
            14 if is("content-length") => {
                let length = number(field.value).ok_or(Malformed::ContentLength)?;
                if self.length.is_some_and(|other| other != length) {
                    return Err(Malformed::ContentLength);
                }
                self.length = Some(length);
                self.lengths += 1;
            }
            17 if is("transfer-encoding") => {
                let last = field.value.rsplit(|byte| *byte == b',').next();
                let last = last.unwrap_or_default().trim_ascii();
                self.is_chunked = Some(last.eq_ignore_ascii_case(b"chunked"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Leaves one length in the head at most.
    fn of(self, mut parts: Parts) -> Result<(Head, Decoder), Malformed> {
        let is_old = parts.version == Version::HTTP_10;
        let mut keep_alive = self.stays_open.unwrap_or(!is_old);
        let body = match (self.is_chunked, self.length) {
            (Some(true), length) if !is_old => {
                if length.is_some() {
                    // Somebody on the way may have believed the length.
                    parts.headers.remove(header::CONTENT_LENGTH);
                    keep_alive = false;
                }
                Decoder::Chunked(Chunked::new())
            }
            (Some(_), _) => return Err(Malformed::TransferEncoding),
            (None, Some(length)) => {
                if self.lengths > 1 {
                    parts.headers.insert(header::CONTENT_LENGTH, length.into());
                }
                Decoder::Left(length)
            }
            (None, None) => Decoder::Left(0),
        };
        let head = Head {
            asked: Asked {
                version: parts.version,
                is_head: parts.method == Method::HEAD,
                keep_alive,
                takes_trailers: self.takes_trailers,
            },
            expects: self.expects && !is_old && !body.has_ended(),
            parts,
        };
        Ok((head, body))
    }
}
