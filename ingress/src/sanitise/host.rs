//! What a Host header may hold, and the name in it that routes are looked up by.

use std::borrow::Cow;

use http::HeaderValue;

/// Whether this is `host[:port]` as RFC 9110 section 7.2 has it; an empty one is not.
pub(super) fn is_valid(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let (host, rest) = if bytes.starts_with(b"[") {
        let Some(end) = bytes.iter().position(|byte| *byte == b']') else {
            return false;
        };
        let literal = bytes
            .get(1..end)
            .and_then(|literal| std::str::from_utf8(literal).ok());
        if literal.is_none_or(|literal| literal.parse::<std::net::Ipv6Addr>().is_err()) {
            return false;
        }
        bytes.split_at(end + 1)
    } else {
        let end = bytes.iter().position(|byte| !is_reg_name(*byte));
        bytes.split_at(end.unwrap_or(bytes.len()))
    };
    let port = if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix(b":")
    };
    !host.is_empty() && port.is_some_and(is_port)
}

/// Empty, or a number that a port can have.
fn is_port(text: &[u8]) -> bool {
    let digits = std::str::from_utf8(text).unwrap_or("+");
    text.is_empty() || text.iter().all(u8::is_ascii_digit) && digits.parse::<u16>().is_ok()
}

const fn is_reg_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

/// The name that a valid Host header is routed by: lower-case, without port and one trailing dot.
pub(crate) fn name_of(value: &HeaderValue) -> Cow<'_, str> {
    let host = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
    let port = host.rfind(':');
    let host = match port.and_then(|at| host.split_at_checked(at)) {
        Some((host, port)) if !port.ends_with(']') => host,
        Some(_) | None => host,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    // Of all bytes, because a loop that does not stop takes many at once.
    let has_upper = (host.bytes()).fold(false, |has, byte| has | byte.is_ascii_uppercase());
    if has_upper {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_an_optional_port() {
        for good in [
            "example.com",
            "example.com:8080",
            "example.com:65535",
            "example.com.",
            "EXAMPLE.com",
            "a_b.example",
            "10.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:443",
            "example.com:",
        ] {
            assert!(is_valid(&HeaderValue::from_static(good)), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a/b",
            "a?b",
            "user@example.com",
            "a b",
            "example.com:8o",
            "example.com:65536",
            "example.com:123456",
            "example.com:+1",
            "[::1",
            "[zz]",
            "[::1]x",
            "::1",
            "a\\b",
            "a#b",
            "<script>",
            "a:80:80",
        ] {
            assert!(!is_valid(&HeaderValue::from_static(bad)), "{bad}");
        }
    }

    #[test]
    fn routes_are_looked_up_without_case_port_and_trailing_dot() {
        for (host, name) in [
            ("Example.COM:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(name_of(&HeaderValue::from_static(host)), name);
        }
    }
}
