//! How the client of an HTTP/2 connection behaves: requests that it takes back, and silence.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{sync::Notify, time::Instant};

/// Requests that a client may take back at once, before they are answered …
const RESETS: u32 = 100;
/// … and how long it takes until it may take that many back again.
const WINDOW: Duration = Duration::from_secs(10);

/// What a connection's client has done.
#[derive(Debug)]
pub(super) struct Conduct {
    /// When its bucket of resets is full again.
    full_at: Cell<Instant>,
    under_way: Cell<usize>,
    last: Cell<Instant>,
    /// It took back too many requests.
    is_wild: Cell<bool>,
    changed: Notify,
}

/// A request, until its answer has been sent or it is taken back.
#[derive(Debug)]
pub(super) struct UnderWay {
    conduct: Rc<Conduct>,
    is_answered: bool,
}

impl Conduct {
    pub(super) fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            full_at: Cell::new(now),
            under_way: Cell::new(0),
            last: Cell::new(now),
            is_wild: Cell::new(false),
            changed: Notify::new(),
        })
    }

    pub(super) fn begin(self: &Rc<Self>) -> UnderWay {
        self.under_way.set(self.under_way.get() + 1);
        UnderWay {
            conduct: Rc::clone(self),
            is_answered: false,
        }
    }

    /// Waits until the client has taken back too many requests.
    pub(super) async fn wild(&self) {
        while !self.is_wild.get() {
            self.changed.notified().await;
        }
    }

    /// Waits until nothing was asked for so long.
    pub(super) async fn idle(&self, limit: Duration) {
        while let Some(next) = self.next_look(limit, Instant::now()) {
            tokio::time::sleep_until(next).await;
        }
    }

    /// When it may have been silent for so long; none if it has been.
    fn next_look(&self, limit: Duration, now: Instant) -> Option<Instant> {
        let since = if self.under_way.get() > 0 {
            now
        } else {
            self.last.get()
        };
        (now < since + limit).then_some(since + limit)
    }

    /// Whether no answer is awaited or being sent.
    pub(super) fn is_quiet(&self) -> bool {
        self.under_way.get() == 0
    }

    /// One request was taken back.
    fn take_back(&self, now: Instant) {
        let full_at = self.full_at.get().max(now) + WINDOW / RESETS;
        self.full_at.set(full_at);
        if full_at.duration_since(now) > WINDOW {
            self.is_wild.set(true);
            self.changed.notify_one();
        }
    }
}

impl UnderWay {
    /// The request has its answer, which may still have to be sent.
    pub(super) fn answered(mut self) -> Self {
        self.is_answered = true;
        self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = Instant::now();
        self.conduct.last.set(now);
        let under_way = self.conduct.under_way.get();
        self.conduct.under_way.set(under_way.saturating_sub(1));
        if !self.is_answered {
            self.conduct.take_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_resets_is_forgiven_and_more_than_the_rate_is_not() {
        let start = Instant::now();
        let conduct = Conduct::new(start);
        for _ in 0..RESETS {
            conduct.take_back(start);
        }
        assert!(!conduct.is_wild.get());
        let later = start + WINDOW / 2;
        for _ in 0..RESETS / 2 {
            conduct.take_back(later);
        }
        assert!(!conduct.is_wild.get());
        conduct.take_back(later);
        assert!(conduct.is_wild.get());
    }

    #[test]
    fn silence_counts_only_while_nothing_is_under_way() {
        let start = Instant::now();
        let conduct = Conduct::new(start);
        let limit = Duration::from_secs(10);
        assert_eq!(conduct.next_look(limit, start), Some(start + limit));
        let request = conduct.begin();
        let later = start + limit * 3;
        assert_eq!(conduct.next_look(limit, later), Some(later + limit));
        drop(request.answered());
        assert_eq!(conduct.next_look(limit, later), None);
    }
}
