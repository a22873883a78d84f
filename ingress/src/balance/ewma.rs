//! How long an endpoint takes to answer: an average that jumps up at once and comes down slowly. Pure.

use std::time::Duration;

/// The time in which what was measured loses two thirds of its weight.
const DECAY: f64 = 10.0;
/// What an endpoint that has requests and was never measured costs, in seconds: it gets one request to be measured by,
/// and no more until the answer is there.
const UNKNOWN: f64 = 3600.0;

/// The average in seconds, and when it was last brought up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PeakEwma {
    pub(super) seconds: f64,
    pub(super) at: Duration,
}

impl PeakEwma {
    /// The average with one more answer that took so long.
    pub(super) fn observe(self, took: Duration, now: Duration) -> Self {
        let took = took.as_secs_f64();
        let seconds = if took > self.seconds {
            took
        } else {
            let weight = self.weight(now);
            self.seconds * weight + took * (1.0 - weight)
        };
        Self {
            seconds,
            at: self.at.max(now),
        }
    }

    /// What one more request costs, beside `active` others.
    pub(super) fn cost(self, active: usize, now: Duration) -> f64 {
        let active = f64::from(u32::try_from(active).unwrap_or(u32::MAX));
        if self.seconds > 0.0 {
            // An endpoint that was slow once is tried again some day.
            self.seconds * self.weight(now) * (active + 1.0)
        } else {
            active * UNKNOWN
        }
    }

    /// How much of what was known at its time still counts.
    fn weight(self, now: Duration) -> f64 {
        (-now.saturating_sub(self.at).as_secs_f64() / DECAY).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn measured(millis: u64) -> PeakEwma {
        PeakEwma::default().observe(Duration::from_millis(millis), NOW)
    }

    #[test]
    fn a_slow_answer_counts_at_once_and_fast_ones_only_slowly() {
        let slow = measured(10).observe(Duration::from_secs(1), NOW);
        assert!(slow.cost(0, NOW) > 0.99);
        let later = NOW + Duration::from_secs(1);
        let better = slow.observe(Duration::from_millis(10), later);
        let cost = better.cost(0, later);
        assert!((0.5..0.95).contains(&cost), "{cost}");
    }

    #[test]
    fn the_faster_one_costs_less_until_it_has_more_to_do() {
        let (fast, slow) = (measured(10), measured(30));
        assert!(fast.cost(1, NOW) < slow.cost(0, NOW));
        assert!(fast.cost(3, NOW) > slow.cost(0, NOW));
    }

    #[test]
    fn an_endpoint_without_a_measurement_gets_one_request_and_not_two() {
        let (cold, warm) = (PeakEwma::default(), measured(10));
        assert!(cold.cost(0, NOW) < warm.cost(0, NOW));
        assert!(cold.cost(1, NOW) > warm.cost(50, NOW));
    }

    #[test]
    fn an_endpoint_that_was_slow_is_tried_again_some_day() {
        let slow = measured(5000);
        let later = NOW + Duration::from_mins(2);
        let fast = measured(10).observe(Duration::from_millis(10), later);
        assert!(slow.cost(0, later) < fast.cost(0, later));
    }

    #[test]
    fn a_clock_that_another_core_read_earlier_does_no_harm() {
        let before = NOW.checked_sub(Duration::from_secs(1)).unwrap();
        let observed = measured(10).observe(Duration::from_millis(10), before);
        assert!((observed.seconds - 0.01).abs() < 1e-9 && observed.at == NOW);
    }
}
