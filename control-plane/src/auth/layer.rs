//! Stands before the services: a request goes on with its caller, or is answered with why not.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use tokio::time::Instant;
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use tracing::{debug, info};

use super::{Caller, failures::Failures, peer::Peer, refusal::Refusal, tokens::Tokens};
use crate::{clock, metrics::Metrics};

/// What everybody may call: probes come without credentials, and what the services are like is no secret.
const OPEN: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// Who is let in. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Everybody, to everything.
    Anyone,
    /// Those who say who they are.
    Checked(Arc<Authenticator>),
}

/// Finds out who calls.
#[derive(Debug)]
pub(crate) struct Authenticator {
    tokens: Option<Arc<Tokens>>,
    failures: Mutex<Failures>,
    metrics: Arc<Metrics>,
}

/// A service behind it.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    access: Access,
    inner: S,
}

impl Authenticator {
    pub(crate) fn new(tokens: Option<Arc<Tokens>>, metrics: Arc<Metrics>) -> Self {
        Self {
            tokens,
            failures: Mutex::default(),
            metrics,
        }
    }

    /// Who sends this request. A token comes before a certificate.
    async fn caller(&self, headers: &HeaderMap, peer: &Peer) -> Result<Caller, Refusal> {
        let result = self.check(headers, peer).await;
        if let Err(refusal) = &result {
            self.refused(refusal, peer);
        }
        result
    }

    async fn check(&self, headers: &HeaderMap, peer: &Peer) -> Result<Caller, Refusal> {
        if peer.is_plaintext {
            return Err(Refusal::Plaintext);
        }
        let Some(token) = bearer(headers)? else {
            let certified = peer.certificate.as_deref();
            let caller = certified.cloned().ok_or(Refusal::NoCredentials)??;
            return still_valid(caller);
        };
        let tokens = self.tokens.as_ref().ok_or(Refusal::NoTokens)?;
        // Before the limit, so that one who makes mistakes keeps nobody out who is known.
        if let Some(caller) = tokens.known(token) {
            return Ok(caller);
        }
        if self.failures().is_over(peer.addr.ip(), Instant::now()) {
            return Err(Refusal::Rate);
        }
        tokens.verify(token).await
    }

    fn refused(&self, refusal: &Refusal, peer: &Peer) {
        let reason = refusal.reason();
        self.metrics.refused(reason);
        let is_first = match refusal {
            Refusal::Rate | Refusal::NoKeys => false,
            _ => self.failures().add(peer.addr.ip(), Instant::now()),
        };
        // The first of a row is enough to find out who it is; the metric counts all.
        if is_first {
            info!(peer = %peer.addr, reason, %refusal, "call refused");
        } else {
            debug!(peer = %peer.addr, reason, %refusal, "call refused");
        }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn still_valid(caller: Caller) -> Result<Caller, Refusal> {
    let now = clock::wall();
    match caller.expires {
        Some(since) if since < now => Err(Refusal::Expired {
            what: "client certificate",
            since,
        }),
        _ => Ok(caller),
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().ok();
    let token = text.and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(Refusal::Malformed(
            "the header authorization is not `Bearer TOKEN`",
        )),
    }
}

impl<S> Layer<S> for Access {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            access: self.clone(),
            inner,
        }
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that is ready goes with the request.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let authenticator = match &self.access {
            Access::Anyone => {
                request.extensions_mut().insert(Caller::anyone());
                return Box::pin(inner.call(request));
            }
            Access::Checked(authenticator) => Arc::clone(authenticator),
        };
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().cloned();
            let Some(peer) = peer else {
                let status = Status::internal("the connection came from nowhere");
                return Ok(status.into_http());
            };
            let is_open = OPEN
                .iter()
                .any(|prefix| request.uri().path().starts_with(prefix));
            if !is_open || peer.is_plaintext {
                match authenticator.caller(request.headers(), &peer).await {
                    Ok(caller) => request.extensions_mut().insert(caller),
                    Err(refusal) => return Ok(Status::from(&refusal).into_http()),
                };
            }
            // Nobody behind this needs it, so nobody can show it.
            request.headers_mut().remove(AUTHORIZATION);
            inner.call(request).await
        })
    }
}
