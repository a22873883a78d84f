//! Headers: line ends, names, and those that one side believes and the other must not be able to say.

use super::{
    Verdict::{Forwarded, Refused},
    holds,
};

#[tokio::test]
async fn header_lines_with_two_readings_are_refused() {
    holds(&[
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n",
            Refused(400),
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", Refused(400)),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
            Refused(400),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
            Refused(400),
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX(: a\r\n\r\n", Refused(400)),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX\x80: a\r\n\r\n",
            Refused(400),
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\t: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\n\tX: a\r\nHost: a\r\n\r\n", Refused(400)),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb: c\r\n\r\n",
            Refused(400),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n",
            Refused(417),
        ),
    ])
    .await;
}

#[tokio::test]
async fn headers_of_one_connection_end_here_and_others_cannot_be_made_to() {
    holds(&[
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Own\r\nX-Own: 1\r\nX: 2\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a | x=2 | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: x-own\r\nX-Own: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a |  | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: authorization, cookie\r\nAuthorization: b\r\nCookie: c\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a | authorization=b cookie=c | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a |  | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\nConnection: TE\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a |  | "]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn headers_that_an_endpoint_could_take_for_others_do_not_reach_it() {
    holds(&[
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nProxy: http://evil\r\nProxy-Authorization: x\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a |  | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\nX-Forwarded_For: 2\r\nX: 3\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a | x=3 | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nSSL-Client-Verify: SUCCESS\r\nssl-client-subject-dn: CN=a\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a |  | "]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn values_pass_as_they_are_between_line_ends_as_they_must_be() {
    holds(&[
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: \t a \t b \t\r\nY:\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a | x=a \t b y= | "]),
        ),
        (
            b"GET / HTTP/1.1\nHost: a\nX: a\n\n",
            Forwarded(&["GET / HTTP/1.1 | a | x=a | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a | x=1 x=2 | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: a:b: c\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a | x=a:b: c | "]),
        ),
    ])
    .await;
}
