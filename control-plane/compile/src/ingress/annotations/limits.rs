//! How much and how long: rates, sizes, timeouts.

use meshlite_snapshot::{Limits, RateLimit, RouteTimeouts};

use super::{Asked, access::all_networks, written::Written};
use crate::Settings;

/// How many times the rate may come at once, where nothing is written.
const BURST: u32 = 5;
/// ingress-nginx's defaults, for Ingresses that are to be served as it would.
const NGINX_BODY_BYTES: u64 = 1 << 20;
const NGINX_CONNECT_MS: u32 = 5_000;
const NGINX_READ_MS: u32 = 60_000;

pub(super) fn read(written: &mut Written<'_, '_>, settings: &Settings, asked: &mut Asked) {
    asked.timeouts = timeouts(written, settings);
    asked.policy.limits = limits(written, settings);
    let log = written.flag("enable-access-log");
    asked.policy.no_access_log = log == Some(false);
    asked.policy.compression = written.flag("compression").unwrap_or_default();
}

/// nginx counts from one operation to the next on either side, as `idle` does here; until the first byte of the answer it
/// is the response that does not come.
fn timeouts(written: &mut Written<'_, '_>, settings: &Settings) -> RouteTimeouts {
    let default = |value| settings.nginx_compat.then_some(value);
    let connect = written.milliseconds("proxy-connect-timeout");
    let read = written.milliseconds("proxy-read-timeout");
    let read = read.or(default(NGINX_READ_MS));
    let send = written.milliseconds("proxy-send-timeout");
    if let Some(value) = written.value("proxy-send-timeout")
        && value.is_nginx
        && send > read.or(Some(NGINX_READ_MS))
    {
        let how = "is longer than proxy-read-timeout and counts for both directions";
        written.approximate(&value, how);
    }
    let response = written.milliseconds("request-timeout");
    RouteTimeouts {
        connect_ms: connect.or(default(NGINX_CONNECT_MS)),
        response_ms: response.or(read),
        idle_ms: read.max(send),
        request_ms: None,
    }
}

fn limits(written: &mut Written<'_, '_>, settings: &Settings) -> Limits {
    let mut limits = Limits {
        body_bytes: settings.nginx_compat.then_some(NGINX_BODY_BYTES),
        ..Limits::default()
    };
    if let Some(size) = written.value("proxy-body-size") {
        match bytes(size.text) {
            Some(bytes) => limits.body_bytes = Some(bytes),
            None => written.invalid(&size, "is not a size; write bytes, or 8k, 8m, 8g"),
        }
    }
    let multiplier = written.number("limit-burst-multiplier");
    let multiplier = multiplier.filter(|by| *by > 0).unwrap_or(BURST);
    let mut is_nginx = false;
    for (name, per_seconds) in [("limit-rps", 1), ("limit-rpm", 60)] {
        is_nginx |= written.value(name).is_some_and(|value| value.is_nginx);
        let requests = written.number(name).filter(|requests| *requests > 0);
        limits.rates.extend(requests.map(|requests| RateLimit {
            requests,
            per_seconds,
            // nginx lets one through and as many more as its burst.
            burst: requests.saturating_mul(multiplier).saturating_add(1),
        }));
    }
    let name = "limit-connections";
    is_nginx |= written.value(name).is_some_and(|value| value.is_nginx);
    limits.concurrent_requests = written.number(name).filter(|most| *most > 0);
    limits.status = is_nginx.then_some(503);
    let exempt = written
        .value("limit-allowlist")
        .or_else(|| written.value("limit-whitelist"));
    if let Some(exempt) = exempt {
        match all_networks(&exempt) {
            Ok(networks) => limits.exempt = networks,
            Err(bad) => written.invalid(&exempt, &format!("holds {bad:?}, which is no network")),
        }
    }
    limits
}

/// A size as nginx writes it.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'b' | 'B') => (text.get(..at)?, 0),
        (at, 'k' | 'K') => (text.get(..at)?, 10),
        (at, 'm' | 'M') => (text.get(..at)?, 20),
        (at, 'g' | 'G') => (text.get(..at)?, 30),
        _ => (text, 0),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = is_number.then(|| digits.parse().ok()).flatten()?;
    number.checked_mul(1 << unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_nginx_s() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("8k", Some(8 << 10)),
            ("8M", Some(8 << 20)),
            ("2g", Some(2 << 30)),
            ("5b", Some(5)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("8mb", None),
            ("1.5m", None),
            ("99999999999999999999", None),
            ("99999999999g", None),
            ("8µ", None),
        ] {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }
}
