//! An endpoint's answer on its way to the client.

use std::{
    future::Future as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    http1::OtherLength,
    listen::Reset,
    pool::{Answer, AnswerError, Upload},
    reply::{Head, Reply},
    respond::Body,
    table::Route,
};

/// How long neither side may send anything where the route does not say.
const IDLE: Duration = Duration::from_mins(1);

/// A body that is read from an endpoint as the client takes it.
#[derive(Debug)]
pub(crate) struct Upstream {
    body: Answer,
    /// Why it breaks off, once what came before has been sent.
    broken: Option<BodyError>,
    passage: Passage,
    /// How long neither side may send anything.
    idle: Duration,
    /// When it was first waited for since it last sent something. Most bodies come whole, and never read the clock.
    silent_since: Option<Instant>,
    /// Runs once the endpoint has been waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a response's body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Upstream(#[from] AnswerError),
    #[error("neither side sent anything for {0:?}")]
    Idle(Duration),
    #[error("the body cannot be compressed: {0}")]
    Coding(#[source] std::io::Error),
    #[error(transparent)]
    OtherLength(#[from] OtherLength),
    #[error("the exchange took longer than its route allows")]
    TooLong,
}

/// What a response's body has to do with besides its route.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// Of the request, whose body may still be under way.
    pub(crate) upload: Option<Rc<Upload>>,
    /// When the whole exchange has to be over.
    pub(crate) end: Option<Instant>,
    /// Set when the body breaks off, for a client that would not notice.
    pub(crate) reset: Option<Reset>,
}

/// An endpoint's answer, as the client gets it.
pub(crate) fn respond(reply: Reply<Answer>, route: &Route, passage: Passage) -> Reply<Body> {
    let edits = &route.filters.response;
    let head = match reply.head {
        Head::AsCame(heard) if edits.is_empty() && heard.is_plain() => Head::AsCame(heard),
        head => {
            let mut parts = head.into_parts();
            for edits in edits {
                edits.apply(&mut parts.headers);
            }
            Head::Read(parts)
        }
    };
    let body = reply.body;
    let upstream = Upstream {
        body,
        broken: None,
        passage,
        idle: route.timeouts.idle.unwrap_or(IDLE),
        silent_since: None,
        timer: None,
    };
    Reply {
        head,
        body: Body::Upstream(Box::new(upstream)),
    }
}

impl Upstream {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(self.break_off(error))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            return self
                .poll_timer(cx)
                .map(|error| Some(Err(self.break_off(error))));
        };
        self.silent_since = None;
        if self.passage.end.is_some_and(|end| end <= Instant::now()) {
            return Poll::Ready(Some(Err(self.break_off(BodyError::TooLong))));
        }
        match frame {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                // Told at once, hyper (HTTP/2) would forget what it has not written: a client without half a response may ask again.
                self.broken = Some(error.into());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// Waits for the next time at which something may be over, which moves on while something is sent.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        loop {
            let (idle, end) = (self.idle, self.passage.end);
            let upload = self.passage.upload.as_ref();
            let sent = upload.map_or(since, |upload| upload.last.get());
            let silent = since.max(sent) + idle;
            let due = end.map_or(silent, |end| end.min(silent));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if end.is_some_and(|end| end <= now) {
                return Poll::Ready(BodyError::TooLong);
            }
            if silent <= now {
                return Poll::Ready(BodyError::Idle(idle));
            }
            timer.as_mut().reset(due);
        }
    }

    fn break_off(&self, error: BodyError) -> BodyError {
        if let Some(reset) = &self.passage.reset {
            reset.set();
        }
        error
    }
}
