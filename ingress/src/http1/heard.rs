//! The head of an endpoint's answer as it came: its fields are read in whole only where somebody wants to. Pure.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Version, header, response::Parts};

use super::{Reason, fields};

/// Fields that there is room for beside those of the answer: whoever reads it adds some.
const ROOM: usize = 8;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    /// The endpoint's own words for its status, where they are not the usual ones.
    pub(crate) reason: Option<Reason>,
    /// All of it.
    head: Bytes,
    fields: Vec<Field>,
    /// What there is among them.
    kinds: Kinds,
}

/// Some kinds of fields.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds(u16);

/// A field of a head.
#[derive(Clone, Copy, Debug)]
struct Field {
    kind: Kind,
    name: Span,
    value: Span,
}

/// Where something is in its head.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    end: u16,
}

/// What a field is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection,
    ContentLength,
    Date,
    KeepAlive,
    Server,
    Trailer,
    TransferEncoding,
    /// One more that concerns the connection to the endpoint alone.
    HopByHop,
    /// For the client.
    Other,
}

impl Heard {
    /// The head that was found in the first bytes of these, so many; none where its status cannot be, or it is longer than heads may be.
    pub(crate) fn new(
        bytes: &Bytes,
        length: usize,
        found: &httparse::Response<'_, '_>,
    ) -> Option<Self> {
        let status = StatusCode::from_u16(found.code?).ok()?;
        let mut fields = Vec::with_capacity(found.headers.len());
        let mut kinds = Kinds::default();
        for field in &*found.headers {
            let kind = Kind::of(field.name);
            kinds.add(kind);
            fields.push(Field {
                kind,
                name: Span::of(field.name.as_bytes(), bytes)?,
                value: Span::of(field.value, bytes)?,
            });
        }
        // The client reads the endpoint's own words.
        let own = found
            .reason
            .filter(|_| found.reason != status.canonical_reason());
        Some(Self {
            status,
            version: match found.version {
                Some(0) => Version::HTTP_10,
                _ => Version::HTTP_11,
            },
            reason: own.map(|reason| Reason(Bytes::copy_from_slice(reason.as_bytes()))),
            head: bytes.slice(..length),
            fields,
            kinds,
        })
    }

    /// Writes the fields that are to `pass`, by what they are about and their values. Their names are in lower case.
    pub(crate) fn pass<'h>(
        &'h self,
        out: &mut Vec<u8>,
        mut passes: impl FnMut(Kind, &'h [u8]) -> bool,
    ) {
        for field in &self.fields {
            let (name, value) = (self.at(field.name), self.at(field.value));
            if !passes(field.kind, value) {
                continue;
            }
            let start = out.len();
            match self.line(field) {
                Some(line) => out.extend_from_slice(line),
                None => fields::put_field(name, value, out),
            }
            if let Some(written) = out.get_mut(start..start + name.len()) {
                written.make_ascii_lowercase();
            }
        }
    }

    /// The line of a field, where it came as we would write it.
    fn line(&self, field: &Field) -> Option<&[u8]> {
        let (name, value) = (field.name.range(), field.value.range());
        let is_plain = self.head.get(name.end..value.start)? == b": ";
        let line = self.head.get(name.start..value.end + 2)?;
        (is_plain && line.ends_with(b"\r\n")).then_some(line)
    }

    /// The values of the fields of one kind.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        let fields = if self.kinds.has(kind) {
            self.fields.as_slice()
        } else {
            &[]
        };
        let all = fields.iter().filter(move |field| field.kind == kind);
        all.map(|field| self.at(field.value))
    }

    fn at(&self, span: Span) -> &[u8] {
        self.head.get(span.range()).unwrap_or_default()
    }

    /// Whether the client may have the fields as they came, but for those that concern the connection alone.
    pub(crate) fn is_plain(&self) -> bool {
        let mut lengths = self.all(Kind::ContentLength);
        let has_one_at_most = match lengths.next() {
            Some(length) => !self.kinds.has(Kind::TransferEncoding) && !length.contains(&b','),
            None => true,
        };
        has_one_at_most
            && lengths.next().is_none()
            && !self.kinds.has(Kind::Trailer)
            && self.all(Kind::Connection).all(fields::names_nothing)
    }

    /// The head, read. It says one length at most, and none where the body has chunks.
    pub(crate) fn into_parts(self) -> Parts {
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = self.status;
        parts.version = self.version;
        let mut headers = HeaderMap::with_capacity(self.fields.len() + ROOM);
        for field in &self.fields {
            let value = self.head.slice(field.value.range());
            // Whatever was found is a name, and a value.
            let _appended = fields::append(&mut headers, self.at(field.name), value);
        }
        if headers.contains_key(header::TRANSFER_ENCODING) {
            headers.remove(header::CONTENT_LENGTH);
        } else {
            // A head that says two was refused before.
            let _checked = fields::only_length(&mut headers);
        }
        parts.headers = headers;
        if let Some(reason) = self.reason {
            parts.extensions.insert(reason);
        }
        parts
    }
}

impl Span {
    /// Where a part of a whole is.
    fn of(part: &[u8], whole: &[u8]) -> Option<Self> {
        if part.is_empty() {
            return Some(Self::default());
        }
        let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
        Some(Self {
            start: u16::try_from(start).ok()?,
            end: u16::try_from(start + part.len()).ok()?,
        })
    }

    fn range(self) -> std::ops::Range<usize> {
        self.start.into()..self.end.into()
    }
}

impl Kinds {
    fn add(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u16;
    }

    fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }
}

impl Kind {
    fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // Few names are as long as these.
        match name.len() {
            2 if is("te") => Self::HopByHop,
            4 if is("date") => Self::Date,
            6 if is("server") => Self::Server,
            7 if is("trailer") => Self::Trailer,
            7 if is("upgrade") => Self::HopByHop,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::KeepAlive,
            14 if is("content-length") => Self::ContentLength,
            16 if is("proxy-connection") => Self::HopByHop,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_found_in_a_head_is_there_once_it_is_read() {
        let mut found = 0;
        for byte in 0..=u8::MAX {
            for (before, after) in [("x", ": a"), ("x: a", "c")] {
                let head = [
                    b"HTTP/1.1 200 OK\r\n",
                    before.as_bytes(),
                    &[byte],
                    after.as_bytes(),
                ];
                let bytes = Bytes::from([&head.concat(), b"\r\n\r\n".as_slice()].concat());
                let mut fields = [httparse::EMPTY_HEADER; 4];
                let mut response = httparse::Response::new(&mut fields);
                let Ok(httparse::Status::Complete(length)) = response.parse(&bytes) else {
                    continue;
                };
                let count = response.headers.len();
                let parts = Heard::new(&bytes, length, &response).unwrap().into_parts();
                assert_eq!(parts.headers.len(), count, "{byte:#x}");
                found += count;
            }
        }
        assert!(found > 200, "{found} fields");
    }
}
