//! How often to publish: at once after a quiet time, less and less often while changes keep coming.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two publications.
const SHORTEST: Duration = Duration::from_millis(50);
/// The longest time that a change waits for others. Thousands of clients take some tenths of a second to acknowledge a
/// publication, and a change shall be everywhere within a second.
const LONGEST: Duration = Duration::from_millis(500);

/// Says when a change may be published. Pure: it is told the time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Instant,
    /// How long the next publication has to wait after this one.
    interval: Duration,
}

impl Pace {
    /// When what changed by `now` is to be published: now, or when the interval since the last time is over.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        match self.last {
            Some(last) => now.max(last.at + last.interval),
            None => now,
        }
    }

    /// Something was published. Another publication soon after the last one doubles the interval; a pause of twice the
    /// interval starts over.
    pub(crate) fn published(&mut self, now: Instant) {
        let interval = match self.last {
            Some(last) if now < last.at + 2 * last.interval => LONGEST.min(2 * last.interval),
            Some(_) | None => SHORTEST,
        };
        self.last = Some(Last { at: now, interval });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_change_is_published_at_once() {
        let now = Instant::now();
        assert_eq!(Pace::default().due(now), now);
    }

    #[test]
    fn changes_that_keep_coming_are_published_less_and_less_often() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..8 {
            pace.published(now);
            let due = pace.due(now);
            waits.push(due - now);
            now = due;
        }
        assert_eq!(waits, [50, 100, 200, 400, 500, 500, 500, 500].map(ms));
    }

    #[test]
    fn after_a_pause_a_change_is_published_at_once_again() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.published(start);
        pace.published(start + ms(50));
        let later = start + ms(50) + ms(200);
        assert_eq!(pace.due(later), later);
        pace.published(later);
        assert_eq!(pace.due(later), later + ms(50));
    }

    #[test]
    fn a_change_in_the_interval_waits_for_its_end_only() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.published(start);
        assert_eq!(pace.due(start + ms(30)), start + ms(50));
        assert_eq!(pace.due(start + ms(70)), start + ms(70));
    }
}
