//! Chunks: sizes, extensions and trailers, all of which are read here and written anew.

use super::{
    Verdict::{Forwarded, Refused},
    holds,
};

#[tokio::test]
async fn chunks_with_two_readings_are_refused() {
    holds(&[
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nx\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 1\r\nx\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\rX0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxxx0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\xef\xbc\x91\r\nx\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n", Refused(400)),
    ])
    .await;
}

#[tokio::test]
async fn chunks_reach_the_endpoint_without_what_it_could_stumble_over() {
    holds(&[
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n00\r\n\r\n",
            Forwarded(&["POST / HTTP/1.1 | a |  | 0123456789"]),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0001\r\nx\r\n0;a=b\r\n\r\n",
            Forwarded(&["POST / HTTP/1.1 | a |  | x"]),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=\"GET /smuggled\"\r\nx\r\n0\r\n\r\n",
            Forwarded(&["POST / HTTP/1.1 | a |  | x"]),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 9\r\nHost: b\r\n\r\n",
            Forwarded(&["POST / HTTP/1.1 | a |  | x"]),
        ),
        (
            b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["POST /1 HTTP/1.1 | a |  | x", "GET /2 HTTP/1.1 | a |  | "]),
        ),
    ])
    .await;
}
