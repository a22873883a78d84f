//! Durations in steps of a millisecond, counted by many tasks at once.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The longest duration that is told from longer ones, in milliseconds.
const LONGEST: usize = 60_000;

/// How often each duration was seen.
#[derive(Debug)]
pub(crate) struct Histogram(Vec<AtomicU64>);

impl Default for Histogram {
    fn default() -> Self {
        Self((0..=LONGEST).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Histogram {
    pub(crate) fn record(&self, duration: Duration) {
        let millis = usize::try_from(duration.as_millis())
            .unwrap_or(LONGEST)
            .min(LONGEST);
        if let Some(count) = self.0.get(millis) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn clear(&self) {
        for count in &self.0 {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// The shortest duration that so many percent were not longer than, in milliseconds; 0 where nothing was seen.
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        let counts: Vec<_> = self
            .0
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        let wanted = (counts.iter().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        for (millis, count) in (0..).zip(&counts) {
            seen += count;
            if seen >= wanted {
                return millis;
            }
        }
        0
    }
}
