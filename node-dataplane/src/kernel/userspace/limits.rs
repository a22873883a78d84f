//! What is told when this process has no sockets left.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{debug, warn};

/// A shortage is reported at most this often: while there is one, it shows at every connection.
const REPORT_PERIOD: Duration = Duration::from_mins(1);

/// That there are no sockets left: what is worth one line in the log.
#[derive(Debug, Default)]
pub(super) struct Shortage(Mutex<Option<Instant>>);

// === impl Shortage ===

impl Shortage {
    /// A socket could not be had.
    pub(super) fn report(&self, error: &io::Error) {
        if self.is_news(Instant::now()) {
            warn!(%error, "no socket for another connection; new clients wait until one is free");
        } else {
            debug!(%error, "no socket for another connection");
        }
    }

    fn is_news(&self, now: Instant) -> bool {
        let mut reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = reported.is_none_or(|at| now.saturating_duration_since(at) >= REPORT_PERIOD);
        if is_news {
            *reported = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_reported_once_a_minute() {
        let (shortage, start) = (Shortage::default(), Instant::now());
        let news = [0, 1, 59, 60, 61].map(|s| shortage.is_news(start + Duration::from_secs(s)));
        assert_eq!(news, [true, false, false, true, false]);
    }
}
