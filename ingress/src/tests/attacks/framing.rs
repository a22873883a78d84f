//! Where a body ends: Content-Length, Transfer-Encoding, both, and either one in disguise.

use super::{
    Verdict::{Forwarded, Refused},
    holds,
};

#[tokio::test]
async fn lengths_with_two_readings_are_refused() {
    holds(&[
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1;\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1.0\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \"1\"\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1e1\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xef\xbc\x91\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 1\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length\r\n : 1\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 1\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\nx",
            Refused(400),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\nx",
            Refused(400),
        ),
    ])
    .await;
}

#[tokio::test]
async fn codings_with_two_readings_are_refused() {
    holds(&[
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunk\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \r\nContent-Length: 1\r\n\r\nx", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\r\n: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nx", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nx", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    ])
    .await;
}

#[tokio::test]
async fn a_body_is_the_endpoints_body_and_what_follows_is_the_next_request() {
    holds(&[
        // A length that the endpoint could doubt is written anew.
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:   001\t\r\n\r\nx",
            Forwarded(&["POST / HTTP/1.1 | a |  | x"]),
        ),
        // One length said twice is said once: RFC 9112 section 6.3 leaves the choice.
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 01\r\n\r\nx",
            Forwarded(&["POST / HTTP/1.1 | a |  | x"]),
        ),
        // A request as the body of another one stays that.
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a |  | GET /smuggled HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"]),
        ),
        // TE.CL: chunks hide a request from who believes the length.
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
              1f\r\nGET /smuggled HTTP/1.1\r\nX: y\r\n\r\r\n0\r\n\r\n",
            Forwarded(&["POST / HTTP/1.1 | a |  | GET /smuggled HTTP/1.1\\r\\nX: y\\r\\n\\r"]),
        ),
        // CL.TE: what follows the last chunk would be the next request's beginning.
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
            Forwarded(&["POST / HTTP/1.1 | a |  | "]),
        ),
        // A disguise that some endpoints see through is taken away.
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
            Forwarded(&["POST / HTTP/1.1 | a |  | 0\\r\\n\\r\\n"]),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent_Length: 0\r\n\r\nx",
            Forwarded(&["POST / HTTP/1.1 | a |  | x"]),
        ),
        // Connection does not take framing away.
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: content-length\r\n\r\nx",
            Forwarded(&["POST / HTTP/1.1 | a |  | x"]),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked \r\nConnection: transfer-encoding\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            Forwarded(&["POST / HTTP/1.1 | a |  | x"]),
        ),
        // Two requests in one segment are two.
        (
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
            Forwarded(&["POST /1 HTTP/1.1 | a |  | x", "GET /2 HTTP/1.1 | b |  | "]),
        ),
        (
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
            Forwarded(&["POST /1 HTTP/1.1 | a |  | ", "GET /2 HTTP/1.1 | b |  | "]),
        ),
    ])
    .await;
}
