//! HTTP/1 as it is spoken to clients: by the task of the connection, which has no memory for requests while there is none.

mod date;
mod head;
mod reader;
mod replay;
mod response;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use http::{StatusCode, request::Parts};
use http_body::Body as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(crate) use self::{
    date::Date,
    replay::replay,
    response::encode_hint,
    wire::{Broken, Received},
};
use self::{head::Head, reader::Stop, wire::Shared};
use super::{Incoming, ON_THE_WAY, io::ClientIo};
use crate::{
    forward::{self, Connection},
    http1::{Length, Malformed, Rewound, SendError, Sender},
    reply::Reply,
    respond::Body,
    timers::Timer,
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How long a client is listened to that may still be sending after the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// How long an answer is waited for before a client that is not watched yet is, so that it is heard of when it goes.
const UNWATCHED: Duration = Duration::from_millis(10);

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It may bring another request.
    Next,
    /// It ends, and whatever the client still sends is thrown away.
    Linger,
    /// It ends, and the client has said that it sends nothing more.
    Close,
    /// It speaks another protocol.
    Switch,
    /// It is of no use any more.
    Drop,
}

/// Waits for a client that is not being answered.
struct Idle<'a, C> {
    timer: Timer<'a>,
    close: &'a CancellationToken,
    /// Wakes the task when that is cancelled.
    closing: Pin<&'a mut C>,
    is_woken: bool,
    is_closing: bool,
}

/// Serves a connection until it ends; gives it back where the client speaks HTTP/2.
pub(super) async fn serve(
    connection: &Rc<Connection>,
    io: ClientIo,
    close: &CancellationToken,
) -> Option<Rewound<ClientIo>> {
    let worker = &connection.worker;
    let limit = worker.shared.config.header_timeout;
    let wire = Shared::new(io, Rc::clone(&worker.scratch));
    let mut idle = Idle {
        timer: worker.timers.until(Instant::now() + limit),
        close,
        closing: pin!(close.cancelled()),
        is_woken: false,
        is_closing: false,
    };
    let then = loop {
        // Each in memory that an idle connection does not have.
        let next = idle.wait(|cx| wire.with(|wire| wire.poll_next(cx)));
        let begun = next.await.map(|next| {
            let wire = &wire;
            let begin = |mut head| {
                Box::pin(async move { exchange(connection, wire, &mut head, close).await })
            };
            next.map(begin)
        });
        let then = match begun {
            Some(Ok(exchange)) => exchange.await,
            Some(Err(Stop::Malformed(malformed))) => {
                Box::pin(refuse(connection, &wire, malformed)).await
            }
            Some(Err(Stop::Http2)) => return Some(wire.with(wire::Wire::take)),
            Some(Err(Stop::End)) => Then::Drop,
            None => {
                debug!("no request came in time");
                Then::Drop
            }
        };
        if then != Then::Next {
            break then;
        }
        idle.begin(limit);
        if !wire.with(|wire| wire.reader.has_ended()) {
            // An endpoint may still be sent what its answer did not wait for.
            let given_up = idle.wait(|cx| wire.poll_given_up(cx)).await;
            if given_up.is_none() || !wire.with(wire::Wire::skip_body) {
                break Then::Linger;
            }
            idle.begin(limit);
        }
    };
    match then {
        Then::Switch => wire.with(wire::Wire::switch),
        Then::Linger => Box::pin(linger(&wire)).await,
        Then::Close => {
            poll_fn(|cx| wire.with(|wire| wire.poll_close(cx))).await;
            if !wire.with(|wire| wire.is_over()) {
                Box::pin(linger(&wire)).await;
            }
        }
        Then::Next | Then::Drop => {}
    }
    // The body may still be lent to somebody.
    drop(wire.with(wire::Wire::take));
    None
}

impl<C: Future<Output = ()>> Idle<'_, C> {
    /// It may take so long from now on.
    fn begin(&mut self, limit: Duration) {
        self.timer.reset(Instant::now() + limit);
        self.is_closing = false;
    }

    /// Waits for something of the client; none where it takes too long.
    async fn wait<T>(&mut self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        poll_fn(|cx| {
            if let Poll::Ready(ready) = poll(cx) {
                return Poll::Ready(Some(ready));
            }
            if !self.is_woken {
                // Asked once, it wakes this task whenever it is.
                self.is_woken = true;
                let _asked_below = self.closing.as_mut().poll(cx);
            }
            if !self.is_closing && self.close.is_cancelled() {
                // A request may be on its way, and closing now would lose it.
                self.is_closing = true;
                let soon = Instant::now() + ON_THE_WAY;
                self.timer.reset(soon.min(self.timer.due()));
            }
            self.timer.poll(cx).map(|()| None)
        })
        .await
    }
}

