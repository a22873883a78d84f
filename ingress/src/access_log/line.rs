//! How a request looks in the access log. What clients sent cannot end a line or a field.

use std::{io::Write as _, time::Duration};

use http::{HeaderValue, Version};
use time::OffsetDateTime;

use super::Record;
use crate::{sanitise::hex_of, trace::trace_id};

/// `2026-11-21T22:30:00`; milliseconds and `Z` follow.
pub(super) fn rfc3339(now: OffsetDateTime) -> String {
    let (hour, minute, second) = now.to_hms();
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// `21/Nov/2026:22:30:00 +0000`.
pub(super) fn common(now: OffsetDateTime) -> String {
    let (hour, minute, second) = now.to_hms();
    let mut month = now.month().to_string();
    month.truncate(3);
    let (year, day) = (now.year(), now.day());
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

fn target(record: &Record) -> &str {
    let target = record.target.path_and_query();
    target.map_or("", |target| target.as_str())
}

/// Writes one JSON object and the end of the line. What there is not is left out.
pub(super) fn json(to: &mut Vec<u8>, record: &Record, time: &str, millis: u16, took: Duration) {
    let mut line = Json { to, is_first: true };
    line.to.push(b'{');
    line.name("time");
    line.plain(format_args!("\"{time}.{millis:03}Z\""));
    line.name("client");
    line.plain(format_args!("\"{}\"", record.client));
    line.text("method", record.method.as_str().as_bytes());
    line.header("host", record.host.as_ref());
    line.text("target", target(record).as_bytes());
    line.text("protocol", version(record.version).as_bytes());
    line.text("scheme", if record.is_tls { b"https" } else { b"http" });
    line.name("status");
    line.plain(format_args!("{}", record.status.as_u16()));
    line.name("bytes");
    line.plain(format_args!("{}", record.bytes));
    line.name("seconds");
    line.seconds(took);
    if let Some(reason) = record.reason {
        line.text("reason", reason.as_bytes());
    }
    if let Some(owner) = &record.owner {
        line.text("route", owner.as_bytes());
    }
    if let Some(endpoint) = record.endpoint {
        line.name("endpoint");
        line.plain(format_args!("\"{endpoint}\""));
        line.name("tries");
        line.plain(format_args!("{}", record.tries));
    }
    if let Some(upstream) = record.upstream_time {
        line.name("upstream_seconds");
        line.seconds(upstream);
    }
    line.header("request_id", record.request_id.as_ref());
    if let Some(trace) = record.trace.as_ref().and_then(trace_id) {
        line.text("trace_id", trace.as_bytes());
    }
    line.header("user_agent", record.user_agent.as_ref());
    line.header("referer", record.referer.as_ref());
    line.to.extend_from_slice(b"}\n");
}

/// Fields of one object.
struct Json<'a> {
    to: &'a mut Vec<u8>,
    is_first: bool,
}

impl Json<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_first) {
            self.to.push(b',');
        }
        self.plain(format_args!("\"{name}\":"));
    }

    fn plain(&mut self, value: std::fmt::Arguments<'_>) {
        // Writing to memory does not fail.
        drop(self.to.write_fmt(value));
    }

    fn seconds(&mut self, took: Duration) {
        self.plain(format_args!(
            "{}.{:06}",
            took.as_secs(),
            took.subsec_micros()
        ));
    }

    fn header(&mut self, name: &str, value: Option<&HeaderValue>) {
        if let Some(value) = value {
            self.text(name, value.as_bytes());
        }
    }

    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.to.push(b'"');
        for chunk in value.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' => self.to.extend_from_slice(b"\\\""),
                    '\\' => self.to.extend_from_slice(b"\\\\"),
                    character if character.is_control() => {
                        self.plain(format_args!("\\u{:04x}", u32::from(character)));
                    }
                    character => self.plain(format_args!("{character}")),
                }
            }
            for byte in chunk.invalid() {
                self.plain(format_args!("\\u{byte:04x}"));
            }
        }
        self.to.push(b'"');
    }
}

