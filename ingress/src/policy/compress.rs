//! Compression of responses with gzip, where the client can read it, the content is text, and nobody forbids it.

use std::{
    io::Write as _,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body::{Body as _, Frame};

use crate::{forward::BodyError, respond::Body};

/// Shorter ones gain nothing.
const MIN_BYTES: u64 = 256;
/// As nginx has it: most of the gain for the least time.
const LEVEL: Compression = Compression::new(1);
/// Besides `text/…`, `…+json` and `…+xml`.
const TEXT: [&str; 7] = [
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/vnd.ms-fontobject",
    "font/opentype",
    "image/x-icon",
];

/// A body that is compressed as it passes.
#[derive(Debug)]
pub(crate) struct Gzip {
    inner: Body,
    /// None after the end.
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// What comes after the last data.
    trailers: Option<HeaderMap>,
}

/// Whether a response to this request may be compressed.
pub(crate) fn is_wanted(request: &Parts) -> bool {
    request.method != Method::HEAD
        && !request.headers.contains_key(header::RANGE)
        && takes_gzip(&request.headers)
}

/// Whether `gzip` is among the codings that a client takes (RFC 9110 section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let (mut gzip, mut any) = (None, None);
    for coding in codings {
        let mut parameters = coding.split(';').map(str::trim);
        let name = parameters.next().unwrap_or_default();
        let quality = parameters.find_map(|parameter| parameter.strip_prefix("q="));
        let is_taken = quality.is_none_or(|quality| quality.parse::<f32>().is_ok_and(|q| q > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            gzip = Some(is_taken);
        } else if name == "*" {
            any = Some(is_taken);
        }
    }
    gzip.or(any).unwrap_or(false)
}

/// Compresses a response, if it is one that gains by it.
pub(crate) fn compress(mut response: Response<Body>) -> Response<Body> {
    if !gains(&response) {
        return response;
    }
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(tag) = headers.get(header::ETAG)
        && tag.as_bytes().starts_with(b"\"")
    {
        // The same content in other bytes.
        let weak = [b"W/", tag.as_bytes()].concat();
        if let Ok(weak) = HeaderValue::from_bytes(&weak) {
            headers.insert(header::ETAG, weak);
        }
    }
    response.map(|inner| {
        Body::Gzip(Box::new(Gzip {
            inner,
            encoder: Some(GzEncoder::new(Vec::new(), LEVEL)),
            trailers: None,
        }))
    })
}

fn gains(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let has_content = response.status().is_success()
        && response.status() != StatusCode::NO_CONTENT
        && response.status() != StatusCode::PARTIAL_CONTENT
        || response.status().is_client_error()
        || response.status().is_server_error();
    let mut directives = (headers.get_all(header::CACHE_CONTROL).iter())
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_fixed =
        directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"));
    let size = response.body().size_hint();
    has_content
        && !is_fixed
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && size.upper().is_none_or(|most| most >= MIN_BYTES)
        && headers.get(header::CONTENT_TYPE).is_some_and(is_text)
}

fn is_text(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_stream = kind == "text/event-stream";
    let is_known = kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || TEXT.contains(&&*kind);
    is_known && !is_stream
}

impl Gzip {
    /// The compressed form of what has come so far.
    fn coded(&mut self, data: Option<&Bytes>) -> std::io::Result<Vec<u8>> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(Vec::new());
        };
        match data {
            Some(data) => {
                encoder.write_all(data)?;
                // The client gets it when we got it.
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            None => self
                .encoder
                .take()
                .map_or(Ok(Vec::new()), GzEncoder::finish),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if self.encoder.is_none() {
                let trailers = self.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
            let coded = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.coded(Some(&data)),
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.coded(None)
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.coded(None),
            };
            match coded {
                Ok(coded) if coded.is_empty() => {}
                Ok(coded) => return Poll::Ready(Some(Ok(Frame::data(coded.into())))),
                Err(error) => return Poll::Ready(Some(Err(BodyError::Coding(error)))),
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::Request;
    use http_body_util::BodyExt as _;

    use super::*;

    fn wanted(accepted: &str) -> bool {
        let request = Request::get("/").header("accept-encoding", accepted);
        is_wanted(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn clients_say_whether_they_take_gzip() {
        for yes in ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=1", "x-gzip"] {
            assert!(wanted(yes), "{yes}");
        }
        for no in [
            "",
            "br",
            "gzip;q=0",
            "gzip; q=0.0, *",
            "identity",
            "*;q=0",
            "gzip;q=x",
        ] {
            assert!(!wanted(no), "{no}");
        }
    }

    fn response(headers: &[(&'static str, &'static str)], body: String) -> Response<Body> {
        let mut response = Response::new(Body::Text(body.into()));
        for (name, value) in headers {
            response
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        response
    }

    #[tokio::test]
    async fn text_is_compressed_and_says_so() {
        let text = "some text ".repeat(100);
        let headers = [
            ("content-type", "text/html; charset=utf-8"),
            ("etag", "\"1\""),
        ];
        let (head, body) = compress(response(&headers, text.clone())).into_parts();
        assert_eq!(head.headers["content-encoding"], "gzip");
        assert_eq!(head.headers["vary"], "Accept-Encoding");
        assert_eq!(head.headers["etag"], "W/\"1\"");
        let coded = body.collect().await.unwrap().to_bytes();
        assert!(coded.len() < text.len() / 5, "{}", coded.len());
        let mut read = String::new();
        flate2::read::GzDecoder::new(&*coded)
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, text);
    }

    #[test]
    fn what_is_coded_fixed_streamed_or_small_stays() {
        let long = || "x".repeat(1000);
        for headers in [
            &[("content-type", "image/png")][..],
            &[("content-type", "text/event-stream")],
            &[("content-type", "text/html"), ("content-encoding", "br")],
            &[
                ("content-type", "text/html"),
                ("content-range", "bytes 0-9/10"),
            ],
            &[
                ("content-type", "text/html"),
                ("cache-control", "public, no-transform"),
            ],
            &[],
        ] {
            let kept = compress(response(headers, long()));
            assert!(!kept.headers().contains_key("vary"), "{headers:?}");
        }
        let small = compress(response(&[("content-type", "text/html")], "x".into()));
        assert!(!small.headers().contains_key("content-encoding"));
    }
}
