//! Waiting for a condition with a deadline that says how near it came.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep};

/// Longer than anything takes, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

/// Tries until it succeeds; after a minute the test fails with what the last try said.
pub async fn eventually<T, E: Display>(
    what: &str,
    attempt: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    eventually_after(Duration::ZERO, what, attempt).await
}

/// As [`eventually`], of what cannot be before this time is over.
#[expect(clippy::panic, reason = "it is how a test fails")]
pub async fn eventually_after<T, E: Display>(
    time: Duration,
    what: &str,
    attempt: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let limit = time + PATIENCE;
    match within(limit, attempt).await {
        Ok(value) => value,
        Err(nearest) => panic!("{what}: not after {} s: {nearest}", limit.as_secs()),
    }
}

/// Tries until it succeeds or the time is over, then with what the last try said.
pub(super) async fn within<T, E>(
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => sleep(PAUSE).await,
            result => return result,
        }
    }
}
