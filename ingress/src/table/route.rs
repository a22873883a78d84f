//! One route, with everything that a request needs already parsed.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, request};
use meshlite_snapshot::{Name, PathMatch, ValueMatch};
use regex::bytes::Regex;

use super::{
    Filters, Forwarding, Groups, Places, Refused, Retry, Shares, Timeouts,
    pattern::{self, Pattern},
};
use crate::{policy::Policy, sanitise};

/// One route. Its path has been matched by its [`PathIndex`](super::paths::PathIndex), unless it is an expression.
#[derive(Debug)]
pub(crate) struct Route {
    /// Also serves requests whose more specific host has no route for their path.
    pub(crate) fallback: bool,
    pub(crate) filters: Filters,
    pub(crate) timeouts: Timeouts,
    /// How requests are sent, where the route says anything about it.
    pub(crate) forwarding: Option<Box<Forwarding>>,
    pub(crate) policy: Option<Box<Policy>>,
    /// The object that asked for it, as `namespace/name`.
    pub(crate) owner: Arc<str>,
    /// Its place among the routes that its table was made from.
    pub(super) position: usize,
    /// The path, where it is an expression.
    pattern: Option<Box<Pattern>>,
    method: Option<Method>,
    headers: Box<[(HeaderName, Wanted)]>,
    query: Box<[(String, Wanted)]>,
    /// Bytes of the path that a prefix route matches; all of it for an exact one.
    pub(crate) matched: usize,
    pub(crate) shares: Shares,
}

/// What a header or parameter has to be.
#[derive(Debug)]
enum Wanted {
    Exact(HeaderValue),
    /// Matches the whole value.
    Regex(Box<Regex>),
}

impl Wanted {
    fn new(wanted: &ValueMatch) -> Result<Self, String> {
        if wanted.regex {
            return pattern::whole(&wanted.value).map(|regex| Self::Regex(Box::new(regex)));
        }
        let value = HeaderValue::from_bytes(wanted.value.as_bytes());
        value
            .map(Self::Exact)
            .map_err(|_invalid| format!("the value of {} to match is not one", wanted.name))
    }

    fn is(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => wanted.as_bytes() == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

impl Route {
    pub(super) fn new(
        route: &meshlite_snapshot::Route,
        position: usize,
        owner: Arc<str>,
        places: &mut Places,
    ) -> Result<Self, Refused> {
        let invalid = |what: &str| Refused::Invalid(format!("{}: {what}", route.owner));
        let path = &route.path.value;
        let ignore_case = route.path.kind == PathMatch::RegexIgnoreCase;
        let pattern = match route.path.kind {
            PathMatch::Regex | PathMatch::RegexIgnoreCase => {
                let pattern = Pattern::at_start(path, ignore_case);
                Some(Box::new(pattern.map_err(|what| invalid(&what))?))
            }
            PathMatch::Exact | PathMatch::Prefix if path.starts_with('/') => None,
            PathMatch::Exact | PathMatch::Prefix => {
                return Err(invalid("a path does not start with /"));
            }
        };
        let parse = |value: &str| Method::from_bytes(value.as_bytes()).ok();
        let method = match &route.method {
            Some(method) => Some(parse(method).ok_or_else(|| invalid("a method is not a token"))?),
            None => None,
        };
        let header = |wanted: &ValueMatch| {
            let name = HeaderName::from_bytes(wanted.name.as_bytes());
            let name = name.map_err(|_invalid| "a header to match is not one".to_owned())?;
            Ok::<_, String>((name, Wanted::new(wanted)?))
        };
        let headers = route.headers.iter().map(header).collect::<Result<_, _>>();
        let query = |wanted: &ValueMatch| Ok((wanted.name.clone(), Wanted::new(wanted)?));
        let query = route.query.iter().map(query).collect::<Result<_, String>>();
        let policy = match &route.policy {
            Some(policy) => Some(Box::new(Policy::new(policy, route, places)?)),
            None => None,
        };
        let mut cluster = |name: &Name| places.cluster(name);
        let forwarding = Forwarding::new(&route.filters, route.policy.as_deref(), &mut cluster);
        Ok(Self {
            fallback: route.fallback,
            filters: Filters::new(route)?,
            timeouts: Timeouts::new(&route.timeouts),
            forwarding,
            policy,
            owner,
            position,
            pattern,
            method,
            headers: headers.map_err(|what| invalid(&what))?,
            query: query.map_err(|what| invalid(&what))?,
            matched: match route.path.kind {
                PathMatch::Prefix => path.strip_suffix('/').unwrap_or(path).len(),
                PathMatch::Exact | PathMatch::Regex | PathMatch::RegexIgnoreCase => path.len(),
            },
            shares: Shares::new(&route.backends, |name| places.cluster(name)),
        })
    }

    /// How often its requests are tried, and after what.
    pub(crate) fn retry(&self) -> &Retry {
        const DEFAULT: &Retry = &Retry::DEFAULT;
        (self.forwarding.as_ref()).map_or(DEFAULT, |forwarding| &forwarding.retry)
    }

    /// Whether the route's matches other than its path hold.
    pub(super) fn holds(&self, request: &request::Parts) -> bool {
        let query = || request.uri.query().unwrap_or_default();
        self.method
            .as_ref()
            .is_none_or(|method| *method == request.method)
            && (self.headers.iter()).all(|(name, wanted)| {
                let value = request.headers.get(name);
                value.is_some_and(|value| wanted.is(value.as_bytes()))
            })
            && (self.query.iter()).all(|(name, wanted)| {
                let value = sanitise::query_value(query(), name);
                value.is_some_and(|value| wanted.is(value.as_bytes()))
            })
    }

    /// Whether the route's expression matches, where it has one.
    pub(super) fn takes(&self, path: &str) -> bool {
        self.pattern
            .as_ref()
            .is_none_or(|pattern| pattern.matches(path))
    }

    /// Text with what the groups of the route's expression found in a path.
    pub(crate) fn fill(&self, groups: &Groups, path: &str) -> String {
        match self.pattern.as_deref() {
            Some(Pattern::Regex(regex)) => regex
                .captures(path)
                .map_or_else(String::new, |captures| groups.fill(&captures)),
            Some(Pattern::Text { .. }) | None => groups.plain(),
        }
    }
}

impl Timeouts {
    fn new(timeouts: &meshlite_snapshot::RouteTimeouts) -> Self {
        let millis = |ms: Option<u32>| ms.map(|ms| Duration::from_millis(ms.into()));
        Self {
            connect: millis(timeouts.connect_ms),
            request: millis(timeouts.request_ms),
            response: millis(timeouts.response_ms),
            idle: millis(timeouts.idle_ms),
        }
    }
}
