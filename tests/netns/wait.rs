//! Waiting for a condition with a deadline that says how near it came.

use std::{fmt::Display, time::Duration};

use tokio::time::Instant;

/// Longer than anything takes, on a busy machine or an emulated one.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(50);

/// Tries until it succeeds; after two minutes the test fails with what the last try said.
pub(crate) fn eventually<T, E: Display>(what: &str, attempt: impl FnMut() -> Result<T, E>) -> T {
    eventually_within(PATIENCE, what, attempt)
}

/// The same for what takes longer than anything else.
#[expect(
    clippy::disallowed_methods,
    reason = "tests here have threads of their own, and no runtime"
)]
pub(crate) fn eventually_within<T, E: Display>(
    patience: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(_) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(nearest) => panic!("{what}: not after {} s: {nearest}", patience.as_secs()),
        }
    }
}
