//! Timers that are used again. One that goes on running costs nothing, and setting one for each request that never needs
//! it costs a lot: the runtime's wheel is changed twice.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Timers that are kept. Each runs for as long as it was last set for, and keeps alive what waited for it until then.
const MAX_SPARE: usize = 1024;

/// The timers of one worker that nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Timers(RefCell<Vec<Pin<Box<Sleep>>>>);

/// A timer that is taken once it is waited for.
#[derive(Debug)]
pub(crate) struct Timer<'a> {
    timers: &'a Timers,
    due: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    /// It wakes the task that waits for it.
    is_set: bool,
}

impl Timers {
    /// A timer for this time.
    pub(crate) fn until(&self, due: Instant) -> Timer<'_> {
        Timer {
            timers: self,
            due,
            sleep: None,
            is_set: false,
        }
    }
}

impl Timer<'_> {
    /// When it is over.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    pub(crate) fn reset(&mut self, due: Instant) {
        self.due = due;
    }

    /// Ready once its time has come. One task waits for it, and no other.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.due;
        if self.is_set
            && let Some(sleep) = &self.sleep
            && sleep.deadline() <= due
            && !sleep.is_elapsed()
        {
            return Poll::Pending;
        }
        self.is_set = true;
        let sleep = self.sleep.get_or_insert_with(|| {
            let spare = self.timers.0.borrow_mut().pop();
            spare.unwrap_or_else(|| Box::pin(sleep_until(due)))
        });
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            // It was set for somebody else, for an earlier time.
            sleep.as_mut().reset(due);
        }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let mut spare = self.timers.0.borrow_mut();
        if let Some(sleep) = self.sleep.take()
            && spare.len() < MAX_SPARE
        {
            spare.push(sleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    /// Waits for a timer, and gives it back before its time is over.
    async fn give_up(timers: &Timers, after: Duration) {
        let mut timer = timers.until(Instant::now() + after);
        let polled = poll_fn(|cx| Poll::Ready(timer.poll(cx))).await;
        assert!(polled.is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_set_before_runs_out_at_its_new_time_only() {
        let timers = Timers::default();
        let second = Duration::from_secs(1);
        for (before, wanted) in [(second, second * 5), (second * 5, second)] {
            for idle in [Duration::ZERO, second * 10] {
                give_up(&timers, before).await;
                tokio::time::advance(idle).await;
                let started = Instant::now();
                let mut timer = timers.until(started + wanted);
                poll_fn(|cx| timer.poll(cx)).await;
                let took = started.elapsed();
                assert!(took >= wanted && took < wanted + second / 10, "{took:?}");
            }
        }
        assert_eq!(timers.0.borrow().len(), 1);
    }
}
