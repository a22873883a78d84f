//! External authentication: another server's word decides whether a request may pass. Without its word, none does.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header, request::Parts,
};
use tokio::time::timeout;

use super::{
    Told,
    admit::Asker,
    template::{Filling, Template, escape},
};
use crate::{
    forward::Exchange,
    pool::RequestBody,
    respond::Refusal,
    sanitise,
    table::{Cluster, ClusterId},
};

const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const SENT_FROM: HeaderName = HeaderName::from_static("x-sent-from");
const REDIRECT: HeaderName = HeaderName::from_static("x-auth-request-redirect");

/// The server that is asked, and what for.
#[derive(Debug)]
pub(crate) struct ExternalAuth {
    pub(super) server: Server,
    /// Its own host, and not the request's.
    pub(super) authority: HeaderValue,
    /// Path and query.
    pub(super) target: Template,
    pub(super) method: Method,
    pub(super) request_headers: Box<[(HeaderName, Template)]>,
    pub(super) response_headers: Box<[HeaderName]>,
    pub(super) signin: Option<Signin>,
    pub(super) always_set_cookie: bool,
    pub(super) timeout: Option<Duration>,
}

/// Where the server is.
#[derive(Debug)]
pub(super) enum Server {
    /// A cluster of the table.
    Named(ClusterId),
    /// A host that is looked up.
    Own(Arc<Cluster>),
}

/// Where clients go that the server does not know.
#[derive(Debug)]
pub(super) struct Signin {
    pub(super) url: Template,
    /// The parameter for the URL that was asked for; none where `url` has it already.
    pub(super) back: Option<Box<str>>,
}

/// What the server's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Pass,
    Refuse(StatusCode),
    /// It is none of the answers that mean something.
    Unclear,
}

/// A request that may pass, and what the server added to it.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) headers: Told,
    pub(super) cookies: Vec<HeaderValue>,
}

/// A request that may not pass, with what its answer has besides.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) headers: HeaderMap,
}

impl Word {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refuse(status),
            status if status.is_success() => Self::Pass,
            _ => Self::Unclear,
        }
    }
}

impl ExternalAuth {
    /// Asks the server.
    pub(super) async fn check(
        &self,
        exchange: &Exchange<'_>,
        head: &Parts,
        asker: Asker,
    ) -> Result<Passed, Refused> {
        let config = &exchange.connection.worker.shared.config;
        let request = self.question(head, asker).ok_or(Refusal::AuthUnclear)?;
        let cluster = match &self.server {
            Server::Named(id) => exchange
                .table
                .cluster(*id)
                .ok_or(Refusal::AuthUnavailable)?,
            Server::Own(cluster) => cluster,
        };
        let limit = self.timeout.unwrap_or(config.response_timeout);
        let answer = timeout(limit, exchange.ask(cluster, request)).await;
        let Ok(Ok(answer)) = answer else {
            return Err(Refusal::AuthUnavailable.into());
        };
        match Word::of(answer.status) {
            Word::Pass => Ok(self.passed(&answer.headers)),
            Word::Refuse(status) => Err(self.refused(status, &answer.headers, head, asker)),
            Word::Unclear => Err(Refusal::AuthUnclear.into()),
        }
    }

    /// The request that the server gets: the client's, without its body and about another target.
    fn question(&self, head: &Parts, asker: Asker) -> Option<Request<RequestBody>> {
        let filling = asker.filling(head);
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.url(filling).parse::<Uri>().ok()?;
        let headers = request.headers_mut();
        headers.clone_from(&head.headers);
        sanitise::strip_hop_by_hop(headers);
        for name in [
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::TRAILER,
            header::EXPECT,
        ] {
            headers.remove(name);
        }
        let original = Template::new("$scheme://$http_host$request_uri").url(filling);
        let asked = Template::new("$request_uri").url(filling);
        headers.insert(header::HOST, self.authority.clone());
        headers.insert(ORIGINAL_URL, HeaderValue::try_from(original).ok()?);
        headers.insert(
            ORIGINAL_METHOD,
            HeaderValue::from_str(head.method.as_str()).ok()?,
        );
        headers.insert(REDIRECT, HeaderValue::try_from(asked).ok()?);
        headers.insert(SENT_FROM, HeaderValue::from_static("meshlite"));
        let client = HeaderValue::try_from(asker.address.to_string()).ok()?;
        headers.insert("x-forwarded-for", client.clone());
        headers.insert("x-real-ip", client);
        for (name, value) in &self.request_headers {
            headers.insert(
                name.clone(),
                HeaderValue::try_from(value.text(filling)).ok()?,
            );
        }
        Some(request)
    }

    fn passed(&self, answer: &HeaderMap) -> Passed {
        let copied = |name: &HeaderName| (name.clone(), answer.get(name).cloned());
        Passed {
            headers: self.response_headers.iter().map(copied).collect(),
            cookies: answer.get_all(header::SET_COOKIE).iter().cloned().collect(),
        }
    }

    fn refused(
        &self,
        status: StatusCode,
        answer: &HeaderMap,
        head: &Parts,
        asker: Asker,
    ) -> Refused {
        let mut headers = HeaderMap::new();
        for cookie in answer.get_all(header::SET_COOKIE) {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
        if status == StatusCode::UNAUTHORIZED {
            let filling = asker.filling(head);
            let signin = self.signin.as_ref();
            if let Some(location) = signin.and_then(|signin| signin.location(filling)) {
                headers.insert(header::LOCATION, location);
                return Refused {
                    refusal: Refusal::SignIn,
                    headers,
                };
            }
            for challenge in answer.get_all(header::WWW_AUTHENTICATE) {
                headers.append(header::WWW_AUTHENTICATE, challenge.clone());
            }
        }
        Refused {
            refusal: Refusal::AuthRefused(status),
            headers,
        }
    }
}

impl Signin {
    /// None where the request makes it something that is no URL of the web.
    fn location(&self, filling: Filling<'_>) -> Option<HeaderValue> {
        let mut location = self.url.url(filling);
        if let Some(back) = &self.back {
            location.push(if location.contains('?') { '&' } else { '?' });
            location.push_str(back);
            location.push('=');
            let asked = Template::new("$scheme://$http_host$request_uri");
            location.push_str(&escape(&asked.url(filling)));
        }
        let uri: Uri = location.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        HeaderValue::try_from(location).ok().filter(|_| is_web)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            headers: HeaderMap::new(),
        }
    }
}
