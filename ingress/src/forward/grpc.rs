//! The ingress's own answers as gRPC clients read them: a status in headers, and nothing else.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::respond::{Body, Refusal, SERVER};

const TYPE: &[u8] = b"application/grpc";

/// Whether a request is one of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(TYPE));
    // Not gRPC-Web, whose clients read bodies.
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// A refusal as a response that has trailers only.
pub(super) fn refuse(refusal: Refusal) -> Response<Body> {
    let mut response = Response::new(Body::Text(bytes::Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::SERVER, SERVER);
    headers.insert("grpc-status", HeaderValue::from(code(refusal.status())));
    if let Ok(message) = HeaderValue::try_from(refusal.to_string()) {
        headers.insert("grpc-message", message);
    }
    response
}

/// The code for a status, as in gRPC's `http-grpc-status-mapping.md`; a timeout is one, unlike there.
fn code(status: StatusCode) -> u16 {
    match status {
        StatusCode::BAD_REQUEST => 13,
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::NOT_FOUND => 12,
        StatusCode::GATEWAY_TIMEOUT => 4,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_grpc_web_and_the_rest() {
        let is_grpc = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            is_grpc(&headers)
        };
        assert!(is_grpc("application/grpc") && is_grpc("application/grpc+proto"));
        assert!(!is_grpc("application/grpc-web") && !is_grpc("application/json"));
    }
}
