//! The life of a request: sanitise, route, balance, forward, respond.

mod attempt;
mod grpc;
mod headers;
mod mirror;
mod redirect;
mod response;
mod tunnel;
mod upgrade;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
};

use http::{HeaderValue, Request, Response, StatusCode, Version, header, request::Parts};
use tokio::time::{Instant, timeout_at};
use tracing::{Level, debug, enabled};

pub(crate) use self::response::{BodyError, Passage, Upstream, respond};
use self::{
    attempt::{Attempt, Head, Rules},
    upgrade::Upgrade,
};
use crate::{
    access_log::Record,
    balance::{Addresses, Turn, addresses},
    client::{Client, Told},
    http1::Heard,
    listen::{self, Incoming, Reset, Worker},
    metrics::{Metrics, Open},
    policy::{self, Admitted, Answered, Place},
    pool::{Answer, Consent, Outgoing, RequestBody, Streamed, Upload},
    reply::Reply,
    respond::{self, Body, Refusal},
    sanitise::{self, Malformed, Names, sanitise},
    table::{Action, Cluster, ListenerId, ListenerTable, Route, Table},
    trace::Traced,
};

/// Bytes of heads before an answer that wait for the client.
const MAX_HINTS: usize = 16 * 1024;

/// One of the connections that are open, and of its client's.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) _open: Open,
    pub(crate) _of_client: Option<Place>,
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: ListenerId,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) client: Client,
    pub(crate) reset: Reset,
    /// What it counts as, while it or a tunnel made of it lasts.
    pub(crate) counted: Rc<Counted>,
    /// What a client of HTTP/1.1 is to be told before its answer.
    pub(crate) interim: RefCell<Vec<u8>>,
}

/// What the phases of one request share.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) table: &'a Table,
    pub(crate) listener: &'a ListenerTable,
    pub(crate) started: Instant,
    pub(crate) notes: &'a Notes,
    /// Those of the headers that the client sent.
    pub(crate) names: Names,
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
    /// The client reads answers as gRPC.
    is_grpc: Cell<bool>,
    /// The client understands heads that come before that of its answer.
    takes_hints: Cell<bool>,
    /// Why the ingress answered itself.
    pub(crate) refusal: Cell<Option<Refusal>>,
    /// What the access log says, where there is one.
    pub(crate) record: RefCell<Option<Box<Record>>>,
    /// The spans of a request that is traced.
    pub(crate) traced: RefCell<Option<Box<Traced>>>,
}

/// Serves one request. Its head stays where it is until it goes to an endpoint, and is of no use afterwards.
pub(crate) async fn serve(
    connection: &Connection,
    parts: &mut Parts,
    body: Incoming,
) -> Reply<Body> {
    let started = Instant::now();
    let shared = &connection.worker.shared;
    let table = shared.table.load();
    let Some(listener) = table.listener(connection.listener) else {
        return Refusal::NoRoute.response().into();
    };
    let exchange = Exchange {
        connection,
        table: &table,
        listener,
        started,
        notes: &Notes::default(),
        names: Names::of(&parts.headers),
    };
    if connection.worker.access_log.is_some() {
        exchange.begin_record(parts);
    }
    if let Some(spans) = &shared.spans {
        let traced = Traced::begin(spans, &exchange, parts);
        exchange.notes.traced.replace(traced);
    }
    let asked = enabled!(Level::DEBUG).then(|| Box::new((parts.method.clone(), parts.uri.clone())));
    let answered = exchange.run(parts, body).await;
    let mut reply = answered.unwrap_or_else(|refusal| exchange.refuse(refusal).into());
    let (status, took) = (reply.status(), started.elapsed());
    let reason = exchange.notes.refusal.take();
    if let Some(asked) = asked {
        let (method, uri) = *asked;
        debug!(listener = %listener.name, %method, path = uri.path(), %status, ?took, ?reason, "request answered");
    }
    listener.metrics.count(connection.worker.index, status);
    shared.metrics.observe(connection.worker.index, took);
    if let Some(refusal) = reason {
        shared.metrics.refuse(refusal);
    }
    if let Some(mut traced) = exchange.notes.traced.take() {
        traced.note(&exchange, status, reason);
        reply = reply.map(|body| body.traced(traced));
    }
    match &connection.worker.access_log {
        Some(log) => exchange.end_record(log, reason, reply),
        None => reply,
    }
}

