//! How often a request is tried (`proxy-next-upstream*`).

use meshlite_snapshot::{Retry, RetryOn};

use super::{Asked, written::Written};
use crate::Settings;

const TRIES: u32 = 3;

pub(super) fn read(written: &mut Written<'_, '_>, settings: &Settings, asked: &mut Asked) {
    let on = written.value("proxy-next-upstream");
    let tries = written.number("proxy-next-upstream-tries");
    let seconds = written.number("proxy-next-upstream-timeout");
    if on.is_none() && tries.is_none() && seconds.is_none() && !settings.nginx_compat {
        return;
    }
    let mut retry = Retry {
        attempts: match tries {
            None => TRIES,
            // No limit but the number of endpoints.
            Some(0) => u32::MAX,
            Some(tries) => tries,
        },
        on: vec![],
        timeout_ms: seconds
            .map(|seconds| seconds.saturating_mul(1_000))
            .filter(|ms| *ms > 0),
        non_idempotent: false,
    };
    let mut is_off = false;
    for word in on
        .as_ref()
        .map_or("error timeout", |value| value.text)
        .split_whitespace()
    {
        match word {
            "error" => retry.on.extend([RetryOn::ConnectFailure, RetryOn::Reset]),
            "timeout" => retry.on.push(RetryOn::Timeout),
            "invalid_header" => retry.on.push(RetryOn::Reset),
            "non_idempotent" => retry.non_idempotent = true,
            "off" => is_off = true,
            other => match (status(other), &on) {
                (Some(status), _) => retry.on.push(RetryOn::Status(status)),
                (None, Some(value)) => {
                    written.invalid(value, &format!("holds {other:?}, which is no condition"));
                }
                (None, None) => {}
            },
        }
    }
    if is_off {
        retry.attempts = 1;
        retry.on.clear();
    }
    retry.on.dedup();
    asked.policy.retry = Some(retry);
}

fn status(word: &str) -> Option<u16> {
    let status = word.strip_prefix("http_")?.parse().ok()?;
    matches!(status, 403 | 404 | 429 | 500 | 502 | 503 | 504).then_some(status)
}
