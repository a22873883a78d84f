//! The routes of one host, found by path in time that does not grow with their number.

use std::sync::Arc;

use meshlite_snapshot::{ClientAuth, PathMatch, RouteTable};
use regex::bytes::Regex;

use super::{CredentialId, Places, Refused, Route, pattern};
use crate::{map::Map, policy::Template};

/// The routes of one host, by path. Of those that match, the one of the lowest rank wins.
#[derive(Debug)]
pub(crate) struct PathIndex {
    /// By rising rank; the maps hold positions in it.
    routes: Vec<Arc<Route>>,
    exact: Map<Box<str>, Vec<usize>>,
    /// By prefix without its trailing slash, so that `/` is the empty string.
    prefix: Map<Box<str>, Vec<usize>>,
    /// Slashes in the longest key of `prefix`.
    depth: usize,
    /// Routes whose path is an expression, by rising rank.
    expressions: Box<[usize]>,
    client_auth: Option<Box<HostAuth>>,
    source: Arc<RouteTable>,
}

/// The certificates that clients of a host show.
#[derive(Debug)]
pub(crate) struct HostAuth {
    pub(crate) rule: ClientAuth,
    pub(crate) authorities: CredentialId,
    pub(crate) error_page: Option<Template>,
    /// What the subjects of certificates that may pass have a match of.
    pub(crate) subject: Option<Regex>,
}

impl PathIndex {
    pub(super) fn new(table: &Arc<RouteTable>, places: &mut Places) -> Result<Self, Refused> {
        let mut order: Vec<_> = table.routes.iter().enumerate().collect();
        order.sort_by_key(|(_, route)| route.rank);
        let client_auth = table.client_auth.as_ref().map(|rule| {
            let subject = rule.subject.as_deref().map(pattern::bytes).transpose();
            Ok(Box::new(HostAuth {
                rule: rule.clone(),
                authorities: places.credential(&rule.authorities),
                error_page: rule.error_page.as_deref().map(Template::new),
                subject: subject.map_err(Refused::Invalid)?,
            }))
        });
        let client_auth = client_auth.transpose()?;
        let mut routes: Vec<Arc<Route>> = Vec::with_capacity(order.len());
        let (mut exact, mut prefix) = (Map::<_, Vec<_>>::default(), Map::<_, Vec<_>>::default());
        let mut expressions = Vec::new();
        let mut depth = 0;
        for (rank, (position, route)) in order.into_iter().enumerate() {
            let path = route.path.value.as_str();
            match route.path.kind {
                PathMatch::Exact => exact.entry(path.into()).or_default().push(rank),
                PathMatch::Prefix => {
                    let key = path.strip_suffix('/').unwrap_or(path);
                    depth = depth.max(key.matches('/').count());
                    prefix.entry(key.into()).or_default().push(rank);
                }
                PathMatch::Regex | PathMatch::RegexIgnoreCase => expressions.push(rank),
            }
            let owner = format!("{}/{}", route.owner.namespace, route.owner.name);
            // Most routes of a host are of one object.
            let owner = match routes.last() {
                Some(last) if *last.owner == *owner => Arc::clone(&last.owner),
                Some(_) | None => owner.into(),
            };
            routes.push(Arc::new(Route::new(route, position, owner, places)?));
        }
        Ok(Self {
            routes,
            exact,
            prefix,
            depth,
            expressions: expressions.into(),
            client_auth,
            source: Arc::clone(table),
        })
    }

    /// The route of the lowest rank that matches `path` and that `accept` takes.
    pub(super) fn find(&self, path: &str, accept: impl Fn(&Route) -> bool) -> Option<&Arc<Route>> {
        let mut best = usize::MAX;
        let mut consider = |ranks: Option<&Vec<usize>>| {
            for &rank in ranks.into_iter().flatten() {
                if rank >= best {
                    return;
                }
                if self.routes.get(rank).is_some_and(|route| accept(route)) {
                    best = rank;
                }
            }
        };
        consider(self.exact.get(path));
        let slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
        let ends = slashes.map(|(at, _)| at);
        for end in ends.chain([path.len()]).take(self.depth + 1) {
            consider(path.get(..end).and_then(|key| self.prefix.get(key)));
        }
        let expressions = self.expressions.iter().take_while(|rank| **rank < best);
        let mut expressions = expressions.filter_map(|rank| self.routes.get(*rank));
        let found = expressions.find(|route| route.takes(path) && accept(route));
        found.or_else(|| self.routes.get(best))
    }

    /// What the certificates of this host's clients are judged by.
    pub(super) fn client_auth(&self) -> Option<&HostAuth> {
        self.client_auth.as_deref()
    }

    /// What the routes were made from.
    pub(super) fn source(&self) -> &RouteTable {
        &self.source
    }
}
