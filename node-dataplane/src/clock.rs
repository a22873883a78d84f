//! The wall clock, for people and probes; nothing is decided by it.

use std::time::SystemTime;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Now.
pub(crate) fn now() -> SystemTime {
    OffsetDateTime::now_utc().into()
}

/// Now, in seconds since 1970.
pub(crate) fn seconds_since_epoch() -> f64 {
    let now = OffsetDateTime::now_utc();
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds are kept until the year 2255"
    )]
    let micros = (now.unix_timestamp_nanos() / 1000) as f64;
    micros / 1e6
}

/// Seconds from then until now; 0 where that clock is ahead of this one.
pub(crate) fn seconds_since(then: SystemTime) -> f64 {
    let since = OffsetDateTime::now_utc() - OffsetDateTime::from(then);
    since.as_seconds_f64().max(0.0)
}

/// Now, as RFC 3339.
pub(crate) fn rfc3339() -> String {
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}
