//! Gets the head of an endpoint's response: one endpoint after another, as far as a request may be sent again.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use http::{HeaderValue, StatusCode};
use tokio::time::Instant;
use tracing::debug;

use super::Exchange;
use crate::{
    balance::{Outcome, Target, Turn},
    pool::{Answer, ConnectError, Destination, Ends, Lease, Outgoing, Upload},
    reply::Reply,
    respond::Refusal,
    table::{Cluster, Retry, Route, Timeouts},
    timers::Timers,
};

/// Times that a request is sent again because a kept connection turned out to be closed.
const MAX_RESENDS: usize = 2;

/// How often a request is tried, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    retry: &'a Retry,
    timeouts: &'a Timeouts,
    /// What an endpoint says before its answer is for the client.
    passes_hints: bool,
}

impl<'a> Rules<'a> {
    /// Where no route says anything.
    pub(super) const DEFAULT: Self = Self {
        retry: &Retry::DEFAULT,
        timeouts: &Timeouts::DEFAULT,
        passes_hints: false,
    };

    pub(super) fn of(route: &'a Route) -> Self {
        Self {
            retry: route.retry(),
            timeouts: &route.timeouts,
            passes_hints: true,
        }
    }
}

/// One request on its way to a cluster.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    exchange: &'a Exchange<'a>,
    rules: Rules<'a>,
    cluster: &'a Cluster,
    turn: Turn<'a>,
    upload: &'a Upload,
    /// Requests that were sent, but for those that came back unsent.
    sent: usize,
    resent: usize,
    connects: usize,
}

/// The head of an endpoint's response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) reply: Reply<Answer>,
    /// Brings the client back to the endpoint.
    pub(super) cookie: Option<HeaderValue>,
}