/// Writes a line of the combined format with what we add to it, and the end of the line.
pub(super) fn combined(to: &mut Vec<u8>, record: &Record, time: &str, took: Duration) {
    let seconds = |took: Duration| format!("{}.{:03}", took.as_secs(), took.subsec_millis());
    let header = |value: &Option<HeaderValue>| {
        let value = value.as_ref().map(HeaderValue::as_bytes);
        value.map_or_else(|| "-".to_owned(), quoted)
    };
    // Writing to memory does not fail.
    drop(write!(
        to,
        "{} - - [{time}] \"{} {} {}\" {} {} \"{}\" \"{}\" \"{}\" \"{}\" \"{}\" {} {} {}",
        record.client,
        quoted(record.method.as_str().as_bytes()),
        quoted(target(record).as_bytes()),
        version(record.version),
        record.status.as_u16(),
        record.bytes,
        header(&record.referer),
        header(&record.user_agent),
        record.reason.unwrap_or("-"),
        header(&record.request_id),
        record
            .endpoint
            .map_or_else(|| "-".to_owned(), |endpoint| endpoint.to_string()),
        seconds(took),
        record.upstream_time.map_or_else(|| "-".to_owned(), seconds),
        record.tries,
    ));
    to.push(b'\n');
}

/// Everything but printable ASCII as `\xXX`, and so quotes and backslashes, as nginx has it.
fn quoted(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for &byte in value {
        if matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\' {
            text.push(byte.into());
        } else {
            text.push_str("\\x");
            text.extend(hex_of(byte));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    fn mk_record(user_agent: &[u8]) -> Record {
        Record {
            client: [192, 0, 2, 7].into(),
            is_tls: true,
            method: Method::GET,
            target: "/a?b=c".parse().unwrap(),
            version: Version::HTTP_2,
            host: Some(HeaderValue::from_static("example.com")),
            user_agent: HeaderValue::from_bytes(user_agent).ok(),
            referer: None,
            request_id: Some(HeaderValue::from_static("abc")),
            trace: Some(HeaderValue::from_static(
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            )),
            started: Instant::now(),
            status: StatusCode::BAD_GATEWAY,
            reason: Some("unreachable"),
            owner: Some("default/shop".into()),
            endpoint: Some(([10, 0, 0, 1], 8080).into()),
            tries: 2,
            upstream_time: Some(Duration::from_micros(1500)),
            bytes: 12,
        }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_795_300_200).unwrap()
    }

    #[test]
    fn a_json_line_says_what_happened() {
        let mut line = Vec::new();
        let took = Duration::from_micros(2_000_001);
        json(
            &mut line,
            &mk_record(b"curl \"8\""),
            &rfc3339(now()),
            7,
            took,
        );
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"time\":\"2026-11-21T22:30:00.007Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\
             \"host\":\"example.com\",\"target\":\"/a?b=c\",\"protocol\":\"HTTP/2.0\",\
             \"scheme\":\"https\",\"status\":502,\"bytes\":12,\"seconds\":2.000001,\
             \"reason\":\"unreachable\",\"route\":\"default/shop\",\
             \"endpoint\":\"10.0.0.1:8080\",\"tries\":2,\"upstream_seconds\":0.001500,\
             \"request_id\":\"abc\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\
             \"user_agent\":\"curl \\\"8\\\"\"}\n"
        );
    }

    #[test]
    fn a_combined_line_is_one_with_more_behind() {
        let mut line = Vec::new();
        let took = Duration::from_millis(2001);
        combined(&mut line, &mk_record(b"a\"b"), &common(now()), took);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "192.0.2.7 - - [21/Nov/2026:22:30:00 +0000] \"GET /a?b=c HTTP/2.0\" 502 12 \"-\" \
             \"a\\x22b\" \"unreachable\" \"abc\" \"10.0.0.1:8080\" 2.001 0.001 2\n"
        );
    }

    proptest! {
        #[test]
        fn no_header_breaks_a_line(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let record = mk_record(&value);
            let mut line = Vec::new();
            json(&mut line, &record, &rfc3339(now()), 0, Duration::ZERO);
            let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(&read["route"], "default/shop");
            line.clear();
            combined(&mut line, &record, &common(now()), Duration::ZERO);
            prop_assert!(line.is_ascii());
            prop_assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
            prop_assert_eq!(line.split(|byte| *byte == b'"').count(), 13);
        }
    }
}
