//! How long to wait after a failure: twice as long each time, with full jitter, and from the start after a quiet time.

use std::time::Duration;

use tokio::time::Instant;

const SHORTEST: Duration = Duration::from_millis(800);
const LONGEST: Duration = Duration::from_secs(30);
/// Without a failure for so long, the next one is the first again.
const QUIET: Duration = Duration::from_mins(2);

/// Pure: it is told the time, and its luck.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    last: Option<(Instant, Duration)>,
}

impl Backoff {
    /// How long to wait after the failure at `now`; `chance`, from 0 to 1, decides how much of what it may be.
    pub(super) fn after_failure(&mut self, now: Instant, chance: f64) -> Duration {
        let most = match self.last {
            Some((at, most)) if now.saturating_duration_since(at) < QUIET => LONGEST.min(2 * most),
            Some(_) | None => SHORTEST,
        };
        self.last = Some((now, most));
        most.mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_keep_coming_are_waited_for_longer_up_to_half_a_minute() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let waits: Vec<_> = (0..8).map(|_| backoff.after_failure(now, 1.0)).collect();
        let ms = [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000];
        assert_eq!(waits, ms.map(Duration::from_millis));
    }

    #[test]
    fn after_a_quiet_time_the_wait_is_short_again() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        for _ in 0..8 {
            backoff.after_failure(now, 1.0);
        }
        assert_eq!(backoff.after_failure(now + QUIET, 1.0), SHORTEST);
    }

    #[test]
    fn replicas_do_not_come_back_together() {
        let wait = |chance| Backoff::default().after_failure(Instant::now(), chance);
        assert_eq!(wait(0.0), Duration::ZERO);
        assert_eq!(wait(0.5), SHORTEST / 2);
    }
}
