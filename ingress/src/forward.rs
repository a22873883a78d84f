//! The life of a request: sanitise, route, balance, forward, respond.

mod headers;
mod redirect;
mod response;
mod upgrade;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::{
    select,
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::{Level, debug, enabled};

pub(crate) use self::response::{BodyError, Upstream, respond};
use self::upgrade::Upgrade;
use crate::{
    access_log::Record,
    balance::{Turn, balance},
    client::Client,
    listen::{Reset, Worker},
    policy::{self, Admitted, Answered},
    pool::{Lease, RequestBody, Upload},
    respond::{self, Body, Refusal},
    sanitise::{self, Malformed, sanitise},
    table::{Action, Cluster, ListenerId, ListenerTable, Route, Table},
};

/// Endpoints that are tried before a request is given up.
const MAX_ENDPOINTS: usize = 4;
/// Times that a request is sent again because a kept connection turned out to be closed.
const MAX_RESENDS: usize = 2;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: ListenerId,
    pub(crate) local: SocketAddr,
    pub(crate) client: Client,
    pub(crate) reset: Reset,
    /// Told of the first request.
    pub(crate) in_use: Notify,
    /// That of its requests, once there was one.
    pub(crate) protocol: Cell<Option<Version>>,
    /// The next response is the last one.
    pub(crate) is_closing: Cell<bool>,
}

/// What the phases of one request share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) table: &'a Table,
    pub(crate) listener: &'a ListenerTable,
    pub(crate) started: Instant,
    pub(crate) notes: &'a Notes,
}

/// What became of a request, noted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Where it was sent last.
    pub(crate) endpoint: Cell<Option<SocketAddr>>,
    /// How often it was sent, or tried to be.
    pub(crate) tries: Cell<usize>,
    /// When the head of the endpoint's response came.
    pub(crate) answered: Cell<Option<Instant>>,
    /// Why the ingress answered itself.
    pub(crate) refusal: Cell<Option<Refusal>>,
    /// What the access log says, where there is one.
    pub(crate) record: RefCell<Option<Record>>,
}

/// Serves one request.
pub(crate) async fn serve(connection: &Connection, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let version = request.version();
    if connection.protocol.replace(Some(version)).is_none() {
        connection.in_use.notify_one();
    }
    let shared = &connection.worker.shared;
    let table = shared.table.load();
    let Some(listener) = table.listener(connection.listener) else {
        return Refusal::NoRoute.response();
    };
    let exchange = Exchange {
        connection,
        table: &table,
        listener,
        started,
        notes: &Notes::default(),
    };
    if connection.worker.access_log.is_some() {
        exchange.begin_record(&request);
    }
    let asked = enabled!(Level::DEBUG).then(|| (request.method().clone(), request.uri().clone()));
    let answered = exchange.run(request).await;
    let mut response = answered.unwrap_or_else(|refusal| exchange.refuse(refusal));
    let (status, took) = (response.status(), started.elapsed());
    if connection.is_closing.get()
        && version != Version::HTTP_2
        && status != StatusCode::SWITCHING_PROTOCOLS
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    let reason = exchange.notes.refusal.take();
    if let Some((method, uri)) = asked {
        debug!(listener = %listener.name, %method, path = uri.path(), %status, ?took, ?reason, "request answered");
    }
    listener.metrics.count(connection.worker.index, status);
    shared.metrics.observe(connection.worker.index, took);
    if let Some(refusal) = reason {
        shared.metrics.refuse(refusal);
    }
    match &connection.worker.access_log {
        Some(log) => exchange.end_record(log, reason, response),
        None => response,
    }
}

