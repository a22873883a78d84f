//! The wall clock, to say how long ago something was.

use std::time::SystemTime;

/// The time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock; what computes with it takes it as an argument"
)]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
