//! One route, with everything that a request needs already parsed.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, request};
use meshlite_snapshot::{Name, PathMatch};

use super::{ClusterId, Filters, Timeouts, build::Refused};
use crate::sanitise;

/// One route. Its path has been matched by its [`PathIndex`](super::paths::PathIndex).
#[derive(Debug)]
pub(crate) struct Route {
    /// Also serves requests whose more specific host has no route for their path.
    pub(crate) fallback: bool,
    pub(crate) filters: Filters,
    pub(crate) timeouts: Timeouts,
    method: Option<Method>,
    headers: Vec<(HeaderName, HeaderValue)>,
    query: Vec<(String, String)>,
    /// Bytes of the path that a prefix route matches; all of it for an exact one.
    pub(crate) matched: usize,
    backends: Vec<Share>,
    weights: u64,
}

/// A cluster, and the sum of the weights up to and with its own.
#[derive(Debug)]
struct Share {
    until: u64,
    cluster: ClusterId,
}

impl Route {
    pub(super) fn new(
        route: &meshlite_snapshot::Route,
        mut cluster: impl FnMut(&Name) -> ClusterId,
    ) -> Result<Self, Refused> {
        let invalid = |what: &str| Refused::Invalid(format!("{}: {what}", route.owner));
        if !route.path.value.starts_with('/') {
            return Err(invalid("a path does not start with /"));
        }
        let parse = |value: &str| Method::from_bytes(value.as_bytes()).ok();
        let method = match &route.method {
            Some(method) => Some(parse(method).ok_or_else(|| invalid("a method is not a token"))?),
            None => None,
        };
        if route
            .headers
            .iter()
            .chain(&route.query)
            .any(|value| value.regex)
        {
            let message = format!("{}: regular expressions are not served yet", route.owner);
            return Err(Refused::Unsupported(message));
        }
        let mut headers = Vec::with_capacity(route.headers.len());
        for wanted in &route.headers {
            let name = HeaderName::from_bytes(wanted.name.as_bytes());
            let value = HeaderValue::from_str(&wanted.value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(invalid("a header to match is not one"));
            };
            headers.push((name, value));
        }
        let query = route
            .query
            .iter()
            .map(|wanted| (wanted.name.clone(), wanted.value.clone()));
        let mut weights = 0;
        let mut backends = Vec::with_capacity(route.backends.len());
        for backend in route.backends.iter().filter(|backend| backend.weight > 0) {
            weights += u64::from(backend.weight);
            backends.push(Share {
                until: weights,
                cluster: cluster(&backend.cluster),
            });
        }
        let path = &route.path.value;
        Ok(Self {
            fallback: route.fallback,
            filters: Filters::new(route)?,
            timeouts: Timeouts {
                response: route
                    .timeouts
                    .response_ms
                    .map(|ms| Duration::from_millis(ms.into())),
                idle: route
                    .timeouts
                    .idle_ms
                    .map(|ms| Duration::from_millis(ms.into())),
            },
            method,
            headers,
            query: query.collect(),
            matched: match route.path.kind {
                PathMatch::Prefix => path.strip_suffix('/').unwrap_or(path).len(),
                PathMatch::Exact | PathMatch::Regex | PathMatch::RegexIgnoreCase => path.len(),
            },
            backends,
            weights,
        })
    }

    /// Whether the route's matches other than its path hold.
    pub(super) fn holds(&self, request: &request::Parts) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| *method == request.method)
            && (self.headers.iter()).all(|(name, value)| request.headers.get(name) == Some(value))
            && (self.query.iter()).all(|(name, value)| {
                sanitise::query_value(request.uri.query().unwrap_or_default(), name).as_ref()
                    == Some(value)
            })
    }

    /// The cluster for one request, by weight. `random` gives a number below the one that it is told.
    pub(crate) fn cluster(&self, random: impl FnOnce(u64) -> u64) -> Option<ClusterId> {
        match self.backends.as_slice() {
            [] => None,
            [only] => Some(only.cluster),
            shares => {
                let ticket = random(self.weights);
                shares
                    .iter()
                    .find(|share| ticket < share.until)
                    .map(|share| share.cluster)
            }
        }
    }
}
