//! The routes of one host, found by path in time that does not grow with their number.

#[expect(
    clippy::disallowed_types,
    reason = "looked up for every request; never iterated"
)]
use std::collections::HashMap;
use std::sync::Arc;

use meshlite_snapshot::{PathMatch, RouteTable};

use super::{ClusterId, Route, build::Refused};

/// The routes of one host, by path. Of those that match, the one of the lowest rank wins.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "as above")]
pub(crate) struct PathIndex {
    /// By rising rank; the maps hold positions in it.
    routes: Vec<Arc<Route>>,
    exact: HashMap<Box<str>, Vec<usize>>,
    /// By prefix without its trailing slash, so that `/` is the empty string.
    prefix: HashMap<Box<str>, Vec<usize>>,
    /// Slashes in the longest key of `prefix`.
    depth: usize,
}

impl PathIndex {
    #[expect(clippy::disallowed_types, reason = "as above")]
    pub(super) fn new(
        table: &RouteTable,
        mut cluster: impl FnMut(&meshlite_snapshot::Name) -> ClusterId,
    ) -> Result<Self, Refused> {
        let mut order: Vec<_> = table.routes.iter().collect();
        order.sort_by_key(|route| route.rank);
        let mut index = Self {
            routes: Vec::with_capacity(order.len()),
            exact: HashMap::new(),
            prefix: HashMap::new(),
            depth: 0,
        };
        for (position, route) in order.into_iter().enumerate() {
            let path = route.path.value.as_str();
            match route.path.kind {
                PathMatch::Exact => index.exact.entry(path.into()).or_default().push(position),
                PathMatch::Prefix => {
                    let key = path.strip_suffix('/').unwrap_or(path);
                    index.depth = index.depth.max(key.matches('/').count());
                    index.prefix.entry(key.into()).or_default().push(position);
                }
                PathMatch::Regex | PathMatch::RegexIgnoreCase => {
                    let message = format!(
                        "path {path:?} of {}: regular expressions are not served yet",
                        route.owner
                    );
                    return Err(Refused::Unsupported(message));
                }
            }
            index
                .routes
                .push(Arc::new(Route::new(route, &mut cluster)?));
        }
        Ok(index)
    }

    /// The route of the lowest rank that matches `path` and that `accept` takes.
    pub(super) fn find(&self, path: &str, accept: impl Fn(&Route) -> bool) -> Option<&Arc<Route>> {
        let mut best = usize::MAX;
        let mut consider = |positions: Option<&Vec<usize>>| {
            for &position in positions.into_iter().flatten() {
                if position >= best {
                    return;
                }
                if self.routes.get(position).is_some_and(|route| accept(route)) {
                    best = position;
                }
            }
        };
        consider(self.exact.get(path));
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([path.len()]).take(self.depth + 1) {
            consider(path.get(..end).and_then(|key| self.prefix.get(key)));
        }
        self.routes.get(best)
    }
}