impl Exchange<'_> {
    async fn run(self, mut request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let upgrade = Upgrade::take(&mut request);
        let (mut parts, body) = request.into_parts();
        sanitise(&mut parts, self.connection.local)?;
        let route = self.route(&parts)?;
        self.note_route(route);
        // A redirect to HTTPS comes before anybody is asked for a password.
        let ready = match &route.filters.action {
            Some(Action::Respond(status)) => Some(respond::text(*status, String::new())),
            Some(Action::Redirect(to)) => Some(redirect::redirect(to, self, route, &parts)),
            None => None,
        };
        if let Some(ready) = ready {
            return Ok(policy::finish(&self, route, Admitted::default(), ready).await);
        }
        let admitted = match policy::admit(&self, route, &mut parts).await {
            Ok(admitted) => admitted,
            Err(Answered(response)) => return Ok(*response),
        };
        let answered = self.pass_on(route, &admitted, parts, body, upgrade).await;
        let response = answered.unwrap_or_else(|refusal| self.refuse(refusal));
        Ok(policy::finish(&self, route, admitted, response).await)
    }

    /// The ingress's own answer, and a note why.
    pub(crate) fn refuse(self, refusal: Refusal) -> Response<Body> {
        let response = refusal.response();
        self.notes.refusal.set(Some(refusal));
        response
    }

    /// Sends a request that may pass to an endpoint, and gives its answer.
    async fn pass_on(
        self,
        route: &Route,
        admitted: &Admitted,
        mut parts: Parts,
        body: Incoming,
        upgrade: Option<Upgrade>,
    ) -> Result<Response<Body>, Refusal> {
        let version = parts.version;
        let cluster = self.cluster(route, admitted)?;
        let upgrade = upgrade.filter(|_| !cluster.is_h2c);
        self.prepare(&mut parts, route, admitted, cluster, upgrade.as_ref())?;
        self.note_request(&parts);
        let upload = Upload::new(self.started);
        let body = if body.is_end_stream() {
            RequestBody::Empty
        } else {
            RequestBody::Stream(body, Rc::clone(&upload))
        };
        say_length(&mut parts, &body);
        let request = Request::from_parts(parts, body);
        let forwarded = self.forward(cluster, request);
        let answered = if let Some(limit) = route.timeouts.response {
            within(limit, &Cell::new(self.started), forwarded).await
        } else {
            let limit = self.connection.worker.shared.config.response_timeout;
            within(limit, &upload.last, forwarded).await
        };
        let (mut response, mut lease) = answered.map_err(|refusal| blame(refusal, &upload))?;
        let was_clear = sanitise::response_framing(response.headers_mut());
        if !was_clear.ok_or(Refusal::Garbled)? {
            lease.keep_no_longer();
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = upgrade.ok_or(Refusal::UnexpectedUpgrade)?;
            return Ok(upgrade.switch(response, &self.connection.worker));
        }
        // A client of HTTP/1.0 knows the end of a body of unknown length only by the end of the connection.
        let reset = (version == Version::HTTP_10).then(|| self.connection.reset.clone());
        Ok(respond(response, lease, route, reset))
    }

    /// The route of a request.
    fn route(&self, parts: &Parts) -> Result<&Route, Refusal> {
        let host = parts
            .headers
            .get(header::HOST)
            .map(sanitise::name_of)
            .unwrap_or_default();
        let route = self.listener.route(&host, parts);
        route.map(AsRef::as_ref).ok_or(Refusal::NoRoute)
    }

    /// The cluster that was decided on, else one of the route's, by weight.
    fn cluster(&self, route: &Route, admitted: &Admitted) -> Result<&Cluster, Refusal> {
        let decided = admitted.cluster();
        let cluster = decided.or_else(|| route.shares.choose(|below| fastrand::u64(..below)));
        let cluster = self.table.cluster(cluster.ok_or(Refusal::NoBackend)?);
        cluster.map(AsRef::as_ref).ok_or(Refusal::NoEndpoints)
    }

    /// Gets the head of an endpoint's response. An endpoint that cannot be reached is passed over.
    pub(crate) async fn forward(
        self,
        cluster: &Cluster,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), Refusal> {
        let worker = &self.connection.worker;
        let metrics = &worker.shared.metrics;
        let turn = balance(cluster, &worker.resolver).await?;
        let (mut passed_over, mut resent) = (0, 0);
        let mut may_reuse = true;
        loop {
            let leased = self.lease(&turn, passed_over, may_reuse, cluster).await;
            let Some(mut lease) = leased else {
                passed_over += 1;
                if passed_over >= turn.count().min(MAX_ENDPOINTS) {
                    return Err(Refusal::Unreachable);
                }
                metrics.upstream_retries.inc();
                continue;
            };
            let spare = if lease.is_reused {
                replica(&request)
            } else {
                None
            };
            let mut failed = match lease.send(request).await {
                Ok(response) => {
                    self.notes.answered.set(Some(Instant::now()));
                    return Ok((response, lease));
                }
                Err(failed) => failed,
            };
            let error = failed.error().to_string();
            let is_garbled = failed.error().is_parse();
            let unsent = failed.take_message();
            debug!(cluster = %cluster.name, %error, unsent = unsent.is_some(), "request failed");
            let again = unsent.or(spare.filter(|_| !is_garbled));
            let Some(again) = again.filter(|_| resent < MAX_RESENDS) else {
                return Err(if is_garbled {
                    Refusal::Garbled
                } else {
                    Refusal::Reset
                });
            };
            if !lease.is_reused {
                passed_over += 1;
            }
            request = again;
            resent += 1;
            may_reuse = false;
            metrics.upstream_retries.inc();
        }
    }

    /// A connection to the endpoint after `passed_over` others; none if it cannot be made.
    async fn lease(
        self,
        turn: &Turn<'_>,
        passed_over: usize,
        may_reuse: bool,
        cluster: &Cluster,
    ) -> Option<Lease> {
        let worker = &self.connection.worker;
        let metrics = &worker.shared.metrics;
        let address = turn.endpoint(passed_over)?;
        self.notes.endpoint.set(Some(address));
        self.notes.tries.set(self.notes.tries.get() + 1);
        if may_reuse && let Some(lease) = worker.pool.reuse(address, cluster.is_h2c, self.started) {
            return Some(lease);
        }
        metrics.upstream_connects.inc();
        match worker.pool.connect(address, cluster.is_h2c).await {
            Ok(lease) => Some(lease),
            Err(error) => {
                metrics.upstream_connect_failures.inc();
                debug!(cluster = %cluster.name, endpoint = %address, %error, "endpoint passed over");
                None
            }
        }
    }
}