impl Exchange<'_> {
    async fn run(&self, parts: &mut Parts, body: Incoming) -> Result<Reply<Body>, Refusal> {
        let upgrade = Upgrade::take(parts, self.names, &body);
        let is_grpc = self.names.has(Names::CONTENT_TYPE) && grpc::is_grpc(&parts.headers);
        self.notes.is_grpc.set(is_grpc);
        let takes_hints = parts.version == Version::HTTP_11;
        self.notes.takes_hints.set(takes_hints);
        sanitise(parts, self.names, self.connection.local)?;
        let route = self.route(parts)?;
        self.note_route(route);
        policy::check_path(route, parts.uri.path())?;
        // A redirect to HTTPS comes before anybody is asked for a password.
        if let Some(ready) = self.ready(route, parts) {
            let finished = policy::finish(self, route, Admitted::default(), ready);
            return Ok(Box::pin(finished).await.into());
        }
        let mut admitted = match policy::admit(self, route, parts).await {
            Ok(admitted) => admitted,
            Err(Answered(response)) => return Ok((*response).into()),
        };
        let answered = self
            .pass_on(route, &mut admitted, parts, body, upgrade)
            .await;
        let reply = answered.unwrap_or_else(|refusal| self.refuse(refusal).into());
        if route.policy.is_none() {
            return Ok(reply);
        }
        // Not within this future, where it would take room in that of every request.
        let finished = Box::pin(policy::finish(self, route, admitted, reply.into_response()));
        Ok(finished.await.into())
    }

    /// What the route answers itself.
    fn ready(&self, route: &Route, parts: &Parts) -> Option<Response<Body>> {
        match route.filters.action.as_ref()? {
            Action::Respond(status) => Some(respond::text(*status, String::new())),
            Action::Redirect(to) => Some(redirect::redirect(to, self, route, parts)),
        }
    }

    /// The ingress's own answer, and a note why.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let response = if self.notes.is_grpc.get() {
            grpc::refuse(refusal)
        } else {
            refusal.response()
        };
        self.notes.refusal.set(Some(refusal));
        response
    }

    /// Sends a request that may pass to an endpoint, and gives its answer.
    async fn pass_on(
        &self,
        route: &Route,
        admitted: &mut Admitted,
        parts: &mut Parts,
        body: Incoming,
        upgrade: Option<Upgrade>,
    ) -> Result<Reply<Body>, Refusal> {
        let version = parts.version;
        let cluster = self.cluster(route, admitted)?;
        let addresses = self.addresses(cluster).await?;
        let turn = self.turn(cluster, addresses, parts);
        let upgrade = Upgrade::fit(upgrade, &cluster.transport)?;
        let told = self.prepare(parts, route, admitted, cluster, upgrade.as_ref())?;
        self.note_request(parts, told.as_ref());
        if let Some(traced) = &*self.notes.traced.borrow() {
            traced.tell(&mut parts.headers);
        }
        let upload = Upload::new(self.started, admitted.body_limit());
        let body = self.body(parts, body, route, cluster, &upload);
        let mut request = self.outgoing(cluster, parts, told.as_ref(), body);
        let answered = {
            let mut attempt = Attempt::new(self, Rules::of(route), cluster, turn, &upload);
            let attempt = pin!(attempt.run(&mut request));
            match route.timeouts.request {
                None => attempt.await,
                Some(limit) => {
                    let answered = timeout_at(self.started + limit, attempt).await;
                    answered.unwrap_or(Err(Refusal::Timeout))
                }
            }
        };
        let answered = answered.map_err(|refusal| blame(refusal, &upload));
        let Head { mut reply, cookie } = answered?;
        if let Some(cookie) = cookie {
            let mut response = reply.into_response();
            response.headers_mut().append(header::SET_COOKIE, cookie);
            reply = response.into();
        }
        let status = reply.status();
        if let Some(upgrade) = upgrade {
            if status == StatusCode::SWITCHING_PROTOCOLS {
                let places = (admitted.take_place(), Rc::clone(&self.connection.counted));
                let switched = upgrade.switch(reply, places, route, &self.connection.worker);
                return switched.map(Into::into);
            }
            upgrade.refused(status)?;
        } else if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Refusal::UnexpectedUpgrade);
        }
        let passage = Passage {
            upload: Some(upload),
            end: route.timeouts.request.map(|limit| self.started + limit),
            // A client of HTTP/1.0 knows the end of a body of unknown length only by the end of the connection.
            reset: (version == Version::HTTP_10).then(|| self.connection.reset.clone()),
        };
        Ok(respond(reply, route, passage))
    }

    /// Passes on what an endpoint says before its answer (RFC 9110 section 15.2).
    fn hint(&self, hint: Heard) {
        let mut interim = self.connection.interim.borrow_mut();
        // Who does not take them in has no use for more.
        if self.notes.takes_hints.get() && interim.len() < MAX_HINTS {
            let mut parts = hint.into_parts();
            sanitise::strip_hop_by_hop(&mut parts.headers);
            listen::encode_hint(&parts, &mut interim);
        }
    }

    /// Gets the head of an endpoint's response to a request of the ingress itself.
    pub(crate) async fn forward(
        &self,
        cluster: &Cluster,
        request: Request<RequestBody>,
    ) -> Result<Response<Answer>, Refusal> {
        let (mut parts, body) = request.into_parts();
        let turn = self.turn(cluster, self.addresses(cluster).await?, &parts);
        let upload = Upload::new(Instant::now(), None);
        let mut attempt = Attempt::new(self, Rules::DEFAULT, cluster, turn, &upload);
        let mut request = self.outgoing(cluster, &mut parts, None, body);
        Ok(attempt.run(&mut request).await?.reply.into_response())
    }

    /// The request that a cluster's endpoints get, whose head is taken.
    fn outgoing(
        &self,
        cluster: &Cluster,
        parts: &mut Parts,
        told: Option<&Told<'_>>,
        body: RequestBody,
    ) -> Outgoing {
        let memory = &self.connection.worker.head_memory;
        Outgoing::new(parts, told, body, cluster.transport.is_http2, memory)
    }

    /// The body of the request that an endpoint gets.
    fn body(
        &self,
        parts: &mut Parts,
        body: Incoming,
        route: &Route,
        cluster: &Cluster,
        upload: &Rc<Upload>,
    ) -> RequestBody {
        let copy = self.mirror(route, parts);
        if body.is_end_stream() {
            if let Some(copy) = copy {
                copy.finish();
            }
            return RequestBody::Empty;
        }
        let waits = self.names.has(Names::EXPECT) && !cluster.transport.is_http2;
        let consent = waits.then(Consent::new);
        if waits {
            let expected = HeaderValue::from_static("100-continue");
            parts.headers.insert(header::EXPECT, expected);
        }
        RequestBody::Stream(Box::new(Streamed {
            incoming: body,
            upload: Rc::clone(upload),
            consent,
            copy,
        }))
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

    /// The endpoints of a cluster.
    async fn addresses<'t>(&self, cluster: &'t Cluster) -> Result<Addresses<'t>, Refusal> {
        addresses(cluster, &self.connection.worker.resolver).await
    }

    /// Whose turn it is among them.
    fn turn<'t>(&self, cluster: &'t Cluster, at: Addresses<'t>, parts: &Parts) -> Turn<'t> {
        Turn::new(cluster, at, parts, self.connection.peer, self.started)
    }

    /// The cluster that was decided on, else one of the route's, by weight.
    fn cluster(&self, route: &Route, admitted: &Admitted) -> Result<&Cluster, Refusal> {
        let decided = admitted.cluster();
        let cluster = decided.or_else(|| route.shares.choose(|below| fastrand::u64(..below)));
        let cluster = self.table.cluster(cluster.ok_or(Refusal::NoBackend)?);
        cluster.map(Arc::as_ref).ok_or(Refusal::NoEndpoints)
    }

    fn metrics(&self) -> &Metrics {
        &self.connection.worker.shared.metrics
    }
}

/// What an endpoint did because of the client's body is the client's doing.
fn blame(refusal: Refusal, upload: &Upload) -> Refusal {
    match refusal {
        Refusal::Reset if upload.is_too_large.get() => Refusal::TooLarge,
        Refusal::Reset if upload.is_broken.get() => Malformed::Body.into(),
        Refusal::Timeout if upload.waits_for_client.get() => Refusal::SlowClient,
        refusal => refusal,
    }
}
