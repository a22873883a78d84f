//! When an endpoint that keeps failing is left out, and for how long. Pure.

use std::time::Duration;

/// Failures in a row after which an endpoint is left out.
const THRESHOLD: u8 = 5;
/// How long it is left out the first time; twice as long each time after that.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(5);

/// What a request says of the endpoint that it went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// No connection, a connection that broke, no answer in time, or an answer of 502, 503 or 504.
    Failure,
}

/// What is remembered of an endpoint's failures. Times are since an epoch that all of them share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    /// Failures since the last success.
    failures: u8,
    /// How often it was left out since the last success.
    ejections: u8,
    until: Duration,
}

impl Health {
    /// Left out at this time.
    pub(super) fn is_ejected(self, now: Duration) -> bool {
        self.until > now
    }

    /// What is known after one more request. `may_eject` is asked only where the endpoint is about to be left out.
    ///
    /// An endpoint that comes back has one try: a failure leaves it out again, a success forgets everything.
    pub(super) fn after(
        self,
        outcome: Outcome,
        now: Duration,
        may_eject: impl FnOnce() -> bool,
    ) -> Self {
        if outcome == Outcome::Success {
            return Self::default();
        }
        let failures = self.failures.saturating_add(1).min(THRESHOLD);
        if failures < THRESHOLD || self.is_ejected(now) || !may_eject() {
            return Self { failures, ..self };
        }
        let longer = 1 << self.ejections.min(8);
        Self {
            failures: THRESHOLD - 1,
            ejections: self.ejections.saturating_add(1),
            until: now + (FIRST * longer).min(LONGEST),
        }
    }

    /// As one word: milliseconds, which last for 8,900 years, then both counts.
    pub(super) fn pack(self) -> u64 {
        let until = u64::try_from(self.until.as_millis()).unwrap_or(u64::MAX >> 16);
        (until << 16) | (u64::from(self.ejections) << 8) | u64::from(self.failures)
    }

    pub(super) fn unpack(word: u64) -> Self {
        let [failures, ejections, ..] = word.to_le_bytes();
        Self {
            failures,
            ejections,
            until: Duration::from_millis(word >> 16),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The time from which an endpoint is used again that failed at these times.
    fn fail(mut health: Health, times: &[u64]) -> Health {
        for time in times {
            health = health.after(Outcome::Failure, seconds(*time), || true);
        }
        health
    }

    #[test]
    fn the_fifth_failure_in_a_row_leaves_an_endpoint_out_for_ten_seconds() {
        let four = fail(Health::default(), &[1, 1, 1, 1]);
        assert!(!four.is_ejected(seconds(1)));
        let five = fail(four, &[1]);
        assert!(five.is_ejected(seconds(1)) && five.is_ejected(Duration::from_millis(10_999)));
        assert!(!five.is_ejected(seconds(11)));
    }

    #[test]
    fn a_success_forgets_failures() {
        let four = fail(Health::default(), &[1, 1, 1, 1]);
        let better = four.after(Outcome::Success, seconds(1), || true);
        assert!(!fail(better, &[1, 1, 1, 1]).is_ejected(seconds(1)));
    }

    #[test]
    fn one_failure_after_coming_back_doubles_the_time() {
        let back = fail(Health::default(), &[0, 0, 0, 0, 0]);
        let again = fail(back, &[10]);
        assert!(again.is_ejected(Duration::from_millis(29_999)));
        assert!(!again.is_ejected(seconds(30)));
    }

    #[test]
    fn failures_while_left_out_do_not_prolong_it() {
        let out = fail(Health::default(), &[0, 0, 0, 0, 0]);
        assert!(!fail(out, &[1, 2, 3, 9]).is_ejected(seconds(10)));
    }

    #[test]
    fn where_too_many_are_out_already_it_stays() {
        let mut health = Health::default();
        for _ in 0..20 {
            health = health.after(Outcome::Failure, seconds(1), || false);
        }
        assert!(!health.is_ejected(seconds(1)));
        assert!(fail(health, &[1]).is_ejected(seconds(1)));
    }

    proptest! {
        #[test]
        fn a_word_holds_it_all_and_nobody_is_out_for_more_than_five_minutes(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..100_000), 0..200),
        ) {
            let (mut health, mut now) = (Health::default(), Duration::ZERO);
            for (is_success, later) in steps {
                now += Duration::from_millis(later);
                let outcome = if is_success { Outcome::Success } else { Outcome::Failure };
                health = health.after(outcome, now, || true);
                prop_assert_eq!(Health::unpack(health.pack()), health);
                prop_assert!(!health.is_ejected(now + LONGEST));
            }
        }
    }
}
