//! Changes of headers.

use meshlite_snapshot::{Filter, HeaderChange, Rewrite};

use super::{Asked, written::Written};

/// Headers of the connection and of the message's own form, which no annotation may touch.
const PROTECTED: [&str; 8] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn read(written: &mut Written<'_, '_>, asked: &mut Asked) {
    if let Some(host) = written.value("upstream-vhost") {
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.text.chars().all(is_host) {
            asked.filters.push(Filter::Rewrite(Rewrite {
                host: Some(host.text.to_owned()),
                ..Rewrite::default()
            }));
        } else {
            written.invalid(&host, "is not a host");
        }
    }
    if let Some(prefix) = written.value("x-forwarded-prefix") {
        if is_value(prefix.text) {
            asked.policy.forwarded_prefix = Some(prefix.text.to_owned());
        } else {
            written.invalid(&prefix, "holds control characters");
        }
    }
    for (name, filter) in [
        ("request-headers", Filter::RequestHeaders as fn(_) -> _),
        ("response-headers", Filter::ResponseHeaders),
    ] {
        if let Some(set) = lines(written, name) {
            asked.filters.push(filter(HeaderChange {
                set,
                ..HeaderChange::default()
            }));
        }
    }
}

/// `Name: value` in each line.
fn lines(written: &mut Written<'_, '_>, name: &str) -> Option<Vec<(String, String)>> {
    let value = written.value(name)?;
    let mut set = Vec::new();
    for line in value.text.lines().filter(|line| !line.trim().is_empty()) {
        let header = line.split_once(':');
        match header.map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, text)) if is_free(name) && is_value(text) => {
                set.push((name.to_owned(), text.to_owned()));
            }
            _ => written.invalid(
                &value,
                &format!("has the line {line:?}, which sets no header"),
            ),
        }
    }
    (!set.is_empty()).then_some(set)
}

/// The names of headers between commas; what is none is told and left out.
pub(super) fn names(written: &mut Written<'_, '_>, annotation: &str) -> Vec<String> {
    let Some(value) = written.value(annotation) else {
        return vec![];
    };
    let (good, bad): (Vec<_>, Vec<_>) = value.list().partition(|name| is_token(name));
    if let Some(bad) = bad.first() {
        written.invalid(&value, &format!("holds {bad:?}, which is no header"));
    }
    good.into_iter().map(str::to_owned).collect()
}

fn is_free(name: &str) -> bool {
    is_token(name) && !PROTECTED.contains(&name.to_ascii_lowercase().as_str())
}

/// A token of RFC 9110, section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_good)
}

pub(super) fn is_value(text: &str) -> bool {
    text.is_ascii() && !text.contains(|c: char| c.is_control() && c != '\t')
}
