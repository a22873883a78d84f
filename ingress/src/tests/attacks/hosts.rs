//! Host: which one a request is for, and that everybody behind us reads the same.

use super::{
    Verdict::{Forwarded, Refused},
    holds,
};

#[tokio::test]
async fn hosts_with_two_readings_are_refused() {
    holds(&[
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
            Refused(400),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nHOST: b\r\n\r\n",
            Refused(400),
        ),
        (
            b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            Refused(400),
        ),
        (
            b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            Refused(400),
        ),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", Refused(400)),
        (b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost_: a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refused(400)),
        (
            b"GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n",
            Refused(400),
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\n .b\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: a:80@b\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", Refused(400)),
        (b"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", Refused(400)),
    ])
    .await;
}

#[tokio::test]
async fn the_endpoint_sees_the_host_that_was_routed_by() {
    holds(&[
        (
            b"GET / HTTP/1.1\r\nhOsT:A.Example:8080 \r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | A.Example:8080 |  | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | [::1]:80 |  | "]),
        ),
        (
            b"GET http://b/ HTTP/1.0\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | b |  | "]),
        ),
        (
            b"GET http://b:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | b:81 |  | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a |  | "]),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX_Host: b\r\nHost_: b\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1 | a |  | "]),
        ),
    ])
    .await;
}
