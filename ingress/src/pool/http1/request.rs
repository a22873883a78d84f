//! A request as it goes to an endpoint: its head is written once, however often it is sent. Pure.

use std::rc::Rc;

use http::{Method, header, request::Parts};
use http_body::Body as _;

use crate::{
    client::Told,
    http1::{self, Encoder, Length, put_field, put_length},
    pool::RequestBody,
};

/// A request that may be sent again as long as it has no body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) method: Method,
    pub(super) head: Head,
    pub(super) body: Option<(RequestBody, Encoder)>,
}

/// A head as it is on the wire.
#[derive(Clone, Debug, Default)]
pub(super) struct Head(Option<Rc<[u8]>>);

impl Request {
    /// Writes a request by way of `memory`.
    pub(in crate::pool) fn new(
        parts: &Parts,
        told: Option<&Told<'_>>,
        body: RequestBody,
        memory: &mut Vec<u8>,
    ) -> Self {
        let length = match &body {
            RequestBody::Empty => Length::Known(0),
            body => {
                let length = body.size_hint().exact();
                length.map_or(Length::Chunked, Length::Known)
            }
        };
        memory.clear();
        encode(parts, told, length, memory);
        Self {
            method: parts.method.clone(),
            head: Head(Some(memory.as_slice().into())),
            body: match body {
                RequestBody::Empty => None,
                body => Some((body, Encoder::new(length, &parts.headers))),
            },
        }
    }

    pub(in crate::pool) fn method(&self) -> &Method {
        &self.method
    }

    /// Whether it has a body that was not sent.
    pub(in crate::pool) fn has_body(&self) -> bool {
        self.body.is_some()
    }
}

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl http1::Head for Head {
    fn release(&mut self) {
        self.0 = None;
    }
}

/// Writes request line and headers. What says where the body ends is decided here, whatever the headers say.
fn encode(request: &Parts, told: Option<&Told<'_>>, length: Length, out: &mut Vec<u8>) {
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.uri.path().as_bytes());
    if let Some(query) = request.uri.query() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut says_length = false;
    for (name, value) in &request.headers {
        if *name == header::CONTENT_LENGTH {
            says_length = true;
            continue;
        }
        if *name == header::TRANSFER_ENCODING {
            continue;
        }
        put_field(name.as_str().as_bytes(), value.as_bytes(), out);
    }
    if let Some(told) = told {
        told.write(out);
    }
    match length {
        // A request cannot end with its connection.
        Length::Chunked | Length::UntilClose => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        // A GET without a body says nothing; a POST may have said that it has none.
        Length::Known(0) if !says_length => {}
        Length::Known(length) => put_length(length, out),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn encoded(request: &http::Request<()>, length: Length) -> Vec<u8> {
        let mut out = Vec::new();
        let (parts, ()) = request.clone().into_parts();
        encode(&parts, None, length, &mut out);
        out
    }

    #[test]
    fn one_length_is_said_whatever_the_headers_say() {
        let request = http::Request::post("/a?b=c")
            .header("content-length", "7")
            .header("transfer-encoding", "gzip")
            .header("content-length", "8")
            .body(())
            .unwrap();
        for (length, said) in [
            (Length::Known(0), "content-length: 0\r\n"),
            (Length::Known(5), "content-length: 5\r\n"),
            (Length::Chunked, "transfer-encoding: chunked\r\n"),
        ] {
            let text = format!("POST /a?b=c HTTP/1.1\r\n{said}\r\n");
            assert_eq!(encoded(&request, length), text.into_bytes());
        }
        let silent = http::Request::get("/").body(()).unwrap();
        let text = b"GET / HTTP/1.1\r\n\r\n";
        assert_eq!(encoded(&silent, Length::Known(0)), text);
    }

    prop_compose! {
        fn any_header()(name in "x-[a-z0-9]{1,12}", value in "[!-~]([ -~]{0,20}[!-~])?") -> (HeaderName, HeaderValue) {
            (name.parse().unwrap(), value.parse().unwrap())
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same_head(
            method in prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD]),
            target in "/[a-z0-9/%.]{0,20}(\\?[a-z=&]{0,10})?",
            headers in prop::collection::vec(any_header(), 0..20),
        ) {
            let mut request = http::Request::new(());
            *request.method_mut() = method;
            *request.uri_mut() = target.parse().unwrap();
            for (name, value) in headers {
                request.headers_mut().append(name, value);
            }
            let bytes = encoded(&request, Length::Known(0));
            let mut parsed = [httparse::EMPTY_HEADER; 32];
            let mut read = httparse::Request::new(&mut parsed);
            prop_assert_eq!(read.parse(&bytes).unwrap(), httparse::Status::Complete(bytes.len()));
            prop_assert_eq!(read.method, Some(request.method().as_str()));
            prop_assert_eq!(read.path, Some(target.as_str()));
            let again: HeaderMap = read.headers.iter().fold(HeaderMap::new(), |mut map, header| {
                let name: HeaderName = header.name.parse().unwrap();
                map.append(name, HeaderValue::from_bytes(header.value).unwrap());
                map
            });
            prop_assert_eq!(&again, request.headers());
        }
    }
}
