//! How long to wait before connecting again: full jitter, so that many clients do not come back together.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

// === impl Backoff ===

impl Backoff {
    /// A random time up to a limit that doubles with every failure.
    pub(super) fn next(&mut self) -> Duration {
        let limit = self.limit();
        self.failures = self.failures.saturating_add(1);
        limit.mul_f64(fastrand::f64())
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    fn limit(&self) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures);
        BASE.saturating_mul(factor).min(CAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_lost_a_server_together_do_not_come_back_together() {
        let backoff = Backoff { failures: 20 };
        let waits = (0..100).map(|_| Backoff { ..backoff }.next());
        let waits: Vec<_> = waits.collect();
        let (first, last) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*first < CAP / 2 && *last > CAP / 2, "{first:?} to {last:?}");
    }

    #[test]
    fn waits_double_up_to_15_seconds_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        for limit in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000] {
            assert_eq!(backoff.limit(), Duration::from_millis(limit));
            assert!(backoff.next() <= Duration::from_millis(limit));
        }
        backoff.failures = u32::MAX;
        assert_eq!(backoff.limit(), CAP);
        backoff.reset();
        assert_eq!(backoff.limit(), BASE);
    }
}
