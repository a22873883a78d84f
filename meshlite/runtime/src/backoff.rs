//! How long to wait before the next attempt: exponential, with full jitter, so that clients do not return in step.

use std::time::Duration;

/// The waits between attempts. Each is drawn evenly between zero and a bound that doubles up to a cap.
#[derive(Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    bound: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    /// The first wait is at most `base`, later ones at most `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self::with_random(base, cap, fastrand::Rng::new())
    }

    fn with_random(base: Duration, cap: Duration, random: fastrand::Rng) -> Self {
        Self {
            base,
            cap,
            bound: base.min(cap),
            random,
        }
    }

    /// The next wait.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, so it is no iterator"
    )]
    pub fn next(&mut self) -> Duration {
        let wait = self.bound.mul_f64(self.random.f64());
        self.bound = self.bound.saturating_mul(2).min(self.cap);
        wait
    }

    /// Starts over: call it after a success.
    pub fn reset(&mut self) {
        self.bound = self.base.min(self.cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const CAP: Duration = Duration::from_secs(15);

    fn seeded() -> Backoff {
        Backoff::with_random(BASE, CAP, fastrand::Rng::with_seed(7))
    }

    #[test]
    fn waits_stay_under_a_bound_that_doubles_up_to_the_cap() {
        let mut backoff = seeded();
        let mut bound = BASE;
        for _ in 0..40 {
            assert!(backoff.next() <= bound);
            bound = (bound * 2).min(CAP);
        }
        assert_eq!(backoff.bound, CAP);
    }

    #[test]
    fn waits_reach_into_the_upper_half_of_the_bound() {
        let mut backoff = seeded();
        let longest = (0..200).map(|_| backoff.next()).max().unwrap();
        assert!(longest > CAP / 2, "{longest:?}");
    }

    #[test]
    fn reset_starts_over() {
        let mut backoff = seeded();
        for _ in 0..10 {
            backoff.next();
        }
        backoff.reset();
        assert!(backoff.next() <= BASE);
    }

    #[test]
    fn a_cap_below_the_base_is_the_bound() {
        let mut backoff = Backoff::new(CAP, BASE);
        assert!((0..100).all(|_| backoff.next() <= BASE));
    }
}
