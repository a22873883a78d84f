//! One string for matching and forwarding: unreserved characters decoded, dot segments resolved, the rest as it was.

/// A path after normalisation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Normalised {
    Same,
    Changed(String),
}

/// Brings a path that starts with `/` into the form in which it is matched and forwarded; none if it is refused.
///
/// Escapes of unreserved characters are decoded and the others written in upper case (RFC 3986 section 6.2.2), then dot
/// segments are resolved (section 5.2.4). `%2F` stays and separates nothing, where a route allows it at all, and `//`
/// stays. Refused are broken escapes, `%00`, backslashes, and segments that an upstream which decodes `%2F` or `%5C` could
/// take for `..`.
pub(super) fn normalise(path: &str) -> Option<Normalised> {
    let bytes = path.as_bytes();
    let mut has_dot_segment = false;
    let mut has_escape = false;
    let mut previous = 0;
    for &byte in bytes {
        match byte {
            b'\\' | 0..=b' ' | 0x7f => return None,
            b'.' if previous == b'/' => has_dot_segment = true,
            b'%' => has_escape = true,
            _ => {}
        }
        previous = byte;
    }
    if !has_dot_segment && !has_escape {
        return Some(Normalised::Same);
    }
    let decoded = if has_escape {
        decode_unreserved(path)?
    } else {
        path.to_owned()
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment if hides_dots(segment) => return None,
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    let normal = format!("/{}", kept.join("/"));
    Some(if normal == path {
        Normalised::Same
    } else {
        Normalised::Changed(normal)
    })
}

/// Whether a path in its one form has an escape that upstreams may take for a separator.
pub(crate) fn has_encoded_slash(path: &str) -> bool {
    path.bytes().any(|byte| byte == b'%') && (path.contains("%2F") || path.contains("%5C"))
}

/// Whether a segment holds `.` or `..` between escaped slashes.
fn hides_dots(segment: &str) -> bool {
    segment.contains('%')
        && segment
            .replace("%5C", "%2F")
            .split("%2F")
            .any(|part| part == ".." || part == ".")
}

fn decode_unreserved(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut out = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (high, low) = (bytes.next()?, bytes.next()?);
        match hex(high)? << 4 | hex(low)? {
            0 => return None,
            decoded @ (b'-' | b'.' | b'_' | b'~') => out.push(decoded),
            decoded if decoded.is_ascii_alphanumeric() => out.push(decoded),
            _ => out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
    }
    String::from_utf8(out).ok()
}

/// A byte as two hexadecimal digits, in upper case.
pub(crate) fn hex_of(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 0xf].map(|digit| {
        let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
        digit.to_ascii_uppercase()
    })
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

/// The first value of a query parameter, decoded.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query_values(query, name).next()
}

/// All values of a query parameter, decoded.
pub(crate) fn query_values(query: &str, name: &str) -> impl Iterator<Item = String> {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(key) == name).then(|| decode_form(value))
    })
}

fn decode_form(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (byte, _) => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> Option<String> {
        normalise(path).map(|normalised| match normalised {
            Normalised::Same => path.to_owned(),
            Normalised::Changed(path) => path,
        })
    }

    #[test]
    fn paths_have_one_form() {
        for (path, expected) in [
            ("/", "/"),
            ("/admin", "/admin"),
            ("/ADMIN", "/ADMIN"),
            ("//admin", "//admin"),
            ("/./admin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/%2e/admin", "/admin"),
            ("/x/%2E%2e/admin", "/admin"),
            ("/adm%69n/..;/", "/admin/..;/"),
            ("/admin;x", "/admin;x"),
            ("/a%2fb", "/a%2Fb"),
            ("/projects/a%2Fb/x", "/projects/a%2Fb/x"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/../../a", "/a"),
            ("/.hidden", "/.hidden"),
            ("/a%c3%a9", "/a%C3%A9"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(normal(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn paths_that_upstreams_may_read_differently_are_refused() {
        for path in [
            "/admin%00",
            "/a\\b",
            "/%",
            "/%4",
            "/%zz",
            "/x/..%2fadmin",
            "/x/%2e%2e%2fadmin",
            "/x/a%5c..%5cadmin",
            "/x/%2E%2f",
        ] {
            assert_eq!(normal(path), None, "{path}");
        }
    }

    #[test]
    fn query_values_are_decoded_and_the_first_counts() {
        assert_eq!(
            query_value("a=1&b=x%20y+z&a=2", "b").as_deref(),
            Some("x y z")
        );
        assert_eq!(query_value("a=1&b=2&a=3", "a").as_deref(), Some("1"));
        assert_eq!(query_value("a=%zz&b", "a").as_deref(), Some("%zz"));
        assert_eq!(query_value("a&b", "b").as_deref(), Some(""));
        assert_eq!(query_value("", "b"), None);
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "/[a-c./%0-9A-F]{0,20}") {
            if let Some(once) = normal(&path) {
                prop_assert_eq!(normal(&once), Some(once.clone()));
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.split('/').any(|segment| segment == ".." || segment == "."));
            }
        }
    }
}