/// Why there is no response, or why it is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Reset,
    Garbled,
    Timeout,
    /// Its status is one after which the route wants another try.
    Status,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        exchange: &'a Exchange<'a>,
        rules: Rules<'a>,
        cluster: &'a Cluster,
        turn: Turn<'a>,
        upload: &'a Upload,
    ) -> Self {
        Self {
            exchange,
            rules,
            cluster,
            turn,
            upload,
            sent: 0,
            resent: 0,
            connects: 0,
        }
    }

    /// Sends the request until there is a response to pass on.
    pub(super) async fn run(&mut self, request: &mut Outgoing) -> Result<Head, Refusal> {
        let mut target = self.turn.next().ok_or(Refusal::NoEndpoints)?;
        let mut may_reuse = true;
        loop {
            let counted = self.turn.begin(target);
            let (is_reused, may_repeat, started);
            let (exchange, passes_hints) = (self.exchange, self.rules.passes_hints);
            // In a block, so that the connection is in one place of this future and not in two.
            let sent = pin!({
                let mut lease = match self.lease(target, may_reuse).await {
                    Ok(lease) => lease,
                    Err(error) => {
                        target = self.pass_over(target, &error)?;
                        may_reuse = true;
                        continue;
                    }
                };
                lease.count(counted);
                is_reused = lease.is_reused;
                may_repeat = self.may_repeat(request, is_reused);
                started = Instant::now();
                lease.send(request, may_repeat, move |hint| {
                    if passes_hints {
                        exchange.hint(hint);
                    }
                })
            });
            self.upload.last.set(started);
            self.sent += 1;
            let limit = self.rules.timeouts.response;
            let limit = limit.unwrap_or(self.config().response_timeout);
            let timers = &exchange.connection.worker.timers;
            let failure = match within(timers, limit, &self.upload.last, sent).await {
                Some(Ok(reply)) => {
                    let status = reply.status();
                    let is_last = !may_repeat || !self.retry().after.contains(&status);
                    self.answered(target, status, started);
                    if is_last {
                        return Ok(self.head(target, reply));
                    }
                    // Where nobody else can be asked, this answer is as good as any.
                    match self.again(target, Failure::Status, may_repeat, is_reused) {
                        Ok(next) => {
                            target = next;
                            continue;
                        }
                        Err(_) => return Ok(self.head(target, reply)),
                    }
                }
                Some(Err(error)) => {
                    debug!(cluster = %self.cluster.name, endpoint = %target.address, %error, "request failed");
                    if error.is_unsent() && self.resent < MAX_RESENDS {
                        // It never left: to the same endpoint on a new connection, or to another one.
                        self.resent += 1;
                        self.sent -= 1;
                        self.exchange.metrics().upstream_retries.inc();
                        if !is_reused {
                            target = self.turn.next().unwrap_or(target);
                        }
                        may_reuse = false;
                        continue;
                    }
                    if error.is_garbled() {
                        Failure::Garbled
                    } else {
                        Failure::Reset
                    }
                }
                None => Failure::Timeout,
            };
            let next = self.again(target, failure, may_repeat, is_reused)?;
            may_reuse = next.address != target.address;
            target = next;
        }
    }

    /// A connection to an endpoint.
    async fn lease(&mut self, target: Target<'_>, may_reuse: bool) -> Result<Lease, ConnectError> {
        let worker = &self.exchange.connection.worker;
        let notes = self.exchange.notes;
        notes.endpoint.set(Some(target.address));
        notes.tries.set(notes.tries.get() + 1);
        let transport = &self.cluster.transport;
        let now = self.exchange.started;
        if may_reuse && let Some(lease) = worker.pool.reuse(target.address, transport, now) {
            return Ok(lease);
        }
        self.connects += 1;
        let metrics = self.exchange.metrics();
        metrics.upstream_connects.inc();
        let limit = self.rules.timeouts.connect.or(self.cluster.connect_timeout);
        let connected = worker.pool.connect(Destination {
            address: target.address,
            transport,
            ends: self.ends(),
            limit: limit.unwrap_or(self.config().connect_timeout),
        });
        // Not within this future, where it would take room in that of every request.
        Box::pin(connected).await.inspect_err(|error| {
            metrics.upstream_connect_failures.inc();
            debug!(cluster = %self.cluster.name, endpoint = %target.address, %error, "endpoint passed over");
        })
    }

    fn ends(&self) -> Ends {
        Ends {
            client: self.exchange.connection.peer,
            local: self.exchange.connection.local,
        }
    }

    /// The endpoint after one that cannot be connected to. Nothing was sent, so it may be any request.
    fn pass_over(
        &mut self,
        target: Target<'a>,
        error: &ConnectError,
    ) -> Result<Target<'a>, Refusal> {
        let now = Instant::now();
        self.turn.note(target, Outcome::Failure, now);
        let refusal = match error {
            ConnectError::Timeout(_) => Refusal::Timeout,
            _ => Refusal::Unreachable,
        };
        if self.connects >= self.retry().connects || !self.is_in_time(now) {
            return Err(refusal);
        }
        let next = self.turn.next().ok_or(refusal)?;
        self.exchange.metrics().upstream_retries.inc();
        Ok(next)
    }

    /// Where a request that was sent goes after a failure, if it may be sent again.
    fn again(
        &mut self,
        target: Target<'a>,
        failure: Failure,
        may_repeat: bool,
        is_reused: bool,
    ) -> Result<Target<'a>, Refusal> {
        let now = Instant::now();
        let was_closed = is_reused && failure == Failure::Reset;
        if !was_closed && failure != Failure::Status {
            self.turn.note(target, Outcome::Failure, now);
        }
        let refusal = match failure {
            Failure::Reset => Refusal::Reset,
            Failure::Timeout => Refusal::Timeout,
            Failure::Garbled | Failure::Status => Refusal::Garbled,
        };
        if !may_repeat {
            return Err(refusal);
        }
        // A kept connection that was closed says nothing of the endpoint.
        if was_closed && self.resent < MAX_RESENDS {
            self.resent += 1;
            self.sent -= 1;
            self.exchange.metrics().upstream_retries.inc();
            return Ok(target);
        }
        let retry = self.retry();
        let is_wanted = match failure {
            Failure::Reset => retry.after_reset,
            Failure::Timeout => retry.after_timeout,
            Failure::Status => true,
            Failure::Garbled => false,
        };
        if !is_wanted || self.sent >= retry.tries || !self.is_in_time(now) {
            return Err(refusal);
        }
        let next = self.turn.next().ok_or(refusal)?;
        if !self.cluster.counts.take_retry(now) {
            debug!(cluster = %self.cluster.name, "no retry is left in the cluster's budget");
            return Err(refusal);
        }
        self.exchange.metrics().upstream_retries.inc();
        Ok(next)
    }

    fn answered(&self, target: Target<'_>, status: StatusCode, started: Instant) {
        let now = Instant::now();
        self.exchange.notes.answered.set(Some(now));
        let outcome = match status.as_u16() {
            502..=504 => Outcome::Failure,
            _ => Outcome::Success,
        };
        self.turn.note(target, outcome, now);
        self.turn.observe(target, now.duration_since(started), now);
    }

    fn head(&self, target: Target<'_>, reply: Reply<Answer>) -> Head {
        let is_tls = self.exchange.connection.client.is_tls;
        Head {
            cookie: self.turn.cookie(target, is_tls),
            reply,
        }
    }

    /// Whether a request may be sent again after it was sent once, if it comes to that.
    fn may_repeat(&self, request: &Outgoing, is_reused: bool) -> bool {
        let retry = self.retry();
        let may_repeat = request.method().is_idempotent() || retry.non_idempotent;
        let has_another = self.turn.count() > 1 && retry.tries > self.sent + 1;
        may_repeat && (has_another || is_reused) && !request.has_body()
    }

    /// Whether one more try may begin now.
    fn is_in_time(&self, now: Instant) -> bool {
        let within = self.retry().within;
        within.is_none_or(|within| now.duration_since(self.exchange.started) < within)
    }

    fn retry(&self) -> &'a Retry {
        self.rules.retry
    }

    fn config(&self) -> &crate::Config {
        &self.exchange.connection.worker.shared.config
    }
}

/// Waits until `limit` after the time in `since`, which may move on meanwhile. None if that is too short.
pub(super) async fn within<T>(
    timers: &Timers,
    limit: Duration,
    since: &Cell<Instant>,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut timer = timers.until(since.get() + limit);
    poll_fn(|cx| {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        loop {
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            let due = since.get() + limit;
            if due <= timer.due() {
                return Poll::Ready(None);
            }
            timer.reset(due);
        }
    })
    .await
}