/// Says that a body of unknown length is chunked. Left to itself, hyper takes a GET or HEAD to have none.
fn say_length(parts: &mut Parts, body: &RequestBody) {
    if let RequestBody::Stream(..) = body
        && parts.version == Version::HTTP_11
        && !parts.headers.contains_key(header::CONTENT_LENGTH)
    {
        let chunked = HeaderValue::from_static("chunked");
        parts.headers.insert(header::TRANSFER_ENCODING, chunked);
    }
}

/// What an endpoint did because of the client's body is the client's doing.
fn blame(refusal: Refusal, upload: &Upload) -> Refusal {
    match refusal {
        Refusal::Reset if upload.is_broken.get() => Malformed::Body.into(),
        Refusal::Timeout if upload.waits_for_client.get() => Refusal::SlowClient,
        refusal => refusal,
    }
}

/// A copy of a request that may be sent twice: idempotent and without a body.
fn replica(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !matches!(request.body(), RequestBody::Empty) || !request.method().is_idempotent() {
        return None;
    }
    let mut replica = Request::new(RequestBody::Empty);
    replica.method_mut().clone_from(request.method());
    replica.uri_mut().clone_from(request.uri());
    *replica.version_mut() = request.version();
    replica.headers_mut().clone_from(request.headers());
    Some(replica)
}

/// Waits until `limit` after the time in `since`, which may move on meanwhile.
async fn within<T>(
    limit: Duration,
    since: &Cell<Instant>,
    future: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let mut future = pin!(future);
    let mut deadline = since.get() + limit;
    let mut sleep = pin!(sleep_until(deadline));
    loop {
        select! {
            biased;
            result = &mut future => return result,
            () = &mut sleep => {
                if since.get() + limit <= deadline {
                    return Err(Refusal::Timeout);
                }
                deadline = since.get() + limit;
                sleep.as_mut().reset(deadline);
            }
        }
    }
}