/// Answers one request.
async fn exchange(
    connection: &Connection,
    wire: &Rc<Shared>,
    request: &mut Head,
    close: &CancellationToken,
) -> Then {
    let asked = request.asked;
    wire.with(|wire| wire.expects = request.expects);
    let Some(reply) = answer(connection, wire, &mut request.parts).await else {
        debug!("the client went away before its answer");
        return Then::Drop;
    };
    let worker = &connection.worker;
    let mut head = worker.head_memory.take();
    head.clear();
    head.extend_from_slice(&connection.interim.take());
    let Reply { head: said, body } = reply;
    // A client that was not told to send its body may do so now, or not.
    let is_undecided = wire.with(|wire| {
        let untold = std::mem::take(&mut wire.expects) | std::mem::take(&mut wire.owes_continue);
        untold && !wire.reader.has_ended()
    });
    let framing = response::encode(
        &said,
        &body.size_hint(),
        asked,
        is_undecided || close.is_cancelled(),
        &worker.date.at(Instant::now()),
        &mut head,
    );
    let length = framing.length.filter(|length| *length != Length::Known(0));
    let body = length.map(|length| (body, response::encoder(&said, length, asked)));
    let mut sender = Sender::default();
    sender.begin(head, body);
    let switches = said.status() == StatusCode::SWITCHING_PROTOCOLS;
    drop(said);
    let has_come = wire.with(|wire| wire.reader.has_ended());
    let is_last = !framing.keep_alive && !switches;
    if let Err(error) = send(wire, &mut sender, is_last && has_come).await {
        debug!(%error, "the answer was not sent to its end");
        return Then::Drop;
    }
    worker.head_memory.replace(sender.into_head());
    if switches {
        return Then::Switch;
    }
    if framing.keep_alive {
        return Then::Next;
    }
    // Who is reset while it still sends may not read the answer.
    if !asked.keep_alive && has_come {
        Then::Close
    } else {
        Then::Linger
    }
}

/// Gets the answer to a request; none where the client goes away before.
async fn answer(
    connection: &Connection,
    wire: &Rc<Shared>,
    parts: &mut Parts,
) -> Option<Reply<Body>> {
    let body = Incoming::Http1(Received::new(wire));
    let mut served = pin!(forward::serve(connection, parts, body));
    let timers = &connection.worker.brief_timers;
    let mut unwatched =
        (!wire.with(|wire| wire.is_watched())).then(|| timers.until(Instant::now() + UNWATCHED));
    poll_fn(|cx| {
        if let Poll::Ready(reply) = served.as_mut().poll(cx) {
            return Poll::Ready(Some(reply));
        }
        wire.with(|wire| {
            let mut interim = connection.interim.borrow_mut();
            if std::mem::take(&mut wire.owes_continue) {
                interim.extend_from_slice(CONTINUE);
            }
            if !interim.is_empty() && wire.poll_write(&mut interim, cx).is_err() {
                return Poll::Ready(None);
            }
            if let Some(timer) = &mut unwatched
                && !wire.is_watched()
                && timer.poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            wire.poll_gone(cx).map(|()| None)
        })
    })
    .await
}

/// Why an answer was not sent to its end.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error("the client went away")]
    Gone,
    #[error(transparent)]
    Io(std::io::Error),
    #[error(transparent)]
    Body(forward::BodyError),
}

/// Sends an answer. Where the end of the connection `follows` at once, the last of it leaves with that.
async fn send(
    wire: &Shared,
    sender: &mut Sender<Vec<u8>, Body>,
    follows: bool,
) -> Result<(), Unsent> {
    poll_fn(|cx| {
        wire.with(|wire| {
            if follows && sender.gather(cx) {
                wire.io.hold();
            }
            if let Poll::Ready(sent) = sender.poll(&mut wire.io, cx) {
                return Poll::Ready(sent.map_err(|error| match error {
                    SendError::Unsent(error) | SendError::Io(error) => Unsent::Io(error),
                    SendError::Body(error) => Unsent::Body(error),
                }));
            }
            wire.poll_gone(cx).map(|()| Err(Unsent::Gone))
        })
    })
    .await
}

/// Answers what is no request.
async fn refuse(connection: &Connection, wire: &Shared, malformed: Malformed) -> Then {
    debug!(%malformed, "the client does not speak HTTP");
    let date = connection.worker.date.at(Instant::now());
    let mut head = Vec::new();
    response::encode_refusal(malformed, &date, &mut head);
    let mut sender = Sender::default();
    sender.begin(head, None);
    match send(wire, &mut sender, false).await {
        Ok(()) => Then::Linger,
        Err(_) => Then::Drop,
    }
}

/// Lets a client read the last answer that may still be sending.
async fn linger(wire: &Rc<Shared>) {
    let lingered = timeout(LINGER, async {
        // Where somebody still reads the body, it is not for us to read.
        poll_fn(|cx| wire.poll_given_up(cx)).await;
        poll_fn(|cx| wire.with(|wire| wire.poll_linger(cx))).await;
    });
    if lingered.await.is_err() {
        debug!(limit = ?LINGER, "the client does not close the connection");
    }
}
