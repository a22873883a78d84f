//! The time of day as responses say it, written once a second.

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};

use time::OffsetDateTime;
use tokio::time::Instant;

/// As in `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
pub(super) type Text = [u8; 29];

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// What a worker's responses say of the time.
#[derive(Debug, Default)]
pub(crate) struct Date(Cell<Option<(Instant, Text)>>);

impl Date {
    /// The time of day at `now`.
    pub(super) fn at(&self, now: Instant) -> Text {
        match self.0.get() {
            Some((until, text)) if now < until => text,
            _ => {
                let time = wall_clock();
                let next = Duration::from_secs(1).saturating_sub(Duration::from_nanos(
                    OffsetDateTime::from(time).nanosecond().into(),
                ));
                let text = text(time);
                self.0.set(Some((now + next, text)));
                text
            }
        }
    }
}

fn text(time: SystemTime) -> Text {
    let time = OffsetDateTime::from(time);
    let day = DAYS.get(usize::from(time.weekday().number_days_from_sunday()));
    let month = MONTHS.get(usize::from(u8::from(time.month()) - 1));
    let (day, month) = (
        day.copied().unwrap_or("Sun"),
        month.copied().unwrap_or("Jan"),
    );
    let (hour, minute, second) = time.to_hms();
    let text = format!(
        "{day}, {:02} {month} {:04} {hour:02}:{minute:02}:{second:02} GMT",
        time.day(),
        time.year(),
    );
    // No clock says a year of five digits.
    text.into_bytes().try_into().unwrap_or([b' '; 29])
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of day is what clients are told, and nothing is decided by it"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_rfc_9110_says() {
        for (seconds, said) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(text(time), said.as_bytes());
        }
    }
}
