//! The decision about one request of a route with a policy, and what is done to its response.

use std::net::IpAddr;

use http::{HeaderValue, Response, StatusCode, header, request::Parts};

use super::{
    ACME, Admitted, Answered, BasicAuth, Cors, Denied, FORWARDED_PREFIX, Kept, Policy,
    check_length, compress,
    external::{Passed, Refused},
    template::Filling,
};
use crate::{
    client,
    forward::Exchange,
    respond::{self, Body, Refusal},
    sanitise,
    table::{ClusterId, Route},
};

/// Who asks, after proxies that are believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) address: IpAddr,
    pub(super) scheme: &'static str,
}

impl Asker {
    pub(super) fn filling<'a>(&self, parts: &'a Parts) -> Filling<'a> {
        Filling {
            parts,
            scheme: self.scheme,
            client: self.address,
        }
    }
}

impl Policy {
    pub(super) async fn admit(
        &self,
        exchange: &Exchange<'_>,
        route: &Route,
        head: &mut Parts,
        mut admitted: Admitted,
    ) -> Result<Admitted, Answered> {
        let config = &exchange.connection.worker.shared.config;
        let client = &exchange.connection.client;
        let asker = Asker {
            address: client.address(&head.headers, &config.trusted_proxies),
            scheme: client.scheme(&head.headers),
        };
        if self.external.is_some() || self.error_pages.is_some() {
            client::ensure_request_id(&mut head.headers);
        }
        let mut kept = Kept {
            cors: self.cors.as_ref().and_then(|cors| cors.allows(head)),
            compress: self.compression && compress::is_wanted(head),
            failed: self.error_pages.as_ref().map(|pages| pages.remember(head)),
            ..Kept::default()
        };
        let ready = if kept.cors.is_some() && Cors::is_preflight(head) {
            Some(preflight())
        } else {
            self.to_https(asker, head)
        };
        if let Some(ready) = ready {
            let finished = self.finish(exchange, route, kept, ready).await;
            return Err(Answered(Box::new(finished)));
        }
        match self.judge(exchange, head, asker, &mut kept).await {
            Ok(passed) => {
                admitted.headers.extend(passed.headers);
                kept.cookies = passed.cookies;
            }
            Err(Refused { refusal, headers }) => {
                let mut refused = exchange.refuse(refusal);
                refused.headers_mut().extend(headers);
                let finished = self.finish(exchange, route, kept, refused).await;
                return Err(Answered(Box::new(finished)));
            }
        }
        admitted.cluster = self.cluster(exchange, route, head);
        admitted.max_body_bytes = self.most(exchange);
        if let Some(prefix) = &self.forwarded_prefix {
            let prefix = route.fill(prefix, head.uri.path());
            admitted
                .headers
                .push((FORWARDED_PREFIX, HeaderValue::try_from(prefix).ok()));
        }
        admitted.kept = Some(Box::new(kept));
        Ok(admitted)
    }

    /// The redirect of a request that came without TLS and should not have.
    fn to_https(&self, asker: Asker, head: &Parts) -> Option<Response<Body>> {
        let status = self.https_redirect?;
        if asker.scheme == "https" || head.uri.path().starts_with(ACME) {
            return None;
        }
        let host = head.headers.get(header::HOST).map(sanitise::name_of)?;
        let target = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let location = HeaderValue::try_from(format!("https://{host}{target}")).ok()?;
        let mut response = respond::text(status, String::new());
        response.headers_mut().insert(header::LOCATION, location);
        Some(response)
    }

