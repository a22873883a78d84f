//! Request lines: versions, white space, methods and targets.

use super::{
    Verdict::{Forwarded, Refused},
    holds,
};

#[tokio::test]
async fn request_lines_with_two_readings_are_refused() {
    holds(&[
        (b"GET /\r\n\r\n", Refused(400)),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET / http/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\rHost: a\r\n\r\n", Refused(400)),
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET\x0b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET /x HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET: / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"G\xc3T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ])
    .await;
}

#[tokio::test]
async fn targets_that_are_no_path_of_ours_are_refused() {
    holds(&[
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET @a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET #a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET http:/x HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (
            b"GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            Refused(400),
        ),
        (b"GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET ws://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        (
            b"GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
            Refused(400),
        ),
        (b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(405)),
        (
            b"CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            Refused(405),
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_forwarded_is_the_same_request_line_in_its_one_form() {
    holds(&[
        (
            b"\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /x HTTP/1.1 | a |  | "]),
        ),
        (
            b"GET /x HTTP/1.0\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /x HTTP/1.1 | a |  | "]),
        ),
        (
            b"get /x HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["get /x HTTP/1.1 | a |  | "]),
        ),
        (
            b"X-METHOD~! /x HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["X-METHOD~! /x HTTP/1.1 | a |  | "]),
        ),
        (
            b"GET HTTP://b/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /x?y HTTP/1.1 | b |  | "]),
        ),
        (
            b"GET https://b:8443/x HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /x HTTP/1.1 | b:8443 |  | "]),
        ),
        (
            b"GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /?x HTTP/1.1 | b |  | "]),
        ),
        (
            b"GET http://b/../x HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /x HTTP/1.1 | b |  | "]),
        ),
        (
            b"GET /http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /http://b/ HTTP/1.1 | a |  | "]),
        ),
        (
            b"GET /x?a=/../%2e%2e/&b=%00 HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /x?a=/../%2e%2e/&b=%00 HTTP/1.1 | a |  | "]),
        ),
        (
            b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /\u{e9} HTTP/1.1 | a |  | "]),
        ),
    ])
    .await;
}
