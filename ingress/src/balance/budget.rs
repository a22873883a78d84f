//! How many requests may be sent again, so that retries do not bury endpoints that are in trouble. Pure.

use std::time::Duration;

/// Retries for each 1,000 requests.
const PER_THOUSAND: u64 = 200;
/// Retries for each second, however few requests there are.
const PER_SECOND: u64 = 10;
/// How far back requests count.
const WINDOW: Duration = Duration::from_secs(10);

/// Retries that are left, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    left: u64,
    /// Requests up to the last time that somebody asked.
    requests: usize,
    at: Duration,
}

impl Budget {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            left: PER_SECOND * 1000,
            requests: 0,
            at: now,
        }
    }

    /// Whether one more retry is within the budget; then it is taken. `requests` counts all requests so far.
    pub(super) fn take(&mut self, now: Duration, requests: usize) -> bool {
        let window = millis(WINDOW);
        let passed = millis(now.saturating_sub(self.at));
        let counted = passed.min(window);
        let new = u64::try_from(requests.wrapping_sub(self.requests)).unwrap_or(u64::MAX);
        // Of what came in a longer time than the window, the window's share.
        let recent = new.saturating_mul(window) / passed.max(window);
        let kept = self.left.saturating_mul(window - counted) / window;
        self.left = kept
            .saturating_add(recent.saturating_mul(PER_THOUSAND))
            .saturating_add(counted * PER_SECOND);
        self.requests = requests;
        self.at = self.at.max(now);
        let taken = self.left.checked_sub(1000);
        self.left = taken.unwrap_or(self.left);
        taken.is_some()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn taken(budget: &mut Budget, now: Duration, requests: usize, tries: usize) -> usize {
        (0..tries).filter(|_| budget.take(now, requests)).count()
    }

    #[test]
    fn few_requests_may_be_tried_again_ten_times_a_second() {
        let mut budget = Budget::new(START);
        assert_eq!(taken(&mut budget, START, 0, 100), 10);
        let later = START + Duration::from_secs(1);
        assert_eq!(taken(&mut budget, later, 0, 100), 10);
    }

    #[test]
    fn of_many_requests_a_fifth_may_be_tried_again() {
        let mut budget = Budget::new(START);
        taken(&mut budget, START, 0, 100);
        assert_eq!(taken(&mut budget, START, 1000, 1000), 200);
        assert_eq!(taken(&mut budget, START, 1005, 1000), 1);
    }

    #[test]
    fn an_hour_of_requests_is_no_hour_of_retries() {
        let mut budget = Budget::new(START);
        let later = START + Duration::from_hours(1);
        assert_eq!(taken(&mut budget, later, 3_600_000, 100_000), 2000 + 100);
    }

    proptest! {
        #[test]
        fn retries_stay_within_a_fifth_of_the_requests_and_ten_a_second(
            steps in proptest::collection::vec((0_u64..3000, 0_usize..500, 0_usize..500), 1..100),
        ) {
            let mut budget = Budget::new(START);
            let (mut now, mut requests, mut retries) = (START, 0, 0);
            for (later, more, tries) in steps {
                now += Duration::from_millis(later);
                requests += more;
                retries += taken(&mut budget, now, requests, tries);
                let seconds = usize::try_from(now.saturating_sub(START).as_millis()).unwrap();
                prop_assert!(retries * 1000 <= 10_000 + requests * 200 + seconds * 10);
            }
        }
    }
}