    /// Limits first, because they cost least.
    async fn judge(
        &self,
        exchange: &Exchange<'_>,
        head: &mut Parts,
        asker: Asker,
        kept: &mut Kept,
    ) -> Result<Passed, Refused> {
        if let Some(limits) = &self.limits {
            let taken = &exchange.connection.worker.shared.taken;
            kept.place = limits.take(taken, asker.address, exchange.started)?;
        }
        check_length(exchange, self.most(exchange), head)?;
        let is_listed = self.list.as_ref().map(|list| list.permits(asker.address));
        let has_auth = self.basic.is_some() || self.external.is_some();
        match is_listed {
            Some(true) if self.satisfy_any => return Ok(Passed::default()),
            Some(false) if !(self.satisfy_any && has_auth) => {
                return Err(Refusal::Forbidden.into());
            }
            Some(_) | None => {}
        }
        if let Some((basic, users)) = &self.basic {
            let passwords = &exchange.connection.worker.shared.passwords;
            let users = exchange
                .table
                .credential(*users)
                .and_then(|found| found.users());
            let users = users.ok_or(Refusal::NoCredentials)?;
            let authorization = head.headers.get(header::AUTHORIZATION);
            match BasicAuth::check(users, authorization, passwords).await {
                Ok(()) if self.satisfy_any => return Ok(Passed::default()),
                Ok(()) => {}
                Err(Denied::Unauthorized) if self.satisfy_any && self.external.is_some() => {}
                Err(Denied::Unauthorized) => {
                    let mut refused = Refused::from(Refusal::NoPassword);
                    let challenge = basic.challenge.clone();
                    refused.headers.insert(header::WWW_AUTHENTICATE, challenge);
                    return Err(refused);
                }
                Err(Denied::Busy) => return Err(Refusal::Busy.into()),
            }
        }
        match &self.external {
            Some(external) => external.check(exchange, head, asker).await,
            None => Ok(Passed::default()),
        }
    }

    /// The most bytes of a request's body.
    fn most(&self, exchange: &Exchange<'_>) -> Option<u64> {
        match self.body_bytes {
            Some(0) => None,
            Some(most) => Some(most),
            None => exchange.connection.worker.shared.config.max_body_bytes,
        }
    }

    /// The cluster of the first canary that takes a request, or one that stands in for a backend without endpoints.
    fn cluster(&self, exchange: &Exchange<'_>, route: &Route, head: &Parts) -> Option<ClusterId> {
        let serves = |cluster: &ClusterId| {
            let cluster = exchange.table.cluster(*cluster);
            cluster.is_some_and(|cluster| !cluster.is_empty())
        };
        let taken = self.canaries.iter().find_map(|canary| {
            let takes = canary.takes(head, |below| fastrand::u32(..below));
            let cluster = takes.then(|| canary.shares.choose(|below| fastrand::u64(..below)))?;
            cluster.filter(serves)
        });
        if taken.is_some() || self.default_backend.is_none() {
            return taken;
        }
        let own = route.shares.choose(|below| fastrand::u64(..below));
        own.filter(serves).or(self.default_backend)
    }

    pub(super) async fn finish(
        &self,
        exchange: &Exchange<'_>,
        route: &Route,
        kept: Kept,
        mut response: Response<Body>,
    ) -> Response<Body> {
        if let (Some(pages), Some(failed)) = (&self.error_pages, kept.failed)
            && pages.replace(response.status())
            && let Some(page) = pages
                .page(exchange, route, &failed, response.status())
                .await
        {
            response = page;
        }
        if let Some(cors) = &self.cors {
            cors.tell(kept.cors, response.headers_mut());
        }
        let sets_cookies = self
            .external
            .as_ref()
            .is_some_and(|external| external.always_set_cookie)
            || is_good(response.status());
        for cookie in kept.cookies.into_iter().filter(|_| sets_cookies) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        if kept.compress {
            response = compress::compress(response);
        }
        if let Some(place) = kept.place {
            response = response.map(|body| body.until_its_end(place));
        }
        response
    }
}

/// The answer to a question that a browser asks before a script's request.
fn preflight() -> Response<Body> {
    let mut response = respond::text(StatusCode::NO_CONTENT, String::new());
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// The statuses that nginx's `add_header` is about.
fn is_good(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 201 | 204 | 206 | 301..=304 | 307 | 308
    )
}
