//! Turns SIGINT and SIGTERM into a stop token.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The status of a process that a second signal ended: 128 + SIGINT, as a shell reports it.
const ENDED_BY_SIGNAL: i32 = 130;

/// A signal that comes so soon after the first is the same one: some supervisors send it to the process and to its
/// group.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// A token that SIGINT or SIGTERM cancels. A second signal ends the process at once.
///
/// Must be called on a tokio runtime, as it spawns a task.
pub fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let (interrupt, terminate) = match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(error), _) | (_, Err(error)) => {
            warn!(%error, "signals are not handled; the process ends without draining");
            return stop;
        }
    };
    tokio::spawn(watch(interrupt, terminate, stop.clone()));
    stop
}

#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "whoever signals twice wants no more cleaning up"
)]
async fn watch(
    mut interrupt: tokio::signal::unix::Signal,
    mut terminate: tokio::signal::unix::Signal,
    stop: CancellationToken,
) {
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    };
    let name = next().await;
    info!(signal = name, "stopping; a second signal ends at once");
    stop.cancel();
    let first = Instant::now();
    let mut name = next().await;
    while first.elapsed() < SAME_SIGNAL {
        name = next().await;
    }
    warn!(signal = name, "ended before it had stopped");
    std::process::exit(ENDED_BY_SIGNAL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sigterm_cancels_the_token() {
        let stop = stop_on_signals();
        assert!(!stop.is_cancelled());
        let own_pid = std::process::id().to_string();
        let sent = tokio::process::Command::new("kill")
            .args(["-TERM", &own_pid])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
        tokio::time::timeout(Duration::from_secs(5), stop.cancelled())
            .await
            .expect("the token is cancelled within 5 s");
    }
}
