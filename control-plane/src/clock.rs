//! The wall clock, for timestamps that people and other machines read. Intervals are measured with tokio's.

use std::time::SystemTime;

/// The time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock; what decides takes the time as an argument"
)]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
