//! Whose turn it is in a stream of HTTP/2. One whose client takes nothing for too long is reset, and the others of its
//! connection go on.
//!
//! Hyper runs each stream as a task of its own, and asks a response's body for more only when the client's window has room.
//! So a body cannot notice that nobody asks: its task does.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    select,
    task::spawn_local,
    task_local,
    time::{Instant, Sleep, sleep_until},
};
use tracing::debug;

use super::conduct::UnderWay;
use crate::{forward::BodyError, respond::Body};

task_local! {
    static TURN: Rc<Turn>;
}

/// Runs a connection's streams on its worker, each for as long as its client takes what it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamExecutor {
    /// How long a client may take nothing of a response.
    pub(super) send_timeout: Duration,
}

/// Who has to do something next for a stream to go on.
#[derive(Debug, Default)]
struct Turn {
    is_clients: Cell<bool>,
    /// Since when, once that had to be asked. Most responses go in one piece, and never read the clock.
    since: Cell<Option<Instant>>,
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
    /// Its request, until all of the response is on its way.
    request: RefCell<Option<UnderWay>>,
}

/// The body of a stream's response, which notes whether it was asked for more, and had it or not.
#[derive(Debug)]
pub(super) struct Turned(pub(super) Body);

/// The head of a stream's response is ready: the client's window decides what comes next.
pub(super) fn answered(request: UnderWay) {
    TURN.with(|turn| {
        turn.to_client(true);
        turn.request.replace(Some(request));
    });
}

impl HttpBody for Turned {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.get_mut().0).poll_frame(cx);
        TURN.with(|turn| turn.to_client(polled.is_ready()));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(spawn_local(unless_stalled(self.send_timeout, future)));
    }
}

async fn unless_stalled(limit: Duration, stream: impl Future) {
    let turn = Rc::new(Turn::default());
    // Dropping a stream before its end resets it.
    select! {
        biased;
        _ = TURN.scope(Rc::clone(&turn), stream) => {}
        () = poll_fn(|cx| turn.poll_stalled(limit, cx)) => {
            debug!(?limit, "HTTP/2 client takes nothing of a response");
        }
    }
}

impl Turn {
    fn to_client(&self, is_clients: bool) {
        self.is_clients.set(is_clients);
        self.since.set(None);
    }

    /// Ready once it has been the client's turn for so long.
    fn poll_stalled(&self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_clients.get() {
            return Poll::Pending;
        }
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        let mut timer = self.timer.borrow_mut();
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(since + limit)));
        loop {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() >= since + limit {
                return Poll::Ready(());
            }
            timer.as_mut().reset(since + limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn stalls(turns: &[(u64, bool)]) -> bool {
        let turn = Turn::default();
        let limit = Duration::from_secs(10);
        for (seconds, is_clients) in turns {
            turn.to_client(*is_clients);
            let waited = poll_fn(|cx| turn.poll_stalled(limit, cx));
            if tokio::time::timeout(Duration::from_secs(*seconds), waited)
                .await
                .is_ok()
            {
                return true;
            }
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_has_had_its_turn_for_long_stalls() {
        assert!(!stalls(&[(9, true), (9, true), (9, true)]).await);
        assert!(!stalls(&[(9, true), (100, false), (9, true)]).await);
        assert!(stalls(&[(9, true), (11, true)]).await);
    }
}
